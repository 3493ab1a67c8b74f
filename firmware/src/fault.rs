//! The hard fault handler.
//!
//! In a file of its own: cortex-m-rt's attribute asks for an `unsafe fn`.
#![allow(unsafe_code)]

use crate::exit::{HARD_FAULT, die};
use cortex_m_rt::ExceptionFrame;

// SAFETY: the handler is sound wherever the fault struck. It takes no reference to state of the program and does not return;
// if the fault struck inside the logger, `die` ends the program when the logger refuses to be entered twice.
#[cortex_m_rt::exception(trampoline = true)]
unsafe fn HardFault(frame: &ExceptionFrame) -> ! {
    die(HARD_FAULT, || {
        defmt::error!("HARD FAULT at {=u32:#x}, called from {=u32:#x}", frame.pc(), frame.lr());
    })
}
