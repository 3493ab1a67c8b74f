//! Settings by name: what served a data set best of all that was tried (`docs/evidence/recipes` has the table), and what was
//! published.
//!
//! A recipe for 1 bit a pixel says how many updates to make, not how many minutes: its learning rate falls to zero over the
//! run, and the same updates are the same model on every machine. For 8 bits there was no such search: these are the
//! defaults, for the minutes that `bitboltz paper images8` and `cifar10` take, which have them from here.

use bitboltz_core::weights::WeightKind;

use super::config::{Budget, TrainConfig};

/// A set of settings with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// The digits that come with the program.
    Digits,
    /// MNIST, 1 bit a pixel.
    Mnist,
    /// Fashion-MNIST, 1 bit a pixel.
    FashionMnist,
    /// MNIST, all 8 bits of a pixel.
    Mnist8,
    /// Fashion-MNIST, all 8 bits of a pixel.
    FashionMnist8,
    /// CIFAR-10, all 8 bits of each colour of a pixel.
    Cifar10,
    /// [`TrainConfig::paper_defaults`].
    Published,
}

impl Preset {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Digits,
        Self::Mnist,
        Self::FashionMnist,
        Self::Mnist8,
        Self::FashionMnist8,
        Self::Cifar10,
        Self::Published,
    ];

    /// Its name on the command line: that of its data set, and the bits of a pixel if the data set has another preset.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Digits => "digits",
            Self::Mnist => "mnist",
            Self::FashionMnist => "fashion-mnist",
            Self::Mnist8 => "mnist8",
            Self::FashionMnist8 => "fashion-mnist8",
            Self::Cifar10 => "cifar10",
            Self::Published => "published",
        }
    }

    /// The data set that it is for, if it is for one.
    pub const fn data_set(self) -> Option<&'static str> {
        match self {
            Self::Digits | Self::Mnist | Self::FashionMnist | Self::Cifar10 => Some(self.name()),
            Self::Mnist8 => Some("mnist"),
            Self::FashionMnist8 => Some("fashion-mnist"),
            Self::Published => None,
        }
    }

    /// Visible units of a pixel, of each colour.
    pub const fn bits(self) -> u8 {
        match self {
            Self::Mnist8 | Self::FashionMnist8 | Self::Cifar10 => 8,
            Self::Digits | Self::Mnist | Self::FashionMnist | Self::Published => 1,
        }
    }

    /// The settings. Those for a data set have a budget.
    pub fn config(self) -> TrainConfig {
        // Chains on 8-bit weights are quicker, their models as good, and what was learnt is then what a device runs.
        let recipe = TrainConfig { chain_weights: WeightKind::I8, ..TrainConfig::default() };
        match self {
            // Too few updates for a rate that falls before its last third.
            Self::Digits => TrainConfig { gamma: 0.0, ..recipe }.cooldown(40_000),
            Self::Mnist | Self::FashionMnist => recipe.cooldown(250_000),
            Self::Mnist8 | Self::FashionMnist8 => for_minutes(30.0),
            Self::Cifar10 => for_minutes(60.0),
            Self::Published => TrainConfig::paper_defaults(),
        }
    }
}

/// The defaults, for so long.
fn for_minutes(minutes: f64) -> TrainConfig {
    TrainConfig { budget: Budget { steps: None, minutes: Some(minutes) }, ..TrainConfig::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset;

    #[test]
    fn presets_are_named_after_their_data_sets_and_can_be_trained() {
        for preset in Preset::ALL {
            let config = preset.config();
            config.check().unwrap();
            let data_set = preset.data_set();
            assert_eq!(data_set.is_some(), preset != Preset::Published);
            assert!(data_set.is_none_or(|name| dataset::known::find(name).is_some()), "{data_set:?}");
            assert!(data_set.is_none_or(|name| preset.name().starts_with(name)), "{data_set:?}");
            assert_eq!(config.budget != Budget::default(), data_set.is_some());
            assert_eq!(config.budget.minutes.is_some(), preset.bits() == 8);
        }
    }
}
