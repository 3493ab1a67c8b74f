//! What is compared, as tables: a line for each arm, of what is different in its training.

use bitboltz_core::coupling::Horizon;
use serde::Serialize;

use crate::{
    estimator::Estimator,
    train::{Init, TrainConfig, config::CAP},
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
}

fn arm(label: &'static str, what: &'static str, config: TrainConfig) -> Arm {
    Arm { label, what, config }
}

fn ours() -> TrainConfig {
    TrainConfig::default()
}

fn estimator(name: &str) -> TrainConfig {
    let estimator: Estimator = name.parse().expect("a name of this table");
    TrainConfig { estimator: estimator.with_horizon(Horizon { cap: CAP, ..Horizon::default() }), ..ours() }
}

/// The defaults of `bitboltz train`, alone.
pub fn defaults() -> Vec<Arm> {
    vec![arm("ucd-lmi", "the defaults: local mode, one Gibbs sweep, coupled Metropolis-Hastings; centered", ours())]
}

/// Each estimator from the same start.
pub fn estimators() -> Vec<Arm> {
    vec![
        arm("ucd-lmi", "local mode, one Gibbs sweep, coupled Metropolis-Hastings", ours()),
        arm(
            "ucd-lmi-published",
            "the same with the published settings: batch 1000, rate 0.01, no centering, bits in all statistics",
            TrainConfig::paper_defaults(),
        ),
        arm("cd-1", "contrastive divergence, one Gibbs sweep from the data", estimator("cd-1")),
        arm("pcd", "persistent contrastive divergence, one Gibbs sweep", estimator("pcd")),
        arm("ucd-lmi-gibbs", "local mode, one Gibbs sweep, coupled Gibbs", estimator("ucd-lmi-gibbs")),
        arm("ucd-gibbs", "random bits, coupled Gibbs", estimator("ucd-gibbs")),
    ]
}

/// The default, then each of its techniques off in turn.
pub fn techniques() -> Vec<Arm> {
    vec![
        arm("all", "the defaults", ours()),
        arm("no-centering", "the plain gradient", TrainConfig { centering: None, ..ours() }),
        arm("no-marginalisation", "bits in all statistics", TrainConfig { marginalise: false, ..ours() }),
        arm(
            "normal-init",
            "weights from N(0, 0.01²) at the start instead of orthogonal ones",
            TrainConfig { init: Init::Normal { std: 0.01 }, ..ours() },
        ),
        arm("no-local-mode", "chains start at random bits (ucd-mh)", estimator("ucd-mh")),
        arm("published-batch", "batch 1000, rate 0.01", TrainConfig { batch: 1000, learning_rate: 0.01, ..ours() }),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arms_can_be_trained_and_told_apart() {
        for arms in [defaults(), estimators(), techniques()] {
            for (i, arm) in arms.iter().enumerate() {
                arm.config.check().unwrap();
                assert!(arm.label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'), "{}", arm.label);
                // The same start and seed, and something else than all before.
                assert_eq!((arm.config.seed, &arm.config.hidden), (0, &arms[0].config.hidden));
                assert!(arms[..i].iter().all(|other| other.config != arm.config && other.label != arm.label));
            }
        }
    }
}
