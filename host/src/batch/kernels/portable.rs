//! The kernels in plain Rust: the reference, and the source of the others.
//!
//! Inner loops run over arrays of fixed length, which the compiler turns into vectors and keeps in registers.

use bitboltz_core::{bits::WORD_BITS, fixed::Scale};

use super::{
    BlockStep, Lane, Products, Rule, Sign, Target,
    lanes::{Lanes, PlainLanes, SIDE, Square, pack},
    sums::{Plain, Sums},
};
use crate::batch::{
    lists::{Job, WordJob},
    streams::{LANES, Stream},
    tile::{TILE, Table, TileField, TileWeight},
};

/// See [`super::add_rows`].
pub fn add_rows<W: TileWeight, const T: usize>(
    tiles: [&[[W; TILE]]; T],
    jobs: &[Job],
    rows: &[u16],
    sign: Sign,
    target: &mut Target<'_, W::Field>,
    shift: u32,
) {
    add_rows_in(Plain::<W::Sum, TILE>::default(), tiles, jobs, rows, sign, target, shift);
}

/// The same, with sums in certain registers, which begin at `zero`.
#[inline(always)]
pub(super) fn add_rows_in<W: TileWeight, S: Sums<W>, const T: usize>(
    zero: S,
    tiles: [&[[W; TILE]]; T],
    jobs: &[Job],
    rows: &[u16],
    sign: Sign,
    target: &mut Target<'_, W::Field>,
    shift: u32,
) {
    for job in jobs {
        let rows = &rows[job.start as usize..job.end as usize];
        let mut sums = [zero; T];
        for &row in rows {
            for t in 0..T {
                sums[t] = sums[t].add(&tiles[t][usize::from(row)]);
            }
        }
        for (t, sums) in sums.into_iter().enumerate() {
            fold(sums, sign, job.target, t * TILE, target, shift);
        }
    }
}

/// See [`super::add_all`].
pub fn add_all<W: TileWeight>(rows: &[[W; TILE]], sums: &mut [W::Sum; TILE]) {
    add_all_in(Plain::<W::Sum, TILE>::default(), rows, sums);
}

/// The same, with sums in certain registers.
#[inline(always)]
pub(super) fn add_all_in<W: TileWeight, S: Sums<W>>(zero: S, rows: &[[W; TILE]], sums: &mut [W::Sum; TILE]) {
    // Two rows side by side, whose additions need not wait for each other.
    let (pairs, last) = rows.as_chunks::<2>();
    let (mut even, mut odd) = (zero, zero);
    for [a, b] in pairs {
        (even, odd) = (even.add(a), odd.add(b));
    }
    odd.store(sums);
    last.iter().fold(even, |sums, row| sums.add(row)).join(sums).store(sums);
}

/// See [`super::add_words`].
pub fn add_words<W: TileWeight>(
    rows: &[[W; TILE]],
    jobs: &[WordJob],
    table: &mut Table<W>,
    target: &mut Target<'_, W::Field>,
    shift: u32,
) {
    add_words_in(Plain::<W::Sum, TILE>::default(), W::PlainTable::default(), rows, jobs, table, target, shift);
}

/// The same, with sums in certain registers: of a tile's columns, and of a table's.
#[inline(always)]
pub(super) fn add_words_in<W: TileWeight, S: Sums<W>, T: Sums<W>>(
    tile: S,
    zero: T,
    rows: &[[W; TILE]],
    jobs: &[WordJob],
    table: &mut Table<W>,
    target: &mut Target<'_, W::Field>,
    shift: u32,
) {
    if jobs.len() < TABLE_JOBS {
        for job in jobs {
            let mut sums = tile;
            let mut bits = job.word;
            for rows in rows.chunks(4) {
                let mut sum = [W::Sum::default(); TILE];
                subset(tile, rows, bits & 15).store(&mut sum);
                sums = sums.join(&sum);
                bits >>= 4;
            }
            fold(sums, Sign::Plus, job.target, 0, target, shift);
        }
        return;
    }
    // As many columns at a time as make the table of 64 rows as large as the first-level cache bears.
    for first in (0..target.columns).step_by(T::COLUMNS) {
        let groups = rows.len().div_ceil(4);
        for (group, rows) in table.chunks_exact_mut(16 * T::COLUMNS).zip(rows.chunks(4)) {
            let sums = |n: usize| rows.get(n).map_or(zero, |row| zero.add(&row[first..first + T::COLUMNS]));
            let [a, b, c, d] = [sums(0), sums(1), sums(2), sums(3)];
            let (ab, ac, bc) = (a.plus(b), a.plus(c), b.plus(c));
            // Bit n of a place tells whether row n is in the subset. The first one is empty, and stays zero.
            let without_d = [zero, a, b, ab, c, ac, bc, ab.plus(c)];
            for k in 0..8 {
                if k > 0 {
                    without_d[k].store(&mut group[k * T::COLUMNS..][..T::COLUMNS]);
                }
                without_d[k].plus(d).store(&mut group[(8 + k) * T::COLUMNS..][..T::COLUMNS]);
            }
        }
        let table = &table[..groups * 16 * T::COLUMNS];
        let (twos, one) = jobs.as_chunks();
        twos.iter().for_each(|jobs: &[WordJob; 2]| look_up(zero, table, jobs, first, target, shift));
        one.iter().for_each(|&job| look_up(zero, table, &[job], first, target, shift));
    }
}

/// Jobs from which making a table costs less than it saves.
const TABLE_JOBS: usize = 6;

/// Adds what a table holds for some jobs, side by side: each waits for its own sums only.
#[inline(always)]
fn look_up<W: TileWeight, S: Sums<W>, const J: usize>(
    zero: S,
    table: &[W::Sum],
    jobs: &[WordJob; J],
    column: usize,
    target: &mut Target<'_, W::Field>,
    shift: u32,
) {
    let mut sums = [zero; J];
    let mut bits = jobs.map(|job| job.word);
    for group in table.chunks_exact(16 * S::COLUMNS) {
        for j in 0..J {
            sums[j] = sums[j].join(&group[(bits[j] & 15) as usize * S::COLUMNS..][..S::COLUMNS]);
            bits[j] >>= 4;
        }
    }
    for j in 0..J {
        fold(sums[j], Sign::Plus, jobs[j].target, column, target, shift);
    }
}

/// What a table would hold.
#[inline(always)]
fn subset<W: TileWeight, S: Sums<W>>(zero: S, rows: &[[W; TILE]], bits: u64) -> S {
    let on = rows.iter().enumerate().filter(|(n, _)| bits >> n & 1 == 1);
    on.fold(zero, |sums, (_, row)| sums.add(row))
}

/// Adds shifted sums to a row of the target, from a column of its tile on, or subtracts them.
#[inline(always)]
fn fold<W: TileWeight, S: Sums<W>>(
    sums: S,
    sign: Sign,
    row: u32,
    column: usize,
    target: &mut Target<'_, W::Field>,
    shift: u32,
) {
    let Target { fields, stride, first, columns } = target;
    let fields = &mut fields[row as usize * *stride + *first + column..][..S::COLUMNS.min(*columns - column)];
    if fields.len() == S::COLUMNS {
        sums.fold(sign, fields, shift);
    } else {
        let mut padded = [W::Field::default(); TILE];
        padded[..fields.len()].copy_from_slice(fields);
        sums.fold(sign, &mut padded[..S::COLUMNS], shift);
        fields.copy_from_slice(&padded[..fields.len()]);
    }
}

/// See [`super::modes`].
pub fn modes<F: TileField>(fields: &[F], words: &mut [u32]) {
    modes_in(PlainLanes, fields, words);
}

/// The same, with certain instructions.
#[inline(always)]
pub(super) fn modes_in<F: TileField>(lanes: impl Lanes, fields: &[F], words: &mut [u32]) {
    let chunks = &fields.as_chunks::<WORD_BITS>().0[..words.len()];
    for (word, fields) in words.iter_mut().zip(chunks) {
        *word = F::at_least_zero(lanes, fields);
    }
}

/// See [`super::samples`].
pub fn samples<F: TileField>(fields: &[F], scale: Scale, draws: &[u32], words: &mut [u32]) {
    samples_in(PlainLanes, fields, scale, draws, words);
}

/// How far a draw is from the probability that is computed for it where the table need not be asked, both between 0 and
/// 1: the table is off by 1.3 · 10⁻⁵ and the computation by less than 10⁻⁵, tested below.
pub(super) const CERTAIN: f32 = 1.0 / 32_768.0;

/// The same, with certain instructions.
///
/// A draw u is below 1/(1 + exp(−a)) iff u (1 + exp(−a)) is below 1. A polynomial decides that; a word with a draw that is
/// too near is looked up in the table.
#[inline(always)]
pub(super) fn samples_in<F: TileField>(
    lanes: impl Lanes,
    fields: &[F],
    scale: Scale,
    draws: &[u32],
    words: &mut [u32],
) {
    let unit = scale.to_f32();
    let fields = &fields.as_chunks::<WORD_BITS>().0[..words.len()];
    let draws = &draws.as_chunks::<WORD_BITS>().0[..words.len()];
    for (word, (fields, draws)) in words.iter_mut().zip(fields.iter().zip(draws)) {
        let (mut room, mut certain) = ([0.0; WORD_BITS], [0.0; WORD_BITS]);
        for k in 0..WORD_BITS {
            let whole = 1.0 + exp_minus(fields[k].to_f32(unit));
            let draw = (draws[k] >> 8) as i32 as f32 * (1.0 / 16_777_216.0);
            room[k] = 1.0 - draw * whole;
            certain[k] = room[k].abs() - CERTAIN * whole;
        }
        *word = if lanes.floats_at_least_zero(&certain) == u32::MAX {
            lanes.floats_at_least_zero(&room)
        } else {
            let mut thresholds = [0; WORD_BITS];
            for k in 0..WORD_BITS {
                thresholds[k] = fields[k].threshold(scale);
            }
            pack(|k| draws[k] < thresholds[k])
        };
    }
}

/// A float of this size has its last bit at one: what is added to it, up to 2²² either way, is rounded to an integer, in its
/// last bits.
pub(crate) const WHOLE: f32 = 12_582_912.0;

/// exp(−a), within 10⁻⁵ of itself; beyond ±40 that of ±40. What is no number stays none.
#[inline(always)]
pub(super) fn exp_minus(a: f32) -> f32 {
    // 2^f for f within ±½: through the values at the zeros of the Chebyshev polynomial, at most 3.5 · 10⁻⁶ off.
    const POWERS: [f32; 5] = [1.0, 0.693_121_1, 0.240_223_5, 0.055_921_976, 0.009_666_369];
    // Comparisons with NaN are false.
    let a = if a > 40.0 { 40.0 } else { a };
    let a = if a < -40.0 { -40.0 } else { a };
    let t = a * -std::f32::consts::LOG2_E;
    let n = t + WHOLE;
    let f = t - (n - WHOLE);
    let power = POWERS.into_iter().rev().reduce(|sum, c| sum * f + c).unwrap_or(0.0);
    // n ends in an integer, which as an exponent makes 2 to its power.
    power * f32::from_bits((n.to_bits() << 23).wrapping_add(1_f32.to_bits()))
}

/// See [`super::means`].
#[inline(always)]
pub fn means<F: TileField>(fields: &[F], scale: Scale, means: &mut [f32]) {
    for (mean, field) in means.iter_mut().zip(fields) {
        *mean = bitboltz_core::fixed::to_unit(field.threshold(scale));
    }
}

/// See [`super::sigmoids`].
#[inline(always)]
pub fn sigmoids(fields: &[f32], means: &mut [f32]) {
    for (mean, &field) in means.iter_mut().zip(fields) {
        let exponential = exp_neg(field.abs());
        let tail = exponential / (1.0 + exponential);
        *mean = if field < 0.0 { tail } else { 1.0 - tail };
    }
}

/// exp(−x) of a number of at least 0, without a branch: 2ⁿ times a Taylor polynomial between ±½ ln 2.
#[inline(always)]
fn exp_neg(x: f32) -> f32 {
    // Beyond it 2ⁿ would be no normal number.
    let x = -x.min(87.0);
    let rounded = x * std::f32::consts::LOG2_E + WHOLE;
    let n = rounded - WHOLE;
    // ln 2 in two parts, of which n times the first is exact.
    let r = (x - n * 0.693_359_4) + n * 2.121_944_4e-4;
    let polynomial = [1.0 / 5040.0, 1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0];
    let power = polynomial.into_iter().fold(0.0, |sum, factor| sum * r + factor);
    power * f32::from_bits((rounded.to_bits() << 23).wrapping_add(1.0_f32.to_bits()))
}

/// See [`super::add_products`].
#[inline(always)]
pub fn add_products(rows: &[[f32; TILE]], factors: &[[f32; TILE]], sums: &mut [[f32; TILE]]) {
    assert!(rows.len() <= TILE && factors.len() == sums.len());
    // Four rows at a time, so that sums are fetched less often; a loop over columns alone becomes vectors.
    let (fours, rest) = rows.as_chunks();
    for (at, [a, b, c, d]) in fours.iter().enumerate() {
        for (sums, factors) in sums.iter_mut().zip(factors) {
            let [p, q, r, s] = factors.as_chunks().0[at];
            for k in 0..TILE {
                sums[k] += (p * a[k] + q * b[k]) + (r * c[k] + s * d[k]);
            }
        }
    }
    for (row, at) in rest.iter().zip(rows.len() - rest.len()..) {
        for (sums, factors) in sums.iter_mut().zip(factors) {
            for k in 0..TILE {
                sums[k] += factors[at] * row[k];
            }
        }
    }
}

/// See [`super::masked_sum`].
#[inline(always)]
pub fn masked_sum<F: TileField>(fields: &[F], words: &[u32]) -> F::Energy {
    // Sixteen sums side by side: a fixed order that the compiler can vectorise.
    const SUMS: usize = 16;
    let mut sums = [F::Energy::default(); SUMS];
    for (word, fields) in words.iter().zip(fields.as_chunks::<WORD_BITS>().0) {
        for half in 0..WORD_BITS / SUMS {
            for k in 0..SUMS {
                let field = fields[half * SUMS + k];
                let on = word & (1 << (half * SUMS + k)) != 0;
                sums[k] = F::add_energy(sums[k], if on { field } else { F::default() }.to_energy());
            }
        }
    }
    sums.into_iter().fold(F::Energy::default(), F::add_energy)
}

/// See [`super::count_ones`].
#[inline(always)]
pub fn count_ones(words: &[u32]) -> u32 {
    words.iter().map(|word| word.count_ones()).sum()
}

/// See [`super::changes`].
#[inline(always)]
pub fn changes(now: &[u32], seen: &[u32], mask: &[u32]) -> (u32, u32) {
    let (mut flips, mut on) = (0, 0);
    for ((now, seen), mask) in now.iter().zip(seen).zip(mask) {
        flips += (now ^ seen).count_ones();
        on += (now & !mask).count_ones();
    }
    (flips, on)
}

/// See [`super::list_ones`].
pub fn list_ones(words: &[u32], first: usize, rows: &mut [u16]) -> usize {
    list_ones_in(PlainLanes, words, first, rows)
}

/// The same, with certain instructions.
#[inline(always)]
pub(super) fn list_ones_in(lanes: impl Lanes, words: &[u32], first: usize, rows: &mut [u16]) -> usize {
    let mut count = 0;
    for (at, &word) in words.iter().enumerate() {
        let places = rows[count..].first_chunk_mut().expect("room for every bit");
        lanes.places(word, (first + at * WORD_BITS) as u16, places);
        count += word.count_ones() as usize;
    }
    count
}

/// See [`super::draws`].
pub fn draws(streams: &mut [Stream; LANES], count: usize, out: &mut [u32], stride: usize) {
    draws_in(PlainLanes, streams, count, out, stride);
}

/// The same, with certain instructions.
#[inline(always)]
pub(super) fn draws_in(lanes: impl Lanes, streams: &mut [Stream; LANES], count: usize, out: &mut [u32], stride: usize) {
    crate::batch::streams::draws(lanes, streams, count, out, stride);
}

/// See [`super::skip`].
#[inline(always)]
pub fn skip(streams: &mut [Stream; LANES], count: usize) {
    crate::batch::streams::skip(streams, count);
}

/// See [`super::count_pairs`].
#[inline(always)]
pub fn count_pairs(rows: &[u64], columns: &[[u64; TILE]], sums: &mut [[f32; TILE]]) {
    // Some rows and columns at a time, whose counts stay in registers.
    const ROWS: usize = 4;
    const COLUMNS: usize = 16;
    let words = columns.len();
    assert_eq!(rows.len(), words * sums.len());
    for (rows, sums) in rows.chunks(ROWS * words.max(1)).zip(sums.chunks_mut(ROWS)) {
        // The last rows are counted again where there are too few; these counts are dropped.
        let row = |r: usize| &rows[r.min(sums.len() - 1) * words..][..words];
        let rows: [&[u64]; ROWS] = [row(0), row(1), row(2), row(3)];
        for first in (0..TILE).step_by(COLUMNS) {
            let mut counts = [[0; COLUMNS]; ROWS];
            for (at, column) in columns.iter().enumerate() {
                let column: &[u64; COLUMNS] = column[first..first + COLUMNS].try_into().expect("as long");
                for r in 0..ROWS {
                    let word = rows[r][at];
                    for k in 0..COLUMNS {
                        counts[r][k] += u64::from((word & column[k]).count_ones());
                    }
                }
            }
            for (sums, counts) in sums.iter_mut().zip(&counts) {
                for k in 0..COLUMNS {
                    sums[first + k] += counts[k] as f32;
                }
            }
        }
    }
}

/// See [`super::ascend`].
pub fn ascend(
    weights: &mut [[f32; TILE]],
    velocities: Option<&mut [[f32; TILE]]>,
    step: &BlockStep<'_>,
    products: &mut Products<'_>,
) {
    ascend_in(PlainLanes, weights, velocities, step, products);
}

/// The same, with certain instructions.
#[inline(always)]
pub(super) fn ascend_in(
    lanes: impl Lanes,
    weights: &mut [[f32; TILE]],
    velocities: Option<&mut [[f32; TILE]]>,
    step: &BlockStep<'_>,
    products: &mut Products<'_>,
) {
    match velocities {
        Some(velocities) => ascend_by::<true, true>(lanes, weights, velocities, step, products),
        None if step.rule.decay != 0.0 => ascend_by::<false, true>(lanes, weights, &mut [], step, products),
        None => ascend_by::<false, false>(lanes, weights, &mut [], step, products),
    }
}

/// The same, without the arithmetic of what a rule does not have: nothing is to cost time where it is not used.
#[inline(always)]
fn ascend_by<const MOMENTUM: bool, const DECAY: bool>(
    lanes: impl Lanes,
    weights: &mut [[f32; TILE]],
    velocities: &mut [[f32; TILE]],
    step: &BlockStep<'_>,
    products: &mut Products<'_>,
) {
    let [p, n] = step.factors;
    let Rule { rate, momentum, decay } = step.rule;
    let mut largest = [0; SIDE];
    // For each row, the products of sixteen columns side by side.
    let mut sides = [[0.0; SIDE]; TILE];
    let sides = &mut sides[..weights.len()];
    // Sixteen columns at a time, whose sums stay in registers.
    for part in 0..TILE / SIDE {
        let sixteen = |numbers: &[f32; TILE]| numbers.as_chunks::<SIDE>().0[part];
        let (offsets, differences) = (sixteen(step.column_offsets), sixteen(step.column_differences));
        let columns = &mut products.columns.as_chunks_mut::<SIDE>().0[part];
        let mut sums = *columns;
        let states = step.positive.iter().zip(step.negative);
        let rows = step.row_offsets.iter().zip(step.row_differences);
        for (i, (((row, (positive, negative)), (offset, difference)), side)) in
            weights.iter_mut().zip(states).zip(rows).zip(&mut *sides).enumerate()
        {
            let mut none = [0.0; SIDE];
            let velocity = if MOMENTUM { &mut velocities[i].as_chunks_mut::<SIDE>().0[part] } else { &mut none };
            let row = &mut row.as_chunks_mut::<SIDE>().0[part];
            let (positive, negative) = (sixteen(positive), sixteen(negative));
            for k in 0..SIDE {
                let plain = positive[k] * p - negative[k] * n;
                let mut gradient = plain - (offset * differences[k] + difference * offsets[k]);
                if DECAY {
                    gradient -= decay * row[k];
                }
                let mut direction = gradient;
                if MOMENTUM {
                    direction += momentum * velocity[k];
                    velocity[k] = direction;
                }
                row[k] += rate * direction;
                largest[k] = (row[k].to_bits() & 0x7FFF_FFFF).max(largest[k]);
                side[k] += gradient * offsets[k];
                sums[k] += gradient * offset;
            }
        }
        *columns = sums;
    }
    products.largest = largest.into_iter().fold(products.largest, u32::max);
    // Sixteen rows are summed side by side too.
    for (sides, products) in sides.chunks(SIDE).zip(products.rows.chunks_mut(SIDE)) {
        let mut square = Square::default();
        square.iter_mut().zip(sides).for_each(|(to, side)| *to = side.map(f32::to_bits));
        lanes.transpose(&mut square);
        let mut sums = [0.0; SIDE];
        for column in &square {
            for k in 0..SIDE {
                sums[k] += f32::from_bits(column[k]);
            }
        }
        products.iter_mut().zip(sums).for_each(|(product, sum)| *product += sum);
    }
}

/// See [`super::map`].
#[inline(always)]
pub fn map<A: Copy, B>(from: &[[A; TILE]], to: &mut [[B; TILE]], number: impl Fn(A) -> B) {
    for (to, from) in to.iter_mut().zip(from) {
        for k in 0..TILE {
            to[k] = number(from[k]);
        }
    }
}

/// See [`super::transpose`].
pub fn transpose<T: Lane>(block: &[[T; TILE]], transposed: &mut [[T; TILE]]) {
    transpose_in(PlainLanes, block, transposed);
}

/// The same, with certain instructions.
#[inline(always)]
pub(super) fn transpose_in<T: Lane>(lanes: impl Lanes, block: &[[T; TILE]], transposed: &mut [[T; TILE]]) {
    // The lines that a square reads and writes stay in the cache.
    for (top, block) in block.chunks(SIDE).enumerate() {
        for (left, transposed) in transposed.chunks_mut(SIDE).enumerate() {
            let mut square = Square::default();
            for (to, from) in square.iter_mut().zip(block) {
                *to = from.as_chunks::<SIDE>().0[left].map(T::to_lane);
            }
            lanes.transpose(&mut square);
            for (to, from) in transposed.iter_mut().zip(&square) {
                let to = &mut to.as_chunks_mut::<SIDE>().0[top];
                let numbers = from.map(T::of_lane);
                if block.len() == SIDE {
                    *to = numbers;
                } else {
                    to[..block.len()].copy_from_slice(&numbers[..block.len()]);
                }
            }
        }
    }
}
