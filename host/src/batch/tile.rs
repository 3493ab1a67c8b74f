//! Matrices cut into tiles of columns, and what the kernels need of numbers.
//!
//! A tile holds 64 columns of all rows, one row after the other: adding many rows to the same 64 fields then walks one
//! stretch of memory that fits the cache, with the sums in registers. See the numbers in `README.md`.

use bitboltz_core::{
    bits::WORD_BITS,
    fixed::{SIGMOID_TAIL, Scale, sigmoid_tail},
    weights::{Field, Weight},
};
use bytemuck::Pod;
use rayon::prelude::*;

use super::{
    aligned::Aligned,
    kernels::{Lanes, Registers},
};

/// Columns of a tile.
pub const TILE: usize = 64;

/// A field as the kernels use it.
pub trait TileField: Field<Energy: PartialEq + Send + Sync> {
    /// [`sigmoid`](bitboltz_core::fixed::sigmoid) of the field, without a branch.
    fn threshold(self, scale: Scale) -> u32;
    /// The field as a real number, where one unit of an integer field is worth `unit`. Rounded.
    fn to_f32(self, unit: f32) -> f32;
    /// Bit k is on iff field k is at least zero.
    fn at_least_zero(lanes: impl Lanes, fields: &[Self; WORD_BITS]) -> u32;
}

impl TileField for f32 {
    #[inline(always)]
    fn threshold(self, _scale: Scale) -> u32 {
        // `to_q16` by additions, since the compiler converts saturating casts one at a time. To the table, all from 32 on
        // are alike, and so are 0 and what is rounded to it from below.
        const LIMIT: f32 = (1 << 21) as f32;
        // The last bit of a float of this size is worth one.
        const WHOLE: f32 = 8_388_608.0;
        let magnitude = (self * 65_536.0).abs();
        let magnitude = if magnitude > LIMIT { LIMIT } else { magnitude };
        // A cast takes NaN for 0.
        let magnitude = if magnitude.is_nan() { 0.0 } else { magnitude };
        let nearest = (magnitude + WHOLE) - WHOLE;
        let whole = if nearest > magnitude { nearest - 1.0 } else { nearest };
        sigmoid((whole + WHOLE).to_bits() & 0x7F_FFFF, self < 0.0)
    }

    #[inline(always)]
    fn to_f32(self, _unit: f32) -> f32 {
        self
    }

    #[inline(always)]
    fn at_least_zero(lanes: impl Lanes, fields: &[Self; WORD_BITS]) -> u32 {
        lanes.floats_at_least_zero(fields)
    }
}

impl TileField for i32 {
    #[inline(always)]
    fn threshold(self, scale: Scale) -> u32 {
        let field = self.to_q16(scale);
        sigmoid(field.unsigned_abs(), field < 0)
    }

    #[inline(always)]
    fn to_f32(self, unit: f32) -> f32 {
        self as f32 * unit
    }

    #[inline(always)]
    fn at_least_zero(lanes: impl Lanes, fields: &[Self; WORD_BITS]) -> u32 {
        lanes.integers_at_least_zero(fields)
    }
}

/// Each entry of the core's table with what it is above the next one, in the upper half: read at once. The last one is
/// zero, so every larger index may read it instead.
static TAIL: [u64; SIGMOID_TAIL - 1] = {
    let mut pairs = [0; SIGMOID_TAIL - 1];
    let mut at = 0;
    while at < pairs.len() {
        let high = sigmoid_tail(at);
        pairs[at] = high as u64 | ((high - sigmoid_tail(at + 1)) as u64) << 32;
        at += 1;
    }
    pairs
};

/// The core's sigmoid with a clamped index instead of a checked one.
#[inline(always)]
fn sigmoid(magnitude: u32, negative: bool) -> u32 {
    const SUB: u32 = 11;
    let pair = TAIL[(magnitude >> SUB).min(TAIL.len() as u32 - 1) as usize];
    let part = u64::from(magnitude & ((1 << SUB) - 1));
    let tail = ((pair & 0xFFFF_FFFF) - (((pair >> 32) * part) >> SUB)) as u32;
    // −tail, and the largest number where the tail is zero.
    let upper = (tail.max(1)).wrapping_neg();
    if negative { tail } else { upper }
}

/// A weight as the kernels add it.
pub trait TileWeight: Weight<Field: TileField, Packed = Self> + Pod + Registers {
    /// Columns of a table of sums: 32, or 64 if sums are narrow.
    const TABLE_COLUMNS: usize = 128 / size_of::<Self::Sum>();

    /// Whether two tiles are added at a time: rows of narrow weights cost more for finding them than for adding them.
    const PAIRS: bool = size_of::<Self>() < 4;

    /// Adds a weight.
    fn add(sum: Self::Sum, weight: Self) -> Self::Sum;
    /// Adds a sum.
    fn join(sum: Self::Sum, other: Self::Sum) -> Self::Sum;
    /// The negative of a sum.
    fn negate(sum: Self::Sum) -> Self::Sum;
    /// Adds a sum, shifted to the left, to a field.
    fn fold(field: Self::Field, sum: Self::Sum, shift: u32) -> Self::Field;
}

impl TileWeight for f32 {
    #[inline(always)]
    fn add(sum: Self, weight: Self) -> Self {
        sum + weight
    }

    #[inline(always)]
    fn join(sum: Self, other: Self) -> Self {
        sum + other
    }

    #[inline(always)]
    fn negate(sum: Self) -> Self {
        -sum
    }

    #[inline(always)]
    fn fold(field: Self, sum: Self, _shift: u32) -> Self {
        field + sum
    }
}

impl TileWeight for i16 {
    #[inline(always)]
    fn add(sum: i32, weight: Self) -> i32 {
        sum.wrapping_add(i32::from(weight))
    }

    #[inline(always)]
    fn join(sum: i32, other: i32) -> i32 {
        sum.wrapping_add(other)
    }

    #[inline(always)]
    fn negate(sum: i32) -> i32 {
        sum.wrapping_neg()
    }

    #[inline(always)]
    fn fold(field: i32, sum: i32, shift: u32) -> i32 {
        field.wrapping_add(sum << shift)
    }
}

impl TileWeight for i8 {
    #[inline(always)]
    fn add(sum: i16, weight: Self) -> i16 {
        sum.wrapping_add(i16::from(weight))
    }

    #[inline(always)]
    fn join(sum: i16, other: i16) -> i16 {
        sum.wrapping_add(other)
    }

    #[inline(always)]
    fn negate(sum: i16) -> i16 {
        sum.wrapping_neg()
    }

    #[inline(always)]
    fn fold(field: i32, sum: i16, shift: u32) -> i32 {
        field.wrapping_add(i32::from(sum) << shift)
    }
}

/// Scratch for sums of all subsets of four rows, 32 kB: for each of sixteen groups of rows, for each subset,
/// [`TileWeight::TABLE_COLUMNS`] sums.
pub type Table<W> = Aligned<<W as Registers>::Sum>;

/// A table that holds no sums yet.
pub fn new_table<W: TileWeight>() -> Table<W> {
    Aligned::zeros(16 * 16 * W::TABLE_COLUMNS)
}

/// A matrix in tiles of columns; the last tile is padded with zeros.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tiles<W> {
    rows: usize,
    columns: usize,
    /// All rows of tile 0, all rows of tile 1, …
    data: Aligned<W>,
}

impl<W: bytemuck::Pod + Send + Sync> Tiles<W> {
    /// All zero.
    pub fn zeros(rows: usize, columns: usize) -> Self {
        Self { rows, columns, data: Aligned::zeros(rows * columns.div_ceil(TILE) * TILE) }
    }

    /// Rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns, padding not counted.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Length of a padded row.
    pub fn stride(&self) -> usize {
        self.columns.div_ceil(TILE) * TILE
    }

    /// The tiles: 64 columns of every row each.
    pub fn tiles(&self) -> impl Iterator<Item = &[[W; TILE]]> {
        self.data.as_chunks().0.chunks_exact(self.rows.max(1))
    }

    /// All of the numbers, padding included, in parts of so many.
    pub fn parts(&self, length: usize) -> impl IndexedParallelIterator<Item = &[W]> {
        self.data.par_chunks(length)
    }

    /// One row.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn row(&self, row: usize) -> impl Iterator<Item = W> {
        self.tiles().flat_map(move |tile| tile[row]).take(self.columns)
    }

    /// 64 columns of every row.
    ///
    /// # Panics
    /// If there is no such tile.
    pub fn tile(&self, tile: usize) -> &[[W; TILE]] {
        &self.data.as_chunks().0[tile * self.rows..(tile + 1) * self.rows]
    }

    /// 64 columns of every row, to write. Padding must stay zero.
    ///
    /// # Panics
    /// If there is no such tile.
    pub fn tile_mut(&mut self, tile: usize) -> &mut [[W; TILE]] {
        &mut self.data.as_chunks_mut().0[tile * self.rows..(tile + 1) * self.rows]
    }

    /// The tiles, to write. Padding must stay zero.
    pub fn tiles_mut(&mut self) -> impl IndexedParallelIterator<Item = &mut [[W; TILE]]> {
        self.data.as_chunks_mut().0.par_chunks_exact_mut(self.rows.max(1))
    }

    /// The tiles, to write, one after the other. Padding must stay zero.
    pub fn each_tile_mut(&mut self) -> impl Iterator<Item = &mut [[W; TILE]]> {
        self.data.as_chunks_mut().0.chunks_exact_mut(self.rows.max(1))
    }

    /// One number.
    ///
    /// # Panics
    /// If there is no such row or column.
    pub fn get(&self, row: usize, column: usize) -> W {
        assert!(row < self.rows && column < self.columns, "({row}, {column}) of {} × {}", self.rows, self.columns);
        self.data[(column / TILE * self.rows + row) * TILE + column % TILE]
    }

    /// Takes the numbers of a matrix that lies row by row.
    ///
    /// # Panics
    /// If it is of another size.
    pub fn copy_from(&mut self, matrix: &[W]) {
        assert_eq!(matrix.len(), self.rows * self.columns);
        let columns = self.columns;
        self.fill_rows(|row| &matrix[row * columns..(row + 1) * columns]);
    }

    /// Takes its rows from somewhere.
    ///
    /// # Panics
    /// If a row is shorter than it should be.
    pub fn fill_rows<'r>(&mut self, row: impl Fn(usize) -> &'r [W] + Sync)
    where
        W: 'r,
    {
        let columns = self.columns;
        self.tiles_mut().enumerate().for_each(|(tile, out)| {
            let first = tile * TILE;
            let count = TILE.min(columns - first);
            for (at, out) in out.iter_mut().enumerate() {
                out[..count].copy_from_slice(&row(at)[first..first + count]);
            }
        });
    }

    /// Takes the numbers of the transpose of a matrix that lies row by row.
    ///
    /// # Panics
    /// If it is of another size.
    pub fn copy_transposed(&mut self, matrix: &[W]) {
        assert_eq!(matrix.len(), self.rows * self.columns);
        let (height, columns) = (self.rows, self.columns);
        self.tiles_mut().enumerate().for_each(|(tile, out)| {
            let first = tile * TILE;
            let count = TILE.min(columns - first);
            // Sixteen rows of the tile at a time: whole cache lines of the matrix.
            for (part, out) in out.chunks_mut(16).enumerate() {
                for column in 0..count {
                    let from = &matrix[(first + column) * height + part * 16..][..out.len()];
                    out.iter_mut().zip(from).for_each(|(row, &number)| row[column] = number);
                }
            }
        });
    }
}
