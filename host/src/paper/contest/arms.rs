//! What is compared, as tables: a line for each arm, of what is different in its training.

use bitboltz_core::{coupling::Horizon, weights::WeightKind};
use serde::Serialize;

use crate::{
    estimator::Estimator,
    paper::training::Course,
    train::{Budget, CenteringOffsets, Init, Preset, Pretrain, TrainConfig, config::CAP},
};

/// One of the things that are compared.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Arm {
    /// What it is called, in tables and file names.
    pub label: &'static str,
    /// What it is.
    pub what: &'static str,
    /// How it is trained.
    pub config: TrainConfig,
    /// The estimator of both phases up to the first mark, if it is another.
    pub warm_up: Option<Estimator>,
}

impl Arm {
    /// How it is trained, in time.
    pub fn course(&self) -> Course<'_> {
        Course { config: &self.config, warm_up: self.warm_up }
    }
}

fn arm(label: &'static str, what: &'static str, config: TrainConfig) -> Arm {
    Arm { label, what, config, warm_up: None }
}

/// What begins with the defaults: pairs of coupled Gibbs do not meet under fresh orthogonal weights.
fn warm(label: &'static str, what: &'static str, config: TrainConfig) -> Arm {
    Arm { warm_up: Some(ours().estimator), ..arm(label, what, config) }
}

fn ours() -> TrainConfig {
    TrainConfig::default()
}

fn estimator(name: &str) -> TrainConfig {
    let estimator: Estimator = name.parse().expect("a name of this table");
    TrainConfig { estimator: estimator.with_horizon(Horizon { cap: CAP, ..Horizon::default() }), ..ours() }
}

/// The reference again with another seed: how far two runs of the same settings are apart.
pub const SEED: &str = "seed-1";
/// The arm of [`estimators`] that the others are measured by, and for which the settings were tuned.
pub const TUNED: &str = "ucd-lmi";
/// The arm of [`techniques`] that the others are measured by.
pub const ALL: &str = "all";
/// Without momentum steps at this rate are as long as those of the defaults.
const PLAIN_RATE: f64 = 0.05;
/// At [`PLAIN_RATE`] estimators with persistent chains swing, unless they begin with a pretrained machine; at this rate they
/// learn. Both were seen without momentum.
const PERSISTENT_RATE: f64 = 0.01;
/// Updates of each layer's machine before the classical method begins.
const PRETRAINING: u64 = 600;

/// The seed of an arm is added to that of the experiment.
fn other_seed() -> Arm {
    arm(SEED, "the first arm with another seed: weights, order of images and chains", TrainConfig { seed: 1, ..ours() })
}

/// The defaults, but for a clamped phase whose pairs can meet at any size.
fn clamped_gibbs() -> TrainConfig {
    TrainConfig { clamped_estimator: Some(estimator("ucd-lmi-gibbs").estimator), ..ours() }
}

/// An estimator with persistent chains, at the rate for these.
fn persistent(name: &str) -> TrainConfig {
    TrainConfig { learning_rate: PERSISTENT_RATE, momentum: 0.0, ..estimator(name) }
}

/// A preset of `bitboltz train`, alone; its budget is that of the comparison.
pub fn preset(preset: Preset) -> Vec<Arm> {
    let config = TrainConfig { budget: Budget::default(), ..preset.config() };
    vec![arm(TUNED, "local mode, one Gibbs sweep, coupled Metropolis-Hastings; centered", config)]
}

/// Each estimator on the same data, most from the same start.
pub fn estimators() -> Vec<Arm> {
    vec![
        arm(TUNED, "local mode, one Gibbs sweep, coupled Metropolis-Hastings", ours()),
        other_seed(),
        arm(
            "ucd-lmi-published",
            "ucd-lmi with the published settings: batch 1000, rate 0.01, no momentum, no centering, bits in all statistics",
            TrainConfig::paper_defaults(),
        ),
        arm(
            "ucd-lmi-clamped-gibbs",
            "ucd-lmi, in the clamped phase with coupled Gibbs (ucd-lmi-gibbs)",
            clamped_gibbs(),
        ),
        arm("cd-1", "contrastive divergence, one Gibbs sweep from the data", estimator("cd-1")),
        arm(
            "pcd",
            "persistent contrastive divergence, one Gibbs sweep; rate 0.01 without momentum, since it swings with the longer \
             steps of the others",
            persistent("pcd"),
        ),
        arm(
            "mean-field",
            "the classical method: mean fields given the data, persistent free chains of one Gibbs sweep; rate 0.01 without \
             momentum, since it swings with longer steps",
            persistent("mean-field"),
        ),
        arm(
            "mean-field-greedy",
            "the classical method with its pretraining, layer by layer, whose time counts; rate 0.05 without momentum",
            TrainConfig {
                learning_rate: PLAIN_RATE,
                momentum: 0.0,
                pretrain: Some(Pretrain::Greedy { updates: PRETRAINING }),
                ..estimator("mean-field")
            },
        ),
        arm("ucd-lmi-gibbs", "local mode, one Gibbs sweep, coupled Gibbs", estimator("ucd-lmi-gibbs")),
        arm("ucd-gibbs", "random bits, coupled Gibbs", estimator("ucd-gibbs")),
    ]
}

/// The defaults, then each of their techniques off in turn, then others on in turn.
pub fn techniques() -> Vec<Arm> {
    vec![
        arm(ALL, "the defaults", ours()),
        other_seed(),
        arm("no-centering", "off: the plain gradient", TrainConfig { centering: None, ..ours() }),
        arm("no-marginalisation", "off: bits in all statistics", TrainConfig { marginalise: false, ..ours() }),
        arm(
            "normal-init",
            "off: weights from N(0, 0.01²) at the start instead of orthogonal ones",
            TrainConfig { init: Init::Normal { std: 0.01 }, ..ours() },
        ),
        arm("no-local-mode", "off: chains start at random bits (ucd-mh)", estimator("ucd-mh")),
        arm(
            "no-momentum",
            "off: plain steps, with rate 0.05 for the same length of steps",
            TrainConfig { momentum: 0.0, learning_rate: PLAIN_RATE, ..ours() },
        ),
        arm(
            "published-batch",
            "off: batch 1000, rate 0.01 and no momentum, all at once, as published",
            TrainConfig { batch: 1000, learning_rate: 0.01, momentum: 0.0, ..ours() },
        ),
        warm(
            "clamped-gibbs",
            "on, after the first mark: coupled Gibbs in the clamped phase (ucd-lmi-gibbs), whose pairs meet",
            clamped_gibbs(),
        ),
        warm(
            "gibbs",
            "on, after the first mark: coupled Gibbs in both phases (ucd-lmi-gibbs)",
            estimator("ucd-lmi-gibbs"),
        ),
        arm(
            "average",
            "on: the model is an average of weights, their mean age 0.05 of the run",
            TrainConfig { average: Some(0.05), ..ours() },
        ),
        arm(
            "centering-model",
            "on: centered by the means of the free phase",
            TrainConfig { centering_offsets: CenteringOffsets::Model, ..ours() },
        ),
        arm(
            "centering-both",
            "on: centered by the means of both phases",
            TrainConfig { centering_offsets: CenteringOffsets::Both, ..ours() },
        ),
        arm("i8-chains", "on: chains run on 8-bit weights", TrainConfig { chain_weights: WeightKind::I8, ..ours() }),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arms_can_be_trained_and_told_apart() {
        for arms in [preset(Preset::Mnist8), estimators(), techniques()] {
            for (i, arm) in arms.iter().enumerate() {
                arm.config.check().unwrap();
                assert!(arm.label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'), "{}", arm.label);
                // The same widths and seed, and something else than all before.
                assert_eq!(arm.config.hidden, arms[0].config.hidden);
                assert_eq!(arm.config.seed, u64::from(arm.label == SEED));
                assert!(arms[..i].iter().all(|other| other.config != arm.config && other.label != arm.label));
            }
        }
        let same = TrainConfig::default();
        // What an arm without momentum is about is the momentum, not the length of its steps.
        assert!((PLAIN_RATE * (1.0 - same.momentum) - same.learning_rate).abs() < 1e-9);
        let first = |arms: Vec<Arm>| (arms[0].label, arms[0].config.clone());
        assert_eq!([first(estimators()), first(techniques())], [(TUNED, same.clone()), (ALL, same)]);
    }
}
