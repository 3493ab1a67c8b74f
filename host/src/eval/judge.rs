//! A generator's figures, beside what they have to be read beside.
//!
//! | pictures | what they are |
//! |---|---|
//! | test | real images that all others are compared with |
//! | floor | real training images: what a perfect generator would get |
//! | ceiling | independent pixels with the training images' means |
//!
//! These are looked at once, for any number of models. Floor, ceiling and what a model generates (local modes, samples a
//! sweep later) are equally many, since every distance between sets depends on their sizes.

use std::path::Path;

use bitboltz_core::{
    image::Geometry,
    rng::{Rng as _, stream},
};
use serde::Serialize;
use thiserror::Error;

use super::{
    blocks::BlockMeans,
    features::{Embedded, FeatureSet, Features, FeaturesError},
    frechet::{FrechetError, Gaussian},
    neighbours::{Balls, COVERAGE_NEIGHBOURS, Coverage},
    pixels,
};
use crate::{
    bits::BitMatrix,
    dataset::{EncodeError, Encoding, Images, labels::narrowed},
    stages::Stages,
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

    fn run(&self, images: &Images, stages: &dyn Stages) -> Result<FeatureSet, FeaturesError> {
        match self {
            Self::Network(network) => network.run(images, &*stages.begin("features", images.len() as u64)),
            Self::Blocks(blocks) => Ok(blocks.run(images)),
        }
    }
}

/// Why pictures cannot be judged.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum JudgeError {
    /// Fewer vectors than dimensions have no covariance to speak of.
    #[error(
        "{what}: more than {} are needed for the covariance of {dims} features and for neighbours, found {found}",
        dims.max(&COVERAGE_NEIGHBOURS)
    )]
    TooFew {
        /// Which pictures.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// Features of a picture.
        dims: usize,
    },
    /// There are not as many real images.
    #[error("{samples} samples: as many training images are needed to compare with, found {train}")]
    TooMany {
        /// Samples asked for.
        samples: usize,
        /// Training images.
        train: usize,
    },
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
    /// The share of each class that the network knows, if it knows classes.
    pub classes: Option<Vec<f64>>,
}

/// The test images of a data set as someone sees them.
#[derive(Debug)]
struct Eye {
    extractor: Extractor,
    geometry: Geometry,
    test: FeatureSet,
    gaussian: Gaussian,
    balls: Balls,
}

/// Someone who has seen the test images of a data set, with floor and ceiling.
#[derive(Debug)]
pub struct Judge {
    eye: Eye,
    count: usize,
    /// The share in the test images of each class that the network knows, if it knows classes.
    pub test_classes: Option<Vec<f64>>,
    /// Of training images.
    pub floor: Quality,
    /// Of independent pixels with the training images' means.
    pub ceiling: Quality,
}

/// Whether so many pictures can be compared by so many features; to be asked before any long work.
///
/// # Errors
/// [`JudgeError::TooFew`], [`JudgeError::TooMany`].
pub fn check(dims: usize, samples: usize, train: usize, test: usize) -> Result<(), JudgeError> {
    for (what, found) in [("samples", samples), ("test images", test)] {
        if found <= dims.max(COVERAGE_NEIGHBOURS) {
            return Err(JudgeError::TooFew { what, found, dims });
        }
    }
    if samples > train { Err(JudgeError::TooMany { samples, train }) } else { Ok(()) }
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
        stages: &dyn Stages,
    ) -> Result<Self, JudgeError> {
        check(extractor.dims(), count, train.rows(), test.rows())?;
        let test = features(&extractor, geometry, test, stages)?;
        let (gaussian, balls) = (Gaussian::fit(&test)?, Balls::new(&test));
        let test_classes = test.class_shares();
        let eye = Eye { extractor, geometry, test, gaussian, balls };
        let floor = eye.quality(&draw(train, count, seed), stages)?;
        let ceiling = eye.quality(&pixels::independent(train, count, seed), stages)?;
        Ok(Self { eye, count, test_classes, floor, ceiling })
    }

    /// Who looks.
    #[must_use]
    pub fn extractor(&self) -> &Extractor {
        &self.eye.extractor
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
    pub fn quality(&self, pictures: &BitMatrix, stages: &dyn Stages) -> Result<Quality, JudgeError> {
        self.eye.quality(pictures, stages)
    }
}

impl Eye {
    fn quality(&self, pictures: &BitMatrix, stages: &dyn Stages) -> Result<Quality, JudgeError> {
        let set = features(&self.extractor, self.geometry, pictures, stages)?;
        Ok(Quality {
            frechet: self.gaussian.distance(&Gaussian::fit(&set)?)?,
            coverage: Coverage::measure(&self.test, &self.balls, &set),
            distinct: narrowed(pictures, self.geometry.units()).distinct_rows(),
            classes: set.class_shares(),
        })
    }
}

fn features(
    extractor: &Extractor,
    geometry: Geometry,
    rows: &BitMatrix,
    stages: &dyn Stages,
) -> Result<FeatureSet, JudgeError> {
    let pictures = narrowed(rows, geometry.units());
    let (width, height, channels) = (geometry.width.into(), geometry.height.into(), geometry.channels.into());
    let images = Encoding::new(geometry.bits)?.decode(&pictures, width, height, channels)?;
    Ok(extractor.run(&images, stages)?)
}

/// `count` rows drawn without replacement, in random order: a data set may be sorted or repeat a pattern.
/// (In MNIST even and odd training images differ: every sixth image was 3.2 away from the test images, random ones 0.5.)
fn draw(rows: &BitMatrix, count: usize, seed: u64) -> BitMatrix {
    let mut rng = stream(seed, 0);
    let mut left: Vec<usize> = (0..rows.rows()).collect();
    let words = (0..count).flat_map(|_| {
        // A word times their number, shifted down, is a uniform index.
        let index = (u64::from(rng.next_u32()) * left.len() as u64) >> 32;
        rows.row(left.swap_remove(index as usize))
    });
    BitMatrix::from_words(count, rows.cols(), words.copied().collect()).expect("rows of the same length")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        dataset::{self, Split, labels::widened},
        stages::Quiet,
    };

    const GEOMETRY: Geometry = Geometry { width: 28, height: 28, channels: 1, bits: 1 };

    fn bits(split: Split, rows: usize) -> BitMatrix {
        Encoding::default().encode(&dataset::load("digits", split).unwrap()).unwrap().subset(0..rows)
    }

    #[test]
    fn rows_are_drawn_once_each() {
        let values: Vec<u8> = (0..64 * 6).map(|at| ((at / 6) >> (at % 6) & 1) as u8).collect();
        let rows = BitMatrix::from_u8(64, 6, &values).unwrap();
        let all = draw(&rows, 64, 1);
        assert_eq!(all.distinct_rows(), 64);
        assert_ne!(all, rows);
        assert_eq!(draw(&rows, 10, 1), all.subset(0..10));
        assert_ne!(draw(&rows, 10, 2), all.subset(0..10));
    }

    /// Real images are near the floor, noise is near the ceiling.
    #[test]
    fn the_floor_is_near_and_the_ceiling_far() {
        let (train, test) = (bits(Split::Train, 4000), bits(Split::Test, 1000));
        let extractor = Extractor::of_data("digits", GEOMETRY).unwrap();
        let judge = Judge::new(extractor, GEOMETRY, &train, &test, 1000, 0, &Quiet).unwrap();
        let modes = train.subset(0..1000);
        let near = [&judge.quality(&modes, &Quiet).unwrap(), &judge.floor];
        let noise = judge.quality(&pixels::independent(&train, 1000, 9), &Quiet).unwrap();
        for near in near {
            assert!(near.frechet < 30.0, "{near:?}");
            let Coverage { precision, recall, coverage } = near.coverage;
            assert!(recall > 0.7 && coverage > 0.7 && precision > 0.3, "{near:?}");
        }
        for far in [&noise, &judge.ceiling] {
            assert!(far.frechet > 500.0, "{far:?}");
            let Coverage { precision, recall, coverage } = far.coverage;
            assert!(recall < 0.05 && coverage < 0.1 && precision < 0.02, "{far:?}");
        }
        for classes in [&near[0].classes, &noise.classes, &judge.test_classes] {
            let classes = classes.as_ref().unwrap();
            assert!(classes.len() == 10 && (classes.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        }
        assert_eq!((near[0].distinct, noise.distinct), (modes.distinct_rows(), 1000));
        // Labels behind the picture change nothing.
        assert_eq!(&judge.quality(&widened(&modes, 10, true).unwrap(), &Quiet).unwrap(), near[0]);
    }

    #[test]
    fn without_a_network_blocks_of_pixels_are_looked_at() {
        let (train, test) = (bits(Split::Train, 500), bits(Split::Test, 300));
        let extractor = Extractor::of_data("mine.npy", GEOMETRY).unwrap();
        assert_eq!((extractor.dims(), extractor.name().as_str()), (64, "means of 8 × 8 blocks of pixels"));
        let judge = Judge::new(extractor, GEOMETRY, &train, &test, 200, 3, &Quiet).unwrap();
        assert!(judge.floor.frechet < judge.ceiling.frechet && judge.floor.classes.is_none());
    }

    #[test]
    fn what_cannot_be_judged_is_refused() {
        let (train, test) = (bits(Split::Train, 100), bits(Split::Test, 100));
        let extractor = || Extractor::of_data("digits", GEOMETRY).unwrap();
        let few = Judge::new(extractor(), GEOMETRY, &train, &test, 64, 0, &Quiet).unwrap_err();
        assert!(few.to_string().contains("64 features"), "{few}");
        Judge::new(extractor(), GEOMETRY, &train, &test, 101, 0, &Quiet).unwrap_err();
        assert!(check(64, 65, 65, 65).is_ok());
        assert!(matches!(check(64, 100, 100, 64), Err(JudgeError::TooFew { what: "test images", .. })));
        let small = Geometry { width: 4, ..GEOMETRY };
        assert!(Extractor::of_data("mnist", small).is_err() && Extractor::open("none.onnx", small).is_err());
    }
}
