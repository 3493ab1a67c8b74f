//! `bitboltz eval`: what a model is worth on a data set, section by section.
//!
//! A section has a file under `eval/`: its options, what it measures (by the library's `eval`), and its table. It has a
//! name in [`SectionName`] and a field in [`Report`].

mod classification;
mod coverage;
mod equilibrium;
mod frechet;
mod generated;
mod inpainting;
mod likelihood;

use std::{
    io::{self, Write},
    path::PathBuf,
    time::Instant,
};

use clap::ValueEnum;
use serde::Serialize;

use super::{one_line, pictures, print_json, progress::Bars, say};
use crate::{
    bits::BitMatrix,
    dataset::{
        self, Mask, Split,
        labels::{label_units, with_labels},
    },
    inpainting::hide,
    model_file::ModelFile,
};

/// Say what a model is worth on a data set: its likelihood, how far what it generates is from its own distribution and
/// from real images, what of these it reaches, what it restores of hidden pixels, and, with label units, how well it tells
/// the class.
///
/// log Z comes from annealed importance sampling, which begins at independent pixels with the means of the training
/// images. With too few temperatures it is too low far more often than too high, and log p(v) then too high: look at
/// how it moves with --betas, and at the same annealing backwards. Begun at long Gibbs chains of the model, that is a
/// bound on log Z from above if these have reached equilibrium, and an indication if not; begun at test images (RAISE)
/// it is, with no such condition, a lower bound on log p(v) of the annealing as a generator, which comes to the model
/// as temperatures are added. Both gaps are near 0 where log Z can be trusted. Of the test images log p(v) is exact,
/// given log Z, with one hidden layer; with more it is a variational lower bound, and for the first images it is
/// estimated as well. With label units v is the picture and its label. DATA that have no splits (a file, a folder of
/// pictures) are both training and test images, unless --train names others.
///
/// Generated images are compared with test images by the features of a network (--features), always beside a floor (as
/// many training images) and a ceiling (independent pixels with the training images' means). Distances compare only for
/// the same network, the same number of samples and the same test images. Modes are where the search from random bits
/// ends, samples are a Gibbs sweep further (or --sample-sweeps).
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  bitboltz eval m.safetensors mnist\n  \
                        bitboltz eval m.bbz digits --only likelihood --betas 20000 --chains 200 --json\n  \
                        bitboltz eval m.safetensors mnist --only equilibrium --sweeps 10000\n  \
                        bitboltz eval m.safetensors mnist --only frechet,coverage --samples 10000\n  \
                        bitboltz eval m.safetensors held-out.npy --train mine.npy\n  \
                        bitboltz eval m.safetensors mnist --only inpainting,classification --mask half-top\n\n\
                        --features FILE takes any ONNX network of one input, N x channels x height x width floats from \
                        0 to 1 of just the images' size (a grey image is repeated for 3 channels), whose first output \
                        has a row of features for each image; an output called \"logits\" gives classes. For the \
                        standard FID wrap Inception-v3 (pool features, 2048) so that resizing to 299 x 299 and scaling \
                        are part of the file, as host/features/README.md shows.")]
pub(super) struct Args {
    /// Checkpoint (.safetensors) or image (.bbz), whose integers count as the real numbers that they stand for.
    model: PathBuf,
    /// A known data set, or a path: its test images are what the model is judged by.
    data: String,
    /// Training images from elsewhere: for DATA without splits, say a file of images that were held out.
    #[arg(long, value_name = "DATA")]
    train: Option<String>,
    /// Only these sections.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "SECTIONS")]
    only: Vec<SectionName>,
    /// How many test images, from the first on; all unless given.
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    count: Option<u32>,
    /// A pixel is on if its grey value is above this (models of 1 bit a pixel) [default: as in the model's training; 127 where
    /// the file does not say].
    #[arg(long)]
    threshold: Option<u8>,
    /// Seed of the random numbers.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// What is hidden in the sections inpainting and classification, any number of times; as in bitboltz inpaint [default:
    /// the halves, a box in the middle and random:0.5; for classification half-left].
    #[arg(long = "mask", value_name = "MASK")]
    masks: Vec<Mask>,
    #[command(flatten)]
    likelihood: likelihood::Options,
    #[command(flatten)]
    equilibrium: equilibrium::Options,
    #[command(flatten)]
    generated: generated::Options,
    #[command(flatten)]
    inpainting: inpainting::Options,
    #[command(flatten)]
    classification: classification::Options,
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
    /// The distance of generated images from real ones.
    Frechet,
    /// What generated images reach, and whether they are copies.
    Coverage,
    /// Hidden pixels restored, beside two baselines.
    Inpainting,
    /// Test error by label units; left out for models without, unless asked for.
    Classification,
}

/// What is evaluated, on what.
struct Subject {
    model: PathBuf,
    file: ModelFile,
    data: String,
    train: BitMatrix,
    test: BitMatrix,
    /// Whether the test images are others than the training images.
    held_out: bool,
    /// What is hidden, if it was said.
    masks: Option<Vec<Mask>>,
    seed: u64,
}

/// Everything that was measured.
#[derive(Serialize)]
struct Report {
    model: String,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    generated: Option<generated::Section>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frechet: Option<frechet::Section>,
    #[serde(skip_serializing_if = "Option::is_none")]
    coverage: Option<coverage::Section>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inpainting: Option<inpainting::Section>,
    #[serde(skip_serializing_if = "Option::is_none")]
    classification: Option<classification::Section>,
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
    let rows = |split| bits(args, split, &file);
    let (train, test) = (rows(Split::Train)?, rows(Split::Test)?);
    let held_out = train != test;
    let test = test.subset(0..args.count.map_or(usize::MAX, |count| count as usize));
    let (model, data) = (args.model.clone(), args.data.clone());
    let masks = (!args.masks.is_empty()).then(|| args.masks.clone());
    let subject = Subject { model, data, train, test, held_out, masks, seed: args.seed, file };
    let wants = |name| args.only.is_empty() || args.only.contains(&name);
    let wants_generated = wants(SectionName::Frechet) || wants(SectionName::Coverage);
    let plan = match wants_generated.then(|| args.generated.plan(&subject)) {
        // Nobody asked for it by name.
        Some(Err(error)) if args.only.is_empty() && !args.generated.is_given() => {
            say(format_args!("frechet and coverage are left out: {}", one_line(&error)));
            None
        }
        plan => plan.transpose()?,
    };
    let wants_classes = match wants(SectionName::Classification).then(|| args.classification.check(&subject)) {
        // Nobody asked for it by name.
        Some(Err(_)) if args.only.is_empty() => false,
        answer => answer.transpose()?.is_some(),
    };
    for mask in &args.masks {
        // Whether it fits the picture, before any work.
        hide(mask, subject.file.geometry(), 1, args.seed)?;
    }
    let start = Instant::now();
    // A section that fails does not take the others with it: hours may be in them.
    let mut failures = Vec::new();
    macro_rules! section {
        ($name:ident, $wanted:expr, $measure:expr) => {
            $wanted
                .then(|| $measure)
                .and_then(|found| found.map_err(|error| failures.push((SectionName::$name, error))).ok())
        };
    }
    let likelihood = section!(Likelihood, wants(SectionName::Likelihood), args.likelihood.measure(&subject, &Bars));
    let equilibrium = section!(Equilibrium, wants(SectionName::Equilibrium), args.equilibrium.measure(&subject, &Bars));
    let generated_by = if wants(SectionName::Frechet) { SectionName::Frechet } else { SectionName::Coverage };
    let found =
        plan.and_then(|plan| plan.run(&subject, &Bars).map_err(|error| failures.push((generated_by, error))).ok());
    let (generated, all) = found.unzip();
    let all = all.as_ref();
    let frechet = all.filter(|_| wants(SectionName::Frechet)).map(frechet::Section::new);
    let coverage = all.filter(|_| wants(SectionName::Coverage)).map(|all| coverage::Section::new(&subject, all));
    let inpainting = section!(Inpainting, wants(SectionName::Inpainting), args.inpainting.measure(&subject, &Bars));
    let classification = section!(Classification, wants_classes, args.classification.measure(&subject, &Bars));
    let report = Report {
        model: args.model.display().to_string(),
        data: args.data.clone(),
        layers: shape.widths().collect(),
        weights: subject.file.kind().name(),
        train_rows: subject.train.rows(),
        test_rows: subject.test.rows(),
        held_out,
        seed: args.seed,
        likelihood,
        equilibrium,
        generated,
        frechet,
        coverage,
        inpainting,
        classification,
        seconds: start.elapsed().as_secs_f64(),
    };
    if args.json {
        print_json(out, &report)?;
    } else {
        report.print(out)?;
    }
    let mut failures = failures.into_iter().map(|(name, error)| {
        let name = name.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned());
        error.context(format!("section {name}"))
    });
    let first = failures.next();
    // The first one ends the program with its reason; the others are told before it.
    failures.for_each(|error| say(one_line(&error)));
    first.map_or(Ok(()), Err)
}

/// The images of a split as rows of visible units.
fn bits(args: &Args, split: Split, file: &ModelFile) -> anyhow::Result<BitMatrix> {
    let (geometry, threshold) = (file.geometry(), pictures::threshold(args.threshold, file.settings()));
    let data = args.train.as_ref().filter(|_| split == Split::Train).unwrap_or(&args.data);
    let images = dataset::load(data, split)?;
    let pictures = pictures::encode(&args.model.display(), geometry, data, &images, threshold)?;
    let labels = label_units(file.shape().width(0), geometry);
    Ok(if labels.is_empty() { pictures } else { with_labels(&pictures, &images, labels.len())? })
}

impl Section for Report {
    fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        let layers: Vec<String> = self.layers.iter().map(usize::to_string).collect();
        writeln!(out, "{}: {} machine with {} weights", self.model, layers.join("-"), self.weights)?;
        writeln!(
            out,
            "{}: {} training images, {} test images{}; seed {}",
            self.data,
            self.train_rows,
            self.test_rows,
            if self.held_out { "" } else { ", which are the training images too" },
            self.seed
        )?;
        let sections: [Option<&dyn Section>; 7] = [
            self.likelihood.as_ref().map(|section| section as &dyn Section),
            self.equilibrium.as_ref().map(|section| section as &dyn Section),
            self.generated.as_ref().map(|section| section as &dyn Section),
            self.frechet.as_ref().map(|section| section as &dyn Section),
            self.coverage.as_ref().map(|section| section as &dyn Section),
            self.inpainting.as_ref().map(|section| section as &dyn Section),
            self.classification.as_ref().map(|section| section as &dyn Section),
        ];
        for section in sections.into_iter().flatten() {
            writeln!(out)?;
            section.print(out)?;
        }
        Ok(())
    }
}
