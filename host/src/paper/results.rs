//! `results.json`: every figure, with what is needed to get it again.

use std::{path::Path, time::Duration};

use serde::Serialize;
use serde_json::Value;

use super::{Repeat, Settings, report::Report};
use crate::{batch::kernels::Isa, bench::machine::cpu_model};

/// Where figures come from.
#[derive(Clone, Debug, Serialize)]
pub struct Provenance {
    experiment: &'static str,
    /// The command, as it was given.
    command: String,
    version: &'static str,
    seed: u64,
    quick: bool,
    /// Names of the trained models that took part.
    models: Vec<String>,
    /// The data set instead of the usual ones.
    data: Option<String>,
    /// The network of features instead of the usual one.
    features: Option<String>,
    /// The command that repeats the numbers of updates, if models were trained.
    #[serde(skip)]
    replay: String,
    machine: Machine,
    /// Wall time.
    seconds: f64,
}

/// What it ran on.
#[derive(Clone, Debug, Serialize)]
struct Machine {
    processor: String,
    /// Worker threads.
    threads: usize,
    /// Models that were compared at once, each on its share of them.
    jobs: usize,
    system: &'static str,
    architecture: &'static str,
    /// The instruction set of the inner loops.
    kernels: &'static str,
}

impl Provenance {
    /// Of a run into a folder that took so long.
    pub fn new(
        experiment: &'static str,
        command: &str,
        folder: &Path,
        settings: &Settings<'_>,
        took: Duration,
    ) -> Self {
        // Beside the folder: in it the new one would be a foreign file.
        let again = match folder.file_name() {
            Some(name) => folder.with_file_name(format!("{}-again", name.to_string_lossy())),
            None => folder.join("../again"),
        };
        let (again, results) = (again.display(), folder.join("results.json"));
        Self {
            replay: format!("bitboltz paper {experiment} --out {again} --replay {}", results.display()),
            experiment,
            command: command.to_owned(),
            version: env!("CARGO_PKG_VERSION"),
            seed: settings.seed,
            quick: settings.quick,
            models: settings.models.iter().map(|(name, _)| name.clone()).collect(),
            data: settings.data.clone(),
            features: settings.features.clone(),
            machine: Machine {
                processor: cpu_model().unwrap_or_else(|| "an unknown processor".to_owned()),
                threads: rayon::current_num_threads(),
                jobs: settings.jobs,
                system: std::env::consts::OS,
                architecture: std::env::consts::ARCH,
                kernels: Isa::best().name(),
            },
            seconds: took.as_secs_f64(),
        }
    }

    /// The report's last section. `repeat` says what gives the same numbers again.
    pub fn describe(&self, report: &mut Report, repeat: Repeat) {
        let Machine { processor, threads, jobs, system, architecture, kernels } = &self.machine;
        let at_once =
            if *jobs > 1 { format!(", {jobs} models at a time, each on its share of them") } else { String::new() };
        report.section("How this was made");
        let again = match repeat {
            Repeat::Command => "The same seed gives the same numbers, but for the wall time.".to_owned(),
            Repeat::Updates => {
                format!(
                    "The same command gives the same numbers, but for the wall time, and so does `{}`.",
                    self.replay
                )
            }
            Repeat::Replay => format!(
                "How many updates fit into a minute is up to the machine; `{}` does as many updates as this run did, and \
                 gives the same numbers, but for the wall time.",
                self.replay
            ),
        };
        report.add(format_args!(
            "`{}`\n\nbitboltz {}, seed {}, {:.0} s on {processor} with {threads} threads{at_once} ({system}, {architecture}, {kernels} \
             kernels). {again} Every figure is in `results.json`.",
            self.command, self.version, self.seed, self.seconds
        ));
    }

    /// The file: this, the experiment's configuration, and the fields of its results.
    ///
    /// # Errors
    /// Those of serialisation.
    pub fn json(&self, configuration: &Value, results: &Value, files: &[String]) -> serde_json::Result<Vec<u8>> {
        #[derive(Serialize)]
        struct File<'a> {
            #[serde(flatten)]
            provenance: &'a Provenance,
            /// The other files of the folder.
            files: &'a [String],
            configuration: &'a Value,
            #[serde(flatten)]
            results: &'a Value,
        }
        let mut bytes = serde_json::to_vec_pretty(&File { provenance: self, files, configuration, results })?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}
