//! How fast this program is on this machine, beside what the machine can do; every answer is checked.
//!
//! | file | holds |
//! |---|---|
//! | [`subject`] | the model and the images that are measured |
//! | [`measure`] | repeats, medians and quantiles |
//! | [`machine`] | what the figures belong to: processor, instruction set, threads, memory |
//! | [`ceiling`] | the machine's own peaks: float product, row adds, population counts |
//! | [`update`] | one update of training, and its parts |
//! | [`growth`] | update time against width |
//! | [`sample`] | modes and samples from random starts |
//! | [`gibbs`] | block-Gibbs sweeps |
//! | [`epoch`] | one epoch of a restricted Boltzmann machine |
//! | [`kernels`] | the engine's inner loops on each instruction set |
//! | [`check`] | the same work, step by step or number by number, through the core |
//!
//! The work that is measured is that of the commands themselves: [`Trainer`](crate::train::Trainer),
//! [`local_modes`](crate::sampling::local_modes) and [`Chains`](crate::batch::Chains). Checks run after the measurement.

pub mod ceiling;
pub mod check;
pub mod epoch;
pub mod gibbs;
pub mod growth;
pub mod kernels;
pub mod machine;
pub mod measure;
pub mod sample;
pub mod subject;
pub mod update;

use thiserror::Error;

use crate::{
    checkpoint::CheckpointError,
    dataset::{DataError, EncodeError},
    model_file::ModelFileError,
    quantise::QuantiseError,
    train::TrainError,
};

/// Why there is no measurement.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BenchError {
    /// No model could be read.
    #[error(transparent)]
    Model(#[from] ModelFileError),
    /// No checkpoint could be read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// No images could be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The images could not be made bits.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The images are not as wide as the model.
    #[error(
        "{model}: {visible} visible units, expected 1 to 8 for each of the {values} values of an image of {images}"
    )]
    Width {
        /// What the model is called.
        model: String,
        /// Its visible units.
        visible: usize,
        /// Pixels × channels.
        values: usize,
        /// What the images are called.
        images: String,
    },
    /// A model with more than one hidden layer, where only one is measured.
    #[error("{model}: expected 2 layers, a visible and a hidden one; found {found}")]
    Layers {
        /// What the model is called.
        model: String,
        /// Layers that there are.
        found: usize,
    },
    /// An image, whose weights are what they are.
    #[error("{model}: its weights are {found}, and are not converted")]
    Weights {
        /// What the model is called.
        model: String,
        /// Its weight type.
        found: &'static str,
    },
    /// The training itself failed.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// The weights have no integer form.
    #[error(transparent)]
    Quantise(#[from] QuantiseError),
    /// A search found no mode.
    #[error(transparent)]
    Search(#[from] bitboltz_core::search::SearchCapHit),
    /// The answer was wrong: there is no point in its speed.
    #[error("check failed: {0}")]
    Wrong(String),
}

/// [`BenchError::Wrong`] if `right` is false.
fn ensure(right: bool, what: impl FnOnce() -> String) -> Result<(), BenchError> {
    if right { Ok(()) } else { Err(BenchError::Wrong(what())) }
}
