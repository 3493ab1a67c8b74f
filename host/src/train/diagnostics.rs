//! How a run is doing, beyond what every update knows: measured at one update in [`EVERY`], from the statistics that it has
//! anyway.

use serde::{Deserialize, Serialize};

/// Updates from one that is diagnosed to the next; the first of a run is one of them. A diagnosis reads all sums of products
/// once more. With 784-500-500 and batches of 25 that was measured at 17 % of an update: 0.35 % of a run.
pub const EVERY: u64 = 50;

/// Share of updates in which a hidden unit of the positive phase is on, below which it counts as dead.
pub const DEAD: f32 = 0.01;
/// The share above which it counts as saturated.
pub const SATURATED: f32 = 0.99;
/// Updates that the moving averages of these shares remember, about; before so many there is nothing to tell, since a
/// batch or two do not show a share of a hundredth.
const MEMORY: u32 = 100;

/// What is measured of an update.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Diagnostics {
    /// Mean energy of the positive phase's states minus that of the negative phase's, under the float parameters before
    /// the update: zero on average where the model is as good as it gets along the direction of its own parameters.
    pub energy_gap: f64,
    /// Squared length of the gradient of all weights (centered, if the run's is) that this batch gave, estimated by
    /// [`Projections`](super::projections::Projections).
    pub gradient_squared: f64,
    /// The part of it that is the noise of the positive phase: the variance, over all weights together, of the average of
    /// the batch's chains, from their spread. The data's own variety is in it. `None` with less than two chains.
    pub variance_positive: Option<f64>,
    /// The part that is the noise of the negative phase. `None` with less than two chains; and with `cd-K`, whose free
    /// chains begin at the rows of the positive phase: the noise of both phases then has much in common, which the
    /// difference does not have, so that there are no two parts to add.
    pub variance_negative: Option<f64>,
    /// Share of the hidden units that are dead: on in less than [`DEAD`] of the positive phase's states, as a moving
    /// average over about a hundred updates. `None` before so many were made, also when a run is resumed.
    pub dead: Option<f64>,
    /// Share of those that are on in more than [`SATURATED`] of them.
    pub saturated: Option<f64>,
}

impl Diagnostics {
    /// Share of the gradient's squared length that is noise: near 1 where a batch says little. `None` where a part of it is
    /// not known.
    pub fn noise(&self) -> Option<f64> {
        Some((self.variance_positive? + self.variance_negative?) / self.gradient_squared)
    }
}

/// Moving averages of the hidden units' means in the positive phase.
#[derive(Clone, Debug, Default)]
pub struct Activity {
    updates: u32,
    means: Vec<f32>,
}

impl Activity {
    /// Takes in the means of an update's positive phase, one vector for each layer.
    pub fn take(&mut self, means: &[Vec<f32>]) {
        let hidden = means.iter().skip(1).flatten();
        self.updates = self.updates.saturating_add(1);
        // At first the plain mean.
        let rate = 1.0 / self.updates.min(MEMORY) as f32;
        self.means.resize(hidden.clone().count(), 0.0);
        self.means.iter_mut().zip(hidden).for_each(|(average, mean)| *average += rate * (mean - *average));
    }

    /// The shares of dead and of saturated units; `None` before a hundred updates were taken in.
    pub fn shares(&self) -> Option<(f64, f64)> {
        let share = |is: fn(f32) -> bool| {
            self.means.iter().filter(|&&mean| is(mean)).count() as f64 / self.means.len().max(1) as f64
        };
        (self.updates >= MEMORY).then(|| (share(|mean| mean < DEAD), share(|mean| mean > SATURATED)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_and_saturated_units_are_those_that_stay_so() {
        let mut activity = Activity::default();
        // The visible layer does not count; one hidden unit of four is dead, one saturated, two change.
        for update in 0..300 {
            let other = (update % 2) as f32;
            activity.take(&[vec![0.0; 7], vec![0.0, other], vec![1.0, 1.0 - other]]);
            assert_eq!(activity.shares(), (update >= 99).then_some((0.25, 0.25)), "{update}");
        }
        // One that wakes up is dead no more after a few updates, and one that dies is so after some hundreds.
        for _ in 0..600 {
            activity.take(&[vec![0.0; 7], vec![0.3, 0.0], vec![1.0, 0.4]]);
        }
        assert_eq!(activity.shares(), Some((0.25, 0.25)));
    }

    #[test]
    fn noise_needs_the_variance_of_both_phases() {
        let mut diagnostics = Diagnostics {
            energy_gap: 0.0,
            gradient_squared: 8.0,
            variance_positive: Some(1.0),
            variance_negative: Some(3.0),
            dead: None,
            saturated: None,
        };
        assert_eq!(diagnostics.noise(), Some(0.5));
        diagnostics.variance_positive = None;
        assert_eq!(diagnostics.noise(), None);
    }
}
