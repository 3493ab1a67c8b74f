//! Files that appear whole or not at all.
//!
//! A checkpoint of a long run must survive a full disk and a killed process: the new content goes to a temporary file in
//! the same folder (a rename is atomic only within one file system), is synced, and takes the name in one step. Until
//! then the old file is untouched; after an error the temporary file is removed. A process that is killed in between
//! (SIGKILL, a power cut) leaves its temporary file, `.bitboltz-*.part`, which nothing reads and anyone may delete.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// Writes a file beside `path` with `body` and renames it to `path`.
///
/// A path that exists and is not a regular file (a pipe, `/dev/null`) is written in place: it can't be replaced. A
/// symbolic link keeps pointing where it did, and its target is replaced.
///
/// # Errors
///
/// Those of the file system and of `body`. `path` is then as it was before.
pub fn write<F>(path: &Path, body: F) -> io::Result<()>
where
    F: FnOnce(&mut BufWriter<&File>) -> io::Result<()>,
{
    // Follows symbolic links; an error means that the file is new (or a dangling link, which is replaced).
    let target = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let old = std::fs::metadata(&target).ok();
    if let Some(meta) = &old {
        if meta.is_dir() {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, "a file was to be written, found a folder"));
        }
        if !meta.is_file() {
            let file = File::options().write(true).open(&target)?;
            let mut out = BufWriter::new(&file);
            body(&mut out)?;
            return out.flush();
        }
    }
    let folder = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let temp = new_temp(folder)?;
    {
        let mut out = BufWriter::new(temp.as_file());
        if let Err(error) = body(&mut out) {
            // Dropped unflushed: what is still buffered is of no use, and flushing it could fail again.
            let _ = out.into_parts();
            return Err(error);
        }
        out.flush()?;
    }
    if let Some(meta) = old {
        temp.as_file().set_permissions(meta.permissions())?;
    }
    temp.as_file().sync_all()?;
    temp.persist(&target).map_err(|error| error.error)?;
    Ok(())
}

/// Copies the content of a file to `to`, which appears whole or not at all.
///
/// # Errors
///
/// Those of the file system. `to` is then as it was before.
pub fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let mut from = File::open(from)?;
    write(to, |out| io::copy(&mut from, out).map(drop))
}

/// A temporary file with the permissions of an ordinary new file: by default it would be for its owner only.
fn new_temp(folder: &Path) -> io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".bitboltz-").suffix(".part");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // The umask applies.
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn writes_and_replaces() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        write(&path, |out| out.write_all(b"one")).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"one");
        write(&path, |out| out.write_all(b"two!")).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two!");
        assert_eq!(names(folder.path()), ["a.bin"]);
        copy(&path, &folder.path().join("b.bin")).unwrap();
        assert_eq!(std::fs::read(folder.path().join("b.bin")).unwrap(), b"two!");
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        write(&path, |out| out.write_all(b"old")).unwrap();
        let error = write(&path, |out| {
            out.write_all(&[7; 100_000])?;
            Err(io::Error::new(io::ErrorKind::StorageFull, "disk full"))
        });
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["a.bin"]);
    }

    #[test]
    fn missing_folders_and_folders_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("no/such/a.bin");
        assert_eq!(write(&missing, |_| Ok(())).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(write(folder.path(), |_| Ok(())).unwrap_err().kind(), io::ErrorKind::IsADirectory);
    }

    #[cfg(unix)]
    #[test]
    fn permissions_and_links_are_kept() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("a.bin"), folder.path().join("link"));
        std::fs::write(&path, b"old").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        symlink(&path, &link).unwrap();
        write(&link, |out| out.write_all(b"new")).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(std::fs::symlink_metadata(&link).unwrap().file_type().is_symlink());
        write(Path::new("/dev/null"), |out| out.write_all(b"gone")).unwrap();
    }
}
