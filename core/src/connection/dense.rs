//! Every lower unit with every upper unit.

use super::{Connection, each_group};
use crate::{
    kernels::{self, Flips, Matrix},
    weights::{Field as _, Weight, WeightKind},
};

/// A dense matrix, borrowed: from flash, from a file's bytes, from a `Vec`.
#[derive(Clone, Copy, Debug)]
pub struct Dense<'w, W: Weight> {
    weights: &'w [W::Packed],
    lower: usize,
    upper: usize,
    shift: u8,
    /// Whose range bounds the weights.
    range: WeightKind,
}

impl<'w, W: Weight<Packed = W>> Dense<'w, W> {
    /// A matrix of `lower` rows of `upper` weights each, of a type that is stored as it is. An integer weight `w` stands
    /// for `w << shift`; `f32` weights ignore the shift. `None` if the number of weights is not `lower × upper`, the matrix
    /// is empty, or the shift is above [`MAX_SHIFT`].
    pub fn new(weights: &'w [W], lower: usize, upper: usize, shift: u32) -> Option<Self> {
        Self::from_packed(weights, lower, upper, shift)
    }
}

impl<'w, W: Weight> Dense<'w, W> {
    /// A matrix of `lower` rows of `upper` weights each, every row in [`packed_row`](Self::packed_row) items; otherwise
    /// as [`new`](Self::new). What pads a row's last item must be zero.
    ///
    /// ```
    /// use bitboltz_core::{connection::{Connection as _, Dense}, weights::I4};
    ///
    /// // Two rows of three nibbles: 1, −2, 3 and 4, −5, 6.
    /// let matrix = Dense::<I4>::from_packed(&[0x3E1, 0x6B4], 2, 3, 1).expect("a word a row");
    /// assert_eq!((matrix.weight(0, 1), matrix.weight(1, 2)), (-4, 12));
    /// ```
    pub fn from_packed(weights: &'w [W::Packed], lower: usize, upper: usize, shift: u32) -> Option<Self> {
        let items = lower.checked_mul(Self::packed_row(upper));
        let right = !weights.is_empty() && items == Some(weights.len()) && shift <= MAX_SHIFT;
        right.then_some(Self { weights, lower, upper, shift: shift as u8, range: W::KIND })
    }

    /// The same integers, for bounds that go by the range of another type. `None` if a weight is beyond it.
    ///
    /// ```
    /// use bitboltz_core::{connection::{Connection as _, Dense}, weights::WeightKind};
    ///
    /// // Nibbles in bytes.
    /// let matrix = Dense::<i8>::new(&[1, -8, 3], 1, 3, 2).expect("three weights");
    /// assert_eq!(matrix.within(WeightKind::I4).map(|matrix| matrix.bounds()), Some((8 << 2, 3 * 8 << 2)));
    /// ```
    pub fn within(self, range: WeightKind) -> Option<Self> {
        // Of a type's range only the lower end has the largest magnitude.
        let fits =
            |weight: W::Field| weight.magnitude() + u64::from(weight > W::Field::default()) <= range.max_magnitude();
        let within = range == W::KIND || W::unpack(self.weights).all(|weight| fits(weight.widen(0)));
        within.then_some(Self { range, ..self })
    }

    /// The type by whose range sums are bounded: the weights' own, unless [`within`](Self::within) was told another one.
    pub fn range(&self) -> WeightKind {
        self.range
    }

    /// Items that a row of `upper` weights is stored in.
    pub const fn packed_row(upper: usize) -> usize {
        upper.div_ceil(W::PER_PACKED)
    }

    /// The weights, row by row, as they are stored.
    pub fn weights(&self) -> &'w [W::Packed] {
        self.weights
    }

    /// Bits by which an integer weight is shifted to the left.
    pub fn shift(&self) -> u32 {
        self.shift.into()
    }

    fn stride(&self) -> usize {
        Self::packed_row(self.upper)
    }

    fn matrix(&self) -> Matrix<'w, W::Packed> {
        Matrix { items: self.weights, stride: self.stride(), shift: self.shift() }
    }

    fn row(&self, unit: usize) -> &'w [W::Packed] {
        self.weights.get(unit * self.stride()..(unit + 1) * self.stride()).unwrap_or(&[])
    }
}

/// Largest shift of an integer matrix.
pub const MAX_SHIFT: u32 = 15;

impl<W: Weight> Connection for Dense<'_, W> {
    type Field = W::Field;

    fn lower(&self) -> usize {
        self.lower
    }

    fn upper(&self) -> usize {
        self.upper
    }

    fn weight(&self, lower: usize, upper: usize) -> W::Field {
        assert!(lower < self.lower && upper < self.upper, "no weight ({lower}, {upper})");
        W::get(self.row(lower), upper).map_or_else(W::Field::default, |weight| weight.widen(self.shift()))
    }

    fn move_upper(&self, lower: &Flips, upper_fields: &mut [W::Field]) {
        let fields = upper_fields.len().min(self.upper);
        kernels::move_upper::<W>(self.matrix(), lower, upper_fields.get_mut(..fields).unwrap_or_default());
    }

    fn move_lower(&self, upper: &Flips, lower_fields: &mut [W::Field]) {
        kernels::move_lower::<W>(self.matrix(), upper, lower_fields);
    }

    fn add_to_lower(&self, upper_bits: &[u32], lower_fields: &mut [W::Field]) {
        if W::KIND != WeightKind::F32 {
            return each_group(upper_bits, |flips| self.move_lower(flips, lower_fields));
        }
        // Floats sum each row first and then move its field: another order would round otherwise.
        for (field, row) in lower_fields.iter_mut().zip(self.weights.chunks_exact(self.stride())) {
            *field = field.plus(kernels::masked_sum::<W>(row, upper_bits, self.shift()));
        }
    }

    fn bounds(&self) -> (u64, u64) {
        let one = self.range.max_magnitude() << self.shift;
        (self.lower as u64 * one, self.upper as u64 * one)
    }

    fn is_finite(&self) -> bool {
        W::unpack(self.weights).all(|weight| weight.widen(0).is_finite())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_ends_at_its_types_own_numbers() {
        let fits = |weight: i16, range| Dense::new(&[weight], 1, 1, 0).unwrap().within(range).is_some();
        for (range, end) in [(WeightKind::I4, 8), (WeightKind::I8, 128)] {
            assert!(fits(-end, range) && fits(0, range) && fits(end - 1, range), "{range}");
            assert!(!fits(-end - 1, range) && !fits(end, range), "{range}");
        }
        assert!(fits(i16::MIN, WeightKind::I16) && fits(i16::MAX, WeightKind::I16));
    }
}
