//! The section `equilibrium`: the generator against long Gibbs chains.

use std::{
    io::{self, Write},
    time::Instant,
};

use serde::Serialize;

use super::Subject;
use crate::{
    eval::equilibrium::{From, Point, relax, sweeps_to},
    stages::Stages,
    with_model,
};

/// How long, and how many.
#[derive(Debug, clap::Args)]
// The name of its group would be that of the other sections.
#[group(skip)]
pub(super) struct Options {
    /// Gibbs sweeps from the generator's samples and from data.
    #[arg(long, default_value_t = 1_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    sweeps: u32,
    /// Gibbs chains from each of the two, at least 2.
    #[arg(long, default_value_t = 200, value_name = "N", value_parser = clap::value_parser!(u32).range(2..))]
    walkers: u32,
}

/// Chains from both starts.
#[derive(Serialize)]
pub(super) struct Section {
    /// Chains from each start.
    chains: usize,
    /// From uniform random bits → local mode → one Gibbs sweep.
    from_generator: Vec<Point>,
    /// From test images.
    from_data: Vec<Point>,
    /// Wall time.
    seconds: f64,
}

impl Options {
    pub(super) fn measure(&self, subject: &Subject, stages: &dyn Stages) -> anyhow::Result<Section> {
        let start = Instant::now();
        let (chains, sweeps) = (self.walkers as usize, sweeps_to(self.sweeps));
        let progress = stages.begin("Gibbs chains", 2 * u64::from(self.sweeps) * chains as u64);
        let run =
            |from, seed| with_model!(&subject.file, model => relax(&model, from, chains, &sweeps, seed, &*progress));
        let from_generator = run(From::Generator, subject.seed)?;
        // Other random numbers: where both agree, it shall not be because they are the same.
        let from_data = run(From::Data(&subject.test), subject.seed.wrapping_add(1))?;
        drop(progress);
        Ok(Section { chains, from_generator, from_data, seconds: start.elapsed().as_secs_f64() })
    }
}

impl super::Section for Section {
    fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "Gibbs chains, {} from each start, {:.1} s", self.chains, self.seconds)?;
        writeln!(
            out,
            "{:<12}{:>8}{:>12}{:>9}{:>9}{:>14}{:>9}{:>14}{:>9}",
            "from", "sweeps", "energy", "±", "sd", "visible on %", "sd", "hidden on %", "sd"
        )?;
        for (name, points) in [("generator", &self.from_generator), ("data", &self.from_data)] {
            for Point { sweeps, energy, visible_on, hidden_on } in points {
                writeln!(
                    out,
                    "{name:<12}{sweeps:>8}{:>12.2}{:>9.2}{:>9.2}{:>14.2}{:>9.2}{:>14.2}{:>9.2}",
                    energy.mean,
                    energy.standard_error,
                    energy.sd,
                    100.0 * visible_on.mean,
                    100.0 * visible_on.sd,
                    100.0 * hidden_on.mean,
                    100.0 * hidden_on.sd
                )?;
            }
        }
        Ok(())
    }
}
