#![no_std]
#![no_main]
//! A session of integer weights and nothing else: linked without a float unit, it must not call for one.
//!
//! `tests/integers.rs` of the repository reads the symbols.

use bitboltz_core::{connection::Integer, image::Image, session::Session};
use bitboltz_firmware::{arena, board, entry, weights};

#[entry]
fn main() -> ! {
    let mut session = Session::<Integer<'static>>::new(Image::open(weights()), arena());
    let mut uart = board::uart();
    loop {
        let byte = uart.read();
        session.receive(byte, &mut |bytes| bytes.iter().for_each(|&byte| uart.write(byte)));
    }
}
