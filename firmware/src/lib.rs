#![no_std]
//! What the programs share: how they begin, log, talk and end.
//!
//! A program is a file of `src/bin`. It starts at [`entry`], finds the machine's image with [`weights`], takes its working
//! memory with [`arena!`], logs with `defmt`, and ends with [`exit()`]. `serve` also opens the [`Uart`].
//!
//! The log goes out over semihosting's standard output as defmt frames: print nothing else there, it would break them.

// The logger is linked by being named.
use defmt_semihosting as _;

pub mod exit;
mod fault;
mod mmio;
mod uart;

pub use cortex_m_rt::entry;
pub use exit::exit;
pub use mmio::weights;
pub use uart::Uart;

// Named by `arena!`, so that a program needs no dependency of its own for it.
#[doc(hidden)]
pub use cortex_m;

/// The program's working memory: `arena!(N)` is `N` words of static RAM, zeroed, handed out once.
///
/// Words, because fields and packed bits are words. The result is an `Option<&'static mut [u32; N]>`; a second pass over
/// the same line gives `None`. The RAM shows in the program's size, where a stack's would not.
#[macro_export]
macro_rules! arena {
    ($words:expr) => {
        $crate::cortex_m::singleton!(: [u32; $words] = [0; $words])
    };
}
