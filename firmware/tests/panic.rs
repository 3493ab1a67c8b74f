#![no_std]
#![no_main]
//! Panics, on purpose.

use bitboltz_firmware::{entry, weights};

#[entry]
fn main() -> ! {
    // A panic of the language, not of defmt: its message goes through the handler's formatting.
    panic!("on purpose, beside {} bytes", weights().len())
}
