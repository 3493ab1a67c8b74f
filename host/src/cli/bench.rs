//! `bitboltz bench`: how fast this program is on this machine.

mod table;

use std::{io::Write, num::NonZeroUsize, path::PathBuf, time::Duration};

use bitboltz_core::{shape::Shape, weights::WeightKind};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{
    Usage, print_json,
    train::{chain_weights, positive},
};
use crate::bench::{
    epoch::epoch,
    gibbs::gibbs,
    growth,
    kernels::kernels,
    machine::Machine,
    sample::sample,
    subject::{Source, Subject},
    update::{Update, update},
};

/// Measure updates, samples, Gibbs sweeps or kernels on this machine, beside what the machine can do.
///
/// Every figure is for the work of the commands themselves. Times are medians of wall time, after one repeat to warm up;
/// every bench then checks its answer against the core's one-chain path or plain sums, and fails if it is wrong. Close
/// other programs: what else runs is measured too.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  bitboltz bench update --layers 784,784,784 --batch 1000 --chain-weights i16\n  \
                        bitboltz bench update --layers 196,196,196 --layers 392,392,392 --layers 784,784,784\n  \
                        bitboltz bench sample --model m.safetensors --threads 1 --json\n  \
                        bitboltz bench kernels --seconds 10")]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// One update of training with the paper's estimator, its parts, and how near they come to the machine's peaks.
    ///
    /// The weights stay as they are (a learning rate of almost nothing), so that every repeat does the same work. With
    /// several --layers: a row each, and the exponents with which the update and the dense float product grow with the
    /// width.
    Update(Trained),
    /// Chains from random bits to local modes, and one Gibbs sweep on to a sample each.
    Sample(Drawn),
    /// Block-Gibbs sweeps: both blocks of every chain drawn once, from local modes on.
    Gibbs(Drawn),
    /// One epoch of a restricted Boltzmann machine with persistent contrastive divergence, chains of one sweep.
    RbmEpoch(Trained),
    /// The engine's inner loops on each instruction set, on one thread, beside the plainest loop over the same bytes.
    Kernels(Options),
}

/// A bench that trains.
#[derive(Debug, clap::Args)]
struct Trained {
    /// A checkpoint (.safetensors). With a training record, its settings are kept apart from those below.
    #[arg(long, value_name = "FILE", conflicts_with = "layers")]
    model: Option<PathBuf>,
    /// Widths of the layers of a model with fresh orthogonal weights, visible layer first [default: 784,784,784; of
    /// rbm-epoch 784,784]. Several times for several models (update).
    #[arg(long, value_name = "WIDTHS", value_parser = layers)]
    layers: Vec<Layers>,
    /// Data set or path; a pixel is on above 127, or is the 2 to 8 bit planes that the visible layer has room for
    /// [default: the embedded digits for 784 visible units, else random bits of the digits' density].
    #[arg(long, value_name = "DATA")]
    images: Option<String>,
    #[command(flatten)]
    chains: ChainOptions,
    #[command(flatten)]
    options: Options,
}

/// A bench that draws from a model.
#[derive(Debug, clap::Args)]
struct Drawn {
    /// A checkpoint (.safetensors) or an image (.bbz), which has its own weight type.
    #[arg(long, value_name = "FILE", conflicts_with = "layers")]
    model: Option<PathBuf>,
    /// Widths of the layers of a model with fresh orthogonal weights, visible layer first [default: 784,784,784].
    #[arg(long, value_name = "WIDTHS", value_parser = layers)]
    layers: Option<Layers>,
    #[command(flatten)]
    chains: ChainOptions,
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, clap::Args)]
struct ChainOptions {
    /// Chains at once (and data vectors, where a model is trained).
    #[arg(long, default_value = "100", value_name = "N")]
    batch: NonZeroUsize,
    /// What the chains run on: f32, i16, i8 or i4 [default: what the file says, else f32].
    #[arg(long, value_name = "TYPE", value_parser = chain_weights)]
    chain_weights: Option<WeightKind>,
}

#[derive(Debug, clap::Args)]
struct Options {
    /// How long to measure. At least some repeats are made.
    #[arg(long, default_value_t = 3.0, value_parser = positive)]
    seconds: f64,
    /// Seed of everything random.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Print one JSON object: `seconds` is the median of one update, one batch of samples, one sweep of the batch, one
    /// epoch, or one round of the kernels.
    #[arg(long)]
    json: bool,
}

impl Options {
    fn budget(&self) -> Result<Duration, Usage> {
        Duration::try_from_secs_f64(self.seconds).map_err(|error| Usage(format!("--seconds: {error}")))
    }
}

/// Widths that are a shape.
#[derive(Clone, Debug)]
struct Layers(Vec<usize>);

fn layers(text: &str) -> Result<Layers, String> {
    let widths = text.split(',').map(|width| width.trim().parse::<usize>());
    let widths =
        widths.collect::<Result<Vec<_>, _>>().map_err(|error| format!("expected widths as 784,784: {error}"))?;
    Shape::new(&widths).map_err(|error| error.to_string())?;
    Ok(Layers(widths))
}

impl ChainOptions {
    fn subject(&self, source: Source, images: Option<&String>, seed: u64) -> Subject {
        let batch = self.batch.get();
        Subject { source, images: images.cloned(), batch, chain_weights: self.chain_weights, seed }
    }
}

impl Trained {
    /// What is to be measured, one after the other.
    fn subjects(&self, default: &[usize]) -> Vec<Subject> {
        let sources: Vec<Source> = match &self.model {
            Some(path) => vec![Source::File(path.clone())],
            None if self.layers.is_empty() => vec![Source::Layers(default.to_vec())],
            None => self.layers.iter().map(|Layers(widths)| Source::Layers(widths.clone())).collect(),
        };
        let subject = |source| self.chains.subject(source, self.images.as_ref(), self.options.seed);
        sources.into_iter().map(subject).collect()
    }
}

impl Drawn {
    fn subject(&self) -> Subject {
        let source = match (&self.model, &self.layers) {
            (Some(path), _) => Source::File(path.clone()),
            (None, Some(Layers(widths))) => Source::Layers(widths.clone()),
            (None, None) => Source::Layers(vec![784; 3]),
        };
        self.chains.subject(source, None, self.options.seed)
    }
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<()> {
    match &args.what {
        What::Update(args) => {
            let budget = args.options.budget()?;
            let subjects = args.subjects(&[784; 3]);
            let updates = subjects.iter().map(|subject| update(subject, budget)).collect::<Result<Vec<_>, _>>()?;
            if let [update] = updates.as_slice() {
                return show(out, "update", &args.options, update, table::update);
            }
            show(out, "update", &args.options, &Growth::of(updates), table::growth)
        }
        What::Sample(args) => {
            let figures = sample(&args.subject(), args.options.budget()?)?;
            show(out, "sample", &args.options, &figures, table::sample)
        }
        What::Gibbs(args) => {
            let figures = gibbs(&args.subject(), args.options.budget()?)?;
            show(out, "gibbs", &args.options, &figures, table::gibbs)
        }
        What::RbmEpoch(args) => {
            let mut subjects = args.subjects(&[784; 2]);
            let (Some(subject), true) = (subjects.pop(), subjects.is_empty()) else {
                return Err(Usage("--layers: only one model is measured".to_owned()).into());
            };
            if let Source::Layers(widths) = &subject.source
                && widths.len() != 2
            {
                let text = "--layers: expected two widths, a visible and a hidden layer's".to_owned();
                return Err(Usage(text).into());
            }
            let figures = epoch(&subject, args.options.budget()?)?;
            show(out, "rbm-epoch", &args.options, &figures, table::epoch)
        }
        What::Kernels(options) => {
            let figures = kernels(options.seed, options.budget()?)?;
            show(out, "kernels", options, &figures, table::kernels)
        }
    }
}

/// Updates of several widths.
#[derive(Debug, Serialize)]
struct Growth {
    rows: Vec<Update>,
    exponents: Exponents,
}

/// Of seconds against width; `None` if all widths are the same.
#[derive(Debug, Serialize)]
struct Exponents {
    update: Option<f64>,
    product: Option<f64>,
}

impl Growth {
    fn of(rows: Vec<Update>) -> Self {
        let fit = |seconds: &dyn Fn(&Update) -> f64| {
            let points = rows.iter().map(|row| (growth::width(&row.settings.layers), seconds(row)));
            growth::exponent(&points.collect::<Vec<_>>())
        };
        let exponents = Exponents { update: fit(&|row| row.times.seconds), product: fit(&|row| row.product.seconds) };
        Self { rows, exponents }
    }
}

/// Prints figures, and what they belong to.
fn show<T: Serialize>(
    out: &mut dyn Write,
    bench: &str,
    options: &Options,
    figures: &T,
    table: fn(&mut dyn Write, &T) -> std::io::Result<()>,
) -> anyhow::Result<()> {
    let machine = Machine::here();
    if options.json {
        let mut answer = Map::new();
        let header = json!({"bench": bench, "version": env!("CARGO_PKG_VERSION"), "machine": machine});
        for part in [header, serde_json::to_value(figures)?] {
            if let Value::Object(part) = part {
                answer.extend(part);
            }
        }
        answer.insert("measured_for".into(), options.seconds.into());
        return print_json(out, &Value::Object(answer));
    }
    let Machine { cpu, platform, instruction_set, threads } = machine;
    let version = env!("CARGO_PKG_VERSION");
    writeln!(out, "bitboltz {version} on {cpu} ({platform}), {instruction_set}, {threads} threads")?;
    table(out, figures)?;
    Ok(())
}
