//! Bytes on Cortex-M by loops in assembly, since the compiler's own keep fewer sums in registers: columns, and rows on Thumb-1.
//! And signs, which an addition with carry gathers: the compiler does not know that.

use core::{arch::asm, ops::Range};

#[cfg(thumb1)]
use super::flips::MOST;
use super::{columns, flips::Flips};
#[cfg(not(arm_dsp))]
use crate::weights::Field as _;

/// Where the lists of flipped units begin and end, as the loops read them.
#[repr(C)]
pub(super) struct Lists {
    on: [*const u32; 2],
    off: [*const u32; 2],
}

impl Lists {
    pub(super) fn of(flips: &Flips) -> Self {
        let ends = |Range { start, end }| [start, end];
        Self { on: ends(flips.on().as_ptr_range()), off: ends(flips.off().as_ptr_range()) }
    }
}

/// The loop over a list of words, two of them a turn, from `{list}` to the address in `$end`: `$each` takes one off the list.
/// `$from` holds that address too, in a register that `subs` can read, and `$count` is free. Label 4 must follow, for a list
/// of none.
#[rustfmt::skip]
macro_rules! over {
    ($count:literal, $from:literal, $end:literal, $each:expr) => {
        concat!(
            "subs ", $count, ", ", $from, ", {list}\n",
            "beq 4f\n",
            // An odd number of words: begin with the second half of the loop.
            "lsls ", $count, ", ", $count, ", #29\n",
            "bmi 3f\n",
            "2:\n", $each, "\n",
            "3:\n", $each, "\n",
            "cmp {list}, ", $end, "\n",
            "bne 2b",
        )
    };
}
#[cfg(arm_dsp)]
pub(super) use over;

/// Adds flipped columns of bytes, most rows by loops in assembly.
///
/// # Safety
/// As [`plain`](columns::plain)'s.
pub(super) unsafe fn columns(matrix: *const i8, stride: usize, flips: &Flips, shift: u32, fields: &mut [i32]) {
    let lists = Lists::of(flips);
    let (blocks, rest) = fields.as_chunks_mut::<ROWS>();
    let mut row = matrix;
    // SAFETY: the caller's.
    unsafe {
        for block in blocks {
            add_columns(row, stride, &lists, shift, block);
            row = row.add(ROWS * stride);
        }
        columns::plain(row, stride, flips, shift, rest);
    }
}

/// Rows that go together: two sums share a register, and eight addresses are two registers' and their multiples' sums.
#[cfg(not(thumb1))]
const ROWS: usize = 8;
/// Rows that go together: as many as there are low registers for their addresses.
#[cfg(thumb1)]
const ROWS: usize = 4;

/// Adds or subtracts the bytes of one unit in eight rows: sums of rows 0 and 1, 2 and 3, 4 and 5, 6 and 7.
#[cfg(not(thumb1))]
macro_rules! columns {
    ($do:literal) => {
        concat!(
            "ldr {p}, [{list}], #4\n add {p}, {row}\n",
            "ldrsb {t}, [{p}]\n",
            $do,
            " {a}, {a}, {t}\n",
            "ldrsb {t}, [{p}, {s}]\n",
            $do,
            " {a}, {a}, {t}, lsl #16\n",
            "ldrsb {t}, [{p}, {s}, lsl #1]\n",
            $do,
            " {b}, {b}, {t}\n",
            "ldrsb {t}, [{p}, {s3}]\n",
            $do,
            " {b}, {b}, {t}, lsl #16\n",
            "ldrsb {t}, [{p}, {s}, lsl #2]\n",
            $do,
            " {c}, {c}, {t}\n",
            "ldrsb {t}, [{p}, {s3}, lsl #1]\n",
            $do,
            " {d}, {d}, {t}\n",
            "add {p}, {s3}\n",
            "ldrsb {t}, [{p}, {s}, lsl #1]\n",
            $do,
            " {c}, {c}, {t}, lsl #16\n",
            "ldrsb {t}, [{p}, {s}, lsl #2]\n",
            $do,
            " {d}, {d}, {t}, lsl #16\n",
        )
    };
}

/// Adds the bytes of one unit in four rows to their sums.
#[cfg(thumb1)]
macro_rules! columns {
    () => {
        "ldmia {list}!, {{{u}}}
        ldrsb {t}, [{p}, {u}]
        add r8, {t}
        ldrsb {t}, [{q}, {u}]
        add r9, {t}
        ldrsb {t}, [{r}, {u}]
        add r10, {t}
        ldrsb {t}, [{o}, {u}]
        add r12, {t}"
    };
}

/// Adds the flipped columns of some rows to as many fields.
///
/// # Safety
/// There are as many rows of bytes from `row` on, `stride` apart, and no flipped unit is beyond a row.
#[cfg(not(thumb1))]
#[inline(always)]
unsafe fn add_columns(row: *const i8, stride: usize, lists: &Lists, shift: u32, fields: &mut [i32; ROWS]) {
    // Minus the sums. At most 32 units of 128 each: every one fits a half.
    let (a, b, c, d): (u32, u32, u32, u32);
    // SAFETY: the loops read the units of both lists, and of each the bytes at 0, 1, …, 7 strides from it on, which the
    // caller says are there.
    unsafe {
        asm!(
            "movs {a}, #0",
            "mov {b}, {a}",
            "mov {c}, {a}",
            "mov {d}, {a}",
            "ldrd {list}, {end}, [{lists}]",
            over!("{p}", "{end}", "{end}", columns!("sub")),
            "4:",
            "ldrd {list}, {end}, [{lists}, #8]",
            over!("{p}", "{end}", "{end}", columns!("add")),
            "4:",
            lists = in(reg) lists,
            row = in(reg) row,
            s = in(reg) stride,
            s3 = in(reg) 3 * stride,
            list = out(reg) _,
            end = out(reg) _,
            p = out(reg) _,
            t = out(reg) _,
            a = out(reg) a,
            b = out(reg) b,
            c = out(reg) c,
            d = out(reg) d,
            options(readonly, nostack),
        );
    }
    #[cfg(arm_dsp)]
    super::dsp::settle_rows(fields, [a, b, c, d], (-1i32) << shift);
    #[cfg(not(arm_dsp))]
    {
        let low = |field: i32, sums: u32| field.minus(i32::from(sums as i16) << shift);
        // What a negative lower sum borrowed of the upper one comes back by the rounding.
        let high = |field: i32, sums: u32| field.minus((sums.wrapping_add(0x8000) as i32 >> 16) << shift);
        let [i, j, k, l, m, n, o, p] = *fields;
        *fields = [low(i, a), high(j, a), low(k, b), high(l, b), low(m, c), high(n, c), low(o, d), high(p, d)];
    }
}

/// Adds the flipped columns of some rows to as many fields: the sums are in high registers, which can be added to and no
/// more.
///
/// # Safety
/// There are as many rows of bytes from `row` on, `stride` apart, and no flipped unit is beyond a row.
#[cfg(thumb1)]
#[inline(always)]
unsafe fn add_columns(row: *const i8, stride: usize, lists: &Lists, shift: u32, fields: &mut [i32; ROWS]) {
    /// What there are no registers for.
    #[repr(C)]
    struct Rest<'a>(&'a Lists, u32, &'a mut [i32; ROWS]);
    let rest = Rest(lists, shift, fields);
    // SAFETY: the loops read the units of both lists, and of each a byte in four rows, which the caller says are there; then
    // the four fields are read and written.
    unsafe {
        asm!(
            "mov r11, {list}",
            "adds {q}, {p}, {t}",
            "adds {r}, {q}, {t}",
            "adds {o}, {r}, {t}",
            "movs {u}, #0",
            "mov r8, {u}",
            "mov r9, {u}",
            "mov r10, {u}",
            "mov r12, {u}",
            "ldr {list}, [{list}]",
            "ldr {t}, [{list}, #12]",
            "ldr {list}, [{list}, #8]",
            "mov lr, {t}",
            over!("{t}", "{t}", "lr", columns!()),
            // To subtract.
            "mov {t}, r8",
            "rsbs {t}, {t}, #0",
            "mov r8, {t}",
            "mov {t}, r9",
            "rsbs {t}, {t}, #0",
            "mov r9, {t}",
            "mov {t}, r10",
            "rsbs {t}, {t}, #0",
            "mov r10, {t}",
            "mov {t}, r12",
            "rsbs {t}, {t}, #0",
            "mov r12, {t}",
            "4:",
            "mov {list}, r11",
            "ldr {list}, [{list}]",
            "ldr {t}, [{list}, #4]",
            "ldr {list}, [{list}]",
            "mov lr, {t}",
            over!("{t}", "{t}", "lr", columns!()),
            "4:",
            // Sums, by shift, to the fields.
            "mov {list}, r11",
            "ldr {t}, [{list}, #4]",
            "ldr {list}, [{list}, #8]",
            "mov {u}, r8",
            "lsls {u}, {t}",
            "ldr {p}, [{list}, #0]",
            "adds {p}, {p}, {u}",
            "str {p}, [{list}, #0]",
            "mov {u}, r9",
            "lsls {u}, {t}",
            "ldr {p}, [{list}, #4]",
            "adds {p}, {p}, {u}",
            "str {p}, [{list}, #4]",
            "mov {u}, r10",
            "lsls {u}, {t}",
            "ldr {p}, [{list}, #8]",
            "adds {p}, {p}, {u}",
            "str {p}, [{list}, #8]",
            "mov {u}, r12",
            "lsls {u}, {t}",
            "ldr {p}, [{list}, #12]",
            "adds {p}, {p}, {u}",
            "str {p}, [{list}, #12]",
            list = inout(reg) &raw const rest => _,
            p = inout(reg) row => _,
            t = inout(reg) stride => _,
            q = out(reg) _,
            r = out(reg) _,
            o = out(reg) _,
            u = out(reg) _,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _, out("r12") _, out("lr") _,
            options(nostack),
        );
    }
}

/// Adds one row's word, with some bits flipped, to the sum of all words and to that of their odd lanes.
#[cfg(thumb1)]
macro_rules! row {
    () => {
        "ldmia {list}!, {{{w}}}
        ldr {w}, [{at}, {w}]
        eors {w}, {w}, {flip}
        add r8, {w}
        lsrs {w}, {w}, #8
        ands {w}, {w}, {keep}
        add r9, {w}"
    };
}

/// Adds flipped rows of bytes that begin on words, `stride` words apart: as [`rows::words`] does, by a loop in assembly.
///
/// # Safety
/// As [`rows::words`]'s, and the fields are a multiple of four.
#[cfg(thumb1)]
pub(super) unsafe fn rows(matrix: *const u32, stride: usize, flips: &Flips, shift: u32, fields: &mut [[i32; 4]]) {
    // Where the rows begin, for no multiplication in the loop: on some of these processors it takes 32 cycles.
    let mut offsets = [0u32; MOST];
    let units = flips.on().iter().chain(flips.off());
    offsets.iter_mut().zip(units).for_each(|(offset, &unit)| *offset = unit * 4 * stride as u32);
    let (on, rest) = offsets.split_at(flips.on().len());
    let (on, off) = (on.as_ptr_range(), rest.get(..flips.off().len()).unwrap_or_default().as_ptr_range());
    let lists = Lists { on: [on.start, on.end], off: [off.start, off.end] };
    let bias = 128 * flips.on().len() as u32 + 127 * flips.off().len() as u32;
    let mut at = matrix;
    for [i, j, k, l] in fields {
        // SAFETY: the caller's: every row has a word for four fields, and the lists hold where they begin.
        let [sum, odd] = unsafe { lanes(at, &lists) };
        // SAFETY: at most one past the row's end.
        at = unsafe { at.add(1) };
        let even = sum.wrapping_sub(odd << 8);
        let moved = |sum: u32| (sum.wrapping_sub(bias) as i32) << shift;
        *i = i.plus(moved(even & 0xFFFF));
        *j = j.plus(moved(odd & 0xFFFF));
        *k = k.plus(moved(even >> 16));
        *l = l.plus(moved(odd >> 16));
    }
}

/// The sum of the words at `at` in all rows of the lists, flipped as [`rows::words`] says, and that of their odd lanes.
///
/// # Safety
/// The lists hold offsets in bytes from `at` on to words.
#[cfg(thumb1)]
#[inline(always)]
unsafe fn lanes(at: *const u32, lists: &Lists) -> [u32; 2] {
    let (sum, odd);
    // SAFETY: the loops read the offsets of both lists, and the word at each.
    unsafe {
        asm!(
            "mov r11, {list}",
            "movs {w}, #0",
            "mov r8, {w}",
            "mov r9, {w}",
            "ldr {w}, [{list}, #4]",
            "ldr {list}, [{list}]",
            "mov r12, {w}",
            over!("{w}", "{w}", "r12", row!()),
            "4:",
            // To subtract.
            "mvns {flip}, {flip}",
            "mov {list}, r11",
            "ldr {w}, [{list}, #12]",
            "ldr {list}, [{list}, #8]",
            "mov r12, {w}",
            over!("{w}", "{w}", "r12", row!()),
            "4:",
            "mov {w}, r8",
            "mov {flip}, r9",
            list = inout(reg) lists => _,
            at = in(reg) at,
            w = out(reg) sum,
            flip = inout(reg) 0x8080_8080u32 => odd,
            keep = in(reg) 0x00FF_00FFu32,
            out("r8") _, out("r9") _, out("r11") _, out("r12") _,
            options(readonly, nostack),
        );
    }
    [sum, odd]
}

/// Reads the four fields before `{p}`, and goes back to the first of them.
#[cfg(thumb1)]
macro_rules! four_before {
    () => {
        "subs {p}, #16
        ldmia {p}!, {{r0, r1, r2, r3}}
        subs {p}, #16"
    };
}
/// Reads the four fields before `{p}`, and goes back to the first of them.
#[cfg(not(thumb1))]
macro_rules! four_before {
    () => {
        "ldmdb {p}!, {{r0, r1, r2, r3}}"
    };
}

/// Puts four fields' signs into a word, that of the first in the lowest place.
macro_rules! signs {
    () => {
        concat!(
            four_before!(),
            "
        lsls r3, r3, #1
        adcs {word}, {word}
        lsls r2, r2, #1
        adcs {word}, {word}
        lsls r1, r1, #1
        adcs {word}, {word}
        lsls r0, r0, #1
        adcs {word}, {word}"
        )
    };
}

/// As [`portable::modes`](super::portable::modes), of integers.
pub(super) fn modes(fields: &[i32]) -> u32 {
    let (rest, eights) = fields.as_rchunks::<8>();
    let Range { start, end } = eights.as_ptr_range();
    let mut word = 0u32;
    if start != end {
        // SAFETY: the loop reads whole blocks of eight fields, from the last to the first.
        unsafe {
            asm!(
                "2:",
                signs!(),
                signs!(),
                "cmp {p}, {start}",
                "bne 2b",
                start = in(reg) start,
                p = inout(reg) end => _,
                word = inout(reg) word,
                out("r0") _, out("r1") _, out("r2") _, out("r3") _,
                options(readonly, nostack),
            );
        }
    }
    !rest.iter().rev().fold(word, |word, &field| word << 1 | field as u32 >> 31)
}
