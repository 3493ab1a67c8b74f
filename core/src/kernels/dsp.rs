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
            settle_columns(eight, minus_sums(at, stride, &lists), factor);
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

/// Adds a factor times two sums, halves of registers, to the next two fields: by `smlabb` a lower half, by `smlatb` an upper one,
/// which what is done in between may round.
#[rustfmt::skip]
macro_rules! settle {
    ($first:literal, $a:literal, $between:literal, $second:literal, $b:literal) => {
        concat!(
            "ldrd {x}, {y}, [{f}]\n",
            $first, " {x}, ", $a, ", {k}, {x}\n",
            $between, "\n",
            $second, " {y}, ", $b, ", {k}, {y}\n",
            "strd {x}, {y}, [{f}], #8",
        )
    };
}

/// Adds a factor (a power of two: a shift) times the sums of eight columns to their fields.
#[inline(always)]
fn settle_columns(fields: &mut [i32; 8], [a, b, c, d]: [u32; 4], factor: i32) {
    // SAFETY: the eight fields are read and written. A sum beyond 32 bits wraps, and sets the flag of saturation.
    unsafe {
        asm!(
            settle!("smlabb", "{a}", "", "smlabb", "{b}"),
            settle!("smlatb", "{a}", "", "smlatb", "{b}"),
            settle!("smlabb", "{c}", "", "smlabb", "{d}"),
            settle!("smlatb", "{c}", "", "smlatb", "{d}"),
            f = inout(reg) fields => _,
            k = in(reg) factor,
            a = in(reg) a,
            b = in(reg) b,
            c = in(reg) c,
            d = in(reg) d,
            x = out(reg) _,
            y = out(reg) _,
            options(nostack),
        );
    }
}

/// Adds a factor (a power of two: a shift) times the sums of eight rows to their fields, two after each other in a register: what
/// a negative lower one borrowed of the upper one comes back by the rounding.
#[inline(always)]
pub(super) fn settle_rows(fields: &mut [i32; 8], [a, b, c, d]: [u32; 4], factor: i32) {
    // SAFETY: as in `settle_columns`.
    unsafe {
        asm!(
            settle!("smlabb", "{a}", "add {a}, #0x8000", "smlatb", "{a}"),
            settle!("smlabb", "{b}", "add {b}, #0x8000", "smlatb", "{b}"),
            settle!("smlabb", "{c}", "add {c}, #0x8000", "smlatb", "{c}"),
            settle!("smlabb", "{d}", "add {d}, #0x8000", "smlatb", "{d}"),
            f = inout(reg) fields => _,
            k = in(reg) factor,
            a = inout(reg) a => _,
            b = inout(reg) b => _,
            c = inout(reg) c => _,
            d = inout(reg) d => _,
            x = out(reg) _,
            y = out(reg) _,
            options(nostack),
        );
    }
}
