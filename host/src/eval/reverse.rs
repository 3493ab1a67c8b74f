//! Annealing backwards, from the machine to independent units, beside log Z of annealing forwards.
//!
//! Forward weights that miss a part of the machine's distribution make log Z too low and log p(v) too high, and all of
//! them may agree on it. Two kinds of backward chains show it, by their start:
//!
//! - **States of long Gibbs chains.** From exact samples the weights bound log Z from above (Grosse, Ghahramani, Adams
//!   2015), and both directions hold it between them. Long chains from training images are samples only as far as they
//!   mix: their figure is an indication, not a bound.
//! - **Data vectors** (RAISE: Burda, Grosse, Salakhutdinov 2015). The annealing that estimates log Z is itself a generator:
//!   independent units, then a sweep at every temperature. A backward path from v, weighed, bounds that generator's
//!   log p(v) from below, and this needs no samples of the machine. The generator comes to the machine as temperatures
//!   are added, and knows nothing of a mode that annealing does not find: so the figure errs on the side of caution,
//!   though of the machine itself it is no bound.
//!
//! The second in formulas: p_ann(v, h) is the mean of p*(v, h) / W over the backward paths from (v, h), where W is the weight
//! of the path forwards. With h from a mean field q, E[log (p*(v, h) / q(h))] is the variational bound on log p*(v), so that
//! log p_ann(v) is at least that bound minus E[log W]: log W stands where log Z does otherwise.

use std::time::Instant;

use bitboltz_core::rng::{GOLDEN, mix, stream};
use serde::Serialize;

use super::{
    ais::{Schedule, draw, log_inverse_z_weights},
    base_rate::BaseRate,
    importance::{LogMean, mean_and_error},
    likelihood::MeanLogP,
    mean_field::{FixedPoint, MeanField, MeanFields},
};
use crate::{bits::BitMatrix, parameters::Parameters, stages::Stages};

/// How much to spend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// Inverse temperatures between the machine and the base-rate model, and Gibbs sweeps from training images.
    pub betas: usize,
    /// Chains from either start.
    pub chains: usize,
    /// Seed; that of annealing forwards will do.
    pub seed: u64,
}

/// What chains that anneal backwards say.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Reverse {
    /// log Z by chains that begin where long Gibbs chains from training images end: were these exact samples, an upper
    /// bound in expectation.
    pub log_z: LogMean,
    /// Mean log weight of these chains less that of annealing forwards: the distance of two bounds, were the first exact
    /// samples. Where few chains carry an estimate, this says more than the distance of estimates does.
    pub gap: f64,
    /// Gibbs sweeps from training images.
    pub sweeps: usize,
    /// By chains that begin at data.
    pub conservative: Conservative,
    /// Chains from either start.
    pub chains: usize,
    /// Inverse temperatures.
    pub betas: usize,
    /// Wall time.
    pub seconds: f64,
}

/// The lower bound on log p(v) of annealing as a generator.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Conservative {
    /// Rows, from the first on.
    pub rows: usize,
    /// The bound.
    pub log_p: MeanLogP,
    /// log p(v) of the same rows (or its variational bound) with log Z of annealing forwards.
    pub forward: MeanLogP,
    /// How far the first is below the second: the mean of log W minus log Z of annealing forwards.
    pub gap: f64,
    /// Standard error of the gap over rows; without that of log Z.
    pub gap_error: f64,
}

/// Anneals backwards, to the base-rate model at which annealing forwards began, from Gibbs chains that begin at rows of
/// `train`, and from the first rows of `test`. `forward` is log Z of annealing forwards.
///
/// # Panics
/// If rows are not of the visible layer's width, if there are none, or without chains or temperatures.
pub fn measure(
    parameters: &Parameters,
    base: &BaseRate,
    [train, test]: [&BitMatrix; 2],
    forward: &LogMean,
    effort: &Effort,
    stages: &dyn Stages,
) -> Reverse {
    let start = Instant::now();
    let Effort { betas, chains, seed } = *effort;
    let seeds = |use_: u64| mix(seed.wrapping_add(GOLDEN.wrapping_mul(use_)));
    let schedule = Schedule::linear(betas);
    let fields = MeanFields::new(parameters);
    // All over the set, which may be sorted.
    let spread = (0..chains).flat_map(|chain| train.row(chain * train.rows() / chains)).copied().collect();
    let spread = BitMatrix::from_words(chains, train.cols(), spread).expect("rows of a matrix");
    let (begun, _) = states(parameters, &fields, &spread, seeds(2));
    let progress = stages.begin("log Z backwards", (2 * betas * chains) as u64);
    let logs = log_inverse_z_weights(parameters, base.biases(), &begun, betas, &schedule, seeds(3), &*progress);
    drop(progress);
    let log_z = LogMean::new(&logs).of_reciprocals();

    let rows = test.subset(0..chains.min(test.rows()));
    let (begun, bounds) = states(parameters, &fields, &rows, seeds(4));
    let progress = stages.begin("log p backwards", (betas * begun.len()) as u64);
    let logs = log_inverse_z_weights(parameters, base.biases(), &begun, 0, &schedule, seeds(5), &*progress);
    drop(progress);
    let mean_of = |minus: &dyn Fn(usize) -> f64| {
        let logs: Vec<f64> = bounds.iter().enumerate().map(|(row, bound)| bound - minus(row)).collect();
        MeanLogP::new(&logs, test.cols())
    };
    let (log_w, gap_error) = mean_and_error(&logs.iter().map(|log| -log).collect::<Vec<f64>>());
    let conservative = Conservative {
        rows: rows.rows(),
        log_p: mean_of(&|row| -logs[row]),
        forward: mean_of(&|_| forward.estimate),
        gap: log_w - forward.estimate,
        gap_error,
    };
    let seconds = start.elapsed().as_secs_f64();
    Reverse { gap: log_z.mean_log - forward.mean_log, log_z, sweeps: betas, conservative, chains, betas, seconds }
}

/// A state for each row: its visible units, and hidden units drawn from its mean field. With the bounds of these.
fn states(parameters: &Parameters, fields: &MeanFields<'_>, rows: &BitMatrix, seed: u64) -> (Vec<Vec<u32>>, Vec<f64>) {
    let shape = parameters.shape();
    let found: Vec<MeanField> = fields.each(rows, &FixedPoint::default(), |found| found, &|_| {});
    let state = |(row, found): (usize, &MeanField)| {
        let (mut state, mut drawn) = (rows.row(row).to_vec(), Vec::new());
        let mut rng = stream(seed, row as u64);
        for layer in 1..shape.layers() {
            let odds = found.fields[shape.unit_range(layer)].iter().map(|&field| (field, (-field.abs()).exp()));
            draw(&mut rng, odds, &mut drawn);
            state.extend_from_slice(&drawn);
        }
        state
    };
    (found.iter().enumerate().map(state).collect(), found.iter().map(|found| found.bound).collect())
}

#[cfg(test)]
mod tests {
    use bitboltz_core::image::Geometry;

    use super::*;
    use crate::{
        eval::{
            ais::log_z_weights,
            exact::{Given, Oracle},
            random::random_parameters,
        },
        stages::Quiet,
    };

    /// Both directions on a machine, with the rows of this set as training and test data.
    fn both(parameters: &Parameters, rows: &BitMatrix, betas: usize, chains: usize) -> (LogMean, Reverse) {
        let base = BaseRate::of(rows);
        let logs = log_z_weights(parameters, base.biases(), &Schedule::linear(betas), chains, 7, &|_| {});
        let forward = LogMean::new(&logs);
        (forward, measure(parameters, &base, [rows, rows], &forward, &Effort { betas, chains, seed: 7 }, &Quiet))
    }

    /// Every visible vector once.
    fn all(units: usize) -> BitMatrix {
        BitMatrix::from_words(1 << units, units, (0..1 << units).collect()).unwrap()
    }

    #[test]
    fn where_chains_mix_both_directions_agree_with_enumeration() {
        for widths in [&[5, 6][..], &[5, 4, 3], &[5, 3, 3, 2]] {
            for seed in 1..4 {
                let parameters = random_parameters(widths, 0.8, 0.5, seed).unwrap();
                let oracle = Oracle::new(&parameters.dbm().unwrap()).unwrap();
                let exact = oracle.log_z(Given::NOTHING);
                let (forward, found) = both(&parameters, &all(5), 40, 600);
                for (what, mean) in [("forward", forward), ("backward", found.log_z)] {
                    assert!((mean.estimate - exact).abs() < 5.0 * mean.standard_error, "{what}: {mean:?}, {exact}");
                }
                assert!((found.gap - (found.log_z.mean_log - forward.mean_log)).abs() < 1e-12);
            }
        }
    }

    /// Of vectors that are the machine's own, no generator has a higher mean log p(v) than the machine: annealing by few
    /// temperatures has a lower one, its bound is below that, and both come closer with more.
    #[test]
    fn from_data_of_the_machine_it_is_below_log_p_and_comes_to_it() {
        for widths in [&[5, 6][..], &[5, 2], &[5, 4, 3]] {
            let parameters = random_parameters(widths, 1.0, 0.5, 3).unwrap();
            let oracle = Oracle::new(&parameters.dbm().unwrap()).unwrap();
            let all = oracle.distribution(Given::NOTHING);
            let mut rng = stream(1, 0);
            let words: Vec<u32> = (0..400).map(|_| all.codes()[all.sample(&mut rng)] & 0b11111).collect();
            let mean = words.iter().map(|&v| oracle.log_likelihood(v)).sum::<f64>() / 400.0;
            let rows = BitMatrix::from_words(400, 5, words).unwrap();
            let [few, many] = [1, 100].map(|betas| both(&parameters, &rows, betas, 400).1.conservative);
            assert_eq!((few.rows, many.rows), (400, 400));
            assert!(few.log_p.nats < mean - 2.0 * few.gap_error, "{few:?}, exactly {mean}");
            assert!(many.log_p.nats < mean + 5.0 * many.gap_error, "{many:?}, exactly {mean}");
            assert!(many.log_p.nats > few.log_p.nats && many.gap.abs() < 0.15, "{few:?} {many:?}");
            assert!((few.forward.nats - few.log_p.nats - few.gap).abs() < 1e-9);
        }
    }

    /// A machine of two wells, all off and all on, the second e⁸ times as likely; annealing from pixels that are mostly off
    /// falls into the first, every chain alike, and is sure of a log Z that is too low by 8.
    #[test]
    fn where_annealing_misses_a_mode_there_are_gaps() {
        let biases = vec![vec![-11.5; 8]; 2];
        let parameters = Parameters::new(vec![vec![3.0; 64]], biases, Geometry::default()).unwrap();
        let oracle = Oracle::new(&parameters.dbm().unwrap()).unwrap();
        let exact = oracle.log_z(Given::NOTHING);
        assert!((7.9..8.1).contains(&exact), "{exact}");
        // What the base is made of is mostly off; the chains that go backwards begin at what is on.
        let words = (0..1_000).map(|row| if row < 20 { 0xFF } else { 0 }).collect();
        let rows = BitMatrix::from_words(1_000, 8, words).unwrap();
        let base = BaseRate::of(&rows);
        let logs = log_z_weights(&parameters, base.biases(), &Schedule::linear(500), 20, 1, &|_| {});
        let forward = LogMean::new(&logs);
        assert!(forward.estimate < 0.5 && forward.standard_error < 0.2, "{forward:?}");
        let on = rows.subset(0..20);
        let effort = Effort { betas: 500, chains: 20, seed: 1 };
        let found = measure(&parameters, &base, [&on, &on], &forward, &effort, &Quiet);
        assert!(found.gap > 6.0 && found.conservative.gap > 6.0, "{found:?}");
        // The same with weights that every chain passes: no gaps.
        let parameters = Parameters::new(vec![vec![0.3; 64]], vec![vec![-1.2; 8]; 2], Geometry::default()).unwrap();
        let (_, found) = both(&parameters, &rows, 500, 20);
        assert!(found.gap.abs() < 0.5 && found.conservative.gap.abs() < 0.5, "{found:?}");
    }
}
