//! `bitboltz exact`: a small machine by enumeration, and what each estimator makes of its gradient.

mod answer;

use std::{io::Write, path::PathBuf};

use bitboltz_core::{
    connection::Connection,
    coupling::{CouplingError, Horizon},
    model::{Dbm, ModelError},
    shape::{Shape, ShapeError},
    weights::WeightKind,
};
use clap::{Args, ValueEnum};
use thiserror::Error;

use answer::{Answer, EstimatorAnswer};

use super::{Y0, print_json};
use crate::{
    estimator::Estimator,
    eval::{
        exact::{Given, LIMIT, Oracle, TooLarge},
        random::{random_bits, random_parameters},
        replicates::{GradientRun, Runs},
    },
    model_file::ModelFile,
    parameters::Parameters,
    quantise::{QuantiseError, Quantised},
    with_model,
};

/// Enumerate a small machine (24 units at most): log Z, the exact gradient of log p(v), and how far each estimator's
/// mean is from it.
///
/// An unbiased estimator has a |z| of 2 or 3 here and there among many parameters; a biased one has values that grow
/// with the square root of the replicates. tau is the step at which a pair of coupled chains met; a pair that reaches
/// the cap gives no estimate, and is counted.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:\n  bitboltz exact --layers 3,3,3\n  \
                        bitboltz exact m.bbz --estimators ucd-lmi-gibbs\n  \
                        bitboltz exact --layers 6,4 --visible 110000 --estimators ucd-lmi-gibbs --k 5 --m 10 --json")]
pub(super) struct ExactArgs {
    /// Checkpoint (.safetensors), whose floats are enumerated, or image (.bbz), whose integers are: the very ones that
    /// were exported.
    #[arg(value_name = "MODEL", conflicts_with = "layers")]
    pub(super) model: Option<PathBuf>,
    /// Instead of a file, a random machine with these layers, visible layer first: 3,3,3.
    #[arg(long, value_delimiter = ',', value_name = "WIDTHS")]
    pub(super) layers: Option<Vec<usize>>,
    /// Standard deviation of the random machine's weights.
    #[arg(long, default_value_t = 1.0, value_name = "STD")]
    pub(super) weight_std: f64,
    /// Standard deviation of the random machine's biases.
    #[arg(long, default_value_t = 0.0, value_name = "STD")]
    pub(super) bias_std: f64,
    /// Weight type of the random machine; integers are rounded from the floats, and everything is then exact for the
    /// rounded machine. A file has its own.
    #[arg(long, value_enum, default_value_t, conflicts_with = "model")]
    pub(super) weights: WeightsArg,
    /// The data vector v, as 0s and 1s; random if not given.
    #[arg(long, value_name = "BITS")]
    pub(super) visible: Option<String>,
    /// Estimators: ucd-lmi (the paper's: local-mode start, coupled Metropolis-Hastings), ucd-lmi-gibbs, ucd-gibbs,
    /// ucd-mh, ucd-lmi-mix-P, ucd-mix-P, cd-K.
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "NAMES",
        default_value = "cd-1,cd-10,ucd-gibbs,ucd-lmi,ucd-lmi-gibbs"
    )]
    pub(super) estimators: Vec<Estimator>,
    /// First step whose state counts.
    #[arg(long, default_value_t = 0)]
    pub(super) k: u32,
    /// Last step that starts an H; as k if not given.
    #[arg(long)]
    pub(super) m: Option<u32>,
    /// Steps by which the first chain is ahead.
    #[arg(long, default_value_t = 1)]
    pub(super) lag: u32,
    /// Where the second chain starts.
    #[arg(long, value_enum, default_value_t)]
    pub(super) y0: Y0,
    /// Most steps for a pair to meet.
    #[arg(long, default_value_t = 100_000)]
    pub(super) cap: u32,
    /// Independent runs of each estimator, at least 2.
    #[arg(long, default_value_t = 10_000, value_name = "N", value_parser = clap::value_parser!(u32).range(2..))]
    pub(super) replicates: u32,
    /// Seed of the random machine, of the data vector and of the replicates.
    #[arg(long, default_value_t = 0)]
    pub(super) seed: u64,
    /// Print one JSON object.
    #[arg(long)]
    pub(super) json: bool,
}

/// Weight types.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum WeightsArg {
    /// 32-bit floats.
    #[default]
    F32,
    /// 16-bit integers.
    I16,
    /// 8-bit integers.
    I8,
}

/// Why there is no answer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(super) enum ExactError {
    /// `--layers` is no shape.
    #[error("--layers: {0}")]
    Layers(#[from] ShapeError),
    /// Too many units.
    #[error("{0}; --layers 8,8,8 is the size that still can be enumerated")]
    TooLarge(#[from] TooLarge),
    /// A standard deviation gave numbers that are not finite, or integers that overflow.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Integers cannot hold the weights.
    #[error("--weights: {0}")]
    Weights(#[from] QuantiseError),
    /// `--visible` does not fit the model.
    #[error("--visible: expected {expected} digits 0 or 1, found `{found}`")]
    Visible {
        /// Visible units.
        expected: usize,
        /// What was given.
        found: String,
    },
    /// `--k`, `--m`, `--lag` make no horizon.
    #[error("--k, --m, --lag: {0}")]
    Horizon(#[from] CouplingError),
    /// Persistent chains make no estimate from nothing.
    #[error("--estimators: {0} goes on from its last update, so it has no independent runs")]
    Persistent(Estimator),
    /// Neither a model nor `--layers`.
    #[error("expected MODEL or --layers, found neither")]
    NoModel,
}

impl ExactError {
    /// Whether the arguments contradict each other or the model: an error of usage.
    pub(super) fn is_usage(&self) -> bool {
        matches!(self, Self::Layers(_) | Self::Visible { .. } | Self::Horizon(_) | Self::Persistent(_) | Self::NoModel)
    }
}

/// Runs the command and prints the answer.
pub(super) fn run(args: &ExactArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    if let Some(&estimator) = args.estimators.iter().find(|estimator| estimator.persistent_sweeps().is_some()) {
        return Err(ExactError::Persistent(estimator).into());
    }
    let answer = match (&args.model, &args.layers) {
        (Some(path), _) => {
            let file = ModelFile::load(path)?;
            with_model!(&file, model => answer(&model, file.kind(), args))
        }
        (None, Some(widths)) => random_answer(widths, args),
        (None, None) => Err(ExactError::NoModel),
    };
    let name = || args.model.as_ref().map_or("--layers".into(), |path| path.display().to_string());
    let answer = answer.map_err(|error| {
        let of_model = matches!(error, ExactError::TooLarge(_) | ExactError::Model(_) | ExactError::Weights(_));
        let error = anyhow::Error::from(error);
        if of_model { error.context(name()) } else { error }
    })?;
    if args.json { print_json(out, &answer) } else { Ok(answer.print(out)?) }
}

fn random_answer(widths: &[usize], args: &ExactArgs) -> Result<Answer, ExactError> {
    let parameters = random_machine(widths, args)?;
    match args.weights {
        WeightsArg::F32 => answer(&parameters.dbm()?, WeightKind::F32, args),
        WeightsArg::I16 => answer(&Quantised::<i16>::new(&parameters)?.dbm()?, WeightKind::I16, args),
        WeightsArg::I8 => answer(&Quantised::<i8>::new(&parameters)?.dbm()?, WeightKind::I8, args),
    }
}

fn random_machine(widths: &[usize], args: &ExactArgs) -> Result<Parameters, ExactError> {
    // Before anything is allocated for it.
    let units = Shape::new(widths)?.units();
    if units > LIMIT {
        return Err(TooLarge { units, limit: LIMIT }.into());
    }
    Ok(random_parameters(widths, args.weight_std, args.bias_std, args.seed)?)
}

/// Enumerates the machine and runs the estimators.
///
/// # Errors
/// [`ExactError`].
fn answer<C>(model: &Dbm<'_, C>, weights: WeightKind, args: &ExactArgs) -> Result<Answer, ExactError>
where
    C: Connection<Field: Send + Sync> + Sync,
{
    let oracle = Oracle::new(model)?;
    let shape = oracle.shape();
    let visible = visible(args, shape.width(0))?;
    // At most 24 units: a code is also the packed visible layer.
    let code = visible.iter().rev().fold(0, |code, &bit| code << 1 | u32::from(bit));

    let horizon = Horizon { k: args.k, m: args.m.unwrap_or(args.k), lag: args.lag, cap: args.cap };
    let exact = oracle.gradient(code);
    let runs = Runs { replicates: args.replicates, seed: args.seed };
    let mut estimators: Vec<(String, EstimatorAnswer)> = Vec::new();
    for estimator in &args.estimators {
        let name = estimator.to_string();
        if estimators.iter().any(|(known, _)| *known == name) {
            continue;
        }
        let estimator = estimator.with_horizon(horizon).with_second(args.y0.into());
        let found = GradientRun::new(estimator, &[code]).replicate(model, runs)?;
        estimators.push((name, EstimatorAnswer::new(found, &exact)));
    }
    Ok(Answer {
        layers: shape.widths().collect(),
        weights,
        parameters: names(&oracle),
        log_z: oracle.log_z(Given::NOTHING),
        log_likelihood: oracle.log_likelihood(code),
        exact,
        visible: visible.iter().map(|&bit| if bit { '1' } else { '0' }).collect(),
        replicates: args.replicates,
        seed: args.seed,
        k: horizon.k,
        m: horizon.m,
        lag: horizon.lag,
        y0: match args.y0 {
            Y0::Same => "same",
            Y0::Independent => "independent",
        },
        cap: horizon.cap,
        estimators,
    })
}

fn visible(args: &ExactArgs, expected: usize) -> Result<Vec<bool>, ExactError> {
    let Some(text) = &args.visible else { return Ok(random_bits(expected, args.seed)) };
    let bits: Option<Vec<bool>> = text
        .chars()
        .map(|digit| match digit {
            '0' => Some(false),
            '1' => Some(true),
            _ => None,
        })
        .collect();
    bits.filter(|bits| bits.len() == expected).ok_or_else(|| ExactError::Visible { expected, found: text.clone() })
}

/// `weight.0[upper,lower]`, …, `bias.0[unit]`, …
fn names(oracle: &Oracle) -> Vec<String> {
    let mut names = Vec::with_capacity(oracle.layout().len());
    for (tensor, _, shape) in oracle.layout().tensors() {
        match shape[..] {
            [rows, columns] => {
                names.extend((0..rows * columns).map(|at| format!("{tensor}[{},{}]", at / columns, at % columns)));
            }
            _ => names.extend((0..shape[0]).map(|at| format!("{tensor}[{at}]"))),
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        args: ExactArgs,
    }

    fn parse(line: &str) -> ExactArgs {
        Command::try_parse_from(line.split(' ')).map_err(|error| error.to_string()).expect("valid").args
    }

    #[test]
    fn answers_have_the_promised_keys() {
        let args = parse("exact --layers 3,2,2 --visible 101 --replicates 2000 --estimators cd-1,ucd-lmi --weights i8");
        let answer = random_answer(&[3, 2, 2], &args).unwrap();
        let json: serde_json::Value = serde_json::from_str(&serde_json::to_string(&answer).unwrap()).unwrap();
        assert!(json["log_z"].is_f64());
        assert_eq!((&json["visible"], &json["weights"]), (&"101".into(), &"i8".into()));
        assert_eq!(json["exact"].as_array().unwrap().len(), 6 + 4 + 7);
        assert_eq!(
            (&json["parameters"][2], &json["parameters"][3]),
            (&"weight.0[0,2]".into(), &"weight.0[1,0]".into())
        );
        let ucd = &json["estimators"]["ucd-lmi"];
        assert_eq!((ucd["mean"].as_array().unwrap().len(), ucd["se"].as_array().unwrap().len()), (17, 17));
        assert!(ucd["tau_mean"].as_f64().unwrap() >= 1.0 && ucd["p_tau_1"].as_f64().unwrap() > 0.5);
        assert_eq!(ucd["cap_hits"], 0);
        assert!(ucd["positive"]["tau_max"].is_u64() && ucd["tau_quantiles"].is_array());
        assert!(json["estimators"]["cd-1"]["tau_mean"].is_null());

        let mut text = Vec::new();
        answer.print(&mut text).unwrap();
        assert!(String::from_utf8(text).unwrap().contains("weight.1[1,1]"));
    }

    #[test]
    fn mistakes_are_named() {
        let error = |line: &str| run(&parse(line), &mut Vec::new()).unwrap_err().downcast::<ExactError>().unwrap();
        assert!(error("exact --layers 3,3 --visible 10").is_usage());
        assert!(error("exact --layers 3,3 --k 2 --m 1").is_usage());
        assert!(error("exact --layers 3").is_usage());
        let large = error("exact --layers 65000,65000");
        assert!(!large.is_usage() && large.to_string().contains("130000 units"), "{large}");
        assert!(error("exact").is_usage());
        assert!(Command::try_parse_from(["exact", "m", "--layers", "3,3"]).is_err());
        assert!(Command::try_parse_from(["exact", "--layers", "3,3", "--estimators", "cd-0"]).is_err());
    }
}
