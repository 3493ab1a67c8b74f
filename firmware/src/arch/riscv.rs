//! RISC-V, machine mode: traps, a guard below the stack, and the processor's own counter of instructions.
#![allow(unsafe_code)]

use crate::exit::{HARD_FAULT, die};
use crate::stack;
use core::arch::{asm, naked_asm};
pub use riscv_rt::entry;

/// Bytes below the stack that nothing may touch.
const GUARD: usize = 4096;

/// Runs before `main`: makes the processor refuse every access to the guard, so that a stack that overflows is a fault and not
/// a damaged program. No interrupt is ever enabled, so every trap is one.
#[riscv_rt::post_init]
unsafe fn guard(_hart: usize) {
    let end = stack::bounds().0;
    // A naturally aligned power of two, in units of four bytes; locked, so that it holds in machine mode; no access.
    let address = (end - GUARD) >> 2 | ((GUARD >> 3) - 1);
    // SAFETY: the entry covers the 4 KiB below the stack, which ends on a multiple of that and below which memory.x puts nothing.
    // Entries 1 to 3, of the same register, stay off, as they are after a reset.
    unsafe { asm!("csrw pmpaddr0, {}", "csrw pmpcfg0, {}", in(reg) address, in(reg) 0b1001_1000, options(nostack)) };
}

/// Entered by the processor at every trap: gives the handler a stack of its own, since the trap may be that there was none
/// left, and passes on where the stack was.
// SAFETY: the name is what riscv-rt puts into `mtvec`; the function is reached as a trap handler only, and does not return.
#[unsafe(naked)]
#[unsafe(no_mangle)]
#[unsafe(link_section = ".trap.start")]
unsafe extern "C" fn _start_trap() {
    naked_asm!(
        // The processor takes the two lowest bits of the address for the mode.
        ".balign 4",
        "mv a0, sp",
        "la sp, _stack_start",
        "csrr a1, mcause",
        "csrr a2, mepc",
        "csrr a3, mtval",
        "j {handler}",
        handler = sym trap,
    )
}

extern "C" fn trap(pointer: usize, cause: usize, at: usize, value: usize) -> ! {
    die(HARD_FAULT, || {
        let bottom = stack::bounds().0;
        if pointer < bottom || (bottom - GUARD..bottom).contains(&value) {
            defmt::error!(
                "STACK OVERFLOW: the stack pointer was {=usize:#x}, and the stack begins at {=usize:#x}",
                pointer,
                bottom
            );
            return;
        }
        defmt::error!("HARD FAULT at {=usize:#x}: trap {=usize}, value {=usize:#x}", at, cause, value);
    })
}

/// An instruction that is defined to be undefined.
pub fn undefined() -> ! {
    // SAFETY: it faults, and the handler does not return.
    unsafe { asm!("unimp", options(noreturn, nomem, nostack)) }
}

/// Whether a debugger is attached: nothing in the architecture tells a program.
#[inline(always)]
pub fn debugger_attached() -> bool {
    false
}

/// Does nothing more.
pub fn sleep() -> ! {
    loop {
        riscv::asm::wfi();
    }
}

/// The stack pointer.
#[inline(always)]
pub fn stack_pointer() -> usize {
    let pointer;
    // SAFETY: reads a register.
    unsafe { asm!("mv {}, sp", out(reg) pointer, options(nomem, nostack, preserves_flags)) };
    pointer
}

/// Instructions of a turn of [`turns`].
pub const TURN: u64 = 2;

/// A loop of so many turns, at least one.
pub fn turns(count: u32) {
    // SAFETY: counts a register down.
    unsafe {
        asm!("2:", "addi {0}, {0}, -1", "bnez {0}, 2b", inout(reg) count.max(1) => _, options(nomem, nostack));
    }
}

/// The processor's counter of instructions.
pub struct Timer(());

impl Timer {
    /// Lets it run: some processors, such as the RP2350's, start with their counters inhibited.
    pub fn start() -> Option<Self> {
        // SAFETY: bits 0 and 2 of mcountinhibit stop mcycle and minstret, and nothing but counters.
        unsafe { asm!("csrci mcountinhibit, 0b101", options(nomem, nostack)) };
        Some(Self(()))
    }

    /// Instructions since the processor's start.
    pub fn ticks(&self) -> u64 {
        riscv::register::minstret::read64()
    }
}
