//! One phase of one update: a batch of chains on all processors, and their statistics.

use std::sync::{Mutex, PoisonError};

use bitboltz_core::{
    bits::WORD_BITS, conditional::Block, connection::Connection, coupling::Horizon, model::Dbm,
    search::LocalModeSearch, shape::Shape, state::Clamp, weights::Field,
};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{
    seeds::{Purpose, stream_for},
    statistics::{ChainRecord, MAX_STATES, Moments, StateRef},
};
use crate::{
    batch::{ChainWeights, Chains, Clamping, TileWeight, block_size},
    bits::BitMatrix,
    chain::PairBuffer,
    estimator::{EstimateError, Estimator, Phase, PhaseReport, SecondStart, StartPolicy, TransitionPolicy},
};

/// Chains that are recorded before they are folded into the sums. It bounds memory, since the record of a chain grows
/// with its meeting time, and does not depend on the number of threads, so neither do the sums.
const WAVE: usize = 64;

/// Every so manieth chain is asked for its visible error: clamped visible units have no fields otherwise.
const LOOK: usize = 4;

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
    /// showed; of every fourth chain, where the engine ran them. In the positive phase the bits are the data, so this is
    /// the error of a reconstruction through a hidden sample.
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

/// What became of a chain of the engine.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Outcome {
    /// It met its partner after one step; so many visible bits differ, if that was looked at.
    Met(PhaseReport, Option<u32>),
    /// Its start found no mode.
    CapHit,
    /// Its first proposal was accepted: the pair must be run on.
    Accepted,
}

/// Buffers of a phase, reused from update to update: chains or one pair for each thread, and the results of a wave.
#[derive(Debug)]
pub struct PhaseBuffers<W: TileWeight> {
    shape: Shape,
    chains: Vec<Mutex<Chains<W>>>,
    pairs: Vec<Mutex<PairBuffer<W::Field>>>,
    slots: Vec<Slot>,
    records: Vec<ChainRecord>,
    visible_mask: Vec<u32>,
    /// The states of the engine's chains, and the odd layers' conditional means.
    words: Vec<u32>,
    odd: Vec<f32>,
    outcomes: Vec<Outcome>,
}

impl<W: TileWeight> PhaseBuffers<W> {
    /// Buffers for a shape.
    pub fn new(shape: &Shape) -> Self {
        let mut visible_mask = vec![0; shape.words()];
        bitboltz_core::state::clamp_layers(shape, &mut visible_mask, |layer| layer == 0);
        Self {
            shape: *shape,
            chains: Vec::new(),
            pairs: Vec::new(),
            slots: Vec::new(),
            records: Vec::new(),
            visible_mask,
            words: Vec::new(),
            odd: Vec::new(),
            outcomes: Vec::new(),
        }
    }

    /// Runs one chain for each row of the plan and averages their statistics into `moments`.
    ///
    /// The paper's estimator runs in blocks of chains; a pair whose first proposal was accepted, and every other
    /// estimator, one chain at a time. Which of them does not depend on other chains, so neither does the result.
    pub fn run(
        &mut self,
        weights: &ChainWeights<W>,
        plan: &PhasePlan<'_>,
        data: &BitMatrix,
        moments: &mut Moments,
    ) -> PhaseSummary {
        let mut total = Totals::default();
        moments.clear();
        let mut rest: Vec<usize> = (0..plan.rows.len()).collect();
        if meets_at_once(plan.estimator) {
            rest.clear();
            for first in (0..plan.rows.len()).step_by(MAX_STATES) {
                self.run_blocks(weights, plan, data, first, moments, &mut total, &mut rest);
            }
        }
        self.run_singly(weights, plan, data, &rest, moments, &mut total);
        moments.finish(total.chains);
        total.summary(self.shape.width(0))
    }

    /// One chain at a time, those with these numbers.
    fn run_singly(
        &mut self,
        weights: &ChainWeights<W>,
        plan: &PhasePlan<'_>,
        data: &BitMatrix,
        chains: &[usize],
        moments: &mut Moments,
        total: &mut Totals,
    ) {
        if chains.is_empty() {
            return;
        }
        let model = weights.dbm().expect("a model's weights");
        let threads = rayon::current_num_threads();
        self.pairs.resize_with(threads, || Mutex::new(PairBuffer::new(&self.shape)));
        for wave in chains.chunks(WAVE) {
            self.slots.resize_with(wave.len().max(self.slots.len()), Slot::default);
            let slots = &mut self.slots[..wave.len()];
            let (pairs, mask) = (&self.pairs, &self.visible_mask);
            slots.par_iter_mut().zip(wave).with_max_len(1).for_each(|(slot, &chain)| {
                // A thread runs one chain at a time, so the lock never waits. A poisoned one holds scratch only.
                let thread = rayon::current_thread_index().unwrap_or(0) % threads;
                let mut pair = pairs[thread].lock().unwrap_or_else(PoisonError::into_inner);
                slot.run(&model, plan, chain as u64, data.row(plan.rows[chain]), mask, &mut pair);
            });
            // Records of one piece for the sums; the vectors change hands, nothing is copied.
            self.records.clear();
            for slot in slots.iter_mut() {
                total.add(slot.report, Some(slot.wrong));
                self.records.push(std::mem::take(&mut slot.record));
            }
            moments.add(&self.records);
            for (slot, record) in slots.iter_mut().zip(self.records.drain(..)) {
                slot.record = record;
            }
        }
    }

    /// Chains `first..` of the plan, at most [`MAX_STATES`], in blocks. Those that must be run on are added to `rest`.
    #[expect(clippy::too_many_arguments, reason = "everything that a wave is made of")]
    fn run_blocks(
        &mut self,
        weights: &ChainWeights<W>,
        plan: &PhasePlan<'_>,
        data: &BitMatrix,
        first: usize,
        moments: &mut Moments,
        total: &mut Totals,
        rest: &mut Vec<usize>,
    ) {
        let shape = self.shape;
        let count = MAX_STATES.min(plan.rows.len() - first);
        let odd_units: usize = Block::Odd.layers(shape.layers()).map(|layer| shape.width(layer)).sum();
        let (words, threads) = (shape.words(), rayon::current_num_threads());
        self.chains.resize_with(threads, || Mutex::new(Chains::new(&shape)));
        self.words.resize(count * words, 0);
        self.odd.resize(if plan.marginalise { count * odd_units } else { 0 }, 0.0);
        self.outcomes.clear();
        self.outcomes.resize(count, Outcome::CapHit);
        let size = block_size(count);
        let odd = || if plan.marginalise { odd_units } else { 0 };
        let blocks = self.words.par_chunks_mut(size * words).zip(self.outcomes.par_chunks_mut(size));
        // Without means there is nothing to cut.
        let mut none: Vec<&mut [f32]> = Vec::new();
        let odd_blocks: Vec<&mut [f32]> = if plan.marginalise {
            self.odd.chunks_mut(size * odd()).collect()
        } else {
            none.resize_with(count.div_ceil(size), Default::default);
            none
        };
        let (chains, mask) = (&self.chains, self.visible_mask.as_slice());
        blocks.zip(odd_blocks.into_par_iter()).with_max_len(1).enumerate().for_each(
            |(at, ((words, outcomes), odd))| {
                let thread = rayon::current_thread_index().unwrap_or(0) % threads;
                let mut chains = chains[thread].lock().unwrap_or_else(PoisonError::into_inner);
                run_block(&mut chains, weights, plan, data, mask, first + at * size, Found { words, odd, outcomes });
            },
        );
        let met = |outcome: &Outcome| matches!(outcome, Outcome::Met(..));
        let states = self.outcomes.iter().zip(self.words.chunks_exact(words)).enumerate();
        let states = states.filter(|(_, (outcome, _))| met(outcome));
        if plan.marginalise {
            let odd = &self.odd;
            let states = states.map(|(n, (_, words))| StateRef {
                weight: 1.0,
                words,
                odd: &odd[n * odd_units..(n + 1) * odd_units],
            });
            moments.add_states(&states.collect::<Vec<_>>());
        } else {
            moments.add_bits(&states.map(|(_, (_, words))| words).collect::<Vec<_>>());
        }
        for (at, outcome) in self.outcomes.iter().enumerate() {
            match *outcome {
                Outcome::Met(report, wrong) => total.add(Some(report), wrong),
                Outcome::CapHit => total.add(None, None),
                Outcome::Accepted => rest.push(first + at),
            }
        }
    }
}

/// Whether an estimator is the first state of its chain and no more, unless the first proposal is accepted.
fn meets_at_once(estimator: Estimator) -> bool {
    let Estimator::Ucd { start, transition, second, horizon } = estimator else { return false };
    let Horizon { k, m, lag, cap } = horizon;
    start == StartPolicy::LocalMode
        && transition == TransitionPolicy::MetropolisHastings
        && second == SecondStart::Same
        && (k, m, lag) == (0, 0, 1)
        && cap >= 1
}

/// Where a block's results go.
struct Found<'r> {
    words: &'r mut [u32],
    odd: &'r mut [f32],
    outcomes: &'r mut [Outcome],
}

/// Chains from number `first` on: the start, x_0 and its statistics, the first proposal.
fn run_block<W: TileWeight>(
    chains: &mut Chains<W>,
    weights: &ChainWeights<W>,
    plan: &PhasePlan<'_>,
    data: &BitMatrix,
    visible_mask: &[u32],
    first: usize,
    found: Found<'_>,
) {
    let Found { words, odd, outcomes } = found;
    let shape = *weights.shape();
    let numbers = first..first + outcomes.len();
    let row = |chain: usize| data.row(plan.rows[first + chain]);
    let (purpose, clamping) = match plan.phase {
        Phase::Positive => (Purpose::Positive, Clamping::Same(visible_mask)),
        Phase::Negative => (Purpose::Negative, Clamping::Free),
    };
    let streams = numbers.clone().map(|chain| stream_for(plan.seed, purpose, plan.step, chain as u64));
    chains.reset(weights, streams, (plan.phase == Phase::Positive).then_some(&row), clamping);
    let all: Vec<u32> = (0..outcomes.len() as u32).collect();
    chains.randomise(&all);
    let mut reports = Vec::new();
    chains.search(weights, &LocalModeSearch::default(), &all, &mut reports);
    let at_mode: Vec<u32> = all.into_iter().filter(|&chain| reports[chain as usize].is_ok()).collect();
    chains.gibbs(weights, Block::Odd, &at_mode);
    chains.look(weights, Block::Odd, &at_mode);
    for (chain, state) in words.chunks_exact_mut(shape.words()).enumerate() {
        state.copy_from_slice(chains.words(chain));
    }
    if plan.marginalise {
        for (chain, mut odd) in odd.chunks_exact_mut(odd.len() / outcomes.len()).enumerate() {
            for layer in Block::Odd.layers(shape.layers()) {
                let (means, others) = odd.split_at_mut(shape.width(layer));
                chains.means(weights, chain, layer, means);
                odd = others;
            }
        }
    }
    let looked: Vec<u32> =
        at_mode.iter().copied().filter(|&chain| (first + chain as usize).is_multiple_of(LOOK)).collect();
    chains.look_at_layer(weights, 0, &looked);
    let mut wrong = vec![None; outcomes.len()];
    for &chain in &looked {
        let (words, fields) = (chains.words(chain as usize), chains.fields(chain as usize, 0));
        wrong[chain as usize] = Some(differences(&words[shape.word_range(0)], fields));
    }
    chains.propose(weights, &at_mode, |chain, accepted| {
        let Ok(search) = reports[chain] else { return };
        let report = PhaseReport { search_sweeps: search.sweeps, tau: Some(1) };
        outcomes[chain] = if accepted { Outcome::Accepted } else { Outcome::Met(report, wrong[chain]) };
    });
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
        let Self { record, report, wrong } = self;
        record.clear();
        let result: Result<PhaseReport, EstimateError> =
            plan.estimator.run(model, plan.phase, visible, &clamp, pair, &mut rng, |state, weight| {
                if record.is_empty() {
                    *wrong = differences(state.layer_words(0), state.layer_fields(0));
                }
                record.push(model, state, weight as f32, plan.marginalise);
            });
        *report = result.ok();
        if report.is_none() {
            record.clear();
        }
    }
}

/// Bits that are not the mode of their conditional.
fn differences<F: Field>(words: &[u32], fields: &[F]) -> u32 {
    let mode = |fields: &[F]| fields.iter().enumerate().fold(0, |word, (i, a)| word | u32::from(a.is_on()) << i);
    words.iter().zip(fields.chunks(WORD_BITS)).map(|(word, fields)| (word ^ mode(fields)).count_ones()).sum()
}

#[derive(Default)]
struct Totals {
    chains: usize,
    cap_hits: usize,
    tau: u64,
    max_tau: Option<u32>,
    sweeps: u64,
    /// Visible bits that differ, and the chains that were looked at.
    wrong: (u64, usize),
}

impl Totals {
    fn add(&mut self, report: Option<PhaseReport>, wrong: Option<u32>) {
        let Some(report) = report else {
            self.cap_hits += 1;
            return;
        };
        self.chains += 1;
        self.tau += u64::from(report.tau.unwrap_or(0));
        self.max_tau = self.max_tau.max(report.tau);
        self.sweeps += u64::from(report.search_sweeps);
        if let Some(wrong) = wrong {
            self.wrong = (self.wrong.0 + u64::from(wrong), self.wrong.1 + 1);
        }
    }

    fn summary(&self, visible: usize) -> PhaseSummary {
        let mean = |sum: u64, count: usize| sum as f64 / count.max(1) as f64;
        PhaseSummary {
            chains: self.chains,
            cap_hits: self.cap_hits,
            mean_tau: self.max_tau.map(|_| mean(self.tau, self.chains)),
            max_tau: self.max_tau,
            search_sweeps: mean(self.sweeps, self.chains),
            visible_error: mean(self.wrong.0, self.wrong.1) / visible as f64,
        }
    }
}
