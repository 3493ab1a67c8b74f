//! The kernels in plain Rust: the reference, and the source of the others.
//!
//! Inner loops run over arrays of fixed length, which the compiler turns into vectors and keeps in registers.

use bitboltz_core::{bits::WORD_BITS, fixed::Scale};

use super::{BlockStep, Products, Target};
use crate::batch::{
    lists::{Job, WordJob},
    streams::{LANES, Stream},
    tile::{TILE, Table, TileField, TileWeight},
};

/// See [`super::add_rows`].
#[inline(always)]
pub fn add_rows<W: TileWeight>(
    tile: &[[W; TILE]],
    jobs: &[Job],
    rows: &[u16],
    target: &mut Target<'_, W::Field>,
    shift: u32,
) {
    for job in jobs {
        let mut sums = [W::Sum::default(); TILE];
        for &row in &rows[job.start as usize..job.middle as usize] {
            let row = &tile[usize::from(row)];
            for k in 0..TILE {
                sums[k] = W::add(sums[k], row[k]);
            }
        }
        for &row in &rows[job.middle as usize..job.end as usize] {
            let row = &tile[usize::from(row)];
            for k in 0..TILE {
                sums[k] = W::subtract(sums[k], row[k]);
            }
        }
        fold::<W>(&sums, job.target, target, shift);
    }
}

/// See [`super::add_words`].
#[inline(always)]
pub fn add_words<W: TileWeight>(
    rows: &[[W; TILE]],
    jobs: &[WordJob],
    table: &mut Table<W>,
    target: &mut Target<'_, W::Field>,
    shift: u32,
) {
    let groups = rows.len().div_ceil(4);
    if jobs.len() < TABLE_JOBS {
        for job in jobs {
            let mut sums = [W::Sum::default(); TILE];
            for g in 0..groups {
                let sum = sum_four(rows, 4 * g, job.word >> (4 * g) & 15);
                for k in 0..TILE {
                    sums[k] = W::join(sums[k], sum[k]);
                }
            }
            fold::<W>(&sums, job.target, target, shift);
        }
        return;
    }
    for (group, rows) in table.iter_mut().zip(rows.chunks(4)) {
        for i in 1..16_usize {
            // The sum without the last of the rows comes first, so rows are added in their order.
            let last = i.ilog2();
            let mut sum = group[i ^ (1 << last)];
            if let Some(row) = rows.get(last as usize) {
                for k in 0..TILE {
                    sum[k] = W::add(sum[k], row[k]);
                }
            }
            group[i] = sum;
        }
    }
    let table = &table[..groups];
    for job in jobs {
        let mut sums = [W::Sum::default(); TILE];
        let mut bits = job.word;
        for group in table {
            let sum = &group[(bits & 15) as usize];
            for k in 0..TILE {
                sums[k] = W::join(sums[k], sum[k]);
            }
            bits >>= 4;
        }
        fold::<W>(&sums, job.target, target, shift);
    }
}

/// Adds shifted sums to a row of the target.
#[inline(always)]
fn fold<W: TileWeight>(sums: &[W::Sum; TILE], row: u32, target: &mut Target<'_, W::Field>, shift: u32) {
    let Target { fields, stride, first, columns } = target;
    let out = &mut fields[row as usize * *stride + *first..][..*columns];
    if let Ok(out) = <&mut [W::Field; TILE]>::try_from(&mut *out) {
        for k in 0..TILE {
            out[k] = W::fold(out[k], sums[k], shift);
        }
    } else {
        out.iter_mut().zip(sums).for_each(|(field, &sum)| *field = W::fold(*field, sum, shift));
    }
}

/// Jobs from which making a table costs less than it saves.
const TABLE_JOBS: usize = 6;

/// What a table would hold.
#[inline(always)]
fn sum_four<W: TileWeight>(rows: &[[W; TILE]], first: usize, mut bits: u32) -> [W::Sum; TILE] {
    let mut sum = [W::Sum::default(); TILE];
    while bits != 0 {
        if let Some(row) = rows.get(first + bits.trailing_zeros() as usize) {
            for k in 0..TILE {
                sum[k] = W::add(sum[k], row[k]);
            }
        }
        bits &= bits - 1;
    }
    sum
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
