//! The kernels in plain Rust: the reference, and the source of the others.
//!
//! Inner loops run over arrays of fixed length, which the compiler turns into vectors and keeps in registers.

use bitboltz_core::{bits::WORD_BITS, fixed::Scale};

use super::{
    BlockStep, Products, Sign, Target,
    sums::{Plain, Sums},
};
use crate::batch::{
    lists::{Job, WordJob},
    streams::{LANES, Stream},
    tile::{TILE, Table, TileField, TileWeight},
};

/// See [`super::add_rows`].
pub fn add_rows<W: TileWeight>(
    tile: &[[W; TILE]],
    jobs: &[Job],
    rows: &[u16],
    sign: Sign,
    target: &mut Target<'_, W::Field>,
    shift: u32,
) {
    add_rows_in(Plain::<W::Sum, TILE>::default(), tile, jobs, rows, sign, target, shift);
}

/// The same, with sums in certain registers, which begin at `zero`.
#[inline(always)]
pub(super) fn add_rows_in<W: TileWeight, S: Sums<W>>(
    zero: S,
    tile: &[[W; TILE]],
    jobs: &[Job],
    rows: &[u16],
    sign: Sign,
    target: &mut Target<'_, W::Field>,
    shift: u32,
) {
    for job in jobs {
        let rows = &rows[job.start as usize..job.end as usize];
        let sums = rows.iter().fold(zero, |sums, &row| sums.add(&tile[usize::from(row)]));
        fold(sums, sign, job.target, 0, target, shift);
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
            // With each further row there are twice as many subsets; the first one is empty, and stays zero.
            for (n, row) in rows.iter().enumerate() {
                let (known, new) = group.split_at_mut(T::COLUMNS << n);
                for (known, new) in known.chunks_exact(T::COLUMNS).zip(new.chunks_exact_mut(T::COLUMNS)) {
                    zero.join(known).add(&row[first..first + T::COLUMNS]).store(new);
                }
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
#[inline(always)]
pub fn modes<F: TileField>(fields: &[F], words: &mut [u32]) {
    let chunks = &fields.as_chunks::<WORD_BITS>().0[..words.len()];
    for (word, fields) in words.iter_mut().zip(chunks) {
        *word = pack(|k| fields[k].is_on());
    }
}

/// See [`super::samples`].
#[inline(always)]
pub fn samples<F: TileField>(fields: &[F], scale: Scale, draws: &[u32], words: &mut [u32]) {
    let fields = &fields.as_chunks::<WORD_BITS>().0[..words.len()];
    let draws = &draws.as_chunks::<WORD_BITS>().0[..words.len()];
    for (word, (fields, draws)) in words.iter_mut().zip(fields.iter().zip(draws)) {
        let mut thresholds = [0; WORD_BITS];
        for k in 0..WORD_BITS {
            thresholds[k] = fields[k].threshold(scale);
        }
        *word = pack(|k| draws[k] < thresholds[k]);
    }
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
    // Adding it rounds to an integer, which is then in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    let rounded = x * std::f32::consts::LOG2_E + ROUND;
    let n = rounded - ROUND;
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
#[inline(always)]
pub fn list_ones(words: &[u32], first: usize, rows: &mut Vec<u16>) {
    for (at, &word) in words.iter().enumerate() {
        let (mut bits, count) = (word, word.count_ones() as usize);
        let mut places = [0; WORD_BITS];
        for place in &mut places[..count] {
            *place = (first + at * WORD_BITS) as u16 + bits.trailing_zeros() as u16;
            bits &= bits - 1;
        }
        rows.extend_from_slice(&places[..count]);
    }
}

/// See [`super::draws`].
#[inline(always)]
pub fn draws(streams: &mut [Stream; LANES], count: usize, out: &mut [u32], stride: usize) {
    crate::batch::streams::draws(streams, count, out, stride);
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
#[inline(always)]
pub fn ascend(weights: &mut [[f32; TILE]], step: &BlockStep<'_>, products: &mut Products<'_>) {
    let [p, n] = step.factors;
    let (offsets, differences) = (step.column_offsets, step.column_differences);
    let mut largest = [0; TILE];
    let sums = step.positive.iter().zip(step.negative);
    let rows = step.row_offsets.iter().zip(step.row_differences);
    for (((row, (positive, negative)), (offset, difference)), product) in
        weights.iter_mut().zip(sums).zip(rows).zip(&mut *products.rows)
    {
        let mut lanes = [0.0; 16];
        for first in (0..TILE).step_by(16) {
            for (k, lane) in lanes.iter_mut().enumerate() {
                let at = first + k;
                let plain = positive[at] * p - negative[at] * n;
                let gradient = plain - (offset * differences[at] + difference * offsets[at]);
                row[at] += step.rate * gradient;
                largest[at] = (row[at].to_bits() & 0x7FFF_FFFF).max(largest[at]);
                *lane += gradient * offsets[at];
                products.columns[at] += gradient * offset;
            }
        }
        *product += lanes.iter().sum::<f32>();
    }
    products.largest = largest.into_iter().fold(products.largest, u32::max);
}

/// See [`super::transpose`].
#[inline(always)]
pub fn transpose<T: Copy>(block: &[[T; TILE]], transposed: &mut [[T; TILE]]) {
    // Squares of 16 × 16: the lines that a square reads and writes stay in the cache.
    const SIDE: usize = 16;
    let columns = transposed.len();
    for top in (0..block.len()).step_by(SIDE) {
        for left in (0..columns).step_by(SIDE) {
            let mut square = [[block[top][left]; SIDE]; SIDE];
            for (to, from) in square.iter_mut().zip(&block[top..]) {
                to.copy_from_slice(&from[left..left + SIDE]);
            }
            let count = SIDE.min(block.len() - top);
            for (j, row) in transposed[left..].iter_mut().enumerate().take(SIDE) {
                let row = &mut row[top..top + count];
                row.iter_mut().zip(&square).for_each(|(to, from)| *to = from[j]);
            }
        }
    }
}

/// A word from its bits: as a sum over lanes, which becomes a few vector instructions.
#[inline(always)]
fn pack(on: impl Fn(usize) -> bool) -> u32 {
    let mut word = 0;
    for k in 0..WORD_BITS {
        word |= if on(k) { 1 << k } else { 0 };
    }
    word
}
