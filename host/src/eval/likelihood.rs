//! log Z of a model, and log p(v) of data: exact with one hidden layer, else a lower bound and an estimate; beside the
//! base-rate model.
//!
//! log p(v) = log p*(v) − log Z. The second term is estimated once, by [annealed importance sampling](super::ais), and its
//! error is that of every log p(v) alike. The first is a [mean-field bound](super::mean_field); for some rows it is also
//! estimated by annealing the hidden units from that mean field, which shows how far below log p(v) the bound is.
//!
//! Annealing [backwards](super::reverse) says how far log Z may be off.

use std::time::Instant;

use bitboltz_core::rng::{GOLDEN, mix};
use serde::Serialize;

use super::{
    ais::{Schedule, log_p_star_weights, log_z_weights},
    base_rate::BaseRate,
    importance::{LogMean, mean_and_error},
    mean_field::{FixedPoint, MeanField, MeanFields},
    reverse::{self, Reverse},
};
use crate::{bits::BitMatrix, parameters::Parameters, stages::Stages};

/// How much to spend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// Inverse temperatures between the base-rate model and the machine.
    pub betas: usize,
    /// Chains of log Z.
    pub chains: usize,
    /// Rows whose log p*(v) is estimated by annealing, from the first on; only with more than one hidden layer.
    pub clamped_rows: usize,
    /// Inverse temperatures from a row's mean field to its hidden distribution.
    pub clamped_betas: usize,
    /// Chains of each such row.
    pub clamped_chains: usize,
    /// Chains that anneal backwards, from each of two starts, by as many temperatures as log Z; none leaves this out.
    pub reverse_chains: usize,
    /// Seed.
    pub seed: u64,
}

/// A mean of log p(v) over rows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct MeanLogP {
    /// Mean of log p(v).
    pub nats: f64,
    /// −log₂ p(v) for each visible unit: what a unit costs in a code made from the model.
    pub bits_per_unit: f64,
    /// Standard error of `nats` over rows, were they a sample; without that of log Z.
    pub standard_error: f64,
}

impl MeanLogP {
    /// Of the log p(v) of rows of so many units.
    pub(super) fn new(logs: &[f64], units: usize) -> Self {
        let (nats, standard_error) = mean_and_error(logs);
        Self { nats, bits_per_unit: -nats / (units as f64 * std::f64::consts::LN_2), standard_error }
    }
}

/// log Z by annealed importance sampling.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LogZ {
    /// The estimate and its spread.
    #[serde(flatten)]
    pub mean: LogMean,
    /// Chains.
    pub chains: usize,
    /// Inverse temperatures.
    pub betas: usize,
    /// Wall time.
    pub seconds: f64,
}

/// log p(v) of some rows, their hidden units annealed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Clamped {
    /// Rows, from the first on.
    pub rows: usize,
    /// log p(v) by annealing.
    pub log_p: MeanLogP,
    /// The bound of the same rows.
    pub bound: MeanLogP,
    /// Standard error of the mean of log p*(v) that comes from annealing.
    pub annealing_error: f64,
    /// Chains of each row.
    pub chains: usize,
    /// Inverse temperatures.
    pub betas: usize,
    /// Smallest effective sample size of a row.
    pub least_effective: f64,
    /// Wall time.
    pub seconds: f64,
}

/// The likelihood of a model.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Likelihood {
    /// log Z.
    pub log_z: LogZ,
    /// Annealing backwards, for comparison.
    pub reverse: Option<Reverse>,
    /// Rows of data.
    pub rows: usize,
    /// Whether `log_p` is exact, given log Z, and not a lower bound: with one hidden layer.
    pub exact: bool,
    /// log p(v) or its lower bound.
    pub log_p: MeanLogP,
    /// Rows whose mean field had not come to rest at the cap; the bound holds for them too.
    pub unsettled: usize,
    /// Wall time of the bound.
    pub seconds: f64,
    /// Rows with annealed hidden units, with more than one hidden layer.
    pub clamped: Option<Clamped>,
    /// The same rows under independent units with the means of the training data.
    pub base_rate: MeanLogP,
}

/// Estimates log Z, from the base rates of `train`, and log p(v) of the rows of `test`.
///
/// # Panics
/// If rows are not of the visible layer's width, if there are none, or without chains or temperatures.
pub fn measure(
    parameters: &Parameters,
    train: &BitMatrix,
    test: &BitMatrix,
    effort: &Effort,
    stages: &dyn Stages,
) -> Likelihood {
    assert!(train.rows() > 0 && test.rows() > 0, "rows of data");
    let units = test.cols();
    let base = BaseRate::of(train);
    let log_z = log_z(parameters, &base, effort, stages);
    let Effort { betas, reverse_chains: chains, seed, .. } = *effort;
    let backwards = reverse::Effort { betas, chains, seed };
    let reverse =
        (chains > 0).then(|| reverse::measure(parameters, &base, [train, test], &log_z.mean, &backwards, stages));
    let log_p = |logs: &[f64]| -> Vec<f64> { logs.iter().map(|log| log - log_z.mean.estimate).collect() };

    let start = Instant::now();
    let fields = MeanFields::new(parameters);
    let progress = stages.begin("mean fields", test.rows() as u64);
    let found = fields.each(test, &FixedPoint::default(), |found| (found.bound, found.converged), &*progress);
    drop(progress);
    let bounds: Vec<f64> = found.iter().map(|(bound, _)| *bound).collect();
    let exact = parameters.shape().layers() == 2;
    let wanted = if exact { 0 } else { effort.clamped_rows.min(test.rows()) };
    Likelihood {
        log_z,
        reverse,
        rows: test.rows(),
        exact,
        log_p: MeanLogP::new(&log_p(&bounds), units),
        unsettled: found.iter().filter(|(_, converged)| !converged).count(),
        seconds: start.elapsed().as_secs_f64(),
        clamped: (wanted > 0).then(|| clamped(parameters, &fields, &test.subset(0..wanted), &log_p, effort, stages)),
        base_rate: MeanLogP::new(&base.log_likelihoods(test), units),
    }
}

fn log_z(parameters: &Parameters, base: &BaseRate, effort: &Effort, stages: &dyn Stages) -> LogZ {
    let start = Instant::now();
    let Effort { betas, chains, seed, .. } = *effort;
    let progress = stages.begin("log Z", (betas * chains) as u64);
    let logs = log_z_weights(parameters, base.biases(), &Schedule::linear(betas), chains, seed, &*progress);
    LogZ { mean: LogMean::new(&logs), chains, betas, seconds: start.elapsed().as_secs_f64() }
}

fn clamped(
    parameters: &Parameters,
    fields: &MeanFields<'_>,
    rows: &BitMatrix,
    log_p: &dyn Fn(&[f64]) -> Vec<f64>,
    effort: &Effort,
    stages: &dyn Stages,
) -> Clamped {
    let start = Instant::now();
    let Effort { clamped_betas: betas, clamped_chains: chains, seed, .. } = *effort;
    let bases: Vec<MeanField> = fields.each(rows, &FixedPoint::default(), |found| found, &|_| {});
    let base = |i: usize| &bases[i].fields[..];
    let progress = stages.begin("hidden units", (rows.rows() * betas * chains) as u64);
    let seed = mix(seed.wrapping_add(GOLDEN));
    let logs = log_p_star_weights(parameters, rows, &base, &Schedule::linear(betas), chains, seed, &*progress);
    drop(progress);
    let each: Vec<LogMean> = logs.chunks_exact(chains).map(LogMean::new).collect();
    let mean_of = |logs: Vec<f64>| MeanLogP::new(&log_p(&logs), rows.cols());
    Clamped {
        rows: rows.rows(),
        log_p: mean_of(each.iter().map(|row| row.estimate).collect()),
        bound: mean_of(bases.iter().map(|row| row.bound).collect()),
        annealing_error: each.iter().map(|row| row.standard_error.powi(2)).sum::<f64>().sqrt() / rows.rows() as f64,
        chains,
        betas,
        least_effective: each.iter().map(|row| row.effective_sample_size).fold(f64::INFINITY, f64::min),
        seconds: start.elapsed().as_secs_f64(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        eval::{exact::Oracle, random::random_parameters},
        stages::Quiet,
    };

    const EFFORT: Effort = Effort {
        betas: 50,
        chains: 2_000,
        clamped_rows: 9,
        clamped_betas: 20,
        clamped_chains: 500,
        reverse_chains: 0,
        seed: 3,
    };

    fn rows(units: usize) -> BitMatrix {
        BitMatrix::from_words(16, units, (0..16).map(|i| i * 37 % (1 << units)).collect()).unwrap()
    }

    /// Mean log p(v) of the first rows, by enumeration.
    fn exact(parameters: &Parameters, rows: &BitMatrix, count: usize) -> f64 {
        let oracle = Oracle::new(&parameters.dbm().unwrap()).unwrap();
        (0..count).map(|i| oracle.log_likelihood(rows.row(i)[0])).sum::<f64>() / count as f64
    }

    #[test]
    fn with_one_hidden_layer_it_is_exact_but_for_log_z() {
        for seed in 1..6 {
            let parameters = random_parameters(&[6, 5], 1.0, 0.5, seed).unwrap();
            let rows = rows(6);
            let found = measure(&parameters, &rows, &rows, &EFFORT, &Quiet);
            assert!(found.exact && found.clamped.is_none());
            let error = found.log_p.nats - exact(&parameters, &rows, 16);
            assert!(error.abs() < 5.0 * found.log_z.mean.standard_error, "{error} {found:?}");
            assert!((found.log_p.bits_per_unit * 6.0 * 2.0_f64.ln() + found.log_p.nats).abs() < 1e-12);
        }
    }

    #[test]
    fn with_two_the_bound_is_below_and_annealing_is_right() {
        for seed in 1..6 {
            let parameters = random_parameters(&[6, 5, 4], 1.0, 0.5, seed).unwrap();
            let rows = rows(6);
            let found = measure(&parameters, &rows, &rows, &EFFORT, &Quiet);
            let of_log_z = found.log_z.mean.standard_error;
            assert!(!found.exact && found.log_p.nats < exact(&parameters, &rows, 16) + 5.0 * of_log_z);
            let clamped = found.clamped.unwrap();
            assert_eq!(clamped.rows, 9);
            let error = clamped.log_p.nats - exact(&parameters, &rows, 9);
            assert!(error.abs() < 5.0 * f64::hypot(of_log_z, clamped.annealing_error), "{error} {found:?}");
            assert!(clamped.bound.nats < clamped.log_p.nats - 10.0 * clamped.annealing_error, "{found:?}");
        }
    }
}
