//! What the whole-system tests share.
//!
//! - [`firmware`] builds the board's programs and runs them in QEMU.

pub mod firmware;
