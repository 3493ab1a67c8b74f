//! The options of `train` that say how the gradient is estimated.

use bitboltz_core::coupling::Horizon;

use crate::{
    cli::{Usage, Y0},
    estimator::{Estimator, Phase, SecondStart},
    train::{TrainConfig, config::CAP},
};

/// The estimators; all but their names is for those that couple chains, in both phases.
#[derive(Debug, clap::Args)]
pub(super) struct EstimatorSettings {
    /// Gradient estimator: ucd-lmi (the paper's: local-mode start, coupled Metropolis-Hastings), ucd-lmi-gibbs, ucd-gibbs,
    /// ucd-mh, ucd-lmi-mix-P or ucd-mix-P for a Metropolis-Hastings step with probability P and a Gibbs sweep otherwise,
    /// cd-K for K Gibbs sweeps from the data, or pcd, pcd-K for free chains that are kept and go on from update to update,
    /// 1 or K Gibbs sweeps each time (persistent contrastive divergence), or mean-field, mean-field-K for such free chains,
    /// of 1 or K sweeps too, beside a mean field of each data vector, which takes as many iterations as it needs (the
    /// classical deep Boltzmann machine) [default: ucd-lmi].
    #[arg(long)]
    estimator: Option<Estimator>,
    /// Another estimator for the clamped phase; --estimator is then the free phase's alone. In models that have learnt,
    /// large ones too, ucd-lmi-gibbs couples within a few sweeps there; on fresh weights it may not, and then the
    /// run ends: begin with ucd-lmi and name it with --resume. --k, --m, --lag, --y0 and --cap are for both. To go back to one for both
    /// phases in a run that is resumed, name the free phase's here too [default: as --estimator].
    #[arg(long, value_name = "ESTIMATOR")]
    clamped_estimator: Option<Estimator>,
    /// First step of a chain whose state counts (H_{k:m}) [default: 0].
    #[arg(long)]
    k: Option<u32>,
    /// Last step that starts an H; as k if not given.
    #[arg(long)]
    m: Option<u32>,
    /// Steps by which the first chain of a pair is ahead [default: 1].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    lag: Option<u32>,
    /// Where the second chain of a pair starts [default: same].
    #[arg(long, value_enum)]
    y0: Option<Y0>,
    /// Most steps for a pair to meet; chains that do not are left out and counted. All their states are kept until then,
    /// so that memory grows with it [default: 1000].
    #[arg(long)]
    cap: Option<u32>,
}

impl EstimatorSettings {
    /// Gives `config` these settings where they are given.
    pub(super) fn apply(&self, config: &mut TrainConfig) -> Result<(), Usage> {
        let free = self.estimator.unwrap_or(config.estimator);
        let clamped = self.clamped_estimator.or(config.clamped_estimator);
        let given = self.k.or(self.m).or(self.lag).or(self.cap).is_some() || self.y0.is_some();
        if given && !std::iter::once(free).chain(clamped).any(|estimator| matches!(estimator, Estimator::Ucd { .. })) {
            let both = clamped.map_or(String::new(), |clamped| format!(", and {clamped} neither"));
            return Err(Usage(format!("--k, --m, --lag, --y0, --cap: {free} couples no chains{both}")));
        }
        let bases = (config.estimator, config.estimator_of(Phase::Positive));
        config.estimator = self.coupled(free, bases.0);
        let clamped = clamped.map(|clamped| self.coupled(clamped, bases.1));
        config.clamped_estimator = clamped.filter(|clamped| *clamped != config.estimator);
        Ok(())
    }

    /// An estimator with these settings, and those of `base` for what they leave open, if it couples chains.
    fn coupled(&self, estimator: Estimator, base: Estimator) -> Estimator {
        // What replaces one that couples no chains begins with the defaults.
        let (horizon, second) = match base {
            Estimator::Ucd { horizon, second, .. } => (horizon, second),
            _ => (Horizon { cap: CAP, ..Horizon::default() }, SecondStart::Same),
        };
        let horizon = Horizon {
            k: self.k.unwrap_or(horizon.k),
            m: self.m.or(self.k).unwrap_or(horizon.m),
            lag: self.lag.unwrap_or(horizon.lag),
            cap: self.cap.unwrap_or(horizon.cap),
        };
        estimator.with_horizon(horizon).with_second(self.y0.map_or(second, Y0::into))
    }
}
