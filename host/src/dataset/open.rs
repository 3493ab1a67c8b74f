//! Files that may be compressed.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use super::DataError;

/// What gzip starts with.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Opens a file; what starts as gzip does is decompressed, whatever its name.
pub(super) fn open(path: &Path) -> Result<Box<dyn Read>, DataError> {
    let file = File::open(path).map_err(|source| DataError::io(path, source))?;
    decompressed(BufReader::new(file)).map_err(|source| DataError::io(path, source))
}

/// The same for bytes that are already there.
pub(super) fn decompressed<'a>(mut from: impl BufRead + 'a) -> io::Result<Box<dyn Read + 'a>> {
    if from.fill_buf()?.starts_with(&GZIP) {
        Ok(Box::new(BufReader::new(MultiGzDecoder::new(from))))
    } else {
        Ok(Box::new(from))
    }
}
