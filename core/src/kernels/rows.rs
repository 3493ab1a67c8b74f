//! Flipped lower units: their rows are added to the fields above, several rows at a time.
//!
//! A few columns are summed over all rows in registers, then their fields are moved once.

use super::flips::{Flips, MOST};
use crate::weights::{Field as _, Weight};

/// The rows of a matrix that flipped, as offsets of their first items; rows beyond the matrix are left out.
pub(super) struct Offsets {
    offsets: [u32; MOST],
    on: usize,
    end: usize,
}

impl Offsets {
    /// Offsets in a matrix of `length` items whose rows are `stride` items apart.
    #[inline(never)]
    pub(super) fn new(flips: &Flips, stride: usize, length: usize) -> Self {
        let (mut offsets, mut end) = ([0; MOST], 0);
        let mut add = |units: &[u32]| {
            for &unit in units {
                let first = (unit as usize).checked_mul(stride);
                let within = first.filter(|first| first.checked_add(stride).is_some_and(|end| end <= length));
                let first = within.and_then(|first| u32::try_from(first).ok());
                if let (Some(first), Some(place)) = (first, offsets.get_mut(end)) {
                    *place = first;
                    end += 1;
                }
            }
            end
        };
        let on = add(flips.on());
        let end = add(flips.off());
        Self { offsets, on, end }
    }

    /// Of the rows to add.
    pub(super) fn on(&self) -> &[u32] {
        self.offsets.get(..self.on).unwrap_or(&[])
    }

    /// Of the rows to subtract.
    pub(super) fn off(&self) -> &[u32] {
        self.offsets.get(self.on..self.end).unwrap_or(&[])
    }
}

/// Adds flipped rows of weights of `BITS` bits, 4 or 8, that begin on words, `stride` words apart.
///
/// With its top bit flipped, a weight w is the unsigned w + 2^(BITS−1); with all others flipped, it is
/// 2^(BITS−1) − 1 − w. So rows to add and rows to subtract are all sums of unsigned numbers: every second one in a lane of
/// 2·BITS bits. What was added too much is known from the numbers of rows.
pub(super) fn words<const BITS: u32>(matrix: &[u32], stride: usize, flips: &Flips, shift: u32, fields: &mut [i32]) {
    const { assert!(BITS == 4 || BITS == 8) };
    let (lane, keep, top) = if BITS == 8 { (16, 0x00FF_00FF, 0x8080_8080) } else { (8, 0x0F0F_0F0F, 0x8888_8888) };
    let end = fields.len().min(stride.saturating_mul(32 / BITS as usize));
    let fields = fields.get_mut(..end).unwrap_or_default();
    let rows = Offsets::new(flips, stride, matrix.len());
    let (mut on, mut off) = (rows.on(), rows.off());
    while !on.is_empty() || !off.is_empty() {
        // As many rows as a lane can sum: 2^BITS times 2^BITS − 1 fits.
        let (plus, more) = on.split_at(on.len().min(1 << BITS));
        let (minus, less) = off.split_at(off.len().min((1 << BITS) - plus.len()));
        (on, off) = (more, less);
        let bias = (plus.len() << (BITS - 1)) as u32 + minus.len() as u32 * ((1 << (BITS - 1)) - 1);
        for (block, fields) in fields.chunks_mut(32 / BITS as usize).enumerate() {
            let (mut even, mut odd) = (0u32, 0u32);
            let mut add = |offsets: &[u32], flip: u32| {
                for &offset in offsets {
                    // SAFETY: `Offsets` keeps offset + stride within the matrix, and fields were cut to stride blocks.
                    let word = unsafe { *matrix.get_unchecked(offset as usize + block) } ^ flip;
                    even = even.wrapping_add(word & keep);
                    odd = odd.wrapping_add(word >> BITS & keep);
                }
            };
            add(plus, top);
            add(minus, !top);
            // What of a lane is a sum, and which one, is known here: no loop, where a compiler that saves space would leave one.
            let sum = |lanes: u32, index: u32| {
                ((lanes >> (lane * index) & ((1 << lane) - 1)).wrapping_sub(bias) as i32) << shift
            };
            let mut moved = |column: usize, sum: i32| {
                if let Some(field) = fields.get_mut(column) {
                    *field = field.plus(sum);
                }
            };
            moved(0, sum(even, 0));
            moved(1, sum(odd, 0));
            moved(2, sum(even, 1));
            moved(3, sum(odd, 1));
            if BITS == 4 {
                moved(4, sum(even, 2));
                moved(5, sum(odd, 2));
                moved(6, sum(even, 3));
                moved(7, sum(odd, 3));
            }
        }
    }
}

/// Adds flipped rows of integers of any size and place.
pub(super) fn plain<W: Weight<Field = i32, Packed = W>>(
    matrix: &[W],
    stride: usize,
    flips: &Flips,
    shift: u32,
    fields: &mut [i32],
) {
    plain_from(matrix, stride, &Offsets::new(flips, stride, matrix.len()), shift, 0, fields);
}

/// Adds the columns from `first` on of some rows to as many fields.
pub(super) fn plain_from<W: Weight<Field = i32, Packed = W>>(
    matrix: &[W],
    stride: usize,
    rows: &Offsets,
    shift: u32,
    first: usize,
    fields: &mut [i32],
) {
    let end = fields.len().min(stride.saturating_sub(first));
    let fields = fields.get_mut(..end).unwrap_or_default();
    let (fours, rest) = fields.as_chunks_mut::<4>();
    let mut column = first;
    for four in fours {
        let (mut a, mut b, mut c, mut d) = (0i32, 0i32, 0i32, 0i32);
        // SAFETY: columns end at `stride`, and `Offsets` keeps whole rows within the matrix it was made for.
        unsafe {
            let at = matrix.as_ptr().add(column);
            for &offset in rows.on() {
                let [i, j, k, l] = *at.add(offset as usize).cast::<[W; 4]>();
                (a, b, c, d) = (a.plus(i.widen(0)), b.plus(j.widen(0)), c.plus(k.widen(0)), d.plus(l.widen(0)));
            }
            for &offset in rows.off() {
                let [i, j, k, l] = *at.add(offset as usize).cast::<[W; 4]>();
                (a, b, c, d) = (a.minus(i.widen(0)), b.minus(j.widen(0)), c.minus(k.widen(0)), d.minus(l.widen(0)));
            }
        }
        let [i, j, k, l] = *four;
        *four = [i.plus(a << shift), j.plus(b << shift), k.plus(c << shift), l.plus(d << shift)];
        column += 4;
    }
    for field in rest {
        let mut sum = 0i32;
        // SAFETY: as above.
        unsafe {
            for &offset in rows.on() {
                sum = sum.plus(matrix.get_unchecked(offset as usize + column).widen(0));
            }
            for &offset in rows.off() {
                sum = sum.minus(matrix.get_unchecked(offset as usize + column).widen(0));
            }
        }
        *field = field.plus(sum << shift);
        column += 1;
    }
}
