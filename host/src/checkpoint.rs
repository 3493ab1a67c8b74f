//! Checkpoints: safetensors files with the names and shapes of the paper's PyTorch code.
//!
//! `weight.l` has shape \[width(l + 1), width(l)\] and `bias.l` shape \[width(l)\], all `f32`; the core's layout is the
//! transpose. A checkpoint of this program also holds `offset.l` (what the gradient is centered by); if the model is an
//! average, `raw.weight.l` and `raw.bias.l` (the parameters that learn); with momentum, `velocity.weight.l` and
//! `velocity.bias.l`; while a run has persistent chains, `chains` (\[chains, words of a state\], `u32`: the bits of each
//! layer from the lowest unit on, in whole words); while a run is still being [pretrained](crate::train::pretrain),
//! `machine.m.…`, all that was said so far for each machine of its stack, which the model is then made of; and, under the
//! metadata key `bitboltz`, JSON with the picture's geometry and the training record. Files without that open too: the
//! geometry is then guessed. Tensors with other names are ignored.

use std::{
    collections::HashMap,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use bitboltz_core::{
    image::{Geometry, MAGIC},
    model::ModelError,
    shape::{MAX_LAYERS, Shape, ShapeError},
};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use crate::{
    atomic,
    dataset::THRESHOLD,
    matrix::{all_finite, transpose},
    parameters::Parameters,
    train::{config::TrainConfig, persistent::PersistentChains, rows::Fingerprint},
};

/// The metadata key of this program's record. One key, so that equal checkpoints are equal files.
const METADATA_KEY: &str = "bitboltz";
/// Version of the record. A change of what a field means, a new field, or one that goes makes another version.
const VERSION: u64 = 4;
/// The front of the names of the parameters that learn, where the model is their average.
const RAW: &str = "raw.";
/// The front of the names of what momentum keeps of the last step of each parameter.
const VELOCITY: &str = "velocity.";
/// The tensor of persistent chains.
const CHAINS: &str = "chains";
/// The front of the names of what belongs to a machine of a stack, before its number.
const MACHINE: &str = "machine.";

/// A model, and the state of the run that made it.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// Weights, biases, geometry: the model.
    pub parameters: Parameters,
    /// What a run needs to continue; `None` in files of other programs.
    pub training: Option<TrainingState>,
}

/// What a run needs, beside the parameters and the data, to continue bit for bit.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingState {
    /// The settings.
    pub config: TrainConfig,
    /// The data that it was trained on.
    pub data: Fingerprint,
    /// Updates done.
    pub step: u64,
    /// Wall time of the updates.
    pub seconds: f64,
    /// The parameters that learn, where the model is their average.
    pub raw: Option<Parameters>,
    /// What momentum keeps of the last step of each parameter, if the run has momentum.
    pub velocity: Option<Parameters>,
    /// What the gradient is centered by, one vector for each layer; empty without centering.
    pub offsets: Vec<Vec<f32>>,
    /// The free chains of an estimator that keeps them. A file with such an estimator has them; no other has. `None` with
    /// such an estimator, as when it was changed to, begins new ones.
    pub chains: Option<PersistentChains>,
    /// The machines of a [pretraining](crate::train::pretrain) that has not been gone on from, lowest first, each with its
    /// own state. The run itself has then made no update and has no velocity, offsets or chains yet, and the model is what
    /// its machines make. Empty in all other runs.
    pub stack: Vec<Checkpoint>,
}

/// Why a file is no checkpoint, or could not be written. Every message names the file.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Not a safetensors file, or a damaged one.
    #[error("{}: not a safetensors file, or damaged: {reason}", path.display())]
    NotSafetensors {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A device's image, which lacks what a checkpoint is wanted for: the floats.
    #[error("{}: expected a checkpoint (.safetensors), found a device image (.bbz)", path.display())]
    Image {
        /// The file.
        path: PathBuf,
    },
    /// A tensor is missing.
    #[error("{}: tensor {tensor}: expected, not found", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// Its name.
        tensor: String,
    },
    /// A tensor has another number type.
    #[error("{}: tensor {tensor}: expected type {expected}, found {found}", path.display())]
    Dtype {
        /// The file.
        path: PathBuf,
        /// Its name.
        tensor: String,
        /// Type expected.
        expected: &'static str,
        /// Type found.
        found: String,
    },
    /// A tensor has another shape.
    #[error("{}: tensor {tensor}: expected shape {expected}, found {found:?}", path.display())]
    TensorShape {
        /// The file.
        path: PathBuf,
        /// Its name.
        tensor: String,
        /// Shape expected.
        expected: String,
        /// Shape found.
        found: Vec<usize>,
    },
    /// The states of persistent chains hold bits that belong to no unit.
    #[error("{}: tensor {tensor}: expected states of the model, found bits of no unit", path.display())]
    Padding {
        /// The file.
        path: PathBuf,
        /// Its name.
        tensor: String,
    },
    /// A number is infinite or not a number.
    #[error("{}: tensor {tensor}: expected finite numbers, found one that is not", path.display())]
    NotFinite {
        /// The file, existing or to be written.
        path: PathBuf,
        /// Its name.
        tensor: String,
    },
    /// Layer widths that no model may have.
    #[error("{}: {source}", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ShapeError,
    },
    /// This program's record in the metadata cannot be read.
    #[error("{}: metadata `bitboltz`: {reason}", path.display())]
    Metadata {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// This program's record in the metadata has another version.
    #[error("{}: metadata `bitboltz`: expected version {VERSION}, found {found}", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Version found, or `none`.
        found: String,
    },
}

/// The JSON under [`METADATA_KEY`].
#[derive(Serialize, Deserialize)]
struct Record {
    version: u64,
    geometry: GeometryRecord,
    /// `null` for a model without a run.
    #[serde(deserialize_with = "Option::deserialize")]
    training: Option<TrainingRecord>,
}

#[derive(Serialize, Deserialize)]
struct GeometryRecord {
    width: u16,
    height: u16,
    channels: u8,
    bits: u8,
}

#[derive(Serialize, Deserialize)]
struct TrainingRecord {
    config: TrainConfig,
    data: Fingerprint,
    step: u64,
    seconds: f64,
    stack: Vec<TrainingRecord>,
}

impl TrainingRecord {
    fn of(state: &TrainingState) -> Self {
        let TrainingState { config, data, step, seconds, stack, .. } = state;
        let stack = stack.iter().filter_map(|machine| machine.training.as_ref()).map(Self::of).collect();
        Self { config: config.clone(), data: *data, step: *step, seconds: *seconds, stack }
    }
}

impl Checkpoint {
    /// Reads a checkpoint.
    ///
    /// # Errors
    /// [`CheckpointError`], with the file, the tensor, what was expected and what was found.
    pub fn load(path: &Path) -> Result<Self, CheckpointError> {
        let bytes = std::fs::read(path).map_err(|source| CheckpointError::Io { path: path.to_owned(), source })?;
        Self::from_bytes(&bytes, path)
    }

    /// Reads a checkpoint from the bytes of a file; `path` is for messages.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn from_bytes(bytes: &[u8], path: &Path) -> Result<Self, CheckpointError> {
        let damaged = |error: safetensors::SafeTensorError| CheckpointError::NotSafetensors {
            path: path.to_owned(),
            reason: error.to_string(),
        };
        if bytes.starts_with(&MAGIC) {
            let path = path.to_owned();
            return Err(CheckpointError::Image { path });
        }
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
        let file = File { path, tensors: SafeTensors::deserialize(bytes).map_err(damaged)? };
        let record = metadata.metadata().as_ref().and_then(|metadata| metadata.get(METADATA_KEY));
        let bad_record = |reason: String| CheckpointError::Metadata { path: path.to_owned(), reason };
        let record = record
            .map(|json| {
                let json: Value = serde_json::from_str(json).map_err(|error| bad_record(error.to_string()))?;
                // Before the rest, which another version may have changed.
                let json = match &json["version"] {
                    version if *version == VERSION => json,
                    version if *version == 3 => of_version_3(json),
                    version if *version == 2 => of_version_3(of_version_2(json)),
                    version if *version == 1 => of_version_3(of_version_2(of_version_1(json))),
                    version => {
                        let found = if version.is_null() { "none".into() } else { version.to_string() };
                        return Err(CheckpointError::Version { path: path.to_owned(), found });
                    }
                };
                serde_json::from_value::<Record>(json).map_err(|error| bad_record(error.to_string()))
            })
            .transpose()?;

        let shape = file.shape("")?;
        let geometry = match &record {
            Some(Record { geometry: GeometryRecord { width, height, channels, bits }, .. }) => {
                Geometry { width: *width, height: *height, channels: *channels, bits: *bits }
            }
            None => guess_geometry(shape.width(0)),
        };
        // What it leaves over are label units.
        if geometry.units() > shape.width(0) {
            let (units, visible) = (geometry.units(), shape.width(0));
            return Err(bad_record(format!("the picture has {units} bits, the visible layer {visible} units")));
        }
        let parameters = file.parameters("", &shape, geometry)?;
        let training = record.and_then(|record| record.training);
        let training = training.map(|record| file.training("", &shape, geometry, record)).transpose()?;
        Ok(Self { parameters, training })
    }

    /// The parameters that learn: the model's, unless it is an average of them.
    pub fn learning(&self) -> &Parameters {
        self.training.as_ref().and_then(|training| training.raw.as_ref()).unwrap_or(&self.parameters)
    }

    /// The bytes of the file. Equal checkpoints give equal bytes.
    ///
    /// # Errors
    /// [`CheckpointError::NotFinite`]; `path` is for messages.
    pub fn to_bytes(&self, path: &Path) -> Result<Vec<u8>, CheckpointError> {
        let (mut tensors, mut data) = (Vec::new(), Vec::new());
        self.add(&mut tensors, &mut data, "");
        for (name, shape, numbers) in tensors {
            if !all_finite(&numbers) {
                return Err(CheckpointError::NotFinite { path: path.to_owned(), tensor: name });
            }
            let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
            data.push((name, Dtype::F32, shape, bytes));
        }
        let internal = |reason: String| CheckpointError::NotSafetensors { path: path.to_owned(), reason };
        let json = serde_json::to_string(&self.record()).map_err(|error| internal(error.to_string()))?;
        let views = data.iter().map(|(name, dtype, shape, bytes)| {
            TensorView::new(*dtype, shape.clone(), bytes).map(|view| (name.as_str(), view))
        });
        let views = views.collect::<Result<Vec<_>, _>>().map_err(|error| internal(error.to_string()))?;
        let metadata = HashMap::from([(METADATA_KEY.to_owned(), json)]);
        safetensors::serialize(views, Some(metadata)).map_err(|error| internal(error.to_string()))
    }

    /// Adds all tensors, with something in front of their names: floats, and bytes of anything else.
    fn add(&self, tensors: &mut Vec<Tensor>, data: &mut Vec<Bytes>, front: &str) {
        add_parameters(tensors, front, &self.parameters);
        let Some(TrainingState { raw, velocity, offsets, chains, stack, .. }) = &self.training else { return };
        raw.iter().for_each(|raw| add_parameters(tensors, &format!("{front}{RAW}"), raw));
        velocity.iter().for_each(|velocity| add_parameters(tensors, &format!("{front}{VELOCITY}"), velocity));
        add_vectors(tensors, &format!("{front}offset"), offsets);
        if let Some(chains) = chains {
            let bytes = chains.words().iter().flat_map(|word| word.to_le_bytes()).collect();
            data.push((format!("{front}{CHAINS}"), Dtype::U32, vec![chains.len(), chains.state_words()], bytes));
        }
        stack.iter().enumerate().for_each(|(m, machine)| machine.add(tensors, data, &format!("{front}{MACHINE}{m}.")));
    }

    fn record(&self) -> Record {
        let Geometry { width, height, channels, bits } = self.parameters.geometry();
        let training = self.training.as_ref().map(TrainingRecord::of);
        Record { version: VERSION, geometry: GeometryRecord { width, height, channels, bits }, training }
    }

    /// Writes the checkpoint: whole, or not at all. An older file of this name stays as it is if anything fails.
    ///
    /// # Errors
    /// [`CheckpointError::NotFinite`] before anything is written; [`CheckpointError::Io`].
    pub fn save(&self, path: &Path) -> Result<(), CheckpointError> {
        let bytes = self.to_bytes(path)?;
        atomic::write(path, |out| out.write_all(&bytes))
            .map_err(|source| CheckpointError::Io { path: path.to_owned(), source })
    }
}

/// A record of version 1 as one of this version: with the settings that there were none of, as they were without them.
fn of_version_1(mut record: Value) -> Value {
    if let Some(config) = record.pointer_mut("/training/config").and_then(Value::as_object_mut) {
        for setting in ["average", "clamped_estimator", "pretrain"] {
            config.insert(setting.to_owned(), Value::Null);
        }
        config.insert("schedule".to_owned(), "sqrt".into());
        config.insert("momentum".to_owned(), 0.0.into());
        config.insert("weight_decay".to_owned(), 0.0.into());
        config.insert("centering_offsets".to_owned(), "data".into());
    }
    record
}

/// A record of version 2 as one of this version: its run was not stopped while it was being pretrained.
fn of_version_2(mut record: Value) -> Value {
    if let Some(training) = record.get_mut("training").and_then(Value::as_object_mut) {
        training.insert("stack".to_owned(), Value::Array(Vec::new()));
    }
    record
}

/// A record of version 3 as one of this version: it does not say above which grey value a pixel was on. Nearly always it was
/// the usual one.
fn of_version_3(mut record: Value) -> Value {
    fn add_threshold(training: &mut Value) {
        if let Some(config) = training.get_mut("config").and_then(Value::as_object_mut) {
            config.insert("threshold".to_owned(), THRESHOLD.into());
        }
        training.get_mut("stack").and_then(Value::as_array_mut).into_iter().flatten().for_each(add_threshold);
    }
    record.get_mut("training").map(add_threshold);
    record
}

/// A tensor to write: name, shape, numbers.
type Tensor = (String, Vec<usize>, Vec<f32>);
/// A tensor to write: name, type, shape, content.
type Bytes = (String, Dtype, Vec<usize>, Vec<u8>);

/// Adds parameters under their names, with something in front of each.
fn add_parameters(tensors: &mut Vec<Tensor>, front: &str, parameters: &Parameters) {
    let shape = parameters.shape();
    for (l, matrix) in parameters.weights().iter().enumerate() {
        let mut numbers = vec![0.0; matrix.len()];
        transpose(matrix, shape.width(l + 1), &mut numbers);
        tensors.push((format!("{front}weight.{l}"), vec![shape.width(l + 1), shape.width(l)], numbers));
    }
    add_vectors(tensors, &format!("{front}bias"), parameters.biases());
}

/// Adds one vector for each layer.
fn add_vectors(tensors: &mut Vec<Tensor>, name: &str, vectors: &[Vec<f32>]) {
    let named = vectors.iter().enumerate();
    tensors.extend(named.map(|(l, vector)| (format!("{name}.{l}"), vec![vector.len()], vector.clone())));
}

/// An open file whose tensors are asked for by name.
struct File<'a> {
    path: &'a Path,
    tensors: SafeTensors<'a>,
}

impl File<'_> {
    fn missing(&self, tensor: String) -> CheckpointError {
        CheckpointError::Missing { path: self.path.to_owned(), tensor }
    }

    /// The layer widths, which the biases give, whose names have something in front.
    fn shape(&self, front: &str) -> Result<Shape, CheckpointError> {
        // The highest number there is, so that a gap is a missing tensor and not a smaller model.
        let count = |prefix: &str| {
            let numbers = self.tensors.names().into_iter();
            let numbers = numbers.filter_map(|name| name.strip_prefix(front)?.strip_prefix(prefix)?.parse().ok());
            numbers.map(|l: usize| l.saturating_add(1)).max().unwrap_or(0)
        };
        let layers = count("bias.").max(count("weight.").saturating_add(1)).max(2);
        if layers > MAX_LAYERS {
            let source = ShapeError::Layers { found: layers };
            return Err(CheckpointError::Shape { path: self.path.to_owned(), source });
        }
        let mut widths = Vec::new();
        for l in 0..layers {
            let tensor = format!("{front}bias.{l}");
            match self.tensors.tensor(&tensor).map_err(|_| self.missing(tensor.clone()))?.shape() {
                &[width] => widths.push(width),
                found => {
                    let (expected, found) = ("[units]".to_owned(), found.to_vec());
                    return Err(CheckpointError::TensorShape { path: self.path.to_owned(), tensor, expected, found });
                }
            }
        }
        Shape::new(&widths).map_err(|source| CheckpointError::Shape { path: self.path.to_owned(), source })
    }

    /// The state of a run, by its record; its tensors' names have something in front.
    fn training(
        &self,
        front: &str,
        shape: &Shape,
        geometry: Geometry,
        record: TrainingRecord,
    ) -> Result<TrainingState, CheckpointError> {
        let TrainingRecord { config, data, step, seconds, stack } = record;
        let machine = |(m, record)| {
            let front = format!("{front}{MACHINE}{m}.");
            let (shape, geometry) = (self.shape(&front)?, Geometry::default());
            let parameters = self.parameters(&front, &shape, geometry)?;
            Ok(Checkpoint { parameters, training: Some(self.training(&front, &shape, geometry, record)?) })
        };
        let stack: Vec<Checkpoint> = stack.into_iter().enumerate().map(machine).collect::<Result<_, _>>()?;
        let mut state = TrainingState {
            config,
            data,
            step,
            seconds,
            raw: None,
            velocity: None,
            offsets: Vec::new(),
            chains: None,
            stack,
        };
        if state.stack.is_empty() {
            let config = &state.config;
            let named = |name: &str| format!("{front}{name}");
            let parameters = |name: &str| self.parameters(&named(name), shape, geometry);
            state.raw = config.average.map(|_| parameters(RAW)).transpose()?;
            state.velocity = (config.momentum > 0.0).then(|| parameters(VELOCITY)).transpose()?;
            if config.centering.is_some() {
                state.offsets = self.vectors(&named("offset"), shape)?;
            }
            let persistent = config.estimator.persistent_sweeps().is_some();
            state.chains = persistent.then(|| self.chains(&named(CHAINS), shape, config.batch)).transpose()?;
        }
        Ok(state)
    }

    /// Parameters, whose names have something in front.
    fn parameters(&self, front: &str, shape: &Shape, geometry: Geometry) -> Result<Parameters, CheckpointError> {
        let mut weights = Vec::new();
        for l in 0..shape.layers() - 1 {
            let (lower, upper) = (shape.width(l), shape.width(l + 1));
            let numbers = self.numbers(&format!("{front}weight.{l}"), &[upper, lower])?;
            let mut matrix = vec![0.0; numbers.len()];
            transpose(&numbers, lower, &mut matrix);
            weights.push(matrix);
        }
        // Shapes and numbers were checked tensor by tensor; what could be left says which tensor it is.
        let biases = self.vectors(&format!("{front}bias"), shape)?;
        Parameters::new(weights, biases, geometry).map_err(|error| match error {
            ModelError::Shape(source) => CheckpointError::Shape { path: self.path.to_owned(), source },
            other => CheckpointError::NotSafetensors { path: self.path.to_owned(), reason: other.to_string() },
        })
    }

    /// One vector for each layer.
    fn vectors(&self, name: &str, shape: &Shape) -> Result<Vec<Vec<f32>>, CheckpointError> {
        (0..shape.layers()).map(|l| self.numbers(&format!("{name}.{l}"), &[shape.width(l)])).collect()
    }

    fn numbers(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, CheckpointError> {
        let numbers: Vec<f32> = self.tensor(name, Dtype::F32, shape)?.map(f32::from_le_bytes).collect();
        if all_finite(&numbers) {
            return Ok(numbers);
        }
        Err(CheckpointError::NotFinite { path: self.path.to_owned(), tensor: name.to_owned() })
    }

    /// The persistent chains, as many as a batch.
    fn chains(&self, name: &str, shape: &Shape, count: usize) -> Result<PersistentChains, CheckpointError> {
        let words = self.tensor(name, Dtype::U32, &[count, shape.words()])?.map(u32::from_le_bytes).collect();
        let padding = || CheckpointError::Padding { path: self.path.to_owned(), tensor: name.to_owned() };
        PersistentChains::from_words(shape, words).ok_or_else(padding)
    }

    /// The elements of a tensor of this type, F32 or U32, and shape.
    fn tensor(
        &self,
        name: &str,
        dtype: Dtype,
        shape: &[usize],
    ) -> Result<impl Iterator<Item = [u8; 4]>, CheckpointError> {
        let (path, tensor) = (self.path.to_owned(), name.to_owned());
        let view = self.tensors.tensor(name).map_err(|_| self.missing(tensor.clone()))?;
        if view.dtype() != dtype {
            let expected = if dtype == Dtype::U32 { "U32" } else { "F32" };
            return Err(CheckpointError::Dtype { path, tensor, expected, found: format!("{:?}", view.dtype()) });
        }
        if view.shape() != shape {
            let (expected, found) = (format!("{shape:?}"), view.shape().to_vec());
            return Err(CheckpointError::TensorShape { path, tensor, expected, found });
        }
        let (elements, _) = view.data().as_chunks();
        Ok(elements.iter().copied())
    }
}

/// A square black and white picture, if the number of visible units is a square; otherwise none.
fn guess_geometry(visible: usize) -> Geometry {
    let side = visible.isqrt();
    match u16::try_from(side) {
        Ok(side) if usize::from(side).pow(2) == visible => Geometry { width: side, height: side, channels: 1, bits: 1 },
        _ => Geometry::default(),
    }
}

/// Whether a checkpoint could be written to `path`: a file can be made beside it. What exists and is no regular file is
/// written in place, and needs none.
///
/// # Errors
/// [`CheckpointError::Io`].
pub fn check_writable(path: &Path) -> Result<(), CheckpointError> {
    if path.metadata().is_ok_and(|meta| !meta.is_file() && !meta.is_dir()) {
        return Ok(());
    }
    let probe = tempfile::NamedTempFile::new_in(folder_of(path));
    probe.map(drop).map_err(|source| CheckpointError::Io { path: path.to_owned(), source })
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests;
