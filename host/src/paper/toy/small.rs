//! Machines that can be enumerated: bias and variance of each estimator of the gradient, beside its meeting times.

use bitboltz_core::coupling::Horizon;
use serde::Serialize;

use super::variant::Variant;
use crate::eval::{
    exact::Oracle,
    random::random_parameters,
    replicates::{GradientRun, PhaseSummary, Replicates, Runs, largest},
};

/// What is run.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Plan {
    /// Units of each of the three layers.
    pub widths: &'static [usize],
    /// Standard deviation of the weights; biases are 0.
    pub weight_std: f64,
    /// Random machines of each size.
    pub models: u64,
    /// Replicates of each estimator on each machine.
    pub replicates: u32,
    /// Last step at which a pair may meet.
    pub cap: u32,
}

/// One estimator on the machines of one size.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Units of all three layers.
    pub units: usize,
    /// The estimator.
    pub estimator: String,
    /// Root mean square of the bias over the gradient's components and the machines.
    pub bias: f64,
    /// The same of the bias's Monte-Carlo error: what an unbiased estimator's bias comes to.
    pub error: f64,
    /// Mean square of bias over error: 1 without bias.
    pub z_squares: f64,
    /// Largest magnitude of bias over error.
    pub z_largest: f64,
    /// Components of all machines.
    pub components: usize,
    /// Variance of a single estimate, mean over components and machines.
    pub variance: f64,
    /// The clamped phase's meeting times.
    pub clamped: Tau,
    /// The free phase's meeting times.
    pub free: Tau,
}

/// Meeting times of a phase. Nothing for an estimator without coupling.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Tau {
    /// Mean τ of the pairs that met.
    pub mean_tau: Option<f64>,
    /// Share of τ = 1 among the pairs that met.
    pub p_tau_1: Option<f64>,
    /// Largest τ.
    pub max_tau: Option<u32>,
    /// Pairs that had not met at the cap: without them the rest is biased.
    pub cap_hits: u32,
}

impl Tau {
    fn of(phases: &[&PhaseSummary]) -> Self {
        let all = || phases.iter().flat_map(|phase| &phase.tau);
        let (count, sum) = all().fold((0.0, 0.0), |(n, sum), &tau| (n + 1.0, sum + f64::from(tau)));
        let share = |count: usize, of: f64| (of > 0.0).then(|| count as f64 / of);
        Self {
            mean_tau: (count > 0.0).then(|| sum / count),
            p_tau_1: share(all().filter(|&&tau| tau == 1).count(), count),
            max_tau: all().max().copied(),
            cap_hits: phases.iter().map(|phase| phase.cap_hits).sum(),
        }
    }
}

/// The estimators that are compared.
pub fn variants(cap: u32) -> Vec<Variant> {
    let with = |name, k, m| Variant::new(name).with_horizon(Horizon { k, m, lag: 1, cap });
    vec![
        Variant::new("cd-1"),
        Variant::new("cd-10"),
        with("ucd-lmi", 0, 0),
        with("ucd-lmi", 0, 0).independent(),
        with("ucd-lmi", 5, 5),
        with("ucd-lmi", 5, 50),
        with("ucd-mh", 0, 0),
        with("ucd-gibbs", 0, 0),
        with("ucd-lmi-gibbs", 0, 0),
        with("ucd-lmi-gibbs", 0, 0).independent(),
        with("ucd-lmi-gibbs", 5, 5),
        with("ucd-lmi-gibbs", 5, 50),
        with("ucd-lmi-mix-0.1", 0, 0),
        with("ucd-lmi-mix-0.5", 0, 0),
        with("ucd-lmi-mix-0.1", 5, 50),
    ]
}

/// Runs the plan. `done` is told of each estimator on each machine.
pub fn run(plan: &Plan, seed: u64, done: &(dyn Fn(u64) + Sync)) -> Vec<Row> {
    let mut rows = Vec::new();
    for &width in plan.widths {
        for variant in variants(plan.cap) {
            let found: Vec<(Replicates, Vec<f64>)> = (0..plan.models)
                .map(|machine| {
                    let found = one(&variant, width, plan, seed.wrapping_add(machine));
                    done(1);
                    found
                })
                .collect();
            rows.push(row(3 * width, variant.to_string(), &found));
        }
    }
    rows
}

/// An estimator's replicates on one machine, and the exact gradient at a random data vector.
fn one(variant: &Variant, width: usize, plan: &Plan, seed: u64) -> (Replicates, Vec<f64>) {
    let parameters = random_parameters(&[width; 3], plan.weight_std, 0.0, seed).expect("three layers");
    let model = parameters.dbm().expect("finite weights");
    let bits = crate::eval::random::random_bits(width, seed);
    let visible = bits.iter().enumerate().fold(0, |word, (i, &on)| word | u32::from(on) << i);
    let oracle = Oracle::new(&model).expect("few units");
    let runs = Runs { replicates: plan.replicates, seed: seed ^ 0x74_6F_79 };
    let found = GradientRun::new(variant.estimator, &[visible]).replicate(&model, runs).expect("possible horizons");
    (found, oracle.gradient(visible))
}

fn row(units: usize, estimator: String, found: &[(Replicates, Vec<f64>)]) -> Row {
    let (mut bias, mut error, mut z, mut variance) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (found, exact) in found {
        for (b, &se) in found.bias(exact).into_iter().zip(&found.se) {
            bias.push(b);
            error.push(se);
            // A component without spread is an exact one.
            if se > 1e-9 {
                z.push(b / se);
            }
            variance.push(se * se * f64::from(found.kept));
        }
    }
    let mean = |numbers: &[f64]| numbers.iter().sum::<f64>() / numbers.len().max(1) as f64;
    let square = |numbers: &[f64]| mean(&numbers.iter().map(|x| x * x).collect::<Vec<_>>());
    Row {
        units,
        estimator,
        bias: square(&bias).sqrt(),
        error: square(&error).sqrt(),
        z_squares: square(&z),
        z_largest: largest(&z),
        components: bias.len(),
        variance: mean(&variance),
        clamped: Tau::of(&found.iter().map(|(found, _)| &found.positive).collect::<Vec<_>>()),
        free: Tau::of(&found.iter().map(|(found, _)| &found.negative).collect::<Vec<_>>()),
    }
}
