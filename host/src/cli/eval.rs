//! `bitboltz eval`: what a model is worth on a data set, section by section.
//!
//! A section has a file under `eval/`: its options, what it measures (by the library's `eval`), and its table. It has a
//! name in [`SectionName`] and a field in [`Report`].

mod equilibrium;
mod likelihood;

use std::{
    io::{self, Write},
    path::PathBuf,
    time::Instant,
};

use anyhow::ensure;
use bitboltz_core::{image::Geometry, shape::Shape};
use clap::ValueEnum;
use serde::Serialize;

use super::{print_json, progress::Counted};
use crate::{
    bits::BitMatrix,
    dataset::{self, Encoding, Split},
    eval::likelihood::Stages,
    model_file::ModelFile,
};

/// Say what a model is worth on a data set: its likelihood, and how far what it generates is from its own distribution.
///
/// log Z comes from annealed importance sampling, which begins at independent pixels with the means of the training
/// images. With too few temperatures it is too low far more often than too high, and log p(v) then too high: look at how
/// it moves with --betas. Of the test images log p(v) is exact, given log Z, with one hidden layer; with more it is a
/// variational lower bound, and for the first images it is estimated as well. DATA that have no splits (a file, a folder
/// of pictures) are both training and test images.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  bitboltz eval m.safetensors mnist\n  \
                        bitboltz eval m.bbz digits --only likelihood --betas 20000 --chains 200 --json\n  \
                        bitboltz eval m.safetensors mnist --only equilibrium --sweeps 10000")]
pub(super) struct Args {
    /// Checkpoint (.safetensors) or image (.bbz), whose integers count as the real numbers that they stand for.
    model: PathBuf,
    /// A known data set, or a path.
    data: String,
    /// Only these sections.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "SECTIONS")]
    only: Vec<SectionName>,
    /// How many test images, from the first on; all unless given.
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    count: Option<u32>,
    /// A pixel is on if its grey value is above this (models of 1 bit a pixel).
    #[arg(long, default_value_t = 127)]
    threshold: u8,
    /// Seed of the random numbers.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    likelihood: likelihood::Options,
    #[command(flatten)]
    equilibrium: equilibrium::Options,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum SectionName {
    /// log Z and log p(v).
    Likelihood,
    /// The generator against long Gibbs chains.
    Equilibrium,
}

/// What is evaluated, on what.
struct Subject {
    file: ModelFile,
    train: BitMatrix,
    test: BitMatrix,
    seed: u64,
}

/// Everything that was measured.
#[derive(Serialize)]
struct Report {
    model: PathBuf,
    data: String,
    layers: Vec<usize>,
    weights: &'static str,
    train_rows: usize,
    test_rows: usize,
    /// Whether the test images are others than the training images.
    held_out: bool,
    seed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    likelihood: Option<likelihood::Section>,
    #[serde(skip_serializing_if = "Option::is_none")]
    equilibrium: Option<equilibrium::Section>,
    seconds: f64,
}

/// A part of the report that prints itself.
trait Section {
    /// Writes it for people.
    ///
    /// # Errors
    /// Those of `out`.
    fn print(&self, out: &mut dyn Write) -> io::Result<()>;
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<()> {
    let file = ModelFile::load(&args.model)?;
    let shape = file.shape();
    let rows = |split| bits(args, split, &shape, file.geometry());
    let (train, test) = (rows(Split::Train)?, rows(Split::Test)?);
    let held_out = train != test;
    let test = test.subset(0..args.count.map_or(usize::MAX, |count| count as usize));
    let subject = Subject { train, test, seed: args.seed, file };
    let wants = |name| args.only.is_empty() || args.only.contains(&name);
    let start = Instant::now();
    let likelihood = wants(SectionName::Likelihood).then(|| args.likelihood.measure(&subject, &Shown)).transpose()?;
    let equilibrium =
        wants(SectionName::Equilibrium).then(|| args.equilibrium.measure(&subject, &Shown)).transpose()?;
    let report = Report {
        model: args.model.clone(),
        data: args.data.clone(),
        layers: shape.widths().collect(),
        weights: subject.file.kind().name(),
        train_rows: subject.train.rows(),
        test_rows: subject.test.rows(),
        held_out,
        seed: args.seed,
        likelihood,
        equilibrium,
        seconds: start.elapsed().as_secs_f64(),
    };
    if args.json { print_json(out, &report) } else { Ok(report.print(out)?) }
}

/// The images of a split as rows of visible units.
fn bits(args: &Args, split: Split, shape: &Shape, geometry: Geometry) -> anyhow::Result<BitMatrix> {
    let model = args.model.display();
    let visible = shape.width(0);
    ensure!(geometry.units() > 0, "{model}: the model does not say how its visible units make up a picture");
    let images = dataset::load(&args.data, split)?;
    let found = [images.width, images.height, images.channels];
    let expected = [geometry.width.into(), geometry.height.into(), geometry.channels.into()];
    ensure!(
        found == expected,
        "{}: the model takes images of {}, found {}",
        args.data,
        expected.map(|n: usize| n.to_string()).join(" × "),
        found.map(|n| n.to_string()).join(" × ")
    );
    ensure!(!images.is_empty(), "{}: no images", args.data);
    let bits = Encoding { bits: geometry.bits, threshold: args.threshold }.encode(&images)?;
    ensure!(bits.cols() == visible, "{model}: the model has {visible} visible units, the images give {}", bits.cols());
    Ok(bits)
}

/// Bars, or lines, on standard error.
struct Shown;

impl Stages for Shown {
    fn begin(&self, what: &'static str, total: u64) -> Box<dyn Fn(u64) + Sync + '_> {
        let counted = Counted::new(what, total);
        Box::new(move |done| counted.advance(done))
    }
}

impl Section for Report {
    fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        let layers: Vec<String> = self.layers.iter().map(usize::to_string).collect();
        writeln!(out, "{}: {} machine with {} weights", self.model.display(), layers.join("-"), self.weights)?;
        writeln!(
            out,
            "{}: {} training images, {} test images{}; seed {}",
            self.data,
            self.train_rows,
            self.test_rows,
            if self.held_out { "" } else { ", which are the training images too" },
            self.seed
        )?;
        let sections: [Option<&dyn Section>; 2] = [
            self.likelihood.as_ref().map(|section| section as &dyn Section),
            self.equilibrium.as_ref().map(|section| section as &dyn Section),
        ];
        for section in sections.into_iter().flatten() {
            writeln!(out)?;
            section.print(out)?;
        }
        Ok(())
    }
}
