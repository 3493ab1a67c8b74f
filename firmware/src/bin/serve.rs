#![no_std]
#![no_main]
//! Answers requests over the serial line, until it is told to end.
//!
//! A frame ends with a zero byte. The first frame is the program's greeting: it is empty, a single zero, and says that the
//! line is open.

use bitboltz_firmware::{Uart, arena, entry, exit, weights};

#[entry]
fn main() -> ! {
    let image = weights();
    defmt::info!("image {=[u8]} of {} bytes", image[..16], image.len());

    let buffer = arena!(256).expect("main runs once");
    let mut uart = Uart::open();
    uart.write(0);
    loop {
        // An echo for now: one byte a word is wasteful, and goes with it.
        let mut length = 0;
        loop {
            match uart.read() {
                0 => break,
                byte if length < buffer.len() => {
                    buffer[length] = u32::from(byte);
                    length += 1;
                }
                _ => defmt::panic!("a frame longer than {} bytes", buffer.len()),
            }
        }
        if length == 0 {
            defmt::info!("end");
            exit(0)
        }
        for &byte in &buffer[..length] {
            uart.write(byte as u8);
        }
        uart.write(0);
    }
}
