//! The answer of `bitboltz exact`, as JSON and as tables.

use std::io::{self, Write};

use bitboltz_core::weights::WeightKind;
use serde::{Serialize, Serializer};

use crate::eval::replicates::{PhaseSummary, Replicates, largest};

/// What the command answers.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Answer {
    /// Layer widths, visible layer first.
    pub(super) layers: Vec<usize>,
    /// Weight type.
    #[serde(serialize_with = "name_of")]
    pub(super) weights: WeightKind,
    /// Name of each component of the gradients: `tensor[upper,lower]` or `tensor[unit]`.
    pub(super) parameters: Vec<String>,
    /// Log of the partition function.
    pub(super) log_z: f64,
    /// log p(v).
    pub(super) log_likelihood: f64,
    /// Gradient of log p(v), in checkpoint order.
    pub(super) exact: Vec<f64>,
    /// v.
    pub(super) visible: String,
    /// Replicates asked for.
    pub(super) replicates: u32,
    /// Their seed.
    pub(super) seed: u64,
    /// First step whose state counts.
    pub(super) k: u32,
    /// Last step that starts an H.
    pub(super) m: u32,
    /// Lag of the chains.
    pub(super) lag: u32,
    /// Where the second chain starts: `same` or `independent`.
    pub(super) y0: &'static str,
    /// Most steps for a pair to meet.
    pub(super) cap: u32,
    /// Each estimator by its name.
    #[serde(serialize_with = "as_map")]
    pub(super) estimators: Vec<(String, EstimatorAnswer)>,
}

/// What one estimator came to.
#[derive(Clone, Debug, Serialize)]
pub(super) struct EstimatorAnswer {
    /// Replicates that gave an estimate.
    pub(super) kept: u32,
    /// Mean of the estimates, in checkpoint order.
    pub(super) mean: Vec<f64>,
    /// Standard error of each mean.
    pub(super) se: Vec<f64>,
    /// Mean minus exact.
    pub(super) bias: Vec<f64>,
    /// Bias in standard errors.
    pub(super) z: Vec<f64>,
    /// Largest |bias|.
    pub(super) bias_max: f64,
    /// Largest |z|.
    pub(super) z_max: f64,
    /// Meeting times and failures of the negative phase.
    #[serde(flatten)]
    pub(super) negative: PhaseAnswer,
    /// The same of the positive phase.
    pub(super) positive: PhaseAnswer,
}

/// Meeting times and failures of one phase; tau is `null` where nothing is coupled.
#[derive(Clone, Debug, Serialize)]
pub(super) struct PhaseAnswer {
    /// Mean of tau.
    pub(super) tau_mean: Option<f64>,
    /// Quantiles of tau: pairs of share and tau.
    pub(super) tau_quantiles: Option<Vec<(f64, u32)>>,
    /// Largest tau.
    pub(super) tau_max: Option<u32>,
    /// Share of pairs that met at step 1.
    pub(super) p_tau_1: Option<f64>,
    /// Pairs that had not met at the cap.
    pub(super) cap_hits: u32,
    /// Starts that found no local mode.
    pub(super) search_failures: u32,
}

impl EstimatorAnswer {
    /// The answer of these replicates, whose exact mean is `exact`.
    pub(super) fn new(found: Replicates, exact: &[f64]) -> Self {
        let (bias, z) = (found.bias(exact), found.z(exact));
        Self {
            kept: found.kept,
            bias_max: largest(&bias),
            z_max: largest(&z),
            bias,
            z,
            negative: PhaseAnswer::new(&found.negative),
            positive: PhaseAnswer::new(&found.positive),
            mean: found.mean,
            se: found.se,
        }
    }
}

impl PhaseAnswer {
    fn new(phase: &PhaseSummary) -> Self {
        let quantiles = [0.5, 0.9, 0.99, 0.999].map(|q| phase.tau_quantile(q).map(|tau| (q, tau)));
        Self {
            tau_mean: phase.tau_mean(),
            tau_quantiles: quantiles.into_iter().collect(),
            tau_max: phase.tau_max(),
            p_tau_1: phase.p_tau_1(),
            cap_hits: phase.cap_hits,
            search_failures: phase.search_failures,
        }
    }
}

impl Answer {
    /// Writes tables for people.
    ///
    /// # Errors
    /// Those of `out`.
    pub(super) fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        let layers: Vec<String> = self.layers.iter().map(usize::to_string).collect();
        writeln!(out, "{} machine with {} weights", layers.join("-"), self.weights)?;
        writeln!(out, "log Z           {:.9}", self.log_z)?;
        writeln!(out, "log p(v)        {:.9}  for v = {}", self.log_likelihood, self.visible)?;
        let Self { replicates, seed, k, m, lag, y0, cap, .. } = self;
        writeln!(out, "replicates      {replicates}, seed {seed}; k {k}, m {m}, lag {lag}, y0 {y0}, cap {cap}")?;

        writeln!(out, "\n{:<16}{:>11}{:>9}{:>9}", "estimator", "max |bias|", "max |z|", "kept")?;
        for (name, e) in &self.estimators {
            writeln!(out, "{name:<16}{:>11.6}{:>9.2}{:>9}", e.bias_max, e.z_max, e.kept)?;
        }

        writeln!(
            out,
            "\n{:<16}{:<10}{:>9}{:>7}{:>7}{:>7}{:>7}{:>8}{:>11}{:>10}{:>9}",
            "meeting times",
            "phase",
            "mean tau",
            "50%",
            "90%",
            "99%",
            "99.9%",
            "max",
            "P(tau = 1)",
            "cap hits",
            "no mode"
        )?;
        for (name, e) in &self.estimators {
            for (phase, p) in [("positive", &e.positive), ("negative", &e.negative)] {
                if let (Some(mean), Some(quantiles), Some(max), Some(one)) =
                    (p.tau_mean, &p.tau_quantiles, p.tau_max, p.p_tau_1)
                {
                    write!(out, "{name:<16}{phase:<10}{mean:>9.3}")?;
                    quantiles.iter().try_for_each(|(_, tau)| write!(out, "{tau:>7}"))?;
                    writeln!(out, "{max:>8}{one:>11.4}{:>10}{:>9}", p.cap_hits, p.search_failures)?;
                } else if p.cap_hits + p.search_failures > 0 {
                    writeln!(out, "{name:<16}{phase:<10}{:>65}{:>10}{:>9}", "none met", p.cap_hits, p.search_failures)?;
                }
            }
        }

        for (name, e) in &self.estimators {
            writeln!(out, "\n{name:<20}{:>10}{:>10}{:>10}{:>11}{:>8}", "exact", "mean", "se", "bias", "z")?;
            for (i, parameter) in self.parameters.iter().enumerate() {
                let (exact, mean, se, bias, z) = (self.exact[i], e.mean[i], e.se[i], e.bias[i], e.z[i]);
                writeln!(out, "{parameter:<20}{exact:>10.5}{mean:>10.5}{se:>10.5}{bias:>11.5}{z:>8.2}")?;
            }
        }
        Ok(())
    }
}

fn name_of<S: Serializer>(kind: &WeightKind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(kind.name())
}

fn as_map<S: Serializer>(entries: &[(String, EstimatorAnswer)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(entries.iter().map(|(name, answer)| (name, answer)))
}
