//! Settings by name: what served a data set best of all that was tried (`docs/evidence/recipes` has the table), and what was
//! published.
//!
//! A recipe says how many updates to make, not how many minutes: its learning rate falls to zero over the run, and the
//! same updates are the same model on every machine.

use bitboltz_core::weights::WeightKind;

use super::config::TrainConfig;

/// A set of settings with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// The digits that come with the program.
    Digits,
    /// MNIST, 1 bit a pixel.
    Mnist,
    /// Fashion-MNIST, 1 bit a pixel.
    FashionMnist,
    /// [`TrainConfig::paper_defaults`].
    Published,
}

impl Preset {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Digits, Self::Mnist, Self::FashionMnist, Self::Published];

    /// Its name on the command line: for a recipe, that of its data set.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Digits => "digits",
            Self::Mnist => "mnist",
            Self::FashionMnist => "fashion-mnist",
            Self::Published => "published",
        }
    }

    /// The settings. Recipes have a budget, in updates.
    pub fn config(self) -> TrainConfig {
        // Chains on 8-bit weights are quicker, their models as good, and what was learnt is then what a device runs.
        let recipe = TrainConfig { chain_weights: WeightKind::I8, ..TrainConfig::default() };
        match self {
            // Too few updates for a rate that falls before its last third.
            Self::Digits => TrainConfig { gamma: 0.0, ..recipe }.cooldown(40_000),
            Self::Mnist | Self::FashionMnist => recipe.cooldown(250_000),
            Self::Published => TrainConfig::paper_defaults(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset;

    #[test]
    fn recipes_are_named_after_their_data_sets_and_can_be_trained() {
        for preset in Preset::ALL {
            let config = preset.config();
            config.check().unwrap();
            let known = dataset::known::find(preset.name()).is_some();
            assert_eq!(known, preset != Preset::Published, "{}", preset.name());
            assert_eq!(config.budget.steps.is_some(), known);
        }
    }
}
