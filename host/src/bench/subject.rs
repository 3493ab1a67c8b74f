//! The model and the images that are measured.

use std::path::PathBuf;

use bitboltz_core::{
    bits::ones,
    image::Geometry,
    rng::{Rng as _, stream},
    shape::Shape,
    weights::WeightKind,
};
use serde::Serialize;

use super::BenchError;
use crate::{
    bits::BitMatrix,
    checkpoint::{Checkpoint, TrainingState},
    dataset::{self, Encoding, Split},
    estimator::Estimator,
    parameters::Parameters,
    train::{
        Schedule, TrainConfig, Trainer,
        config::CAP,
        rows::{Fingerprint, bit_means},
    },
};

/// Where the model comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// Orthogonal weights and zero biases, as a new run of training has them, for layers of these widths, at least two.
    Layers(Vec<usize>),
}

impl Source {
    /// What it is called in answers.
    pub fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Layers(widths) => {
                format!("orthogonal start {}", widths.iter().map(usize::to_string).collect::<Vec<_>>().join("-"))
            }
        }
    }
}

/// What is measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The model.
    pub source: Source,
    /// A data set as `train` takes it; `None` for the embedded digits where the visible layer is as wide as they are, and
    /// random bits elsewhere.
    pub images: Option<String>,
    /// Chains at once, at least 1.
    pub batch: usize,
    /// What the chains run on; `None` for what the file says, floats if it says nothing.
    pub chain_weights: Option<WeightKind>,
    /// Seed of everything random.
    pub seed: u64,
}

/// Runs `$body` with `$model` set to the model that chains of a weight type run on: the parameters, or integers of them.
/// In a function that returns [`BenchError`]s.
macro_rules! with_chain_model {
    ($parameters:expr, $kind:expr, $model:ident => $body:expr) => {{
        let parameters: &$crate::parameters::Parameters = $parameters;
        match $kind {
            ::bitboltz_core::weights::WeightKind::F32 => {
                let $model = parameters.dbm().map_err($crate::quantise::QuantiseError::from)?;
                $body
            }
            ::bitboltz_core::weights::WeightKind::I16 => {
                let integers = $crate::quantise::Quantised::<i16>::new(parameters)?;
                let $model = integers.dbm().map_err($crate::quantise::QuantiseError::from)?;
                $body
            }
            ::bitboltz_core::weights::WeightKind::I4 => {
                let integers = $crate::quantise::Quantised::<::bitboltz_core::weights::I4>::new(parameters)?;
                let $model = integers.dbm().map_err($crate::quantise::QuantiseError::from)?;
                $body
            }
            ::bitboltz_core::weights::WeightKind::I8 => {
                let integers = $crate::quantise::Quantised::<i8>::new(parameters)?;
                let $model = integers.dbm().map_err($crate::quantise::QuantiseError::from)?;
                $body
            }
        }
    }};
}
pub(super) use with_chain_model;

/// The parameters of a new run with layers of these widths. Nothing of them depends on its data.
pub(super) fn fresh(subject: &Subject, widths: &[usize]) -> Result<Parameters, BenchError> {
    let shape = Shape::new(widths).map_err(crate::train::TrainError::from)?;
    let config =
        TrainConfig { hidden: widths[1..].to_vec(), seed: subject.seed, momentum: 0.0, ..TrainConfig::default() };
    Ok(Trainer::new(config, BitMatrix::zeros(1, shape.width(0)), Geometry::default())?.parameters().clone())
}

/// Runs `$body` with `$model` set to the model of a [`Subject`] in the weight type that it asks for. An image has its own,
/// and refuses another. In a function that returns [`BenchError`]s.
macro_rules! with_model_of {
    ($subject:expr, $model:ident => $body:expr) => {{
        use $crate::{
            bench::{
                BenchError,
                subject::{Source, Subject, fresh, with_chain_model},
            },
            model_file::ModelFile,
        };
        let subject: &Subject = $subject;
        let kind = subject.chain_weights.unwrap_or(::bitboltz_core::weights::WeightKind::F32);
        match &subject.source {
            Source::Layers(widths) => with_chain_model!(&fresh(subject, widths)?, kind, $model => $body),
            Source::File(path) => match ModelFile::load(path)? {
                ModelFile::Checkpoint(checkpoint) => with_chain_model!(&checkpoint.parameters, kind, $model => $body),
                image => {
                    let (found, expected) = (image.kind(), subject.chain_weights);
                    if expected.is_some_and(|expected| expected != found) {
                        return Err(BenchError::Weights { model: subject.source.name(), found: found.name() });
                    }
                    $crate::with_model!(&image, $model => $body)
                }
            },
        }
    }};
}
pub(super) use with_model_of;

/// What was measured, as answers tell it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Settings {
    /// The file, or what was made instead.
    pub model: String,
    /// Widths of the layers, visible layer first.
    pub layers: Vec<usize>,
    /// What the visible bits of data are; `None` if there are none in this bench.
    pub images: Option<String>,
    /// Chains at once.
    pub batch: usize,
    /// What the chains run on: `f32`, `i16`, `i8`.
    pub chain_weights: &'static str,
    /// The estimator, where something is trained.
    pub estimator: Option<String>,
    /// The seed.
    pub seed: u64,
}

/// Random rows, where no images fit.
const RANDOM_ROWS: usize = 1000;

/// Rows of bits for a visible layer, at least one for each chain where they are made here, and what they are called.
pub fn images(subject: &Subject, visible: usize) -> Result<(BitMatrix, String), BenchError> {
    let digits =
        || Ok::<_, BenchError>(Encoding { bits: 1, threshold: 127 }.encode(&dataset::load("digits", Split::Train)?)?);
    let Some(name) = &subject.images else {
        let digits = digits()?;
        if digits.cols() == visible {
            return Ok((digits, "digits".to_owned()));
        }
        let on: usize = (0..digits.rows()).map(|row| ones(digits.row(row)).count()).sum();
        let density = on as f64 / (digits.rows() * digits.cols()) as f64;
        let rows = random_rows(RANDOM_ROWS.max(subject.batch), visible, density, subject.seed);
        return Ok((rows, format!("random bits, {:.1} % on as in digits", 100.0 * density)));
    };
    let images = dataset::load(name, Split::Train)?;
    let values = images.image_len();
    let bits = (1..=8).find(|bits| usize::from(*bits) * values == visible).ok_or_else(|| BenchError::Width {
        model: subject.source.name(),
        visible,
        values,
        images: name.clone(),
    })?;
    Ok((Encoding { bits, threshold: 127 }.encode(&images)?, name.clone()))
}

fn random_rows(rows: usize, columns: usize, density: f64, seed: u64) -> BitMatrix {
    let threshold = (density * 4_294_967_296.0) as u32;
    let mut bits = BitMatrix::zeros(rows, columns);
    for row in 0..rows {
        let mut rng = stream(seed, row as u64);
        (0..columns).for_each(|column| bits.set(row, column, rng.next_u32() < threshold));
    }
    bits
}

/// A trainer of the subject, where it stands; and what its data is called.
///
/// A checkpoint keeps its training record's settings, apart from those that the subject and the arguments name; without
/// a record it gets `train`'s defaults, and offsets as a new run begins with.
pub fn trainer(
    subject: &Subject,
    estimator: Estimator,
    learning_rate: Option<f64>,
) -> Result<(Trainer, String), BenchError> {
    let settle = |mut config: TrainConfig| {
        (config.estimator, config.clamped_estimator) = (estimator, None);
        config.batch = subject.batch;
        config.seed = subject.seed;
        config.chain_weights = subject.chain_weights.unwrap_or(config.chain_weights);
        // A bench has no end for the rate to fall towards.
        config.schedule = Schedule::Sqrt;
        config.learning_rate = learning_rate.unwrap_or(config.learning_rate);
        config
    };
    let (checkpoint, data, name) = match &subject.source {
        Source::Layers(widths) => {
            let visible = widths.first().copied().unwrap_or(0);
            let hidden = widths.iter().skip(1).copied().collect();
            // Before the data: they may be large, and wrong widths should be called wrong at once.
            Shape::new(widths).map_err(crate::train::TrainError::from)?;
            let (data, name) = images(subject, visible)?;
            let config = settle(TrainConfig { hidden, momentum: 0.0, ..TrainConfig::default() });
            return Ok((Trainer::new(config, data, Geometry::default())?, name));
        }
        Source::File(path) => {
            let checkpoint = Checkpoint::load(path)?;
            let (data, name) = images(subject, checkpoint.parameters.shape().width(0))?;
            (checkpoint, data, name)
        }
    };
    let Checkpoint { parameters, training } = checkpoint;
    let widths: Vec<usize> = parameters.shape().widths().collect();
    let (config, step, raw, velocity, offsets, chains) = match training {
        // Kept chains belong to a batch of their own size.
        Some(TrainingState { config, step, raw, velocity, offsets, chains, .. }) => {
            let chains = chains.filter(|chains| chains.len() == subject.batch);
            (config, step, raw, velocity, offsets, chains)
        }
        None => {
            let offsets = std::iter::once(bit_means(&data)).chain(widths[1..].iter().map(|&width| vec![0.5; width]));
            (
                TrainConfig { hidden: widths[1..].to_vec(), momentum: 0.0, ..TrainConfig::default() },
                0,
                None,
                None,
                offsets.collect(),
                None,
            )
        }
    };
    let (config, fingerprint, stack) = (settle(config), Fingerprint::of(&data), Vec::new());
    let training =
        TrainingState { config, data: fingerprint, step, seconds: 0.0, raw, velocity, offsets, chains, stack };
    Ok((Trainer::resume(Checkpoint { parameters, training: Some(training) }, data)?, name))
}

/// The paper's estimator, as `train` has it unless told otherwise.
pub fn ucd_lmi() -> Estimator {
    Estimator::UCD_LMI.with_horizon(bitboltz_core::coupling::Horizon { cap: CAP, ..Default::default() })
}

impl Settings {
    /// Those of a bench that needs no images.
    pub fn of_model(subject: &Subject, shape: &Shape, kind: WeightKind) -> Self {
        Self {
            model: subject.source.name(),
            layers: shape.widths().collect(),
            images: None,
            batch: subject.batch,
            chain_weights: kind.name(),
            estimator: None,
            seed: subject.seed,
        }
    }

    /// Those of a trainer.
    pub fn of(subject: &Subject, trainer: &Trainer, images: String) -> Self {
        let config = trainer.config();
        Self {
            model: subject.source.name(),
            layers: trainer.parameters().shape().widths().collect(),
            images: Some(images),
            batch: config.batch,
            chain_weights: config.chain_weights.name(),
            estimator: Some(config.estimator.to_string()),
            seed: config.seed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(source: Source, images: Option<&str>) -> Subject {
        Subject { source, images: images.map(str::to_owned), batch: 3, chain_weights: None, seed: 1 }
    }

    #[test]
    fn images_are_as_wide_as_the_model() {
        let of = |name, visible| images(&subject(Source::Layers(vec![visible, 4]), name), visible);
        let (digits, name) = of(None, 784).unwrap();
        assert_eq!((digits.rows(), digits.cols(), name.as_str()), (4000, 784, "digits"));
        let (random, name) = of(None, 100).unwrap();
        assert!(random.cols() == 100 && name.starts_with("random bits"), "{name}");
        let on: usize = (0..random.rows()).map(|row| ones(random.row(row)).count()).sum();
        // The digits' density, by whatever their own count is.
        let density =
            (0..digits.rows()).map(|row| ones(digits.row(row)).count()).sum::<usize>() as f64 / (4000.0 * 784.0);
        let error = 5.0 * (density * (1.0 - density) / 100_000.0).sqrt();
        assert!((on as f64 / 100_000.0 - density).abs() < error, "{on} {density}");
        assert_eq!(of(Some("digits"), 784 * 8).unwrap().0.cols(), 6272);
        assert!(matches!(of(Some("digits"), 785), Err(BenchError::Width { visible: 785, values: 784, .. })));
        assert!(matches!(of(Some("nothing"), 784), Err(BenchError::Data(..))));
    }

    #[test]
    fn a_checkpoint_without_a_record_is_trained_as_a_new_run() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.safetensors");
        let parameters = crate::batch::testing::parameters(&[20, 6, 5], 1);
        Checkpoint { parameters: parameters.clone(), training: None }.save(&path).unwrap();
        let (trainer, _) = trainer(&subject(Source::File(path), None), ucd_lmi(), Some(0.25)).unwrap();
        assert_eq!((trainer.parameters().weights(), trainer.step()), (parameters.weights(), 0));
        let config = trainer.config();
        assert_eq!((config.batch, config.hidden.as_slice(), config.learning_rate), (3, &[6, 5][..], 0.25));
    }
}
