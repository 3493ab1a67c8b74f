//! Many updates: until the budget is spent or someone stops them, with checkpoints on the way.
//!
//! Whatever happens, the checkpoint's file holds the last good state that could be written: it is replaced whole, a
//! state that is not finite is never written, and an error in between saves first where this run made an update.

use std::{
    io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use bitboltz_core::search::SearchCapHit;
use thiserror::Error;

use super::{
    config::Budget,
    metrics::{Mark, MetricsFile},
    pretrain::Pretraining,
    trainer::{TrainError, Trainer, UpdateReport},
};
use crate::{
    checkpoint::{Checkpoint, CheckpointError, check_writable},
    parameters::Parameters,
    sampling::{Samples, local_modes},
};

/// Where a run writes, and how often.
#[derive(Clone, Copy, Debug)]
pub struct RunOptions<'a> {
    /// The checkpoint's file.
    pub checkpoint: &'a Path,
    /// The metrics' file. Continued if what is run was resumed, begun anew if not. A file that holds anything else is an
    /// error before the first update.
    pub metrics: Option<&'a Path>,
    /// Wall time between checkpoints.
    pub checkpoint_every: Duration,
    /// Updates between sample grids; `None` for none at all.
    pub samples_every: Option<u64>,
    /// Modes in a sample grid.
    pub samples: usize,
    /// Set by another thread or a signal handler: the run ends after the present update, and saves.
    pub stop: &'a AtomicBool,
}

/// What is updated: a machine, or first the stack that it will begin with.
pub trait Learner {
    /// How far it has come.
    fn mark(&self) -> Mark;
    /// Wall time of all updates so far.
    fn seconds(&self) -> f64;
    /// How long it is to learn.
    fn budget(&self) -> Budget;
    /// Whether that is done.
    fn is_done(&self) -> bool;
    /// One update.
    ///
    /// # Errors
    /// [`TrainError`].
    fn update(&mut self) -> Result<UpdateReport, TrainError>;
    /// Everything that is needed to go on from here.
    fn checkpoint(&self) -> Checkpoint;
    /// The model of the sample grids, and their seed; `None` while there is no whole model.
    fn model(&self) -> Option<(&Parameters, u64)>;
}

impl Learner for Trainer {
    fn mark(&self) -> Mark {
        // A run that was pretrained goes on from there.
        if self.step() == 0 && self.config().pretrain.is_none() { Mark::Begin } else { Mark::Run { step: self.step() } }
    }

    fn seconds(&self) -> f64 {
        self.seconds()
    }

    fn budget(&self) -> Budget {
        self.config().budget
    }

    fn is_done(&self) -> bool {
        let Budget { steps, minutes } = self.config().budget;
        steps.is_some_and(|steps| self.step() >= steps)
            || minutes.is_some_and(|minutes| self.seconds() >= 60.0 * minutes)
    }

    fn update(&mut self) -> Result<UpdateReport, TrainError> {
        self.update()
    }

    fn checkpoint(&self) -> Checkpoint {
        self.checkpoint()
    }

    fn model(&self) -> Option<(&Parameters, u64)> {
        Some((self.parameters(), self.config().seed))
    }
}

impl Learner for Pretraining {
    fn mark(&self) -> Mark {
        self.mark()
    }

    fn seconds(&self) -> f64 {
        self.seconds()
    }

    /// That of each machine.
    fn budget(&self) -> Budget {
        Budget { steps: Some(self.updates()), minutes: None }
    }

    fn is_done(&self) -> bool {
        self.is_over()
    }

    fn update(&mut self) -> Result<UpdateReport, TrainError> {
        self.update()
    }

    fn checkpoint(&self) -> Checkpoint {
        self.checkpoint()
    }

    fn model(&self) -> Option<(&Parameters, u64)> {
        None
    }
}

/// Hears how a run goes. Every method does nothing unless it is overridden.
pub trait Progress {
    /// An update is done.
    fn updated(&mut self, report: &UpdateReport, budget: &Budget) {
        let _ = (report, budget);
    }

    /// Local modes of the model at this step, from the same starts every time; or the error of their search.
    fn samples(&mut self, step: u64, modes: Result<&Samples, SearchCapHit>) {
        let _ = (step, modes);
    }

    /// A checkpoint of this step was written.
    fn saved(&mut self, step: u64, path: &Path) {
        let _ = (step, path);
    }

    /// A checkpoint on the way could not be written. The run goes on, and tries again later.
    fn save_failed(&mut self, error: &CheckpointError) {
        let _ = error;
    }
}

/// Hears nothing.
impl Progress for () {}

/// Why a run ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The budget is spent.
    Budget,
    /// The stop flag was set.
    Stopped,
}

/// A run that ended well; the checkpoint is written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RunReport {
    /// Why it ended.
    pub ending: Ending,
    /// Updates done, earlier parts of a resumed run included; of a pretraining, those of its last machine.
    pub step: u64,
    /// Wall time of all updates.
    pub seconds: f64,
    /// Updates done by this call.
    pub updates: u64,
    /// Chains left out by this call, over both phases.
    pub cap_hits: u64,
}

/// Why a run failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RunError {
    /// An update failed. The checkpoint holds the last good state that was written.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// The checkpoint could not be written, at the start or at the end. An older one is as it was.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The metrics could not be written.
    #[error("{}: {source}", path.display())]
    Metrics {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Updates until all is learnt, a machine's budget spent, or the stop flag set; without a budget, until then.
///
/// # Errors
/// [`RunError`].
pub fn run(
    learner: &mut impl Learner,
    options: &RunOptions<'_>,
    progress: &mut impl Progress,
) -> Result<RunReport, RunError> {
    // Better now than after an hour.
    check_writable(options.checkpoint)?;
    let first = learner.mark();
    let mut found = Found::default();
    let result = updates(learner, options, progress, &mut found);
    let (mark, seconds) = (learner.mark(), learner.seconds());
    let step = mark.step();
    let diverged = matches!(&result, Err(RunError::Train(error)) if error.is_divergence());
    // A run that failed before its first update has made nothing, and must not replace what another one made.
    let anything = result.is_ok() || mark > first;
    if anything && !diverged && found.saved != Some(mark) {
        let written = learner.checkpoint().save(options.checkpoint);
        // The first error is the one to tell; a second one says no more than that the older file is still there.
        match (&result, written) {
            (_, Ok(())) => progress.saved(step, options.checkpoint),
            (Ok(_), Err(error)) => return Err(error.into()),
            (Err(_), Err(error)) => progress.save_failed(&error),
        }
    }
    Ok(RunReport { ending: result?, step, seconds, updates: found.updates, cap_hits: found.cap_hits })
}

/// What a call has done so far.
#[derive(Default)]
struct Found {
    updates: u64,
    cap_hits: u64,
    /// Where the last checkpoint was written.
    saved: Option<Mark>,
}

fn updates(
    learner: &mut impl Learner,
    options: &RunOptions<'_>,
    progress: &mut impl Progress,
    found: &mut Found,
) -> Result<Ending, RunError> {
    let metrics_error =
        |source| RunError::Metrics { path: options.metrics.unwrap_or(Path::new("")).to_owned(), source };
    let metrics = options.metrics.map(|path| MetricsFile::open(path, learner.mark()));
    let mut metrics = metrics.transpose().map_err(metrics_error)?;
    let mut last_save = Instant::now();
    loop {
        if learner.is_done() {
            return Ok(Ending::Budget);
        }
        if options.stop.load(Ordering::Relaxed) {
            return Ok(Ending::Stopped);
        }
        let report = learner.update()?;
        found.updates += 1;
        found.cap_hits += (report.positive.cap_hits + report.negative.cap_hits) as u64;
        if let Some(metrics) = &mut metrics {
            metrics.append(&report).map_err(metrics_error)?;
        }
        progress.updated(&report, &learner.budget());
        if options.samples_every.is_some_and(|every| report.step.is_multiple_of(every.max(1))) {
            show_samples(learner, options.samples, progress);
        }
        if last_save.elapsed() >= options.checkpoint_every {
            match learner.checkpoint().save(options.checkpoint) {
                Ok(()) => {
                    found.saved = Some(learner.mark());
                    progress.saved(report.step, options.checkpoint);
                }
                Err(error) => progress.save_failed(&error),
            }
            last_save = Instant::now();
        }
    }
}

fn show_samples(learner: &impl Learner, count: usize, progress: &mut impl Progress) {
    let Some((parameters, seed)) = learner.model() else { return };
    // A model that is not finite is the next update's error.
    let Ok(model) = parameters.dbm() else { return };
    let step = learner.mark().step();
    match local_modes(&model, count, 0, seed) {
        Ok(modes) => progress.samples(step, Ok(&modes)),
        Err(error) => progress.samples(step, Err(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{bits::BitMatrix, checkpoint::Checkpoint, train::TrainConfig};
    use bitboltz_core::{coupling::Horizon, image::Geometry};

    fn data() -> BitMatrix {
        BitMatrix::from_words(3, 6, vec![0b111, 0b111_000, 0b101_010]).unwrap()
    }

    fn trainer(steps: u64) -> Trainer {
        let budget = Budget { steps: Some(steps), minutes: None };
        let config = TrainConfig { hidden: vec![4, 3], batch: 4, budget, ..TrainConfig::default() };
        Trainer::new(config, data(), Geometry::default()).unwrap()
    }

    fn options<'a>(checkpoint: &'a Path, metrics: Option<&'a Path>, stop: &'a AtomicBool) -> RunOptions<'a> {
        let checkpoint_every = Duration::from_secs(3600);
        RunOptions { checkpoint, metrics, checkpoint_every, samples_every: Some(2), samples: 5, stop }
    }

    #[derive(Default)]
    struct Count {
        updates: u64,
        samples: usize,
        saved: Vec<u64>,
        failed: usize,
    }

    impl Progress for Count {
        fn updated(&mut self, _: &UpdateReport, _: &Budget) {
            self.updates += 1;
        }
        fn samples(&mut self, _: u64, modes: Result<&Samples, SearchCapHit>) {
            self.samples += modes.unwrap().visible.rows();
        }
        fn saved(&mut self, step: u64, _: &Path) {
            self.saved.push(step);
        }
        fn save_failed(&mut self, _: &CheckpointError) {
            self.failed += 1;
        }
    }

    #[test]
    fn a_run_that_was_stopped_resumes_to_the_same_file() {
        let folder = tempfile::tempdir().unwrap();
        let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
        let metrics = folder.path().join("metrics.jsonl");
        let go = AtomicBool::new(false);
        let mut count = Count::default();
        let report = run(&mut trainer(6), &options(&whole, None, &go), &mut count).unwrap();
        assert_eq!((report.ending, report.step, report.updates), (Ending::Budget, 6, 6));
        assert_eq!((count.updates, count.samples, count.saved), (6, 15, vec![6]));

        run(&mut trainer(3), &options(&parts, Some(&metrics), &go), &mut ()).unwrap();
        let mut resumed = Trainer::resume(Checkpoint::load(&parts).unwrap(), data()).unwrap();
        resumed.set_budget(Budget { steps: Some(6), minutes: None });
        let stop = AtomicBool::new(true);
        let report = run(&mut resumed, &options(&parts, Some(&metrics), &stop), &mut ()).unwrap();
        assert_eq!((report.ending, report.step, report.updates), (Ending::Stopped, 3, 0));
        run(&mut resumed, &options(&parts, Some(&metrics), &go), &mut ()).unwrap();

        let [whole, parts] = [whole, parts].map(|path| Checkpoint::load(&path).unwrap());
        assert_eq!(whole.parameters, parts.parameters);
        assert_eq!(whole.training.unwrap().offsets, parts.training.unwrap().offsets);
        assert_eq!(std::fs::read_to_string(&metrics).unwrap().lines().count(), 6);
    }

    #[test]
    fn divergence_names_the_step_and_keeps_the_checkpoint() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m");
        let go = AtomicBool::new(false);
        run(&mut trainer(2), &options(&path, None, &go), &mut ()).unwrap();
        let before = std::fs::read(&path).unwrap();
        let mut checkpoint = Checkpoint::load(&path).unwrap();
        let training = checkpoint.training.as_mut().unwrap();
        training.config.learning_rate = 1e38;
        training.config.budget.steps = Some(1000);
        let mut resumed = Trainer::resume(checkpoint, data()).unwrap();
        let error = run(&mut resumed, &options(&path, None, &go), &mut ()).unwrap_err();
        assert!(matches!(error, RunError::Train(TrainError::Diverged { step: 3.. })), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }

    #[test]
    fn a_run_that_fails_at_its_first_update_leaves_every_file_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let (path, metrics) = (folder.path().join("m"), folder.path().join("notes.txt"));
        let go = AtomicBool::new(false);
        run(&mut trainer(2), &options(&path, None, &go), &mut ()).unwrap();
        std::fs::write(&metrics, "what I must not forget\n").unwrap();
        let before = std::fs::read(&path).unwrap();

        // A pair that is ahead by more steps than it may take never meets.
        let mut config = trainer(9).config().clone();
        config.estimator = config.estimator.with_horizon(Horizon { k: 0, m: 0, lag: 5, cap: 3 });
        let mut hopeless = Trainer::new(config, data(), Geometry::default()).unwrap();
        let error = run(&mut hopeless, &options(&path, None, &go), &mut ()).unwrap_err();
        assert!(matches!(error, RunError::Train(TrainError::NoEstimate { step: 1, .. })), "{error}");
        assert!(error.to_string().contains("larger cap"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), before);

        let mut resumed = Trainer::resume(Checkpoint::load(&path).unwrap(), data()).unwrap();
        resumed.set_budget(Budget { steps: Some(9), minutes: None });
        for mut trainer in [trainer(9), resumed] {
            let error = run(&mut trainer, &options(&path, Some(&metrics), &go), &mut ()).unwrap_err();
            assert!(matches!(error, RunError::Metrics { .. }) && error.to_string().contains("notes.txt"), "{error}");
            assert_eq!(std::fs::read(&path).unwrap(), before);
            assert_eq!(std::fs::read_to_string(&metrics).unwrap(), "what I must not forget\n");
        }
    }

    #[test]
    fn an_unwritable_target_is_found_at_once_and_a_failed_save_on_the_way_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let go = AtomicBool::new(false);
        let path = folder.path().join("no/such/folder/m");
        let mut run_trainer = trainer(5);
        let error = run(&mut run_trainer, &options(&path, None, &go), &mut ()).unwrap_err();
        assert!(matches!(error, RunError::Checkpoint(_)) && error.to_string().contains("no/such/folder"), "{error}");
        assert_eq!(run_trainer.step(), 0);

        // A folder in the file's place can't be replaced.
        let path = folder.path().join("m");
        std::fs::create_dir_all(path.join("x")).unwrap();
        let mut count = Count::default();
        let often = RunOptions { checkpoint_every: Duration::ZERO, ..options(&path, None, &go) };
        run(&mut trainer(5), &often, &mut count).unwrap_err();
        assert_eq!((count.updates, count.failed, count.saved.len()), (5, 5, 0));
    }
}
