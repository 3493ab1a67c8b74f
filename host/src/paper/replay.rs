//! What is needed of an earlier `results.json` to run the same updates again.

use std::{io, path::Path};

use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

use super::{PaperError, training::Course};

/// An earlier run.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Replay {
    /// The experiment.
    pub experiment: String,
    /// Its seed.
    pub seed: u64,
    /// Whether it was the small version.
    pub quick: bool,
    /// The data set, if not the usual one.
    pub data: Option<String>,
    /// The network of features, if not the usual one.
    pub features: Option<String>,
    /// Names of trained models that took part.
    models: Vec<String>,
    #[serde(default)]
    configuration: Configuration,
    /// What was trained.
    #[serde(default)]
    trainings: Vec<Training>,
}

/// What was asked for.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
struct Configuration {
    /// When models were looked at.
    #[serde(default)]
    pace: Value,
    /// Whether budgets were minutes; a replay says it in place of its pace.
    #[serde(default)]
    by_clock: bool,
    /// The settings of all training runs, where they have none of their own.
    #[serde(default)]
    config: Value,
}

/// A training run of it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Training {
    name: String,
    marks: Vec<u64>,
    config: Option<Value>,
    /// Updates done in the end.
    updates: Option<u64>,
    /// Wall time of these.
    seconds: Option<f64>,
    /// The marks that were judged.
    #[serde(default)]
    snapshots: Vec<Timed>,
    /// The estimator that it began with, if another.
    #[serde(default)]
    warm_up: Value,
    /// Whether it was stopped after its last mark.
    #[serde(default)]
    stopped: bool,
}

/// When it came where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
struct Timed {
    updates: Option<u64>,
    seconds: Option<f64>,
}

/// Why a file cannot be replayed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// It could not be read.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// It is no `results.json`.
    #[error("{path}: expected the results.json of an experiment, found: {source}")]
    Form {
        /// Which file.
        path: String,
        /// What is missing.
        source: serde_json::Error,
    },
    /// It holds something that cannot be repeated.
    #[error("{path}: expected {expected}, found {found}")]
    Content {
        /// Which file.
        path: String,
        /// What can be replayed.
        expected: String,
        /// What was there.
        found: String,
    },
    /// A model was trained with other settings than this version trains it with.
    #[error(
        "replay of {name}: expected {field} {expected}, as this version trains it, found {found} in the earlier run"
    )]
    Settings {
        /// The training run.
        name: String,
        /// The first setting that differs.
        field: String,
        /// What it is now, as JSON.
        expected: Value,
        /// What it was.
        found: Value,
    },
}

impl Replay {
    /// Reads the results of an experiment.
    ///
    /// # Errors
    /// [`ReplayError`]: another experiment, one that took models from files, one that trained nothing.
    pub fn load(path: &Path, experiment: &str) -> Result<Self, ReplayError> {
        let name = path.display().to_string();
        let bytes = std::fs::read(path).map_err(|source| ReplayError::Io { path: name.clone(), source })?;
        let replay: Self =
            serde_json::from_slice(&bytes).map_err(|source| ReplayError::Form { path: name.clone(), source })?;
        let refuse =
            |expected: String, found: String| Err(ReplayError::Content { path: name.clone(), expected, found });
        if replay.experiment != experiment {
            return refuse(format!("results of `{experiment}`"), format!("`{}`", replay.experiment));
        }
        if !replay.models.is_empty() {
            return refuse(
                "an experiment that trained its models".into(),
                format!("models from files: {:?}", replay.models),
            );
        }
        if replay.trainings.iter().all(|training| training.marks.is_empty()) {
            return refuse("an experiment that trained something".into(), "no training".into());
        }
        Ok(replay)
    }

    fn training(&self, name: &str) -> Option<&Training> {
        self.trainings.iter().find(|training| training.name == name && !training.marks.is_empty())
    }

    /// The marks of a training run; `None` if the earlier experiment did not come to it.
    pub fn marks(&self, name: &str) -> Option<&[u64]> {
        self.training(name).map(|training| &training.marks[..])
    }

    /// Whether models were trained for minutes.
    pub fn by_clock(&self) -> bool {
        self.configuration.by_clock || self.configuration.pace.get("minutes").is_some()
    }

    /// The wall time of so many updates of a training run; `None` if the earlier experiment did not stop there.
    pub fn seconds(&self, name: &str, updates: u64) -> Option<f64> {
        let training = self.training(name)?;
        let end = Timed { updates: training.updates, seconds: training.seconds };
        training.snapshots.iter().chain([&end]).find(|at| at.updates == Some(updates))?.seconds
    }

    /// Whether the earlier experiment was stopped between the marks of this training run and its end.
    pub fn was_stopped(&self, name: &str) -> bool {
        self.training(name).is_some_and(|training| training.stopped)
    }

    /// Whether the earlier experiment came to a training run.
    ///
    /// # Errors
    /// [`ReplayError::Settings`], if it was trained in another way than on this course.
    pub fn check(&self, name: &str, course: Course<'_>) -> Result<bool, PaperError> {
        let Some(training) = self.training(name) else { return Ok(false) };
        let earlier = training.config.as_ref().unwrap_or(&self.configuration.config);
        let differs =
            difference("config", &trained_by(serde_json::to_value(course.config)?), &trained_by(earlier.clone()));
        match differs.or(difference("warm_up", &serde_json::to_value(course.warm_up)?, &training.warm_up)) {
            None => Ok(true),
            Some((field, expected, found)) => {
                Err(ReplayError::Settings { name: name.to_owned(), field, expected, found }.into())
            }
        }
    }
}

/// Settings without those that say what the data were, which the experiment says: no update depends on them.
fn trained_by(mut config: Value) -> Value {
    if let Some(settings) = config.as_object_mut() {
        ["data_set", "threshold"].iter().for_each(|name| drop(settings.remove(*name)));
    }
    config
}

/// The first field in which two values differ, and what it holds in each.
fn difference(field: &str, one: &Value, other: &Value) -> Option<(String, Value, Value)> {
    let (Value::Object(ones), Value::Object(others)) = (one, other) else {
        return (one != other).then(|| (field.to_owned(), one.clone(), other.clone()));
    };
    let names = ones.keys().chain(others.keys().filter(|name| !ones.contains_key(*name)));
    names.into_iter().find_map(|name| {
        let of = |fields: &serde_json::Map<String, Value>| fields.get(name).cloned().unwrap_or_default();
        difference(&format!("{field}.{name}"), &of(ones), &of(others))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::TrainConfig;

    #[test]
    fn results_are_read_and_others_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results.json");
        let load = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Replay::load(&path, "mnist")
        };
        let text = |experiment: &str, models: &str, trainings: &str| {
            format!(
                r#"{{"experiment": "{experiment}", "seed": 3, "quick": false, "data": null, "features": "f.onnx",
                     "models": [{models}], "trainings": [{trainings}], "more": 1}}"#
            )
        };
        let pcd = r#"{"name": "pcd", "marks": [3, 9], "failed": null}"#;
        let replay = load(&text("mnist", "", pcd)).unwrap();
        assert_eq!((replay.seed, replay.quick, replay.features.as_deref()), (3, false, Some("f.onnx")));
        assert_eq!((replay.marks("pcd"), replay.marks("cd-1")), (Some(&[3, 9][..]), None));
        for (text, words) in [
            (text("fashion", "", pcd), ["results of `mnist`", "fashion"]),
            (text("mnist", r#""m.safetensors""#, pcd), ["trained its models", "m.safetensors"]),
            (text("mnist", "", ""), ["trained something", "no training"]),
            ("{}".to_owned(), ["results.json", "missing field"]),
        ] {
            let error = load(&text).unwrap_err().to_string();
            assert!(words.iter().all(|word| error.contains(word)), "{error}");
        }
        assert!(matches!(Replay::load(folder.path(), "mnist"), Err(ReplayError::Io { .. })));
    }

    #[test]
    fn other_settings_are_refused_by_name() {
        let config = TrainConfig { learning_rate: 0.01, ..TrainConfig::default() };
        let replay = |own: Value, all: Value| -> Replay {
            serde_json::from_value(serde_json::json!({
                "experiment": "mnist", "seed": 0, "quick": true, "data": null, "features": null, "models": [],
                "configuration": { "config": all }, "trainings": [{ "name": "pcd", "marks": [2], "config": own }],
            }))
            .unwrap()
        };
        let recorded = serde_json::to_value(&config).unwrap();
        assert!(replay(recorded.clone(), Value::Null).check("pcd", Course::of(&config)).unwrap());
        assert!(replay(Value::Null, recorded.clone()).check("pcd", Course::of(&config)).unwrap());
        assert!(!replay(Value::Null, Value::Null).check("cd-1", Course::of(&config)).unwrap());
        assert!(replay(Value::Null, Value::Null).check("pcd", Course::of(&config)).is_err());
        let other = TrainConfig { learning_rate: 0.05, ..config.clone() };
        let error = replay(recorded.clone(), Value::Null).check("pcd", Course::of(&other)).unwrap_err().to_string();
        assert!(error.contains("pcd: expected config.learning_rate 0.05") && error.contains("found 0.01"), "{error}");
        let mut more = recorded.clone();
        more["estimator"]["horizon"]["cap"] = 7.into();
        let error = replay(more, Value::Null).check("pcd", Course::of(&config)).unwrap_err().to_string();
        assert!(error.contains("config.estimator.horizon.cap 1000") && error.contains("found 7"), "{error}");
        // It began with another estimator.
        let course = Course { warm_up: Some("ucd-lmi".parse().unwrap()), ..Course::of(&config) };
        let error = replay(recorded.clone(), Value::Null).check("pcd", course).unwrap_err().to_string();
        assert!(error.contains("expected warm_up {") && error.contains("found null"), "{error}");
        // What the data are called, and were made with, is the experiment's.
        let mut before = recorded.clone();
        assert!(before.as_object_mut().unwrap().remove("threshold").is_some());
        assert!(replay(before, Value::Null).check("pcd", Course::of(&config)).unwrap());
        // A setting that one of the two versions does not have.
        let mut less = recorded;
        let removed = less.as_object_mut().unwrap().remove("marginalise");
        assert_eq!(removed, Some(true.into()));
        let error = replay(less, Value::Null).check("pcd", Course::of(&config)).unwrap_err().to_string();
        assert!(error.contains("config.marginalise true") && error.contains("found null"), "{error}");
    }
}
