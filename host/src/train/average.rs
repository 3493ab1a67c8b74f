//! The average of the parameters along a run: the model that is sampled and exported, while the parameters go on learning.
//!
//! Stochastic gradients leave the parameters wandering around where they are going; an average of late ones lies nearer to
//! it (Polyak and Juditsky, SIAM J. Control Optim. 1992). The average after t updates is that of the parameters θ_s with
//! weights that grow as a power of s,
//!
//! avg_t = Σ_s θ_s · [(s/t)^p − ((s − 1)/t)^p],  s = 1 … t,
//!
//! the polynomial-decay averaging of Shamir and Zhang (ICML 2013), which is the power-function average of Karras et al.
//! (CVPR 2024). p is given by the mean age a = 1/(p + 1), in shares of the run: at a = 0.1 the parameters that make up the
//! average are t/10 updates old on the mean, whatever t is, so that no length of the run has to be known beforehand. Where
//! the parameters began is soon forgotten: the first quarter of the updates has the weight 4^−p, at a = 0.1 one of 262,144.
//!
//! An update passes over its weights once; another pass at each would not be free. The parameters of neighbouring updates
//! are nearly the same, so θ_s is taken at the first [`EVERY`] updates and then at every so manieth, which stands for all
//! since the one before: avg ← avg + (1 − ((t − gap)/t)^p) (θ_t − avg), gap = 1 or [`EVERY`]. Between, the average stays as
//! it is.

use rayon::prelude::*;

use super::even_major::EvenMajor;
use crate::{batch::tile::Tiles, parameters::Parameters};

/// Updates between those that the average takes in.
pub const EVERY: u64 = 16;

/// The average of a run's parameters so far.
#[derive(Clone, Debug)]
pub struct Average {
    /// p.
    power: f64,
    numbers: EvenMajor,
}

impl Average {
    /// The average of a run where it stands: of a new run, its first parameters. `age` is the mean age of what is averaged,
    /// in shares of the run, above 0 and at most a half, which is the plain mean of all updates.
    pub fn new(age: f64, parameters: &Parameters) -> Self {
        Self { power: (1.0 - age) / age, numbers: EvenMajor::of(parameters) }
    }

    /// The average now.
    pub fn numbers(&self) -> &EvenMajor {
        &self.numbers
    }

    /// Takes in the parameters after update `step`, counted from 1, if it is one of those that count: even-major weights,
    /// and biases.
    ///
    /// # Panics
    /// If they have another shape.
    pub fn take(&mut self, step: u64, weights: &[&Tiles<f32>], biases: &[Vec<f32>]) {
        let Some(rate) = rate(self.power, step) else { return };
        let EvenMajor { weights: averages, biases: bias_averages } = &mut self.numbers;
        assert_eq!((averages.len(), bias_averages.len()), (weights.len(), biases.len()));
        for (average, weights) in averages.iter_mut().zip(weights) {
            assert_eq!((average.rows(), average.columns()), (weights.rows(), weights.columns()));
            average.tiles_mut().zip(weights.tiles().collect::<Vec<_>>()).for_each(|(averages, numbers)| {
                approach(averages.as_flattened_mut(), numbers.as_flattened(), rate);
            });
        }
        bias_averages.iter_mut().zip(biases).for_each(|(averages, biases)| approach(averages, biases, rate));
    }
}

fn approach(averages: &mut [f32], numbers: &[f32], rate: f32) {
    if rate == 1.0 {
        // Without what a difference would leave of the older numbers' rounding.
        return averages.copy_from_slice(numbers);
    }
    averages.iter_mut().zip(numbers).for_each(|(average, number)| *average += rate * (number - *average));
}

/// How far the average moves at a step, counted from 1; `None` if it does not.
fn rate(power: f64, step: u64) -> Option<f32> {
    let gap = if step <= EVERY { 1 } else { EVERY };
    // From `libm`: the same on every machine, as a run that is resumed elsewhere needs it.
    step.is_multiple_of(gap).then(|| (1.0 - libm::pow((step - gap) as f64 / step as f64, power)) as f32)
}

#[cfg(test)]
mod tests {
    use bitboltz_core::image::Geometry;

    use super::*;

    /// The average after each of some updates whose every parameter is a number of the step.
    fn averages(age: f64, steps: u64, number: impl Fn(u64) -> f32) -> Vec<f32> {
        let mut parameters = Parameters::zeros(&[3, 70, 2], Geometry::default()).unwrap();
        let mut fill = |x: f32| {
            let (weights, biases) = parameters.tensors_mut();
            weights.iter_mut().chain(biases).flatten().for_each(|parameter| *parameter = x);
            parameters.clone()
        };
        // What it begins with must not count.
        let mut average = Average::new(age, &fill(77.0));
        let found = (1..=steps).map(|step| {
            let now = EvenMajor::of(&fill(number(step)));
            average.take(step, &now.weights.iter().collect::<Vec<_>>(), &now.biases);
            let shown = average.numbers().to_parameters(Geometry::default());
            let first = shown.biases()[0][0];
            assert!(shown.weights().iter().chain(shown.biases()).flatten().all(|&x| x == first));
            first
        });
        found.collect()
    }

    #[test]
    fn weights_grow_as_a_power_of_the_step() {
        let (age, number) = (0.2, |step: u64| (step as f32 * 0.7).sin());
        let power = 4;
        let found = averages(age, 64, number);
        for t in 1..=64_u64 {
            // The updates that count, and how many each stands for.
            let last = if t <= EVERY { t } else { t / EVERY * EVERY };
            let counted = (1..=last).filter(|&s| s <= EVERY || s.is_multiple_of(EVERY));
            let terms = counted.map(|s| {
                let gap = if s <= EVERY { 1 } else { EVERY };
                let share = |s: u64| (s as f64 / last as f64).powi(power);
                f64::from(number(s)) * (share(s) - share(s - gap))
            });
            let (found, expected) = (f64::from(found[t as usize - 1]), terms.sum::<f64>());
            assert!((found - expected).abs() < 1e-6, "{t}: {found} {expected}");
        }
    }

    #[test]
    fn the_mean_age_is_a_share_of_the_run() {
        for age in [0.02, 0.1, 0.5] {
            let steps = 4096;
            // The average of s/steps is the mean time of what is averaged. A sum of shares stands for the integral of s, and
            // the update that stands for its gap is the latest of it: so far it may be off.
            let time = averages(age, steps, |step| step as f32 / steps as f32)[steps as usize - 1];
            let error = f64::from(time) - (1.0 - age);
            assert!((0.0..=EVERY as f64 / steps as f64).contains(&error), "{age}: {time}");
        }
    }

    #[test]
    fn the_first_update_is_its_own_average() {
        assert_eq!(averages(0.3, 1, |_| 0.6), [0.6]);
    }
}
