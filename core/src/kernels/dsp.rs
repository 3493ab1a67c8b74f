//! Rows of bytes by the DSP extension of Cortex-M4, M7 and M33: two sums in a register, four weights in three instructions.

use core::arch::asm;

use super::{flips::Flips, rows};
use crate::weights::Field as _;

/// Adds bytes 0 and 2 of `word`, with their signs, to the halves of `sums`.
#[inline(always)]
fn add_even(sums: u32, word: u32) -> u32 {
    let result: u32;
    // SAFETY: one instruction on registers; `arm_dsp` is set only where it exists.
    unsafe {
        asm!("sxtab16 {r}, {s}, {w}", r = lateout(reg) result, s = in(reg) sums, w = in(reg) word,
             options(pure, nomem, nostack, preserves_flags));
    }
    result
}

/// Adds bytes 1 and 3 of `word`, with their signs, to the halves of `sums`.
#[inline(always)]
fn add_odd(sums: u32, word: u32) -> u32 {
    let result: u32;
    // SAFETY: as in `add_even`.
    unsafe {
        asm!("sxtab16 {r}, {s}, {w}, ror #8", r = lateout(reg) result, s = in(reg) sums, w = in(reg) word,
             options(pure, nomem, nostack, preserves_flags));
    }
    result
}

/// The negative of both halves.
#[inline(always)]
fn negate(sums: u32) -> u32 {
    let result: u32;
    // SAFETY: as in `add_even`; the flags that it sets are no flags of the condition codes.
    unsafe {
        asm!("ssub16 {r}, {z}, {s}", r = lateout(reg) result, z = in(reg) 0, s = in(reg) sums,
             options(pure, nomem, nostack));
    }
    result
}

/// Adds flipped rows of bytes, wherever they begin: eight columns at a time, then four, then one.
pub(super) fn bytes(matrix: &[i8], stride: usize, flips: &Flips, shift: u32, fields: &mut [i32]) {
    let end = fields.len().min(stride);
    let fields = fields.get_mut(..end).unwrap_or_default();
    let found = rows::Offsets::new(flips, stride, matrix.len());
    let (eights, rest) = fields.as_chunks_mut::<8>();
    let mut column = 0;
    for eight in eights {
        let mut sums = [0; 4];
        let mut add = |offsets: &[u32]| {
            for &offset in offsets {
                // SAFETY: `Offsets` keeps offset + stride within the matrix, and column + 8 is at most stride. These cores
                // read words at any address.
                let [low, high] =
                    unsafe { matrix.as_ptr().add(offset as usize + column).cast::<[u32; 2]>().read_unaligned() };
                sums[0] = add_even(sums[0], low);
                sums[1] = add_odd(sums[1], low);
                sums[2] = add_even(sums[2], high);
                sums[3] = add_odd(sums[3], high);
            }
            // At most 32 rows: 4,096 fits a half.
        };
        add(found.off());
        if !found.off().is_empty() {
            sums = sums.map(negate);
        }
        let mut add = |offsets: &[u32]| {
            for &offset in offsets {
                // SAFETY: as above.
                let [low, high] =
                    unsafe { matrix.as_ptr().add(offset as usize + column).cast::<[u32; 2]>().read_unaligned() };
                sums[0] = add_even(sums[0], low);
                sums[1] = add_odd(sums[1], low);
                sums[2] = add_even(sums[2], high);
                sums[3] = add_odd(sums[3], high);
            }
        };
        add(found.on());
        for (half, four) in eight.as_chunks_mut::<4>().0.iter_mut().enumerate() {
            let [even, odd] = [sums[2 * half], sums[2 * half + 1]];
            let low = |sums: u32| i32::from(sums as i16) << shift;
            let high = |sums: u32| (sums as i32 >> 16) << shift;
            let moves = [low(even), low(odd), high(even), high(odd)];
            four.iter_mut().zip(moves).for_each(|(field, sum)| *field = field.plus(sum));
        }
        column += 8;
    }
    rows::plain_from(matrix, stride, &found, shift, column, rest);
}
