//! The folder of an experiment's files.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use thiserror::Error;

use crate::atomic;

/// A folder that is there, can be written, and holds nothing but files of the same experiment.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    experiment: &'static str,
}

/// Why a folder cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FolderError {
    /// It holds something else.
    #[error("{}: expected an empty folder, or one with an earlier `{experiment}`, found {found}", path.display())]
    Foreign {
        /// The folder.
        path: PathBuf,
        /// The experiment.
        experiment: &'static str,
        /// The file that does not belong there.
        found: String,
    },
    /// The file system.
    #[error("{}: {source}", path.display())]
    Io {
        /// The folder, or a file in it.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The file that says which experiment a folder belongs to.
const RESULTS: &str = "results.json";

impl Folder {
    /// Refuses a folder that holds something else. One that is not there is not made.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn check(path: &Path, experiment: &'static str) -> Result<(), FolderError> {
        let io = |source| FolderError::Io { path: path.to_owned(), source };
        let entries = match std::fs::read_dir(path) {
            Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(io)?,
        };
        let mut names = Vec::new();
        for entry in entries {
            names.push(entry.map_err(io)?.file_name().to_string_lossy().into_owned());
        }
        // What a killed process left beside its files may go.
        names.retain(|name| !(name.starts_with(".bitboltz-") && name.ends_with(".part")));
        names.sort();
        let earlier = earlier(path, experiment);
        match names.into_iter().find(|name| !earlier.iter().flatten().any(|own| own == name)) {
            Some(found) => Err(FolderError::Foreign { path: path.to_owned(), experiment, found }),
            None => Ok(()),
        }
    }

    /// A new folder, an empty one, or one with an earlier run of this experiment, whose files will be replaced.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn open(path: &Path, experiment: &'static str) -> Result<Self, FolderError> {
        let io = |source| FolderError::Io { path: path.to_owned(), source };
        std::fs::create_dir_all(path).map_err(io)?;
        Self::check(path, experiment)?;
        // Found now, not after an hour.
        tempfile::Builder::new().prefix(".bitboltz-").suffix(".part").tempfile_in(path).map_err(io)?;
        Ok(Self { path: path.to_owned(), experiment })
    }

    /// Writes files, each whole or not at all, in this order, and removes those of an earlier run that are not among
    /// them. While it writes, `results.json` says that it is unfinished and lists everything that may be there, so a run
    /// that is killed leaves a folder that the next one knows as its own.
    ///
    /// # Errors
    /// [`FolderError::Io`].
    pub fn write(&self, files: &[(String, Vec<u8>)]) -> Result<Vec<PathBuf>, FolderError> {
        let mut stale = earlier(&self.path, self.experiment).unwrap_or_default();
        stale.retain(|name| name != RESULTS && !files.iter().any(|(own, _)| own == name));
        let names: Vec<&String> = files.iter().map(|(name, _)| name).chain(&stale).collect();
        let unfinished = serde_json::json!({ "experiment": self.experiment, "files": names, "unfinished": true });
        let write = |name: &str, bytes: &[u8]| {
            let path = self.path.join(name);
            match atomic::write(&path, |out| out.write_all(bytes)) {
                Ok(()) => Ok(path),
                Err(source) => Err(FolderError::Io { path, source }),
            }
        };
        write(RESULTS, unfinished.to_string().as_bytes())?;
        for name in &stale {
            let path = self.path.join(name);
            match std::fs::remove_file(&path) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(FolderError::Io { path, source });
                }
                _ => {}
            }
        }
        let mut written = Vec::new();
        for (name, bytes) in files {
            written.push(write(name, bytes)?);
        }
        Ok(written)
    }
}

/// The files of an earlier run of the experiment, as its results list them; `None` if there is no such run.
fn earlier(path: &Path, experiment: &str) -> Option<Vec<String>> {
    let results: serde_json::Value = serde_json::from_slice(&std::fs::read(path.join(RESULTS)).ok()?).ok()?;
    if results["experiment"] != experiment {
        return None;
    }
    let files = results["files"].as_array()?.iter().filter_map(|name| name.as_str().map(str::to_owned));
    Some(files.chain([RESULTS.to_owned()]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_files_are_replaced_and_others_refused() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("new/toy");
        Folder::check(&path, "toy").unwrap();
        assert!(!root.path().join("new").exists());
        let results = br#"{"experiment": "toy", "files": ["report.md"]}"#.to_vec();
        let files = [("report.md".to_owned(), b"one".to_vec()), (RESULTS.to_owned(), results)];
        assert_eq!(Folder::open(&path, "toy").unwrap().write(&files).unwrap().len(), 2);
        Folder::open(&path, "toy").unwrap();
        // A run that was killed half-way, after one that had another plot.
        let half = [("report.md".to_owned(), b"one".to_vec()), ("old.png".to_owned(), Vec::new())];
        Folder::open(&path, "toy").unwrap().write(&half).unwrap();
        Folder::open(&path, "toy").unwrap().write(&files).unwrap();
        assert!(!path.join("old.png").exists());
        let error = Folder::open(&path, "mnist").unwrap_err().to_string();
        assert!(error.contains("report.md") && error.contains("mnist"), "{error}");
        std::fs::write(path.join("thesis.tex"), "").unwrap();
        assert!(Folder::open(&path, "toy").unwrap_err().to_string().contains("thesis.tex"));
        assert!(matches!(Folder::check(&path, "toy"), Err(FolderError::Foreign { .. })));
        let file = path.join("report.md");
        assert!(matches!(Folder::open(&file, "toy"), Err(FolderError::Io { .. })));
        assert_eq!(std::fs::read(file).unwrap(), b"one");
    }
}
