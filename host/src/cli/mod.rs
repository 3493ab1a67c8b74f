//! The command line: arguments in, answers out, no mathematics.
//!
//! Exit codes: 0 done; 1 it failed, with one line on standard error; 2 the arguments make no sense. Answers go to
//! standard output, progress to standard error.

mod bench;
mod data;
mod demo;
mod device;
mod energy;
mod eval;
mod exact;
mod export;
mod inpaint;
mod inspect;
mod judge;
mod paper;
mod pictures;
mod progress;
mod sample;
mod train;

use std::{
    fmt,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, ensure};
use clap::{Parser, Subcommand, ValueEnum};
use thiserror::Error;

use crate::estimator::SecondStart;

#[derive(Debug, Parser)]
#[command(
    name = "bitboltz",
    version,
    about = "Train deep Boltzmann machines, and export them for microcontrollers",
    after_help = "Start with `bitboltz demo`: it trains on digits that come with the program, and shows what the model can do.\n\
                  DATA is a known data set (see `bitboltz data`) or a path; MODEL is a checkpoint (.safetensors) or an image (.bbz)."
)]
struct Cli {
    /// Worker threads; all cores unless given. Results do not depend on it.
    #[arg(long, global = true, display_order = 900, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Args),
    Data(data::Args),
    Train(Box<train::Args>),
    Sample(sample::Args),
    Inpaint(inpaint::Args),
    Energy(energy::Args),
    Eval(eval::Args),
    Judge(judge::Args),
    Exact(exact::ExactArgs),
    Export(export::Args),
    Paper(paper::Args),
    Inspect(inspect::Args),
    Bench(bench::Args),
    Device(device::Args),
}

/// Where the second chain of a pair starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Y0 {
    /// Where the first one does.
    #[default]
    Same,
    /// Drawn independently.
    Independent,
}

impl From<Y0> for SecondStart {
    fn from(y0: Y0) -> Self {
        match y0 {
            Y0::Same => Self::Same,
            Y0::Independent => Self::Independent,
        }
    }
}

/// Arguments that can be read, but contradict each other or make no sense.
#[derive(Debug, Error)]
#[error("{0}")]
struct Usage(String);

/// A number with so many digits behind the point; a dash where there is none, such as an error from one image.
fn decimals(x: f64, digits: usize) -> String {
    if x.is_finite() { format!("{x:.digits$}") } else { "–".to_owned() }
}

/// Runs the command that the program's arguments name.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read the output has seen enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            say(format_args!("error: {}", one_line(&error)));
            if is_usage(&error) { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    if let Some(threads) = cli.threads {
        rayon::ThreadPoolBuilder::new().num_threads(threads.into()).build_global().context("starting threads")?;
    }
    let out = &mut io::stdout().lock();
    match cli.command {
        Command::Demo(args) => demo::run(&args, out),
        Command::Train(args) => train::run(&args, out),
        Command::Data(args) => data::run(&args, out),
        Command::Sample(args) => sample::run(&args, out),
        Command::Inpaint(args) => inpaint::run(&args, out),
        Command::Energy(args) => energy::run(&args, out),
        Command::Eval(args) => eval::run(&args, out),
        Command::Judge(args) => judge::run(&args, out),
        Command::Exact(args) => exact::run(&args, out),
        Command::Export(args) => export::run(&args, out),
        Command::Paper(args) => paper::run(&args, out),
        Command::Inspect(args) => inspect::run(&args, out),
        Command::Bench(args) => bench::run(&args, out),
        Command::Device(args) => device::run(&args, out),
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
}

fn is_usage(error: &anyhow::Error) -> bool {
    error.is::<Usage>() || error.downcast_ref::<exact::ExactError>().is_some_and(exact::ExactError::is_usage)
}

/// Prints a line on standard error. If nobody reads it any more (`2>&1 | head`), the work goes on.
fn say(line: impl fmt::Display) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// The error and its causes, each said once: many of ours already end in their cause.
fn one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain().map(|cause| cause.to_string()) {
        if line.is_empty() {
            line = cause;
        } else if !line.contains(&cause) {
            line = format!("{line}: {cause}");
        }
    }
    line.replace('\n', " ")
}

/// Refuses outputs that cannot be written, or that would replace an input or each other, before any long work starts.
fn check_outputs<'a>(inputs: &[&Path], outputs: impl IntoIterator<Item = &'a Path>) -> anyhow::Result<()> {
    let mut taken: Vec<PathBuf> = inputs.iter().map(|path| place(path)).collect();
    for path in outputs {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        ensure!(folder.is_dir(), "{}: the folder {} does not exist", path.display(), folder.display());
        ensure!(!path.is_dir(), "{}: expected a file's name, found a folder", path.display());
        if path.exists() && !path.is_file() {
            // `/dev/null`, a pipe: any number of outputs may go there.
            continue;
        }
        let place = place(path);
        if taken.contains(&place) {
            let text = format!("{}: would be written over another file of this command", path.display());
            return Err(Usage(text).into());
        }
        taken.push(place);
    }
    Ok(())
}

/// One path for all the names of a file, whether it exists or not.
fn place(path: &Path) -> PathBuf {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let in_folder = || Some(folder.canonicalize().ok()?.join(path.file_name()?));
    path.canonicalize().ok().or_else(in_folder).unwrap_or_else(|| path.to_owned())
}

/// Prints a value as one line of JSON.
fn print_json(out: &mut dyn io::Write, value: &impl serde::Serialize) -> anyhow::Result<()> {
    serde_json::to_writer(&mut *out, value).map_err(io::Error::from)?;
    writeln!(out)?;
    Ok(())
}
