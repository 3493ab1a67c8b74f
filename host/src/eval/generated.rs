//! What a model generates, beside what it has to be compared with, as bits and as features.
//!
//! | pictures | what they are |
//! |---|---|
//! | modes | uniform random bits, then local mode search |
//! | samples | the same chains after a Gibbs sweep |
//! | floor | real training images: what a perfect generator would get |
//! | ceiling | independent pixels with the training images' means |
//! | test | real images to compare each of them with |
//!
//! All but the last are equally many, since every distance between sets depends on their sizes.

use bitboltz_core::{
    image::Geometry,
    rng::{Rng as _, stream},
};
use thiserror::Error;

use super::{
    features::{FeatureSet, Features, FeaturesError},
    neighbours::COVERAGE_NEIGHBOURS,
    pixels,
};
use crate::{
    bits::BitMatrix,
    dataset::{EncodeError, Encoding},
    stages::Stages,
};

/// Why the pictures cannot be compared.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GeneratedError {
    /// The network refused the pictures.
    #[error(transparent)]
    Features(#[from] FeaturesError),
    /// The rows are not pictures.
    #[error(transparent)]
    Encode(#[from] EncodeError),
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
}

/// Pictures as bits and as features.
#[derive(Debug, Clone)]
pub struct Pictures {
    /// One row a picture.
    pub bits: BitMatrix,
    /// One row a picture.
    pub features: FeatureSet,
}

/// All that is compared. See the [module](self).
#[derive(Debug, Clone)]
pub struct Generated {
    /// Local modes.
    pub modes: Pictures,
    /// A sweep later.
    pub samples: Pictures,
    /// Training images.
    pub floor: Pictures,
    /// Independent pixels.
    pub ceiling: Pictures,
    /// Test images.
    pub test: Pictures,
}

/// Whether so many pictures can be compared by so many features; to be asked before any long work.
///
/// # Errors
/// [`GeneratedError::TooFew`], [`GeneratedError::TooMany`].
pub fn check(dims: usize, samples: usize, train: usize, test: usize) -> Result<(), GeneratedError> {
    for (what, found) in [("samples", samples), ("test images", test)] {
        if found <= dims.max(COVERAGE_NEIGHBOURS) {
            return Err(GeneratedError::TooFew { what, found, dims });
        }
    }
    if samples > train { Err(GeneratedError::TooMany { samples, train }) } else { Ok(()) }
}

impl Generated {
    /// Looks at what a model generated: `modes` and `samples`, equally many rows of visible units that show pictures of
    /// this geometry, as `train` and `test` do. `seed` is that of the independent pixels,
    /// and of the choice of training images.
    ///
    /// # Errors
    /// [`GeneratedError`].
    pub fn new(
        network: &Features,
        geometry: Geometry,
        [modes, samples]: [BitMatrix; 2],
        train: &BitMatrix,
        test: &BitMatrix,
        seed: u64,
        stages: &dyn Stages,
    ) -> Result<Self, GeneratedError> {
        let count = samples.rows();
        check(network.dims(), count, train.rows(), test.rows())?;
        let progress = stages.begin("features", (4 * count + test.rows()) as u64);
        let encoding = Encoding::new(geometry.bits)?;
        let pictures = |bits: BitMatrix| -> Result<Pictures, GeneratedError> {
            let images =
                encoding.decode(&bits, geometry.width.into(), geometry.height.into(), geometry.channels.into())?;
            Ok(Pictures { features: network.run(&images, &*progress)?, bits })
        };
        Ok(Self {
            modes: pictures(modes)?,
            samples: pictures(samples)?,
            floor: pictures(draw(train, count, seed))?,
            ceiling: pictures(pixels::independent(train, count, seed))?,
            test: pictures(test.clone())?,
        })
    }

    /// Everything that is compared with the test images, with its name.
    pub fn compared(&self) -> [(&'static str, &Pictures); 4] {
        [("modes", &self.modes), ("samples", &self.samples), ("floor", &self.floor), ("ceiling", &self.ceiling)]
    }
}

/// `count` rows drawn without replacement, in random order: a data set may be sorted or repeat a pattern.
/// (In MNIST even and odd training images differ: every sixth image was 3.2 away from the test images, random ones 0.5.)
pub(crate) fn draw(rows: &BitMatrix, count: usize, seed: u64) -> BitMatrix {
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
        dataset::{self, Split},
        eval::{
            features::Embedded,
            frechet::Gaussian,
            neighbours::{Balls, Coverage},
        },
        stages::Quiet,
    };

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

    /// With the model's place taken by real images, and by noise, figures come close to floor and ceiling.
    #[test]
    fn the_floor_is_near_and_the_ceiling_far() {
        let geometry = Geometry { width: 28, height: 28, channels: 1, bits: 1 };
        let network = Features::embedded(Embedded::Mnist, geometry).unwrap();
        let bits = |split| Encoding::default().encode(&dataset::load("digits", split).unwrap()).unwrap();
        let (train, test) = (bits(Split::Train), bits(Split::Test));
        let instead = [train.subset(0..1000), pixels::independent(&train, 1000, 9)];
        let all = Generated::new(&network, geometry, instead, &train, &test, 0, &Quiet).unwrap();
        let real = Gaussian::fit(&all.test.features).unwrap();
        let balls = Balls::new(&all.test.features);
        let [modes, samples, floor, ceiling] = all.compared().map(|(_, pictures)| {
            let distance = real.distance(&Gaussian::fit(&pictures.features).unwrap()).unwrap();
            (distance, Coverage::measure(&all.test.features, &balls, &pictures.features))
        });
        assert!(modes.0 < 30.0 && floor.0 < 30.0, "{modes:?} {floor:?}");
        assert!(samples.0 > 500.0 && ceiling.0 > 500.0, "{samples:?} {ceiling:?}");
        for (near, far) in [(modes.1, samples.1), (floor.1, ceiling.1)] {
            assert!(near.recall > 0.7 && near.coverage > 0.7 && near.precision > 0.3, "{near:?}");
            assert!(far.recall < 0.05 && far.coverage < 0.1 && far.precision < 0.02, "{far:?}");
        }
    }

    #[test]
    fn impossible_counts_are_refused_first() {
        let geometry = Geometry { width: 28, height: 28, channels: 1, bits: 1 };
        let network = Features::embedded(Embedded::Mnist, geometry).unwrap();
        assert!(check(network.dims(), 65, 65, 65).is_ok());
        assert!(matches!(check(network.dims(), 64, 100, 100), Err(GeneratedError::TooFew { what: "samples", .. })));
        assert!(matches!(check(network.dims(), 65, 100, 64), Err(GeneratedError::TooFew { what: "test images", .. })));
        assert!(matches!(
            check(network.dims(), 101, 100, 100),
            Err(GeneratedError::TooMany { samples: 101, train: 100 })
        ));
    }
}
