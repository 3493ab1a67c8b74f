//! The idx format of MNIST: a magic that holds the type and the number of axes, their lengths, and the values.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

use flate2::{Compression, GzBuilder};

use super::{DataError, Images, open};
use crate::atomic;

/// The type code of unsigned bytes, the only one read.
const UBYTE: u8 = 0x08;

/// Reads images, plain or gzip: of images × height × width, or × channels too, or × pixels when these make a square.
///
/// # Errors
///
/// [`DataError::Io`] or [`DataError::Format`].
pub fn read_images(path: &Path) -> Result<Images, DataError> {
    images_from(open::open(path)?, path)
}

/// Reads labels, plain or gzip.
///
/// # Errors
///
/// [`DataError::Io`] or [`DataError::Format`].
pub fn read_labels(path: &Path) -> Result<Vec<u8>, DataError> {
    labels_from(open::open(path)?, path)
}

pub(super) fn images_from(from: impl Read, path: &Path) -> Result<Images, DataError> {
    let (axes, pixels) = values(from, path)?;
    let shape = match *axes.as_slice() {
        [_, pixels] if square(pixels).is_some() => {
            let side = pixels.isqrt();
            (side, side, 1)
        }
        [_, height, width] => (width, height, 1),
        [_, height, width, channels @ (1 | 3)] => (width, height, channels),
        _ => {
            return Err(DataError::format(
                path,
                "idx axes: images × height × width, × 1 or 3 channels",
                format!("{axes:?}"),
            ));
        }
    };
    Images::new(path, shape, pixels, None)
}

pub(super) fn labels_from(from: impl Read, path: &Path) -> Result<Vec<u8>, DataError> {
    let (axes, labels) = values(from, path)?;
    if axes.len() == 1 {
        return Ok(labels);
    }
    Err(DataError::format(path, "labels: one idx axis", format!("{axes:?}")))
}

/// The side of a square of so many pixels.
pub(super) fn square(pixels: usize) -> Option<usize> {
    let side = pixels.isqrt();
    (pixels > 0 && side * side == pixels).then_some(side)
}

/// The axes and exactly as many values; memory grows with what is read, never with what the header claims.
fn values(mut from: impl Read, path: &Path) -> Result<(Vec<usize>, Vec<u8>), DataError> {
    let failed = |error: io::Error| match error.kind() {
        // Also what a truncated or damaged gzip stream gives.
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
            DataError::format(path, "a whole idx file", error.to_string())
        }
        _ => DataError::io(path, error),
    };
    let mut magic = [0; 4];
    from.read_exact(&mut magic).map_err(failed)?;
    let [0, 0, UBYTE, count @ 1..=4] = magic else {
        return Err(DataError::format(
            path,
            "an idx file of unsigned bytes (it starts with 00 00 08 and the number of axes, 1 to 4)",
            format!("{magic:02x?}"),
        ));
    };
    let mut axes = Vec::new();
    for _ in 0..count {
        let mut length = [0; 4];
        from.read_exact(&mut length).map_err(failed)?;
        axes.push(u32::from_be_bytes(length) as usize);
    }
    let expected =
        axes.iter().try_fold(1_u64, |product, &axis| product.checked_mul(axis as u64).filter(|&n| n < 1 << 48));
    let Some(expected) = expected else {
        return Err(DataError::format(path, "a count of values below 2^48", format!("axes {axes:?}")));
    };
    let mut values = Vec::new();
    // One more than expected shows that the file is too long.
    from.take(expected + 1).read_to_end(&mut values).map_err(failed)?;
    if values.len() as u64 != expected {
        let more = if values.len() as u64 > expected { "more" } else { "only" };
        return Err(DataError::format(
            path,
            format!("{expected} values for axes {axes:?}"),
            format!("{more}: {}", values.len()),
        ));
    }
    Ok((axes, values))
}

/// Writes images; gzip if the name ends in `.gz`, the same bytes each time.
///
/// # Errors
///
/// [`DataError::Io`].
pub fn write_images(path: &Path, images: &Images) -> Result<(), DataError> {
    let mut axes = vec![images.len(), images.height, images.width];
    if images.channels != 1 {
        axes.push(images.channels);
    }
    write(path, &axes, &images.pixels)
}

/// Writes labels; gzip if the name ends in `.gz`, the same bytes each time.
///
/// # Errors
///
/// [`DataError::Io`].
pub fn write_labels(path: &Path, labels: &[u8]) -> Result<(), DataError> {
    write(path, &[labels.len()], labels)
}

fn write(path: &Path, axes: &[usize], values: &[u8]) -> Result<(), DataError> {
    atomic::write(path, |out| {
        let mut head = vec![0, 0, UBYTE, axes.len() as u8];
        for &axis in axes {
            let axis =
                u32::try_from(axis).map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "an axis above 2^32"))?;
            head.extend(axis.to_be_bytes());
        }
        if path.extension().is_some_and(|extension| extension == "gz") {
            // The builder leaves out the time and the name.
            let mut gzip = GzBuilder::new().write(out, Compression::best());
            gzip.write_all(&head)?;
            gzip.write_all(values)?;
            gzip.finish().map(|_: &mut BufWriter<&File>| ())
        } else {
            out.write_all(&head)?;
            out.write_all(values)
        }
    })
    .map_err(|source| DataError::io(path, source))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: [u8; 16] = [0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 3];

    fn read(bytes: &[u8]) -> Result<Images, DataError> {
        images_from(open::decompressed(bytes).unwrap(), Path::new("f"))
    }

    fn message(bytes: &[u8]) -> String {
        read(bytes).unwrap_err().to_string()
    }

    #[test]
    fn exact_bytes_both_ways() {
        let bytes = [&HEAD[..], &[1, 2, 3, 4, 5, 255]].concat();
        let images = read(&bytes).unwrap();
        assert_eq!((images.width, images.height, images.len()), (3, 1, 2));
        let dir = tempfile::tempdir().unwrap();
        let (plain, gzip) = (dir.path().join("f"), dir.path().join("f.gz"));
        write_images(&plain, &images).unwrap();
        assert_eq!(std::fs::read(&plain).unwrap(), bytes);
        write_images(&gzip, &images).unwrap();
        assert_eq!(read_images(&gzip).unwrap().pixels, images.pixels);
        write_labels(&gzip, &[4, 5]).unwrap();
        assert_eq!(read_labels(&gzip).unwrap(), [4, 5]);
        assert!(read_labels(&plain).is_err());
    }

    #[test]
    fn colour_and_flat_images() {
        let colour = [0, 0, 8, 4, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
        let images = read(&[&colour[..], &[1, 2, 3, 4, 5, 6]].concat()).unwrap();
        assert_eq!((images.width, images.height, images.channels), (2, 1, 3));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        write_images(&path, &images).unwrap();
        assert_eq!(read_images(&path).unwrap(), images);
        let flat = [0, 0, 8, 2, 0, 0, 0, 1, 0, 0, 0, 4];
        let images = read(&[&flat[..], &[1, 2, 3, 4]].concat()).unwrap();
        assert_eq!((images.width, images.height), (2, 2));
    }

    #[test]
    fn cut_and_long_files() {
        let bytes = [&HEAD[..], &[1, 2, 3, 4, 5, 255]].concat();
        for end in 0..bytes.len() {
            assert!(read(&bytes[..end]).is_err(), "{end}");
        }
        assert_eq!(message(&bytes[..20]), "f: expected 6 values for axes [2, 1, 3], found only: 4");
        assert!(message(&[&bytes[..], &[0]].concat()).ends_with("found more: 7"));
        let mut gzip = GzBuilder::new().write(Vec::new(), Compression::best());
        gzip.write_all(&bytes).unwrap();
        let gzip = gzip.finish().unwrap();
        assert!(read(&gzip).is_ok());
        for end in 0..gzip.len() {
            assert!(read(&gzip[..end]).is_err(), "{end}");
        }
        let mut damaged = gzip.clone();
        *damaged.last_mut().unwrap() ^= 1;
        assert!(read(&damaged).is_err());
    }

    #[test]
    fn a_huge_count_allocates_nothing() {
        let mut bytes = HEAD;
        bytes[4..].fill(0xff);
        assert!(message(&bytes).contains("expected a count of values below 2^48"));
        bytes[4..8].fill(0);
        bytes[6] = 0xff;
        bytes[8..].copy_from_slice(&[0, 0, 255, 255, 0, 0, 255, 255]);
        assert!(message(&bytes).ends_with("found only: 0"));
    }

    #[test]
    fn other_files() {
        assert!(message(b"GIF89a").contains("found [47, 49, 46, 38]"));
        assert!(message(&[0, 0, 13, 1, 0, 0, 0, 0]).contains("unsigned bytes"));
        assert!(message(&[0, 0, 8, 3, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1]).contains("at least one"));
        let two_channels = [0, 0, 8, 4, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2];
        assert!(message(&[&two_channels[..], &[1, 2]].concat()).contains("[1, 1, 1, 2]"));
    }
}
