//! The section `inpainting`: the share of hidden units restored, by what is hidden, beside two baselines.

use std::{
    io::{self, Write},
    time::Instant,
};

use bitboltz_core::{image::Geometry, inpaint::Inpaint, posterior::PosteriorMean};
use serde::Serialize;

use super::Subject;
use crate::{
    bits::BitMatrix,
    cli::pictures,
    dataset::{
        Mask,
        labels::{label_units, widened},
    },
    inpainting::{Restored, hidden_units, majority, marginals, nearest, restore, rounded},
    stages::Stages,
    with_model,
};

/// How much to spend on it.
#[derive(Debug, clap::Args)]
// The name of its group would be that of the other sections.
#[group(skip)]
pub(super) struct Options {
    /// Test images to restore, from the first on.
    #[arg(long, default_value_t = 1_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    restored: u32,
}

/// Shares of the hidden units that were restored right.
#[derive(Serialize)]
pub(super) struct Section {
    /// Test images.
    images: usize,
    /// For each mask.
    masks: Vec<ByMask>,
    /// Wall time.
    seconds: f64,
}

/// All of one mask.
#[derive(Serialize)]
struct ByMask {
    mask: String,
    /// In all images.
    hidden_units: u64,
    /// The lowest of eight local modes.
    modes: Restored,
    /// P(on | known pixels) of at least a half, by the mean of Gibbs samples.
    means: Restored,
    /// The value of most training images.
    majority: Restored,
    /// The training image that differs least in the known pixels.
    nearest: Restored,
}

/// The halves, a box of half the sides in the middle, and half of the pixels.
fn usual(geometry: Geometry) -> Vec<Mask> {
    let (width, height) = (usize::from(geometry.width), usize::from(geometry.height));
    let (w, h) = (width.div_ceil(2), height.div_ceil(2));
    let middle = Mask::Box { x: (width - w) / 2, y: (height - h) / 2, w, h };
    vec![Mask::HalfLeft, Mask::HalfRight, Mask::HalfTop, Mask::HalfBottom, middle, Mask::Random(0.5)]
}

impl Options {
    pub(super) fn measure(&self, subject: &Subject, stages: &dyn Stages) -> anyhow::Result<Section> {
        let start = Instant::now();
        let geometry = subject.file.geometry();
        let labels = label_units(subject.test.cols(), geometry).len();
        let images = subject.test.subset(0..self.restored as usize);
        let masks = subject.masks.clone().unwrap_or_else(|| usual(geometry));
        let progress = stages.begin("inpainting", masks.len() as u64);
        let mut found = Vec::new();
        for mask in &masks {
            let (_, hidden) = pictures::hide(mask, geometry, images.rows(), subject.seed)?;
            // The label is not known either, and does not count.
            let (free, hidden) = (widened(&hidden, labels, true)?, widened(&hidden, labels, false)?);
            let inpaint = Inpaint::default();
            let modes = with_model!(&subject.file, model => restore(&model, &images, &free, &inpaint, subject.seed))?;
            let mean = PosteriorMean::default();
            let p = with_model!(&subject.file, model => marginals(&model, &images, &free, &mean, subject.seed))?;
            let means = rounded(&p, images.cols());
            let share = |restored: &BitMatrix| Restored::new(&images, restored, &hidden);
            found.push(ByMask {
                mask: mask.to_string(),
                hidden_units: hidden_units(&hidden),
                modes: share(&modes),
                means: share(&means),
                majority: share(&majority(&subject.train, &images, &free)),
                nearest: share(&nearest(&subject.train, &images, &free)),
            });
            progress(1);
        }
        Ok(Section { images: images.rows(), masks: found, seconds: start.elapsed().as_secs_f64() })
    }
}

impl super::Section for Section {
    fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(
            out,
            "hidden units of {} test images restored right, of all and of those that are on ({:.1} s)",
            self.images, self.seconds
        )?;
        writeln!(
            out,
            "{:<20}{:>10}{:>18}{:>18}{:>18}{:>18}",
            "hidden", "units", "modes", "means", "majority", "nearest"
        )?;
        for ByMask { mask, hidden_units, modes, means, majority, nearest } in &self.masks {
            write!(out, "{mask:<20}{hidden_units:>10}")?;
            for Restored { all, on } in [modes, means, majority, nearest] {
                write!(out, "{:>10.2}{:>6.2} %", 100.0 * all, 100.0 * on)?;
            }
            writeln!(out)?;
        }
        let PosteriorMean { restarts, samples, .. } = PosteriorMean::default();
        writeln!(
            out,
            "modes: the lowest of {}; means: of {samples} Gibbs samples of {restarts} chains from modes, rounded; nearest: of \
             the training images",
            Inpaint::default().restarts
        )
    }
}
