//! A bank of NOR flash in QEMU, and the file that keeps it when QEMU ends.

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::fs;
use std::path::Path;

/// The bank whose first bytes are a board's weights region.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Bank {
    /// QEMU's number of it, as a `pflash` drive.
    pub unit: u32,
    /// Its length.
    pub bytes: u64,
}

impl Bank {
    /// Makes the file at `path` hold the bank. With an image it holds that and is erased behind it, whatever was there; without
    /// one a file that is there stays, and one that is not is made, erased.
    ///
    /// # Errors
    /// The file cannot be read or written, or one that is to stay has another length.
    pub fn prepare(&self, path: &Path, image: Option<&Path>) -> Result<()> {
        let name = || path.display().to_string();
        if image.is_none() && path.exists() {
            let length = path.metadata().with_context(name)?.len();
            if length != self.bytes {
                bail!("{}: {length} bytes, and the flash has {}; it is no file of this board's", name(), self.bytes);
            }
            return Ok(());
        }
        let mut bytes = match image {
            Some(image) => fs::read(image).with_context(|| image.display().to_string())?,
            None => Vec::new(),
        };
        // Erased flash is ones. Whoever runs a program has checked that the image fits the region.
        bytes.resize(usize::try_from(self.bytes)?, 0xFF);
        fs::write(path, bytes).with_context(name)
    }

    /// QEMU's drive over the file.
    ///
    /// # Errors
    /// The path is no UTF-8.
    pub fn drive(&self, path: &Path) -> Result<String> {
        Ok(format!("if=pflash,unit={},format=raw,file={}", self.unit, value(path)?))
    }
}

/// A path as a value in QEMU's grammar, where a comma is doubled.
pub(crate) fn value(path: &Path) -> Result<String> {
    let path = path.to_str().with_context(|| format!("{}: QEMU takes a path in UTF-8 only", path.display()))?;
    Ok(path.replace(',', ",,"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_made_kept_and_programmed() {
        let folder = tempfile::tempdir().unwrap();
        let (bank, path) = (Bank { unit: 1, bytes: 64 }, folder.path().join("flash,1"));
        bank.prepare(&path, None).unwrap();
        assert_eq!(fs::read(&path).unwrap(), [0xFF; 64]);

        let written = [[7; 32], [9; 32]].concat();
        fs::write(&path, &written).unwrap();
        bank.prepare(&path, None).unwrap();
        assert_eq!(fs::read(&path).unwrap(), written);

        let image = folder.path().join("image");
        fs::write(&image, [1; 10]).unwrap();
        bank.prepare(&path, Some(&image)).unwrap();
        assert_eq!(fs::read(&path).unwrap(), [&[1; 10][..], &[0xFF; 54]].concat());

        fs::write(&path, [0; 63]).unwrap();
        let error = bank.prepare(&path, None).unwrap_err().to_string();
        assert!(error.contains("63 bytes, and the flash has 64"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), [0; 63]);
    }

    #[test]
    fn commas_are_doubled() {
        let drive = Bank { unit: 1, bytes: 64 }.drive(Path::new("/tmp/a,b")).unwrap();
        assert_eq!(drive, "if=pflash,unit=1,format=raw,file=/tmp/a,,b");
    }
}
