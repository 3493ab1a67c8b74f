//! One phase of one update: a batch of chains on all processors, and their statistics.

use std::sync::{Mutex, PoisonError};

use bitboltz_core::{
    connection::Connection,
    model::Dbm,
    shape::Shape,
    state::{Clamp, State},
    weights::Field as _,
};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{
    seeds::{Purpose, stream_for},
    statistics::{ChainRecord, Moments},
};
use crate::{
    bits::BitMatrix,
    chain::PairBuffer,
    estimator::{EstimateError, Estimator, Phase, PhaseReport},
};

/// Chains that are recorded before they are folded into the sums. It bounds memory, since the record of a chain grows
/// with its meeting time, and does not depend on the number of threads, so neither do the sums.
const WAVE: usize = 64;

/// What one phase of an update took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PhaseSummary {
    /// Chains that gave an estimate.
    pub chains: usize,
    /// Chains left out because their coupling or their search hit its cap. Leaving them out biases the rest.
    pub cap_hits: usize,
    /// Mean meeting time; `None` for contrastive divergence.
    pub mean_tau: Option<f64>,
    /// Longest meeting time.
    pub max_tau: Option<u32>,
    /// Mean sweeps of the local mode searches.
    pub search_sweeps: f64,
    /// Share of visible bits that differ from the mode of their conditional, over the first states that the chains
    /// showed. In the positive phase the bits are the data, so this is the error of a reconstruction through a hidden
    /// sample. It costs nothing: the fields are there.
    pub visible_error: f64,
}

/// How a batch of chains is run.
#[derive(Clone, Copy, Debug)]
pub struct PhasePlan<'a> {
    /// The estimator.
    pub estimator: Estimator,
    /// Which phase.
    pub phase: Phase,
    /// Conditional means in the odd layers.
    pub marginalise: bool,
    /// The run's seed.
    pub seed: u64,
    /// The step, counted from 0.
    pub step: u64,
    /// One data row for each chain.
    pub rows: &'a [usize],
}

/// The result of one chain, kept while its wave runs.
#[derive(Clone, Debug, Default)]
struct Slot {
    record: ChainRecord,
    report: Option<PhaseReport>,
    wrong: u32,
}

/// Buffers of a phase, reused from update to update: one pair of chains for each thread, one record for each chain of a
/// wave.
#[derive(Debug)]
pub struct PhaseBuffers {
    shape: Shape,
    pairs: Vec<Mutex<PairBuffer<f32>>>,
    slots: Vec<Slot>,
    records: Vec<ChainRecord>,
    visible_mask: Vec<u32>,
}

impl PhaseBuffers {
    /// Buffers for a shape.
    pub fn new(shape: &Shape) -> Self {
        let mut visible_mask = vec![0; shape.words()];
        bitboltz_core::state::clamp_layers(shape, &mut visible_mask, |layer| layer == 0);
        Self { shape: *shape, pairs: Vec::new(), slots: Vec::new(), records: Vec::new(), visible_mask }
    }

    /// Runs one chain for each row of the plan and averages their statistics into `moments`.
    pub fn run<C: Connection<Field = f32> + Sync>(
        &mut self,
        model: &Dbm<'_, C>,
        plan: &PhasePlan<'_>,
        data: &BitMatrix,
        moments: &mut Moments,
    ) -> PhaseSummary {
        let threads = rayon::current_num_threads();
        self.pairs.resize_with(threads, || Mutex::new(PairBuffer::new(&self.shape)));
        let mut total = Totals::default();
        moments.clear();
        for (wave, rows) in plan.rows.chunks(WAVE).enumerate() {
            self.slots.resize_with(rows.len().max(self.slots.len()), Slot::default);
            let slots = &mut self.slots[..rows.len()];
            let (pairs, mask) = (&self.pairs, &self.visible_mask);
            slots.par_iter_mut().zip(rows).with_max_len(1).enumerate().for_each(|(at, (slot, &row))| {
                // A thread runs one chain at a time, so the lock never waits. A poisoned one holds scratch only.
                let thread = rayon::current_thread_index().unwrap_or(0) % threads;
                let mut pair = pairs[thread].lock().unwrap_or_else(PoisonError::into_inner);
                slot.run(model, plan, (wave * WAVE + at) as u64, data.row(row), mask, &mut pair);
            });
            // Records of one piece for the sums; the vectors change hands, nothing is copied.
            self.records.clear();
            for slot in slots.iter_mut() {
                total.add(slot);
                self.records.push(std::mem::take(&mut slot.record));
            }
            moments.add(&self.records);
            for (slot, record) in slots.iter_mut().zip(self.records.drain(..)) {
                slot.record = record;
            }
        }
        moments.finish(total.chains);
        total.summary(self.shape.width(0))
    }
}

impl Slot {
    fn run<C: Connection<Field = f32>>(
        &mut self,
        model: &Dbm<'_, C>,
        plan: &PhasePlan<'_>,
        chain: u64,
        visible: &[u32],
        visible_mask: &[u32],
        pair: &mut PairBuffer<f32>,
    ) {
        let (purpose, clamp) = match plan.phase {
            Phase::Positive => (Purpose::Positive, Clamp::new(model.shape(), visible_mask).unwrap_or_default()),
            Phase::Negative => (Purpose::Negative, Clamp::none()),
        };
        let mut rng = stream_for(plan.seed, purpose, plan.step, chain);
        let Self { record, report, wrong } = self;
        record.clear();
        let result: Result<PhaseReport, EstimateError> =
            plan.estimator.run(model, plan.phase, visible, &clamp, pair, &mut rng, |state, weight| {
                if record.is_empty() {
                    *wrong = visible_differences(state);
                }
                record.push(model, state, weight as f32, plan.marginalise);
            });
        *report = result.ok();
        if report.is_none() {
            record.clear();
        }
    }
}

/// Visible bits that are not the mode of their conditional.
fn visible_differences(state: &State<'_, f32>) -> u32 {
    let fields = state.layer_fields(0).chunks(bitboltz_core::bits::WORD_BITS);
    let mode = |fields: &[f32]| fields.iter().enumerate().fold(0, |word, (i, a)| word | u32::from(a.is_on()) << i);
    state.layer_words(0).iter().zip(fields).map(|(word, fields)| (word ^ mode(fields)).count_ones()).sum()
}

#[derive(Default)]
struct Totals {
    chains: usize,
    cap_hits: usize,
    tau: u64,
    max_tau: Option<u32>,
    sweeps: u64,
    wrong: u64,
}

impl Totals {
    fn add(&mut self, slot: &Slot) {
        let Some(report) = slot.report else {
            self.cap_hits += 1;
            return;
        };
        self.chains += 1;
        self.tau += u64::from(report.tau.unwrap_or(0));
        self.max_tau = self.max_tau.max(report.tau);
        self.sweeps += u64::from(report.search_sweeps);
        self.wrong += u64::from(slot.wrong);
    }

    fn summary(&self, visible: usize) -> PhaseSummary {
        let mean = |sum: u64| sum as f64 / self.chains.max(1) as f64;
        PhaseSummary {
            chains: self.chains,
            cap_hits: self.cap_hits,
            mean_tau: self.max_tau.map(|_| mean(self.tau)),
            max_tau: self.max_tau,
            search_sweeps: mean(self.sweeps),
            visible_error: mean(self.wrong) / visible as f64,
        }
    }
}
