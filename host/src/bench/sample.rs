//! `bench sample`: chains from random starts to their modes, and a sample of each.

use std::time::Duration;

use bitboltz_core::model::DenseDbm;
use serde::Serialize;

use super::{
    BenchError,
    check::walk::{CHAINS, walk},
    ensure,
    machine::peak_memory,
    measure::{Times, measure},
    subject::{Settings, Subject, with_model_of},
};
use crate::{
    batch::{ChainWeights, TileWeight},
    sampling::local_modes_on,
};

/// What a batch of samples took.
#[derive(Clone, Debug, Serialize)]
pub struct Sample {
    /// Of a batch.
    #[serde(flatten)]
    pub times: Times,
    /// Samples a second, from start to end.
    pub images_per_second: f64,
    /// Mean sweeps of the searches.
    pub search_sweeps: f64,
    /// Most memory of the process until here, checks not included.
    pub peak_memory_bytes: Option<u64>,
    /// What was measured.
    pub settings: Settings,
    /// What was compared with what afterwards.
    pub checked: &'static str,
}

/// Measures batches for about so long.
///
/// # Errors
/// See [`BenchError`].
pub fn sample(subject: &Subject, budget: Duration) -> Result<Sample, BenchError> {
    with_model_of!(subject, model => run(&model, subject, budget))
}

fn run<W: TileWeight>(model: &DenseDbm<'_, W>, subject: &Subject, budget: Duration) -> Result<Sample, BenchError> {
    let weights = ChainWeights::new(model);
    let mut sweeps = 0.0;
    let times = measure(budget, 3, |repeat| {
        let samples = local_modes_on(&weights, 0..subject.batch, 1, subject.seed.wrapping_add(repeat as u64))?;
        let total: u64 = samples.searches.iter().map(|search| u64::from(search.sweeps)).sum();
        sweeps = total as f64 / subject.batch as f64;
        Ok::<_, BenchError>(())
    })?;
    let peak_memory_bytes = peak_memory();
    for gibbs in [0, 1] {
        let samples = local_modes_on(&weights, 0..subject.batch, gibbs, subject.seed)?;
        let states = walk(model, &weights, None, gibbs as usize, subject.seed)?;
        for (chain, state) in states.iter().take(CHAINS.min(subject.batch)).enumerate() {
            let visible = &state[model.shape().word_range(0)];
            ensure(samples.visible.row(chain) == visible, || format!("image {chain} is another with {gibbs} sweeps"))?;
        }
    }
    Ok(Sample {
        images_per_second: subject.batch as f64 / times.seconds,
        times,
        search_sweeps: sweeps,
        peak_memory_bytes,
        settings: Settings::of_model(subject, model.shape(), W::KIND),
        checked: "modes and samples with the core's, half-sweep by half-sweep; modes are fixed points; energies",
    })
}
