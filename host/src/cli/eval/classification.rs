//! The section `classification`: the classes that label units tell, with all pixels known and with some hidden.

use std::{
    io::{self, Write},
    time::Instant,
};

use anyhow::ensure;
use serde::Serialize;

use super::Subject;
use crate::{
    dataset::{
        Mask,
        labels::{classes_of, label_units, widened},
    },
    eval::{
        classification::{Classified, Effort, label_bounds, label_means},
        real::real_parameters,
    },
    inpainting::hide,
    stages::Stages,
    with_model,
};

/// How much to spend on it.
#[derive(Debug, clap::Args)]
// The name of its group would be that of the other sections.
#[group(skip)]
pub(super) struct Options {
    /// Searches from random bits for the label of an image.
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    label_searches: u16,
    /// Gibbs sweeps after each of these, over which the label units' means are averaged.
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    label_sweeps: u16,
    /// Test images that are also classified by the mean-field bound of log p(v, label), which takes much longer (with one
    /// hidden layer by log p(v, label) itself).
    #[arg(long, default_value_t = 500, value_name = "N")]
    label_bounds: u32,
}

/// Errors by what is hidden.
#[derive(Serialize)]
pub(super) struct Section {
    /// Label units.
    classes: usize,
    /// Searches for an image.
    searches: u16,
    /// Sweeps after each.
    sweeps: u16,
    /// All pixels known.
    whole: Timed,
    /// The same for the first images, by bounds of log p(v, label).
    by_bound: Option<Timed>,
    /// Whether these bounds are exact.
    exact: bool,
    /// Some pixels hidden.
    masked: Vec<Masked>,
}

/// What came out, and how quickly.
#[derive(Serialize)]
struct Timed {
    #[serde(flatten)]
    found: Classified,
    images_per_second: f64,
    seconds: f64,
}

#[derive(Serialize)]
struct Masked {
    mask: String,
    #[serde(flatten)]
    found: Timed,
}

impl Timed {
    fn new(start: Instant, found: Classified) -> Self {
        let seconds = start.elapsed().as_secs_f64();
        Self { images_per_second: found.images as f64 / seconds, seconds, found }
    }
}

impl Options {
    /// Whether there is anything to measure.
    ///
    /// # Errors
    /// A model without label units.
    pub(super) fn check(&self, subject: &Subject) -> anyhow::Result<()> {
        let labels = label_units(subject.test.cols(), subject.file.geometry());
        ensure!(
            !labels.is_empty(),
            "{}: the model has no label units; train it with --labels for the section classification",
            subject.model.display()
        );
        Ok(())
    }

    pub(super) fn measure(&self, subject: &Subject, stages: &dyn Stages) -> anyhow::Result<Section> {
        let geometry = subject.file.geometry();
        let labels = label_units(subject.test.cols(), geometry);
        let count = labels.len();
        let classes: Vec<usize> = classes_of(&subject.test, labels.clone()).into_iter().flatten().collect();
        let effort = Effort { searches: self.label_searches, sweeps: self.label_sweeps };
        let rows = subject.test.rows();
        let masks = subject.masks.clone().unwrap_or_else(|| vec![Mask::HalfLeft]);
        let progress = stages.begin("classification", ((1 + masks.len()) * rows) as u64);
        let by_chains = |mask: &Mask| -> anyhow::Result<Timed> {
            let (_, hidden) = hide(mask, geometry, rows, subject.seed)?;
            let hidden = widened(&hidden, count, true)?;
            let start = Instant::now();
            let means = with_model!(&subject.file, model => {
                label_means(&model, &subject.test, &hidden, labels.clone(), effort, subject.seed, &*progress)
            })?;
            Ok(Timed::new(start, Classified::new(&classes, count, &means)))
        };
        let whole = by_chains(&Mask::Random(0.0))?;
        let masked = masks.iter().map(|mask| Ok(Masked { mask: mask.to_string(), found: by_chains(mask)? }));
        let masked = masked.collect::<anyhow::Result<_>>()?;
        drop(progress);
        let first = subject.test.subset(0..self.label_bounds as usize);
        let by_bound = if first.rows() > 0 {
            let parameters = with_model!(&subject.file, model => real_parameters(&model, geometry))?;
            let progress = stages.begin("bounds of labels", (first.rows() * count) as u64);
            let start = Instant::now();
            let bounds = label_bounds(&parameters, &first, labels, &*progress);
            Some(Timed::new(start, Classified::new(&classes[..first.rows()], count, &bounds)))
        } else {
            None
        };
        let (searches, sweeps) = (effort.searches, effort.sweeps);
        let exact = subject.file.shape().layers() == 2;
        Ok(Section { classes: count, searches, sweeps, whole, by_bound, exact, masked })
    }
}

impl super::Section for Section {
    fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(
            out,
            "{} classes by label units: means over {} searches from random bits, {} Gibbs sweeps each",
            self.classes, self.searches, self.sweeps
        )?;
        writeln!(out, "{:<34}{:>10}{:>12}{:>12}{:>12}", "hidden", "images", "error", "±", "images/s")?;
        let mut line = |what: &str, timed: &Timed| {
            let Timed { found, images_per_second, .. } = timed;
            let (error, standard_error) = (100.0 * found.error, 100.0 * found.standard_error);
            writeln!(
                out,
                "{what:<34}{:>10}{error:>10.2} %{standard_error:>10.2} %{images_per_second:>12.0}",
                found.images
            )
        };
        line("nothing", &self.whole)?;
        if let Some(found) = &self.by_bound {
            line(
                if self.exact { "nothing, by log p(v, label)" } else { "nothing, by bounds of log p(v, label)" },
                found,
            )?;
        }
        self.masked.iter().try_for_each(|masked| line(&masked.mask, &masked.found))?;
        let tables = [("nothing", &self.whole)];
        let masked = self.masked.iter().map(|masked| (masked.mask.as_str(), &masked.found));
        for (what, timed) in tables.into_iter().chain(masked) {
            writeln!(out, "true class (row) and found class (column), hidden: {what}")?;
            write!(out, "{:>5}", "")?;
            (0..self.classes).try_for_each(|class| write!(out, "{class:>6}"))?;
            writeln!(out)?;
            for (class, row) in timed.found.confusion.iter().enumerate() {
                write!(out, "{class:>5}")?;
                row.iter().try_for_each(|count| write!(out, "{count:>6}"))?;
                writeln!(out)?;
            }
        }
        Ok(())
    }
}
