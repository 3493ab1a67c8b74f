//! Many chains at once, at the machine's speed.
//!
//! | file | holds |
//! |---|---|
//! | [`tile`] | matrices in tiles of 64 columns; what the kernels need of numbers |
//! | [`weights`] | a model's weights in tiles, both orientations |
//! | [`lists`] | which rows each chain adds and subtracts |
//! | [`kernels`] | the inner loops, for each instruction set |
//! | [`chains`] | bits, fields and random streams of many chains; half-sweeps |
//! | [`walks`] | search, Gibbs sweeps and proposals, made of half-sweeps |
//!
//! Everything equals what the core does with one chain, draw by draw: with integer weights bit for bit, with floats up
//! to the rounding of the fields. No chain's result depends on which others it runs with. `README.md` beside these files
//! has the design and its measurements.

pub mod chains;
pub mod kernels;
pub mod lists;
pub mod tile;
pub mod walks;
pub mod weights;

pub use chains::{Chains, Clamping};
pub use tile::{TILE, TileField, TileWeight};
pub use weights::ChainWeights;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
