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
    let mut row = matrix.as_ptr();
    for block in blocks {
        // SAFETY: there are no more fields than rows, and no unit is beyond a row.
        unsafe {
            some(row, stride, flips, shift, block, place, weight);
            row = row.add(ROWS * stride);
        }
    }
    for field in rest {
        let mut sum = 0i32;
        // SAFETY: as above.
        unsafe {
            for &unit in flips.on() {
                let (item, up) = place(unit as usize);
                sum = sum.plus(weight(*row.add(item), up));
            }
            for &unit in flips.off() {
                let (item, up) = place(unit as usize);
                sum = sum.minus(weight(*row.add(item), up));
            }
            row = row.add(stride);
        }
        *field = field.plus(sum << shift);
    }
}

/// Adds to the fields of [`ROWS`] rows. Their sums are named one by one: a compiler that saves space would keep an array of
/// them in memory.
///
/// # Safety
/// There are as many rows from `row` on, and every unit's item is within a row.
#[cfg(not(thumb1))]
#[inline(always)]
unsafe fn some<P: Copy>(
    row: *const P,
    stride: usize,
    flips: &Flips,
    shift: u32,
    fields: &mut [i32; ROWS],
    place: impl Fn(usize) -> (usize, u32),
    weight: impl Fn(P, u32) -> i32,
) {
    let (mut a, mut b, mut c, mut d) = (0i32, 0i32, 0i32, 0i32);
    // SAFETY: the caller's.
    unsafe {
        let [first, second, third, fourth] = [row, row.add(stride), row.add(2 * stride), row.add(3 * stride)];
        for &unit in flips.on() {
            let (item, up) = place(unit as usize);
            a = a.plus(weight(*first.add(item), up));
            b = b.plus(weight(*second.add(item), up));
            c = c.plus(weight(*third.add(item), up));
            d = d.plus(weight(*fourth.add(item), up));
        }
        for &unit in flips.off() {
            let (item, up) = place(unit as usize);
            a = a.minus(weight(*first.add(item), up));
            b = b.minus(weight(*second.add(item), up));
            c = c.minus(weight(*third.add(item), up));
            d = d.minus(weight(*fourth.add(item), up));
        }
    }
    let [i, j, k, l] = *fields;
    *fields = [i.plus(a << shift), j.plus(b << shift), k.plus(c << shift), l.plus(d << shift)];
}

/// The same for two rows: a Thumb-1 processor has registers for no more.
///
/// # Safety
/// There are as many rows from `row` on, and every unit's item is within a row.
#[cfg(thumb1)]
#[inline(always)]
unsafe fn some<P: Copy>(
    row: *const P,
    stride: usize,
    flips: &Flips,
    shift: u32,
    fields: &mut [i32; ROWS],
    place: impl Fn(usize) -> (usize, u32),
    weight: impl Fn(P, u32) -> i32,
) {
    let (mut a, mut b) = (0i32, 0i32);
    // SAFETY: the caller's.
    unsafe {
        let next = row.add(stride);
        for &unit in flips.on() {
            let (item, up) = place(unit as usize);
            a = a.plus(weight(*row.add(item), up));
            b = b.plus(weight(*next.add(item), up));
        }
        for &unit in flips.off() {
            let (item, up) = place(unit as usize);
            a = a.minus(weight(*row.add(item), up));
            b = b.minus(weight(*next.add(item), up));
        }
    }
    let [i, j] = *fields;
    *fields = [i.plus(a << shift), j.plus(b << shift)];
}
