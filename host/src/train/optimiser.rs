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
    /// To zero: that of step t is the first one · (1 − t / steps).
    Linear {
        /// Updates of the whole run.
        steps: u64,
    },
}

impl Schedule {
    /// The rate of step `step`, where that of the first step is `rate`.
    pub fn at(&self, step: u64, rate: f64, gamma: f64) -> f32 {
        let rate = match *self {
            Self::Sqrt => rate / (1.0 + gamma * step as f64).sqrt(),
            Self::Linear { steps } => rate * (1.0 - step.min(steps) as f64 / steps as f64),
        };
        rate as f32
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
    fn the_rate_falls_to_zero_in_a_straight_line() {
        let at = |step| Schedule::Linear { steps: 400 }.at(step, 0.5, 0.001);
        assert_eq!((at(0), at(100), at(399), at(400), at(500)), (0.5, 0.375, 0.00125, 0.0, 0.0));
    }
}
