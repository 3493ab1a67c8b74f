//! `bench rbm-epoch`: one epoch of a restricted Boltzmann machine with persistent contrastive divergence.

use std::time::Duration;

use serde::Serialize;

use super::{
    BenchError,
    check::update::check,
    machine::peak_memory,
    measure::{Times, measure},
    subject::{Settings, Subject, trainer},
};
use crate::estimator::Estimator;

/// What an epoch took.
#[derive(Clone, Debug, Serialize)]
pub struct Epoch {
    /// Of one epoch.
    #[serde(flatten)]
    pub times: Times,
    /// Images of the data set.
    pub images: usize,
    /// Updates of an epoch.
    pub updates: usize,
    /// Images learnt from in a second.
    pub images_per_second: f64,
    /// Most memory of the process until here, checks not included.
    pub peak_memory_bytes: Option<u64>,
    /// What was measured.
    pub settings: Settings,
    /// What was compared with what afterwards.
    pub checked: &'static str,
}

/// Measures epochs for about so long, one after the other: the machine learns on.
///
/// # Errors
/// See [`BenchError`]; [`BenchError::Layers`] if there is more than one hidden layer.
pub fn epoch(subject: &Subject, budget: Duration) -> Result<Epoch, BenchError> {
    let (mut trainer, name) = trainer(subject, Estimator::Pcd { k: 1 }, None)?;
    let found = trainer.parameters().shape().layers();
    if found != 2 {
        return Err(BenchError::Layers { model: subject.source.name(), found });
    }
    let settings = Settings::of(subject, &trainer, name);
    let images = trainer.data().rows();
    let updates = images.div_ceil(subject.batch);
    let times = measure(budget, 1, |_| {
        for _ in 0..updates {
            trainer.update()?;
        }
        Ok::<_, BenchError>(())
    })?;
    let peak_memory_bytes = peak_memory();
    check(trainer.checkpoint(), trainer.data())?;
    Ok(Epoch {
        images,
        updates,
        images_per_second: images as f64 / times.seconds,
        times,
        peak_memory_bytes,
        settings,
        checked: "sweeps with the core's, half-sweep by half-sweep; two more updates' chains, weights and biases with plain \
                  sums over states",
    })
}
