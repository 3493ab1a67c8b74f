//! `bitboltz train`: data in, checkpoint out.

mod begun;
mod estimators;

use std::{
    io::Write,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, ensure};
use bitboltz_core::{image::Geometry, shape::Shape, weights::WeightKind};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde_json::json;

use self::{
    begun::{Begun, Pretrained, pretrain},
    estimators::EstimatorSettings,
};
use super::{Usage, check_outputs, print_json, progress::Shown, say};
use crate::{
    atomic,
    bits::BitMatrix,
    checkpoint::{Checkpoint, CheckpointError, TrainingState},
    dataset::{
        self, Encoding, Images, Split,
        labels::{classes, label_units, with_labels},
    },
    train::{
        Budget, CenteringOffsets, Init, Preset, Pretrain, Schedule, TrainConfig, Trainer,
        config::ConfigError,
        metrics::holds_metrics,
        pretrain::UPDATES,
        run::{Ending, RunOptions, RunReport, run as run_training},
    },
};

/// Minutes of a run that sets no limit.
const MINUTES: f64 = 10.0;

/// Train a model on a data set.
///
/// Ends when the first limit of --steps and --minutes is reached (if neither is given, that of --preset, or 10 minutes),
/// or at Ctrl-C; the checkpoint is written in each case, and every --checkpoint-every seconds on the way. --resume
/// continues the run of the output file, bit for bit; give it the same DATA. Without --resume the run begins anew: a
/// checkpoint that the output file holds already is kept beside it with .old at the end of its name, and so are its
/// metrics; what those two held before is replaced.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  bitboltz train digits --hidden 500,500 --minutes 2 -o m.safetensors\n  \
                        bitboltz train mnist --preset mnist -o mnist.safetensors --grids grids\n  \
                        bitboltz train cifar10 --preset cifar10 -o cifar10.safetensors\n  \
                        bitboltz train mnist --minutes 20 -o m.safetensors\n  \
                        bitboltz train mnist --minutes 40 -o m.safetensors --resume\n  \
                        bitboltz train mnist --minutes 60 -o m.safetensors --resume --clamped-estimator ucd-lmi-gibbs\n  \
                        bitboltz train mnist --minutes 20 -o classical.safetensors --estimator mean-field-5 --pretrain greedy\n  \
                        bitboltz train mnist --preset published --hidden 784,784 -o paper.safetensors")]
pub(super) struct Args {
    /// A known data set (its training images), or a path.
    data: String,
    /// The checkpoint to write (.safetensors).
    #[arg(short, long)]
    output: PathBuf,
    /// Continue the run of the output file. Its settings are kept, and its limits unless others are given (with --schedule
    /// cooldown its --steps stay, whatever --minutes); both count from its beginning. --estimator, --clamped-estimator, --k, --m, --lag, --y0 and --cap may be changed: from here
    /// on, and in the checkpoint; the run is then no longer the one that it would have been without the stop.
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    settings: Settings,
    /// Updates to do.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    steps: Option<u64>,
    /// Minutes of training.
    #[arg(long, value_parser = positive)]
    minutes: Option<f64>,
    /// Seconds between checkpoints.
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    checkpoint_every: u64,
    /// Write every update's figures here as JSON lines [default: the output's name with .jsonl].
    #[arg(long, value_name = "FILE")]
    metrics: Option<PathBuf>,
    /// Write grids of 64 local modes into this folder on the way.
    #[arg(long, value_name = "FOLDER")]
    grids: Option<PathBuf>,
    /// Updates between grids.
    #[arg(long, default_value_t = 250, value_name = "N", requires = "grids", value_parser = clap::value_parser!(u64).range(1..))]
    grid_every: u64,
    /// Print one JSON object at the end.
    #[arg(long)]
    json: bool,
}

/// What a new run is made of; a resumed one has it in its checkpoint, where only the estimator may change.
#[derive(Debug, clap::Args)]
struct Settings {
    #[command(flatten)]
    estimator: EstimatorSettings,
    /// Widths of the hidden layers, lowest first [default: 500,500].
    #[arg(long, value_delimiter = ',', value_name = "WIDTHS", conflicts_with = "resume")]
    hidden: Option<Vec<usize>>,
    /// Visible units of a pixel, of each colour: 1, or 2 to 8 bit planes [default: 1].
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=8), conflicts_with = "resume")]
    bits: Option<u8>,
    /// A pixel is on if its grey value is above this (1 bit a pixel) [default: 127; of a run that is resumed as before].
    #[arg(long)]
    threshold: Option<u8>,
    /// Settings that other options still override: the recipe of a data set, its number of updates included, at whose end
    /// the learning rate falls to zero (see --schedule); those of bitboltz paper images8 and cifar10, all 8 bits of a pixel
    /// for 30 or 60 minutes (mnist8, fashion-mnist8, cifar10); or those of the paper (published: learning rate 0.01, gamma
    /// 0.001, no momentum, batch 1000, no centering, no marginalisation).
    #[arg(long, value_name = "NAME", conflicts_with = "resume", value_parser = preset())]
    preset: Option<Preset>,
    /// Data vectors, and free chains, of an update [default: 25].
    #[arg(long, conflicts_with = "resume")]
    batch: Option<usize>,
    /// Learning rate of the first update [default: 0.005].
    #[arg(long, conflicts_with = "resume", value_parser = positive)]
    lr: Option<f64>,
    /// How the learning rate falls: sqrt, to lr / sqrt(1 + gamma t) at update t; or cooldown, the same and over the last
    /// third of --steps also to zero. A data set's --preset takes cooldown, but with --minutes alone, which do not say how
    /// many updates the run has, it too takes sqrt [default: sqrt].
    #[arg(long, value_enum, conflicts_with = "resume")]
    schedule: Option<Fall>,
    /// How fast it falls; 0 for a constant rate [default: 0.0003].
    #[arg(long, conflicts_with = "resume")]
    gamma: Option<f64>,
    /// Keep this share of each step's direction in the next one (heavy ball) [default: 0.9].
    #[arg(long, value_name = "SHARE", conflicts_with = "resume")]
    momentum: Option<f64>,
    /// Take this times half of the sum of the squared weights off the log-likelihood [default: 0].
    #[arg(long, value_name = "RATE", conflicts_with = "resume")]
    weight_decay: Option<f64>,
    /// Rate of the moving averages that the gradient is centered by; 0 for the plain gradient [default: 0.01].
    #[arg(long, value_name = "RATE", conflicts_with = "resume")]
    centering: Option<f64>,
    /// Whose means these are averages of: of the data's chains, the model's, or both (their mean) [default: data].
    #[arg(long, value_enum, value_name = "WHOSE", conflicts_with = "resume")]
    centering_offsets: Option<Offsets>,
    /// Make the model an average of the parameters over the run, which go on learning: their mean age is this share of
    /// the updates done, up to 0.5. 0 for the parameters as they are [default: 0].
    #[arg(long, value_name = "SHARE", conflicts_with = "resume")]
    average: Option<f64>,
    /// Conditional means instead of bits in the odd layers' statistics [default: true].
    #[arg(long, value_name = "BOOL", conflicts_with = "resume")]
    marginalise: Option<bool>,
    /// What the chains run on: the float weights, or 16-, 8- or 4-bit integers (i16, i8, i4) rounded from them at each
    /// update, which is quicker. The float weights learn, by the gradient of the model in integers; export --weights with
    /// the same type and without --calibrate writes the integers that the chains ran on (with --average those of the
    /// average) [default: f32].
    #[arg(long, visible_alias = "quantise-aware", value_name = "TYPE", conflicts_with = "resume", value_parser = chain_weights)]
    chain_weights: Option<WeightKind>,
    /// Initial weights: orthogonal, or normal:STD [default: orthogonal].
    #[arg(long, conflicts_with = "resume", value_parser = init)]
    init: Option<Init>,
    /// Learn the labels too: one more visible unit for each class, on for the images of that class.
    #[arg(long, conflicts_with = "resume")]
    labels: bool,
    /// Start the visible biases at the log odds of the data instead of zero.
    #[arg(long, conflicts_with = "resume")]
    bias_from_data: bool,
    /// Learn a start before the machine itself is trained: greedy is the classical way, layer by layer, each by
    /// contrastive divergence (cd-1) with the settings given here. Its time counts for --minutes, which do not cut it short;
    /// its updates do not count for --steps. It is saved, recorded in the metrics and resumed as the run itself is; a
    /// checkpoint of it holds the layers so far.
    #[arg(long, value_enum, value_name = "HOW", conflicts_with = "resume")]
    pretrain: Option<PretrainArg>,
    /// Updates of each layer in --pretrain.
    #[arg(long, default_value_t = UPDATES, value_name = "N", requires = "pretrain",
          value_parser = clap::value_parser!(u64).range(1..))]
    pretrain_updates: u64,
    /// Seed of everything random.
    #[arg(long, default_value_t = 0, conflicts_with = "resume")]
    seed: u64,
}

/// [`Schedule`] by name.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Fall {
    Sqrt,
    Cooldown,
}

/// [`CenteringOffsets`] by name.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Offsets {
    Data,
    Model,
    Both,
}

impl From<Offsets> for CenteringOffsets {
    fn from(offsets: Offsets) -> Self {
        match offsets {
            Offsets::Data => Self::Data,
            Offsets::Model => Self::Model,
            Offsets::Both => Self::Both,
        }
    }
}

/// Ways to pretrain.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum PretrainArg {
    /// Layer by layer.
    Greedy,
}

pub(super) fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number > 0.0 => Ok(number),
        _ => Err("expected a positive number".to_owned()),
    }
}

pub(super) fn chain_weights(text: &str) -> Result<WeightKind, String> {
    let kinds = [WeightKind::F32, WeightKind::I16, WeightKind::I8, WeightKind::I4];
    kinds.into_iter().find(|kind| kind.name() == text).ok_or_else(|| "expected f32, i16, i8 or i4".to_owned())
}

fn preset() -> impl TypedValueParser<Value = Preset> {
    let names = PossibleValuesParser::new(Preset::ALL.map(Preset::name));
    names.map(|name| Preset::ALL.into_iter().find(|preset| preset.name() == name).expect("a possible value"))
}

fn init(text: &str) -> Result<Init, String> {
    let std = text.strip_prefix("normal:").and_then(|std| std.parse().ok());
    match (text, std) {
        ("orthogonal", _) => Ok(Init::Orthogonal),
        (_, Some(std)) => Ok(Init::Normal { std }),
        _ => Err("expected orthogonal, or normal:STD".to_owned()),
    }
}

impl Settings {
    fn config(&self, data_set: &str, given: Budget) -> Result<TrainConfig, Usage> {
        let base = self.preset.map_or_else(TrainConfig::default, Preset::config);
        let budget = match (given == Budget::default(), base.budget == Budget::default()) {
            (false, _) => given,
            (true, false) => base.budget,
            (true, true) => Budget { steps: None, minutes: Some(MINUTES) },
        };
        // A recipe's rate that falls over its updates falls over those that are given in their place, but not over minutes.
        let fall = self.schedule.unwrap_or(match (base.schedule, budget.steps) {
            (Schedule::Cooldown { .. }, Some(_)) => Fall::Cooldown,
            _ => Fall::Sqrt,
        });
        let schedule = match (fall, budget.steps) {
            (Fall::Sqrt, _) => Schedule::Sqrt,
            (Fall::Cooldown, Some(steps)) => Schedule::Cooldown { steps },
            (Fall::Cooldown, None) => {
                let why = "the rate falls to zero there, and minutes would make it depend on the machine";
                return Err(Usage(format!("--schedule cooldown: expected --steps too: {why}")));
            }
        };
        let mut config = TrainConfig {
            data_set: Some(data_set.to_owned()),
            threshold: self.threshold.unwrap_or(base.threshold),
            hidden: self.hidden.clone().unwrap_or(base.hidden),
            estimator: base.estimator,
            clamped_estimator: base.clamped_estimator,
            batch: self.batch.unwrap_or(base.batch),
            learning_rate: self.lr.unwrap_or(base.learning_rate),
            schedule,
            gamma: self.gamma.unwrap_or(base.gamma),
            momentum: self.momentum.unwrap_or(base.momentum),
            weight_decay: self.weight_decay.unwrap_or(base.weight_decay),
            centering: self.centering.map_or(base.centering, |rate| (rate != 0.0).then_some(rate)),
            centering_offsets: self.centering_offsets.map_or(base.centering_offsets, Offsets::into),
            average: self.average.map_or(base.average, |age| (age != 0.0).then_some(age)),
            marginalise: self.marginalise.unwrap_or(base.marginalise),
            chain_weights: self.chain_weights.unwrap_or(base.chain_weights),
            init: self.init.unwrap_or(base.init),
            bias_from_data: self.bias_from_data,
            pretrain: self.pretrain.map(|PretrainArg::Greedy| Pretrain::Greedy { updates: self.pretrain_updates }),
            seed: self.seed,
            budget,
        };
        if self.centering_offsets.is_some() && config.centering.is_none() {
            return Err(Usage("--centering-offsets: expected centering too: --centering above 0".to_owned()));
        }
        self.estimator.apply(&mut config)?;
        Ok(config)
    }

    /// Visible units of a pixel.
    fn bits(&self) -> u8 {
        self.bits.unwrap_or(self.preset.map_or(1, Preset::bits))
    }

    /// Whether the run lacks its recipe's last third: minutes do not say over how many updates the rate should fall.
    fn lacks_cooldown(&self, config: &TrainConfig) -> bool {
        let recipe = self.preset.filter(|_| self.schedule.is_none()).map(Preset::config);
        recipe.is_some_and(|recipe| recipe.schedule != Schedule::Sqrt) && config.schedule == Schedule::Sqrt
    }
}

/// The option that sets a field of the configuration.
fn option(field: &str) -> &str {
    match field {
        "hidden" => "--hidden",
        "batch" => "--batch",
        "learning_rate" => "--lr",
        "gamma" => "--gamma",
        "centering" => "--centering",
        "average" => "--average",
        "budget.steps" => "--steps",
        "momentum" => "--momentum",
        "weight_decay" => "--weight-decay",
        "init" => "--init",
        "estimator" => "--k, --m, --lag",
        "clamped_estimator" => "--clamped-estimator",
        "pretrain" => "--pretrain-updates",
        other => other,
    }
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<()> {
    let metrics = args.metrics.clone().unwrap_or_else(|| args.output.with_extension("jsonl"));
    check_outputs(&[Path::new(&args.data)], [args.output.as_path(), metrics.as_path()])?;
    let given = Budget { steps: args.steps, minutes: args.minutes };
    let impossible = |error: ConfigError| Usage(format!("{}: expected {}", option(error.field), error.expected));
    // Of a run that is resumed only the estimator and the limits are asked for here, and over the checkpoint's.
    let config = if args.resume { TrainConfig::default() } else { args.settings.config(&args.data, given)? };
    config.check().map_err(impossible)?;
    // The visible width does not matter here.
    let widths: Vec<usize> = std::iter::once(1).chain(config.hidden.iter().copied()).collect();
    Shape::new(&widths).map_err(|error| Usage(format!("--hidden: {error}")))?;
    let mut resumed = args.resume.then(|| Checkpoint::load(&args.output)).transpose()?;
    if let Some(TrainingState { config, .. }) = resumed.as_mut().and_then(|checkpoint| checkpoint.training.as_mut()) {
        args.settings.estimator.apply(config)?;
        config.threshold = args.settings.threshold.unwrap_or(config.threshold);
        if given != Budget::default() {
            // A rate that falls to zero ends the run there: minutes may end it earlier, and no later.
            let end = if config.schedule == Schedule::Sqrt { None } else { config.budget.steps };
            config.budget = Budget { steps: given.steps.or(end), ..given };
        }
        config.check().map_err(impossible)?;
    }
    let bits = resumed.as_ref().map_or(args.settings.bits(), |checkpoint| checkpoint.parameters.geometry().bits.max(1));
    let images = dataset::load(&args.data, Split::Train)?;
    let recorded =
        resumed.as_ref().and_then(|checkpoint| checkpoint.training.as_ref()).map(|training| &training.config);
    let (pictures, geometry) = encode(&images, bits, recorded.unwrap_or(&config).threshold)?;
    let classes = match &resumed {
        Some(checkpoint) => label_units(checkpoint.parameters.shape().width(0), checkpoint.parameters.geometry()).len(),
        None if args.settings.labels => classes(&images)?,
        None => 0,
    };
    let data = if classes > 0 { with_labels(&pictures, &images, classes)? } else { pictures };
    let visible = data.cols();
    let stop = stop_flag()?;
    let begun = match resumed {
        Some(checkpoint) => Begun::resume(checkpoint, data).with_context(|| args.output.display().to_string())?,
        None => Begun::new(config, data, geometry)?,
    };
    if !args.resume {
        keep_old(&args.output, &metrics)?;
    }
    if let Some(folder) = &args.grids {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    let config = begun.config();
    say(format_args!(
        "{}: {} images, layers {:?}, {}{}",
        args.data,
        images.len(),
        std::iter::once(visible).chain(config.hidden.iter().copied()).collect::<Vec<_>>(),
        config.estimator,
        config.clamped_estimator.map_or(String::new(), |clamped| format!(", clamped {clamped}"))
    ));
    if args.settings.lacks_cooldown(config) {
        say(
            "the learning rate does not fall to zero as in the preset: --minutes do not say over how many updates, --steps would",
        );
    }
    let options = RunOptions {
        checkpoint: &args.output,
        metrics: Some(&metrics),
        checkpoint_every: Duration::from_secs(args.checkpoint_every),
        samples_every: args.grids.as_ref().map(|_| args.grid_every),
        samples: 64,
        stop: &stop,
    };
    // The hidden layer whose pretraining was stopped, if that is how far it came.
    let (report, layer) = match begun {
        Begun::Stack(pretraining) => match pretrain(pretraining, &options)? {
            Pretrained::Run(mut trainer) => (train(&mut trainer, &options, args.grids.clone())?, None),
            Pretrained::Stopped(report, layer) => (report, Some(layer)),
        },
        Begun::Run(mut trainer) => (train(&mut trainer, &options, args.grids.clone())?, None),
    };
    if args.json {
        let ended = if report.ending == Ending::Budget { "budget" } else { "stopped" };
        return print_json(
            out,
            &json!({"output": args.output, "metrics": metrics, "ended": ended, "pretraining": layer,
                    "updates": report.step, "seconds": report.seconds, "cap_hits": report.cap_hits}),
        );
    }
    let ended = if report.ending == Ending::Budget { "done" } else { "stopped; continue with --resume" };
    let of = layer.map_or(String::new(), |layer| format!(" of the pretraining of hidden layer {layer}"));
    writeln!(out, "{}: {} updates{of} in {:.1} s, {ended}", args.output.display(), report.step, report.seconds)?;
    if report.cap_hits > 0 {
        say(format_args!(
            "warning: {} chains hit their cap and were left out; if that is more than a few, the gradient leans to pairs that meet \
             early",
            report.cap_hits
        ));
    }
    Ok(())
}

/// Keeps what a new run would replace: a checkpoint and the metrics of the run that made it. Other files are not the
/// business of this: outputs of that name are replaced, and metrics that are none are refused by the run.
fn keep_old(checkpoint: &Path, metrics: &Path) -> anyhow::Result<()> {
    let old = |path: &Path| {
        let mut name = path.as_os_str().to_owned();
        name.push(".old");
        PathBuf::from(name)
    };
    if metrics.is_file() && holds_metrics(metrics).with_context(|| metrics.display().to_string())? {
        let old = old(metrics);
        // Contents and not names: whatever the path is, a link perhaps, it stays.
        atomic::copy(metrics, &old).with_context(|| old.display().to_string())?;
        say(format_args!("{}: the metrics of an earlier run are kept as {}", metrics.display(), old.display()));
    }
    if checkpoint.is_file() && is_checkpoint(checkpoint) {
        let old = old(checkpoint);
        atomic::copy(checkpoint, &old).with_context(|| old.display().to_string())?;
        say(format_args!("{}: an earlier checkpoint is kept as {}", checkpoint.display(), old.display()));
    }
    Ok(())
}

/// Whether a file is a checkpoint, if perhaps one that this version cannot read.
fn is_checkpoint(path: &Path) -> bool {
    use CheckpointError as E;
    !matches!(Checkpoint::load(path), Err(E::Io { .. } | E::NotSafetensors { .. } | E::Image { .. }))
}

/// Runs a trainer with a display on standard error. Once it has ended, Ctrl-C ends the program.
pub(super) fn train(
    trainer: &mut Trainer,
    options: &RunOptions<'_>,
    grids: Option<PathBuf>,
) -> anyhow::Result<RunReport> {
    let mut shown = Shown::new(&trainer.config().budget, trainer.parameters().geometry(), grids);
    let result = run_training(trainer, options, &mut shown);
    shown.finish();
    // As if Ctrl-C had been pressed once: the next one does not wait for an update that never comes.
    options.stop.store(true, Ordering::Relaxed);
    Ok(result?)
}

/// Images as rows of visible bits, and how a row makes up a picture.
pub(super) fn encode(images: &Images, bits: u8, threshold: u8) -> anyhow::Result<(BitMatrix, Geometry)> {
    ensure!(!images.is_empty(), "{}: no images", images.name);
    let side = |n: usize| u16::try_from(n).with_context(|| format!("{}: an image side of {n} pixels", images.name));
    let geometry = Geometry {
        width: side(images.width)?,
        height: side(images.height)?,
        channels: u8::try_from(images.channels).with_context(|| format!("{} channels", images.channels))?,
        bits,
    };
    Ok((Encoding { bits, threshold }.encode(images)?, geometry))
}

/// A flag that Ctrl-C sets, or SIGTERM or SIGHUP; a second one ends the program at once.
pub(super) fn stop_flag() -> anyhow::Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    let set = Arc::clone(&flag);
    ctrlc::set_handler(move || {
        if set.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        say("stopping after this update; Ctrl-C again to stop at once, without saving");
    })
    .context("Ctrl-C handler")?;
    Ok(flag)
}
