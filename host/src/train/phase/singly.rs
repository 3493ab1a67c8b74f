//! One chain at a time through the core, on all processors.

use std::sync::{Mutex, PoisonError};

use bitboltz_core::{connection::Connection, model::Dbm, shape::Shape, state::Clamp};
use rayon::prelude::*;

use super::{
    PhasePlan, Scene, Totals, differences,
    wave::{Slot, WAVE, Wave},
};
use crate::{
    batch::TileWeight,
    chain::PairBuffer,
    estimator::{EstimateError, Phase, PhaseReport},
    train::{
        seeds::{Purpose, stream_for},
        statistics::Moments,
        timing::{Laps, Part},
    },
};

/// One pair of chains for each thread, and the results of a [`Wave`].
#[derive(Debug)]
pub(super) struct Singly<W: TileWeight> {
    shape: Shape,
    pairs: Vec<Mutex<PairBuffer<W::Field>>>,
    wave: Wave,
}

impl<W: TileWeight> Singly<W> {
    pub(super) fn new(shape: &Shape) -> Self {
        Self { shape: *shape, pairs: Vec::new(), wave: Wave::default() }
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
            let (pairs, results) = (&self.pairs, &mut self.wave);
            let mut laps = Laps::start(plan.timing);
            results.slots(wave.len()).par_iter_mut().zip(wave).with_max_len(1).for_each(|(slot, &chain)| {
                // A thread runs one chain at a time, so the lock never waits. A poisoned one holds scratch only.
                let thread = rayon::current_thread_index().unwrap_or(0) % threads;
                let mut pair = pairs[thread].lock().unwrap_or_else(PoisonError::into_inner);
                slot.run(&model, plan, chain as u64, data.row(plan.rows[chain]), mask, &mut pair);
            });
            laps.end(Part::Chains);
            results.fold(moments, total);
            laps.end(Part::Statistics);
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
        self.clear();
        let mut laps = Laps::start(plan.timing);
        let Self { record, report, wrong } = self;
        let result: Result<PhaseReport, EstimateError> =
            plan.estimator.run(model, plan.phase, visible, &clamp, pair, &mut rng, |state, weight| {
                if record.is_empty() {
                    *wrong = Some(differences(state.layer_words(0), state.layer_fields(0)));
                }
                record.push(model, state, weight as f32, plan.marginalise);
            });
        laps.end(Part::Single);
        *report = result.ok();
    }
}
