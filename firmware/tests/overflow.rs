#![no_std]
#![no_main]
//! Recurses until the stack is used up, on purpose: that must be a fault at once, and no variable overwritten.

use bitboltz_firmware::{entry, exit};
use core::hint::black_box;

#[entry]
fn main() -> ! {
    exit(deeper(0) as i32 & 1)
}

/// Keeps a frame for each call: nothing may turn it into a loop.
#[inline(never)]
fn deeper(depth: u32) -> u32 {
    let frame = black_box([depth; 16]);
    let below = if depth == u32::MAX { 0 } else { deeper(depth + 1) };
    below.wrapping_add(black_box(frame)[(depth % 16) as usize])
}
