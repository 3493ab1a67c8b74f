//! `bench gibbs`: block-Gibbs sweeps of many chains, each block given the newest state of the other.

use std::time::Duration;

use bitboltz_core::{
    conditional::Block,
    gibbs::Gibbs as Step,
    model::DenseDbm,
    rng::stream,
    search::LocalModeSearch,
    start::{LocalModeStart, Start as _},
    state::Clamp,
    transition::Transition as _,
    weights::WeightKind,
};
use rayon::prelude::*;
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
    batch::{ChainWeights, Chains, Clamping, TileWeight, block_size},
    chain::ChainBuffer,
};

/// What a sweep of the batch took.
#[derive(Clone, Debug, Serialize)]
pub struct Gibbs {
    /// Of one sweep of every chain: both blocks drawn once.
    #[serde(flatten)]
    pub times: Times,
    /// Sweeps of single chains.
    pub chain_sweeps_per_second: f64,
    /// Units that a sweep of one chain flipped, on average.
    pub flips_per_chain_sweep: f64,
    /// Most memory of the process until here, checks not included.
    pub peak_memory_bytes: Option<u64>,
    /// What was measured.
    pub settings: Settings,
    /// What was compared with what afterwards.
    pub checked: &'static str,
}

/// Measures sweeps for about so long. The chains begin at local modes.
///
/// # Errors
/// See [`BenchError`].
pub fn gibbs(subject: &Subject, budget: Duration) -> Result<Gibbs, BenchError> {
    with_model_of!(subject, model => run(&model, subject, budget))
}

/// Sweeps that are walked beside the core.
const WALKED: usize = 10;

fn run<W: TileWeight>(model: &DenseDbm<'_, W>, subject: &Subject, budget: Duration) -> Result<Gibbs, BenchError> {
    let weights = ChainWeights::new(model);
    let size = block_size(subject.batch);
    let mut blocks = (0..subject.batch)
        .step_by(size)
        .map(|first| Sweeping::new(&weights, first, size.min(subject.batch - first), subject.seed))
        .collect::<Result<Vec<_>, _>>()?;
    let mut sweeps = 0;
    let times = measure(budget, 10, |_| {
        blocks.par_iter_mut().with_max_len(1).for_each(|block| block.sweep(&weights));
        sweeps += 1;
        Ok::<_, BenchError>(())
    })?;
    let peak_memory_bytes = peak_memory();
    let flips: u64 = blocks.iter().map(|block| block.flips()).sum();
    // The same chains in another batch, as far: every chain is its own.
    walk(model, &weights, None, WALKED, subject.seed)?;
    let count = CHAINS.min(subject.batch);
    let mut again = Sweeping::new(&weights, 0, count, subject.seed)?;
    (0..sweeps).for_each(|_| again.sweep(&weights));
    for chain in 0..count {
        let timed = blocks[chain / size].chains.words(chain % size);
        ensure(timed == again.chains.words(chain), || format!("chain {chain} ends elsewhere in another batch"))?;
    }
    // Where sums are exact, the core alone must come as far.
    if W::KIND != WeightKind::F32 {
        let mut buffer = ChainBuffer::new(model.shape());
        let (mut state, mut rng) = (buffer.state(model.shape()), stream(subject.seed, 0));
        LocalModeStart { sweeps: 0, ..LocalModeStart::default() }.start(model, &mut state, &Clamp::none(), &mut rng)?;
        (0..sweeps).for_each(|_| Step::default().step(model, &mut state, &Clamp::none(), &mut rng));
        ensure(blocks[0].chains.words(0) == state.words(), || "chain 0: the core alone ends elsewhere".to_owned())?;
    }
    Ok(Gibbs {
        chain_sweeps_per_second: subject.batch as f64 / times.seconds,
        flips_per_chain_sweep: flips as f64 / (sweeps * subject.batch) as f64,
        times,
        peak_memory_bytes,
        settings: Settings::of_model(subject, model.shape(), W::KIND),
        checked: "sweeps with the core's, half-sweep by half-sweep; energies; chains after the last sweep with the same \
                  ones of another batch, and with integers with the core's",
    })
}

/// A block of chains, from their modes on.
struct Sweeping<W: TileWeight> {
    chains: Chains<W>,
    active: Vec<u32>,
    /// Flips until the sweeps began.
    before: u64,
}

impl<W: TileWeight> Sweeping<W> {
    fn new(weights: &ChainWeights<W>, first: usize, count: usize, seed: u64) -> Result<Self, BenchError> {
        let mut chains = Chains::new(weights.shape());
        let streams = (first..first + count).map(|chain| stream(seed, chain as u64));
        chains.reset(weights, streams, None, Clamping::Free);
        let active: Vec<u32> = (0..count as u32).collect();
        chains.randomise(&active);
        let mut reports = Vec::new();
        chains.search(weights, &LocalModeSearch::default(), &active, &mut reports);
        reports.into_iter().collect::<Result<Vec<_>, _>>()?;
        let before = chains.work().flips;
        Ok(Self { chains, active, before })
    }

    fn sweep(&mut self, weights: &ChainWeights<W>) {
        self.chains.gibbs(weights, Block::Odd, &self.active);
    }

    fn flips(&self) -> u64 {
        self.chains.work().flips - self.before
    }
}
