//! The step of each matrix from the weights alone: the range of the type over the largest weight, or, where there are so
//! few integers that it pays to cut the largest weights off, the step of least squared error.
//!
//! All steps of a model are powers of two times one number. For the second rule that number runs through an octave, and
//! each matrix takes the power that leaves the least error.
//!
//! The result depends on the weights' values only and not on their order: what a trainer, which keeps them in tiles, finds
//! at an update is what an export of its checkpoint finds again.

use bitboltz_core::connection::MAX_SHIFT;
use rayon::prelude::*;

use super::{IntegerWeight, SMALLEST_SCALE};

/// Bits of a weight's fraction that tell bins apart: 32 bins an octave, each within 3 % of its middle.
const FRACTION: u32 = 5;
/// Bits of a float that lie below a bin's number.
const BELOW: u32 = 23 - FRACTION;
const BINS: usize = 1 << (31 - BELOW);

/// Numbers in an octave that are tried for a step.
pub(super) const IN_OCTAVE: u32 = 8;

/// How many weights of a matrix have which magnitude.
#[derive(Clone, Debug, PartialEq)]
pub struct Magnitudes {
    /// The largest one.
    pub largest: f32,
    /// The middle of each bin that is not empty, and its count; ascending. Empty where the largest says enough.
    bins: Vec<(f32, f32)>,
}

impl Magnitudes {
    /// Of a matrix whose largest magnitude is known. Its parts may come in any order, and with zeros among them.
    pub fn new<'w, W: IntegerWeight>(largest: f32, parts: impl ParallelIterator<Item = &'w [f32]>) -> Self {
        if !W::CLIPS {
            return Self { largest, bins: Vec::new() };
        }
        let empty = || vec![0_u32; BINS];
        let count = |mut bins: Vec<u32>, part: &[f32]| {
            part.iter().for_each(|weight| bins[((weight.to_bits() & 0x7FFF_FFFF) >> BELOW) as usize] += 1);
            bins
        };
        let add = |mut bins: Vec<u32>, others: Vec<u32>| {
            bins.iter_mut().zip(others).for_each(|(bin, other)| *bin += other);
            bins
        };
        let counts = parts.fold(empty, count).reduce(empty, add);
        // Bin 0 holds zeros and what is next to nothing.
        let filled = counts.iter().enumerate().skip(1).filter(|(_, count)| **count > 0);
        let middle = |bin: usize| f32::from_bits((bin as u32) << BELOW | 1 << (BELOW - 1));
        Self { largest, bins: filled.map(|(bin, &count)| (middle(bin), count as f32)).collect() }
    }

    /// The sum of squares of what rounding with this step, and cutting off at ±`max` steps, takes away.
    fn squared_error(&self, step: f32, max: f32) -> f64 {
        let inverse = 1.0 / step;
        let error = |&(weight, count): &(f32, f32)| {
            let error = weight - (weight * inverse).round().min(max) * step;
            f64::from(count * error * error)
        };
        self.bins.iter().map(error).sum()
    }
}

/// A step for each matrix, and what all of them are powers of two times.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Steps {
    pub steps: Vec<f32>,
    /// At most the finest step.
    pub unit: f32,
}

impl Steps {
    /// By the rule of the type.
    pub(super) fn new<W: IntegerWeight>(matrices: &[Magnitudes]) -> Self {
        if W::CLIPS { Self::of_least_error::<W>(matrices) } else { Self::of_largest::<W>(matrices) }
    }

    /// The finest step that holds every weight, rounded up to a power of two times the finest of all.
    fn of_largest<W: IntegerWeight>(matrices: &[Magnitudes]) -> Self {
        let steps: Vec<f32> = matrices.iter().map(|matrix| matrix.largest / W::MAX).collect();
        let coarsest = steps.iter().copied().fold(0.0, f32::max);
        // A matrix of tiny weights must not push the shifts of the others beyond what is useful.
        let finest = steps.iter().copied().fold(f32::INFINITY, f32::min).max(coarsest / 128.0);
        Self { steps, unit: finest }
    }

    fn of_least_error<W: IntegerWeight>(matrices: &[Magnitudes]) -> Self {
        let candidates = (0..IN_OCTAVE).map(|part| {
            let best = matrices.iter().map(|matrix| {
                let tried = octave(matrix.largest, part, W::MAX).map(|step| (matrix.squared_error(step, W::MAX), step));
                tried.reduce(|best, next| if next.0 < best.0 { next } else { best }).unwrap_or((0.0, 0.0))
            });
            let (errors, steps): (Vec<f64>, Vec<f32>) = best.unzip();
            (errors.iter().sum::<f64>(), steps)
        });
        let best = candidates.reduce(|best, next| if next.0 < best.0 { next } else { best });
        Self::with_fine_unit(best.map_or_else(Vec::new, |(_, steps)| steps))
    }

    /// These steps, which are powers of two times each other or zero, over a unit that is finer than all of them, for the
    /// biases.
    pub(super) fn with_fine_unit(steps: Vec<f32>) -> Self {
        let coarsest = steps.iter().copied().fold(0.0, f32::max);
        let finest = steps.iter().copied().filter(|&step| step > 0.0).fold(coarsest, f32::min);
        let widest = (1u32 << MAX_SHIFT) as f32;
        let mut unit = (finest / BIAS_PARTS).max(coarsest / widest);
        // No scale is above 1; a finer unit does as well, as long as shifts reach the coarsest step.
        while unit > 1.0 && coarsest <= 0.5 * unit * widest {
            unit *= 0.5;
        }
        Self { unit, steps }
    }
}

/// Biases are this much finer than the finest weights of four bits: rounded to whole steps of these, they would be off by
/// more than the weights make them.
const BIAS_PARTS: f32 = 16.0;

/// The steps worth trying for a matrix with this largest magnitude: from the one that holds it down by powers of two, all of
/// the same part of an octave. None for zeros.
pub(super) fn octave(largest: f32, part: u32, max: f32) -> impl Iterator<Item = f32> + Clone {
    let fraction = 1.0 + part as f32 / IN_OCTAVE as f32;
    let holds = largest / max;
    // The power of two below, by its bits; twice of it times any fraction is above.
    let power = f32::from_bits(holds.to_bits() & 0x7F80_0000);
    let top = if power * fraction >= holds { power * fraction } else { 2.0 * power * fraction };
    let tried = if holds > f32::from_bits(SMALLEST_SCALE) { OCTAVES } else { 0 };
    (0..tried).map(move |halvings| top / (1u32 << halvings) as f32)
}

/// Powers of two that are tried: the largest weight is cut off at no less than a sixteenth of it.
const OCTAVES: u32 = 5;

#[cfg(test)]
mod tests {
    use bitboltz_core::{
        rng::{Rng as _, stream},
        weights::I4,
    };

    use super::*;
    use crate::quantise::{largest, rounded};

    /// Sums of some uniform numbers: bell-shaped, with rare large ones.
    fn weights(count: usize, scale: f32, seed: u64) -> Vec<f32> {
        let mut rng = stream(seed, 0);
        let mut one = || rng.next_u32() as f32 / 2f32.powi(32) - 0.5;
        (0..count).map(|_| scale * (0..12).map(|_| one()).sum::<f32>().powi(3)).collect()
    }

    fn magnitudes(matrix: &[f32]) -> Magnitudes {
        Magnitudes::new::<I4>(largest(matrix), matrix.par_chunks(7))
    }

    fn exact_error(matrix: &[f32], step: f32) -> f64 {
        matrix.iter().map(|w| f64::from(w - rounded(w / step, 7.0) * step).powi(2)).sum()
    }

    #[test]
    fn the_step_has_the_least_error_of_those_on_the_grid() {
        for (seed, scale) in [(1, 0.1), (2, 3.0), (3, 1e-4)] {
            let matrix = weights(20_000, scale, seed);
            let found = Steps::new::<I4>(&[magnitudes(&matrix)]);
            let error = exact_error(&matrix, found.steps[0]);
            let all = (0..IN_OCTAVE).flat_map(|part| octave(largest(&matrix), part, 7.0));
            let least = all.map(|step| exact_error(&matrix, step)).fold(f64::INFINITY, f64::min);
            // Bins are what the two may differ by.
            assert!(error <= 1.01 * least, "{error} {least}");
            // And it pays.
            assert!(2.0 * error < exact_error(&matrix, largest(&matrix) / 7.0), "{error}");
        }
    }

    #[test]
    fn large_weights_have_a_unit_that_an_image_can_hold() {
        let found = Steps::new::<I4>(&[magnitudes(&[100.0; 12]), magnitudes(&[0.1; 12])]);
        assert!(found.unit <= 1.0 && found.steps[0] > 14.0, "{found:?}");
    }

    #[test]
    fn order_and_zeros_do_not_matter() {
        let matrix = weights(3000, 0.3, 4);
        let mut other: Vec<f32> = matrix.iter().rev().map(|w| -w).collect();
        other.splice(5..5, [0.0; 100]);
        assert_eq!(magnitudes(&matrix), magnitudes(&other));
    }

    #[test]
    fn steps_are_powers_of_two_times_the_unit() {
        let matrices = [weights(3000, 0.3, 5), weights(3000, 20.0, 6), vec![0.0; 3], weights(3000, 0.001, 7)];
        let Steps { steps, unit } = Steps::new::<I4>(&matrices.each_ref().map(|matrix| magnitudes(matrix)));
        assert_eq!(steps[2], 0.0);
        for step in [steps[0], steps[1], steps[3]] {
            let ratio = step / unit;
            assert!(ratio.to_bits() & 0x7F_FFFF == 0, "{step} {unit}");
        }
        assert_eq!(Steps::new::<I4>(&[magnitudes(&[0.0; 4])]).steps, [0.0]);
    }
}
