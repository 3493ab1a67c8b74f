#![no_std]
#![no_main]
//! Runs into a hard fault, on purpose.

use bitboltz_firmware::entry;

#[entry]
fn main() -> ! {
    // An instruction that is defined to be undefined.
    cortex_m::asm::udf()
}
