//! A model that is trained inside of an experiment, and looked at on the way.
//!
//! Budgets are minutes of training, so that a quick estimator and a slow one can be compared; what is looked at in between
//! does not count. Another machine, or the same one on another day, makes another number of updates in that time. So every
//! mark, the number of updates at which a model was looked at, is in `results.json`, and a [replay](super::replay) stops
//! at the same marks: an update does not depend on the clock, and so the same seed gives the same numbers.

use std::ops::ControlFlow;

use bitboltz_core::image::Geometry;
use serde::Serialize;

use super::{PaperError, Settings, report::number};
use crate::{
    bits::BitMatrix,
    estimator::Estimator,
    train::{Pretrain, TrainConfig, TrainError, Trainer, UpdateReport},
};

/// Shares of a budget at which a model is looked at.
pub const SHARES: [f64; 5] = [1.0 / 16.0, 1.0 / 8.0, 1.0 / 4.0, 1.0 / 2.0, 1.0];

/// When a model in training is looked at; the last time is also its end.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Pace {
    /// After so many minutes of training.
    Minutes(Vec<f64>),
    /// After so many updates.
    Updates(Vec<u64>),
}

impl Pace {
    /// So many minutes, looked at [on the way](SHARES).
    pub fn of_minutes(minutes: f64) -> Self {
        Self::Minutes(SHARES.map(|share| share * minutes).to_vec())
    }

    /// So many updates, looked at [on the way](SHARES).
    pub fn of_updates(updates: u64) -> Self {
        let mut marks = SHARES.map(|share| ((share * updates as f64).round() as u64).max(1)).to_vec();
        marks.dedup();
        Self::Updates(marks)
    }

    /// The same end, not looked at before.
    pub fn end_only(self) -> Self {
        match self {
            Self::Minutes(marks) => Self::Minutes(marks.into_iter().next_back().into_iter().collect()),
            Self::Updates(marks) => Self::Updates(marks.into_iter().next_back().into_iter().collect()),
        }
    }

    /// The budget, for people.
    pub fn budget(pace: Option<&Self>) -> String {
        match pace {
            Some(Self::Minutes(marks)) => format!("for {} minutes", number(marks.last().copied().unwrap_or(0.0))),
            Some(Self::Updates(marks)) => format!("for {} updates", marks.last().copied().unwrap_or(0)),
            None => "for as many updates as in the earlier run that is replayed, whose times are told".to_owned(),
        }
    }

    /// How many marks there are.
    fn len(&self) -> usize {
        match self {
            Self::Minutes(marks) => marks.len(),
            Self::Updates(marks) => marks.len(),
        }
    }

    /// Whether mark `index` is reached.
    fn reached(&self, index: usize, trainer: &Trainer) -> bool {
        match self {
            Self::Minutes(marks) => trainer.seconds() >= 60.0 * marks[index],
            Self::Updates(marks) => trainer.step() >= marks[index],
        }
    }

    /// The whole way, in updates or milliseconds.
    fn length(&self) -> u64 {
        match self {
            Self::Minutes(marks) => marks.last().map_or(0, |minutes| (60_000.0 * minutes) as u64),
            Self::Updates(marks) => marks.last().copied().unwrap_or(0),
        }
    }

    /// How far the trainer has come.
    fn way(&self, trainer: &Trainer) -> u64 {
        match self {
            Self::Minutes(_) => (1000.0 * trainer.seconds()) as u64,
            Self::Updates(_) => trainer.step(),
        }
    }
}

/// How a model is trained.
#[derive(Clone, Copy, Debug)]
pub struct Course<'a> {
    /// From the first mark on, or from the start.
    pub config: &'a TrainConfig,
    /// The estimator of both phases up to the first mark, if it is another: pairs that do not meet under fresh weights may
    /// meet in a model that has learnt.
    pub warm_up: Option<Estimator>,
}

impl<'a> Course<'a> {
    /// The same from the start to the end.
    pub fn of(config: &'a TrainConfig) -> Self {
        Self { config, warm_up: None }
    }

    /// Up to the first mark.
    fn start(&self) -> TrainConfig {
        match self.warm_up {
            Some(estimator) => TrainConfig { estimator, clamped_estimator: None, ..self.config.clone() },
            None => self.config.clone(),
        }
    }

    /// The same run with what follows the first mark.
    fn go_on(&self, trainer: Trainer) -> Result<Trainer, TrainError> {
        if self.warm_up.is_none() {
            return Ok(trainer);
        }
        let mut checkpoint = trainer.checkpoint();
        if let Some(training) = &mut checkpoint.training {
            training.config = self.config.clone();
        }
        Trainer::resume(checkpoint, trainer.data().clone())
    }
}

/// Where a training run stands at a mark; means are over the updates since the mark before.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Snapshot {
    /// Updates done.
    pub updates: u64,
    /// Wall time of these.
    pub seconds: f64,
    /// The clamped phase.
    pub positive: PhaseMeans,
    /// The free phase.
    pub negative: PhaseMeans,
}

/// What a phase took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct PhaseMeans {
    /// Mean τ; `None` where no chains are coupled.
    pub mean_tau: Option<f64>,
    /// Longest τ.
    pub max_tau: Option<u32>,
    /// Mean sweeps T of the local mode searches, or of the mean fields; 0 where there is neither.
    #[serde(rename = "mean_T")]
    pub mean_t: f64,
    /// Chains that were left out because their pair had not met at its cap, or their search had found no mode at its own.
    pub cap_hits: usize,
    /// Chains that gave an estimate.
    pub chains: usize,
}

/// Sums over updates.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    updates: u64,
    tau: f64,
    coupled: u64,
    sweeps: f64,
    means: PhaseMeans,
}

impl Tally {
    fn add(&mut self, phase: &crate::train::phase::PhaseSummary) {
        self.updates += 1;
        if let Some(tau) = phase.mean_tau {
            self.tau += tau;
            self.coupled += 1;
        }
        self.sweeps += phase.search_sweeps;
        self.means.max_tau = self.means.max_tau.max(phase.max_tau);
        self.means.cap_hits += phase.cap_hits;
        self.means.chains += phase.chains;
    }

    fn means(&self) -> PhaseMeans {
        PhaseMeans {
            mean_tau: (self.coupled > 0).then(|| self.tau / self.coupled as f64),
            mean_t: self.sweeps / self.updates.max(1) as f64,
            ..self.means
        }
    }
}

/// A training run that came to its end, failed, or was stopped after its first mark.
#[derive(Debug)]
pub struct Trained<T> {
    /// What was found at each mark.
    pub looks: Vec<(Snapshot, T)>,
    /// Updates at which the run was stopped and looked at; the last may be the one at which it failed.
    pub marks: Vec<u64>,
    /// Why it failed, if it did. That is a result, not an error.
    pub failed: Option<String>,
    /// Whether it was stopped before its last mark was looked at.
    pub stopped: bool,
    /// The model in its last state, which must not be used if the run failed.
    pub trainer: Trainer,
}

/// What was found at a mark: nothing if it was stopped meanwhile; why the model cannot be looked at.
pub type Look<T> = Result<Option<T>, String>;

/// Trains a model on `data`, and calls `look` at every mark of `pace`. An update or a look that fails ends the run, and so
/// does pretraining; a look that was stopped gives nothing. `name` is shown.
///
/// # Errors
/// [`PaperError::Train`], if the run cannot even begin; [`PaperError::Stopped`], before the first mark was looked at.
pub fn train<T>(
    name: &str,
    course: Course<'_>,
    data: &BitMatrix,
    geometry: Geometry,
    pace: &Pace,
    settings: &Settings<'_>,
    look: &mut dyn FnMut(&Trainer, &Snapshot) -> Look<T>,
) -> Result<Trained<T>, PaperError> {
    let (mut trainer, failed) = begin(name, &course.start(), data, geometry, settings)?;
    let (mut looks, mut marks) = (Vec::new(), Vec::new());
    if failed.is_some() {
        return Ok(Trained { looks, marks: vec![1], failed, stopped: false, trainer });
    }
    let mut way = 0;
    for index in 0..pace.len() {
        if index == 1 {
            trainer = course.go_on(trainer)?;
        }
        let progress = settings.stages.begin(name, pace.length());
        progress(way);
        let mut tallies = [Tally::default(); 2];
        while !settings.stopped() && !pace.reached(index, &trainer) {
            match trainer.update() {
                Ok(UpdateReport { positive, negative, .. }) => {
                    tallies.iter_mut().zip([positive, negative]).for_each(|(tally, phase)| tally.add(&phase));
                }
                Err(error) => {
                    // The failed update is the next one.
                    marks.push(trainer.step() + 1);
                    return Ok(Trained { looks, marks, failed: Some(reason(&error)), stopped: false, trainer });
                }
            }
            let now = pace.way(&trainer).min(pace.length());
            progress(now - way);
            way = now;
        }
        drop(progress);
        let [positive, negative] = tallies.map(|tally| tally.means());
        let snapshot = Snapshot { updates: trainer.step(), seconds: trainer.seconds(), positive, negative };
        match if settings.stopped() { Ok(None) } else { look(&trainer, &snapshot) } {
            Ok(Some(found)) => {
                marks.push(snapshot.updates);
                looks.push((snapshot, found));
            }
            Ok(None) if looks.is_empty() => return Err(PaperError::Stopped),
            Ok(None) => return Ok(Trained { looks, marks, failed: None, stopped: true, trainer }),
            Err(failed) => {
                marks.push(snapshot.updates);
                return Ok(Trained { looks, marks, failed: Some(failed), stopped: false, trainer });
            }
        }
    }
    Ok(Trained { looks, marks, failed: None, stopped: false, trainer })
}

/// A trainer before its first update, pretrained if the settings say so: its clock has run since then. Where pretraining
/// failed, a trainer without it, and the reason.
fn begin(
    name: &str,
    config: &TrainConfig,
    data: &BitMatrix,
    geometry: Geometry,
    settings: &Settings<'_>,
) -> Result<(Trainer, Option<String>), PaperError> {
    let progress = config.pretrain.map(|Pretrain::Greedy { updates }| {
        settings.stages.begin(&format!("{name}: pretraining"), updates * config.hidden.len() as u64)
    });
    let begun = Trainer::begin(config.clone(), data.clone(), geometry, &mut |_| {
        progress.iter().for_each(|progress| progress(1));
        if settings.stopped() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    drop(progress);
    let (begun, failed) = match begun {
        Err(error @ TrainError::Pretrain { .. }) => {
            let plain = TrainConfig { pretrain: None, ..config.clone() };
            (Some(Trainer::new(plain, data.clone(), geometry)?), Some(reason(&error)))
        }
        begun => (begun?, None),
    };
    Ok((begun.ok_or(PaperError::Stopped)?, failed))
}

/// The error without its advice, which is about options of another command.
fn reason(error: &TrainError) -> String {
    match error {
        TrainError::NoEstimate { step, phase, chains } => {
            format!("update {step}: none of the {chains} pairs of the {phase} phase had met at the cap")
        }
        TrainError::Diverged { step } => format!("update {step}: a parameter is no longer finite"),
        TrainError::Pretrain { machine, source } => {
            format!("pretraining of hidden layer {machine}: {}", reason(source))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use bitboltz_core::coupling::Horizon;

    use super::*;
    use crate::stages::Quiet;

    fn data() -> BitMatrix {
        BitMatrix::from_words(3, 6, vec![0b111, 0b111_000, 0b101_010]).unwrap()
    }

    fn config() -> TrainConfig {
        TrainConfig { hidden: vec![4, 3], batch: 4, ..TrainConfig::default() }
    }

    fn run(config: &TrainConfig, pace: &Pace, settings: &Settings<'_>) -> Result<Trained<u64>, PaperError> {
        train("m", Course::of(config), &data(), Geometry::default(), pace, settings, &mut |trainer, _| {
            Ok(Some(trainer.step()))
        })
    }

    #[test]
    fn marks_are_shares_of_the_budget() {
        assert_eq!(Pace::of_minutes(16.0), Pace::Minutes(vec![1.0, 2.0, 4.0, 8.0, 16.0]));
        assert_eq!(Pace::of_updates(40), Pace::Updates(vec![3, 5, 10, 20, 40]));
        assert_eq!(Pace::of_updates(2), Pace::Updates(vec![1, 2]));
        assert_eq!(Pace::of_updates(40).end_only(), Pace::Updates(vec![40]));
        assert_eq!(Pace::budget(Some(&Pace::of_updates(40))), "for 40 updates");
    }

    #[test]
    fn a_run_is_looked_at_and_a_replay_of_its_marks_is_the_same_run() {
        let settings = Settings::new(&Quiet);
        let by_clock = run(&config(), &Pace::of_minutes(0.005), &settings).unwrap();
        assert!(by_clock.failed.is_none() && by_clock.looks.len() == 5);
        let steps: Vec<u64> = by_clock.looks.iter().map(|(snapshot, _)| snapshot.updates).collect();
        assert!(steps.is_sorted() && steps == by_clock.marks, "{steps:?}");
        let again = run(&config(), &Pace::Updates(by_clock.marks.clone()), &settings).unwrap();
        assert_eq!(again.trainer.parameters(), by_clock.trainer.parameters());
        for ((first, _), (second, _)) in by_clock.looks.iter().zip(&again.looks) {
            assert_eq!((first.positive, first.negative), (second.positive, second.negative));
            // On a busy machine one update may have passed two marks.
            if first.negative.chains > 0 {
                assert!(first.positive.mean_tau.unwrap() >= 1.0 && first.negative.mean_t >= 1.0, "{first:?}");
            }
        }
    }

    #[test]
    fn a_warm_start_is_the_run_of_one_estimator_that_goes_on_with_another() {
        let settings = Settings::new(&Quiet);
        let gibbs = TrainConfig { estimator: "ucd-lmi-gibbs".parse().unwrap(), ..config() };
        let warm = Course { config: &gibbs, warm_up: Some(config().estimator) };
        let pace = Pace::Updates(vec![3, 9]);
        let mut step = |trainer: &Trainer, _: &Snapshot| Ok(Some(trainer.step()));
        let found = train("m", warm, &data(), Geometry::default(), &pace, &settings, &mut step).unwrap();
        let mut by_hand = Trainer::new(config(), data(), Geometry::default()).unwrap();
        (0..3).for_each(|_| _ = by_hand.update().unwrap());
        let mut checkpoint = by_hand.checkpoint();
        checkpoint.training.as_mut().unwrap().config = gibbs.clone();
        let mut by_hand = Trainer::resume(checkpoint, data()).unwrap();
        (0..6).for_each(|_| _ = by_hand.update().unwrap());
        assert_eq!(found.trainer.parameters(), by_hand.parameters());
        for cold in [&config(), &gibbs] {
            assert_ne!(found.trainer.parameters(), run(cold, &pace, &settings).unwrap().trainer.parameters());
        }
    }

    #[test]
    fn failures_are_results_that_a_replay_repeats() {
        let settings = Settings::new(&Quiet);
        let mut hopeless = config();
        // A pair that is ahead by more steps than it may take never meets.
        hopeless.estimator = hopeless.estimator.with_horizon(Horizon { k: 0, m: 0, lag: 5, cap: 3 });
        let found = run(&hopeless, &Pace::of_updates(40), &settings).unwrap();
        assert_eq!((found.looks.len(), &found.marks[..]), (0, &[1][..]));
        assert!(found.failed.as_ref().unwrap().contains("none of the 4 pairs"), "{:?}", found.failed);
        let again = run(&hopeless, &Pace::Updates(found.marks), &settings).unwrap();
        assert_eq!(again.failed, found.failed);
        let mut refused = |_: &Trainer, snapshot: &Snapshot| match snapshot.updates {
            1 => Ok(Some(())),
            _ => Err("no mode".to_owned()),
        };
        let pace = Pace::Updates(vec![1, 2, 3]);
        let found =
            train("m", Course::of(&config()), &data(), Geometry::default(), &pace, &settings, &mut refused).unwrap();
        assert_eq!((found.looks.len(), found.marks, found.failed), (1, vec![1, 2], Some("no mode".to_owned())));
    }

    #[test]
    fn time_of_pretraining_counts_and_its_failure_is_a_result() {
        let settings = Settings::new(&Quiet);
        let config = TrainConfig { pretrain: Some(Pretrain::Greedy { updates: 5 }), ..config() };
        let found = run(&config, &Pace::of_updates(4), &settings).unwrap();
        let mut plain = Trainer::new(config.clone(), data(), Geometry::default()).unwrap();
        let before = plain.seconds();
        (0..4).for_each(|_| _ = plain.update().unwrap());
        assert_eq!(found.trainer.parameters(), plain.parameters());
        assert!(before > 0.0 && found.failed.is_none() && found.looks[0].0.seconds > 0.0);
        // Its time is over before the first update.
        let late = run(&config, &Pace::Minutes(vec![1e-9, 2e-9]), &settings).unwrap();
        assert_eq!((&late.marks[..], late.looks.len()), (&[0, 0][..], 2));
        let again = run(&config, &Pace::Updates(late.marks), &settings).unwrap();
        assert_eq!(again.trainer.parameters(), late.trainer.parameters());

        let wild = TrainConfig { learning_rate: 1e39, ..config.clone() };
        let found = run(&wild, &Pace::of_updates(4), &settings).unwrap();
        let failed = found.failed.unwrap();
        assert!(failed.contains("pretraining of hidden layer 1: update") && !failed.contains("checkpoint"), "{failed}");
        assert_eq!((found.looks.len(), &found.marks[..]), (0, &[1][..]));
        let stop = AtomicBool::new(true);
        let stopped = run(&config, &Pace::Updates(vec![0]), &Settings { stop: &stop, ..settings });
        assert!(matches!(stopped, Err(PaperError::Stopped)));
    }

    #[test]
    fn a_run_stops_when_it_is_told() {
        let stop = AtomicBool::new(true);
        let settings = Settings { stop: &stop, ..Settings::new(&Quiet) };
        let found = run(&config(), &Pace::of_updates(40), &settings);
        assert!(matches!(found, Err(PaperError::Stopped)));
        // After the second look, and in it.
        for (at, marks) in [(2, vec![3, 5]), (3, vec![3, 5])] {
            let stop = AtomicBool::new(false);
            let settings = Settings { stop: &stop, ..Settings::new(&Quiet) };
            let mut looks = 0;
            let mut look = |trainer: &Trainer, _: &Snapshot| {
                looks += 1;
                stop.store(looks == at, Ordering::Relaxed);
                Ok((looks < 3).then_some(trainer.step()))
            };
            let pace = Pace::of_updates(40);
            let found =
                train("m", Course::of(&config()), &data(), Geometry::default(), &pace, &settings, &mut look).unwrap();
            assert!(found.stopped && found.failed.is_none());
            assert_eq!((found.looks.iter().map(|look| look.1).collect(), found.marks), (marks.clone(), marks));
        }
        let impossible = TrainConfig { batch: 0, ..config() };
        assert!(matches!(run(&impossible, &Pace::of_updates(1), &settings), Err(PaperError::Train(_))));
    }
}
