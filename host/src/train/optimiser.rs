//! Stochastic gradient ascent: the paper's schedule, and the rule of a step, which may have momentum (Polyak's heavy ball,
//! USSR Comput. Math. 1964) and weight decay.

pub use crate::batch::kernels::Rule;

use serde::{Deserialize, Serialize};

/// How the learning rate falls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// As in the paper: that of step t, counted from 0, is the first one / √(1 + gamma · t).
    Sqrt,
    /// The same, but over the last third of the steps also to zero in a straight line: times min(1, 3 (1 − t / steps)). Far
    /// from its end a run gains by large steps, at its end by small ones.
    Cooldown {
        /// Updates of the whole run.
        steps: u64,
    },
}

impl Schedule {
    /// The rate of step `step`, where that of the first step is `rate`.
    pub fn at(&self, step: u64, rate: f64, gamma: f64) -> f32 {
        let left = match *self {
            Self::Sqrt => 1.0,
            Self::Cooldown { steps } => (3.0 * (1.0 - step.min(steps) as f64 / steps as f64)).min(1.0),
        };
        (rate * left / (1.0 + gamma * step as f64).sqrt()) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_falls_with_the_square_root() {
        let at = |step| Schedule::Sqrt.at(step, 0.06, 0.001);
        assert_eq!((at(0), at(3000)), (0.06, 0.03));
    }

    #[test]
    fn the_rate_falls_to_zero_over_the_last_third() {
        let at = |step| Schedule::Cooldown { steps: 600 }.at(step, 0.5, 0.0);
        assert_eq!((at(0), at(400), at(500), at(599), at(600), at(700)), (0.5, 0.5, 0.25, 0.0025, 0.0, 0.0));
        assert_eq!(Schedule::Cooldown { steps: 3600 }.at(3000, 0.06, 0.001), 0.015);
    }
}
