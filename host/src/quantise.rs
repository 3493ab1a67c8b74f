//! Float parameters to integers.
//!
//! Every matrix gets the finest step that holds its largest weight. The model's scale is the finest of these steps, and
//! the others are rounded up to a power of two times it, so that one integer unit means the same everywhere and a device
//! only shifts. Biases are integers of 32 bits in units of the scale.

use bitboltz_core::{
    connection::{Dense, MAX_SHIFT},
    fixed::Scale,
    image::Geometry,
    model::{DenseDbm, ModelError},
};
use rayon::prelude::*;
use thiserror::Error;

use crate::{batch::TileWeight, parameters::Parameters};

/// An integer weight type.
pub trait IntegerWeight: TileWeight<Field = i32> {
    /// Largest weight: the range is symmetric, so that a matrix and its negative round alike.
    const MAX: f32;

    /// A number already rounded and within ±[`MAX`](Self::MAX).
    fn from_rounded(rounded: f32) -> Self;
}

impl IntegerWeight for i8 {
    const MAX: f32 = 127.0;

    fn from_rounded(rounded: f32) -> Self {
        rounded as Self
    }
}

impl IntegerWeight for i16 {
    const MAX: f32 = 32_767.0;

    fn from_rounded(rounded: f32) -> Self {
        rounded as Self
    }
}

/// Why parameters have no integer form.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
pub enum QuantiseError {
    /// The weights are too large for any scale up to 1.
    #[error("weights up to {largest} do not fit: {kind} holds up to {limit}")]
    TooLarge {
        /// Largest magnitude found.
        largest: f32,
        /// Largest magnitude that fits.
        limit: f32,
        /// Weight type.
        kind: bitboltz_core::weights::WeightKind,
    },
    /// The integers are no model.
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// A model in integers, owned.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantised<W> {
    widths: Vec<usize>,
    weights: Vec<Vec<W>>,
    shifts: Vec<u32>,
    biases: Vec<Vec<i32>>,
    scale: Scale,
    geometry: Geometry,
}

impl<W: IntegerWeight> Quantised<W> {
    /// Rounds to the nearest integers.
    ///
    /// # Errors
    /// Weights too large for the type, or integers whose sums could overflow 32 bits.
    pub fn new(parameters: &Parameters) -> Result<Self, QuantiseError> {
        let steps: Vec<f32> = parameters.weights().iter().map(|matrix| largest(matrix) / W::MAX).collect();
        let coarsest = steps.iter().copied().fold(0.0, f32::max);
        // A matrix of tiny weights must not push the shifts of the others beyond what is allowed.
        let finest = steps.iter().copied().fold(f32::INFINITY, f32::min).max(coarsest / 128.0);
        let unit = finest.max(f32::from_bits(SMALLEST_SCALE));
        let Some(scale) = Scale::from_bits(unit.to_bits()) else {
            return Err(QuantiseError::TooLarge { largest: coarsest * W::MAX, limit: W::MAX, kind: W::KIND });
        };
        let shifts: Vec<u32> =
            steps.iter().map(|step| ((step / unit).log2().ceil().max(0.0) as u32).min(MAX_SHIFT)).collect();
        let weights = parameters.weights().iter().zip(&shifts).map(|(matrix, &shift)| {
            let step = unit * (1u32 << shift) as f32;
            matrix.par_iter().with_min_len(1 << 14).map(|w| W::from_rounded(rounded(w / step, W::MAX))).collect()
        });
        let biases =
            parameters.biases().iter().map(|bias| bias.iter().map(|b| (b / unit).round() as i32).collect()).collect();
        let quantised = Self {
            widths: parameters.shape().widths().collect(),
            weights: weights.collect(),
            shifts,
            biases,
            scale,
            geometry: parameters.geometry(),
        };
        quantised.dbm()?;
        Ok(quantised)
    }

    /// The core's model over these integers.
    ///
    /// # Errors
    /// Sums that could overflow 32 bits; never, once [`new`](Self::new) has succeeded.
    pub fn dbm(&self) -> Result<DenseDbm<'_, W>, ModelError> {
        let connections = self
            .weights
            .iter()
            .zip(&self.shifts)
            .enumerate()
            .filter_map(|(l, (matrix, &shift))| Dense::new(matrix, self.widths[l], self.widths[l + 1], shift));
        let biases: Vec<&[i32]> = self.biases.iter().map(Vec::as_slice).collect();
        DenseDbm::new(connections, &biases, self.scale)
    }

    /// How the visible units make up a picture.
    pub fn geometry(&self) -> Geometry {
        self.geometry
    }
}

/// Bits of 2⁻²⁴, the smallest scale of an image.
const SMALLEST_SCALE: u32 = 0x3380_0000;

fn largest(matrix: &[f32]) -> f32 {
    // Magnitudes are ordered as their bits are; a maximum of integers is vectorised.
    f32::from_bits(matrix.iter().fold(0, |largest, w| (w.to_bits() & 0x7FFF_FFFF).max(largest)))
}

/// The nearest integer within ±`max`, halves away from zero: `x.round()` without a call for each number.
fn rounded(x: f32, max: f32) -> f32 {
    let x = x.clamp(-max, max);
    let whole = x as i32 as f32;
    let rest = x - whole;
    whole + f32::from(u8::from(rest >= 0.5)) - f32::from(u8::from(rest <= -0.5))
}

#[cfg(test)]
mod tests {
    use bitboltz_core::connection::Connection as _;

    use super::*;

    fn parameters(scales: [f32; 2]) -> Parameters {
        let ramp = |n: usize, scale: f32| (0..n).map(|i| scale * (i as f32 / (n - 1) as f32 * 2.0 - 1.0)).collect();
        Parameters::new(
            vec![ramp(6, scales[0]), ramp(6, scales[1])],
            vec![vec![0.5, -0.5], vec![0.0, 1.0, -1.0], vec![3.0, -2.5]],
            Geometry::default(),
        )
        .unwrap()
    }

    #[test]
    fn each_matrix_is_within_half_a_step_and_biases_within_half_a_unit() {
        let parameters = parameters([0.4, 3.0]);
        let quantised = Quantised::<i8>::new(&parameters).unwrap();
        let model = quantised.dbm().unwrap();
        let unit = model.scale().to_f32();
        assert_eq!(model.connections()[0].shift(), 0);
        assert_eq!(model.connections()[1].shift(), 3);
        for (l, connection) in model.connections().iter().enumerate() {
            let half = 0.5 * unit * (1 << connection.shift()) as f32 * 1.0001;
            for i in 0..connection.lower() {
                for j in 0..connection.upper() {
                    let real = connection.weight(i, j) as f32 * unit;
                    let error = (real - parameters.weights()[l][i * connection.upper() + j]).abs();
                    assert!(error <= half, "weight.{l} {i},{j}: {error} > {half}");
                }
            }
        }
        for (bias, exact) in model.biases().iter().zip(parameters.biases()) {
            for (b, exact) in bias.iter().zip(exact) {
                assert!((*b as f32 * unit - exact).abs() <= 0.5001 * unit);
            }
        }
    }

    #[test]
    fn numbers_are_rounded_half_away_from_zero() {
        let halves = (-600..600).map(|i| i as f32 * 0.5);
        for x in halves.flat_map(|x| [x, x.next_up(), x.next_down()]).chain([0.499_999_97, -0.499_999_97, 1e9, -1e9]) {
            assert_eq!(rounded(x, 127.0), x.round().clamp(-127.0, 127.0), "{x}");
        }
    }

    #[test]
    fn a_zero_matrix_and_huge_weights() {
        assert!(Quantised::<i16>::new(&parameters([0.0, 1.0])).is_ok());
        assert!(Quantised::<i16>::new(&parameters([0.0, 0.0])).is_ok());
        let error = Quantised::<i8>::new(&parameters([1.0, 1e6])).unwrap_err();
        assert!(matches!(error, QuantiseError::TooLarge { .. }), "{error}");
    }
}
