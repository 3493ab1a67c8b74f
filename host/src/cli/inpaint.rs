//! `bitboltz inpaint`: fills in what is hidden of images.

use std::{
    fmt,
    io::Write,
    ops::Range,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::ensure;
use bitboltz_core::{image::Geometry, inpaint::Inpaint, posterior::PosteriorMean};
use serde_json::json;

use super::{check_outputs, pictures, print_json};
use crate::{
    bits::BitMatrix,
    dataset::{
        self, Images, Mask, Split,
        labels::{classes_of, label_units, widened, with_labels},
    },
    eval::classification::likeliest,
    inpainting::{self, Restored},
    model_file::ModelFile,
    npy,
    train::TrainConfig,
    with_model,
};

/// Hide a part of images and restore it: the known pixels are clamped, and the rest is the lowest local mode that was
/// found, or the mean of samples (--mean).
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  bitboltz inpaint m.safetensors digits --mask half-left -o grid.png\n  \
                        bitboltz inpaint m.bbz mnist --mask random:0.5 -n 1000 --npy restored.npy --json")]
pub(super) struct Args {
    /// Checkpoint (.safetensors) or image (.bbz).
    model: PathBuf,
    #[command(flatten)]
    options: Options,
}

/// What to restore, how, and where to put it: the same natively and on a device.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// A known data set (its test images), or a path.
    images: String,
    /// What is hidden: half-left, half-right, half-top, half-bottom, box:x,y,w,h, random:SHARE, or a PNG or .npy file
    /// whose non-zero pixels are hidden.
    #[arg(long)]
    mask: Mask,
    /// How many images, from the first on.
    #[arg(short = 'n', long, default_value_t = 16, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    /// A pixel is on if its grey value is above this (models of 1 bit a pixel) [default: as in the model's training; 127 where
    /// the file does not say].
    #[arg(long)]
    threshold: Option<u8>,
    /// Searches from random bits; the lowest mode is kept, or with --mean each begins a chain.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    restarts: u16,
    /// Gibbs sweeps, the first from the best mode, each followed by a search from which the next goes on; a lower mode replaces
    /// the best.
    #[arg(long, default_value_t = 0, conflicts_with = "mean")]
    sweeps: u16,
    /// Average so many Gibbs samples of all chains into probabilities, instead of one lowest mode: fewer pixels come back
    /// wrong [without a number: 120].
    #[arg(long, value_name = "SAMPLES", num_args = 0..=1, default_missing_value = "120", value_parser = clap::value_parser!(u16).range(1..))]
    mean: Option<u16>,
    /// Gibbs sweeps of a chain before the first sample of --mean.
    #[arg(long, default_value_t = 5, requires = "mean")]
    burn_in: u16,
    /// Seed of the random numbers; image i draws from stream (seed, i).
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Write a PNG here: original, masked, restored side by side.
    #[arg(short, long, value_name = "PNG")]
    output: Option<PathBuf>,
    /// Write the restored visible bits here (n × visible, u8); with --mean the probabilities (f32).
    #[arg(long, value_name = "FILE")]
    npy: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// How a hidden part is filled in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    /// Searches from random bits.
    pub(super) restarts: u16,
    /// Gibbs sweeps, the first from the best mode.
    pub(super) sweeps: u16,
    /// (burn-in, samples), if probabilities are wanted.
    pub(super) mean: Option<(u16, u16)>,
    /// Seed.
    pub(super) seed: u64,
}

/// What restores.
pub(super) struct Restorer<'m> {
    /// What it is called: a file, or a port.
    pub(super) name: &'m dyn fmt::Display,
    /// Visible units.
    pub(super) visible: usize,
    /// How they make up a picture.
    pub(super) geometry: Geometry,
    /// What it was trained with, where that is known.
    pub(super) settings: Option<&'m TrainConfig>,
}

/// What came back.
pub(super) enum Answer {
    /// The lowest modes.
    Bits(BitMatrix),
    /// Probabilities, row by row.
    Probabilities(Vec<f32>),
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<()> {
    args.options.check(&[&args.model])?;
    let file = ModelFile::load(&args.model)?;
    let (name, visible, geometry) = (&args.model.display(), file.shape().width(0), file.geometry());
    let restorer = Restorer { name, visible, geometry, settings: file.settings() };
    args.options.run(&restorer, out, |images, hidden, plan| {
        let inpaint = Inpaint { restarts: plan.restarts.into(), sweeps: plan.sweeps.into(), ..Inpaint::default() };
        with_model!(&file, model => Ok(match plan.mean {
            None => Answer::Bits(inpainting::restore(&model, images, hidden, &inpaint, plan.seed)?),
            Some((burn_in, samples)) => {
                let (restarts, burn_in) = (plan.restarts.into(), burn_in.into());
                let mean = PosteriorMean { restarts, burn_in, samples, ..PosteriorMean::default() };
                Answer::Probabilities(inpainting::marginals(&model, images, hidden, &mean, plan.seed)?)
            }
        }))
    })
}

impl Options {
    /// Refuses impossible outputs before any work.
    pub(super) fn check(&self, inputs: &[&Path]) -> anyhow::Result<()> {
        let mut inputs = inputs.to_vec();
        inputs.push(Path::new(&self.images));
        if let Mask::File(mask) = &self.mask {
            inputs.push(mask);
        }
        check_outputs(&inputs, self.output.iter().chain(&self.npy).map(PathBuf::as_path))
    }

    /// Hides, restores by `restore(images, hidden, plan)`, compares and writes what was asked for.
    pub(super) fn run(
        &self,
        restorer: &Restorer<'_>,
        out: &mut dyn Write,
        restore: impl FnOnce(&BitMatrix, &BitMatrix, &Plan) -> anyhow::Result<Answer>,
    ) -> anyhow::Result<()> {
        let (originals, classes) = self.load(restorer)?;
        let (visible, geometry) = (restorer.visible, restorer.geometry);
        let labels = label_units(visible, geometry);
        let (pixels, hidden) = inpainting::hide(&self.mask, geometry, originals.rows(), self.seed)?;
        // The label is always to be found, and is no part of the picture.
        let (free, hidden) = (widened(&hidden, labels.len(), true)?, widened(&hidden, labels.len(), false)?);
        let plan = Plan {
            restarts: self.restarts,
            sweeps: self.sweeps,
            mean: self.mean.map(|samples| (self.burn_in, samples)),
            seed: self.seed,
        };
        let start = Instant::now();
        let answer = restore(&originals, &free, &plan)?;
        let seconds = start.elapsed().as_secs_f64();
        let restored = match &answer {
            Answer::Bits(bits) => bits.clone(),
            Answer::Probabilities(p) => inpainting::rounded(p, visible),
        };
        if let Some(path) = &self.output {
            let mut pictures = pictures::decode(&restored, geometry)?;
            if let (Answer::Probabilities(p), 1) = (&answer, geometry.bits) {
                // Grey says more than the rounded bits.
                let rows = pictures.pixels.chunks_exact_mut(geometry.units()).zip(p.chunks_exact(visible));
                let pixels = rows.flat_map(|(pixels, p)| pixels.iter_mut().zip(p));
                pixels.for_each(|(pixel, p)| *pixel = (p * 255.0).round() as u8);
            }
            write_grid(path, geometry, &originals, &pixels, &pictures)?;
        }
        match (&self.npy, &answer) {
            (Some(path), Answer::Bits(bits)) => npy::write_bits(path, bits)?,
            (Some(path), Answer::Probabilities(p)) => npy::write_f32(path, originals.rows(), visible, p)?,
            (None, _) => {}
        }
        let share = Restored::new(&originals, &restored, &hidden);
        let (count, units) = (originals.rows(), inpainting::hidden_units(&hidden));
        let right = right_labels(&answer, &classes, labels);
        if self.json {
            let mask = self.mask.to_string();
            let mut answer = json!({"images": count, "mask": mask, "hidden_units": units, "restored": share,
                                    "seconds": seconds, "seed": self.seed});
            if let Some(right) = right {
                answer["right_labels"] = right.into();
            }
            return print_json(out, &answer);
        }
        // There is no share of nothing.
        let of_those_on = if share.on.is_nan() {
            "none of them on in the original".to_owned()
        } else {
            format!("{:.2} % of those that are on", 100.0 * share.on)
        };
        let all = 100.0 * share.all;
        match units {
            0 => writeln!(out, "{count} images: nothing was hidden; in {seconds:.2} s")?,
            _ => writeln!(
                out,
                "{count} images, {units} hidden units: restored {all:.2} % of all, {of_those_on}, in {seconds:.2} s"
            )?,
        }
        if let Some(right) = right {
            writeln!(out, "labels: {right} of {count} right")?;
        }
        Ok(())
    }

    /// The images as rows of visible units; label units are off where there is no label.
    fn load(&self, restorer: &Restorer<'_>) -> anyhow::Result<(BitMatrix, Vec<Option<usize>>)> {
        let Restorer { name, visible, geometry, settings } = *restorer;
        ensure!(geometry.units() > 0, "{name}: the model does not say how its visible units make up a picture");
        let images = dataset::load(&self.images, Split::Test)?;
        let images = images.subset(0..self.count as usize);
        let pictures =
            pictures::encode(name, geometry, &self.images, &images, pictures::threshold(self.threshold, settings))?;
        let labels = label_units(visible, geometry);
        let rows = match images.labels {
            Some(_) if !labels.is_empty() => with_labels(&pictures, &images, labels.len())?,
            _ => widened(&pictures, labels.len(), false)?,
        };
        let classes = classes_of(&rows, labels);
        Ok((rows, classes))
    }
}

/// How many images got their own label: the label unit most often on, if any was. `None` without label units or labels.
fn right_labels(answer: &Answer, classes: &[Option<usize>], labels: Range<usize>) -> Option<usize> {
    if classes.iter().all(Option::is_none) {
        return None;
    }
    let found = match answer {
        Answer::Bits(rows) => classes_of(rows, labels),
        Answer::Probabilities(p) => {
            let rows = p.chunks_exact(labels.end).map(|row| &row[labels.clone()]);
            rows.map(|row| likeliest(row).filter(|&class| row[class] > 0.0)).collect()
        }
    };
    Some(found.iter().zip(classes).filter(|(found, class)| found == class).count())
}

/// Writes original, masked, restored side by side. `pixels` holds one mask for each image, or one for all.
pub(super) fn write_grid(
    path: &Path,
    geometry: Geometry,
    originals: &BitMatrix,
    pixels: &[Vec<bool>],
    restored: &Images,
) -> anyhow::Result<()> {
    let before = pictures::decode(originals, geometry)?;
    let mut grid = pictures::grid(geometry)?.group(3);
    for i in 0..before.len() {
        grid.push(before.image(i))?;
        grid.push_masked(before.image(i), &pixels[i % pixels.len()])?;
        grid.push(restored.image(i))?;
    }
    Ok(grid.write(path)?)
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, FromArgMatches as _};

    use super::*;

    /// What the help tells as defaults, as if it were given.
    #[test]
    fn the_numbers_told_are_the_libraries_defaults() {
        let options = |arguments: &[&str]| {
            let command = Options::augment_args(clap::Command::new("inpaint"));
            let given = ["inpaint", "digits", "--mask", "half-left"].iter().chain(arguments);
            Options::from_arg_matches(&command.try_get_matches_from(given).unwrap()).unwrap()
        };
        let PosteriorMean { restarts, burn_in, samples, .. } = PosteriorMean::default();
        let Options { restarts: told, burn_in: told_burn_in, mean, .. } = options(&["--mean"]);
        assert_eq!((u32::from(told), u32::from(told_burn_in), mean), (restarts, burn_in, Some(samples)));
        let Inpaint { restarts, sweeps, .. } = Inpaint::default();
        let Options { restarts: told, sweeps: told_sweeps, mean, .. } = options(&[]);
        assert_eq!((u32::from(told), u32::from(told_sweeps), mean), (restarts, sweeps, None));
        let mut command = Options::augment_args(clap::Command::new("inpaint"));
        assert!(command.render_long_help().to_string().contains(&format!("[without a number: {samples}]")));
    }
}
