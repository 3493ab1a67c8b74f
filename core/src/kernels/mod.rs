//! Kernels: fields from bits and weights.
//!
//! The [`portable`] ones are the reference that every faster one must equal. A matrix lies row by row, a row for each
//! unit of the lower layer, so a flip of a lower unit adds one contiguous row to the upper fields, and the lower fields
//! are masked sums of contiguous rows. This folder is the only place of the crate where `unsafe` may appear; the
//! portable kernels need none.

pub mod portable;

pub use portable::{add_column, add_row, masked_sum};
