//! What the whole-system tests share.
//!
//! - [`firmware`] builds the board's programs and runs them in QEMU.

pub mod firmware;
pub mod models;
pub mod phases;
pub mod rngs;
pub mod significance;
pub mod tolerance;
pub mod transitions;
