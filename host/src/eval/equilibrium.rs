//! How far a model's short runs are from its own distribution: many Gibbs chains from two starts, looked at on the way.
//!
//! The two starts are the model's generator (uniform random bits → local mode → one Gibbs sweep) and data (hidden units
//! found likewise, given the visible ones). If both have come to the same energies and densities, these are likely those
//! of the Boltzmann distribution; where the generator's differ at sweep 0, what it shows is not what the model's
//! likelihood is about. That they agree is necessary, not sufficient: chains may be held in the same part of the space.

use bitboltz_core::{
    bits::count_ones,
    conditional::Block,
    model::DenseDbm,
    rng::{GOLDEN, stream},
    search::{LocalModeSearch, SearchCapHit},
    weights::Field as _,
};
use serde::Serialize;

use super::importance::mean_and_variance;
use crate::{
    batch::{ChainWeights, Chains, Clamping, TileWeight, in_blocks},
    bits::BitMatrix,
    chain::visible_mask,
};

/// Mean, standard deviation over chains, and standard error of the mean.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// Mean over the chains.
    pub mean: f64,
    /// Standard deviation over the chains. NaN for one.
    pub sd: f64,
    /// Standard error of the mean: chains are independent. NaN for one.
    pub standard_error: f64,
}

impl Spread {
    fn of(numbers: &[f64]) -> Self {
        let (mean, variance) = mean_and_variance(numbers);
        Self { mean, sd: variance.sqrt(), standard_error: (variance / numbers.len() as f64).sqrt() }
    }
}

/// The chains after so many Gibbs sweeps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Point {
    /// Gibbs sweeps after the start.
    pub sweeps: u32,
    /// E(x).
    pub energy: Spread,
    /// Share of the visible units that are on.
    pub visible_on: Spread,
    /// Share of the hidden units that are on.
    pub hidden_on: Spread,
}

/// Where chains begin.
#[derive(Clone, Copy, Debug)]
pub enum From<'d> {
    /// The generator.
    Generator,
    /// These visible vectors, again from the first if there are more chains.
    Data(&'d BitMatrix),
}

/// Sweeps to look at: 0, then powers of ten up to `most`, and `most`.
pub fn sweeps_to(most: u32) -> Vec<u32> {
    let mut sweeps = vec![0];
    sweeps.extend(std::iter::successors(Some(1), |&s: &u32| s.checked_mul(10)).take_while(|&s| s < most));
    if most > 0 {
        sweeps.push(most);
    }
    sweeps
}

/// Runs `count` chains and looks at them after each number of `sweeps`, which ascend. Chain i draws from
/// `stream(seed, i)`. `progress` is told of sweeps times chains.
///
/// # Errors
/// [`SearchCapHit`], if the search of a start finds no mode.
///
/// # Panics
/// Without chains, sweeps or data, or if data are not of the visible layer's width.
pub fn relax<W: TileWeight>(
    model: &DenseDbm<'_, W>,
    from: From<'_>,
    count: usize,
    sweeps: &[u32],
    seed: u64,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Vec<Point>, SearchCapHit> {
    assert!(count > 0 && !sweeps.is_empty(), "chains to look at");
    if let From::Data(rows) = from {
        assert!(rows.rows() > 0 && rows.cols() == model.shape().width(0), "rows of visible units");
    }
    let weights = ChainWeights::new(model);
    let blocks = in_blocks(
        count,
        || Chains::new(model.shape()),
        |chains, range| {
            let active: Vec<u32> = (0..range.len() as u32).collect();
            begin(chains, &weights, from, range.start, &active, seed)?;
            let (mut done, mut looks) = (0, Vec::new());
            for &until in sweeps {
                for _ in done..until {
                    chains.gibbs(&weights, Block::Odd, &active);
                    progress(active.len() as u64);
                }
                done = done.max(until);
                looks.push(look(chains, &weights, &active));
            }
            Ok(looks)
        },
    );
    let blocks: Vec<Vec<Vec<[f64; 3]>>> = blocks.into_iter().collect::<Result<_, _>>()?;
    let point = |(at, &sweeps): (usize, &u32)| {
        let of = |what: usize| {
            let numbers: Vec<f64> = blocks.iter().flat_map(|looks| &looks[at]).map(|chain| chain[what]).collect();
            Spread::of(&numbers)
        };
        Point { sweeps, energy: of(0), visible_on: of(1), hidden_on: of(2) }
    };
    Ok(sweeps.iter().enumerate().map(point).collect())
}

/// Puts chains `first`.. at their start.
fn begin<W: TileWeight>(
    chains: &mut Chains<W>,
    weights: &ChainWeights<W>,
    from: From<'_>,
    first: usize,
    active: &[u32],
    seed: u64,
) -> Result<(), SearchCapHit> {
    let shape = *weights.shape();
    let mask = visible_mask(&shape);
    let visible = |chain: usize| match from {
        From::Generator => unreachable!("only data are clamped"),
        From::Data(rows) => rows.row((first + chain) % rows.rows()),
    };
    let streams = |seed: u64| active.iter().map(move |&chain| stream(seed, first as u64 + u64::from(chain)));
    match from {
        From::Generator => chains.reset(weights, streams(seed), None, Clamping::Free),
        From::Data(..) => chains.reset(weights, streams(seed), Some(&visible), Clamping::Same(&mask)),
    }
    chains.randomise(active);
    let mut reports = Vec::new();
    chains.search(weights, &LocalModeSearch::default(), active, &mut reports);
    reports.into_iter().collect::<Result<Vec<_>, _>>()?;
    chains.gibbs(weights, Block::Odd, active);
    if let From::Data(..) = from {
        // Let go of the visible units: the same bits, none clamped, and streams that are not those of the start.
        let words: Vec<Vec<u32>> = active.iter().map(|&chain| chains.words(chain as usize).to_vec()).collect();
        chains.reset(weights, streams(seed ^ GOLDEN), None, Clamping::Free);
        words.iter().enumerate().for_each(|(chain, words)| chains.words_mut(chain).copy_from_slice(words));
    }
    Ok(())
}

/// Energy, share of visible and share of hidden units that are on, of each chain.
fn look<W: TileWeight>(chains: &mut Chains<W>, weights: &ChainWeights<W>, active: &[u32]) -> Vec<[f64; 3]> {
    chains.look(weights, Block::Odd, active);
    let shape = *weights.shape();
    let hidden = (shape.units() - shape.width(0)) as f64;
    let one = |&chain: &u32| {
        let chain = chain as usize;
        let energy = W::Field::energy_to_real(chains.energy(weights, chain), weights.scale());
        let words = chains.words(chain);
        let visible = count_ones(&words[shape.word_range(0)]);
        let all = count_ones(words);
        [energy, f64::from(visible) / shape.width(0) as f64, f64::from(all - visible) / hidden]
    };
    active.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        eval::{
            exact::{Given, Oracle},
            random::random_parameters,
        },
        quantise::Quantised,
    };

    fn quiet(_: u64) {}

    #[test]
    fn sweeps_are_powers_of_ten() {
        assert_eq!(sweeps_to(0), [0]);
        assert_eq!(sweeps_to(1), [0, 1]);
        assert_eq!(sweeps_to(100), [0, 1, 10, 100]);
        assert_eq!(sweeps_to(150), [0, 1, 10, 100, 150]);
        assert_eq!(sweeps_to(u32::MAX).last(), Some(&u32::MAX));
    }

    /// Mean energy and shares of units of a machine, by enumeration.
    fn exact<W: TileWeight>(model: &DenseDbm<'_, W>) -> [f64; 3] {
        let oracle = Oracle::new(model).unwrap();
        let visible = model.shape().width(0);
        let hidden = oracle.units() - visible;
        let all = oracle.distribution(Given::NOTHING);
        let mut sums = [0.0; 3];
        for (&code, p) in all.codes().iter().zip(all.probabilities()) {
            let on = (code & ((1 << visible) - 1)).count_ones();
            sums[0] += p * oracle.energy(code);
            sums[1] += p * f64::from(on) / visible as f64;
            sums[2] += p * f64::from(code.count_ones() - on) / hidden as f64;
        }
        sums
    }

    fn check<W: TileWeight>(model: &DenseDbm<'_, W>, seed: u64) {
        let expected = exact(model);
        let rows = BitMatrix::from_words(2, 5, vec![0b11111, 0b00010]).unwrap();
        for from in [From::Generator, From::Data(&rows)] {
            let found = relax(model, from, 4_000, &sweeps_to(100), seed, &quiet).unwrap();
            let last = found.last().unwrap();
            let begun = &found[0];
            for (what, spread) in [last.energy, last.visible_on, last.hidden_on].into_iter().enumerate() {
                let z = (spread.mean - expected[what]) / spread.standard_error;
                assert!(z.abs() < 5.0, "{what}: {spread:?}, exactly {}", expected[what]);
            }
            // Neither start is the distribution already.
            let z = (begun.energy.mean - expected[0]) / begun.energy.standard_error;
            assert!(z.abs() > 5.0, "{z}");
        }
    }

    #[test]
    fn long_chains_reach_the_models_own_distribution() {
        for seed in 1..4 {
            let parameters = random_parameters(&[5, 4, 3], 0.8, 0.5, seed).unwrap();
            check(&parameters.dbm().unwrap(), seed);
            check(&Quantised::<i8>::new(&parameters).unwrap().dbm().unwrap(), seed);
        }
    }

    #[test]
    fn data_are_the_start() {
        let parameters = random_parameters(&[5, 4, 3], 0.8, 0.5, 1).unwrap();
        let rows = BitMatrix::from_words(2, 5, vec![0b11111, 0b00010]).unwrap();
        let found = relax(&parameters.dbm().unwrap(), From::Data(&rows), 3, &[0], 1, &quiet).unwrap();
        // Rows 0, 1 and again 0.
        assert!((found[0].visible_on.mean - (1.0 + 0.2 + 1.0) / 3.0).abs() < 1e-12);
    }

    #[test]
    fn threads_change_nothing_and_progress_is_whole() {
        use std::sync::atomic::{AtomicU64, Ordering};
        let parameters = random_parameters(&[40, 20, 10], 0.3, 0.3, 1).unwrap();
        let model = parameters.dbm().unwrap();
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let done = AtomicU64::new(0);
            let progress = |steps| {
                done.fetch_add(steps, Ordering::Relaxed);
            };
            let found = pool.install(|| relax(&model, From::Generator, 30, &[0, 4, 9], 2, &progress)).unwrap();
            assert_eq!(done.into_inner(), 270);
            found
        };
        assert_eq!(run(1), run(3));
    }
}
