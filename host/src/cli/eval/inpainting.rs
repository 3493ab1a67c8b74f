//! The section `inpainting`: the share of hidden units restored, by what is hidden, beside two baselines.

use std::{
    io::{self, Write},
    time::Instant,
};

use bitboltz_core::{inpaint::Inpaint, posterior::PosteriorMean};
use serde::Serialize;

use super::{super::decimals, Subject};
use crate::{
    eval::restoration::{ByMask, Puzzle, usual_masks},
    inpainting::Restored,
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

impl Options {
    pub(super) fn measure(&self, subject: &Subject, stages: &dyn Stages) -> anyhow::Result<Section> {
        let start = Instant::now();
        let geometry = subject.file.geometry();
        let images = subject.test.subset(0..self.restored as usize);
        let masks = subject.masks.clone().unwrap_or_else(|| usual_masks(geometry));
        let progress = stages.begin("inpainting", masks.len() as u64);
        let mut found = Vec::new();
        for mask in &masks {
            let puzzle = Puzzle::new(mask, geometry, images.clone(), subject.seed)?;
            let filled = with_model!(&subject.file, model => puzzle.fill(&model, &subject.train, subject.seed))?;
            found.push(puzzle.shares(&filled));
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
            "{:<20}{:>10}{:>18}{:>18}{:>18}{:>18}{:>16}",
            "hidden", "units", "modes", "means", "majority", "nearest", "means ahead"
        )?;
        for ByMask { mask, hidden_units, modes, means, majority, nearest, lead } in &self.masks {
            write!(out, "{mask:<20}{hidden_units:>10}")?;
            for Restored { all, on } in [modes, means, majority, nearest] {
                let [all, on] = [all, on].map(|share| decimals(100.0 * share, 2));
                write!(out, "{all:>10}{on:>6} %")?;
            }
            let [ahead, error] = [lead.share, lead.standard_error].map(|share| decimals(100.0 * share, 2));
            writeln!(out, "{ahead:>9} ± {error}")?;
        }
        let PosteriorMean { restarts, samples, .. } = PosteriorMean::default();
        writeln!(
            out,
            "modes: the lowest of {}; means: of {samples} Gibbs samples of {restarts} chains from modes, rounded; nearest: of \
             the training images; ahead: of nearest, of all, in points, with the standard error over images",
            Inpaint::default().restarts
        )
    }
}
