//! The section `likelihood`: log Z and log p(v).

use std::io::{self, Write};

use crate::{
    eval::{
        likelihood::{Effort, Likelihood, MeanLogP, measure},
        real::real_parameters,
    },
    stages::Stages,
    with_model,
};

use super::{super::decimals, Subject};

/// Temperatures from the mean field of an image to its hidden distribution: it begins close.
const CLAMPED_BETAS: usize = 500;

/// How much to spend on it.
#[derive(Debug, clap::Args)]
// The name of its group would be that of the other sections.
#[group(skip)]
pub(super) struct Options {
    /// Temperatures of the annealing of log Z.
    #[arg(long, default_value_t = 10_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    betas: u32,
    /// Chains of the annealing of log Z, at least 2.
    #[arg(long, default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(u32).range(2..))]
    chains: u32,
    /// Test images whose log p(v) is estimated beside the bound (with more than one hidden layer).
    #[arg(long, default_value_t = 100, value_name = "N")]
    clamped: u32,
    /// Chains of each of these images, at least 2.
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u32).range(2..))]
    clamped_chains: u32,
    /// Chains that anneal backwards, from the ends of long Gibbs chains and from as many test images each, at least 2; 0
    /// leaves that out.
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = none_or_several)]
    reverse: u32,
}

/// A number of chains whose spread can be told, or none.
fn none_or_several(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(1) | Err(_) => Err("expected 0, or 2 or more".into()),
        Ok(chains) => Ok(chains),
    }
}

pub(super) type Section = Likelihood;

impl Options {
    pub(super) fn measure(&self, subject: &Subject, stages: &dyn Stages) -> anyhow::Result<Section> {
        let geometry = subject.file.geometry();
        let parameters = with_model!(&subject.file, model => real_parameters(&model, geometry))?;
        let effort = Effort {
            betas: self.betas as usize,
            chains: self.chains as usize,
            clamped_rows: self.clamped as usize,
            clamped_betas: CLAMPED_BETAS,
            clamped_chains: self.clamped_chains as usize,
            reverse_chains: self.reverse as usize,
            seed: subject.seed,
        };
        Ok(measure(&parameters, &subject.train, &subject.test, &effort, stages))
    }
}

impl super::Section for Likelihood {
    fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        let z = &self.log_z;
        let mean = &z.mean;
        writeln!(
            out,
            "log Z  {:.3} ± {:.3}  ({} chains of {} temperatures, worth {:.1}; log weights {:.3} ± {:.3}, {:.3} to {:.3}; {:.1} s)",
            mean.estimate,
            mean.standard_error,
            z.chains,
            z.betas,
            mean.effective_sample_size,
            mean.mean_log,
            mean.sd_log,
            mean.min_log,
            mean.max_log,
            z.seconds
        )?;
        if let Some(back) = &self.reverse {
            let mean = &back.log_z;
            writeln!(
                out,
                "  backwards  {:.3} ± {:.3}  ({} chains from {} Gibbs sweeps after training images, worth {:.1}; log \
                 weights {:.3} ± {:.3}, in the mean {:.3} above): an upper bound if these reach equilibrium, else an indication; {:.1} s with RAISE",
                mean.estimate,
                mean.standard_error,
                back.chains,
                back.sweeps,
                mean.effective_sample_size,
                mean.mean_log,
                mean.sd_log,
                back.gap,
                back.seconds
            )?;
        }
        writeln!(out, "{:<34}{:>10}{:>12}{:>12}{:>12}", "mean log p(v)", "images", "nats", "± images", "bits/unit")?;
        let mut line = |what: &str, rows: usize, log_p: &MeanLogP| {
            let MeanLogP { nats, bits_per_unit, standard_error } = log_p;
            let error = decimals(*standard_error, 3);
            writeln!(out, "{what:<34}{rows:>10}{nats:>12.3}{error:>12}{bits_per_unit:>12.5}")
        };
        line(if self.exact { "exact, given log Z" } else { "variational lower bound" }, self.rows, &self.log_p)?;
        if let Some(clamped) = &self.clamped {
            line("  the same, first images", clamped.rows, &clamped.bound)?;
            line("  hidden units annealed", clamped.rows, &clamped.log_p)?;
        }
        if let Some(back) = &self.reverse {
            let found = &back.conservative;
            line("annealed backwards (RAISE)", found.rows, &found.log_p)?;
            line("  the same images, by log Z", found.rows, &found.forward)?;
        }
        line("independent pixels", self.rows, &self.base_rate)?;
        if let Some(clamped) = &self.clamped {
            writeln!(
                out,
                "annealing of hidden units: ± {:.4} on that mean; {} chains of {} temperatures, worth {:.1} at least; {:.1} s",
                clamped.annealing_error, clamped.chains, clamped.betas, clamped.least_effective, clamped.seconds
            )?;
        }
        if let Some(back) = &self.reverse {
            let found = &back.conservative;
            writeln!(
                out,
                "RAISE bounds the generator that annealing is from below: {:.3} ± {} below what log Z gives the same images \
                 (less than 0 where that generator is the better one)",
                found.gap,
                decimals(found.gap_error, 3)
            )?;
        }
        if self.unsettled > 0 {
            writeln!(out, "{} mean fields had not come to rest; their bounds hold all the same", self.unsettled)?;
        }
        let but = if self.reverse.is_some() { "; RAISE does not" } else { "" };
        writeln!(out, "every log p(v) of the model shares the error of log Z{but}")
    }
}
