//! What is compared on which data, and how much is spent on it.

use serde::Serialize;

use super::{
    arms::{self, Arm},
    round::LEARNT,
};
use crate::{
    eval::features::Embedded,
    paper::{Name, Settings, replay::Replay, training::Pace},
    train::Preset,
};

/// A comparison.
pub(super) struct Contest {
    pub(super) title: &'static str,
    /// What it is about.
    pub(super) introduction: &'static str,
    /// Data sets, each a round.
    pub(super) data: &'static [&'static str],
    /// Bits a pixel.
    pub(super) bits: u8,
    pub(super) arms: Vec<Arm>,
    /// Generated pictures of each kind that are judged at each mark. A search takes as long as the machine has weights.
    pub(super) samples: usize,
    /// Minutes of training for each arm, unless told otherwise.
    pub(super) minutes: f64,
    /// The arm that the others are measured by.
    pub(super) reference: &'static str,
}

impl Contest {
    pub(super) fn of(name: Name) -> Self {
        let estimators = Self {
            title: "Each estimator from the same start",
            introduction: "Deep Boltzmann machines trained by each estimator, end to end and without pretraining unless an \
                           arm says otherwise: the same data, initial weights, order of images, widths and minutes of \
                           training.",
            data: &["mnist"],
            bits: 1,
            arms: arms::estimators(),
            samples: 10_000,
            minutes: 10.0,
            reference: arms::TUNED,
        };
        let planes = |preset: Preset| Self {
            title: "8-bit pixels",
            introduction: "Every pixel has all of its 8 bits, each a visible unit (bit planes, plain binary). Nothing of \
                           the images is reduced.",
            data: &["mnist", "fashion-mnist"],
            bits: preset.bits(),
            arms: arms::preset(preset),
            samples: 2500,
            minutes: preset.config().budget.minutes.expect("a preset of minutes"),
            reference: arms::TUNED,
        };
        match name {
            Name::Fashion => Self { data: &["fashion-mnist"], ..estimators },
            Name::Ablation => Self {
                title: "What each technique is worth",
                introduction: "The defaults of `bitboltz train`, then each of their techniques off in turn, then others on in \
                               turn: the same data, order of images, widths and minutes of training.",
                arms: arms::techniques(),
                reference: arms::ALL,
                ..estimators
            },
            // Fashion-MNIST has the same settings.
            Name::Images8 => planes(Preset::Mnist8),
            Name::Cifar10 => Self {
                title: "Colour images",
                introduction: "32 × 32 pixels of three colours with all of their 8 bits, each a visible unit (bit planes, \
                               plain binary). Nothing of the images is reduced. What is small for the task are the hidden \
                               layers and the time of training.",
                data: &["cifar10"],
                samples: 1000,
                ..planes(Preset::Cifar10)
            },
            _ => estimators,
        }
    }
}

/// How much is spent on log Z and log p(v).
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Effort {
    /// Inverse temperatures.
    pub betas: usize,
    /// Chains.
    pub chains: usize,
    /// Test images, from the first on.
    pub rows: usize,
    /// Chains that anneal backwards from either start, by as many temperatures; none leaves this out.
    pub reverse_chains: usize,
}

/// Likelihoods that are measured.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Efforts {
    /// At every mark: for a curve.
    pub on_the_way: Effort,
    /// In the end.
    pub at_the_end: Effort,
}

/// What is run.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// Whether it is the small version.
    pub quick: bool,
    /// Data sets.
    pub data: Vec<String>,
    /// Bits a pixel.
    pub bits: u8,
    /// When the models are looked at; `None` where an earlier run says it.
    pub pace: Option<Pace>,
    /// Whether budgets are minutes, here or in the earlier run.
    pub by_clock: bool,
    /// What is compared.
    pub arms: Vec<Arm>,
    /// Generated pictures of each kind that are judged; as many as there are training images where these are fewer.
    pub samples: usize,
    /// Gibbs sweeps from the modes after which the chains are judged once more in the end: an arm need not have learnt to
    /// generate by a single one.
    pub sweeps: u32,
    /// Test images whose left half is restored; none with more than 1 bit a pixel.
    pub restored: usize,
    /// None with more than 1 bit a pixel.
    pub likelihood: Option<Efforts>,
    /// Whether the networks are those that come with the program, which see a pixel as on or off.
    pub own_network: bool,
    /// An arm learns if the distance of its modes or of its samples is below this share of the ceiling's.
    pub learnt: f64,
}

impl Plan {
    pub(super) fn new(contest: &Contest, settings: &Settings<'_>) -> Self {
        let black_and_white = contest.bits == 1;
        let pace = settings.pace(contest.minutes);
        let mut plan = Self {
            quick: settings.quick,
            by_clock: settings.replay.as_ref().map_or(matches!(pace, Some(Pace::Minutes(_))), Replay::by_clock),
            own_network: settings.features.as_deref().is_none_or(|source| Embedded::of_name(source).is_some()),
            learnt: LEARNT,
            data: settings
                .data
                .as_ref()
                .map_or_else(|| contest.data.iter().map(|&data| data.to_owned()).collect(), |data| vec![data.clone()]),
            bits: contest.bits,
            pace,
            arms: contest.arms.clone(),
            samples: contest.samples,
            sweeps: if black_and_white { 1000 } else { 100 },
            restored: if black_and_white { 1000 } else { 0 },
            likelihood: black_and_white.then_some(Efforts {
                on_the_way: Effort { betas: 1000, chains: 50, rows: 1000, reverse_chains: 0 },
                at_the_end: Effort { betas: 10_000, chains: 100, rows: 10_000, reverse_chains: 20 },
            }),
        };
        if settings.quick {
            plan.samples = 250;
            plan.sweeps = 5;
            plan.restored = plan.restored.min(100);
            plan.likelihood = plan.likelihood.map(|_| Efforts {
                on_the_way: Effort { betas: 20, chains: 5, rows: 50, reverse_chains: 0 },
                at_the_end: Effort { betas: 50, chains: 10, rows: 250, reverse_chains: 2 },
            });
        }
        for arm in &mut plan.arms {
            settings.adapt(&mut arm.config);
        }
        plan
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        stages::Quiet,
        train::{Budget, TrainConfig},
    };

    /// What `bitboltz train --preset` trains is what the experiments train.
    #[test]
    fn experiments_with_8_bits_are_presets() {
        for (name, presets) in
            [(Name::Images8, &[Preset::Mnist8, Preset::FashionMnist8][..]), (Name::Cifar10, &[Preset::Cifar10])]
        {
            let contest = Contest::of(name);
            let plan = Plan::new(&contest, &Settings::new(&Quiet));
            assert!(presets.iter().filter_map(|preset| preset.data_set()).eq(plan.data.iter().map(String::as_str)));
            let [arm] = &plan.arms[..] else { panic!("one arm") };
            for preset in presets {
                let budget = Budget { steps: None, minutes: Some(contest.minutes) };
                assert_eq!(TrainConfig { budget, ..arm.config.clone() }, preset.config());
                assert_eq!((plan.bits, plan.pace.clone()), (preset.bits(), Some(Pace::of_minutes(contest.minutes))));
            }
        }
    }
}
