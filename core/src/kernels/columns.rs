//! Flipped upper units: their columns are added to the fields below, row by row.
//!
//! A row's weights of all flipped units are summed in a register, then its field is moved once. Some rows go together, so
//! that a unit's number is read once for all of them.

use super::flips::Flips;
use crate::weights::{Field as _, I4, Weight};

/// Rows that go together: as many as the registers hold sums and addresses for.
const ROWS: usize = if cfg!(thumb1) { 2 } else { 4 };

/// Adds flipped columns of integers that are stored as they are.
pub(super) fn plain<W: Weight<Field = i32, Packed = W>>(
    matrix: &[W],
    stride: usize,
    flips: &Flips,
    shift: u32,
    fields: &mut [i32],
) {
    each(matrix, stride, 1, flips, shift, fields, |unit| (unit, 0), |weight, _| weight.widen(0));
}

/// Adds flipped columns of nibbles.
pub(super) fn nibbles(matrix: &[u32], stride: usize, flips: &Flips, shift: u32, fields: &mut [i32]) {
    let place = |unit: usize| (unit / I4::PER_WORD, 28 - 4 * (unit % I4::PER_WORD) as u32);
    each(matrix, stride, I4::PER_WORD, flips, shift, fields, place, |word, up| (word << up) as i32 >> 28);
}

/// Walks the rows of a matrix, `stride` items of `per_item` weights apart. `place` says in which item of a row a unit's
/// weight is, and `weight` takes it out of the item.
#[expect(clippy::too_many_arguments, reason = "a kernel")]
#[inline(always)]
fn each<P: Copy>(
    matrix: &[P],
    stride: usize,
    per_item: usize,
    flips: &Flips,
    shift: u32,
    fields: &mut [i32],
    place: impl Fn(usize) -> (usize, u32) + Copy,
    weight: impl Fn(P, u32) -> i32 + Copy,
) {
    let beyond = |units: &[u32]| units.iter().any(|&unit| unit as usize >= stride * per_item);
    if stride == 0 || beyond(flips.on()) || beyond(flips.off()) {
        return;
    }
    let end = fields.len().min(matrix.len() / stride);
    let fields = fields.get_mut(..end).unwrap_or_default();
    let (blocks, rest) = fields.as_chunks_mut::<ROWS>();
    let mut first = 0;
    for block in blocks {
        // SAFETY: see below.
        unsafe { some(matrix, stride, first, flips, shift, block, place, weight) };
        first += ROWS * stride;
    }
    for one in rest.as_chunks_mut::<1>().0 {
        // SAFETY: there are no more fields than rows, and no unit is beyond a row.
        unsafe { some(matrix, stride, first, flips, shift, one, place, weight) };
        first += stride;
    }
}

/// Adds to the fields of `R` rows.
///
/// # Safety
/// There are `R` rows from item `first` on, and every unit's item is within a row.
#[expect(clippy::too_many_arguments, reason = "a kernel")]
#[inline(always)]
unsafe fn some<P: Copy, const R: usize>(
    matrix: &[P],
    stride: usize,
    first: usize,
    flips: &Flips,
    shift: u32,
    fields: &mut [i32; R],
    place: impl Fn(usize) -> (usize, u32),
    weight: impl Fn(P, u32) -> i32,
) {
    let mut sums = [0i32; R];
    let mut add = |units: &[u32], minus: bool| {
        for &unit in units {
            let (item, up) = place(unit as usize);
            for (row, sum) in sums.iter_mut().enumerate() {
                // SAFETY: the caller's.
                let weight = weight(unsafe { *matrix.get_unchecked(first + row * stride + item) }, up);
                *sum = if minus { sum.minus(weight) } else { sum.plus(weight) };
            }
        }
    };
    add(flips.on(), false);
    add(flips.off(), true);
    fields.iter_mut().zip(sums).for_each(|(field, sum)| *field = field.plus(sum << shift));
}
