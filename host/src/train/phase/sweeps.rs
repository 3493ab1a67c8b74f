//! Contrastive divergence, from the data or with persistent chains: a number of Gibbs sweeps, and no coupling.

use bitboltz_core::conditional::Block;

use super::{
    Scene,
    blocks::{Found, Outcome},
};
use crate::{
    batch::{Chains, Clamping, TileWeight},
    estimator::{Phase, PhaseReport, posterior_sweeps},
};

/// A block of chains of CD-K, as [`Estimator::run`](crate::estimator::Estimator::run) has them.
pub(super) fn cd<W: TileWeight>(chains: &mut Chains<W>, scene: &Scene<'_, W>, k: u32, found: Found<'_>) {
    scene.reset_clamped(chains, found.numbers.clone());
    let all = all(&found);
    chains.randomise(&all);
    sweeps(chains, scene, k, Block::Odd, &all);
    if scene.plan.phase == Phase::Negative {
        chains.set_clamping(scene.weights, Clamping::Free);
        sweeps(chains, scene, k, Block::Even, &all);
    }
    finish(chains, scene, found, &all);
}

/// A block of chains of persistent contrastive divergence. In the negative phase they begin at what was
/// [loaded](super::blocks::Blocks::load).
pub(super) fn pcd<W: TileWeight>(chains: &mut Chains<W>, scene: &Scene<'_, W>, k: u32, found: Found<'_>) {
    let shape = *scene.weights.shape();
    scene.reset(chains, found.numbers.clone());
    let all = all(&found);
    match scene.plan.phase {
        Phase::Positive => {
            chains.randomise(&all);
            sweeps(chains, scene, posterior_sweeps(&shape, k), Block::Odd, &all);
        }
        Phase::Negative => {
            for (chain, state) in found.words.chunks_exact(shape.words()).enumerate() {
                chains.words_mut(chain).copy_from_slice(state);
            }
            sweeps(chains, scene, k, Block::Odd, &all);
        }
    }
    finish(chains, scene, found, &all);
}

fn all(found: &Found<'_>) -> Vec<u32> {
    (0..found.outcomes.len() as u32).collect()
}

fn sweeps<W: TileWeight>(chains: &mut Chains<W>, scene: &Scene<'_, W>, k: u32, first: Block, active: &[u32]) {
    (0..k).for_each(|_| chains.gibbs(scene.weights, first, active));
}

fn finish<W: TileWeight>(chains: &mut Chains<W>, scene: &Scene<'_, W>, mut found: Found<'_>, all: &[u32]) {
    let wrong = found.take(chains, scene.weights, all);
    for (outcome, wrong) in found.outcomes.iter_mut().zip(wrong) {
        *outcome = Outcome::Done(PhaseReport::default(), wrong);
    }
}
