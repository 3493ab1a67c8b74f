#![no_std]
#![no_main]
//! Serves from an arena of 64 words, on purpose: too small for any model, and enough to say so.

use bitboltz_firmware::{arena, entry, model, serve};

#[entry]
fn main() -> ! {
    serve(model::open(), &mut arena()[..64])
}
