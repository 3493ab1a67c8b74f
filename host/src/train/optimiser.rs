//! Stochastic gradient ascent: the paper's schedule, and the rule of a step, which may have momentum (Polyak's heavy ball,
//! USSR Comput. Math. 1964) and weight decay.

pub use crate::batch::kernels::Rule;

/// The learning rate of step t, counted from 0: rate / √(1 + gamma · t).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// The rate of the first step.
    pub rate: f64,
    /// How fast it falls.
    pub gamma: f64,
}

impl Schedule {
    /// The rate of step `step`.
    pub fn at(&self, step: u64) -> f32 {
        (self.rate / (1.0 + self.gamma * step as f64).sqrt()) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_falls_with_the_square_root() {
        let schedule = Schedule { rate: 0.06, gamma: 0.001 };
        assert_eq!((schedule.at(0), schedule.at(3000)), (0.06, 0.03));
    }
}
