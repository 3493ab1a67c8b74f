//! Meeting times of many pairs with y_0 = x_0, by the engine for many chains.
//!
//! The draws are those of the core's [`Horizon::estimate`](bitboltz_core::coupling::Horizon::estimate) with lag 1, so the
//! meeting times are too, up to the rounding of the fields.

use bitboltz_core::{
    conditional::Block, coupling::Horizon, fixed::exp_neg, rng::stream, search::LocalModeSearch, weights::Field as _,
};

use crate::{
    batch::{ChainWeights, Chains, Clamping, in_blocks},
    estimator::StartPolicy,
};

/// Pairs to run: how many, from which seed, from where, for how long.
#[derive(Clone, Copy, Debug)]
pub struct Pairs {
    /// Number of pairs.
    pub count: usize,
    /// Seed of their streams, one for each pair.
    pub seed: u64,
    /// Where they start.
    pub start: StartPolicy,
    /// Last step at which a pair may meet.
    pub cap: u32,
}

/// What became of a pair.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Meeting {
    /// Sweeps of local mode search; `None` for a random start.
    pub sweeps: Option<u32>,
    /// τ; `None` if the pair had not met at the cap.
    pub tau: Option<u32>,
    /// E(x_0) − E(x′) of the first uniform proposal x′, the logarithm of its acceptance ratio; `None` for Gibbs.
    pub log_ratio: Option<f64>,
}

/// Two energies of a pair that coupled Metropolis-Hastings moves.
struct Energies {
    x: f64,
    y: f64,
}

/// Runs pairs by coupled Metropolis-Hastings.
///
/// Whether a proposal is accepted depends on the energies alone, so no states are kept: the chains of the engine hold the
/// proposals. A pair whose x accepts a proposal that happens to be y's very state counts as not met; with 30 units and
/// more that has a probability below 10⁻⁹.
pub fn metropolis_hastings(weights: &ChainWeights<f32>, pairs: &Pairs) -> Vec<Meeting> {
    let scale = weights.scale();
    let run = |chains: &mut Chains<f32>, numbers: std::ops::Range<usize>| {
        let mut met = begin(chains, weights, pairs, numbers, 1);
        let mut active: Vec<u32> = (0..chains.len() as u32).collect();
        let energy = |chains: &mut Chains<f32>, active: &[u32]| -> Vec<f64> {
            chains.look(weights, Block::Odd, active);
            active.iter().map(|&chain| chains.energy(weights, chain as usize)).collect()
        };
        let mut energies: Vec<Energies> =
            energy(chains, &active).into_iter().map(|energy| Energies { x: energy, y: energy }).collect();
        for t in 1..=pairs.cap {
            if active.is_empty() {
                break;
            }
            chains.randomise(&active);
            let proposed = energy(chains, &active);
            let mut left = Vec::new();
            for (&chain, proposed) in active.iter().zip(proposed) {
                let (Energies { x, y }, met) = (&mut energies[chain as usize], &mut met[chain as usize]);
                let draw = u64::from(chains.draw(chain as usize));
                let accepts = |from: f64| draw < exp_neg(f32::rise(from, proposed, scale));
                let accepted = [accepts(*x), accepts(*y)];
                if t == 1 {
                    met.log_ratio = Some(*x - proposed);
                }
                if accepted[0] {
                    *x = proposed;
                }
                // The first step is x's alone: if it stays, it is where y starts.
                let together = if t == 1 { !accepted[0] } else { accepted[0] && accepted[1] };
                if t > 1 && accepted[1] {
                    *y = proposed;
                }
                if together {
                    met.tau = Some(t);
                } else {
                    left.push(chain);
                }
            }
            active = left;
        }
        met
    };
    in_blocks(pairs.count, || Chains::new(weights.shape()), run).concat()
}

/// Runs pairs by coupled Gibbs sweeps, odd layers first.
pub fn gibbs(weights: &ChainWeights<f32>, pairs: &Pairs) -> Vec<Meeting> {
    let horizon = Horizon { k: 0, m: 0, lag: 1, cap: pairs.cap };
    let run = |chains: &mut Chains<f32>, numbers: std::ops::Range<usize>| {
        let count = numbers.len();
        // x of all pairs, then y of all, as `couple` wants them.
        let mut met = begin(chains, weights, pairs, numbers, 2);
        (0..count).for_each(|x| chains.copy_chain(x, count + x));
        let active: Vec<u32> = (0..count as u32).collect();
        let mut meetings = Vec::new();
        chains.couple(weights, &horizon, &active, &mut meetings, |_, _, _| ());
        met.iter_mut().zip(meetings).for_each(|(met, meeting)| met.tau = meeting.ok().map(|meeting| meeting.tau));
        met
    };
    in_blocks(pairs.count, || Chains::new(weights.shape()), run).concat()
}

/// Makes so many copies of these chains, and starts those of the first: random bits, or a local mode and one Gibbs sweep.
fn begin(
    chains: &mut Chains<f32>,
    weights: &ChainWeights<f32>,
    pairs: &Pairs,
    numbers: std::ops::Range<usize>,
    copies: usize,
) -> Vec<Meeting> {
    let all: Vec<u32> = (0..numbers.len() as u32).collect();
    let streams = (0..copies).flat_map(|_| numbers.clone()).map(|number| stream(pairs.seed, number as u64));
    chains.reset(weights, streams, None, Clamping::Free);
    chains.randomise(&all);
    if pairs.start == StartPolicy::Random {
        return vec![Meeting::default(); all.len()];
    }
    let mut reports = Vec::new();
    let search = LocalModeSearch::default();
    chains.search(weights, &search, &all, &mut reports);
    chains.gibbs(weights, Block::Odd, &all);
    // A search that floats keep from ending counts with its cap, which no search of these models has come near.
    let sweeps = |report: &Result<_, _>| {
        report.as_ref().map_or(search.cap, |found: &bitboltz_core::search::SearchReport| found.sweeps)
    };
    reports.iter().map(|report| Meeting { sweeps: Some(sweeps(report)), ..Meeting::default() }).collect()
}

#[cfg(test)]
mod tests {
    use bitboltz_core::{
        coupling::{CouplingError, Horizon},
        rng::stream,
        state::Clamp,
    };

    use super::*;
    use crate::{
        chain::PairBuffer,
        estimator::{EstimateError, Estimator, Phase, TransitionPolicy},
        eval::random::random_parameters,
    };

    /// The engine's pairs against the core's, one after the other.
    #[test]
    fn meetings_are_those_of_the_core() {
        const COUNT: usize = 150;
        for (widths, std) in [(&[5, 4, 6][..], 0.7), (&[20, 20, 20], 0.15), (&[33, 40], 0.1)] {
            let parameters = random_parameters(widths, std, 0.3, 1).unwrap();
            let model = parameters.dbm().unwrap();
            let weights = ChainWeights::new(&model);
            for start in [StartPolicy::Random, StartPolicy::LocalMode] {
                let pairs = Pairs { count: COUNT, seed: 3, start, cap: 60 };
                for (transition, found) in [
                    (TransitionPolicy::MetropolisHastings, metropolis_hastings(&weights, &pairs)),
                    (TransitionPolicy::Gibbs, gibbs(&weights, &pairs)),
                ] {
                    let horizon = Horizon { cap: pairs.cap, ..Horizon::default() };
                    let estimator = Estimator::ucd(start, transition).with_horizon(horizon);
                    let mut buffers = PairBuffer::new(model.shape());
                    for (number, found) in found.iter().enumerate() {
                        let (mut rng, clamp) = (stream(3, number as u64), Clamp::none());
                        let run =
                            estimator.run(&model, Phase::Negative, &[], &clamp, &mut buffers, &mut rng, |_, _| ());
                        let label = || format!("{widths:?} {start:?} {transition:?} {number}");
                        match run {
                            Ok(report) => {
                                assert_eq!(found.tau, report.tau, "{}", label());
                                assert_eq!(found.sweeps.unwrap_or(0), report.search_sweeps, "{}", label());
                            }
                            Err(EstimateError::Coupling(CouplingError::CapHit { .. })) => {
                                assert_eq!(found.tau, None, "{}", label());
                            }
                            Err(error) => panic!("{}: {error}", label()),
                        }
                        assert_eq!(found.log_ratio.is_some(), transition == TransitionPolicy::MetropolisHastings);
                    }
                    assert!(found.iter().any(|met| met.tau.is_some_and(|tau| tau > 1)), "no pair ran on");
                }
            }
        }
    }
}
