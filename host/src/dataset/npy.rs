//! Images from `.npy` arrays.

use std::path::Path;

use super::{DataError, Images, idx, scale};
use crate::npy::{self, Values};

/// Reads images × pixels (a square), × height × width, or × height × width × 1 or 3 channels.
pub(super) fn read(path: &Path) -> Result<Images, DataError> {
    let array = npy::read(path)?;
    let shape = match *array.shape.as_slice() {
        [_, pixels] => {
            let side = idx::square(pixels).ok_or_else(|| {
                DataError::format(
                    path,
                    "a square number of pixels (give other images their shape: images × height × width)",
                    pixels.to_string(),
                )
            })?;
            (side, side, 1)
        }
        [_, height, width] => (width, height, 1),
        [_, height, width, channels @ (1 | 3)] => (width, height, channels),
        _ => {
            return Err(DataError::format(
                path,
                "images × pixels, × height × width, or × height × width × 1 or 3 channels",
                format!("shape {:?}", array.shape),
            ));
        }
    };
    // No overflow: the array is in memory (an empty one gives an error below).
    let size = array.shape[1..].iter().fold(1_usize, |a, &b| a.saturating_mul(b));
    let pixels = match array.values {
        Values::U8(mut values) | Values::Bool(mut values) => {
            scale::bytes(&mut values);
            values
        }
        Values::F32(values) => scale::numbers(&values, size, path)?,
        Values::F64(values) => scale::numbers(&values, size, path)?,
    };
    Images::new(path, shape, pixels, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn file(dir: &tempfile::TempDir, kind: &str, shape: &str, data: &[u8]) -> PathBuf {
        let dict = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}}}");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((dict.len() as u16).to_le_bytes());
        bytes.extend(dict.as_bytes());
        bytes.extend(data);
        let path = dir.path().join("a.npy");
        std::fs::write(&path, bytes).unwrap();
        path
    }

    #[test]
    fn shapes_and_types() {
        let dir = tempfile::tempdir().unwrap();
        let images = read(&file(&dir, "|u1", "(1, 4)", &[0, 9, 99, 200])).unwrap();
        assert_eq!((images.width, images.height), (2, 2));
        assert_eq!(images.pixels, [0, 9, 99, 200]);
        let images = read(&file(&dir, "|b1", "(2, 1, 3)", &[0, 1, 1, 0, 0, 1])).unwrap();
        assert_eq!((images.width, images.height, images.len()), (3, 1, 2));
        assert_eq!(images.pixels, [0, 255, 255, 0, 0, 255]);
        let half = [0.5_f32, 1.0, 0.0].map(f32::to_le_bytes).concat();
        let images = read(&file(&dir, "<f4", "(1, 1, 1, 3)", &half)).unwrap();
        assert_eq!((images.channels, images.pixels), (3, vec![128, 255, 0]));
        let doubles = [0.25_f64, 1.0].map(f64::to_be_bytes).concat();
        let images = read(&file(&dir, ">f8", "(2, 1, 1)", &doubles)).unwrap();
        assert_eq!(images.pixels, [64, 255]);
    }

    #[test]
    fn other_shapes_and_values_are_errors() {
        let dir = tempfile::tempdir().unwrap();
        let message = |kind, shape, data: &[u8]| read(&file(&dir, kind, shape, data)).unwrap_err().to_string();
        assert!(message("|u1", "(1, 3)", &[0; 3]).contains("a square number"));
        assert!(message("|u1", "(1, 1, 1, 2)", &[0; 2]).contains("[1, 1, 1, 2]"));
        assert!(message("|u1", "(3,)", &[0; 3]).contains("[3]"));
        assert!(message("|u1", "(0, 4)", &[]).contains("at least one image"));
        assert!(message("|u1", "(0, 4294967296, 4294967296)", &[]).contains("expected"));
        assert!(message("|u1", "(2, 4)", &[0; 7]).contains("8 bytes"));
        let bad = [1.0_f32, f32::NAN].map(f32::to_le_bytes).concat();
        assert!(message("<f4", "(2, 1, 1)", &bad).contains("image 1, value 0"));
    }
}
