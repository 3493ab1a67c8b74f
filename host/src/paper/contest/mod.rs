//! Models trained under equal conditions and judged alike: `mnist` and `fashion` (each estimator), `ablation` (each
//! technique off in turn), `images8` and `cifar10` (8-bit pixels).
//!
//! | file | holds |
//! |---|---|
//! | [`arms`] | what is compared, as tables |
//! | [`round`] | the arms on one data set: training and figures |
//! | `text` | the report, with its tables and grids |
//! | `plots` | curves over the time of training |

pub mod arms;
mod plots;
pub mod round;
mod text;

use serde::Serialize;

use self::{
    arms::Arm,
    round::{Found, Round, Shown},
};
use super::{Name, Outcome, PaperError, Settings, subject::Subject, training::Pace};
use crate::{
    eval::{
        blocks::BlockMeans,
        judge::{Extractor, Judge, Quality},
    },
    inpainting::{Restored, majority, nearest},
};

/// A comparison.
struct Contest {
    title: &'static str,
    /// What it is about.
    introduction: &'static str,
    /// Data sets, each a round.
    data: &'static [&'static str],
    /// Bits a pixel.
    bits: u8,
    arms: Vec<Arm>,
    /// Minutes of training for each arm, unless told otherwise.
    minutes: f64,
    /// Whether the first arm is what the others are measured by.
    ablation: bool,
}

impl Contest {
    fn of(name: Name) -> Self {
        let estimators = Self {
            title: "Each estimator from the same start",
            introduction: "Deep Boltzmann machines trained end to end, without pretraining unless an arm says otherwise: \
                           the same data, initial weights, order of images, widths and minutes of training for every \
                           estimator.",
            data: &["mnist"],
            bits: 1,
            arms: arms::estimators(),
            minutes: 10.0,
            ablation: false,
        };
        let planes = Self {
            title: "8-bit pixels",
            introduction: "Every pixel has all of its 8 bits, each a visible unit (bit planes, plain binary). Nothing of \
                           the images is reduced.",
            data: &["mnist", "fashion-mnist"],
            bits: 8,
            arms: arms::defaults(),
            minutes: 30.0,
            ablation: false,
        };
        match name {
            Name::Fashion => Self { data: &["fashion-mnist"], ..estimators },
            Name::Ablation => Self {
                title: "What each technique is worth",
                introduction: "The defaults of `bitboltz train`, then each of their techniques off in turn: the same data, \
                               order of images, widths and minutes of training.",
                arms: arms::techniques(),
                ablation: true,
                ..estimators
            },
            Name::Images8 => planes,
            Name::Cifar10 => Self {
                title: "Colour images",
                introduction: "32 × 32 pixels of three colours with all of their 8 bits, each a visible unit (bit planes, \
                               plain binary). Nothing of the images is reduced. What is small for the task are the hidden \
                               layers and the time of training.",
                data: &["cifar10"],
                minutes: 60.0,
                ..planes
            },
            _ => estimators,
        }
    }
}

/// How much is spent on log Z.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Effort {
    /// Inverse temperatures.
    pub betas: usize,
    /// Chains.
    pub chains: usize,
}

/// What is run.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// Data sets.
    pub data: Vec<String>,
    /// Bits a pixel.
    pub bits: u8,
    /// When the models are looked at, unless a replay says it.
    pub pace: Pace,
    /// What is compared.
    pub arms: Vec<Arm>,
    /// Generated pictures of each kind that are judged; as many as there are training images where these are fewer.
    pub samples: usize,
    /// Test images whose left half is restored; none with more than 1 bit a pixel.
    pub restored: usize,
    /// log Z; none with more than 1 bit a pixel.
    pub likelihood: Option<Effort>,
}

impl Plan {
    fn new(contest: &Contest, settings: &Settings<'_>) -> Self {
        let black_and_white = contest.bits == 1;
        let mut plan = Self {
            data: settings
                .data
                .as_ref()
                .map_or_else(|| contest.data.iter().map(|&data| data.to_owned()).collect(), |data| vec![data.clone()]),
            bits: contest.bits,
            pace: settings.pace(contest.minutes),
            arms: contest.arms.clone(),
            samples: 10_000,
            restored: if black_and_white { 1000 } else { 0 },
            likelihood: black_and_white.then_some(Effort { betas: 10_000, chains: 100 }),
        };
        if settings.quick {
            plan.samples = 250;
            plan.restored = plan.restored.min(100);
            plan.likelihood = plan.likelihood.map(|_| Effort { betas: 50, chains: 10 });
        }
        for arm in &mut plan.arms {
            settings.adapt(&mut arm.config);
        }
        plan
    }
}

/// Real images and noise by one judge.
#[derive(Clone, Debug, Serialize)]
pub struct Bounds {
    /// The features.
    pub features: String,
    /// How many.
    pub dims: usize,
    /// Generated pictures of each kind, training images, and pictures of independent pixels.
    pub samples: usize,
    /// Training images.
    pub floor: Quality,
    /// Independent pixels with the training images' means.
    pub ceiling: Quality,
}

/// A data set and what every model on it is compared with.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// The data set.
    pub data: String,
    /// Visible units.
    pub visible: usize,
    /// Training images.
    pub train_rows: usize,
    /// Test images.
    pub test_rows: usize,
    /// By each judge.
    pub bounds: Vec<Bounds>,
    /// Left halves restored by the value of most training images.
    pub restored_majority: Option<Restored>,
    /// Left halves restored by the training image that differs least in the right half.
    pub restored_nearest: Option<Restored>,
}

/// Everything that was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Results {
    /// The data sets.
    pub comparisons: Vec<Comparison>,
    /// Every arm on every data set.
    pub trainings: Vec<Found>,
    /// Arms that were still to come when the experiment was stopped.
    pub not_run: Vec<String>,
}

/// Runs one of the comparisons.
///
/// # Errors
/// [`PaperError`]; data sets and networks that are not there are found before any training.
pub fn run(name: Name, settings: &Settings<'_>) -> Result<Outcome, PaperError> {
    let contest = Contest::of(name);
    let plan = Plan::new(&contest, settings);
    let rounds: Vec<Round> = plan.data.iter().map(|data| open(data, &plan, settings)).collect::<Result<_, _>>()?;
    let comparisons = rounds.iter().map(compare).collect();
    let mut results = Results { comparisons, trainings: Vec::new(), not_run: Vec::new() };
    let mut shown: Vec<Shown> = Vec::new();
    let mut stopped = false;
    for round in &rounds {
        for arm in &plan.arms {
            let name = format!("{}: {}", round.subject.data, arm.label);
            let Some(pace) = settings.pace_of(&name, &plan.pace) else { continue };
            if !stopped {
                match round.run(name.clone(), arm, &pace, plan.likelihood.as_ref(), settings) {
                    Ok((found, pictures)) => {
                        results.trainings.push(found);
                        shown.push(pictures);
                    }
                    Err(PaperError::Stopped) => stopped = true,
                    Err(error) => return Err(error),
                }
            }
            if stopped {
                results.not_run.push(name);
            }
        }
    }
    if results.trainings.is_empty() {
        return Err(if stopped { PaperError::Stopped } else { PaperError::NothingToReplay });
    }
    let (report, plots, pictures) = text::write(&contest, &plan, &results, &rounds, &shown)?;
    Ok(Outcome {
        report,
        plots,
        pictures,
        configuration: serde_json::to_value(&plan)?,
        results: serde_json::to_value(&results)?,
        by_clock: true,
    })
}

fn open(data: &str, plan: &Plan, settings: &Settings<'_>) -> Result<Round, PaperError> {
    let subject = Subject::load(data, plan.bits)?;
    let first = subject.judge(settings, plan.samples)?;
    let mut judges = vec![first];
    if plan.bits > 1 && matches!(judges[0].extractor(), Extractor::Network(_)) {
        // A network that sees black and white does not see what the lower planes are for.
        let blocks = Extractor::Blocks(BlockMeans::new(subject.geometry));
        judges.push(subject.judge_by(blocks, settings, plan.samples)?);
    }
    Round::new(subject, judges, plan.restored, settings)
}

fn compare(round: &Round) -> Comparison {
    let Subject { data, train, test, .. } = &round.subject;
    let bounds = round.judges.iter().map(|judge: &Judge| Bounds {
        features: judge.extractor().name(),
        dims: judge.extractor().dims(),
        samples: judge.count(),
        floor: judge.floor.clone(),
        ceiling: judge.ceiling.clone(),
    });
    let puzzle = round.puzzle.as_ref();
    Comparison {
        data: data.clone(),
        visible: train.cols(),
        train_rows: train.rows(),
        test_rows: test.rows(),
        bounds: bounds.collect(),
        restored_majority: puzzle.map(|puzzle| puzzle.baseline(majority, train)),
        restored_nearest: puzzle.map(|puzzle| puzzle.baseline(nearest, train)),
    }
}
