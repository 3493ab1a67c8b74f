//! What can be wrong with a data set.

use std::io;
use std::path::{Path, PathBuf};

/// Why images could not be loaded or fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// Neither the name of a known data set nor a path.
    #[error("{data}: expected a known data set ({names}) or a path, found neither")]
    Unknown {
        /// What was asked for.
        data: String,
        /// The known names.
        names: String,
    },
    /// A known data set that is not on this machine.
    #[error("{name}: expected its files in {looked_in}; found none. {how}")]
    NotHere {
        /// Which data set.
        name: &'static str,
        /// The folders that were looked in.
        looked_in: String,
        /// How to get it.
        how: String,
    },
    /// A known data set could not be fetched.
    #[error("{name}: {found}. By hand: {by_hand}")]
    Fetch {
        /// Which data set.
        name: &'static str,
        /// What went wrong, in the words of the tool that failed.
        found: String,
        /// What to do instead.
        by_hand: String,
    },
    /// The file system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is damaged, cut, or of another kind.
    #[error("{}: expected {expected}, found {found}", path.display())]
    Format {
        /// Which file.
        path: PathBuf,
        /// What would be read.
        expected: String,
        /// What was there.
        found: String,
    },
    /// A value that is no pixel and no label.
    #[error("{}: image {image}, value {at}: expected {expected}, found {found}", path.display())]
    Value {
        /// Which file.
        path: PathBuf,
        /// Which image, from 0.
        image: usize,
        /// Which of its values, from 0.
        at: usize,
        /// What would be read.
        expected: String,
        /// What was there.
        found: String,
    },
    /// Not one label an image.
    #[error("{}: expected {expected} labels, found {found}", path.display())]
    Labels {
        /// Which file.
        path: PathBuf,
        /// The number of images.
        expected: usize,
        /// The number of labels.
        found: usize,
    },
    /// A `.npy` file that could not be read.
    #[error(transparent)]
    Npy(#[from] crate::npy::NpyError),
}

impl DataError {
    pub(super) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.into(), source }
    }

    pub(super) fn format(path: &Path, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self::Format { path: path.into(), expected: expected.into(), found: found.into() }
    }
}
