//! The paper's experiments, each as one command: what was measured as a report, plots and a machine-readable file.
//!
//! | file | holds |
//! |---|---|
//! | [`toy`] | random weights: search, meeting times and estimators against the size of the machine |
//! | [`contest`] | models trained under equal conditions and judged alike: estimators, techniques, 8-bit pixels |
//! | [`inpaint`] | hidden pixels restored |
//! | [`subject`] | the images of an experiment, as bits |
//! | [`training`] | a model that is trained inside of an experiment |
//! | [`side_by_side`](mod@side_by_side) | several models at once |
//! | [`replay`] | the same numbers of updates again |
//! | [`pictures`] | rows of bits as a picture of many images |
//! | [`report`] | Markdown made of what was measured |
//! | [`plot`] | plots for a paper, as PNG and SVG |
//! | [`results`] | `results.json`: the figures, with seeds, machine and versions |
//! | [`folder`] | the folder of an experiment's files, written whole |
//! | [`summary`] | what a sample comes to |
//!
//! **To add an experiment**: a file with a function from [`Settings`] to an [`Outcome`], and a variant of [`Name`] that
//! [`run`] sends there. Everything measured goes into the outcome's `results`, a report says nothing that is not there.

pub mod contest;
pub mod folder;
pub mod inpaint;
pub mod pictures;
pub mod plot;
pub mod replay;
pub mod report;
pub mod results;
pub mod side_by_side;
pub mod subject;
pub mod summary;
pub mod toy;
pub mod training;

use std::{
    io,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

use bitboltz_core::coupling::Horizon;
use thiserror::Error;

use self::{
    folder::{Folder, FolderError},
    plot::Plot,
    replay::{Replay, ReplayError},
    report::Report,
    results::Provenance,
    training::{Course, Pace},
};
use crate::{
    dataset::{DataError, EncodeError, LabelError},
    estimator::Estimator,
    eval::{features::FeaturesError, judge::JudgeError, restoration::RestorationError},
    grid::GridError,
    model_file::ModelFile,
    stages::Stages,
    train::{Pretrain, TrainConfig, TrainError},
};

/// The experiments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Name {
    /// Random weights, from 6 units to 30,000: sweeps of the search, meeting times, bias and variance.
    Toy,
    /// Each gradient estimator on MNIST from the same start, for the same time: who learns, who fails.
    Mnist,
    /// The same on Fashion-MNIST.
    Fashion,
    /// MNIST and Fashion-MNIST with 8 bits a pixel (6,272 visible units).
    Images8,
    /// CIFAR-10 with 8 bits a colour (24,576 visible units).
    Cifar10,
    /// Hidden pixels restored, on MNIST and Fashion-MNIST: halves, a box, half of the pixels.
    Inpaint,
    /// The defaults of training on MNIST with each technique off in turn: what each is worth.
    Ablation,
}

impl Name {
    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Toy => "toy",
            Self::Mnist => "mnist",
            Self::Fashion => "fashion",
            Self::Images8 => "images8",
            Self::Cifar10 => "cifar10",
            Self::Inpaint => "inpaint",
            Self::Ablation => "ablation",
        }
    }

    /// Whether models are trained in it.
    pub const fn trains(self) -> bool {
        !matches!(self, Self::Toy)
    }

    /// Whether it looks at models from files.
    pub const fn takes_models(self) -> bool {
        matches!(self, Self::Toy | Self::Inpaint)
    }

    /// Whether generated pictures are judged by features.
    pub const fn judges(self) -> bool {
        !matches!(self, Self::Toy | Self::Inpaint)
    }
}

/// Updates of a model in the small version.
const QUICK_UPDATES: u64 = 40;
/// Hidden layers of a model in the small version.
const QUICK_HIDDEN: [usize; 2] = [32, 16];
/// The largest batch in the small version.
const QUICK_BATCH: usize = 50;
/// Most steps for a pair to meet in the small version.
const QUICK_CAP: u32 = 20;

/// Nobody stops it.
static GO: AtomicBool = AtomicBool::new(false);

/// What an experiment is asked for.
pub struct Settings<'a> {
    /// A small version, for a machine that only checks that everything works.
    pub quick: bool,
    /// Seed of everything random.
    pub seed: u64,
    /// Trained models to look at, with their names.
    pub models: Vec<(String, ModelFile)>,
    /// A data set instead of the usual ones.
    pub data: Option<String>,
    /// A network of features instead of the usual one.
    pub features: Option<String>,
    /// Minutes of training of each model instead of the usual ones.
    pub minutes: Option<f64>,
    /// Models that are compared at once, each on its share of the threads.
    pub jobs: usize,
    /// An earlier run, whose numbers of updates are repeated.
    pub replay: Option<Replay>,
    /// Set by another thread or a signal handler: training ends after the present update, other work after the present
    /// step.
    pub stop: &'a AtomicBool,
    /// Where progress is shown.
    pub stages: &'a (dyn Stages + Sync),
}

impl<'a> Settings<'a> {
    /// The full version with seed 0, and everything as usual.
    pub fn new(stages: &'a (dyn Stages + Sync)) -> Self {
        Self {
            quick: false,
            seed: 0,
            models: Vec::new(),
            data: None,
            features: None,
            minutes: None,
            jobs: 1,
            replay: None,
            stop: &GO,
            stages,
        }
    }

    /// When models are looked at that are usually trained for so many minutes; `None` if an earlier run says it.
    fn pace(&self, minutes: f64) -> Option<Pace> {
        match (&self.replay, self.quick) {
            (Some(_), _) => None,
            (None, true) => Some(Pace::of_updates(QUICK_UPDATES)),
            (None, false) => Some(Pace::of_minutes(self.minutes.unwrap_or(minutes))),
        }
    }

    /// When the model of that name is looked at, where all others are at `pace`; `None` if the earlier run did not come to
    /// it.
    fn pace_of(&self, name: &str, pace: Option<&Pace>) -> Option<Pace> {
        let earlier = || Some(Pace::Updates(self.replay.as_ref()?.marks(name)?.to_vec()));
        pace.cloned().or_else(earlier)
    }

    /// Whether the work is to end.
    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Whether the model of that name will be trained: `false` if there is a replay without it.
    ///
    /// # Errors
    /// [`PaperError::Replay`], if the earlier run trained it with other settings.
    fn known(&self, name: &str, course: Course<'_>) -> Result<bool, PaperError> {
        match &self.replay {
            Some(replay) => replay.check(name, course),
            None => Ok(true),
        }
    }

    /// Adds the seed to that of a configuration, and makes it small in the small version.
    fn adapt(&self, config: &mut TrainConfig) {
        config.seed = config.seed.wrapping_add(self.seed);
        if self.quick {
            config.hidden = QUICK_HIDDEN.to_vec();
            config.batch = config.batch.min(QUICK_BATCH);
            for estimator in [Some(&mut config.estimator), config.clamped_estimator.as_mut()].into_iter().flatten() {
                if let Estimator::Ucd { horizon, .. } = *estimator {
                    *estimator = estimator.with_horizon(Horizon { cap: QUICK_CAP, ..horizon });
                }
            }
            if let Some(Pretrain::Greedy { updates }) = &mut config.pretrain {
                *updates = QUICK_UPDATES;
            }
        }
    }
}

/// A picture of many images.
#[derive(Clone, Debug)]
pub struct Picture {
    /// The file's name without extension.
    pub name: String,
    /// The file's content.
    pub png: Vec<u8>,
}

/// What an experiment gives.
pub struct Outcome {
    /// The report, without its last section, which says how it was made.
    pub report: Report,
    /// The plots that the report shows.
    pub plots: Vec<Plot>,
    /// The pictures that it shows.
    pub pictures: Vec<Picture>,
    /// What was asked for: sizes, caps, numbers of chains. A JSON object.
    pub configuration: serde_json::Value,
    /// Every figure of the report. A JSON object, whose fields stand at the top of `results.json`.
    pub results: serde_json::Value,
    /// What gives the same numbers again.
    pub repeat: Repeat,
}

/// What gives the same numbers again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// The same command; there is nothing to replay.
    Command,
    /// The same command, or a replay: models were trained for numbers of updates.
    Updates,
    /// A replay: models were trained for minutes.
    Replay,
}

impl Repeat {
    /// Of an experiment that trains models at this pace; `None` if an earlier run said it.
    fn of(pace: Option<&Pace>) -> Self {
        match pace {
            Some(Pace::Minutes(_)) => Self::Replay,
            Some(Pace::Updates(_)) | None => Self::Updates,
        }
    }
}

/// An experiment whose data sets, networks and settings were found to be there and to fit; what is left is the work.
type Ready<'a> = Box<dyn FnOnce() -> Result<Outcome, PaperError> + 'a>;

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
    /// A data set.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Images that cannot become bits, or bits that are no images.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// Labels that a model with label units would need.
    #[error(transparent)]
    Labels(#[from] LabelError),
    /// A network, or too few images for it.
    #[error(transparent)]
    Judge(#[from] JudgeError),
    /// Threads that the system does not give.
    #[error("threads: {0}")]
    Threads(#[from] rayon::ThreadPoolBuildError),
    /// A training run that cannot begin.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// Hidden pixels that cannot be restored.
    #[error(transparent)]
    Restoration(#[from] RestorationError),
    /// A picture of many images.
    #[error(transparent)]
    Grid(#[from] GridError),
    /// A request that cannot be met.
    #[error("{what}: expected {expected}, found {found}")]
    Request {
        /// What it is about.
        what: String,
        /// What could be met.
        expected: String,
        /// What was asked for.
        found: String,
    },
    /// Stopped before anything was finished.
    #[error("stopped before the first model was trained; nothing was written")]
    Stopped,
    /// The earlier run trained in another way.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// The earlier run trained none of the models of this version.
    #[error("the earlier run trained no model that this version of the experiment knows")]
    NothingToReplay,
}

impl From<FeaturesError> for PaperError {
    fn from(error: FeaturesError) -> Self {
        Self::Judge(error.into())
    }
}

/// Runs an experiment and writes its report, plots and results into a folder, and returns the files. `command` is how it
/// was called.
///
/// # Errors
/// [`PaperError`]; what cannot be is refused before the work starts and before there is a folder. Nothing is written before
/// everything is there.
pub fn run(
    name: Name,
    settings: &Settings<'_>,
    out: &std::path::Path,
    command: &str,
) -> Result<Vec<PathBuf>, PaperError> {
    Folder::check(out, name.name())?;
    let start = Instant::now();
    let work: Ready<'_> = match name {
        Name::Toy => Box::new(|| toy::run(settings)),
        Name::Inpaint => inpaint::prepare(settings)?,
        Name::Mnist | Name::Fashion | Name::Images8 | Name::Cifar10 | Name::Ablation => {
            contest::prepare(name, settings)?
        }
    };
    let folder = Folder::open(out, name.name())?;
    let outcome = work()?;
    let provenance = Provenance::new(name.name(), command, out, settings, start.elapsed());
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    for plot in &outcome.plots {
        let failed = |error: io::Error| PaperError::Plot { name: plot.name.clone(), reason: error.to_string() };
        files.push((format!("{}.png", plot.name), plot.png().map_err(failed)?));
        files.push((format!("{}.svg", plot.name), plot.svg().map_err(failed)?.into_bytes()));
    }
    files.extend(outcome.pictures.into_iter().map(|picture| (format!("{}.png", picture.name), picture.png)));
    let mut report = outcome.report;
    provenance.describe(&mut report, outcome.repeat);
    files.push(("report.md".to_owned(), report.text().as_bytes().to_vec()));
    let names: Vec<String> = files.iter().map(|(name, _)| name.clone()).collect();
    // Last: whoever finds it finds the rest.
    files.push(("results.json".to_owned(), provenance.json(&outcome.configuration, &outcome.results, &names)?));
    Ok(folder.write(&files)?)
}
