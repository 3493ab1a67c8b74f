#![no_std]
#![no_main]
//! Answers requests over the serial line, until the power goes or QEMU is ended.

use bitboltz_firmware::{arena, entry, model, serve};

#[entry]
fn main() -> ! {
    serve(model::open(), arena())
}
