//! What the whole-system tests share.
//!
//! - [`command`] builds the `bitboltz` program and runs it;
//! - [`firmware`] builds the board's programs and runs them in QEMU;
//! - [`wire`] asks a session in this process, and one in QEMU; [`device`] is a client of the latter, and [`monitor`] resets it
//!   and reads its memory;
//! - [`models`] makes small machines of every weight type, and units to hold; [`images`] makes images of them, and damages
//!   these;
//! - [`fuzz`] holds what the fuzz targets do with bytes;
//! - [`phases`], [`transitions`], [`rngs`] hold estimators, Markov kernels and random numbers that only tests need;
//! - [`significance`], [`tolerance`] say when a difference is one.

pub mod command;
pub mod device;
pub mod firmware;
pub mod images;
pub mod models;
pub mod monitor;
pub mod phases;
pub mod rngs;
pub mod significance;
pub mod tolerance;
pub mod transitions;
pub mod wire;

pub use bitboltz_fuzz_bodies::{self as fuzz, flash};
