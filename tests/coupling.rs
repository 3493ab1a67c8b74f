//! Unbiased estimates are unbiased: their mean equals the enumerated expectation within its Monte-Carlo error, in the
//! clamped and in the free phase, for every start, transition, horizon, depth and weight type. The same test rejects
//! contrastive divergence and a one-chain "coupling".

use bitboltz::{
    estimator::{Estimator, SecondStart},
    eval::{
        exact::Oracle,
        replicates::{GradientRun, Replicates, Runs, largest},
        statistics::{Statistics, center},
    },
};
use bitboltz_core::{coupling::Horizon, weights::Weight};
use bitboltz_tests::{
    models::{Rounding, machine},
    phases::{OneChain, Phases, Sampler},
    significance::bonferroni_z,
    tolerance,
};

/// Machines with 1, 2 and 3 hidden layers.
const SHAPES: [&[usize]; 3] = [&[4, 3], &[3, 3, 2], &[3, 2, 2, 2]];
const UNBIASED: [&str; 6] = ["ucd-lmi", "ucd-lmi-gibbs", "ucd-gibbs", "ucd-mh", "ucd-lmi-mix-0.5", "ucd-mix-0.2"];
const HORIZONS: [(u32, u32); 6] = [(0, 0), (0, 5), (1, 1), (1, 6), (5, 5), (5, 10)];
/// Weights from N(0, 0.7²): strong enough for a bias to show, weak enough for meeting times with light tails, so that
/// means of this many replicates are close to normal. (With N(0, 1), a few pairs of thousands decide the variance of
/// Metropolis-Hastings.)
const STD: f64 = 0.7;
const RUNS: Runs = Runs { replicates: 6_000, seed: 17 };
const VISIBLE: u32 = 0b0101;

fn estimator(name: &str) -> Estimator {
    name.parse().expect("a name")
}

/// Replicates of their own for each of many tests of a weight type: z-scores from common random numbers would be
/// correlated.
fn runs<W: Weight>(test: usize) -> Runs {
    Runs { seed: RUNS.seed + 1000 * W::KIND as u64 + test as u64, ..RUNS }
}

/// Machines of their own for each weight type.
fn seed<W: Weight>(index: usize) -> u64 {
    20 + 10 * W::KIND as u64 + index as u64
}

/// z-scores of many tests together: the largest against a Bonferroni bound, and the mean of their squares, which is 1
/// without bias, against its own error. The first finds a large bias anywhere, the second a small one everywhere.
#[derive(Default)]
struct Scores {
    largest: (f64, String),
    count: usize,
    squares: Vec<f64>,
}

impl Scores {
    fn add(&mut self, name: impl Fn() -> String, found: &Replicates, exact: &[f64]) {
        let mut z = Vec::new();
        for (bias, &se) in found.bias(exact).into_iter().zip(&found.se) {
            if se > 1e-8 {
                z.push(bias / se);
            } else {
                // No spread: a clamped unit, or a conditional mean given nothing but clamped units.
                assert!(bias.abs() < tolerance::PROBABILITY, "{}: {bias}", name());
            }
        }
        if largest(&z) > self.largest.0 {
            self.largest = (largest(&z), name());
        }
        self.count += z.len();
        self.squares.push(z.iter().map(|z| z * z).sum::<f64>() / z.len() as f64);
    }

    /// Whether the tests together allow that there is no bias, and why not.
    fn verdict(&self) -> Result<(), String> {
        let n = self.squares.len() as f64;
        let mean = self.squares.iter().sum::<f64>() / n;
        // The error of a single mean is not known: then only the largest counts.
        let error = match self.squares.len() {
            1 => f64::INFINITY,
            _ => (self.squares.iter().map(|s| (s - mean) * (s - mean)).sum::<f64>() / (n * (n - 1.0))).sqrt(),
        };
        let (bound, (largest, name)) = (bonferroni_z(self.count), &self.largest);
        let found = format!(
            "{} z-scores: largest {largest:.2} ({name}), bound {bound:.2}; mean square {mean:.3} ± {error:.3}",
            self.count
        );
        println!("{found}");
        if *largest < bound && mean < 1.0 + 5.0 * error { Ok(()) } else { Err(found) }
    }

    fn accept(&self) {
        self.verdict().unwrap_or_else(|found| panic!("biased: {found}"));
    }
}

fn every_pair_is_unbiased<W>()
where
    W: Rounding,
{
    let mut scores = Scores::default();
    for (index, widths) in SHAPES.iter().enumerate() {
        let tensors = machine::<W>(widths, STD, seed::<W>(index));
        let model = tensors.dbm().unwrap();
        let phases = Phases::new(&model, VISIBLE, 0);
        for name in UNBIASED {
            for (k, m) in HORIZONS {
                for lag in [1, 2] {
                    for second in [SecondStart::Same, SecondStart::Independent] {
                        let horizon = Horizon { k, m, lag, ..Horizon::default() };
                        let estimator = estimator(name).with_horizon(horizon).with_second(second);
                        let found = phases.replicate(&estimator, Statistics::Bits, runs::<W>(scores.squares.len()));
                        assert_eq!(found.kept, RUNS.replicates);
                        let label = || format!("{widths:?} {name} k {k} m {m} lag {lag} y0 {second:?}");
                        scores.add(label, &found, &phases.exact);
                    }
                }
            }
        }
    }
    scores.accept();
}

#[test]
fn every_pair_is_unbiased_with_f32() {
    every_pair_is_unbiased::<f32>();
}

#[test]
fn every_pair_is_unbiased_with_i16() {
    every_pair_is_unbiased::<i16>();
}

#[test]
fn every_pair_is_unbiased_with_i8() {
    every_pair_is_unbiased::<i8>();
}

#[test]
fn any_units_may_be_clamped() {
    let mut scores = Scores::default();
    for (index, widths) in SHAPES.iter().enumerate() {
        let tensors = machine::<i8>(widths, STD, seed::<i8>(index));
        let model = tensors.dbm().unwrap();
        // Part of the visible layer and a hidden unit; then an even hidden layer as well.
        for mask in [0b1_0010, 0b110_0011] {
            let phases = Phases::new(&model, VISIBLE, mask);
            for name in UNBIASED {
                for statistics in [Statistics::Bits, Statistics::Marginalised] {
                    let found = phases.replicate(&estimator(name), statistics, runs::<i8>(scores.squares.len()));
                    scores.add(|| format!("{widths:?} {mask:b} {name} {statistics:?}"), &found, &phases.exact);
                }
            }
        }
    }
    scores.accept();
}

fn gradients_are_unbiased<W>()
where
    W: Rounding,
{
    let mut scores = Scores::default();
    for (index, widths) in SHAPES.iter().enumerate() {
        let tensors = machine::<W>(widths, STD, seed::<W>(index));
        let model = tensors.dbm().unwrap();
        let oracle = Oracle::new(&model).unwrap();
        let plain = oracle.gradient(VISIBLE & ((1 << widths[0]) - 1));
        // Any offsets will do; these are all different, and none is a mean.
        let offsets: Vec<f64> = (0..oracle.units()).map(|unit| (unit as f64 + 0.7) / 9.1).collect();
        for (statistics, centered) in
            [Statistics::Bits, Statistics::Marginalised].into_iter().flat_map(|s| [(s, false), (s, true)])
        {
            let mut exact = plain.clone();
            if centered {
                center(oracle.layout(), &offsets, &mut exact);
            }
            for name in UNBIASED {
                let visible = [VISIBLE & ((1 << widths[0]) - 1)];
                let mut run = GradientRun::new(estimator(name), &visible);
                run.statistics = statistics;
                run.offsets = centered.then_some(&offsets);
                let found =
                    run.replicate(&model, Runs { replicates: 40_000, ..runs::<W>(scores.squares.len()) }).unwrap();
                assert_eq!(found.kept, 40_000);
                scores.add(|| format!("{widths:?} {statistics:?} centered {centered} {name}"), &found, &exact);
            }
        }
    }
    scores.accept();
}

#[test]
fn gradients_are_unbiased_centered_or_marginalised_with_f32() {
    gradients_are_unbiased::<f32>();
}

#[test]
fn gradients_are_unbiased_centered_or_marginalised_with_i8() {
    gradients_are_unbiased::<i8>();
}

/// One careful look at each estimator on a machine with N(0, 1) weights, the one of which the figures are quoted.
#[test]
fn the_paper_s_machine() {
    let mut scores = Scores::default();
    for seed in 0..4 {
        let tensors = machine::<f32>(&[3, 3, 3], 1.0, seed);
        let model = tensors.dbm().unwrap();
        let phases = Phases::new(&model, VISIBLE, 0);
        for name in ["ucd-lmi", "ucd-lmi-gibbs", "ucd-gibbs"] {
            let found = phases.replicate(&estimator(name), Statistics::Bits, Runs { replicates: 200_000, seed });
            let (mean, one) = (found.negative.tau_mean().unwrap(), found.negative.p_tau_1().unwrap());
            println!(
                "seed {seed} {name}: mean tau {mean:.2}, P(tau = 1) {one:.3}, largest {:?}, largest |z| {:.2}, se {:.4}",
                found.negative.tau_max(),
                largest(&found.z(&phases.exact)),
                largest(&found.se)
            );
            scores.add(|| format!("seed {seed} {name}"), &found, &phases.exact);
            if name == "ucd-lmi" {
                // Rejection nearly always, a long wait otherwise.
                assert!((1.5..3.0).contains(&mean) && one > 0.5 && found.negative.tau_max() > Some(30));
            }
        }
    }
    scores.accept();
}

#[test]
fn biased_estimators_are_rejected() {
    fn verdict(name: &str, phases: &Phases<'_, '_, f32>, sampler: &impl Sampler) -> Result<(), String> {
        let found = phases.replicate(sampler, Statistics::Bits, Runs { replicates: 20_000, ..RUNS });
        println!("{name}: largest |bias| {:.4}", largest(&found.bias(&phases.exact)));
        let mut scores = Scores::default();
        scores.add(|| name.to_owned(), &found, &phases.exact);
        scores.verdict()
    }
    for (index, widths) in SHAPES.iter().enumerate() {
        let tensors = machine::<f32>(widths, STD, seed::<f32>(index));
        let model = tensors.dbm().unwrap();
        let phases = Phases::new(&model, VISIBLE, 0);
        verdict("cd-1", &phases, &estimator("cd-1")).expect_err("contrastive divergence is biased");
        verdict("one chain", &phases, &OneChain).expect_err("one chain is no coupling");
        verdict("ucd-lmi", &phases, &Estimator::UCD_LMI).expect("the coupling is unbiased");
    }
}
