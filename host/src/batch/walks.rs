//! What chains do, made of half-sweeps: the core's search, Gibbs step and Metropolis-Hastings proposal.

use bitboltz_core::{
    conditional::Block,
    fixed::exp_neg,
    search::{LocalModeSearch, SearchCapHit, SearchReport},
    weights::Field as _,
};

use super::{
    chains::{Chains, Decide},
    tile::TileWeight,
    weights::ChainWeights,
};

impl<W: TileWeight> Chains<W> {
    /// Moves the free units of these chains to local modes, as the core's [`LocalModeSearch::run`] does, and writes what
    /// it took into `reports`, one for each active chain. Chains that are done leave.
    pub fn search(
        &mut self,
        weights: &ChainWeights<W>,
        search: &LocalModeSearch,
        active: &[u32],
        reports: &mut Vec<Result<SearchReport, SearchCapHit>>,
    ) {
        reports.clear();
        reports.resize(active.len(), Err(SearchCapHit { cap: search.cap }));
        // (place in `active`, report)
        let mut running: Vec<(usize, SearchReport)> =
            (0..active.len()).map(|at| (at, SearchReport::default())).collect();
        let mut moving = active.to_vec();
        for sweeps in 1..=search.cap {
            for (half, block) in [search.first, search.first.other()].into_iter().enumerate() {
                let begun = sweeps > 1 || half > 0;
                self.update(weights, block, Decide::Mode, &moving);
                running.retain_mut(|(at, report)| {
                    let flips = self.flips(active[*at] as usize);
                    report.sweeps = sweeps;
                    report.flips += u64::from(flips);
                    let done = flips == 0 && begun;
                    if done {
                        reports[*at] = Ok(*report);
                    }
                    !done
                });
                if running.len() < moving.len() {
                    moving.clear();
                    moving.extend(running.iter().map(|(at, ..)| active[*at]));
                }
                if moving.is_empty() {
                    return;
                }
            }
        }
    }

    /// One Gibbs sweep of these chains: the block `first` given the other, then the other.
    pub fn gibbs(&mut self, weights: &ChainWeights<W>, first: Block, active: &[u32]) {
        for block in [first, first.other()] {
            self.update(weights, block, Decide::Sample, active);
        }
    }

    /// Proposes uniform random bits to each of these chains, as the core's Metropolis-Hastings step does, and tells
    /// `decided(chain, whether it was accepted)`. **The chains are left at their proposals**, accepted or not: nothing
    /// is kept to go back to.
    pub fn propose(&mut self, weights: &ChainWeights<W>, active: &[u32], mut decided: impl FnMut(usize, bool)) {
        self.look(weights, Block::Odd, active);
        let before: Vec<_> = active.iter().map(|&chain| self.energy(weights, chain as usize)).collect();
        self.randomise(active);
        self.look(weights, Block::Odd, active);
        for (&chain, before) in active.iter().zip(before) {
            let chain = chain as usize;
            let rise = W::Field::rise(before, self.energy(weights, chain), weights.scale());
            decided(chain, u64::from(self.draw(chain)) < exp_neg(rise));
        }
    }
}
