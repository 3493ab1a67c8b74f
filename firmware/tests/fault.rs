#![no_std]
#![no_main]
//! Runs into a hard fault, on purpose.

use bitboltz_firmware::entry;

#[entry]
fn main() -> ! {
    bitboltz_firmware::arch::undefined()
}
