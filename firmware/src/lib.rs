#![no_std]
//! What the programs share: how they begin, log, talk and end.
//!
//! A program is a file of `src/bin`. It starts at [`entry`], opens the machine's image with [`model::open`] in the working
//! memory of [`arena()`], logs with `defmt`, and ends with [`exit()`]:
//! - [`model`] says what the image is, or why it is refused, and makes the core's machine of it;
//! - [`serve()`] answers requests over the [`Uart`];
//! - [`picture`] draws visible units into the log, and [`clock`] counts.
//!
//! The log goes out over semihosting's standard output as defmt frames: print nothing else there, it would break them.

// The logger is linked by being named.
use defmt_semihosting as _;

pub mod clock;
pub mod exit;
mod fault;
mod mmio;
pub mod model;
pub mod picture;
mod serve;
mod store;
mod uart;

pub use cortex_m_rt::entry;
pub use exit::exit;
pub use mmio::{arena, weights};
pub use serve::serve;
pub use store::store;
pub use uart::Uart;
