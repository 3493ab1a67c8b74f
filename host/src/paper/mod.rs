//! The paper's experiments, each as one command: what was measured as a report, plots and a machine-readable file.
//!
//! | file | holds |
//! |---|---|
//! | [`toy`] | random weights: search, meeting times and estimators against the size of the machine |
//! | [`report`] | Markdown made of what was measured |
//! | [`plot`] | plots for a paper, as PNG and SVG |
//! | [`results`] | `results.json`: the figures, with seeds, machine and versions |
//! | [`folder`] | the folder of an experiment's files, written whole |
//! | [`summary`] | what a sample comes to |
//!
//! **To add an experiment**: a file with a function from [`Settings`] to an [`Outcome`], and a variant of [`Name`] that
//! [`run`] sends there. Everything measured goes into the outcome's `results`, a report says nothing that is not there.

pub mod folder;
pub mod plot;
pub mod report;
pub mod results;
pub mod summary;
pub mod toy;

use std::{io, path::PathBuf, time::Instant};

use thiserror::Error;

use self::{
    folder::{Folder, FolderError},
    plot::Plot,
    report::Report,
    results::Provenance,
};
use crate::{model_file::ModelFile, stages::Stages};

/// The experiments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// Random weights of many sizes.
    Toy,
}

impl Name {
    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Toy => "toy",
        }
    }
}

/// What an experiment is asked for.
pub struct Settings<'a> {
    /// A small version, for a machine that only checks that everything works.
    pub quick: bool,
    /// Seed of everything random.
    pub seed: u64,
    /// Trained models to look at, with their names.
    pub models: Vec<(String, ModelFile)>,
    /// Where progress is shown.
    pub stages: &'a (dyn Stages + Sync),
}

/// What an experiment gives.
pub struct Outcome {
    /// The report, without its last section, which says how it was made.
    pub report: Report,
    /// The plots that the report shows.
    pub plots: Vec<Plot>,
    /// What was asked for: sizes, caps, numbers of chains. A JSON object.
    pub configuration: serde_json::Value,
    /// Every figure of the report. A JSON object, whose fields stand at the top of `results.json`.
    pub results: serde_json::Value,
}

/// Why there is no result.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PaperError {
    /// The folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A plot could not be drawn.
    #[error("plot {name}: {reason}")]
    Plot {
        /// Its file's name, without extension.
        name: String,
        /// Why.
        reason: String,
    },
    /// The numbers could not be written as JSON.
    #[error("results.json: {0}")]
    Json(#[from] serde_json::Error),
}

/// Runs an experiment and writes its report, plots and results into a folder, and returns the files. `command` is how it
/// was called.
///
/// # Errors
/// [`PaperError`]; what cannot be is refused before the work starts. Nothing is written before everything is there.
pub fn run(
    name: Name,
    settings: &Settings<'_>,
    out: &std::path::Path,
    command: &str,
) -> Result<Vec<PathBuf>, PaperError> {
    let folder = Folder::open(out, name.name())?;
    let start = Instant::now();
    let outcome = match name {
        Name::Toy => toy::run(settings)?,
    };
    let provenance = Provenance::new(name.name(), command, settings, start.elapsed());
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    for plot in &outcome.plots {
        let failed = |error: io::Error| PaperError::Plot { name: plot.name.clone(), reason: error.to_string() };
        files.push((format!("{}.png", plot.name), plot.png().map_err(failed)?));
        files.push((format!("{}.svg", plot.name), plot.svg().map_err(failed)?.into_bytes()));
    }
    let mut report = outcome.report;
    provenance.describe(&mut report);
    files.push(("report.md".to_owned(), report.text().as_bytes().to_vec()));
    let names: Vec<String> = files.iter().map(|(name, _)| name.clone()).collect();
    // Last: whoever finds it finds the rest.
    files.push(("results.json".to_owned(), provenance.json(&outcome.configuration, &outcome.results, &names)?));
    Ok(folder.write(&files)?)
}
