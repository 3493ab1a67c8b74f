//! The paper's estimator, which is the first state of its chain and no more unless the first proposal is accepted.

use bitboltz_core::{conditional::Block, search::LocalModeSearch};

use super::{
    Scene,
    blocks::{Found, Outcome},
};
use crate::{
    batch::{Chains, TileWeight},
    estimator::PhaseReport,
    train::timing::{Laps, Part},
};

/// A block of chains: the start, x_0 and its statistics, the first proposal.
pub(super) fn run<W: TileWeight>(chains: &mut Chains<W>, scene: &Scene<'_, W>, mut found: Found<'_>) {
    let weights = scene.weights;
    let mut laps = Laps::start(scene.plan.timing);
    scene.reset(chains, found.numbers.clone());
    let all: Vec<u32> = (0..found.outcomes.len() as u32).collect();
    chains.randomise(&all);
    laps.end(Part::Start);
    let mut reports = Vec::new();
    chains.search(weights, &LocalModeSearch::default(), &all, &mut reports);
    laps.end(Part::Search);
    let at_mode: Vec<u32> = all.into_iter().filter(|&chain| reports[chain as usize].is_ok()).collect();
    chains.gibbs(weights, Block::Odd, &at_mode);
    let wrong = found.take(chains, weights, &at_mode);
    laps.end(Part::Gibbs);
    chains.propose(weights, &at_mode, |chain, accepted| {
        let Ok(search) = reports[chain] else { return };
        let report = PhaseReport { search_sweeps: search.sweeps, tau: Some(1) };
        found.outcomes[chain] = if accepted { Outcome::Accepted } else { Outcome::Done(report, wrong[chain]) };
    });
    laps.end(Part::Proposal);
}
