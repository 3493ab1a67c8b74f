//! What is needed of an earlier `results.json` to run the same updates again.

use std::{io, path::Path};

use serde::Deserialize;
use thiserror::Error;

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
    /// What was trained.
    #[serde(default)]
    trainings: Vec<Marks>,
}

/// A training run of it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Marks {
    name: String,
    marks: Vec<u64>,
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

    /// The marks of a training run; `None` if the earlier experiment did not come to it.
    pub fn marks(&self, name: &str) -> Option<&[u64]> {
        let found = self.trainings.iter().find(|training| training.name == name);
        found.map(|training| &training.marks[..]).filter(|marks| !marks.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
