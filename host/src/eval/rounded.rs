//! Small machines with any weight type: real parameters, rounded to integers of one scale.
//!
//! This is the plain rounding that enumeration needs to look at integer weights; it chooses no scale by its effect.

use bitboltz_core::{
    connection::Dense,
    fixed::Scale,
    model::{DenseDbm, ModelError},
    shape::Shape,
    weights::Weight,
};
use thiserror::Error;

use crate::parameters::Parameters;

/// A weight type that a real number can be rounded to.
pub trait Rounding: Weight {
    /// The nearest weight worth `value`, where 1 is worth `unit`.
    fn round(value: f64, unit: f64) -> Self;

    /// The nearest field worth `value`, where 1 is worth `unit`.
    fn round_field(value: f64, unit: f64) -> Self::Field;
}

impl Rounding for f32 {
    fn round(value: f64, unit: f64) -> Self {
        (value / unit) as Self
    }

    fn round_field(value: f64, unit: f64) -> f32 {
        (value / unit) as f32
    }
}

impl Rounding for i16 {
    fn round(value: f64, unit: f64) -> Self {
        (value / unit).round() as Self
    }

    fn round_field(value: f64, unit: f64) -> i32 {
        (value / unit).round() as i32
    }
}

impl Rounding for i8 {
    fn round(value: f64, unit: f64) -> Self {
        (value / unit).round() as Self
    }

    fn round_field(value: f64, unit: f64) -> i32 {
        (value / unit).round() as i32
    }
}

/// A weight needs a scale above 1, which the core does not have.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
#[error("a weight of {weight} is too large to round: the limit is {limit}")]
pub struct WeightTooLarge {
    /// Magnitude of the weight.
    pub weight: f64,
    /// Largest magnitude that the type reaches with this shift and a scale of 1.
    pub limit: f64,
}

/// Tensors of a machine with weights of type `W`.
#[derive(Clone, Debug)]
pub struct Rounded<W: Weight> {
    shape: Shape,
    weights: Vec<Vec<W>>,
    biases: Vec<Vec<W::Field>>,
    shifts: Vec<u32>,
    scale: Scale,
}

impl<W: Rounding> Rounded<W> {
    /// Rounds to the finest scale that all weights fit. Matrix l is shifted by `shifts[l]` (0 where there is none);
    /// `f32` weights stay as they are.
    ///
    /// # Errors
    /// [`WeightTooLarge`].
    pub fn new(parameters: &Parameters, shifts: &[u32]) -> Result<Self, WeightTooLarge> {
        let shifts: Vec<u32> =
            (0..parameters.weights().len()).map(|l| shifts.get(l).copied().unwrap_or_default()).collect();
        let mut unit = 0.0f64;
        for (matrix, shift) in parameters.weights().iter().zip(&shifts) {
            let limit = (W::MAX_MAGNITUDE.max(1) - 1) as f64 * f64::from(1 << shift);
            let weight = matrix.iter().fold(0.0, |largest, w| f64::from(w.abs()).max(largest));
            if W::MAX_MAGNITUDE > 0 && weight > limit {
                return Err(WeightTooLarge { weight, limit });
            }
            unit = unit.max(weight / limit);
        }
        let scale = match W::MAX_MAGNITUDE {
            0 => Scale::ONE,
            // The next float above, so that rounding the scale cannot push the largest weight beyond its type.
            _ => Scale::from_bits(((unit as f32).clamp(f32::EPSILON, 1.0 - f32::EPSILON)).next_up().to_bits())
                .expect("between the limits of a scale"),
        };
        let unit = f64::from(scale.to_f32());
        let weights = parameters.weights().iter().zip(&shifts);
        Ok(Self {
            shape: *parameters.shape(),
            weights: weights
                .map(|(matrix, shift)| {
                    let unit = unit * if W::MAX_MAGNITUDE > 0 { f64::from(1 << shift) } else { 1.0 };
                    matrix.iter().map(|&w| W::round(f64::from(w), unit)).collect()
                })
                .collect(),
            biases: (parameters.biases().iter())
                .map(|bias| bias.iter().map(|&b| W::round_field(f64::from(b), unit)).collect())
                .collect(),
            shifts,
            scale,
        })
    }

    /// The core's model over these tensors.
    ///
    /// # Errors
    /// Fields that could overflow.
    pub fn dbm(&self) -> Result<DenseDbm<'_, W>, ModelError> {
        let connections = self.weights.iter().zip(&self.shifts).enumerate().filter_map(|(l, (matrix, &shift))| {
            // Never `None`: the parameters' shape was checked.
            Dense::new(matrix, self.shape.width(l), self.shape.width(l + 1), shift)
        });
        let biases: Vec<&[W::Field]> = self.biases.iter().map(Vec::as_slice).collect();
        DenseDbm::new(connections, &biases, self.scale)
    }
}

#[cfg(test)]
mod tests {
    use bitboltz_core::{connection::Connection as _, weights::Field as _};

    use super::*;
    use crate::eval::random::random_parameters;

    fn worst<W: Rounding>(shifts: &[u32]) -> f64 {
        let parameters = random_parameters(&[4, 3, 2], 1.0, 1.0, 7).unwrap();
        let rounded = Rounded::<W>::new(&parameters, shifts).unwrap();
        let model = rounded.dbm().unwrap();
        let mut worst = 0.0f64;
        for (l, matrix) in parameters.weights().iter().enumerate() {
            let upper = model.shape().width(l + 1);
            for (at, &w) in matrix.iter().enumerate() {
                let found = model.connections()[l].weight(at / upper, at % upper).to_real(model.scale());
                worst = worst.max((found - f64::from(w)).abs());
            }
        }
        worst
    }

    #[test]
    fn weights_are_off_by_half_a_step_at_most() {
        // All weights are below 3, so a step is below 3/127 (3/32767), and twice that in a matrix shifted by 1.
        assert_eq!(worst::<f32>(&[]), 0.0);
        assert!((1e-4..1.5 / 127.0).contains(&worst::<i8>(&[])));
        assert!((1e-4..3.0 / 127.0).contains(&worst::<i8>(&[0, 1])));
        assert!((1e-6..1.5 / 32_767.0).contains(&worst::<i16>(&[])));
    }

    #[test]
    fn weights_beyond_a_scale_of_1_are_refused() {
        let parameters = random_parameters(&[2, 2], 1000.0, 0.0, 1).unwrap();
        assert!(matches!(Rounded::<i8>::new(&parameters, &[]), Err(WeightTooLarge { limit: 127.0, .. })));
    }
}
