//! The images that an experiment is about, as rows of visible units.

use bitboltz_core::image::Geometry;

use super::{PaperError, Settings};
use crate::{
    bits::BitMatrix,
    dataset::{
        self, Encoding, Images, Split,
        labels::{label_units, with_labels},
    },
    eval::judge::{Extractor, Judge},
    stages::Quiet,
};

/// A data set.
#[derive(Clone, Debug)]
pub struct Subject {
    /// What it was called.
    pub data: String,
    /// How a row makes up a picture.
    pub geometry: Geometry,
    /// Training images.
    pub train: BitMatrix,
    /// Test images.
    pub test: BitMatrix,
}

impl Subject {
    /// Loads both splits with so many bits a pixel.
    ///
    /// # Errors
    /// A data set that is not here, has no splits, or does not fit in memory.
    pub fn load(data: &str, bits: u8) -> Result<Self, PaperError> {
        let [train, test] = [Split::Train, Split::Test].map(|split| dataset::load(data, split));
        let (train, test) = (train?, test?);
        let geometry = geometry(data, &train, bits)?;
        let rows = |images: &Images| Encoding::new(bits)?.encode(images);
        Self { data: data.to_owned(), geometry, train: rows(&train)?, test: rows(&test)? }.checked()
    }

    /// The images that a model of such a visible layer is about, with their labels if it has label units.
    ///
    /// # Errors
    /// As [`load`](Self::load); images of another size.
    pub fn of_model(data: &str, expected: Geometry, threshold: u8, visible: usize) -> Result<Self, PaperError> {
        let [train, test] = [Split::Train, Split::Test].map(|split| dataset::load(data, split));
        let (train, test) = (train?, test?);
        let found = geometry(data, &train, expected.bits)?;
        if found != expected {
            let size = |g: Geometry| format!("{} × {} × {}", g.width, g.height, g.channels);
            return Err(PaperError::Request {
                what: data.to_owned(),
                expected: format!("images of {}, as the model shows", size(expected)),
                found: size(found),
            });
        }
        let labels = label_units(visible, expected).len();
        let rows = |images: &Images| -> Result<BitMatrix, PaperError> {
            let pictures = Encoding { bits: expected.bits, threshold }.encode(images)?;
            Ok(if labels > 0 { with_labels(&pictures, images, labels)? } else { pictures })
        };
        Self { data: data.to_owned(), geometry: expected, train: rows(&train)?, test: rows(&test)? }.checked()
    }

    fn checked(self) -> Result<Self, PaperError> {
        if self.train == self.test {
            return Err(PaperError::Request {
                what: self.data,
                expected: "test images that are not the training images".to_owned(),
                found: "the same".to_owned(),
            });
        }
        Ok(self)
    }

    /// Who looks at pictures of this data set: the network that was asked for or its own, else blocks of pixels.
    ///
    /// # Errors
    /// A network that is not there or does not take the pictures.
    pub fn extractor(&self, settings: &Settings<'_>) -> Result<Extractor, PaperError> {
        Ok(match &settings.features {
            Some(source) => Extractor::open(source, self.geometry)?,
            None => Extractor::of_data(&self.data, self.geometry)?,
        })
    }

    /// A judge of so many pictures, or of as many as there are training images.
    ///
    /// # Errors
    /// Too few pictures; a network that fails.
    pub fn judge(&self, by: Extractor, settings: &Settings<'_>, count: usize) -> Result<Judge, PaperError> {
        let count = count.min(self.train.rows());
        Ok(Judge::new(by, self.geometry, &self.train, &self.test, count, settings.seed, &Quiet)?)
    }
}

fn geometry(data: &str, images: &Images, bits: u8) -> Result<Geometry, PaperError> {
    let too_large = || PaperError::Request {
        what: data.to_owned(),
        expected: format!("images of at most {0} × {0} pixels", u16::MAX),
        found: format!("{} × {}", images.width, images.height),
    };
    Ok(Geometry {
        width: u16::try_from(images.width).map_err(|_| too_large())?,
        height: u16::try_from(images.height).map_err(|_| too_large())?,
        channels: u8::try_from(images.channels).map_err(|_| too_large())?,
        bits,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::npy;

    #[test]
    fn data_sets_have_two_splits() {
        let digits = Subject::load("digits", 1).unwrap();
        assert_eq!((digits.train.rows(), digits.test.rows(), digits.test.cols()), (4000, 1000, 784));
        let planes = Subject::load("digits", 8).unwrap();
        assert_eq!((planes.test.cols(), planes.geometry.bits), (6272, 8));
        let labelled = Subject::of_model("digits", digits.geometry, 127, 794).unwrap();
        assert_eq!(labelled.test.cols(), 794);
        let settings = Settings::new(&Quiet);
        let judge = digits.judge(digits.extractor(&settings).unwrap(), &settings, 10_000).unwrap();
        assert_eq!((judge.count(), judge.extractor().dims()), (4000, 64));
    }

    #[test]
    fn what_cannot_be_compared_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("same.npy");
        npy::write_u8(&path, 3, 4, &[0, 1, 1, 1, 0, 0, 1, 0, 1, 1, 0, 0]).unwrap();
        let same = Subject::load(path.to_str().unwrap(), 1).unwrap_err().to_string();
        assert!(same.contains("same.npy") && same.contains("training images"), "{same}");
        let small = Geometry { width: 4, height: 4, channels: 1, bits: 1 };
        let size = Subject::of_model("digits", small, 127, 16).unwrap_err().to_string();
        assert!(size.contains("4 × 4 × 1") && size.contains("28 × 28 × 1"), "{size}");
        let settings = Settings { features: Some("none.onnx".to_owned()), ..Settings::new(&Quiet) };
        let error = Subject::load("digits", 1).unwrap().extractor(&settings).unwrap_err().to_string();
        assert!(error.contains("none.onnx"), "{error}");
    }
}
