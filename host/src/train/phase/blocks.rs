//! Chains that give one state each, in blocks on all processors.

use std::{
    ops::Range,
    sync::{Mutex, PoisonError},
};

use bitboltz_core::{conditional::Block, shape::Shape};
use rayon::prelude::*;

use super::{Scene, Totals, differences};
use crate::{
    batch::{ChainWeights, Chains, TileWeight, block_size},
    estimator::PhaseReport,
    train::{
        statistics::{Moments, StateRef},
        timing::{Laps, Part},
    },
};

/// Every so manieth chain is asked for its visible error: clamped visible units have no fields otherwise.
pub(super) const LOOK: usize = 4;

/// What became of a chain.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Outcome {
    /// Its state counts, with weight 1; so many visible bits differ from their mode, if that was looked at.
    Done(PhaseReport, Option<u32>),
    /// Its start found no mode.
    CapHit,
    /// Its first proposal was accepted: the pair must be run on.
    Accepted,
}

/// Chains for each thread, and the results of at most [`MAX_STATES`](crate::train::statistics::MAX_STATES) of them.
#[derive(Debug)]
pub(super) struct Blocks<W: TileWeight> {
    shape: Shape,
    chains: Vec<Mutex<Chains<W>>>,
    /// The chains' states.
    words: Vec<u32>,
    /// The odd layers' conditional means.
    odd: Vec<f32>,
    outcomes: Vec<Outcome>,
}

/// Where the results of one block go.
pub(super) struct Found<'r> {
    /// The numbers of the chains.
    pub(super) numbers: Range<usize>,
    /// Their states; before, what [`Blocks::load`] left here.
    pub(super) words: &'r mut [u32],
    odd: &'r mut [f32],
    pub(super) outcomes: &'r mut [Outcome],
}

impl<W: TileWeight> Blocks<W> {
    pub(super) fn new(shape: &Shape) -> Self {
        Self { shape: *shape, chains: Vec::new(), words: Vec::new(), odd: Vec::new(), outcomes: Vec::new() }
    }

    /// The states of the chains that ran last.
    pub(super) fn words(&self) -> &[u32] {
        &self.words
    }

    /// Gives the next chains to run these states.
    pub(super) fn load(&mut self, words: &[u32]) {
        self.words.clear();
        self.words.extend_from_slice(words);
    }

    /// Those of the chains that ran last, the first of which has number `first`, that must be run on.
    pub(super) fn accepted(&self, first: usize) -> impl Iterator<Item = usize> {
        let accepted = self.outcomes.iter().enumerate().filter(|(_, outcome)| **outcome == Outcome::Accepted);
        accepted.map(move |(at, _)| first + at)
    }

    /// Runs the chains with these numbers by `work`, a block at a time, and adds their statistics.
    pub(super) fn run(
        &mut self,
        scene: &Scene<'_, W>,
        numbers: Range<usize>,
        work: impl Fn(&mut Chains<W>, &Scene<'_, W>, Found<'_>) + Sync,
        moments: &mut Moments,
        total: &mut Totals,
    ) {
        let (shape, count, marginalise) = (self.shape, numbers.len(), scene.plan.marginalise);
        let odd_units: usize = Block::Odd.layers(shape.layers()).map(|layer| shape.width(layer)).sum();
        let (words, threads) = (shape.words(), rayon::current_num_threads());
        self.chains.resize_with(threads, || Mutex::new(Chains::new(&shape)));
        self.words.resize(count * words, 0);
        self.odd.resize(if marginalise { count * odd_units } else { 0 }, 0.0);
        self.outcomes.clear();
        self.outcomes.resize(count, Outcome::CapHit);
        let size = block_size(count);
        let blocks = self.words.par_chunks_mut(size * words).zip(self.outcomes.par_chunks_mut(size));
        // Without means there is nothing to cut.
        let mut none: Vec<&mut [f32]> = Vec::new();
        let odd_blocks: Vec<&mut [f32]> = if marginalise {
            self.odd.chunks_mut(size * odd_units).collect()
        } else {
            none.resize_with(count.div_ceil(size), Default::default);
            none
        };
        let chains = &self.chains;
        let mut laps = Laps::start(scene.plan.timing);
        blocks.zip(odd_blocks.into_par_iter()).with_max_len(1).enumerate().for_each(
            |(at, ((words, outcomes), odd))| {
                // A thread runs one block at a time, so the lock never waits. A poisoned one holds scratch only.
                let thread = rayon::current_thread_index().unwrap_or(0) % threads;
                let mut chains = chains[thread].lock().unwrap_or_else(PoisonError::into_inner);
                let first = numbers.start + at * size;
                work(&mut chains, scene, Found { numbers: first..first + outcomes.len(), words, odd, outcomes });
                if let Some(timing) = scene.plan.timing {
                    timing.add(chains.work());
                }
            },
        );
        laps.end(Part::Chains);
        let done = |outcome: &Outcome| matches!(outcome, Outcome::Done(..));
        let states = self.outcomes.iter().zip(self.words.chunks_exact(words)).enumerate();
        let states = states.filter(|(_, (outcome, _))| done(outcome));
        if marginalise {
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
        laps.end(Part::Statistics);
        for outcome in &self.outcomes {
            match *outcome {
                Outcome::Done(report, wrong) => total.add(Some(report), wrong),
                Outcome::CapHit => total.add(None, None),
                Outcome::Accepted => (),
            }
        }
    }
}

impl Found<'_> {
    /// Takes the states of all chains and the conditional means of those that are `done`, whose odd fields are looked
    /// at. Returns the visible errors of those that are asked for it.
    pub(super) fn take<W: TileWeight>(
        &mut self,
        chains: &mut Chains<W>,
        weights: &ChainWeights<W>,
        done: &[u32],
    ) -> Vec<Option<u32>> {
        let shape = *weights.shape();
        for (chain, state) in self.words.chunks_exact_mut(shape.words()).enumerate() {
            state.copy_from_slice(chains.words(chain));
        }
        if !self.odd.is_empty() {
            chains.look(weights, Block::Odd, done);
            for (chain, mut odd) in self.odd.chunks_exact_mut(self.odd.len() / self.outcomes.len()).enumerate() {
                for layer in Block::Odd.layers(shape.layers()) {
                    let (means, others) = odd.split_at_mut(shape.width(layer));
                    chains.means(weights, chain, layer, means);
                    odd = others;
                }
            }
        }
        let number = |chain: u32| self.numbers.start + chain as usize;
        let looked: Vec<u32> = done.iter().copied().filter(|&chain| number(chain).is_multiple_of(LOOK)).collect();
        let mut wrong = vec![None; self.outcomes.len()];
        visible_errors(chains, weights, &looked, |chain, error| wrong[chain] = Some(error));
        wrong
    }
}

/// Tells `found` how many visible bits of each of these chains differ from the mode of their conditional.
pub(super) fn visible_errors<W: TileWeight>(
    chains: &mut Chains<W>,
    weights: &ChainWeights<W>,
    active: &[u32],
    mut found: impl FnMut(usize, u32),
) {
    let range = weights.shape().word_range(0);
    chains.look(weights, Block::Even, active);
    chains.look_at_layer(weights, 0, active);
    for chain in active.iter().map(|&chain| chain as usize) {
        found(chain, differences(&chains.words(chain)[range.clone()], chains.fields(chain, 0)));
    }
}
