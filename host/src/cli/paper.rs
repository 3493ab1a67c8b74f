//! `bitboltz paper`: the paper's experiments, one by one.

use std::{io::Write, num::NonZeroUsize, path::PathBuf};

use anyhow::Context as _;

use super::{
    Usage,
    progress::Bars,
    train::{positive, stop_flag},
};
use crate::{
    model_file::ModelFile,
    paper::{self, Settings, replay::Replay},
};

/// Repeat one of the paper's experiments, and write what was measured: report.md, plots as PNG and SVG, pictures,
/// results.json.
///
/// The same seed gives the same numbers, on any number of threads. Models are trained for minutes, though, and how many
/// updates these hold is up to the machine: --replay does as many as an earlier run did.
///
/// Ctrl-C ends the training in progress: what was found before is written, with a list of what was not. A second Ctrl-C
/// ends the program at once, and nothing is written; so does the first one where nothing is trained (toy, --model).
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  bitboltz paper toy --out toy --quick\n  \
                        bitboltz paper toy --out toy --model mnist.safetensors\n  \
                        bitboltz paper mnist --out mnist --minutes 5\n  \
                        bitboltz paper ablation --out ablation --jobs 8\n  \
                        bitboltz paper mnist --out again --replay mnist/results.json\n  \
                        bitboltz paper inpaint --out inpaint --model mnist.safetensors fashion.safetensors")]
pub(super) struct Args {
    /// The experiment.
    #[arg(value_enum)]
    name: paper::Name,
    /// Folder of the report, made if it does not exist. It may hold an earlier run of the same experiment, which is
    /// replaced, and nothing else.
    #[arg(short, long, value_name = "DIR")]
    out: PathBuf,
    /// A small version: seconds instead of an hour. Models are tiny and trained for a few updates: it shows that everything
    /// works, and nothing else.
    #[arg(long)]
    quick: bool,
    /// Seed of the random numbers. An experiment takes the seeds next to it too (arms with another seed, further machines):
    /// to average over several, take them 100 apart.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Trained models (checkpoints or images): for toy to look at as well, for inpaint instead of training its own.
    #[arg(long, num_args = 1.., value_name = "FILE")]
    model: Vec<PathBuf>,
    /// Another data set than the experiment's own: a known one, or a path of one with test images. For inpaint also that
    /// of models that do not say theirs.
    #[arg(long, value_name = "DATA")]
    data: Option<String>,
    /// The network that compares generated pictures, as in bitboltz eval: mnist, fashion, or an ONNX file [default: that of
    /// the data set; where there is none, means of blocks of pixels].
    #[arg(long, value_name = "mnist|fashion|FILE")]
    features: Option<String>,
    /// Minutes of training for each model [default: 10; images8: 30; cifar10: 60].
    #[arg(long, value_name = "M", value_parser = positive, conflicts_with = "quick")]
    minutes: Option<f64>,
    /// Compare so many models at once, each on its share of the threads: for a machine with many cores [default: 1].
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// Train for as many updates as an earlier run of the same experiment did, with its seed, data set and features: the
    /// figures come out the same.
    #[arg(long, value_name = "RESULTS.JSON",
          conflicts_with_all = ["quick", "seed", "minutes", "data", "features", "model"])]
    replay: Option<PathBuf>,
}

impl Args {
    fn jobs(&self) -> usize {
        self.jobs.map_or(1, NonZeroUsize::get)
    }

    /// Refuses options that would do nothing.
    fn check(&self) -> Result<(), Usage> {
        let name = self.name;
        let given = [
            ("--model", !self.model.is_empty(), name.takes_models()),
            ("--data", self.data.is_some(), name.trains()),
            ("--features", self.features.is_some(), name.judges()),
            ("--minutes", self.minutes.is_some(), name.trains() && self.model.is_empty()),
            ("--jobs", self.jobs.is_some(), name.judges()),
            ("--replay", self.replay.is_some(), name.trains()),
        ];
        let (jobs, threads) = (self.jobs(), rayon::current_num_threads());
        if jobs > threads {
            return Err(Usage(format!("--jobs: expected at most {threads}, a thread for each, found {jobs}")));
        }
        match given.into_iter().find(|(_, given, used)| *given && !used) {
            Some((option, ..)) => Err(Usage(format!("{option}: `paper {}` has no use for it here", name.name()))),
            None => Ok(()),
        }
    }
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<()> {
    args.check()?;
    let name = args.name;
    let models = args.model.iter().map(|path| {
        let file = ModelFile::load(path)?;
        let name = path.file_name().context("a model's file has a name")?;
        Ok((name.to_string_lossy().into_owned(), file))
    });
    let models = models.collect::<anyhow::Result<Vec<_>>>()?;
    let replay = args.replay.as_ref().map(|path| Replay::load(path, name.name())).transpose()?;
    // Who trains nothing has nothing to save half-way.
    let stop = (name.trains() && models.is_empty()).then(stop_flag).transpose()?;
    let usual = Settings::new(&Bars);
    let mut settings = Settings {
        quick: args.quick,
        seed: args.seed,
        models,
        data: args.data.clone(),
        features: args.features.clone(),
        minutes: args.minutes,
        jobs: args.jobs(),
        stop: stop.as_deref().unwrap_or(usual.stop),
        ..usual
    };
    if let Some(replay) = replay {
        settings.quick = replay.quick;
        settings.seed = replay.seed;
        settings.data = replay.data.clone();
        settings.features = replay.features.clone();
        settings.replay = Some(replay);
    }
    let command = std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned());
    let command: Vec<String> = command.collect();
    let files = paper::run(name, &settings, &args.out, &format!("bitboltz {}", command.join(" ")))?;
    for file in files {
        writeln!(out, "{}", file.display())?;
    }
    Ok(())
}
