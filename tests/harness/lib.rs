//! What the whole-system tests share.
//!
//! - [`command`] builds the `bitboltz` program and runs it;
//! - [`firmware`] builds the board's programs and runs them in QEMU, [`board_images`] makes images for them;
//! - [`wire`] asks a session in this process, and one in QEMU;
//! - [`images`] builds small models, their images, and talks to sessions over them;
//! - [`models`] makes small machines of every weight type, and units to hold;
//! - [`phases`], [`transitions`], [`rngs`] hold estimators, Markov kernels and random numbers that only tests need;
//! - [`significance`], [`tolerance`] say when a difference is one.

pub mod board_images;
pub mod command;
pub mod firmware;
pub mod images;
pub mod models;
pub mod phases;
pub mod rngs;
pub mod significance;
pub mod tolerance;
pub mod transitions;
pub mod wire;
