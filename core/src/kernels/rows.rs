//! Flipped lower units: their rows are added to the fields above, several rows at a time.
//!
//! A few columns are summed over all rows in registers, then their fields are moved once.

use super::flips::Flips;
use crate::weights::{Field as _, Weight};

/// Adds flipped rows of weights of `BITS` bits, 4 or 8, that begin on words, `stride` words apart.
///
/// With its top bit flipped, a weight w is the unsigned w + 2^(BITS−1); with all others flipped, it is
/// 2^(BITS−1) − 1 − w. So rows to add and rows to subtract are all sums of unsigned numbers: every second one in a lane of
/// 2·BITS bits. What was added too much is known from the numbers of rows.
///
/// # Safety
/// Every flipped unit has its row, and a row a weight for each field.
pub(super) unsafe fn words<const BITS: u32>(
    matrix: *const u32,
    stride: usize,
    flips: &Flips,
    shift: u32,
    fields: &mut [i32],
) {
    const { assert!(BITS == 4 || BITS == 8) };
    let per_word = 32 / BITS as usize;
    let (mut on, mut off) = (flips.on(), flips.off());
    while !on.is_empty() || !off.is_empty() {
        // As many rows as a lane can sum: 2^BITS times 2^BITS − 1 fits.
        let (plus, more) = on.split_at(on.len().min(1 << BITS));
        let (minus, less) = off.split_at(off.len().min((1 << BITS) - plus.len()));
        (on, off) = (more, less);
        let bias = (plus.len() << (BITS - 1)) as u32 + minus.len() as u32 * ((1 << (BITS - 1)) - 1);
        let mut at = matrix;
        for fields in fields.chunks_mut(per_word) {
            // SAFETY: the caller's: a row has a word for every block of fields.
            let lanes = unsafe {
                let lanes =
                    sum::<BITS>(Lanes::default(), at, stride, plus, if BITS == 8 { 0x8080_8080 } else { 0x8888_8888 });
                at = at.add(1);
                sum::<BITS>(lanes, at.sub(1), stride, minus, if BITS == 8 { 0x7F7F_7F7F } else { 0x7777_7777 })
            };
            lanes.settle::<BITS>(bias, shift, fields);
        }
    }
}

/// Sums of words whose lanes are too narrow for them: of whole words, and of the odd lanes by themselves.
#[derive(Clone, Copy, Default)]
struct Lanes {
    all: u32,
    odd: u32,
}

/// Adds words of some rows, with some bits flipped, to sums.
///
/// # Safety
/// For each unit there is a word as many strides from `at` on.
#[inline(always)]
unsafe fn sum<const BITS: u32>(mut sums: Lanes, at: *const u32, stride: usize, units: &[u32], flip: u32) -> Lanes {
    let keep = if BITS == 8 { 0x00FF_00FF } else { 0x0F0F_0F0F };
    for &unit in units {
        // SAFETY: the caller's.
        let word = unsafe { *at.add(unit as usize * stride) } ^ flip;
        sums.all = sums.all.wrapping_add(word);
        sums.odd = sums.odd.wrapping_add(word >> BITS & keep);
    }
    sums
}

impl Lanes {
    /// Moves the fields of the lanes, by each sum less a bias.
    #[inline(always)]
    fn settle<const BITS: u32>(self, bias: u32, shift: u32, fields: &mut [i32]) {
        // As a number, `all` is even + odd·2^BITS, whatever was carried from lane to lane.
        let (odd, even) = (self.odd, self.all.wrapping_sub(self.odd << BITS));
        let (mut next, mut other) = (even, odd);
        for field in fields {
            let sum = (next & ((1 << (2 * BITS)) - 1)).wrapping_sub(bias) as i32;
            *field = field.plus(sum << shift);
            (next, other) = (other, next >> (2 * BITS));
        }
    }
}

/// Adds flipped rows of integers of any size and place.
///
/// # Safety
/// As [`words`]'s.
pub(super) unsafe fn plain<W: Weight<Field = i32, Packed = W>>(
    matrix: *const W,
    stride: usize,
    flips: &Flips,
    shift: u32,
    fields: &mut [i32],
) {
    let (fours, rest) = fields.as_chunks_mut::<4>();
    let mut at = matrix;
    // SAFETY: the caller's: columns end with the fields.
    unsafe {
        for four in fours {
            let (mut a, mut b, mut c, mut d) = (0i32, 0i32, 0i32, 0i32);
            for &unit in flips.on() {
                let [i, j, k, l] = *at.add(unit as usize * stride).cast::<[W; 4]>();
                (a, b, c, d) = (a.plus(i.widen(0)), b.plus(j.widen(0)), c.plus(k.widen(0)), d.plus(l.widen(0)));
            }
            for &unit in flips.off() {
                let [i, j, k, l] = *at.add(unit as usize * stride).cast::<[W; 4]>();
                (a, b, c, d) = (a.minus(i.widen(0)), b.minus(j.widen(0)), c.minus(k.widen(0)), d.minus(l.widen(0)));
            }
            let [i, j, k, l] = *four;
            *four = [i.plus(a << shift), j.plus(b << shift), k.plus(c << shift), l.plus(d << shift)];
            at = at.add(4);
        }
        for field in rest {
            let mut sum = 0i32;
            for &unit in flips.on() {
                sum = sum.plus((*at.add(unit as usize * stride)).widen(0));
            }
            for &unit in flips.off() {
                sum = sum.minus((*at.add(unit as usize * stride)).widen(0));
            }
            *field = field.plus(sum << shift);
            at = at.add(1);
        }
    }
}
