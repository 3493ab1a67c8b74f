//! The kernels in plain Rust, for every target and every weight type.

use super::{Flips, Matrix};
use crate::{
    bits::ones,
    weights::{Field, Weight},
};

/// Adds (`on`) or subtracts a row of weights to the fields above it: `fields[j] ± row[j]`.
///
/// Stops at the shorter of the two.
#[inline]
pub fn add_row<W: Weight>(fields: &mut [W::Field], row: &[W::Packed], shift: u32, on: bool) {
    // Two loops, so that the compiler sees a plain addition or subtraction in each.
    let pairs = fields.iter_mut().zip(W::unpack(row));
    if on {
        pairs.for_each(|(field, weight)| *field = field.plus(weight.widen(shift)));
    } else {
        pairs.for_each(|(field, weight)| *field = field.minus(weight.widen(shift)));
    }
}

/// Adds (`on`) or subtracts a column of weights to the fields below it: `fields[i] ± rows[i][column]`.
///
/// `stride` is the number of items from one row to the next. Stops at the shorter of fields and rows.
///
/// # Panics
/// If `stride` is 0.
#[inline]
pub fn add_column<W: Weight>(
    fields: &mut [W::Field],
    rows: &[W::Packed],
    stride: usize,
    column: usize,
    shift: u32,
    on: bool,
) {
    let pairs = fields.iter_mut().zip(rows.chunks_exact(stride));
    let pairs = pairs.filter_map(|(field, row)| Some((field, W::get(row, column)?)));
    if on {
        pairs.for_each(|(field, weight)| *field = field.plus(weight.widen(shift)));
    } else {
        pairs.for_each(|(field, weight)| *field = field.minus(weight.widen(shift)));
    }
}

/// Sum of the weights of a row whose bits are on, ascending: `Σ_j row[j] x_j`.
///
/// Bits beyond the row must be zero.
#[inline]
pub fn masked_sum<W: Weight>(row: &[W::Packed], bits: &[u32], shift: u32) -> W::Field {
    ones(bits).filter_map(|j| W::get(row, j)).fold(W::Field::default(), |sum, weight| sum.plus(weight.widen(shift)))
}

/// Adds or subtracts the rows of lower units that flipped, one after the other, ascending.
pub fn move_upper<W: Weight>(matrix: Matrix<'_, W::Packed>, flips: &Flips, fields: &mut [W::Field]) {
    let Matrix { items, stride, shift } = matrix;
    for (unit, on) in flips.ascending() {
        add_row::<W>(fields, items.get(unit * stride..(unit + 1) * stride).unwrap_or(&[]), shift, on);
    }
}

/// Adds or subtracts the columns of upper units that flipped, one after the other, ascending.
pub fn move_lower<W: Weight>(matrix: Matrix<'_, W::Packed>, flips: &Flips, fields: &mut [W::Field]) {
    let Matrix { items, stride, shift } = matrix;
    for (unit, on) in flips.ascending() {
        add_column::<W>(fields, items, stride.max(1), unit, shift, on);
    }
}

/// The bits of up to a word of units: which of them are on where the energy is lowest. Bits beyond the units are on.
pub fn modes<F: Field>(fields: &[F]) -> u32 {
    // From the last unit on, so that every bit comes in at the lowest place; off as 1, which is the sign of an integer.
    let off = |word: u32, field: F| word << 1 | u32::from(!field.is_on());
    let (rest, eights) = fields.as_rchunks::<8>();
    let word = eights.iter().rev().fold(0, |word, &[a, b, c, d, e, f, g, h]| {
        off(off(off(off(off(off(off(off(word, h), g), f), e), d), c), b), a)
    });
    !rest.iter().rev().fold(word, |word, &field| off(word, field))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_columns_and_sums_agree_with_the_matrix() {
        // 2 lower × 3 upper units.
        let weights: [i8; 6] = [1, -2, 3, -128, 5, 127];
        let mut upper = [10, 20, 30];
        add_row::<i8>(&mut upper, &weights[3..], 1, true);
        assert_eq!(upper, [10 - 256, 30, 30 + 254]);
        add_row::<i8>(&mut upper, &weights[3..], 1, false);
        assert_eq!(upper, [10, 20, 30]);

        let mut lower = [0, 0];
        add_column::<i8>(&mut lower, &weights, 3, 2, 0, true);
        assert_eq!(lower, [3, 127]);
        add_column::<i8>(&mut lower, &weights, 3, 0, 0, false);
        assert_eq!(lower, [2, 255]);

        assert_eq!(masked_sum::<i8>(&weights[..3], &[0b101], 2), 16);
        assert_eq!(masked_sum::<f32>(&[0.5, 0.25], &[0b11], 0), 0.75);
    }
}
