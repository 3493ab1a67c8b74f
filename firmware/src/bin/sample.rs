#![no_std]
#![no_main]
//! Draws samples from the machine in the weights region and logs them.

use bitboltz_firmware::{arena, entry, exit, weights};

#[entry]
fn main() -> ! {
    let image = weights();
    defmt::info!("image {=[u8]} of {} bytes", image[..16], image.len());
    let arena = arena!(256).expect("main runs once");
    defmt::info!("arena of {} words", arena.len());
    exit(0)
}
