#![no_std]
#![no_main]
//! Panics, on purpose.

use bitboltz_firmware::{entry, weights};

#[entry]
fn main() -> ! {
    // A panic of the language, not of defmt. The handler logs the place of this line, and not the message.
    panic!("on purpose, beside {} bytes", weights().len())
}
