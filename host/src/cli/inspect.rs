//! `bitboltz inspect`: what a file holds.

use std::{io::Write, path::PathBuf};

use bitboltz_core::{
    connection::Connection as _,
    image::{Geometry, image_bytes},
    session::ram_bytes,
    weights::Field as _,
};
use serde::Serialize;
use serde_json::json;

use super::print_json;
use crate::{checkpoint::TrainingState, dataset::labels::label_units, model_file::ModelFile, with_model};

/// Bars of the weight histogram.
const BARS: usize = 15;

/// Show what a checkpoint or an image holds: shapes, scales, CRC, training record, weight histogram.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  bitboltz inspect m.safetensors\n  bitboltz inspect m.bbz --json")]
pub(super) struct Args {
    /// Checkpoint (.safetensors) or image (.bbz).
    file: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Summary of one tensor's numbers.
#[derive(Debug, Serialize)]
struct Summary {
    name: String,
    shape: Vec<usize>,
    min: f64,
    max: f64,
    mean: f64,
    std: f64,
    /// Counts in equal intervals from min to max.
    histogram: Vec<usize>,
}

impl Summary {
    fn new(name: String, shape: Vec<usize>, values: &[f64]) -> Self {
        let (min, max) = values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), &v| (a.min(v), b.max(v)));
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64;
        let mut histogram = vec![0; BARS];
        for value in values {
            let at = if max > min { (value - min) / (max - min) * BARS as f64 } else { 0.0 };
            histogram[(at as usize).min(BARS - 1)] += 1;
        }
        Self { name, shape, min, max, mean, std: variance.sqrt(), histogram }
    }
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<()> {
    let file = ModelFile::load(&args.file)?;
    let (shape, geometry, kind) = (file.shape(), file.geometry(), file.kind());
    let labels = label_units(shape.width(0), geometry).len();
    let tensors: Vec<Summary> = with_model!(&file, model => {
        let scale = model.scale();
        let weights = model.connections().iter().enumerate().map(|(l, connection)| {
            let (lower, upper) = (connection.lower(), connection.upper());
            let values: Vec<f64> = (0..lower)
                .flat_map(|i| (0..upper).map(move |j| connection.weight(i, j).to_real(scale)))
                .collect();
            Summary::new(format!("weight.{l}"), vec![upper, lower], &values)
        });
        let biases = model.biases().iter().enumerate().map(|(l, bias)| {
            let values: Vec<f64> = bias.iter().map(|b| b.to_real(scale)).collect();
            Summary::new(format!("bias.{l}"), vec![values.len()], &values)
        });
        weights.chain(biases).collect()
    });
    let widths: Vec<usize> = shape.widths().collect();
    let (flash, ram) = (image_bytes(&shape, kind), ram_bytes(&shape));
    let training = match &file {
        ModelFile::Checkpoint(checkpoint) => checkpoint.training.as_ref(),
        _ => None,
    };
    let image = file.image().map(|image| (image.crc(), image.scale().to_f32(), image.shifts().to_vec()));
    if args.json {
        let training = training.map(|t| {
            json!({"step": t.step, "seconds": t.seconds, "config": t.config, "data": t.data,
                                    "pretraining": stack(t)})
        });
        let image = image.map(
            |(crc, scale, shifts)| json!({"crc": format!("{crc:08x}"), "scale": f64::from(scale), "shifts": shifts}),
        );
        return print_json(
            out,
            &json!({"file": args.file, "widths": widths, "weights": kind.name(), "picture": picture(geometry),
                    "label_units": labels,
                    "image_bytes": flash, "ram_bytes": ram, "image": image, "training": training, "tensors": tensors}),
        );
    }
    let what = if image.is_some() { "image" } else { "checkpoint" };
    writeln!(out, "{}: {what}, layers {widths:?}, {kind} weights, {} of them", args.file.display(), shape.weights())?;
    if geometry.units() > 0 {
        let Geometry { width, height, channels, bits } = geometry;
        writeln!(out, "picture: {width} × {height}, {channels} channel(s), {bits} bit(s) a value")?;
        if labels > 0 {
            writeln!(out, "behind it: {labels} label units")?;
        }
    }
    match image {
        Some((crc, scale, shifts)) => {
            writeln!(
                out,
                "CRC {crc:08x}, scale {scale:e}, shifts {shifts:?}, {flash} bytes; RAM on a device {ram} bytes"
            )?;
        }
        None => writeln!(out, "as an image with f32 weights {flash} bytes; RAM on a device {ram} bytes")?,
    }
    if let Some(training) = training {
        writeln!(
            out,
            "trained: {} updates in {:.1} s on {} vectors",
            training.step, training.seconds, training.data.rows
        )?;
        if !training.stack.is_empty() {
            writeln!(
                out,
                "being pretrained: {:?} updates of its hidden layers; the model is of these",
                stack(training)
            )?;
        }
        writeln!(out, "with: {}", serde_json::to_string(&training.config)?)?;
    }
    for tensor in tensors {
        let Summary { name, shape, min, max, mean, std, histogram } = tensor;
        writeln!(
            out,
            "{name:<9} {:<12} min {min:>9.4}  max {max:>9.4}  mean {mean:>9.4}  std {std:>8.4}  {}",
            format!("{shape:?}"),
            bars(&histogram)
        )?;
    }
    Ok(())
}

/// Updates of each layer's machine of a run that is still being pretrained, lowest first.
fn stack(training: &TrainingState) -> Vec<u64> {
    training.stack.iter().filter_map(|machine| Some(machine.training.as_ref()?.step)).collect()
}

fn picture(geometry: Geometry) -> Option<serde_json::Value> {
    let Geometry { width, height, channels, bits } = geometry;
    (geometry.units() > 0).then(|| json!({"width": width, "height": height, "channels": channels, "bits": bits}))
}

/// A histogram in one line. The root of the share, so that tails show beside a tall middle.
pub(super) fn bars(histogram: &[usize]) -> String {
    const LEVELS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = histogram.iter().copied().max().unwrap_or(0).max(1) as f64;
    let level = |&count: &usize| LEVELS[((count as f64 / most).sqrt() * 8.0).ceil() as usize];
    histogram.iter().map(level).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries() {
        let summary = Summary::new("bias.0".into(), vec![4], &[-1.0, 0.0, 0.0, 1.0]);
        assert_eq!((summary.min, summary.max, summary.mean, summary.std), (-1.0, 1.0, 0.0, 0.5f64.sqrt()));
        assert_eq!(summary.histogram.iter().sum::<usize>(), 4);
        assert_eq!(Summary::new("bias.0".into(), vec![2], &[0.0, 0.0]).histogram[0], 2);
        assert_eq!(bars(&[0, 1, 4]), " ▄█");
    }
}
