//! A generator's figures, all in one: the same for every model that is compared on a data set.
//!
//! What generated pictures are compared with (test images), the floor (training images) and the ceiling (independent
//! pixels) are those of [`generated`](super::generated); here they are looked at once, for many models.

use std::path::Path;

use bitboltz_core::image::Geometry;
use serde::Serialize;
use thiserror::Error;

use super::{
    blocks::BlockMeans,
    features::{Embedded, FeatureSet, Features, FeaturesError},
    frechet::{FrechetError, Gaussian},
    generated::{GeneratedError, check, draw},
    neighbours::{Balls, Coverage},
    pixels,
};
use crate::{
    bits::BitMatrix,
    dataset::{EncodeError, Encoding, Images, labels::narrowed},
};

/// Who looks at pictures.
#[derive(Debug)]
pub enum Extractor {
    /// A network.
    Network(Box<Features>),
    /// The means of blocks of pixels.
    Blocks(BlockMeans),
}

impl Extractor {
    /// The network called `source`: one of the program's own (`mnist`, `fashion`) or an ONNX file.
    ///
    /// # Errors
    /// [`FeaturesError`], if there is none or it does not take such pictures.
    pub fn open(source: &str, geometry: Geometry) -> Result<Self, FeaturesError> {
        let network = match Embedded::of_name(source) {
            Some(embedded) => Features::embedded(embedded, geometry),
            None => Features::open(Path::new(source), geometry),
        };
        Ok(Self::Network(Box::new(network?)))
    }

    /// The program's own network for a known data set; block means for others.
    ///
    /// # Errors
    /// [`FeaturesError::Form`], if the data set is known and its pictures are not of this geometry.
    pub fn of_data(data: &str, geometry: Geometry) -> Result<Self, FeaturesError> {
        match Embedded::of_data(data) {
            Some(embedded) => Ok(Self::Network(Box::new(Features::embedded(embedded, geometry)?))),
            None => Ok(Self::Blocks(BlockMeans::new(geometry))),
        }
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Network(network) => network.name().to_owned(),
            Self::Blocks(blocks) => {
                let (across, down) = blocks.sides();
                format!("means of {across} × {down} blocks of pixels")
            }
        }
    }

    /// The number of features.
    #[must_use]
    pub fn dims(&self) -> usize {
        match self {
            Self::Network(network) => network.dims(),
            Self::Blocks(blocks) => blocks.dims(),
        }
    }

    fn run(&self, images: &Images) -> Result<FeatureSet, FeaturesError> {
        match self {
            Self::Network(network) => network.run(images, &|_| {}),
            Self::Blocks(blocks) => Ok(blocks.run(images)),
        }
    }
}

/// Why pictures cannot be judged.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum JudgeError {
    /// Too few of them, or too few training images.
    #[error(transparent)]
    Counts(#[from] GeneratedError),
    /// The network refused them.
    #[error(transparent)]
    Features(#[from] FeaturesError),
    /// The features have no distance.
    #[error(transparent)]
    Frechet(#[from] FrechetError),
    /// The rows are not pictures.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// Figures of some pictures.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Quality {
    /// Squared Fréchet distance to the test images.
    pub frechet: f64,
    /// Precision, recall and coverage.
    #[serde(flatten)]
    pub coverage: Coverage,
    /// Pictures that are different from each other.
    pub distinct: usize,
    /// The share of each class that the network sees, if it sees classes.
    pub classes: Option<Vec<f64>>,
}

/// The test images of a data set as someone sees them, with floor and ceiling.
#[derive(Debug)]
pub struct Judge {
    extractor: Extractor,
    geometry: Geometry,
    count: usize,
    test: FeatureSet,
    gaussian: Gaussian,
    balls: Balls,
    /// Of training images.
    pub floor: Quality,
    /// Of independent pixels with the training images' means.
    pub ceiling: Quality,
}

impl Judge {
    /// Looks at the test images, at `count` training images, and at as many pictures of independent pixels. Rows may have
    /// label units behind their pictures; nobody looks at these.
    ///
    /// # Errors
    /// [`JudgeError`].
    pub fn new(
        extractor: Extractor,
        geometry: Geometry,
        train: &BitMatrix,
        test: &BitMatrix,
        count: usize,
        seed: u64,
    ) -> Result<Self, JudgeError> {
        check(extractor.dims(), count, train.rows(), test.rows())?;
        let test = features(&extractor, geometry, test)?;
        let (gaussian, balls) = (Gaussian::fit(&test)?, Balls::new(&test));
        let none = Quality {
            frechet: 0.0,
            coverage: Coverage { precision: 0.0, recall: 0.0, coverage: 0.0 },
            distinct: 0,
            classes: None,
        };
        let mut judge = Self { extractor, geometry, count, test, gaussian, balls, floor: none.clone(), ceiling: none };
        judge.floor = judge.quality(&draw(train, count, seed))?;
        judge.ceiling = judge.quality(&pixels::independent(train, count, seed))?;
        Ok(judge)
    }

    /// Who looks.
    #[must_use]
    pub fn extractor(&self) -> &Extractor {
        &self.extractor
    }

    /// How many pictures are compared with the test images: figures of other numbers do not compare with floor and ceiling.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// The figures of pictures, more than there are features.
    ///
    /// # Errors
    /// [`JudgeError`].
    pub fn quality(&self, pictures: &BitMatrix) -> Result<Quality, JudgeError> {
        let set = features(&self.extractor, self.geometry, pictures)?;
        let classes = [&self.test, &set].into_iter().filter_map(|set| set.classes()?.iter().max()).max();
        Ok(Quality {
            frechet: self.gaussian.distance(&Gaussian::fit(&set)?)?,
            coverage: Coverage::measure(&self.test, &self.balls, &set),
            distinct: narrowed(pictures, self.geometry.units()).distinct_rows(),
            classes: set.class_shares(classes.map_or(0, |class| class + 1)),
        })
    }
}

fn features(extractor: &Extractor, geometry: Geometry, rows: &BitMatrix) -> Result<FeatureSet, JudgeError> {
    let pictures = narrowed(rows, geometry.units());
    let (width, height, channels) = (geometry.width.into(), geometry.height.into(), geometry.channels.into());
    let images = Encoding::new(geometry.bits)?.decode(&pictures, width, height, channels)?;
    Ok(extractor.run(&images)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        dataset::{self, Split, labels::widened},
        eval::generated::Generated,
        stages::Quiet,
    };

    const GEOMETRY: Geometry = Geometry { width: 28, height: 28, channels: 1, bits: 1 };

    fn bits(split: Split, rows: usize) -> BitMatrix {
        Encoding::default().encode(&dataset::load("digits", split).unwrap()).unwrap().subset(0..rows)
    }

    /// `bitboltz eval` compares in another way round, and must find the same.
    #[test]
    fn figures_are_those_of_eval() {
        let (train, test) = (bits(Split::Train, 500), bits(Split::Test, 300));
        let network = Features::embedded(Embedded::Mnist, GEOMETRY).unwrap();
        let noise = pixels::independent(&train, 200, 5);
        let modes = train.subset(0..200);
        let all = Generated::new(&network, GEOMETRY, [modes.clone(), noise.clone()], &train, &test, 3, &Quiet).unwrap();
        let judge =
            Judge::new(Extractor::of_data("digits", GEOMETRY).unwrap(), GEOMETRY, &train, &test, 200, 3).unwrap();
        let real = Gaussian::fit(&all.test.features).unwrap();
        let balls = Balls::new(&all.test.features);
        let found = [judge.quality(&modes).unwrap(), judge.quality(&noise).unwrap()];
        for ((_, pictures), found) in all.compared().iter().zip(found.iter().chain([&judge.floor, &judge.ceiling])) {
            let frechet = real.distance(&Gaussian::fit(&pictures.features).unwrap()).unwrap();
            let coverage = Coverage::measure(&all.test.features, &balls, &pictures.features);
            assert_eq!((frechet, coverage), (found.frechet, found.coverage));
            assert!((found.classes.as_ref().unwrap().iter().sum::<f64>() - 1.0).abs() < 1e-9);
        }
        assert_eq!((found[0].distinct, found[1].distinct), (modes.distinct_rows(), 200));
        // Labels behind the picture change nothing.
        assert_eq!(judge.quality(&widened(&modes, 10, true).unwrap()).unwrap(), found[0]);
    }

    #[test]
    fn without_a_network_blocks_of_pixels_are_looked_at() {
        let (train, test) = (bits(Split::Train, 500), bits(Split::Test, 300));
        let extractor = Extractor::of_data("mine.npy", GEOMETRY).unwrap();
        assert_eq!((extractor.dims(), extractor.name().as_str()), (64, "means of 8 × 8 blocks of pixels"));
        let judge = Judge::new(extractor, GEOMETRY, &train, &test, 200, 3).unwrap();
        assert!(judge.floor.frechet < judge.ceiling.frechet && judge.floor.classes.is_none());
    }

    #[test]
    fn what_cannot_be_judged_is_refused() {
        let (train, test) = (bits(Split::Train, 100), bits(Split::Test, 100));
        let extractor = || Extractor::of_data("digits", GEOMETRY).unwrap();
        let few = Judge::new(extractor(), GEOMETRY, &train, &test, 64, 0).unwrap_err();
        assert!(few.to_string().contains("64 features"), "{few}");
        Judge::new(extractor(), GEOMETRY, &train, &test, 101, 0).unwrap_err();
        let small = Geometry { width: 4, ..GEOMETRY };
        assert!(Extractor::of_data("mnist", small).is_err() && Extractor::open("none.onnx", small).is_err());
    }
}
