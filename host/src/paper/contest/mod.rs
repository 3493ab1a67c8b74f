//! Models trained under equal conditions and judged alike: `mnist` and `fashion` (each estimator), `ablation` (each
//! technique off or on in turn), `images8` and `cifar10` (8-bit pixels).
//!
//! | file | holds |
//! |---|---|
//! | [`arms`] | what is compared, as tables |
//! | [`plan`] | what is compared on which data, and how much is spent on it |
//! | [`round`] | the arms on one data set: training and figures |
//! | [`differences`] | arms against the one that the others are measured by |
//! | `text` | the report, with its grids |
//! | `findings`, `tables` | what was found, in sentences and tables |
//! | `plots` | curves over the time of training |

pub mod arms;
pub mod differences;
mod findings;
pub mod plan;
mod plots;
pub mod round;
mod tables;
mod text;

use serde::Serialize;

use self::{
    arms::Arm,
    differences::Difference,
    plan::{Contest, Plan},
    round::{Found, Round, Shown},
};
use super::{Name, Outcome, PaperError, Ready, Repeat, Settings, side_by_side::side_by_side, subject::Subject};
use crate::{
    eval::{
        blocks::BlockMeans,
        judge::{Extractor, Judge, Quality},
    },
    inpainting::{Restored, majority, nearest},
    train::Trainer,
};

/// Real images and noise by one judge.
#[derive(Clone, Debug, Serialize)]
pub struct Bounds {
    /// The features.
    pub features: String,
    /// How many.
    pub dims: usize,
    /// Generated pictures of each kind, training images, and pictures of independent pixels.
    pub samples: usize,
    /// Training images.
    pub floor: Quality,
    /// Independent pixels with the training images' means.
    pub ceiling: Quality,
}

/// A data set and what every model on it is compared with.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// The data set.
    pub data: String,
    /// Visible units.
    pub visible: usize,
    /// Training images.
    pub train_rows: usize,
    /// Test images.
    pub test_rows: usize,
    /// By each judge.
    pub bounds: Vec<Bounds>,
    /// Left halves restored by the value of most training images.
    pub restored_majority: Option<Restored>,
    /// Left halves restored by the training image that differs least in the right half.
    pub restored_nearest: Option<Restored>,
}

/// Everything that was measured.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Results {
    /// The data sets.
    pub comparisons: Vec<Comparison>,
    /// Every arm on every data set.
    pub trainings: Vec<Found>,
    /// The arms of each data set against that which the others are measured by.
    pub differences: Vec<Difference>,
    /// Arms that were still to come when the experiment was stopped.
    pub not_run: Vec<String>,
    /// Arms that could not be trained or judged, with the reason.
    pub not_judged: Vec<String>,
}

/// Finds out whether one of the comparisons can be run.
///
/// # Errors
/// [`PaperError`]: data sets, networks or settings that are not there or do not fit; an earlier run of something else.
pub(super) fn prepare<'a>(name: Name, settings: &'a Settings<'_>) -> Result<Ready<'a>, PaperError> {
    let contest = Contest::of(name);
    let plan = Plan::new(&contest, settings);
    let load = |data: &String| Subject::load(data, plan.bits);
    let subjects: Vec<Subject> = plan.data.iter().map(load).collect::<Result<_, _>>()?;
    let extractor = |subject: &Subject| subject.extractor(settings);
    let extractors: Vec<Extractor> = subjects.iter().map(extractor).collect::<Result<_, _>>()?;
    let mut any = false;
    for subject in &subjects {
        for arm in &plan.arms {
            Trainer::check(&arm.config, &subject.train, subject.geometry)?;
            any |= settings.known(&run_name(&subject.data, arm), arm.course())?;
        }
    }
    if !any {
        return Err(PaperError::NothingToReplay);
    }
    let rounds = subjects.into_iter().zip(extractors).map(|(subject, first)| open(subject, first, &plan, settings));
    let rounds: Vec<Round> = rounds.collect::<Result<_, _>>()?;
    Ok(Box::new(move || measure(&contest, &plan, &rounds, settings)))
}

/// What a replay knows an arm by.
fn run_name(data: &str, arm: &Arm) -> String {
    format!("{data}: {}", arm.label)
}

fn measure(contest: &Contest, plan: &Plan, rounds: &[Round], settings: &Settings<'_>) -> Result<Outcome, PaperError> {
    let comparisons = rounds.iter().map(compare).collect();
    let mut results = Results { comparisons, ..Results::default() };
    let all: Vec<(&Round, &Arm)> =
        rounds.iter().flat_map(|round| plan.arms.iter().map(move |arm| (round, arm))).collect();
    let runs = side_by_side(all.len(), settings.jobs, |index| {
        let (round, arm) = all[index];
        let name = run_name(&round.subject.data, arm);
        let pace = settings.pace_of(&name, plan.pace.as_ref()).filter(|_| !settings.stopped());
        (name.clone(), pace.map(|pace| round.run(name, arm, &pace, plan, settings)))
    })?;
    let seen = sort(runs, &mut results)?;
    results.not_judged.iter().for_each(|told| settings.stages.note(told));
    for Comparison { data, .. } in &results.comparisons {
        let found: Vec<&Found> = results.trainings.iter().filter(|arm| arm.data == *data).collect();
        results.differences.extend(differences::of(&found, contest.reference));
    }
    let (report, plots, pictures) = text::write(contest, plan, &results, rounds, &seen)?;
    Ok(Outcome {
        report,
        plots,
        pictures,
        configuration: serde_json::to_value(plan)?,
        results: serde_json::to_value(&results)?,
        repeat: Repeat::of(plan.pace.as_ref()),
    })
}

/// What became of an arm; `None` if it was not run.
type Run = Option<Result<(Found, Shown), PaperError>>;

/// Puts arms where they belong in the results, and returns the pictures of those that were judged. One that failed does not
/// take the others with it: hours may be in them.
fn sort(runs: Vec<(String, Run)>, results: &mut Results) -> Result<Vec<Shown>, PaperError> {
    let (mut seen, mut error) = (Vec::new(), None);
    for (name, run) in runs {
        match run {
            Some(Ok((found, pictures))) => {
                results.trainings.push(found);
                seen.push(pictures);
            }
            None | Some(Err(PaperError::Stopped)) => results.not_run.push(name),
            Some(Err(failed)) => {
                results.not_judged.push(format!("{name}: {failed}"));
                error.get_or_insert(failed);
            }
        }
    }
    if seen.is_empty() { Err(error.unwrap_or(PaperError::Stopped)) } else { Ok(seen) }
}

fn open(subject: Subject, first: Extractor, plan: &Plan, settings: &Settings<'_>) -> Result<Round, PaperError> {
    let mut extractors = vec![first];
    if plan.bits > 1 && matches!(extractors[0], Extractor::Network(_)) {
        // A network that sees black and white does not see what the lower planes are for.
        extractors.push(Extractor::Blocks(BlockMeans::new(subject.geometry)));
    }
    let mut judges = Vec::new();
    for extractor in extractors {
        if settings.stopped() {
            return Err(PaperError::Stopped);
        }
        judges.push(subject.judge(extractor, settings, plan.samples)?);
    }
    Round::new(subject, judges, plan.restored, settings)
}

fn compare(round: &Round) -> Comparison {
    let Subject { data, train, test, .. } = &round.subject;
    let bounds = round.judges.iter().map(|judge: &Judge| Bounds {
        features: judge.extractor().name(),
        dims: judge.extractor().dims(),
        samples: judge.count(),
        floor: judge.floor.clone(),
        ceiling: judge.ceiling.clone(),
    });
    let puzzle = round.puzzle.as_ref();
    Comparison {
        data: data.clone(),
        visible: train.cols(),
        train_rows: train.rows(),
        test_rows: test.rows(),
        bounds: bounds.collect(),
        restored_majority: puzzle.map(|puzzle| puzzle.baseline(majority, train)),
        restored_nearest: puzzle.map(|puzzle| puzzle.baseline(nearest, train)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::{paper::replay::Replay, stages::Stages};

    /// Stops the experiment when a note begins with these words.
    struct StopAt {
        words: &'static str,
        stop: AtomicBool,
    }

    impl Stages for StopAt {
        fn begin(&self, _what: &str, _total: u64) -> Box<dyn Fn(u64) + Sync + '_> {
            Box::new(|_| {})
        }

        fn note(&self, line: &str) {
            if line.starts_with(self.words) {
                self.stop.store(true, Ordering::Relaxed);
            }
        }
    }

    #[test]
    fn arms_that_fail_are_told_with_the_reason() {
        let mut results = Results::default();
        let failed =
            || PaperError::Request { what: "pcd".to_owned(), expected: "more".to_owned(), found: "less".to_owned() };
        let runs = vec![
            ("a".to_owned(), None),
            ("b".to_owned(), Some(Err(failed()))),
            ("c".to_owned(), Some(Err(PaperError::Stopped))),
        ];
        // Nothing is left, and why is the failure, not the stop.
        let error = sort(runs, &mut results).unwrap_err();
        assert_eq!(error.to_string(), failed().to_string());
        assert_eq!(results.not_run, ["a", "c"]);
        assert_eq!(results.not_judged, [format!("b: {}", failed())]);
        assert!(matches!(sort(vec![("a".to_owned(), None)], &mut results), Err(PaperError::Stopped)));
    }

    fn quick(stop_at: &StopAt, replay: Option<Replay>) -> Result<Outcome, PaperError> {
        let data = Some("digits".to_owned());
        let settings = Settings { quick: true, data, replay, stop: &stop_at.stop, ..Settings::new(stop_at) };
        prepare(Name::Mnist, &settings)?()
    }

    fn at(words: &'static str) -> StopAt {
        StopAt { words, stop: AtomicBool::new(false) }
    }

    fn names(outcome: &Outcome, field: &str) -> Vec<String> {
        let of = |value: &serde_json::Value| value["name"].as_str().or(value.as_str()).unwrap().to_owned();
        outcome.results[field].as_array().unwrap().iter().map(of).collect()
    }

    /// The replay of what an experiment gave.
    fn replay_of(results: &serde_json::Value) -> Replay {
        let mut file = serde_json::json!({ "experiment": "mnist", "seed": 0, "quick": true, "data": "digits",
                                           "features": null, "models": [] });
        file["trainings"] = results["trainings"].clone();
        serde_json::from_value(file).unwrap()
    }

    fn without_seconds(value: &serde_json::Value) -> serde_json::Value {
        let mut value = value.clone();
        match &mut value {
            serde_json::Value::Object(fields) => {
                fields.remove("seconds");
                fields.values_mut().for_each(|inner| *inner = without_seconds(inner));
            }
            serde_json::Value::Array(values) => values.iter_mut().for_each(|inner| *inner = without_seconds(inner)),
            _ => {}
        }
        value
    }

    #[test]
    fn what_was_finished_before_a_stop_is_reported_and_can_be_replayed() {
        let of = |arms: &[Arm]| arms.iter().map(|arm| run_name("digits", arm)).collect::<Vec<_>>();
        let all = arms::estimators();
        assert!(matches!(quick(&at("digits: ucd-lmi: 3 updates"), None), Err(PaperError::Stopped)));
        // The first mark of the second arm: there is nothing of it.
        let stopped = quick(&at("digits: seed-1: 3 updates"), None).unwrap();
        assert_eq!((names(&stopped, "trainings"), names(&stopped, "not_run")), (of(&all[..1]), of(&all[1..])));
        // Its third mark: the first two are there.
        let stopped = quick(&at("digits: seed-1: 10 updates"), None).unwrap();
        assert_eq!((names(&stopped, "trainings"), names(&stopped, "not_run")), (of(&all[..2]), of(&all[2..])));
        let text = stopped.report.text();
        assert!(text.contains("was stopped: digits: ucd-lmi-published, digits: ucd-lmi-clamped-gibbs"), "{text}");
        assert!(
            text.contains("seed-1 was stopped after 5 updates.") && text.contains("| seed-1 | stopped |"),
            "{text}"
        );
        let arm = &stopped.results["trainings"][1];
        assert_eq!((&arm["marks"], &arm["stopped"]), (&serde_json::json!([3, 5]), &true.into()));
        assert_eq!((arm["snapshots"].as_array().unwrap().len(), &arm["updates"]), (2, &5.into()));
        assert!(arm["likelihood"].is_null());
        // The first arm has its long chains too.
        assert_eq!(stopped.pictures.len(), 4 + 3);
        let again = quick(&at("never"), Some(replay_of(&stopped.results))).unwrap();
        assert_eq!(without_seconds(&again.results), without_seconds(&stopped.results));
        // The clock is that of the earlier run.
        for index in 0..2 {
            let [again, earlier] = [&again.results, &stopped.results].map(|results| &results["trainings"][index]);
            let marks = |arm: &serde_json::Value| -> Vec<f64> {
                let rows = arm["snapshots"].as_array().unwrap().iter();
                rows.map(|row| row["seconds"].as_f64().unwrap()).chain(arm["seconds"].as_f64()).collect()
            };
            assert_eq!(marks(again), marks(earlier));
            assert_eq!(marks(again).len(), earlier["marks"].as_array().unwrap().len() + 1);
        }
    }

    #[test]
    fn a_replay_of_other_settings_or_arms_is_refused() {
        let config = |change: fn(&mut crate::train::TrainConfig)| {
            let stages = at("never");
            let settings = Settings { quick: true, ..Settings::new(&stages) };
            let mut arm = arms::estimators().into_iter().find(|arm| arm.label == "pcd").unwrap();
            settings.adapt(&mut arm.config);
            change(&mut arm.config);
            arm.config
        };
        let replay = |name: &str, config: crate::train::TrainConfig| {
            let trainings = serde_json::json!([{ "name": name, "marks": [2, 7], "config": config }]);
            quick(&at("never"), Some(replay_of(&serde_json::json!({ "trainings": trainings }))))
        };
        let again = replay("digits: pcd", config(|_| ())).unwrap();
        assert_eq!(names(&again, "trainings"), ["digits: pcd"]);
        assert_eq!(names(&again, "not_run").len(), arms::estimators().len() - 1);
        assert_eq!(again.results["trainings"][0]["updates"], 7);
        assert!(matches!(replay("digits: a later arm", config(|_| ())), Err(PaperError::NothingToReplay)));
        let error = replay("digits: pcd", config(|config| config.batch = 9)).err().unwrap().to_string();
        assert!(error.contains("digits: pcd: expected config.batch 25") && error.contains("found 9"), "{error}");
    }
}
