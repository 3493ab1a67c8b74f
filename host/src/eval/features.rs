//! Features of images: what a network makes of them, for distances that pixels do not show.
//!
//! Any ONNX network will do that takes one input of N × channels × height × width floats and gives N rows at its first
//! output, the features. If another output is called `logits`, its largest entry is an image's class. A pixel's byte is
//! fed as a float from 0 to 1; whatever else a network wants done to its input (resizing, other scales) has to be part of
//! the network. Grey images are repeated for a network of three channels.
//!
//! The program carries two small networks, [`Embedded`]; `host/features` has the script that trained them.

use std::path::Path;

use bitboltz_core::image::Geometry;
use rayon::prelude::*;
use thiserror::Error;
use tract_onnx::prelude::{
    DatumType, Framework as _, InferenceFact, InferenceModelExt as _, IntoTValue as _, SimplePlan, Tensor, TractResult,
    TypedFact, TypedModel, TypedOp, tvec,
};
use tract_onnx::tract_hir::infer::{Factoid as _, InferenceModel};

use crate::dataset::Images;

mod embedded;
mod set;

pub use embedded::Embedded;
pub use set::{Classes, FeatureSet};

/// Images that go through the network at once, where the file does not fix their number.
const BATCH: usize = 64;
/// The name of the output that classes are read from.
const LOGITS: &str = "logits";

/// Why a network gives no features.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FeaturesError {
    /// The file is missing, is no ONNX, or holds operators that are not known here.
    #[error("{network}: expected a network as ONNX: {why}")]
    Open {
        /// Which network.
        network: String,
        /// Why, with the causes.
        why: String,
    },
    /// Its input or output has another form.
    #[error("{network}: expected {expected}, found {found}")]
    Form {
        /// Which network.
        network: String,
        /// What a network of features has.
        expected: String,
        /// What this one has.
        found: String,
    },
    /// It failed on images, though their form is right.
    #[error("{network}: {why}")]
    Run {
        /// Which network.
        network: String,
        /// Why, with the causes.
        why: String,
    },
    /// There is nothing to look at.
    #[error("{network}: expected images of {expected}, found {found}")]
    Images {
        /// Which network.
        network: String,
        /// The size that it was opened for.
        expected: String,
        /// The size of these.
        found: String,
    },
}

/// A network, ready to run on images of one size.
#[derive(Debug)]
pub struct Features {
    name: String,
    plan: SimplePlan<TypedFact, Box<dyn TypedOp>, TypedModel>,
    /// Images at once, channels, height, width: what the network takes.
    input: [usize; 4],
    /// Channels of the images: the network's, or 1 for its 3.
    channels: usize,
    dims: usize,
    /// Index and width of the output of classes.
    logits: Option<(usize, usize)>,
    /// Whether pixels become 0 or 1 first.
    threshold: Option<u8>,
}

impl Features {
    /// Opens an ONNX file for images of a size (its bits do not matter).
    ///
    /// # Errors
    /// [`FeaturesError::Open`], and [`FeaturesError::Form`] when the network does not take such images.
    pub fn open(path: &Path, size: Geometry) -> Result<Self, FeaturesError> {
        let name = path.display().to_string();
        let model = tract_onnx::onnx().model_for_path(path);
        Self::new(name, model, size)
    }

    /// One of the program's own networks, for images of a size.
    ///
    /// # Errors
    /// [`FeaturesError::Form`], unless the images are grey and 28 × 28.
    pub fn embedded(network: Embedded, size: Geometry) -> Result<Self, FeaturesError> {
        let name = format!("the embedded network {}", network.name());
        let model = tract_onnx::onnx().model_for_read(&mut network.onnx());
        Ok(Self { threshold: Some(embedded::THRESHOLD), ..Self::new(name, model, size)? })
    }

    fn new(network: String, model: TractResult<InferenceModel>, size: Geometry) -> Result<Self, FeaturesError> {
        let open = |error: tract_onnx::prelude::TractError| FeaturesError::Open {
            network: network.clone(),
            why: causes(&error),
        };
        let model = model.map_err(open)?;
        let form = |expected: String, found: String| FeaturesError::Form { network: network.clone(), expected, found };
        let inputs = model.inputs.len();
        if inputs != 1 {
            return Err(form("one input".into(), inputs.to_string()));
        }
        let fact = model.input_fact(0).map_err(open)?;
        let kind = fact.datum_type.concretize();
        if kind.is_some_and(|kind| kind != DatumType::F32) {
            return Err(form("an input of 32-bit floats".into(), format!("{kind:?}")));
        }
        let dims: Vec<Option<usize>> =
            fact.shape.dims().map(|dim| dim.concretize().and_then(|dim| dim.to_i64().ok()?.try_into().ok())).collect();
        let (height, width) = (usize::from(size.height), usize::from(size.width));
        let channels = usize::from(size.channels);
        let takes = |dim: Option<usize>, is: usize| dim.is_none_or(|dim| dim == is);
        let shape =
            dims.iter().map(|dim| dim.map_or("?".into(), |dim| dim.to_string())).collect::<Vec<_>>().join(" × ");
        let &[batch, network_channels, network_height, network_width] = &dims[..] else {
            return Err(form("an input of N × channels × height × width".into(), shape));
        };
        let repeats = channels == 1 && network_channels == Some(3);
        let fits = takes(network_height, height) && takes(network_width, width);
        if !fits || !(takes(network_channels, channels) || repeats) || batch == Some(0) {
            let also = if channels == 1 { " (or 3)" } else { "" };
            return Err(form(format!("an input of N × {channels}{also} × {height} × {width}"), shape));
        }
        let input = [batch.unwrap_or(BATCH), network_channels.unwrap_or(channels), height, width];
        // Outputs keep their order when the network is rewritten, but not always their names.
        let outlets = model.output_outlets().map_err(open)?;
        let logits = outlets.iter().position(|&outlet| model.outlet_label(outlet) == Some(LOGITS));
        let model = model
            .with_input_fact(0, InferenceFact::dt_shape(DatumType::F32, input))
            .and_then(InferenceModel::into_optimized)
            .map_err(open)?;
        // What one image gets at an output.
        let width_of = |output: usize| -> Result<usize, FeaturesError> {
            let fact = model.output_fact(output).map_err(open)?;
            match fact.shape.as_concrete() {
                Some([rows, rest @ ..])
                    if *rows == input[0] && rest.iter().product::<usize>() > 0 && fact.datum_type == DatumType::F32 =>
                {
                    Ok(rest.iter().product())
                }
                _ => Err(form(format!("output {output} with {} rows of 32-bit floats", input[0]), format!("{fact:?}"))),
            }
        };
        let dims = width_of(0)?;
        let logits = match logits {
            Some(index) if index > 0 => Some((index, width_of(index)?)),
            _ => None,
        };
        let plan = SimplePlan::new(model).map_err(open)?;
        Ok(Self { name: network, plan, input, channels, dims, logits, threshold: None })
    }

    /// What the network is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number of features.
    pub fn dims(&self) -> usize {
        self.dims
    }

    /// The features of every image, in their order; batches run on all threads. Which other images there are changes
    /// nothing, nor does the number of threads; another processor may round differently. `progress` is told how many
    /// images more are done.
    ///
    /// # Errors
    /// [`FeaturesError::Images`] for images of another size, [`FeaturesError::Run`].
    pub fn run(&self, images: &Images, progress: &(dyn Fn(u64) + Sync)) -> Result<FeatureSet, FeaturesError> {
        let [batch, _, height, width] = self.input;
        if (images.height, images.width, images.channels) != (height, width, self.channels) {
            return Err(FeaturesError::Images {
                network: self.name.clone(),
                expected: format!("{width} × {height} × {}", self.channels),
                found: format!("{} × {} × {}", images.width, images.height, images.channels),
            });
        }
        let run = |start: usize| {
            let count = batch.min(images.len() - start);
            let outputs = self.plan.run(tvec!(self.tensor(images, start, count)?.into_tvalue()))?;
            let values = outputs[0].as_slice::<f32>()?[..count * self.dims].to_vec();
            let classes = match self.logits {
                Some((index, width)) => {
                    outputs[index].as_slice::<f32>()?.chunks(width).take(count).map(largest).collect()
                }
                None => Vec::new(),
            };
            progress(count as u64);
            Ok((values, classes))
        };
        let starts: Vec<usize> = (0..images.len()).step_by(batch).collect();
        let parts: TractResult<Vec<(Vec<f32>, Vec<usize>)>> = starts.into_par_iter().map(run).collect();
        let parts = parts.map_err(|error| FeaturesError::Run { network: self.name.clone(), why: causes(&error) })?;
        let (values, classes): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        if values.iter().flatten().any(|value| !value.is_finite()) {
            // Comparisons with NaN would be lost in maxima, and the figures look good.
            let why = "a feature is not a finite number".to_owned();
            return Err(FeaturesError::Run { network: self.name.clone(), why });
        }
        Ok(FeatureSet::new(
            self.dims,
            values.concat(),
            self.logits.map(|(_, count)| Classes { count, of_rows: classes.concat() }),
        ))
    }

    /// Images from `start` on as the network takes them; the rest of the batch is zero.
    fn tensor(&self, images: &Images, start: usize, count: usize) -> TractResult<Tensor> {
        let [_, channels, height, width] = self.input;
        let mut tensor = Tensor::zero::<f32>(&self.input)?;
        let area = height * width;
        for (i, image) in tensor.as_slice_mut::<f32>()?.chunks_exact_mut(channels * area).take(count).enumerate() {
            let bytes = images.image(start + i);
            for (channel, plane) in image.chunks_exact_mut(area).enumerate() {
                // Of a grey image every channel is the first.
                let from = if images.channels == 1 { 0 } else { channel };
                for (to, &byte) in plane.iter_mut().zip(bytes[from..].iter().step_by(images.channels)) {
                    *to = self.threshold.map_or(f32::from(byte) / 255.0, |t| f32::from(u8::from(byte > t)));
                }
            }
        }
        Ok(tensor)
    }
}

/// The index of the largest (the first of equals).
fn largest(row: &[f32]) -> usize {
    (1..row.len()).fold(0, |best, i| if row[i] > row[best] { i } else { best })
}

/// An error and what it came from, in one line.
fn causes(error: &tract_onnx::prelude::TractError) -> String {
    format!("{error:#}").replace('\n', " ")
}

#[cfg(test)]
mod tests;
