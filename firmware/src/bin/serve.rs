#![no_std]
#![no_main]
//! Answers requests over the serial line, until the power goes or QEMU is ended.

use bitboltz_firmware::{arena, entry, serve, store};

#[entry]
fn main() -> ! {
    serve(store(), arena())
}
