//! What the whole-system tests share.
//!
//! - [`firmware`] builds the board's programs and runs them in QEMU;
//! - [`models`] makes images for them;
//! - [`wire`] asks a session in this process, and one in QEMU.

pub mod firmware;
pub mod models;
pub mod wire;
