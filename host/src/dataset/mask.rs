//! Which pixels a machine doesn't see, and has to restore.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use bitboltz_core::rng::{Rng as _, stream};

use super::{DataError, png};
use crate::npy::{self, Values};

/// Turns a seed into that of the masks: image i's mask and image i's chain must not share a stream.
const MASKS: u64 = u64::from_le_bytes(*b"a mask: ");

const FORMS: &str =
    "half-left, half-right, half-top, half-bottom, box:X,Y,WIDTH,HEIGHT, random:SHARE, or a .png or .npy file";

/// Why there is no such mask.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MaskError {
    /// The text is no mask.
    #[error("mask {found:?}: expected {FORMS}")]
    Form {
        /// The text.
        found: String,
    },
    /// The share is no share.
    #[error("mask: expected a share from 0 to 1, found {found}")]
    Share {
        /// What was given.
        found: f64,
    },
    /// The box is not inside the image, or holds no pixel.
    #[error("mask {mask}: expected a box inside {width} × {height} pixels, of at least one pixel")]
    Box {
        /// The mask.
        mask: String,
        /// Pixels in a row of the image.
        width: usize,
        /// Rows of the image.
        height: usize,
    },
    /// The file is not of the image's size.
    #[error("{}: expected {width} × {height} pixels, found {found}", path.display())]
    Size {
        /// Which file.
        path: PathBuf,
        /// Pixels in a row of the image.
        width: usize,
        /// Rows of the image.
        height: usize,
        /// The size of the file.
        found: String,
    },
    /// The file could not be read.
    #[error(transparent)]
    File(#[from] DataError),
}

/// What is hidden.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Mask {
    /// The left half. Of an odd width the middle column stays visible.
    HalfLeft,
    /// The right half. Of an odd width the middle column stays visible.
    HalfRight,
    /// The upper half. Of an odd height the middle row stays visible.
    HalfTop,
    /// The lower half. Of an odd height the middle row stays visible.
    HalfBottom,
    /// A rectangle, counted from the upper left corner.
    Box {
        /// Its first column.
        x: usize,
        /// Its first row.
        y: usize,
        /// Its columns.
        w: usize,
        /// Its rows.
        h: usize,
    },
    /// Each pixel with this probability, otherwise in each image.
    Random(f64),
    /// The pixels that are not zero in a PNG (in any colour) or a `.npy` (height × width) of the image's size.
    File(PathBuf),
}

impl Mask {
    /// Whether each image has another mask. If not, one call for all images is enough.
    #[must_use]
    pub fn varies(&self) -> bool {
        matches!(self, Mask::Random(_))
    }

    /// One value a pixel, row by row: whether it is hidden in image `index`.
    ///
    /// # Errors
    ///
    /// [`MaskError`]; [`Mask::File`] reads its file with each call.
    pub fn hidden_pixels(&self, width: usize, height: usize, index: usize, seed: u64) -> Result<Vec<bool>, MaskError> {
        let by_place = |hidden: &dyn Fn(usize, usize) -> bool| {
            (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).map(|(x, y)| hidden(x, y)).collect()
        };
        Ok(match *self {
            Mask::HalfLeft => by_place(&|x, _| x < width / 2),
            Mask::HalfRight => by_place(&|x, _| x >= width.div_ceil(2)),
            Mask::HalfTop => by_place(&|_, y| y < height / 2),
            Mask::HalfBottom => by_place(&|_, y| y >= height.div_ceil(2)),
            Mask::Box { x, y, w, h } => {
                let inside = |start: usize, length: usize, end: usize| {
                    length > 0 && start.checked_add(length).is_some_and(|last| last <= end)
                };
                if !inside(x, w, width) || !inside(y, h, height) {
                    return Err(MaskError::Box { mask: self.to_string(), width, height });
                }
                by_place(&|at_x, at_y| (x..x + w).contains(&at_x) && (y..y + h).contains(&at_y))
            }
            Mask::Random(share) => {
                check_share(share)?;
                // 2^32 for a share of 1: above every draw.
                let below = (share * 4_294_967_296.0) as u64;
                let mut rng = stream(seed ^ MASKS, index as u64);
                (0..width * height).map(|_| u64::from(rng.next_u32()) < below).collect()
            }
            Mask::File(ref path) => read(path, width, height)?,
        })
    }

    /// One value a visible unit: whether it is hidden in image `index`. All channels and planes of a pixel go together.
    ///
    /// # Errors
    ///
    /// As [`Mask::hidden_pixels`].
    pub fn hidden(
        &self,
        width: usize,
        height: usize,
        channels: usize,
        bits: u8,
        index: usize,
        seed: u64,
    ) -> Result<Vec<bool>, MaskError> {
        let units = channels * usize::from(bits);
        let pixels = self.hidden_pixels(width, height, index, seed)?;
        Ok(pixels.into_iter().flat_map(|hidden| std::iter::repeat_n(hidden, units)).collect())
    }
}

fn check_share(share: f64) -> Result<(), MaskError> {
    if (0.0..=1.0).contains(&share) {
        return Ok(());
    }
    Err(MaskError::Share { found: share })
}

fn read(path: &Path, width: usize, height: usize) -> Result<Vec<bool>, MaskError> {
    let size = |found| MaskError::Size { path: path.into(), width, height, found };
    if !has_extension(path, "npy") {
        let picture = png::read(path)?;
        if (picture.width, picture.height) != (width, height) {
            return Err(size(format!("{} × {}", picture.width, picture.height)));
        }
        let pixels = picture.pixels.chunks(picture.channels);
        return Ok(pixels.map(|pixel| pixel.iter().any(|&value| value != 0)).collect());
    }
    let array = npy::read(path).map_err(DataError::from)?;
    if array.shape != [height, width] {
        return Err(size(format!("an array of shape {:?}", array.shape)));
    }
    Ok(match array.values {
        Values::U8(values) | Values::Bool(values) => values.iter().map(|&value| value != 0).collect(),
        Values::F32(values) => values.iter().map(|&value| value != 0.0).collect(),
        Values::F64(values) => values.iter().map(|&value| value != 0.0).collect(),
    })
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|found| found.eq_ignore_ascii_case(extension))
}

impl FromStr for Mask {
    type Err = MaskError;

    fn from_str(text: &str) -> Result<Self, MaskError> {
        let wrong = || MaskError::Form { found: text.into() };
        Ok(match text {
            "half-left" => Mask::HalfLeft,
            "half-right" => Mask::HalfRight,
            "half-top" => Mask::HalfTop,
            "half-bottom" => Mask::HalfBottom,
            _ => {
                if let Some(numbers) = text.strip_prefix("box:") {
                    let numbers: Result<Vec<usize>, _> =
                        numbers.split(',').map(|number| number.trim().parse()).collect();
                    let Ok(&[x, y, w, h]) = numbers.as_deref() else {
                        return Err(wrong());
                    };
                    Mask::Box { x, y, w, h }
                } else if let Some(share) = text.strip_prefix("random:") {
                    let share = share.trim().parse().map_err(|_| wrong())?;
                    check_share(share)?;
                    Mask::Random(share)
                } else if ["png", "npy"].iter().any(|e| has_extension(Path::new(text), e)) {
                    Mask::File(text.into())
                } else {
                    return Err(wrong());
                }
            }
        })
    }
}

impl fmt::Display for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mask::HalfLeft => f.write_str("half-left"),
            Mask::HalfRight => f.write_str("half-right"),
            Mask::HalfTop => f.write_str("half-top"),
            Mask::HalfBottom => f.write_str("half-bottom"),
            Mask::Box { x, y, w, h } => write!(f, "box:{x},{y},{w},{h}"),
            Mask::Random(share) => write!(f, "random:{share}"),
            Mask::File(path) => path.display().fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pixels(mask: &str, width: usize, height: usize) -> String {
        let mask: Mask = mask.parse().unwrap();
        let hidden = mask.hidden_pixels(width, height, 0, 0).unwrap();
        hidden.iter().map(|&hidden| if hidden { '#' } else { '.' }).collect()
    }

    fn fails(mask: &str, width: usize, height: usize) -> String {
        match mask.parse::<Mask>() {
            Ok(mask) => mask.hidden_pixels(width, height, 0, 0).unwrap_err().to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn halves_and_boxes() {
        assert_eq!(pixels("half-left", 4, 2), "##..##..");
        assert_eq!(pixels("half-right", 4, 2), "..##..##");
        assert_eq!(pixels("half-left", 3, 1), "#..");
        assert_eq!(pixels("half-right", 3, 1), "..#");
        assert_eq!(pixels("half-top", 2, 3), "##....");
        assert_eq!(pixels("half-bottom", 2, 3), "....##");
        assert_eq!(pixels("box:1,0,2,1", 3, 2), ".##...");
        assert_eq!(pixels("box:0,0,3,2", 3, 2), "######");
    }

    #[test]
    fn units_of_a_pixel_go_together() {
        let hidden = Mask::HalfLeft.hidden(2, 1, 3, 2, 0, 0).unwrap();
        assert_eq!(hidden, [[true; 6], [false; 6]].concat());
    }

    #[test]
    fn random_masks_differ_and_repeat() {
        let mask = Mask::Random(0.25);
        let draw = |index, seed| mask.hidden_pixels(100, 100, index, seed).unwrap();
        assert_eq!(draw(0, 1), draw(0, 1));
        assert_ne!(draw(0, 1), draw(1, 1));
        assert_ne!(draw(0, 1), draw(0, 2));
        let count = draw(7, 7).iter().filter(|&&hidden| hidden).count();
        // Four standard deviations of 10,000 draws.
        assert!(count.abs_diff(2500) < 174, "{count}");
        assert!(!Mask::Random(0.0).hidden_pixels(9, 9, 0, 0).unwrap().contains(&true));
        assert!(!Mask::Random(1.0).hidden_pixels(9, 9, 0, 0).unwrap().contains(&false));
        // Pinned: a mask is part of an experiment.
        assert_eq!(pixels("random:0.5", 8, 2), PINNED);
    }

    const PINNED: &str = "####..##....#..#";

    #[test]
    fn text_round_trips() {
        for text in ["half-top", "box:1,2,3,4", "random:0.5", "a/b.png", "c.NPY"] {
            assert_eq!(text.parse::<Mask>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn files() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.npy");
        npy::write_f32(&path, 1, 3, &[0.0, 0.5, -1.0]).unwrap();
        let text = path.to_str().unwrap();
        assert_eq!(pixels(text, 3, 1), ".##");
        assert!(fails(text, 1, 3).contains("expected 1 × 3 pixels, found an array of shape [1, 3]"));
        let path = dir.path().join("m.png");
        let mut encoder = ::png::Encoder::new(std::fs::File::create(&path).unwrap(), 2, 1);
        encoder.set_color(::png::ColorType::Rgb);
        encoder.write_header().unwrap().write_image_data(&[0, 0, 0, 0, 1, 0]).unwrap();
        let text = path.to_str().unwrap();
        assert_eq!(pixels(text, 2, 1), ".#");
        assert!(fails(text, 28, 28).contains("expected 28 × 28 pixels, found 2 × 1"));
        assert!(fails("no/such.png", 2, 1).contains("no/such.png"));
    }

    #[test]
    fn wrong_masks() {
        assert!(fails("left", 2, 2).contains("expected half-left, "));
        assert!(fails("box:1,2,3", 9, 9).contains("expected half-left, "));
        assert!(fails("box:1,-2,3,4", 9, 9).contains("expected half-left, "));
        assert!(fails("box:8,0,2,1", 9, 9).contains("inside 9 × 9"));
        assert!(fails("box:0,0,0,1", 9, 9).contains("at least one pixel"));
        assert!(fails(&format!("box:{},0,2,1", usize::MAX), 9, 9).contains("inside"));
        assert!(fails("random:1.5", 2, 2).contains("found 1.5"));
        assert!(fails("random:NaN", 2, 2).contains("found NaN"));
        assert!(fails("random:x", 2, 2).contains("random:x"));
        assert!(Mask::Random(-0.1).hidden_pixels(1, 1, 0, 0).is_err());
    }
}
