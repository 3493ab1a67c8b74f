//! The stack: where it is, how much of it was used, and what happens when it is not enough.
//!
//! It has a region of its own, `STACK`, at the bottom of the RAM: it grows downwards, away from the variables and from the arena.
//! What overflows it leaves the RAM, which the processor notices at once as a fault (exit code 102), instead of overwriting
//! data. No linker wrapper is needed for that: `_stack_start` and `_stack_end` in memory.x are enough for cortex-m-rt, the
//! alias `REGION_STACK` for riscv-rt. On RISC-V the program may lie below, and some buses ignore what goes nowhere: so on RISC-V and
//! on an Armv7-M with a memory protection unit the 4 KiB below the stack are guarded, and on Armv8-M the stack pointer has a
//! limit (`arch/`).
#![allow(unsafe_code)]

use crate::arch::stack_pointer;
use core::ptr::{addr_of, with_exposed_provenance, with_exposed_provenance_mut};

unsafe extern "C" {
    /// One past the stack's highest byte, where it begins to grow down.
    static _stack_start: u32;
    /// Its lowest word.
    static _stack_end: u32;
}

/// What unused words are painted with: no address of any board, no small number.
const PAINT: u32 = 0xC0DE_57AC;

/// The lowest address of the stack, and the one past its highest.
pub fn bounds() -> (usize, usize) {
    (addr_of!(_stack_end) as usize, addr_of!(_stack_start) as usize)
}

/// Whether `bytes` bytes from `address` on lie in the stack.
#[cfg(target_arch = "arm")]
pub(crate) fn contains(address: usize, bytes: usize) -> bool {
    let (bottom, top) = bounds();
    address >= bottom && address.checked_add(bytes).is_some_and(|end| end <= top)
}

/// Paints the part of the stack that is not in use. [`high_water`] says later how far it was.
pub fn paint() {
    // A margin for this function's own frame and for an interrupt's.
    const MARGIN: usize = 128;
    let (bottom, _) = bounds();
    let limit = stack_pointer().saturating_sub(MARGIN);
    for address in (bottom..limit).step_by(4) {
        // SAFETY: the word lies in the stack's region, below the stack pointer by more than any frame that is alive: no
        // variable is there. An interrupt's frame may pass over it, and is gone before the next paint.
        unsafe { with_exposed_provenance_mut::<u32>(address).write_volatile(PAINT) };
    }
}

/// The most bytes that the stack held since [`paint`].
pub fn high_water() -> usize {
    let (bottom, top) = bounds();
    let used = (bottom..top).step_by(4).find(|&address| {
        // SAFETY: an aligned word of the stack's region; any bits are a number, and it is read as what memory holds now.
        unsafe { with_exposed_provenance::<u32>(address).read_volatile() != PAINT }
    });
    top - used.unwrap_or(top)
}
