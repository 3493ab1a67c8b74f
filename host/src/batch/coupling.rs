//! Coupled Gibbs chains: the core's [`Horizon::estimate`] for many pairs at once.
//!
//! A pair is two chains of one set, so that a row of weights that is read serves both. They differ in few units once they
//! are near each other, but each keeps its own fields: only the rows of units that flip are read, in either chain, so what
//! they have in common costs little as it is.

use bitboltz_core::{
    conditional::Block,
    coupling::{CouplingError, Horizon, MeetingTime},
};

use super::{chains::Chains, tile::TileWeight, weights::ChainWeights};

/// A state that counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shown {
    /// The pair.
    pub pair: usize,
    /// The chain whose state it is: the pair's number for x, plus the number of pairs for y.
    pub chain: usize,
    /// Its weight in H_{k:m}.
    pub weight: f64,
}

impl<W: TileWeight> Chains<W> {
    /// Runs these pairs from where they are, x_0 and y_0, by Gibbs sweeps (odd layers first) with common uniforms, and
    /// writes when they met into `reports`, one for each active pair. After each step `observe(chains, t, states)` is told
    /// the states that count, those of a pair in the order in which the core shows them; bits and streams it must leave
    /// as they are. Pairs that have met and whose horizon is done leave.
    ///
    /// Pair i of n is chain i, x, with the pair's stream, and chain n + i, y, whose stream is overwritten.
    pub fn couple(
        &mut self,
        weights: &ChainWeights<W>,
        horizon: &Horizon,
        active: &[u32],
        reports: &mut Vec<Result<MeetingTime, CouplingError>>,
        mut observe: impl FnMut(&mut Self, u32, &[Shown]),
    ) {
        let Horizon { k, m, lag, cap } = *horizon;
        reports.clear();
        if k > m || lag == 0 {
            reports.resize(active.len(), Err(CouplingError::Horizon { horizon: *horizon }));
            return;
        }
        reports.resize(active.len(), Err(CouplingError::CapHit { cap }));
        let pairs = self.len() / 2;
        // (place in `active`, τ)
        let mut running: Vec<(usize, Option<u32>)> = (0..active.len()).map(|at| (at, None)).collect();
        let (mut shown, mut moving) = (Vec::new(), Vec::new());
        for t in 0.. {
            shown.clear();
            for (at, tau) in &mut running {
                let pair = active[*at] as usize;
                if tau.is_none() && t >= lag && self.words(pair) == self.words(pairs + pair) {
                    *tau = Some(t);
                }
                let states = [pair, pairs + pair].into_iter().zip(horizon.weights(t, tau.is_some()));
                let states = states.filter(|&(_, weight)| weight != 0.0);
                shown.extend(states.map(|(chain, weight)| Shown { pair, chain, weight }));
            }
            if !shown.is_empty() {
                observe(self, t, &shown);
            }
            running.retain(|&(at, tau)| match tau {
                Some(tau) if t >= m => {
                    reports[at] = Ok(MeetingTime { tau });
                    false
                }
                None => t < cap,
                Some(_) => true,
            });
            if running.is_empty() {
                return;
            }
            moving.clear();
            for &(at, tau) in &running {
                let pair = active[at] as usize;
                moving.push(pair as u32);
                if tau.is_none() && t >= lag {
                    self.copy_stream(pair, pairs + pair);
                    moving.push((pairs + pair) as u32);
                }
            }
            self.gibbs(weights, Block::Odd, &moving);
        }
    }
}
