//! The loops over tiles, fields and bits, and the one place that chooses an instruction set.
//!
//! [`portable`] is the algorithm, in safe Rust that is inlined into one function for each instruction set: `avx2` and
//! `avx512` say what the compiler may use, in which registers sums of columns are kept, and by which instructions squares
//! are transposed and bits are packed and listed (`lanes`). All of them do the same operations in the same order, floats
//! included, so their results are equal to the bit. The calls of such functions and of instructions are the only `unsafe`
//! of the crate.

#![allow(unsafe_code, reason = "calls of functions and instructions that not every machine has")]

mod lanes;
pub mod portable;
#[macro_use]
mod sums;

pub use lanes::{Lanes, PlainLanes, SIDE, Square};
pub use sums::Registers;

/// Every kernel of [`portable`], compiled for the instructions that `$features` names.
#[cfg(target_arch = "x86_64")]
macro_rules! compiled_for {
    ($tile:ident, $table:ident, $features:literal) => {
        use bitboltz_core::{bits::WORD_BITS, fixed::Scale};

        use super::{
            BlockStep, Lane, Products, Registers, Sign, Target,
            lanes::{Lanes, SIDE, Square},
            portable,
            sums::{Sums, Zero, chunks, chunks_mut},
        };
        use crate::batch::{
            lists::{Job, WordJob},
            streams::{LANES, Stream},
            tile::{TILE, Table, TileField, TileWeight},
        };

        #[target_feature(enable = $features)]
        pub(super) fn add_rows<W: TileWeight, const T: usize>(
            tiles: [&[[W; TILE]]; T],
            jobs: &[Job],
            rows: &[u16],
            sign: Sign,
            target: &mut Target<'_, W::Field>,
            shift: u32,
        ) {
            // SAFETY: this function is compiled for the instructions.
            let zero = unsafe { <W as Registers>::$tile::zero() };
            portable::add_rows_in(zero, tiles, jobs, rows, sign, target, shift);
        }

        #[target_feature(enable = $features)]
        pub(super) fn add_all<W: TileWeight>(rows: &[[W; TILE]], sums: &mut [W::Sum; TILE]) {
            // SAFETY: this function is compiled for the instructions.
            let zero = unsafe { <W as Registers>::$tile::zero() };
            portable::add_all_in(zero, rows, sums);
        }

        #[target_feature(enable = $features)]
        pub(super) fn modes<F: TileField>(fields: &[F], words: &mut [u32]) {
            // SAFETY: this function is compiled for the instructions.
            portable::modes_in(unsafe { VectorLanes::new() }, fields, words);
        }

        #[target_feature(enable = $features)]
        pub(super) fn samples<F: TileField>(fields: &[F], scale: Scale, draws: &[u32], words: &mut [u32]) {
            // SAFETY: this function is compiled for the instructions.
            portable::samples_in(unsafe { VectorLanes::new() }, fields, scale, draws, words);
        }

        #[target_feature(enable = $features)]
        pub(super) fn means<F: TileField>(fields: &[F], scale: Scale, means: &mut [f32]) {
            portable::means(fields, scale, means);
        }

        #[target_feature(enable = $features)]
        pub(super) fn sigmoids(fields: &[f32], means: &mut [f32]) {
            portable::sigmoids(fields, means);
        }

        #[target_feature(enable = $features)]
        pub(super) fn add_products(rows: &[[f32; TILE]], factors: &[[f32; TILE]], sums: &mut [[f32; TILE]]) {
            portable::add_products(rows, factors, sums);
        }

        #[target_feature(enable = $features)]
        pub(super) fn masked_sum<F: TileField>(fields: &[F], words: &[u32]) -> F::Energy {
            portable::masked_sum(fields, words)
        }

        #[target_feature(enable = $features)]
        pub(super) fn count_pairs(rows: &[u64], columns: &[[u64; TILE]], sums: &mut [[f32; TILE]]) {
            portable::count_pairs(rows, columns, sums);
        }

        #[target_feature(enable = $features)]
        pub(super) fn ascend(
            weights: &mut [[f32; TILE]],
            velocities: Option<&mut [[f32; TILE]]>,
            step: &BlockStep<'_>,
            products: &mut Products<'_>,
        ) {
            // SAFETY: this function is compiled for the instructions.
            portable::ascend_in(unsafe { VectorLanes::new() }, weights, velocities, step, products);
        }

        #[target_feature(enable = $features)]
        pub(super) fn transpose<T: Lane>(block: &[[T; TILE]], transposed: &mut [[T; TILE]]) {
            // SAFETY: this function is compiled for the instructions.
            portable::transpose_in(unsafe { VectorLanes::new() }, block, transposed);
        }

        #[target_feature(enable = $features)]
        pub(super) fn map<A: Copy, B>(from: &[[A; TILE]], to: &mut [[B; TILE]], number: impl Fn(A) -> B) {
            portable::map(from, to, number);
        }

        #[target_feature(enable = $features)]
        pub(super) fn count_ones(words: &[u32]) -> u32 {
            portable::count_ones(words)
        }

        #[target_feature(enable = $features)]
        pub(super) fn changes(now: &[u32], seen: &[u32], mask: &[u32]) -> (u32, u32) {
            portable::changes(now, seen, mask)
        }

        #[target_feature(enable = $features)]
        pub(super) fn list_ones(words: &[u32], first: usize, rows: &mut [u16]) -> usize {
            // SAFETY: this function is compiled for the instructions.
            portable::list_ones_in(unsafe { VectorLanes::new() }, words, first, rows)
        }

        #[target_feature(enable = $features)]
        pub(super) fn draws(streams: &mut [Stream; LANES], count: usize, out: &mut [u32], stride: usize) {
            // SAFETY: this function is compiled for the instructions.
            portable::draws_in(unsafe { VectorLanes::new() }, streams, count, out, stride);
        }

        #[target_feature(enable = $features)]
        pub(super) fn skip(streams: &mut [Stream; LANES], count: usize) {
            portable::skip(streams, count);
        }

        #[target_feature(enable = $features)]
        pub(super) fn add_words<W: TileWeight>(
            rows: &[[W; TILE]],
            jobs: &[WordJob],
            table: &mut Table<W>,
            target: &mut Target<'_, W::Field>,
            shift: u32,
        ) {
            // SAFETY: this function is compiled for the instructions.
            let (tile, zero) = unsafe { (<W as Registers>::$tile::zero(), <W as Registers>::$table::zero()) };
            portable::add_words_in(tile, zero, rows, jobs, table, target, shift);
        }
    };
}

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;

use std::sync::OnceLock;

use bitboltz_core::fixed::Scale;

use super::{
    lists::{Job, WordJob},
    streams::{LANES, Stream},
    tile::{TILE, Table, TileField, TileWeight},
};

/// An instruction set that this machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Isa(Level);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "levels of x86-64"))]
enum Level {
    Portable,
    Avx2,
    Avx512,
}

impl Isa {
    /// What every machine has.
    pub const PORTABLE: Self = Self(Level::Portable);

    /// All that this machine has, slowest first.
    pub fn available() -> &'static [Self] {
        static FOUND: OnceLock<Vec<Isa>> = OnceLock::new();
        FOUND.get_or_init(|| {
            #[allow(unused_mut, reason = "nothing else to find on other architectures")]
            let mut found = vec![Self::PORTABLE];
            #[cfg(target_arch = "x86_64")]
            {
                if avx2::available() {
                    found.push(Self(Level::Avx2));
                }
                if avx512::available() {
                    found.push(Self(Level::Avx512));
                }
            }
            found
        })
    }

    /// The fastest that this machine has.
    pub fn best() -> Self {
        Self::available().last().copied().unwrap_or(Self::PORTABLE)
    }

    /// Its name: `portable`, `avx2`, `avx512`.
    pub fn name(self) -> &'static str {
        match self.0 {
            Level::Portable => "portable",
            Level::Avx2 => "avx2",
            Level::Avx512 => "avx512",
        }
    }
}

/// Calls the kernel of an instruction set.
macro_rules! dispatch {
    ($isa:expr, $kernel:ident($($argument:expr),*)) => {
        match $isa.0 {
            Level::Portable => portable::$kernel($($argument),*),
            // SAFETY: an `Isa` of this level is made only by `available`, which has found the instructions.
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => unsafe { avx2::$kernel($($argument),*) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => unsafe { avx512::$kernel($($argument),*) },
            #[cfg(not(target_arch = "x86_64"))]
            _ => portable::$kernel($($argument),*),
        }
    };
}

/// Whether sums are added or subtracted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// Added.
    Plus,
    /// Subtracted.
    Minus,
}

/// Where the sums of [`add_rows`] go: rows of `stride` numbers, of which `columns` from `first` on are the tiles'.
#[derive(Debug)]
pub struct Target<'f, F> {
    /// The rows.
    pub fields: &'f mut [F],
    /// Length of a row.
    pub stride: usize,
    /// First column of the (first) tile.
    pub first: usize,
    /// Columns of the tiles, at most [`TILE`] each.
    pub columns: usize,
}

/// For each job: adds the rows of weights that it lists to its row of the target, or subtracts them; the sum is shifted
/// to the left before it is added. Of tiles side by side, whose columns the target has, each row is added to its own sums.
///
/// # Panics
/// If a row lies outside of the tile, or a job outside of the lists or the target.
pub fn add_rows<W: TileWeight, const T: usize>(
    isa: Isa,
    tiles: [&[[W; TILE]]; T],
    jobs: &[Job],
    rows: &[u16],
    sign: Sign,
    target: &mut Target<'_, W::Field>,
    shift: u32,
) {
    dispatch!(isa, add_rows(tiles, jobs, rows, sign, target, shift));
}

/// Writes the sum of rows that lie one after the other: how fast rows can be added at all from where they lie. No chain
/// needs it; `bitboltz bench` holds the others against it. Sums of more than 255 8-bit weights may wrap around.
pub fn add_all<W: TileWeight>(isa: Isa, rows: &[[W; TILE]], sums: &mut [W::Sum; TILE]) {
    dispatch!(isa, add_all(rows, sums));
}

/// For each job: adds those of at most 64 rows whose bits are on in its word, summed by fours, to its row of the target.
///
/// `table` is scratch: if there are many jobs, the sums of all subsets of four rows are made once, and a job adds
/// sixteen of them instead of up to 64 rows. Bits of rows that there are not must be off. The results are the same either way.
///
/// # Panics
/// If a job lies outside of the target.
pub fn add_words<W: TileWeight>(
    isa: Isa,
    rows: &[[W; TILE]],
    jobs: &[WordJob],
    table: &mut Table<W>,
    target: &mut Target<'_, W::Field>,
    shift: u32,
) {
    dispatch!(isa, add_words(rows, jobs, table, target, shift));
}

/// Packs the signs of fields: bit i is on iff field i is at least zero.
///
/// # Panics
/// If there are fewer fields than 32 for each word.
pub fn modes<F: TileField>(isa: Isa, fields: &[F], words: &mut [u32]) {
    dispatch!(isa, modes(fields, words));
}

/// Packs samples: bit i is on iff draw i is below the [threshold](bitboltz_core::fixed::sigmoid) of field i.
///
/// # Panics
/// If there are fewer fields or draws than 32 for each word.
pub fn samples<F: TileField>(isa: Isa, fields: &[F], scale: Scale, draws: &[u32], words: &mut [u32]) {
    dispatch!(isa, samples(fields, scale, draws, words));
}

/// The conditional means of fields, by the table that [`samples`] uses.
pub fn means<F: TileField>(isa: Isa, fields: &[F], scale: Scale, means: &mut [f32]) {
    dispatch!(isa, means(fields, scale, means));
}

/// σ of fields, right to about 10⁻⁷; for means that are no probabilities of samples.
pub fn sigmoids(isa: Isa, fields: &[f32], means: &mut [f32]) {
    dispatch!(isa, sigmoids(fields, means));
}

/// Adds to `sums[n]` the sum over i of `factors[n][i]` × row i. The result for n does not depend on the others.
///
/// # Panics
/// If there are more than [`TILE`] rows, or not as many factors as sums.
pub fn add_products(isa: Isa, rows: &[[f32; TILE]], factors: &[[f32; TILE]], sums: &mut [[f32; TILE]]) {
    dispatch!(isa, add_products(rows, factors, sums));
}

/// Sum of the fields whose bits are on; whole words of them.
pub fn masked_sum<F: TileField>(isa: Isa, fields: &[F], words: &[u32]) -> F::Energy {
    dispatch!(isa, masked_sum(fields, words))
}

/// Adds to `sums[i][j]` the number of bits that row i and column j share. Rows are as many words long as `columns` has
/// elements, one after the other; element k of `columns` holds word k of each of [`TILE`] columns.
///
/// # Panics
/// If there are not as many rows as sums.
pub fn count_pairs(isa: Isa, rows: &[u64], columns: &[[u64; TILE]], sums: &mut [[f32; TILE]]) {
    dispatch!(isa, count_pairs(rows, columns, sums));
}

/// The gradient of a block of at most 64 rows of weights, and how far to follow it: see [`crate::train::gradient`].
/// What belongs to rows has one element for each row of the block.
#[derive(Clone, Copy, Debug)]
pub struct BlockStep<'s> {
    /// Sums of products in the positive phase.
    pub positive: &'s [[f32; TILE]],
    /// The same in the negative phase.
    pub negative: &'s [[f32; TILE]],
    /// What makes averages of them.
    pub factors: [f32; 2],
    /// Offsets of the rows' units.
    pub row_offsets: &'s [f32],
    /// Differences of the means of the rows' units, positive minus negative.
    pub row_differences: &'s [f32],
    /// Offsets of the columns' units.
    pub column_offsets: &'s [f32; TILE],
    /// Differences of the means of the columns' units.
    pub column_differences: &'s [f32; TILE],
    /// How far to go.
    pub rule: Rule,
}

/// How an update moves the weights W: with the gradient G = ΔW − decay · W, V ← momentum · V + G, then W ← W + rate · V.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// The learning rate.
    pub rate: f32,
    /// What is kept of the velocity V; 0 for none.
    pub momentum: f32,
    /// Weight decay: the penalty is decay/2 times the sum of the squared weights.
    pub decay: f32,
}

/// What [`ascend`] finds beside the weights.
#[derive(Debug)]
pub struct Products<'p> {
    /// Gains, for each row, the product of the row's gradient and the columns' offsets.
    pub rows: &'p mut [f32],
    /// Gains, for each column, the product of the column's gradient and the rows' offsets.
    pub columns: &'p mut [f32; TILE],
    /// Grows to the largest magnitude of a weight, as bits: those of floats that are not finite are the largest.
    pub largest: u32,
}

/// Moves a block of weights along its gradient, by the [rule](BlockStep::rule). Velocities are those of the block's weights
/// before and after; without any the rule's momentum does not matter.
///
/// # Panics
/// If there are fewer rows of velocities than of weights.
pub fn ascend(
    isa: Isa,
    weights: &mut [[f32; TILE]],
    velocities: Option<&mut [[f32; TILE]]>,
    step: &BlockStep<'_>,
    products: &mut Products<'_>,
) {
    dispatch!(isa, ascend(weights, velocities, step, products));
}

/// Writes the transpose of a block of at most 64 rows: row j of `transposed` gets column j, as far as there are rows.
pub fn transpose<T: Lane>(isa: Isa, block: &[[T; TILE]], transposed: &mut [[T; TILE]]) {
    dispatch!(isa, transpose(block, transposed));
}

/// A number of at most 32 bits, which as 32 bits is moved.
pub trait Lane: Copy {
    /// Its bits.
    fn to_lane(self) -> u32;
    /// The number that has these bits.
    fn of_lane(lane: u32) -> Self;
}

macro_rules! integer_lanes {
    ($($integer:ty),*) => {$(
        impl Lane for $integer {
            #[inline(always)]
            fn to_lane(self) -> u32 {
                self as u32
            }

            #[inline(always)]
            fn of_lane(lane: u32) -> Self {
                lane as Self
            }
        }
    )*};
}
integer_lanes!(i8, i16, i32);

impl Lane for f32 {
    #[inline(always)]
    fn to_lane(self) -> u32 {
        self.to_bits()
    }

    #[inline(always)]
    fn of_lane(lane: u32) -> Self {
        Self::from_bits(lane)
    }
}

/// Writes what `number` makes of each number of some rows.
pub fn map<A: Copy, B>(isa: Isa, from: &[[A; TILE]], to: &mut [[B; TILE]], number: impl Fn(A) -> B) {
    dispatch!(isa, map(from, to, number));
}

/// Number of bits that are on.
pub fn count_ones(isa: Isa, words: &[u32]) -> u32 {
    dispatch!(isa, count_ones(words))
}

/// Number of bits in which `now` and `seen` differ, and of bits that are on in `now` and off in `mask`.
pub fn changes(isa: Isa, now: &[u32], seen: &[u32], mask: &[u32]) -> (u32, u32) {
    dispatch!(isa, changes(now, seen, mask))
}

/// Writes the places of the bits that are on, counted from `first`, and tells how many they are. What follows them is
/// undefined.
///
/// # Panics
/// If `rows` has no room for all bits of the words.
pub fn list_ones(isa: Isa, words: &[u32], first: usize, rows: &mut [u16]) -> usize {
    dispatch!(isa, list_ones(words, first, rows))
}

/// Draws `count` words from each stream, into rows of `out` that are `stride` words long. Up to the next multiple of 16,
/// what follows the last draw is undefined.
///
/// # Panics
/// If `out` is too short.
pub fn draws(isa: Isa, streams: &mut [Stream; LANES], count: usize, out: &mut [u32], stride: usize) {
    dispatch!(isa, draws(streams, count, out, stride));
}

/// Draws `count` words from each stream that nobody needs.
pub fn skip(isa: Isa, streams: &mut [Stream; LANES], count: usize) {
    dispatch!(isa, skip(streams, count));
}

#[cfg(test)]
mod tests;
