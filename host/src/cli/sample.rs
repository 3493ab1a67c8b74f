//! `bitboltz sample`: what a model generates.

use std::{
    fmt,
    io::Write,
    ops::Range,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::ensure;
use bitboltz_core::image::Geometry;
use serde_json::{Map, Value, json};

use super::{check_outputs, pictures, print_json};
use crate::{
    bits::BitMatrix,
    dataset::labels::label_units,
    model_file::ModelFile,
    npy,
    sampling::{Samples, local_modes, local_modes_of_class},
    with_model,
};

/// Generate images: from uniform random bits, by local mode search and then Gibbs sweeps.
///
/// A *mode* is where the search ends; a *sample* is the state after the Gibbs sweeps. Without --modes or --samples
/// the grid shows both side by side.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  bitboltz sample m.safetensors -n 64 -o grid.png\n  \
                        bitboltz sample m.bbz --modes -n 10000 --npy modes.npy --json\n  \
                        bitboltz sample m.safetensors --class 8 -o eights.png")]
pub(super) struct Args {
    /// Checkpoint (.safetensors) or image (.bbz).
    model: PathBuf,
    /// Images of this class only, from 0 (models trained with --labels): those whose label units, generated with them, say
    /// so, at the mode and after the sweeps.
    #[arg(long, value_name = "K")]
    class: Option<usize>,
    #[command(flatten)]
    options: Options,
}

/// What to draw, and where to put it: the same natively and on a device.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// How many images.
    #[arg(short = 'n', long, default_value_t = 64, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    /// Local modes only.
    #[arg(long, conflicts_with = "samples")]
    modes: bool,
    /// Samples only.
    #[arg(long)]
    samples: bool,
    /// Gibbs sweeps from the mode to the sample.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    sweeps: u16,
    /// Seed of the random numbers; chain i draws from stream (seed, i).
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Write a PNG grid here.
    #[arg(short, long, value_name = "PNG")]
    output: Option<PathBuf>,
    /// Write the visible bits here (n × visible, u8): of the modes with --modes, else of the samples.
    #[arg(long, value_name = "FILE")]
    npy: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<()> {
    args.options.check(&[&args.model])?;
    let file = ModelFile::load(&args.model)?;
    let class =
        args.class.map(|class| labels_of(class, &args.model, &file).map(|labels| (labels, class))).transpose()?;
    let Options { sweeps: all_sweeps, .. } = args.options;
    let mut of_class: Option<Samples> = None;
    args.options.run(&args.model.display(), file.geometry(), out, |count, sweeps, seed| {
        with_model!(&file, model => Ok(match &class {
            None => local_modes(&model, count, sweeps.into(), seed)?.visible,
            // The same chains for modes and for samples.
            Some((labels, class)) => {
                if of_class.is_none() {
                    let sweeps = all_sweeps.into();
                    of_class = Some(local_modes_of_class(&model, labels.clone(), *class, count, sweeps, seed)?);
                }
                let drawn = of_class.as_ref().expect("drawn above");
                (if sweeps == 0 { &drawn.modes } else { &drawn.visible }).clone()
            }
        }))
    })
}

/// The label units of a model that has this class.
fn labels_of(class: usize, model: &Path, file: &ModelFile) -> anyhow::Result<Range<usize>> {
    let labels = label_units(file.shape().width(0), file.geometry());
    let name = model.display();
    ensure!(!labels.is_empty(), "{name}: --class {class}: the model has no label units; train it with --labels");
    ensure!(class < labels.len(), "{name}: --class {class}: the model has classes 0 to {}", labels.len() - 1);
    Ok(labels)
}

impl Options {
    /// Refuses impossible outputs before any work.
    pub(super) fn check(&self, inputs: &[&Path]) -> anyhow::Result<()> {
        check_outputs(inputs, self.output.iter().chain(&self.npy).map(PathBuf::as_path))
    }

    /// Draws from what is called `model` with `draw(count, sweeps, seed)`, and writes what was asked for.
    pub(super) fn run(
        &self,
        model: &dyn fmt::Display,
        geometry: Geometry,
        out: &mut dyn Write,
        mut draw: impl FnMut(usize, u16, u64) -> anyhow::Result<BitMatrix>,
    ) -> anyhow::Result<()> {
        ensure!(
            self.output.is_none() || geometry.units() > 0,
            "{model}: the model does not say how its visible units make up a picture: use --npy"
        );
        let mut report = Map::new();
        let (mut drawn, mut lines) = (Vec::new(), Vec::new());
        for (name, wanted, sweeps) in [("modes", !self.samples, 0), ("samples", !self.modes, self.sweeps)] {
            if !wanted {
                continue;
            }
            let start = Instant::now();
            let rows = draw(self.count as usize, sweeps, self.seed)?;
            let seconds = start.elapsed().as_secs_f64();
            let distinct = rows.distinct_rows();
            lines.push(format!("{name}: {} in {seconds:.2} s, {distinct} distinct", self.count));
            report.insert(name.into(), json!({"count": self.count, "distinct": distinct, "seconds": seconds}));
            drawn.push(rows);
        }
        if let Some(path) = &self.output {
            let images: Vec<_> = drawn.iter().map(|rows| pictures::decode(rows, geometry)).collect::<Result<_, _>>()?;
            pictures::write_groups(path, geometry, &images.iter().collect::<Vec<_>>())?;
        }
        if let (Some(path), Some(rows)) = (&self.npy, drawn.last()) {
            npy::write_bits(path, rows)?;
        }
        // Last, so that the files are there even if nobody reads this.
        if self.json {
            report.insert("seed".into(), self.seed.into());
            return print_json(out, &Value::Object(report));
        }
        lines.iter().try_for_each(|line| writeln!(out, "{line}"))?;
        Ok(())
    }
}
