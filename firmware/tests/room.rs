#![no_std]
#![no_main]
//! Serves from an arena of 64 words, on purpose: too small for any model, and enough to say so.

use bitboltz_firmware::{arena, entry, serve, store};

#[entry]
fn main() -> ! {
    serve(store(), &mut arena()[..64])
}
