//! Everything that a training run depends on, apart from its data.
//!
//! Rate, schedule, batch and centering were chosen by how well models of binarised digits trained with them restore and
//! cover images that they were not trained on; the tables of what was tried are in the folder `docs/evidence/recipes` of
//! the repository, and [presets](super::preset) hold what served each data set best.

use std::borrow::Cow;

use bitboltz_core::{coupling::Horizon, weights::WeightKind};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::optimiser::{Rule, Schedule};
use crate::{
    dataset::THRESHOLD,
    estimator::{Estimator, Phase},
};

/// Most steps for a pair to meet in training, unless told otherwise. Chains are recorded until they have met, two states
/// a step, with a float for each hidden unit: at 784-500-500 a thousand steps are some megabytes for each of the 64
/// pairs whose records are kept at once, and the 100,000 of [`Horizon::default`] would be gigabytes.
pub const CAP: u32 = 1000;

/// Initial weights. Biases start at zero, or (the visible ones) at the data's log odds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Init {
    /// Random (semi-)orthogonal matrices.
    Orthogonal,
    /// Independent normal numbers.
    Normal {
        /// Standard deviation.
        std: f32,
    },
}

/// Whose means the gradient is centered by (Melchior, Fischer, Wiskott, JMLR 2016, section 3). Each is as unbiased as the
/// others: the offsets come from the steps before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CenteringOffsets {
    /// Those of the positive phase.
    Data,
    /// Those of the negative phase.
    Model,
    /// Half the sum of both: with exact means the enhanced gradient, as it is called there.
    Both,
}

impl CenteringOffsets {
    /// What a unit is centered by, of its mean in the positive and in the negative phase.
    pub fn of(self, positive: f32, negative: f32) -> f32 {
        match self {
            Self::Data => positive,
            Self::Model => negative,
            Self::Both => 0.5 * (positive + negative),
        }
    }
}

/// A start that is learnt before the machine itself is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pretrain {
    /// [Layer by layer](super::pretrain).
    Greedy {
        /// Updates of each layer's machine.
        updates: u64,
    },
}

/// How long to train: the whole run, earlier parts of a resumed one included. The first limit that is reached ends it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    /// Updates.
    #[serde(deserialize_with = "Option::deserialize")]
    pub steps: Option<u64>,
    /// Minutes of training.
    #[serde(deserialize_with = "Option::deserialize")]
    pub minutes: Option<f64>,
}

/// The configuration of a run. With the data and the parameters it determines every update.
///
/// A record must hold every field, `null` ones too: what a resumed run does must not depend on the defaults of the
/// program that resumes it. Plain `Option`s would be taken for `None` where they are missing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainConfig {
    /// What the data set was called, for commands that want the same data again; no update depends on it.
    #[serde(deserialize_with = "Option::deserialize")]
    pub data_set: Option<String>,
    /// The grey value above which a pixel of it was on, with 1 bit a pixel; for the same commands.
    pub threshold: u8,
    /// Widths of the hidden layers, lowest first.
    pub hidden: Vec<usize>,
    /// The estimator of both phases, or of the free one alone.
    pub estimator: Estimator,
    /// The estimator of the clamped phase, if that has another one.
    #[serde(deserialize_with = "Option::deserialize")]
    pub clamped_estimator: Option<Estimator>,
    /// Data rows of an update, and free chains.
    pub batch: usize,
    /// Learning rate of the first update.
    pub learning_rate: f64,
    /// How the learning rate falls.
    pub schedule: Schedule,
    /// With [`Schedule::Sqrt`] the rate of update t is `learning_rate / √(1 + gamma · t)`.
    pub gamma: f64,
    /// Share of the last step's direction that is kept in the next one; 0 for none. Steps along which gradients agree add
    /// up to 1 / (1 − momentum) of theirs.
    pub momentum: f64,
    /// The penalty on weights is this times half of the sum of their squares; biases have none.
    pub weight_decay: f64,
    /// Rate of the moving averages that the gradient is centered by; `None` for the plain gradient.
    #[serde(deserialize_with = "Option::deserialize")]
    pub centering: Option<f64>,
    /// What these are averages of.
    pub centering_offsets: CenteringOffsets,
    /// Mean age of the parameters whose [average](super::average) is the model, in shares of the run; `None` for the
    /// parameters as they are.
    #[serde(deserialize_with = "Option::deserialize")]
    pub average: Option<f64>,
    /// Conditional means instead of bits in the odd layers' statistics.
    pub marginalise: bool,
    /// What the chains' weights are: the float parameters, or integers rounded from them at each update.
    #[serde(with = "kind_as_text")]
    pub chain_weights: WeightKind,
    /// Initial weights.
    pub init: Init,
    /// Whether the visible biases start at the log odds of the data's means instead of zero.
    pub bias_from_data: bool,
    /// What makes a better start of initial weights and biases; `None` to begin with them.
    #[serde(deserialize_with = "Option::deserialize")]
    pub pretrain: Option<Pretrain>,
    /// Seed of everything random.
    pub seed: u64,
    /// How long to train.
    pub budget: Budget,
}

impl Default for TrainConfig {
    /// What was found to learn digits in about a minute.
    fn default() -> Self {
        Self {
            data_set: None,
            threshold: THRESHOLD,
            hidden: vec![500, 500],
            estimator: Estimator::UCD_LMI.with_horizon(Horizon { cap: CAP, ..Horizon::default() }),
            clamped_estimator: None,
            batch: 25,
            learning_rate: 0.005,
            schedule: Schedule::Sqrt,
            gamma: 0.0003,
            momentum: 0.9,
            weight_decay: 0.0,
            centering: Some(0.01),
            centering_offsets: CenteringOffsets::Data,
            average: None,
            marginalise: true,
            chain_weights: WeightKind::F32,
            init: Init::Orthogonal,
            bias_from_data: false,
            pretrain: None,
            seed: 0,
            budget: Budget::default(),
        }
    }
}

impl TrainConfig {
    /// The published settings: rate 0.01 / √(1 + 0.001 t), batch 1000, orthogonal weights, zero biases, no centering,
    /// bits in all statistics.
    pub fn paper_defaults() -> Self {
        Self {
            learning_rate: 0.01,
            gamma: 0.001,
            momentum: 0.0,
            batch: 1000,
            centering: None,
            marginalise: false,
            ..Self::default()
        }
    }

    /// The same in so many updates, over the last third of which the rate falls to zero.
    pub fn cooldown(self, steps: u64) -> Self {
        let budget = Budget { steps: Some(steps), minutes: None };
        Self { schedule: Schedule::Cooldown { steps }, budget, ..self }
    }

    /// How the update of a step, counted from 0, moves the parameters.
    pub fn rule(&self, step: u64) -> Rule {
        let rate = self.schedule.at(step, self.learning_rate, self.gamma);
        Rule { rate, momentum: self.momentum as f32, decay: self.weight_decay as f32 }
    }

    /// The estimator of a phase.
    pub fn estimator_of(&self, phase: Phase) -> Estimator {
        match phase {
            Phase::Positive => self.clamped_estimator.unwrap_or(self.estimator),
            Phase::Negative => self.estimator,
        }
    }

    /// Whether the numbers make sense.
    ///
    /// # Errors
    /// The first field that does not.
    pub fn check(&self) -> Result<(), ConfigError> {
        let positive = |x: f64| x.is_finite() && x > 0.0;
        if self.hidden.is_empty() || self.hidden.contains(&0) {
            return fail("hidden", "at least one layer, each of at least one unit");
        }
        if self.batch == 0 {
            return fail("batch", "at least 1");
        }
        if !positive(self.learning_rate) {
            return fail("learning_rate", "a positive number");
        }
        if !(self.gamma.is_finite() && self.gamma >= 0.0) {
            return fail("gamma", "a number of at least 0");
        }
        if let Schedule::Cooldown { steps } = self.schedule
            && !(steps > 0 && self.budget.steps.is_some_and(|budget| budget <= steps))
        {
            let expected = format!("at most {steps}, the updates in which the schedule's rate falls to zero");
            return fail("budget.steps", expected);
        }
        if !(0.0..1.0).contains(&self.momentum) {
            return fail("momentum", "a number of at least 0, below 1");
        }
        if !(self.weight_decay.is_finite() && self.weight_decay >= 0.0) {
            return fail("weight_decay", "a number of at least 0");
        }
        if self.centering.is_some_and(|rate| !(positive(rate) && rate <= 1.0)) {
            return fail("centering", "a rate above 0, at most 1");
        }
        if self.average.is_some_and(|age| !(positive(age) && age <= 0.5)) {
            return fail("average", "a share of the run above 0, at most 0.5");
        }
        if let Init::Normal { std } = self.init
            && !(std.is_finite() && std >= 0.0)
        {
            return fail("init", "a standard deviation of at least 0");
        }
        if self.budget.minutes.is_some_and(|minutes| !positive(minutes)) {
            return fail("budget.minutes", "a positive number");
        }
        if self.pretrain == Some(Pretrain::Greedy { updates: 0 }) {
            return fail("pretrain", "at least 1 update");
        }
        check_estimator("estimator", self.estimator)?;
        match self.clamped_estimator {
            Some(_) if matches!(self.estimator, Estimator::MeanField { .. }) => fail(
                "clamped_estimator",
                "none beside mean-field, which is that of the clamped phase already; for its free chains, --estimator pcd-K",
            ),
            Some(Estimator::MeanField { k: 2.. }) => {
                fail("clamped_estimator", "mean-field without K, which is the number of the free chains' sweeps")
            }
            // Nothing persists in the clamped phase: its chains begin anew with every batch.
            Some(Estimator::Pcd { .. }) => {
                fail("clamped_estimator", "one of the clamped phase, where pcd-K is the same as cd-K: cd-K")
            }
            Some(estimator) => check_estimator("clamped_estimator", estimator),
            None => Ok(()),
        }
    }
}

fn check_estimator(field: &'static str, estimator: Estimator) -> Result<(), ConfigError> {
    match estimator {
        Estimator::Ucd { horizon, .. } if horizon.k > horizon.m || horizon.lag == 0 => fail(field, "k ≤ m and lag ≥ 1"),
        Estimator::Cd { k: 0 } | Estimator::Pcd { k: 0 } | Estimator::MeanField { k: 0 } => {
            fail(field, "cd-K, pcd-K or mean-field-K with K ≥ 1")
        }
        _ => Ok(()),
    }
}

fn fail(field: &'static str, expected: impl Into<Cow<'static, str>>) -> Result<(), ConfigError> {
    Err(ConfigError { field, expected: expected.into() })
}

/// A setting that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{field}: expected {expected}")]
pub struct ConfigError {
    /// Field of [`TrainConfig`].
    pub field: &'static str,
    /// What it must be.
    pub expected: Cow<'static, str>,
}

mod kind_as_text {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    use super::WeightKind;

    pub(super) fn serialize<S: Serializer>(kind: &WeightKind, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(kind.name())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<WeightKind, D::Error> {
        let name = String::deserialize(deserializer)?;
        let kinds = [WeightKind::F32, WeightKind::I16, WeightKind::I8, WeightKind::I4];
        let found = kinds.into_iter().find(|kind| kind.name() == name);
        found.ok_or_else(|| D::Error::custom(format!("no weights `{name}`: expected f32, i16, i8 or i4")))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::estimator::SecondStart;

    #[test]
    fn configurations_survive_json() {
        let horizon = Horizon { k: 2, m: 7, lag: 3, cap: 99 };
        let estimator: Estimator = "ucd-lmi-gibbs".parse().unwrap();
        let estimator = estimator.with_horizon(horizon).with_second(SecondStart::Independent);
        for config in [
            TrainConfig::default(),
            TrainConfig::paper_defaults(),
            TrainConfig { estimator, init: Init::Normal { std: 0.01 }, ..TrainConfig::default() },
            TrainConfig {
                estimator: Estimator::Cd { k: 3 },
                centering_offsets: CenteringOffsets::Both,
                ..TrainConfig::default()
            },
            TrainConfig { estimator: "ucd-mix-0.1".parse().unwrap(), ..TrainConfig::default() },
            TrainConfig { clamped_estimator: Some(estimator), ..TrainConfig::default() },
            TrainConfig { pretrain: Some(Pretrain::Greedy { updates: 9 }), ..TrainConfig::default() },
            TrainConfig { estimator: Estimator::MeanField { k: 5 }, ..TrainConfig::default() },
            TrainConfig { estimator: Estimator::Pcd { k: 1 }, ..TrainConfig::default() },
            TrainConfig { estimator: Estimator::Pcd { k: 4 }, ..TrainConfig::default() },
            TrainConfig {
                schedule: Schedule::Cooldown { steps: 12 },
                budget: Budget { steps: Some(12), minutes: None },
                ..TrainConfig::default()
            },
            TrainConfig { chain_weights: WeightKind::I4, ..TrainConfig::default() },
            TrainConfig { chain_weights: WeightKind::I16, average: Some(0.125), ..TrainConfig::default() },
        ] {
            let text = serde_json::to_string(&config).unwrap();
            assert_eq!(serde_json::from_str::<TrainConfig>(&text).unwrap(), config, "{text}");
        }
    }

    #[test]
    fn numbers_survive_json_to_the_last_bit() {
        for i in 1..2000 {
            let rate = (f64::from(i) * 0.737).sin().abs() * 10_f64.powi(i % 40 - 20);
            let config = TrainConfig { learning_rate: rate, ..TrainConfig::default() };
            let text = serde_json::to_string(&config).unwrap();
            assert_eq!(serde_json::from_str::<TrainConfig>(&text).unwrap().learning_rate, rate);
        }
    }

    #[test]
    fn a_record_without_any_one_of_its_fields_is_refused() {
        /// Every value of the record with one field of one object left out.
        fn without_one(value: &Value) -> Vec<(String, Value)> {
            let Value::Object(fields) = value else { return Vec::new() };
            let mut less = Vec::new();
            for (name, inner) in fields {
                let mut rest = fields.clone();
                rest.remove(name);
                less.push((name.clone(), Value::Object(rest)));
                for (name_inside, inner) in without_one(inner) {
                    let mut changed = fields.clone();
                    changed[name] = inner;
                    less.push((name_inside, Value::Object(changed)));
                }
            }
            less
        }
        let init = Init::Normal { std: 0.5 };
        let (clamped_estimator, pretrain) = (Some(Estimator::UCD_LMI), Some(Pretrain::Greedy { updates: 9 }));
        let config = TrainConfig { init, clamped_estimator, pretrain, ..TrainConfig::default() };
        let record = serde_json::to_value(config).unwrap();
        let mut names = Vec::new();
        for (name, less) in without_one(&record) {
            let error = serde_json::from_value::<TrainConfig>(less).expect_err(&name).to_string();
            assert!(error.contains(&name) || name == "normal" || name == "greedy", "{name}: {error}");
            names.push(name);
        }
        for name in [
            "hidden",
            "centering",
            "data_set",
            "threshold",
            "minutes",
            "cap",
            "horizon",
            "independent_start",
            "updates",
            "pretrain",
            "std",
            "clamped_estimator",
        ] {
            assert!(names.iter().any(|found| found == name), "{name}");
        }
    }

    #[test]
    fn impossible_estimators_are_named() {
        let mut record = serde_json::to_value(TrainConfig::default()).unwrap();
        record["estimator"]["name"] = "sgd".into();
        let error = serde_json::from_value::<TrainConfig>(record.clone()).unwrap_err().to_string();
        assert!(error.contains("no estimator `sgd`"), "{error}");
        record["estimator"] = serde_json::json!({"name": "ucd-mh", "horizon": null, "independent_start": false});
        let error = serde_json::from_value::<TrainConfig>(record).unwrap_err().to_string();
        assert!(error.contains("ucd-mh: expected a horizon"), "{error}");
    }

    #[test]
    fn impossible_settings_are_named() {
        fn cooldown(config: &mut TrainConfig, steps: u64) {
            (config.schedule, config.budget.steps) = (Schedule::Cooldown { steps: 5 }, Some(steps));
        }
        let bad = |change: fn(&mut TrainConfig)| {
            let mut config = TrainConfig::default();
            change(&mut config);
            config.check().map_err(|error| error.field)
        };
        assert_eq!(bad(|_| ()), Ok(()));
        assert_eq!(bad(|c| c.hidden.clear()), Err("hidden"));
        assert_eq!(bad(|c| c.batch = 0), Err("batch"));
        assert_eq!(bad(|c| c.learning_rate = f64::NAN), Err("learning_rate"));
        assert_eq!(bad(|c| c.gamma = -1.0), Err("gamma"));
        assert_eq!(bad(|c| c.centering = Some(0.0)), Err("centering"));
        assert_eq!(bad(|c| c.schedule = Schedule::Cooldown { steps: 5 }), Err("budget.steps"));
        assert_eq!((bad(|c| cooldown(c, 6)), bad(|c| cooldown(c, 5))), (Err("budget.steps"), Ok(())));
        assert_eq!(bad(|c| c.momentum = 1.0), Err("momentum"));
        assert_eq!(bad(|c| c.weight_decay = -1e-4), Err("weight_decay"));
        assert_eq!(bad(|c| c.average = Some(0.6)), Err("average"));
        assert_eq!(bad(|c| c.init = Init::Normal { std: -1.0 }), Err("init"));
        assert_eq!(bad(|c| c.budget.minutes = Some(0.0)), Err("budget.minutes"));
        assert_eq!(bad(|c| c.pretrain = Some(Pretrain::Greedy { updates: 0 })), Err("pretrain"));
        assert_eq!(
            bad(|c| c.estimator = c.estimator.with_horizon(Horizon { k: 1, ..Horizon::default() })),
            Err("estimator")
        );
        assert_eq!(bad(|c| c.clamped_estimator = Some(Estimator::Cd { k: 2 })), Ok(()));
        assert_eq!(bad(|c| c.clamped_estimator = Some(Estimator::Cd { k: 0 })), Err("clamped_estimator"));
        assert_eq!(bad(|c| c.clamped_estimator = Some(Estimator::MeanField { k: 1 })), Ok(()));
        assert_eq!(bad(|c| c.clamped_estimator = Some(Estimator::MeanField { k: 2 })), Err("clamped_estimator"));
        let classical = |c: &mut TrainConfig| {
            (c.estimator, c.clamped_estimator) = (Estimator::MeanField { k: 1 }, Some(Estimator::UCD_LMI));
        };
        assert_eq!(bad(classical), Err("clamped_estimator"));
        assert_eq!(bad(|c| c.clamped_estimator = Some(Estimator::Pcd { k: 2 })), Err("clamped_estimator"));
    }
}
