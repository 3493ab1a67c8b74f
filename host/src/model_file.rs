//! A model from a file of either kind: a checkpoint (safetensors, floats) or a flash image (`.bbz`).

use std::{
    io,
    path::{Path, PathBuf},
};

use bitboltz_core::{
    image::{Geometry, ImageError, MAGIC},
    model::ModelError,
    shape::Shape,
    weights::WeightKind,
};
use thiserror::Error;

use crate::{
    checkpoint::{Checkpoint, CheckpointError},
    image::AlignedBytes,
};

/// Why a file gives no model.
#[derive(Debug, Error)]
pub enum ModelFileError {
    /// The file could not be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The checkpoint was refused.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The image was refused.
    #[error("{}: {source}", path.display())]
    Image {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: ImageError,
    },
    /// The tensors were refused.
    #[error("{}: {source}", path.display())]
    Model {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: ModelError,
    },
}

/// A model in memory. [`with_model!`](crate::with_model) gives the core's model over it.
#[derive(Debug)]
pub enum ModelFile {
    /// Floats.
    Checkpoint(Box<Checkpoint>),
    /// An image, just as a device reads it.
    Image(AlignedBytes),
}

impl ModelFile {
    /// Reads a file and checks it whole.
    ///
    /// # Errors
    /// [`ModelFileError`], which names the file and, where there is one, the tensor.
    pub fn load(path: &Path) -> Result<Self, ModelFileError> {
        let bytes = std::fs::read(path).map_err(|source| ModelFileError::Io { path: path.to_owned(), source })?;
        if bytes.starts_with(&MAGIC) {
            let bytes = AlignedBytes::new(&bytes);
            bytes.image().map_err(|source| ModelFileError::Image { path: path.to_owned(), source })?;
            return Ok(Self::Image(bytes));
        }
        let checkpoint = Checkpoint::from_bytes(&bytes, path)?;
        checkpoint.parameters.dbm().map_err(|source| ModelFileError::Model { path: path.to_owned(), source })?;
        Ok(Self::Checkpoint(Box::new(checkpoint)))
    }

    /// The layer widths.
    pub fn shape(&self) -> Shape {
        match self {
            Self::Checkpoint(checkpoint) => *checkpoint.parameters.shape(),
            Self::Image(bytes) => *checked(bytes).shape(),
        }
    }

    /// How the visible units make up a picture.
    pub fn geometry(&self) -> Geometry {
        match self {
            Self::Checkpoint(checkpoint) => checkpoint.parameters.geometry(),
            Self::Image(bytes) => checked(bytes).geometry(),
        }
    }

    /// The weight type.
    pub fn kind(&self) -> WeightKind {
        match self {
            Self::Checkpoint(..) => WeightKind::F32,
            Self::Image(bytes) => checked(bytes).kind(),
        }
    }
}

fn checked(bytes: &AlignedBytes) -> bitboltz_core::image::Image<'_> {
    bytes.image().expect("the image was checked when it was loaded")
}

/// Runs `$body` with `$model` set to the core's model over a [`ModelFile`], whatever its weights are.
#[macro_export]
macro_rules! with_model {
    ($file:expr, $model:ident => $body:expr) => {
        match $file {
            $crate::model_file::ModelFile::Checkpoint(checkpoint) => {
                let $model = checkpoint.parameters.dbm().expect("checked when it was loaded");
                $body
            }
            $crate::model_file::ModelFile::Image(bytes) => {
                let image = bytes.image().expect("checked when it was loaded");
                ::bitboltz_core::with_weight!(image.kind(), W => {
                    let $model = image.dbm::<W>().expect("of the image's own kind");
                    $body
                })
            }
        }
    };
}
