//! Rows of bytes by the DSP extension of Cortex-M4, M7 and M33: two sums in a register, four weights in three instructions.

use core::arch::asm;

use super::{
    flips::Flips,
    rows,
    thumb::{Lists, over},
};

/// Adds flipped rows of bytes, wherever they begin: eight columns at a time, then what is left.
///
/// # Safety
/// Every flipped unit has its row, `stride` bytes apart, and a row a byte for each field.
pub(super) unsafe fn bytes(matrix: *const i8, stride: usize, flips: &Flips, shift: u32, fields: &mut [i32]) {
    let factor = (-1i32) << shift;
    let lists = Lists::of(flips);
    let (eights, rest) = fields.as_chunks_mut::<8>();
    let mut at = matrix;
    // SAFETY: the caller's: columns end with the fields.
    unsafe {
        for eight in eights {
            let [a, b, c, d] = minus_sums(at, stride, &lists);
            let [i, j, k, l, m, n, o, p] = *eight;
            *eight = [
                add_low(i, a, factor),
                add_low(j, b, factor),
                add_high(k, a, factor),
                add_high(l, b, factor),
                add_low(m, c, factor),
                add_low(n, d, factor),
                add_high(o, c, factor),
                add_high(p, d, factor),
            ];
            at = at.add(8);
        }
        if !rest.is_empty() {
            rows::plain(at, stride, flips, shift, rest);
        }
    }
}

/// Adds one row's eight bytes to the sums of columns 0 and 2, 1 and 3, 4 and 6, 5 and 7. These cores read words anywhere.
macro_rules! row {
    () => {
        "ldr {p}, [{list}], #4
        mla {p}, {p}, {s}, {at}
        ldr {w}, [{p}]
        ldr {p}, [{p}, #4]
        sxtab16 {a}, {a}, {w}
        sxtab16 {b}, {b}, {w}, ror #8
        sxtab16 {c}, {c}, {p}
        sxtab16 {d}, {d}, {p}, ror #8"
    };
}

/// Minus the sums of eight columns: in the 16 bits of a factor there is no 2^15, but its negative. At most 32 rows of 128:
/// every sum fits a half.
///
/// # Safety
/// For each flipped unit there are eight bytes as many strides from `at` on.
#[inline(always)]
unsafe fn minus_sums(at: *const i8, stride: usize, lists: &Lists) -> [u32; 4] {
    let (a, b, c, d): (u32, u32, u32, u32);
    // SAFETY: the loops read the units of both lists, and of each the eight bytes.
    unsafe {
        asm!(
            "movs {a}, #0",
            "mov {b}, {a}",
            "mov {c}, {a}",
            "mov {d}, {a}",
            "ldrd {list}, {end}, [{lists}]",
            over!("{p}", "{end}", "{end}", row!()),
            "movs {p}, #0",
            "ssub16 {a}, {p}, {a}",
            "ssub16 {b}, {p}, {b}",
            "ssub16 {c}, {p}, {c}",
            "ssub16 {d}, {p}, {d}",
            "4:",
            "ldrd {list}, {end}, [{lists}, #8]",
            over!("{p}", "{end}", "{end}", row!()),
            "4:",
            lists = in(reg) lists,
            at = in(reg) at,
            s = in(reg) stride,
            list = out(reg) _,
            end = out(reg) _,
            p = out(reg) _,
            w = out(reg) _,
            a = out(reg) a,
            b = out(reg) b,
            c = out(reg) c,
            d = out(reg) d,
            options(readonly, nostack),
        );
    }
    [a, b, c, d]
}

/// A field, and a factor (a power of two: a shift) times the lower sum.
#[inline(always)]
pub(super) fn add_low(field: i32, sums: u32, factor: i32) -> i32 {
    let result: i32;
    // SAFETY: one instruction on registers; `arm_dsp` is set only where it exists. A sum beyond 32 bits wraps, and sets a
    // flag that is none of the condition codes.
    unsafe {
        asm!("smlabb {r}, {s}, {k}, {f}", r = lateout(reg) result, s = in(reg) sums, k = in(reg) factor, f = in(reg) field,
             options(pure, nomem, nostack));
    }
    result
}

/// A field, and a factor times the upper sum.
#[inline(always)]
pub(super) fn add_high(field: i32, sums: u32, factor: i32) -> i32 {
    let result: i32;
    // SAFETY: as in `add_low`.
    unsafe {
        asm!("smlatb {r}, {s}, {k}, {f}", r = lateout(reg) result, s = in(reg) sums, k = in(reg) factor, f = in(reg) field,
             options(pure, nomem, nostack));
    }
    result
}
