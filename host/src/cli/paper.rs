//! `bitboltz paper`: the paper's experiments, one by one.

use std::{io::Write, path::PathBuf};

use anyhow::Context as _;
use clap::ValueEnum;

use super::progress::Bars;
use crate::{
    model_file::ModelFile,
    paper::{self, Settings},
};

/// Repeat one of the paper's experiments, and write what was measured: report.md, plots as PNG and SVG, results.json.
///
/// The same seed gives the same numbers, on any number of threads.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  bitboltz paper toy --out toy --quick\n  \
                        bitboltz paper toy --out toy --model mnist.safetensors")]
pub(super) struct Args {
    /// The experiment.
    #[arg(value_enum)]
    name: Name,
    /// Folder of the report, made if it does not exist. It may hold an earlier run of the same experiment, which is
    /// replaced, and nothing else.
    #[arg(short, long, value_name = "DIR")]
    out: PathBuf,
    /// A small version: seconds instead of an hour.
    #[arg(long)]
    quick: bool,
    /// Seed of the random numbers.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Trained models to look at as well: checkpoints or images.
    #[arg(long, num_args = 1.., value_name = "FILE")]
    model: Vec<PathBuf>,
}

/// The experiments.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Name {
    /// Random weights, from 6 units to 30,000: sweeps of the search, meeting times, bias and variance.
    Toy,
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<()> {
    let name = match args.name {
        Name::Toy => paper::Name::Toy,
    };
    let models = args.model.iter().map(|path| {
        let file = ModelFile::load(path)?;
        let name = path.file_name().context("a model's file has a name")?;
        Ok((name.to_string_lossy().into_owned(), file))
    });
    let models = models.collect::<anyhow::Result<Vec<_>>>()?;
    let settings = Settings { quick: args.quick, seed: args.seed, models, stages: &Bars };
    let command = std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned());
    let command: Vec<String> = command.collect();
    let files = paper::run(name, &settings, &args.out, &format!("bitboltz {}", command.join(" ")))?;
    for file in files {
        writeln!(out, "{}", file.display())?;
    }
    Ok(())
}
