//! Coupled Gibbs chains, from any start and with any horizon, in blocks of pairs on all processors.

use std::{
    ops::Range,
    sync::{Mutex, PoisonError},
};

use bitboltz_core::{
    conditional::Block,
    coupling::Horizon,
    search::{LocalModeSearch, SearchCapHit, SearchReport},
    shape::Shape,
};
use rayon::prelude::*;

use super::{
    Scene, Totals,
    blocks::{LOOK, visible_errors},
    wave::{Slot, WAVE, Wave},
};
use crate::{
    batch::{ChainWeights, Chains, TileWeight, block_size},
    estimator::{PhaseReport, SecondStart, StartPolicy},
    train::{
        statistics::Moments,
        timing::{Laps, Part},
    },
};

/// Pairs of chains for each thread, and the results of a [`Wave`].
#[derive(Debug)]
pub(super) struct Coupled<W: TileWeight> {
    shape: Shape,
    pairs: Vec<Mutex<Chains<W>>>,
    wave: Wave,
}

/// The estimator: start, second start, horizon.
pub(super) type Policy = (StartPolicy, SecondStart, Horizon);

impl<W: TileWeight> Coupled<W> {
    pub(super) fn new(shape: &Shape) -> Self {
        Self { shape: *shape, pairs: Vec::new(), wave: Wave::default() }
    }

    /// Runs a pair for each row of the plan and adds their statistics.
    pub(super) fn run(&mut self, scene: &Scene<'_, W>, policy: Policy, moments: &mut Moments, total: &mut Totals) {
        let threads = rayon::current_num_threads();
        self.pairs.resize_with(threads, || Mutex::new(Chains::new(&self.shape)));
        for first in (0..scene.plan.rows.len()).step_by(WAVE) {
            let (pairs, count) = (&self.pairs, WAVE.min(scene.plan.rows.len() - first));
            let size = block_size(count);
            let mut laps = Laps::start(scene.plan.timing);
            let blocks = self.wave.slots(count).par_chunks_mut(size).with_max_len(1).enumerate();
            blocks.for_each(|(at, slots)| {
                // A thread runs one block at a time, so the lock never waits. A poisoned one holds scratch only.
                let thread = rayon::current_thread_index().unwrap_or(0) % threads;
                let mut chains = pairs[thread].lock().unwrap_or_else(PoisonError::into_inner);
                let first = first + at * size;
                run_block(&mut chains, scene, policy, first..first + slots.len(), slots);
            });
            laps.end(Part::Chains);
            self.wave.fold(moments, total);
            laps.end(Part::Statistics);
        }
    }
}

fn run_block<W: TileWeight>(
    chains: &mut Chains<W>,
    scene: &Scene<'_, W>,
    (start, second, horizon): Policy,
    numbers: Range<usize>,
    slots: &mut [Slot],
) {
    let (weights, marginalise, shape) = (scene.weights, scene.plan.marginalise, *scene.weights.shape());
    slots.iter_mut().for_each(Slot::clear);
    // x of all pairs, then y of all.
    scene.reset_pairs(chains, numbers.clone());
    let count = slots.len();
    let all: Vec<u32> = (0..count as u32).collect();
    let mut reports = begin(chains, weights, start, &all);
    let sweeps: Vec<u32> = reports.iter().map(|report| report.map_or(0, |search| search.sweeps)).collect();
    let mut started = all;
    started.retain(|&pair| reports[pair as usize].is_ok());
    match second {
        SecondStart::Same => started.iter().for_each(|&x| chains.copy_chain(x as usize, count + x as usize)),
        SecondStart::Independent => {
            // The pair has one stream: y begins where x left it, and x goes on where y leaves it.
            started.iter().for_each(|&x| chains.copy_stream(x as usize, count + x as usize));
            let ys: Vec<u32> = started.iter().map(|&x| count as u32 + x).collect();
            reports = begin(chains, weights, start, &ys);
            let mut reports = reports.iter();
            started.retain(|_| reports.next().is_some_and(Result::is_ok));
            started.iter().for_each(|&x| chains.copy_stream(count + x as usize, x as usize));
        }
    }
    let mut meetings = Vec::new();
    chains.couple(weights, &horizon, &started, &mut meetings, |chains, t, states| {
        if marginalise {
            let shown: Vec<u32> = states.iter().map(|state| state.chain as u32).collect();
            chains.look(weights, Block::Odd, &shown);
        }
        for state in states {
            let means = |layer: usize, means: &mut [f32]| chains.means(weights, state.chain, layer, means);
            let words = chains.words(state.chain);
            slots[state.pair].record.push_words(&shape, words, state.weight as f32, marginalise.then_some(means));
        }
        // The first state that counts.
        if t == horizon.k {
            let asked = states.iter().filter(|state| state.chain == state.pair);
            let asked = asked.filter(|state| (numbers.start + state.pair).is_multiple_of(LOOK));
            let asked: Vec<u32> = asked.map(|state| state.chain as u32).collect();
            visible_errors(chains, weights, &asked, |pair, error| slots[pair].wrong = Some(error));
        }
    });
    for (&pair, met) in started.iter().zip(meetings) {
        let report = |tau| PhaseReport { search_sweeps: sweeps[pair as usize], tau: Some(tau) };
        slots[pair as usize].report = met.ok().map(|met| report(met.tau));
    }
}

/// Starts these chains, as the core's [`Start`](bitboltz_core::start::Start)s do, and tells what each search took.
fn begin<W: TileWeight>(
    chains: &mut Chains<W>,
    weights: &ChainWeights<W>,
    start: StartPolicy,
    active: &[u32],
) -> Vec<Result<SearchReport, SearchCapHit>> {
    chains.randomise(active);
    let mut reports = vec![Ok(SearchReport::default()); active.len()];
    if start == StartPolicy::LocalMode {
        chains.search(weights, &LocalModeSearch::default(), active, &mut reports);
        let at_mode = active.iter().zip(&reports).filter(|(_, report)| report.is_ok()).map(|(&chain, _)| chain);
        chains.gibbs(weights, Block::Odd, &at_mode.collect::<Vec<_>>());
    }
    reports
}
