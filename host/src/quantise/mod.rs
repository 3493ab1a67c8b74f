//! Float parameters to integers.
//!
//! Every matrix gets a step, and its integers count steps. The model's scale is at most the finest of these steps, and all
//! of them are powers of two times it, so that one integer unit means the same everywhere and a device only shifts. Biases
//! are integers of 32 bits in units of the scale. Where sums in so fine a unit could overflow 32 bits, the scale is doubled
//! until they cannot.
//!
//! | rule | steps | for |
//! |---|---|---|
//! | [`Quantised::new`] | from the weights: with 16 and 8 bits the finest that hold the largest weight, with 4 bits those of least squared error, which cut the largest weights off | chains that learn, and the export of what they learnt: the same parameters always give the same integers |
//! | [`Quantised::calibrated`] | those with which units behave most alike on data; the biases make good what the fields are off by in the mean | the export of what was learnt with other weights |

mod calibrate;
mod steps;

use bitboltz_core::{
    connection::MAX_SHIFT,
    fixed::Scale,
    image::Geometry,
    model::{DenseDbm, ModelError, check_sums},
    weights::{I4, WeightKind},
};
use rayon::prelude::*;
use thiserror::Error;

use self::steps::Steps;
pub use self::{calibrate::CalibrateError, steps::Magnitudes};
use crate::{
    batch::{
        TileWeight,
        kernels::{Lane, portable::WHOLE},
    },
    image::{TooLarge, encode},
    parameters::Parameters,
    tensors::Tensors,
};

/// A type of integer weights.
pub trait IntegerWeight: Send + Sync + 'static {
    /// What holds one in chains.
    type Held: TileWeight<Field = i32> + Lane;
    /// The type's number in an image.
    const KIND: WeightKind;
    /// Largest weight: the range is symmetric, so that a matrix and its negative round alike.
    const MAX: f32;
    /// Whether so few integers are better used with the largest weights cut off.
    const CLIPS: bool;

    /// A number already rounded and within ±[`MAX`](Self::MAX).
    fn from_rounded(rounded: f32) -> Self::Held;

    /// The image of integers of this type.
    ///
    /// # Errors
    /// [`TooLarge`].
    ///
    /// # Panics
    /// If they are no model, or beyond the type's range.
    fn image(tensors: &Tensors<Self::Held>) -> Result<Vec<u8>, TooLarge>;
}

impl IntegerWeight for i8 {
    type Held = Self;
    const KIND: WeightKind = WeightKind::I8;
    const MAX: f32 = 127.0;
    const CLIPS: bool = false;

    fn from_rounded(rounded: f32) -> Self {
        (rounded + WHOLE).to_bits() as Self
    }

    fn image(tensors: &Tensors<Self>) -> Result<Vec<u8>, TooLarge> {
        encode(&tensors.dbm().expect("integers that are a model"), tensors.geometry)
    }
}

impl IntegerWeight for i16 {
    type Held = Self;
    const KIND: WeightKind = WeightKind::I16;
    const MAX: f32 = 32_767.0;
    const CLIPS: bool = false;

    fn from_rounded(rounded: f32) -> Self {
        (rounded + WHOLE).to_bits() as Self
    }

    fn image(tensors: &Tensors<Self>) -> Result<Vec<u8>, TooLarge> {
        encode(&tensors.dbm().expect("integers that are a model"), tensors.geometry)
    }
}

impl IntegerWeight for I4 {
    /// Chains hold each in a byte; an image packs two.
    type Held = i8;
    const KIND: WeightKind = WeightKind::I4;
    const MAX: f32 = 7.0;
    const CLIPS: bool = true;

    fn from_rounded(rounded: f32) -> i8 {
        (rounded + WHOLE).to_bits() as i8
    }

    fn image(tensors: &Tensors<i8>) -> Result<Vec<u8>, TooLarge> {
        let nibbles = tensors.to_nibbles().expect("integers within ±7");
        encode(&nibbles.dbm().expect("a model of bytes is one of nibbles"), tensors.geometry)
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
pub struct Quantised<W: IntegerWeight>(Tensors<W::Held>);

/// What integers are made of floats by: everything but the weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Rounding {
    /// One shift for each matrix.
    pub shifts: Vec<u32>,
    /// In units of the scale.
    pub biases: Vec<Vec<i32>>,
    /// The unit.
    pub scale: Scale,
}

impl Rounding {
    /// From the magnitudes in each matrix, and the biases: of the steps that the type's rule gives, in the finest unit in which
    /// no sum of such integers can overflow 32 bits.
    ///
    /// # Errors
    /// Weights too large for the type, or integers whose sums could overflow 32 bits whatever the scale.
    pub fn new<W: IntegerWeight>(matrices: &[Magnitudes], biases: &[Vec<f32>]) -> Result<Self, QuantiseError> {
        Self::of_steps::<W>(&Steps::new::<W>(matrices), biases)
    }

    fn of_steps<W: IntegerWeight>(Steps { steps, unit }: &Steps, biases: &[Vec<f32>]) -> Result<Self, QuantiseError> {
        let coarsest = steps.iter().copied().fold(0.0, f32::max);
        let mut unit = unit.max(f32::from_bits(SMALLEST_SCALE));
        let mut refused = None;
        while let Some(scale) = Scale::from_bits(unit.to_bits()) {
            let rounding = Self::with_scale(steps, biases, scale);
            match rounding.check::<W>() {
                Ok(()) => return Ok(rounding),
                // The bound counts units: twice the unit is half the bound.
                Err(error) => refused = Some(error),
            }
            unit *= 2.0;
        }
        Err(refused.map_or_else(
            || QuantiseError::TooLarge { largest: coarsest * W::MAX, limit: W::MAX, kind: W::KIND },
            QuantiseError::Model,
        ))
    }

    /// Whether all sums of integers of the type fit 32 bits.
    fn check<W: IntegerWeight>(&self) -> Result<(), ModelError> {
        let most = |l: usize, units: usize| units as u64 * (W::KIND.max_magnitude() << self.shifts[l]);
        self.biases.iter().enumerate().try_for_each(|(l, bias)| {
            let below = if l > 0 { most(l - 1, self.biases[l - 1].len()) } else { 0 };
            let above = self.biases.get(l + 1).map_or(0, |upper| most(l, upper.len()));
            check_sums(l, below, above, bias)
        })
    }

    /// Every matrix has the finest power of two times the scale that is no finer than its step.
    fn with_scale(steps: &[f32], biases: &[Vec<f32>], scale: Scale) -> Self {
        let unit = scale.to_f32();
        let shifts = steps.iter().map(|&step| shift(step, unit)).collect();
        let biases = biases.iter().map(|bias| bias.iter().map(|b| (b / unit).round() as i32).collect());
        Self { shifts, biases: biases.collect(), scale }
    }

    /// The nearest integer of a weight of matrix `l`.
    pub fn weight<W: IntegerWeight>(&self, l: usize) -> impl Fn(f32) -> W::Held + Copy + Send + Sync + use<W> {
        let step = self.scale.to_f32() * (1u32 << self.shifts[l]) as f32;
        move |w| W::from_rounded(rounded(w / step, W::MAX))
    }
}

impl<W: IntegerWeight> Quantised<W> {
    /// Rounds to the nearest integers, by the type's rule for steps.
    ///
    /// # Errors
    /// Weights too large for the type, or integers whose sums could overflow 32 bits whatever the scale.
    pub fn new(parameters: &Parameters) -> Result<Self, QuantiseError> {
        let magnitudes: Vec<Magnitudes> = parameters
            .weights()
            .iter()
            .map(|matrix| Magnitudes::new::<W>(largest(matrix), matrix.par_chunks(PART)))
            .collect();
        Self::of_steps(parameters, &Steps::new::<W>(&magnitudes), parameters.biases())
    }

    /// The nearest integers with these steps, and with these biases in place of the parameters' own.
    fn of_steps(parameters: &Parameters, steps: &Steps, new_biases: &[Vec<f32>]) -> Result<Self, QuantiseError> {
        let rounding = Rounding::of_steps::<W>(steps, new_biases)?;
        let integers = parameters.weights().iter().enumerate().map(|(l, floats)| {
            let weight = rounding.weight::<W>(l);
            floats.par_iter().with_min_len(PART).map(|&float| weight(float)).collect()
        });
        let integers = integers.collect();
        let Rounding { shifts, biases, scale } = rounding;
        Ok(Self(Tensors::within(W::KIND, integers, shifts, biases, scale, parameters.geometry())?))
    }

    /// The core's model over these integers, each in what holds it in chains.
    ///
    /// # Errors
    /// Sums that could overflow 32 bits; never, once [`new`](Self::new) has succeeded.
    pub fn dbm(&self) -> Result<DenseDbm<'_, W::Held>, ModelError> {
        self.0.dbm()
    }

    /// The model's image.
    ///
    /// # Errors
    /// [`TooLarge`].
    pub fn image(&self) -> Result<Vec<u8>, TooLarge> {
        W::image(&self.0)
    }

    /// How the visible units make up a picture.
    pub fn geometry(&self) -> Geometry {
        self.0.geometry
    }

    /// The integers.
    pub fn tensors(&self) -> &Tensors<W::Held> {
        &self.0
    }
}

/// The smallest shift whose step of `unit` · 2^shift is at least `step`. Doubling is exact, which no logarithm is.
fn shift(step: f32, unit: f32) -> u32 {
    (0..MAX_SHIFT).find(|&shift| unit * (1u32 << shift) as f32 >= step).unwrap_or(MAX_SHIFT)
}

/// Bits of 2⁻²⁴, the smallest scale of an image.
const SMALLEST_SCALE: u32 = 0x3380_0000;

/// Weights that one task rounds or counts.
pub(crate) const PART: usize = 1 << 14;

/// The largest magnitude.
pub(crate) fn largest(matrix: &[f32]) -> f32 {
    // Magnitudes are ordered as their bits are; a maximum of integers is vectorised.
    f32::from_bits(matrix.iter().fold(0, |largest, w| (w.to_bits() & 0x7FFF_FFFF).max(largest)))
}

/// The nearest integer within ±`max`, at most 2²², halves away from zero: `x.round()` in a few instructions that every
/// machine has for vectors.
fn rounded(x: f32, max: f32) -> f32 {
    let x = x.clamp(-max, max);
    // Halves go to the even neighbour; those that went towards zero go back.
    let nearest = (x + WHOLE) - WHOLE;
    if x - nearest == 0.5_f32.copysign(x) { nearest + 1_f32.copysign(x) } else { nearest }
}

#[cfg(test)]
mod tests {
    use bitboltz_core::connection::Connection as _;

    use super::*;
    use crate::{image::AlignedBytes, model_file::ModelFile, with_model};

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

    #[test]
    fn a_powers_step_is_met_exactly() {
        for unit in [1.0 / 128.0, 0.003f32, 1.0 / 3.0, 5.96e-8] {
            for exponent in 0..8 {
                let step = unit * (1u32 << exponent) as f32;
                assert_eq!(shift(step, unit), exponent);
                assert_eq!(shift(step.next_up(), unit), exponent + 1);
            }
            assert_eq!(shift(0.0, unit), 0);
        }
    }

    fn constant(widths: &[usize], weights: &[f32], bias: f32) -> Parameters {
        let matrices = widths.windows(2).zip(weights).map(|(pair, &w)| vec![w; pair[0] * pair[1]]).collect();
        let biases = widths.iter().map(|&width| vec![bias; width]).collect();
        Parameters::new(matrices, biases, Geometry::default()).unwrap()
    }

    #[test]
    fn nibbles_are_bounded_as_nibbles() {
        // 600 · 2³ · 2¹⁵ + 600 · 2³ fits 31 bits, 600 · 2⁷ · 2¹⁵ does not.
        let parameters = constant(&[600, 2, 600], &[0.5, 0.5 / 32_768.0], 0.0);
        let quantised = Quantised::<I4>::new(&parameters).unwrap();
        assert_eq!(quantised.tensors().shifts, [15, 0]);
        assert_eq!(quantised.dbm().unwrap().connections()[0].bounds(), ((600 * 8) << 15, (2 * 8) << 15));
        let image = AlignedBytes::new(&quantised.image().unwrap());
        let image = image.image().unwrap();
        assert_eq!(Tensors::of(&image.dbm::<I4>().unwrap(), image.geometry()).expand(), *quantised.tensors());
        // As the plain bytes that they are not, they would be too large.
        let Tensors { weights, shifts, biases, scale, geometry, .. } = quantised.tensors().clone();
        let bytes = Tensors::<i8>::new(weights, shifts, biases, scale, geometry).unwrap();
        assert!(matches!(bytes.dbm(), Err(ModelError::Overflow { .. })));
        // What loads it runs on the expanded bytes.
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), quantised.image().unwrap()).unwrap();
        let file = ModelFile::load(file.path()).unwrap();
        with_model!(&file, model => assert_eq!(model.connections()[1].bounds().0, 2 * 8));
    }

    #[test]
    fn a_unit_too_fine_for_32_bits_is_doubled() {
        // With the unit of the second matrix, the first one's shift would be 7: 784 · 2¹⁵ · 2⁷ > 2³¹.
        let parameters = constant(&[784, 500, 500], &[2.0, 0.01], 1.0);
        let quantised = Quantised::<i16>::new(&parameters).unwrap();
        let Tensors { shifts, scale, weights, .. } = quantised.tensors();
        assert_eq!((&shifts[..], weights[0][0]), (&[6, 0][..], 32_767));
        let step = 2.0 / 32_767.0;
        assert_eq!(scale.to_f32(), step / 64.0);
        // Half the unit would have overflowed.
        let finer = Scale::from_bits((scale.to_f32() / 2.0).to_bits()).unwrap();
        let finer = Rounding::with_scale(&[step, 0.01 / 32_767.0], parameters.biases(), finer);
        let Tensors { weights, .. } = quantised.tensors().clone();
        let tensors =
            Tensors::<i16>::new(weights, finer.shifts, finer.biases, finer.scale, Geometry::default()).unwrap();
        assert!(tensors.dbm().is_err());

        // Biases far beyond the weights coarsen the unit too, though no shift is left to lower.
        let parameters = constant(&[3, 2], &[1e-5], 1000.0);
        let quantised = Quantised::<i16>::new(&parameters).unwrap();
        let model = quantised.dbm().unwrap();
        let unit = model.scale().to_f32();
        assert!((model.biases()[0][0] as f32 * unit - 1000.0).abs() <= 0.5 * unit + 1e-4);

        // No scale up to 1 holds this.
        let error = Quantised::<i8>::new(&constant(&[3, 2], &[1.0], 1e10)).unwrap_err();
        assert!(matches!(error, QuantiseError::Model(ModelError::Overflow { .. })), "{error}");
    }
}
