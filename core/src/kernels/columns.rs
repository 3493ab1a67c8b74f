//! Flipped upper units: their columns are added to the fields below, some rows at a time.
//!
//! A row's weights of all flipped units are summed in a register, then its field is moved once. Some rows go together, so
//! that a unit's number is read once for all of them.

use super::flips::Flips;
use crate::weights::{Field as _, I4, Weight};

/// Adds flipped columns of integers that are stored as they are.
///
/// # Safety
/// The matrix has a row of `stride` items for each field, and no flipped unit is beyond a row.
pub(super) unsafe fn plain<W: Weight<Field = i32, Packed = W>>(
    matrix: *const W,
    stride: usize,
    flips: &Flips,
    shift: u32,
    fields: &mut [i32],
) {
    // SAFETY: the caller's.
    unsafe { each(matrix, stride, flips, shift, fields, |unit| (unit, 0), |weight, _| weight.widen(0)) }
}

/// Adds flipped columns of nibbles.
///
/// # Safety
/// As [`plain`]'s, with rows of `stride` words.
pub(super) unsafe fn nibbles(matrix: *const u32, stride: usize, flips: &Flips, shift: u32, fields: &mut [i32]) {
    let place = |unit: usize| (unit / I4::PER_WORD, 28 - 4 * (unit % I4::PER_WORD) as u32);
    // SAFETY: the caller's.
    unsafe { each(matrix, stride, flips, shift, fields, place, |word, up| (word << up) as i32 >> 28) }
}

/// Walks the rows of a matrix. `place` says in which item of a row a unit's weight is, and `weight` takes it out of the
/// item.
///
/// # Safety
/// There are as many rows as fields, `stride` items apart, and every unit's item is within a row.
#[inline(always)]
unsafe fn each<P: Copy>(
    matrix: *const P,
    stride: usize,
    flips: &Flips,
    shift: u32,
    fields: &mut [i32],
    place: impl Fn(usize) -> (usize, u32) + Copy,
    weight: impl Fn(P, u32) -> i32 + Copy,
) {
    let (blocks, rest) = fields.as_chunks_mut::<ROWS>();
    let mut row = matrix;
    // SAFETY: the caller's.
    unsafe {
        for block in blocks {
            some(row, stride, flips, shift, block, place, weight);
            row = row.add(ROWS * stride);
        }
        for field in rest {
            one(row, stride, flips, shift, core::array::from_mut(field), place, weight);
            row = row.add(stride);
        }
    }
}

/// A function that adds to the fields of some rows. Their sums and addresses are named one by one: a compiler that saves
/// space would keep an array of them in memory.
macro_rules! rows {
    ($name:ident, $count:expr; $($index:literal: $sum:ident $row:ident $field:ident),*) => {
        /// # Safety
        /// There are as many rows from `row` on, and every unit's item is within a row.
        #[inline(always)]
        unsafe fn $name<P: Copy>(
            row: *const P,
            stride: usize,
            flips: &Flips,
            shift: u32,
            [$($field),*]: &mut [i32; $count],
            place: impl Fn(usize) -> (usize, u32),
            weight: impl Fn(P, u32) -> i32,
        ) {
            $(let mut $sum = 0i32;)*
            // SAFETY: the caller's.
            unsafe {
                $(let $row = row.add($index * stride);)*
                for &unit in flips.on() {
                    let (item, up) = place(unit as usize);
                    $($sum = $sum.plus(weight(*$row.add(item), up));)*
                }
                for &unit in flips.off() {
                    let (item, up) = place(unit as usize);
                    $($sum = $sum.minus(weight(*$row.add(item), up));)*
                }
            }
            $(*$field = $field.plus($sum << shift);)*
        }
    };
}

rows!(one, 1; 0: a first i);

/// Rows that go together: as many as the registers hold sums and addresses for.
#[cfg(not(thumb1))]
const ROWS: usize = 4;
#[cfg(not(thumb1))]
rows!(some, ROWS; 0: a first i, 1: b second j, 2: c third k, 3: d fourth l);

/// Rows that go together: a Thumb-1 processor has registers for no more.
#[cfg(thumb1)]
const ROWS: usize = 2;
#[cfg(thumb1)]
rows!(some, ROWS; 0: a first i, 1: b second j);
