#![no_std]
//! What the programs share: how they begin, log, talk and end.
//!
//! A program is a file of `src/bin`. It starts at [`entry`], opens the machine's image with [`model::open`] in the working
//! memory of [`arena()`], logs with `defmt`, and ends with [`exit()`]:
//! - [`model`] says what the image is, or why it is refused, and makes the core's machine of it;
//! - [`serve()`] answers requests over the serial line of the [`board`];
//! - [`picture`] draws visible units into the log, [`clock`] counts, and [`stack`] says how much of it was used.
//!
//! What differs between instruction sets is in [`arch`], what differs between boards in the folder `boards`, one folder each:
//! the cargo feature of the same name chooses it.
//!
//! In QEMU the log goes out over semihosting's standard output as defmt frames: print nothing else there, it would break
//! them. On real boards it lies in a ring in RAM (RTT) that a probe empties; without a probe what does not fit
//! overwrites what was logged before.

// The logger is linked by being named; so is what it locks with.
#[cfg(target_arch = "arm")]
use cortex_m as _;
#[cfg(feature = "rtt")]
use defmt_rtt as _;
#[cfg(feature = "semihosting")]
use defmt_semihosting as _;

pub mod arch;
pub mod clock;
pub mod exit;
#[cfg(weights_flash)]
pub mod flash;
mod mmio;
pub mod model;
pub mod picture;
mod serve;
pub mod stack;
mod store;
pub mod uart;

// The chosen board's `board.rs`, as the module `board`.
include!(concat!(env!("OUT_DIR"), "/board.rs"));

pub use arch::entry;
pub use exit::exit;
pub use mmio::{arena, weights};
pub use serve::serve;
pub use store::store;
