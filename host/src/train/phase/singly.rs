//! One chain at a time through the core, on all processors.

use std::sync::{Mutex, PoisonError};

use bitboltz_core::{connection::Connection, model::Dbm, shape::Shape, state::Clamp};
use rayon::prelude::*;

use super::{PhasePlan, Scene, Totals, differences};
use crate::{
    batch::TileWeight,
    chain::PairBuffer,
    estimator::{EstimateError, Phase, PhaseReport},
    train::{
        seeds::{Purpose, stream_for},
        statistics::{ChainRecord, Moments},
        timing::{Laps, Part},
    },
};

/// Chains that are recorded before they are folded into the sums. It bounds memory, since the record of a chain grows
/// with its meeting time, and does not depend on the number of threads, so neither do the sums.
const WAVE: usize = 64;

/// The result of one chain, kept while its wave runs.
#[derive(Clone, Debug, Default)]
struct Slot {
    record: ChainRecord,
    report: Option<PhaseReport>,
    wrong: u32,
}

/// One pair of chains for each thread, and the results of a wave.
#[derive(Debug)]
pub(super) struct Singly<W: TileWeight> {
    shape: Shape,
    pairs: Vec<Mutex<PairBuffer<W::Field>>>,
    slots: Vec<Slot>,
    records: Vec<ChainRecord>,
}

impl<W: TileWeight> Singly<W> {
    pub(super) fn new(shape: &Shape) -> Self {
        Self { shape: *shape, pairs: Vec::new(), slots: Vec::new(), records: Vec::new() }
    }

    /// Runs the chains with these numbers and adds their statistics.
    pub(super) fn run(&mut self, scene: &Scene<'_, W>, chains: &[usize], moments: &mut Moments, total: &mut Totals) {
        if chains.is_empty() {
            return;
        }
        let Scene { weights, plan, data, visible_mask: mask } = *scene;
        let model = weights.dbm().expect("a model's weights");
        let threads = rayon::current_num_threads();
        self.pairs.resize_with(threads, || Mutex::new(PairBuffer::new(&self.shape)));
        for wave in chains.chunks(WAVE) {
            self.slots.resize_with(wave.len().max(self.slots.len()), Slot::default);
            let slots = &mut self.slots[..wave.len()];
            let pairs = &self.pairs;
            let mut laps = Laps::start(plan.timing);
            slots.par_iter_mut().zip(wave).with_max_len(1).for_each(|(slot, &chain)| {
                // A thread runs one chain at a time, so the lock never waits. A poisoned one holds scratch only.
                let thread = rayon::current_thread_index().unwrap_or(0) % threads;
                let mut pair = pairs[thread].lock().unwrap_or_else(PoisonError::into_inner);
                slot.run(&model, plan, chain as u64, data.row(plan.rows[chain]), mask, &mut pair);
            });
            laps.end(Part::Chains);
            // Records of one piece for the sums; the vectors change hands, nothing is copied.
            self.records.clear();
            for slot in slots.iter_mut() {
                total.add(slot.report, Some(slot.wrong));
                self.records.push(std::mem::take(&mut slot.record));
            }
            moments.add(&self.records);
            laps.end(Part::Statistics);
            for (slot, record) in slots.iter_mut().zip(self.records.drain(..)) {
                slot.record = record;
            }
        }
    }
}

impl Slot {
    fn run<C: Connection>(
        &mut self,
        model: &Dbm<'_, C>,
        plan: &PhasePlan<'_>,
        chain: u64,
        visible: &[u32],
        visible_mask: &[u32],
        pair: &mut PairBuffer<C::Field>,
    ) {
        let (purpose, clamp) = match plan.phase {
            Phase::Positive => (Purpose::Positive, Clamp::new(model.shape(), visible_mask).unwrap_or_default()),
            Phase::Negative => (Purpose::Negative, Clamp::none()),
        };
        let mut rng = stream_for(plan.seed, purpose, plan.step, chain);
        let mut laps = Laps::start(plan.timing);
        let Self { record, report, wrong } = self;
        record.clear();
        let result: Result<PhaseReport, EstimateError> =
            plan.estimator.run(model, plan.phase, visible, &clamp, pair, &mut rng, |state, weight| {
                if record.is_empty() {
                    *wrong = differences(state.layer_words(0), state.layer_fields(0));
                }
                record.push(model, state, weight as f32, plan.marginalise);
            });
        laps.end(Part::Single);
        *report = result.ok();
        if report.is_none() {
            record.clear();
        }
    }
}
