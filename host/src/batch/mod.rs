//! Many chains at once, at the machine's speed.
//!
//! | file | holds |
//! |---|---|
//! | [`aligned`] | numbers that begin at a cache line |
//! | [`tile`] | matrices in tiles of 64 columns; what the kernels need of numbers |
//! | [`blocks`] | both orientations of a matrix, block by block |
//! | [`weights`] | a model's weights in tiles, both orientations |
//! | [`lists`] | which rows each chain adds and subtracts |
//! | [`streams`] | random streams, sixteen at a time |
//! | [`kernels`] | the inner loops, for each instruction set |
//! | [`chains`] | bits, fields and random streams of many chains; half-sweeps |
//! | [`walks`] | search, Gibbs sweeps and proposals, made of half-sweeps |
//! | [`coupling`] | pairs of chains with common uniforms, and H_{k:m} |
//! | [`mean_field`] | mean fields of visible vectors |
//!
//! Everything equals what the core does with one chain, draw by draw: with integer weights bit for bit, with floats up
//! to the rounding of the fields. No chain's result depends on which others it runs with. `README.md` beside these files
//! has the design and its measurements.

pub mod aligned;
pub mod blocks;
pub mod chains;
pub mod coupling;
pub mod kernels;
pub mod lists;
pub mod mean_field;
pub mod streams;
pub mod tile;
pub mod walks;
pub mod weights;

pub use chains::{Chains, Clamping};
pub use tile::{TILE, TileField, TileWeight};
pub use weights::ChainWeights;

use std::ops::Range;

use rayon::prelude::*;

/// Most chains of a block: the fields of a block and a tile of weights should fit the second-level cache.
pub const MAX_BLOCK: usize = 256;

/// Chains of a block, so that there is one for each thread, if there are few chains.
pub fn block_size(count: usize) -> usize {
    count.div_ceil(rayon::current_num_threads()).clamp(1, MAX_BLOCK)
}

/// Runs `work` on blocks of `0..count` on all processors, each with scratch made by `new`, and gives the results in
/// order.
pub fn in_blocks<S, T: Send>(
    count: usize,
    new: impl Fn() -> S + Sync + Send,
    work: impl Fn(&mut S, Range<usize>) -> T + Sync + Send,
) -> Vec<T> {
    let size = block_size(count);
    let blocks = (0..count.div_ceil(size)).into_par_iter();
    blocks.map_init(new, |scratch, block| work(scratch, block * size..((block + 1) * size).min(count))).collect()
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
