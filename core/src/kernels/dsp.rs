//! Rows of bytes by the DSP extension of Cortex-M4, M7 and M33: two sums in a register, four weights in three instructions.
//!
//! Elsewhere the instructions are imitated, for tests alone.

use super::{flips::Flips, rows};
use crate::weights::Field as _;
use instructions::{add_even, add_odd, negate};

#[cfg(arm_dsp)]
mod instructions {
    use core::arch::asm;

    /// Adds bytes 0 and 2 of `word`, with their signs, to the halves of `sums`.
    #[inline(always)]
    pub(super) fn add_even(sums: u32, word: u32) -> u32 {
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
    pub(super) fn add_odd(sums: u32, word: u32) -> u32 {
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
    pub(super) fn negate(sums: u32) -> u32 {
        let result: u32;
        // SAFETY: as in `add_even`; the flags that it sets are no flags of the condition codes.
        unsafe {
            asm!("ssub16 {r}, {z}, {s}", r = lateout(reg) result, z = in(reg) 0, s = in(reg) sums,
                 options(pure, nomem, nostack));
        }
        result
    }
}

/// The same in plain Rust.
#[cfg(not(arm_dsp))]
mod instructions {
    /// `sxtab16`: each half plus the signed low byte of the other word's half.
    pub(super) fn add_even(sums: u32, word: u32) -> u32 {
        let half = |up: u32| ((sums >> up) as u16).wrapping_add_signed(i16::from((word >> up) as i8));
        u32::from(half(0)) | u32::from(half(16)) << 16
    }

    /// `sxtab16` with the word rotated to the right by a byte.
    pub(super) fn add_odd(sums: u32, word: u32) -> u32 {
        add_even(sums, word.rotate_right(8))
    }

    /// `ssub16` from 0.
    pub(super) fn negate(sums: u32) -> u32 {
        let half = |up: u32| u32::from(((sums >> up) as u16).wrapping_neg()) << up;
        half(0) | half(16)
    }
}

/// Adds flipped rows of bytes, wherever they begin: eight columns at a time, then four, then one.
pub(super) fn bytes(matrix: &[i8], stride: usize, flips: &Flips, shift: u32, fields: &mut [i32]) {
    let end = fields.len().min(stride);
    let fields = fields.get_mut(..end).unwrap_or_default();
    let found = rows::Offsets::new(flips, stride, matrix.len());
    let (eights, rest) = fields.as_chunks_mut::<8>();
    let mut column = 0;
    for eight in eights {
        // At most 32 rows: 4,096 fits a half.
        let (mut a, mut b, mut c, mut d) = (0, 0, 0, 0);
        // SAFETY: `Offsets` keeps offset + stride within the matrix, and column + 8 is at most stride.
        unsafe {
            let at = matrix.as_ptr().add(column);
            for &offset in found.off() {
                let [low, high] = two_words(at.add(offset as usize));
                (a, b, c, d) = (add_even(a, low), add_odd(b, low), add_even(c, high), add_odd(d, high));
            }
            (a, b, c, d) = (negate(a), negate(b), negate(c), negate(d));
            for &offset in found.on() {
                let [low, high] = two_words(at.add(offset as usize));
                (a, b, c, d) = (add_even(a, low), add_odd(b, low), add_even(c, high), add_odd(d, high));
            }
        }
        let low = |sums: u32| i32::from(sums as i16) << shift;
        let high = |sums: u32| (sums as i32 >> 16) << shift;
        let [i, j, k, l, m, n, o, p] = *eight;
        *eight = [
            i.plus(low(a)),
            j.plus(low(b)),
            k.plus(high(a)),
            l.plus(high(b)),
            m.plus(low(c)),
            n.plus(low(d)),
            o.plus(high(c)),
            p.plus(high(d)),
        ];
        column += 8;
    }
    rows::plain_from(matrix, stride, &found, shift, column, rest);
}

/// Two words from any address: these cores read them there.
///
/// # Safety
/// There are eight bytes.
#[inline(always)]
unsafe fn two_words(at: *const i8) -> [u32; 2] {
    // SAFETY: the caller's; `[u32; 2]` holds any bytes.
    unsafe { at.cast::<[u32; 2]>().read_unaligned() }
}
