//! Every lower unit with every upper unit.

use super::Connection;
use crate::{
    bits::ones,
    kernels,
    weights::{Field as _, Weight},
};

/// A dense matrix, borrowed: from flash, from a file's bytes, from a `Vec`.
#[derive(Clone, Copy, Debug)]
pub struct Dense<'w, W> {
    weights: &'w [W],
    lower: usize,
    upper: usize,
    shift: u32,
}

impl<'w, W: Weight> Dense<'w, W> {
    /// A matrix of `lower` rows of `upper` weights each. An integer weight `w` stands for `w << shift`; `f32` weights
    /// ignore the shift. `None` if the number of weights is not `lower × upper`, the matrix is empty, or the shift is
    /// above [`MAX_SHIFT`].
    pub fn new(weights: &'w [W], lower: usize, upper: usize, shift: u32) -> Option<Self> {
        let right = !weights.is_empty() && lower.checked_mul(upper) == Some(weights.len()) && shift <= MAX_SHIFT;
        right.then_some(Self { weights, lower, upper, shift })
    }

    /// The weights, row by row.
    pub fn weights(&self) -> &'w [W] {
        self.weights
    }

    /// Bits by which an integer weight is shifted to the left.
    pub fn shift(&self) -> u32 {
        self.shift
    }

    fn row(&self, unit: usize) -> &'w [W] {
        self.weights.get(unit * self.upper..(unit + 1) * self.upper).unwrap_or(&[])
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
        self.row(lower)[upper].widen(self.shift)
    }

    fn add_to_upper(&self, lower_bits: &[u32], upper_fields: &mut [W::Field]) {
        for unit in ones(lower_bits) {
            self.flip_lower(unit, true, upper_fields);
        }
    }

    fn add_to_lower(&self, upper_bits: &[u32], lower_fields: &mut [W::Field]) {
        for (field, row) in lower_fields.iter_mut().zip(self.weights.chunks_exact(self.upper)) {
            *field = field.plus(kernels::masked_sum(row, upper_bits, self.shift));
        }
    }

    fn flip_lower(&self, unit: usize, on: bool, upper_fields: &mut [W::Field]) {
        kernels::add_row(upper_fields, self.row(unit), self.shift, on);
    }

    fn flip_upper(&self, unit: usize, on: bool, lower_fields: &mut [W::Field]) {
        kernels::add_column(lower_fields, self.weights, self.upper, unit, self.shift, on);
    }

    fn bounds(&self) -> (u64, u64) {
        let one = W::MAX_MAGNITUDE << self.shift;
        (self.lower as u64 * one, self.upper as u64 * one)
    }

    fn is_finite(&self) -> bool {
        self.weights.iter().all(|weight| weight.widen(0).is_finite())
    }
}
