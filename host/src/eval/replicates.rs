//! An estimator over many independent runs: mean, standard error, bias and meeting times.
//!
//! Replicate r draws from stream r of the seed, and sums are formed in blocks of fixed size, added in order, so the
//! results do not depend on the number of threads.

use bitboltz_core::{
    connection::Connection,
    coupling::CouplingError,
    model::Dbm,
    rng::{XorShiftRng, stream},
    state::{Clamp, State},
};
use rayon::prelude::*;

use super::{
    layout::Layout,
    statistics::{Statistics, Values, center},
};
use crate::{
    chain::{PairBuffer, visible_mask},
    estimator::{EstimateError, Estimator, Phase},
};

/// How many replicates, from which seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Runs {
    /// Replicates.
    pub replicates: u32,
    /// Seed of their streams.
    pub seed: u64,
}

/// What replicates of a random vector came to. Replicates that failed are in no mean, which makes the rest biased: they
/// are counted.
#[derive(Clone, Debug, PartialEq)]
pub struct Replicates {
    /// Replicates that gave an estimate.
    pub kept: u32,
    /// Mean of each component; 0 if nothing was kept.
    pub mean: Vec<f64>,
    /// Standard error of each mean; infinite with fewer than two kept.
    pub se: Vec<f64>,
    /// The positive phases.
    pub positive: PhaseSummary,
    /// The negative phases. They run only after a positive phase that succeeded.
    pub negative: PhaseSummary,
}

/// What one phase took, over all replicates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PhaseSummary {
    /// Meeting times, ascending, of the chains that met. Empty for an estimator without coupling.
    pub tau: Vec<u32>,
    /// Pairs that had not met at the horizon's cap.
    pub cap_hits: u32,
    /// Starts that found no local mode.
    pub search_failures: u32,
}

/// Why one replicate gave no estimate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The phase that failed.
    pub phase: Phase,
    /// What went wrong.
    pub error: EstimateError,
}

impl PhaseSummary {
    /// Mean meeting time; `None` if there is none.
    pub fn tau_mean(&self) -> Option<f64> {
        let sum: f64 = self.tau.iter().map(|&tau| f64::from(tau)).sum();
        (!self.tau.is_empty()).then(|| sum / self.tau.len() as f64)
    }

    /// The smallest meeting time that at least a share `q` of the pairs did not exceed; `None` if there is none.
    pub fn tau_quantile(&self, q: f64) -> Option<u32> {
        let rank = (q * self.tau.len() as f64).ceil() as usize;
        self.tau.get(rank.max(1) - 1).or(self.tau.last()).copied()
    }

    /// Largest meeting time; `None` if there is none.
    pub fn tau_max(&self) -> Option<u32> {
        self.tau.last().copied()
    }

    /// Share of the pairs that met at step 1; `None` if none met.
    pub fn p_tau_1(&self) -> Option<f64> {
        let ones = self.tau.partition_point(|&tau| tau <= 1);
        (!self.tau.is_empty()).then(|| ones as f64 / self.tau.len() as f64)
    }

    fn fail(&mut self, error: EstimateError) {
        match error {
            EstimateError::Search(_) => self.search_failures += 1,
            EstimateError::Coupling(_) => self.cap_hits += 1,
        }
    }

    fn merge(&mut self, mut other: Self) {
        self.tau.append(&mut other.tau);
        self.cap_hits += other.cap_hits;
        self.search_failures += other.search_failures;
    }
}

impl Replicates {
    /// Mean minus `exact`, component by component.
    pub fn bias(&self, exact: &[f64]) -> Vec<f64> {
        self.mean.iter().zip(exact).map(|(mean, exact)| mean - exact).collect()
    }

    /// Bias in standard errors. A component without any spread has 0 if its mean is exact to rounding, else infinity; NaN
    /// if too few runs were kept to tell.
    pub fn z(&self, exact: &[f64]) -> Vec<f64> {
        let z = |(bias, se): (f64, &f64)| match () {
            () if !se.is_finite() => f64::NAN,
            () if bias.abs() < 1e-9 => 0.0,
            () => bias / se,
        };
        self.bias(exact).into_iter().zip(&self.se).map(z).collect()
    }
}

/// Largest magnitude of any component; NaN if one is.
pub fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |largest, value| if value.is_nan() { f64::NAN } else { value.abs().max(largest) })
}

/// Runs replicates of any random vector of `len` components. `draw` adds one realisation to a vector of zeros and
/// reports the meeting times of its two phases (positive, negative; `None` where nothing is coupled); each thread has
/// one `scratch`.
///
/// # Errors
/// An impossible horizon. Other failures are counted.
pub fn replicate<S, D>(
    runs: Runs,
    len: usize,
    scratch: impl Fn() -> S + Sync + Send,
    draw: D,
) -> Result<Replicates, CouplingError>
where
    D: Fn(&mut S, &mut XorShiftRng, &mut [f64]) -> Result<[Option<u32>; 2], Failure> + Sync,
{
    const BLOCK: u32 = 256;
    let block = |(scratch, one): &mut (S, Vec<f64>), index: u32| {
        let mut sums = Sums::new(len);
        for replicate in index * BLOCK..runs.replicates.min((index + 1) * BLOCK) {
            one.fill(0.0);
            match draw(scratch, &mut stream(runs.seed, u64::from(replicate)), one) {
                Ok(taus) => {
                    sums.add(one);
                    sums.phases.iter_mut().zip(taus).for_each(|(phase, tau)| phase.tau.extend(tau));
                }
                Err(Failure { error: EstimateError::Coupling(error @ CouplingError::Horizon { .. }), .. }) => {
                    return Err(error);
                }
                Err(Failure { phase, error }) => sums.phases[phase as usize].fail(error),
            }
        }
        Ok(sums)
    };
    let blocks: Vec<_> = (0..runs.replicates.div_ceil(BLOCK))
        .into_par_iter()
        .map_init(|| (scratch(), vec![0.0; len]), block)
        .collect::<Result<_, _>>()?;
    let mut total = Sums::new(len);
    blocks.into_iter().for_each(|sums| total.merge(sums));
    Ok(total.finish())
}

/// The gradient of log p(v) by an estimator: positive minus negative phase, in the order of [`Layout`].
#[derive(Clone, Debug)]
pub struct GradientRun<'a> {
    /// The estimator.
    pub estimator: Estimator,
    /// The data vector, packed as layer 0 of a state.
    pub visible: &'a [u32],
    /// What stands for a unit's value.
    pub statistics: Statistics,
    /// Offsets of the [centered](center) gradient, one for each unit; `None` for the plain one.
    pub offsets: Option<&'a [f64]>,
}

impl<'a> GradientRun<'a> {
    /// The plain gradient from bits.
    pub fn new(estimator: Estimator, visible: &'a [u32]) -> Self {
        Self { estimator, visible, statistics: Statistics::Bits, offsets: None }
    }

    /// Runs the replicates.
    ///
    /// # Errors
    /// An impossible horizon. Other failures are counted.
    pub fn replicate<C>(&self, model: &Dbm<'_, C>, runs: Runs) -> Result<Replicates, CouplingError>
    where
        C: Connection<Field: Send + Sync> + Sync,
    {
        let (shape, layout) = (model.shape(), Layout::new(model.shape()));
        let mask = visible_mask(shape);
        let data = Clamp::new(shape, &mask).expect("the mask has the shape's words");
        let phases = [(Phase::Positive, data, 1.0), (Phase::Negative, Clamp::none(), -1.0)];
        replicate(
            runs,
            layout.len(),
            || (PairBuffer::new(shape), Values::new(&layout)),
            |(buffers, values), rng, sum| {
                let mut taus = [None; 2];
                for (tau, (phase, clamp, sign)) in taus.iter_mut().zip(&phases) {
                    let observe = |state: &State<'_, C::Field>, weight: f64| {
                        self.statistics.add(model, values, state, clamp, sign * weight, sum);
                    };
                    let report = self.estimator.run(model, *phase, self.visible, clamp, buffers, rng, observe);
                    *tau = report.map_err(|error| Failure { phase: *phase, error })?.tau;
                }
                if let Some(offsets) = self.offsets {
                    center(&layout, offsets, sum);
                }
                Ok(taus)
            },
        )
    }
}

struct Sums {
    kept: u32,
    sum: Vec<f64>,
    squares: Vec<f64>,
    phases: [PhaseSummary; 2],
}

impl Sums {
    fn new(len: usize) -> Self {
        Self { kept: 0, sum: vec![0.0; len], squares: vec![0.0; len], phases: Default::default() }
    }

    fn add(&mut self, one: &[f64]) {
        self.kept += 1;
        for ((sum, square), x) in self.sum.iter_mut().zip(&mut self.squares).zip(one) {
            *sum += x;
            *square += x * x;
        }
    }

    fn merge(&mut self, other: Self) {
        self.kept += other.kept;
        self.sum.iter_mut().zip(other.sum).for_each(|(a, b)| *a += b);
        self.squares.iter_mut().zip(other.squares).for_each(|(a, b)| *a += b);
        self.phases.iter_mut().zip(other.phases).for_each(|(a, b)| a.merge(b));
    }

    fn finish(self) -> Replicates {
        let n = f64::from(self.kept);
        let mean: Vec<f64> = self.sum.iter().map(|sum| sum / n.max(1.0)).collect();
        let se = |(square, mean): (&f64, &f64)| match self.kept {
            0 | 1 => f64::INFINITY,
            _ => ((square / n - mean * mean).max(0.0) / (n - 1.0)).sqrt(),
        };
        let se = self.squares.iter().zip(&mean).map(se).collect();
        let [mut positive, mut negative] = self.phases;
        positive.tau.sort_unstable();
        negative.tau.sort_unstable();
        Replicates { kept: self.kept, mean, se, positive, negative }
    }
}

#[cfg(test)]
mod tests {
    use bitboltz_core::rng::Rng as _;

    use super::*;
    use crate::eval::random::random_parameters;

    #[test]
    fn mean_and_error_are_those_of_the_draws() {
        let runs = Runs { replicates: 1000, seed: 5 };
        let draw = |_: &mut (), rng: &mut XorShiftRng, out: &mut [f64]| {
            out[0] += f64::from(rng.next_u32() >> 31);
            out[1] += 2.0;
            Ok([Some(1 + (rng.next_u32() >> 31)), None])
        };
        let found = replicate(runs, 2, || (), draw).unwrap();
        assert_eq!((found.kept, found.mean[1], found.se[1]), (1000, 2.0, 0.0));
        let p = found.mean[0];
        assert!((found.se[0] - (p * (1.0 - p) / 999.0).sqrt()).abs() < 1e-12);
        assert_eq!(found.z(&[p, 2.0]), [0.0, 0.0]);
        assert_eq!(found.z(&[p, 1.0])[1], f64::INFINITY);
        assert_eq!((found.positive.tau.len(), found.negative.tau_mean()), (1000, None));
        assert_eq!((found.positive.tau_quantile(0.0), found.positive.tau_quantile(1.0)), (Some(1), Some(2)));
        assert_eq!(found.positive.tau_mean().map(|mean| mean + found.positive.p_tau_1().unwrap()), Some(2.0));
    }

    #[test]
    fn threads_do_not_change_a_bit() {
        let parameters = random_parameters(&[3, 3, 3], 1.0, 0.5, 1).unwrap();
        let model = parameters.dbm().unwrap();
        let run = GradientRun::new(Estimator::UCD_LMI, &[0b101]);
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| run.replicate(&model, Runs { replicates: 1500, seed: 9 }).unwrap())
        };
        assert_eq!(on(1), on(3));
    }
}
