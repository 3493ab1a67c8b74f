//! One phase of one update: a batch of chains on all processors, and their statistics.
//!
//! | estimator | runs in |
//! |---|---|
//! | `ucd-lmi` with H_0, y_0 = x_0 | `first_state`, blocks of chains; pairs whose first proposal was accepted in `singly` |
//! | `cd-K`, `pcd`, `pcd-K`, and the free phase of `mean-field`, `mean-field-K` | `sweeps`, blocks of chains |
//! | the clamped phase of `mean-field`, `mean-field-K` | [`mean_field`], on the float weights |
//! | `ucd-lmi-gibbs`, `ucd-gibbs` | `coupled`, blocks of pairs |
//! | `ucd-mh`, `ucd-lmi-mix-P`, `ucd-mix-P`, and every other horizon or second start of `ucd-lmi` | `singly`, one chain at a time through the core |
//!
//! Where a chain runs does not depend on other chains, and its draws do not depend on where it runs.

mod blocks;
mod coupled;
mod first_state;
pub mod mean_field;
mod singly;
mod sweeps;
mod wave;

use std::ops::Range;

use bitboltz_core::{bits::WORD_BITS, coupling::Horizon, rng::XorShiftRng, shape::Shape, weights::Field};
use serde::{Deserialize, Serialize};

use self::{
    blocks::{Blocks, Found},
    coupled::Coupled,
    singly::Singly,
};
use super::{
    meeting::MeetingTimes,
    persistent::PersistentChains,
    seeds::{Purpose, stream_for},
    statistics::{MAX_STATES, Moments},
    timing::Timing,
};
use crate::{
    batch::{ChainWeights, Chains, Clamping, TileWeight},
    bits::BitMatrix,
    chain::visible_mask,
    estimator::{Estimator, Phase, PhaseReport, SecondStart, StartPolicy, TransitionPolicy},
};

/// What one phase of an update took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PhaseSummary {
    /// Chains that gave an estimate.
    pub chains: usize,
    /// Chains left out because their coupling or their search hit its cap. Leaving them out biases the rest.
    pub cap_hits: usize,
    /// Mean meeting time; `None` where no chains are coupled.
    pub mean_tau: Option<f64>,
    /// Longest meeting time.
    pub max_tau: Option<u32>,
    /// All meeting times. Empty in metrics of older runs.
    #[serde(default)]
    pub tau_histogram: MeetingTimes,
    /// Mean sweeps of the local mode searches, or of the mean fields.
    pub search_sweeps: f64,
    /// Mean fields that had not come to rest at their [cap](mean_field::UNTIL) of sweeps, and count as they were there. 0 in
    /// metrics of older runs.
    #[serde(default)]
    pub unsettled: usize,
    /// Share of visible bits that differ from the mode of their conditional, over the first states that the chains
    /// showed; of every fourth chain, where the engine ran them. In the positive phase the bits are the data, so this is
    /// the error of a reconstruction through a hidden sample, or through the means where the hidden layers are a mean
    /// field.
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
    /// Who wants to know where the time goes.
    pub timing: Option<&'a Timing>,
}

/// What all chains of a phase have in common.
struct Scene<'a, W: TileWeight> {
    weights: &'a ChainWeights<W>,
    plan: &'a PhasePlan<'a>,
    data: &'a BitMatrix,
    /// Clamps the visible layer.
    visible_mask: &'a [u32],
}

impl<W: TileWeight> Scene<'_, W> {
    /// Gives `chains` the chains with these numbers, clamped as the phase says.
    fn reset(&self, chains: &mut Chains<W>, numbers: Range<usize>) {
        match self.plan.phase {
            Phase::Positive => self.reset_clamped(chains, numbers),
            Phase::Negative => chains.reset(self.weights, self.streams(numbers), None, Clamping::Free),
        }
    }

    /// Gives `chains` the chains with these numbers, clamped to their data.
    fn reset_clamped(&self, chains: &mut Chains<W>, numbers: Range<usize>) {
        let row = |chain: usize| self.data.row(self.plan.rows[numbers.start + chain]);
        chains.reset(self.weights, self.streams(numbers.clone()), Some(&row), Clamping::Same(self.visible_mask));
    }

    /// Gives `chains` the chains with these numbers twice: first all x, then all y, clamped as the phase says.
    fn reset_pairs(&self, chains: &mut Chains<W>, numbers: Range<usize>) {
        let row = |chain: usize| self.data.row(self.plan.rows[numbers.start + chain % numbers.len()]);
        let streams = self.streams(numbers.clone()).chain(self.streams(numbers.clone()));
        match self.plan.phase {
            Phase::Positive => chains.reset(self.weights, streams, Some(&row), Clamping::Same(self.visible_mask)),
            Phase::Negative => chains.reset(self.weights, streams, None, Clamping::Free),
        }
    }

    fn streams(&self, numbers: Range<usize>) -> impl Iterator<Item = XorShiftRng> + use<W> {
        let purpose = if self.plan.phase == Phase::Positive { Purpose::Positive } else { Purpose::Negative };
        let PhasePlan { seed, step, .. } = *self.plan;
        numbers.map(move |chain| stream_for(seed, purpose, step, chain as u64))
    }
}

/// Buffers of a phase, reused from update to update.
#[derive(Debug)]
pub struct PhaseBuffers<W: TileWeight> {
    shape: Shape,
    visible_mask: Vec<u32>,
    blocks: Blocks<W>,
    coupled: Coupled<W>,
    singly: Singly<W>,
}

impl<W: TileWeight> PhaseBuffers<W> {
    /// Buffers for a shape.
    pub fn new(shape: &Shape) -> Self {
        let visible_mask = visible_mask(shape);
        Self {
            shape: *shape,
            visible_mask,
            blocks: Blocks::new(shape),
            coupled: Coupled::new(shape),
            singly: Singly::new(shape),
        }
    }

    /// Runs one chain for each row of the plan and averages their statistics into `moments`. `chains` are those of
    /// an estimator that keeps them, one for each row, which its negative phase moves on; other estimators take none.
    ///
    /// # Panics
    /// If an estimator that keeps its free chains gets none, or too few; in the clamped phase of mean-field, which is
    /// [`mean_field::run`].
    pub fn run(
        &mut self,
        weights: &ChainWeights<W>,
        plan: &PhasePlan<'_>,
        data: &BitMatrix,
        chains: Option<&mut PersistentChains>,
        moments: &mut Moments,
    ) -> PhaseSummary {
        let Self { visible_mask, blocks, coupled, singly, .. } = self;
        let scene = Scene { weights, plan, data, visible_mask };
        let mut total = Totals::default();
        moments.clear();
        let all = 0..plan.rows.len();
        let pieces = || all.clone().step_by(MAX_STATES).map(|first| first..all.end.min(first + MAX_STATES));
        match plan.estimator {
            estimator if meets_at_once(estimator) => {
                let mut rest = Vec::new();
                for piece in pieces() {
                    blocks.run(&scene, piece.clone(), first_state::run, moments, &mut total);
                    rest.extend(blocks.accepted(piece.start));
                }
                singly.run(&scene, &rest, moments, &mut total);
            }
            Estimator::Cd { k } => {
                for piece in pieces() {
                    blocks.run(
                        &scene,
                        piece,
                        |block, scene, found| sweeps::cd(block, scene, k, found),
                        moments,
                        &mut total,
                    );
                }
            }
            Estimator::Pcd { k } | Estimator::MeanField { k } => {
                let mut run = |blocks: &mut Blocks<W>, piece| {
                    let work = |block: &mut Chains<W>, scene: &Scene<'_, W>, found: Found<'_>| {
                        sweeps::pcd(block, scene, k, found);
                    };
                    blocks.run(&scene, piece, work, moments, &mut total);
                };
                if plan.phase == Phase::Positive {
                    assert!(matches!(plan.estimator, Estimator::Pcd { .. }), "a mean field is no chain");
                    pieces().for_each(|piece| run(blocks, piece));
                } else {
                    let chains = chains.expect("persistent chains");
                    for piece in pieces() {
                        let states = chains.words_mut(piece.clone());
                        blocks.load(states);
                        run(blocks, piece);
                        states.copy_from_slice(blocks.words());
                    }
                }
            }
            Estimator::Ucd { start, transition: TransitionPolicy::Gibbs, second, horizon } => {
                coupled.run(&scene, (start, second, horizon), moments, &mut total);
            }
            Estimator::Ucd { .. } => singly.run(&scene, &all.collect::<Vec<_>>(), moments, &mut total),
        }
        moments.finish(total.chains);
        total.summary(self.shape.width(0))
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
    meeting: MeetingTimes,
    sweeps: u64,
    unsettled: usize,
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
        report.tau.into_iter().for_each(|tau| self.meeting.add(tau));
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
            tau_histogram: self.meeting,
            search_sweeps: mean(self.sweeps, self.chains),
            unsettled: self.unsettled,
            visible_error: mean(self.wrong.0, self.wrong.1) / visible as f64,
        }
    }
}

#[cfg(test)]
mod tests;
