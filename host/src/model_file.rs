//! A model from a file of either kind: a checkpoint (safetensors, floats) or a flash image (`.bbz`).

use std::{
    io,
    path::{Path, PathBuf},
};

use bitboltz_core::{
    image::{Geometry, Image, ImageError, MAGIC},
    model::ModelError,
    shape::Shape,
    weights::{I4, WeightKind},
};
use thiserror::Error;

use crate::{
    checkpoint::{Checkpoint, CheckpointError},
    image::AlignedBytes,
    tensors::Tensors,
    train::TrainConfig,
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
    /// An image of nibbles.
    Nibbles {
        /// The image.
        image: AlignedBytes,
        /// Its integers in bytes: the same numbers, hence the same results, for engines that read no nibbles.
        expanded: Box<Tensors<i8>>,
    },
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
            let image = bytes.image().map_err(|source| ModelFileError::Image { path: path.to_owned(), source })?;
            if image.kind() != WeightKind::I4 {
                return Ok(Self::Image(bytes));
            }
            let nibbles = image.dbm::<I4>().map(|nibbles| Tensors::of(&nibbles, image.geometry()));
            let nibbles = nibbles.map_err(|source| ModelFileError::Image { path: path.to_owned(), source })?;
            return Ok(Self::Nibbles { image: bytes, expanded: Box::new(nibbles.expand()) });
        }
        let checkpoint = Checkpoint::from_bytes(&bytes, path)?;
        checkpoint.parameters.dbm().map_err(|source| ModelFileError::Model { path: path.to_owned(), source })?;
        Ok(Self::Checkpoint(Box::new(checkpoint)))
    }

    /// The layer widths.
    pub fn shape(&self) -> Shape {
        match self {
            Self::Checkpoint(checkpoint) => *checkpoint.parameters.shape(),
            Self::Image(bytes) | Self::Nibbles { image: bytes, .. } => *checked(bytes).shape(),
        }
    }

    /// How the visible units make up a picture.
    pub fn geometry(&self) -> Geometry {
        match self {
            Self::Checkpoint(checkpoint) => checkpoint.parameters.geometry(),
            Self::Image(bytes) | Self::Nibbles { image: bytes, .. } => checked(bytes).geometry(),
        }
    }

    /// The settings that the model was trained with, if it is a checkpoint that has them.
    pub fn settings(&self) -> Option<&TrainConfig> {
        match self {
            Self::Checkpoint(checkpoint) => checkpoint.training.as_ref().map(|training| &training.config),
            Self::Image(_) | Self::Nibbles { .. } => None,
        }
    }

    /// The weight type.
    pub fn kind(&self) -> WeightKind {
        match self {
            Self::Checkpoint(..) => WeightKind::F32,
            Self::Image(bytes) | Self::Nibbles { image: bytes, .. } => checked(bytes).kind(),
        }
    }

    /// The image, if it is one.
    pub fn image(&self) -> Option<Image<'_>> {
        match self {
            Self::Checkpoint(..) => None,
            Self::Image(bytes) | Self::Nibbles { image: bytes, .. } => Some(checked(bytes)),
        }
    }
}

fn checked(bytes: &AlignedBytes) -> Image<'_> {
    bytes.image().expect("the image was checked when it was loaded")
}

/// Runs `$body` with `$model` set to the core's model over a [`ModelFile`], whatever its weights are; over bytes for
/// nibbles.
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
                match image.kind() {
                    ::bitboltz_core::weights::WeightKind::F32 => {
                        let $model = image.dbm::<f32>().expect("of the image's own kind");
                        $body
                    }
                    ::bitboltz_core::weights::WeightKind::I16 => {
                        let $model = image.dbm::<i16>().expect("of the image's own kind");
                        $body
                    }
                    // Nibbles were expanded.
                    ::bitboltz_core::weights::WeightKind::I8 | ::bitboltz_core::weights::WeightKind::I4 => {
                        let $model = image.dbm::<i8>().expect("of the image's own kind");
                        $body
                    }
                }
            }
            $crate::model_file::ModelFile::Nibbles { expanded, .. } => {
                let $model = expanded.dbm().expect("checked when it was loaded");
                $body
            }
        }
    };
}
