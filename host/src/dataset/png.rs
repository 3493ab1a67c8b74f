//! Pictures from PNG: one, a folder of them, or many in one as a strip.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use super::{DataError, Images, idx};

/// The most that one picture may take in memory; a header may claim 2^62 bytes.
const MAX_BYTES: usize = 1 << 29;

/// One picture, with 1 (grey) or 3 channels of 8 bits.
#[derive(Debug)]
pub(super) struct Picture {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) channels: usize,
    pub(super) pixels: Vec<u8>,
}

/// Reads any PNG: palettes and other depths become 8 bits, transparency is dropped.
pub(super) fn read(path: &Path) -> Result<Picture, DataError> {
    let file = File::open(path).map_err(|source| DataError::io(path, source))?;
    let failed = |error: ::png::DecodingError| match error {
        ::png::DecodingError::IoError(source) if source.raw_os_error().is_some() => DataError::io(path, source),
        other => DataError::format(path, "a whole PNG", other.to_string()),
    };
    let mut decoder = ::png::Decoder::new(BufReader::new(file));
    decoder.set_transformations(::png::Transformations::EXPAND | ::png::Transformations::STRIP_16);
    let mut reader = decoder.read_info().map_err(failed)?;
    let size = reader.output_buffer_size().filter(|&size| size <= MAX_BYTES);
    let Some(size) = size else {
        let (width, height) = reader.info().size();
        return Err(DataError::format(
            path,
            format!("a picture of at most {} MiB", MAX_BYTES >> 20),
            format!("{width} × {height}"),
        ));
    };
    let mut pixels = vec![0; size];
    let info = reader.next_frame(&mut pixels).map_err(failed)?;
    pixels.truncate(info.buffer_size());
    let (stored, channels) = match info.color_type {
        ::png::ColorType::Grayscale => (1, 1),
        ::png::ColorType::GrayscaleAlpha => (2, 1),
        ::png::ColorType::Rgb => (3, 3),
        ::png::ColorType::Rgba => (4, 3),
        ::png::ColorType::Indexed => {
            return Err(DataError::format(path, "a palette with colours", "none"));
        }
    };
    if stored != channels {
        pixels = pixels.chunks(stored).flat_map(|pixel| &pixel[..channels]).copied().collect();
    }
    Ok(Picture { width: info.width as usize, height: info.height as usize, channels, pixels })
}

/// Reads many images from one picture: each of its rows is one image, `width` × `height`.
pub(super) fn read_strip(path: &Path, width: usize, height: usize) -> Result<Images, DataError> {
    strip(read(path)?, path, width, height)
}

/// Reads many square images from one picture: each of its rows is one.
pub(super) fn read_square_strip(path: &Path) -> Result<Images, DataError> {
    let picture = read(path)?;
    let side = idx::square(picture.width).ok_or_else(|| {
        DataError::format(
            path,
            "one square image a row: a width that is a square number (for one image a file, give the folder)",
            format!("a width of {}", picture.width),
        )
    })?;
    strip(picture, path, side, side)
}

fn strip(picture: Picture, path: &Path, width: usize, height: usize) -> Result<Images, DataError> {
    if width.checked_mul(height) != Some(picture.width) {
        return Err(DataError::format(
            path,
            format!("rows of {width} × {height} pixels"),
            format!("rows of {}", picture.width),
        ));
    }
    Images::new(path, (width, height, picture.channels), picture.pixels, None)
}

/// Reads a folder of PNGs of one size, in the order of their names.
pub(super) fn read_folder(path: &Path) -> Result<Images, DataError> {
    let mut files = list(path)?;
    files.sort();
    let mut pixels = Vec::new();
    let mut shape = None;
    for file in &files {
        let picture = read(file)?;
        let found = (picture.width, picture.height, picture.channels);
        let expected = *shape.get_or_insert(found);
        if expected != found {
            let text = |(w, h, c)| format!("{w} × {h} × {c}");
            return Err(DataError::format(
                file,
                format!("{}, as the first picture of the folder", text(expected)),
                text(found),
            ));
        }
        pixels.extend(picture.pixels);
    }
    let Some(shape) = shape else {
        return Err(DataError::format(
            path,
            "the files of MNIST or of CIFAR-10, or PNGs",
            "none of these in the folder",
        ));
    };
    Images::new(path, shape, pixels, None)
}

fn list(path: &Path) -> Result<Vec<PathBuf>, DataError> {
    let failed = |source| DataError::io(path, source);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        if file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("png")) {
            files.push(file);
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::png::{BitDepth, ColorType};

    fn png(size: (u32, u32), color: ColorType, depth: BitDepth, data: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = ::png::Encoder::new(&mut bytes, size.0, size.1);
        encoder.set_color(color);
        encoder.set_depth(depth);
        if color == ColorType::Indexed {
            encoder.set_palette(vec![1, 2, 3, 40, 50, 60]);
        }
        encoder.write_header().unwrap().write_image_data(data).unwrap();
        bytes
    }

    fn file(dir: &tempfile::TempDir, name: &str, bytes: &[u8]) -> PathBuf {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    #[test]
    fn every_kind_becomes_grey_or_colour() {
        let dir = tempfile::tempdir().unwrap();
        let read_png = |size, color, depth, data: &[u8]| {
            let picture = read(&file(&dir, "a.png", &png(size, color, depth, data))).unwrap();
            (picture.channels, picture.pixels)
        };
        use BitDepth::{Eight, One, Sixteen};
        use ColorType::{Grayscale, GrayscaleAlpha, Indexed, Rgba};
        assert_eq!(read_png((2, 1), Grayscale, Eight, &[7, 9]), (1, vec![7, 9]));
        assert_eq!(read_png((3, 1), Grayscale, One, &[0b1010_0000]), (1, vec![255, 0, 255]));
        assert_eq!(read_png((1, 1), Grayscale, Sixteen, &[0x12, 0x34]), (1, vec![0x12]));
        assert_eq!(read_png((2, 1), GrayscaleAlpha, Eight, &[7, 0, 9, 1]), (1, vec![7, 9]));
        assert_eq!(read_png((1, 1), Rgba, Eight, &[7, 8, 9, 0]), (3, vec![7, 8, 9]));
        assert_eq!(read_png((2, 1), Indexed, Eight, &[1, 0]), (3, vec![40, 50, 60, 1, 2, 3]));
    }

    #[test]
    fn strips() {
        let dir = tempfile::tempdir().unwrap();
        let data: Vec<u8> = (0..24).collect();
        let path = file(&dir, "a.png", &png((4, 2), ColorType::Rgb, BitDepth::Eight, &data));
        let images = read_square_strip(&path).unwrap();
        assert_eq!((images.width, images.height, images.channels, images.len()), (2, 2, 3, 2));
        assert_eq!(images.image(1), &data[12..]);
        assert_eq!(read_strip(&path, 4, 1).unwrap().width, 4);
        assert!(read_strip(&path, 3, 1).unwrap_err().to_string().contains("rows of 4"));
        let path = file(&dir, "b.png", &png((3, 1), ColorType::Grayscale, BitDepth::Eight, &[0; 3]));
        assert!(read_square_strip(&path).unwrap_err().to_string().contains("a width of 3"));
    }

    #[test]
    fn folders_are_sorted_and_equal() {
        let dir = tempfile::tempdir().unwrap();
        let grey = |data: &[u8]| png((2, 1), ColorType::Grayscale, BitDepth::Eight, data);
        assert!(read_folder(dir.path()).unwrap_err().to_string().contains("none of these"));
        file(&dir, "b.PNG", &grey(&[3, 4]));
        file(&dir, "a.png", &grey(&[1, 2]));
        file(&dir, "notes.txt", b"not a picture");
        let images = read_folder(dir.path()).unwrap();
        assert_eq!((images.len(), images.pixels), (2, vec![1, 2, 3, 4]));
        file(&dir, "c.png", &png((1, 2), ColorType::Grayscale, BitDepth::Eight, &[3, 4]));
        let message = read_folder(dir.path()).unwrap_err().to_string();
        assert!(
            message.ends_with("c.png: expected 2 × 1 × 1, as the first picture of the folder, found 1 × 2 × 1"),
            "{message}"
        );
    }

    #[test]
    fn damaged_pictures() {
        let dir = tempfile::tempdir().unwrap();
        let whole = png((5, 5), ColorType::Rgb, BitDepth::Eight, &[9; 75]);
        // The last chunk is only an end mark: 12 bytes.
        for end in 0..whole.len() - 12 {
            assert!(read(&file(&dir, "a.png", &whole[..end])).is_err(), "{end}");
        }
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x55;
            // Some bytes don't matter; none may panic.
            let _ = read(&file(&dir, "a.png", &bytes));
        }
        // A header of 2^31 - 1 squared, with its right checksum.
        let mut bytes = whole.clone();
        bytes[16..24].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff]);
        let mut crc = flate2::Crc::new();
        crc.update(&bytes[12..29]);
        bytes[29..33].copy_from_slice(&crc.sum().to_be_bytes());
        let message = read(&file(&dir, "a.png", &bytes)).unwrap_err().to_string();
        assert!(message.contains("expected a"), "{message}");
    }
}
