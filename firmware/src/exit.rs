//! How a program ends, well or not: always with an exit code that QEMU or probe-rs passes on.
//!
//! A program that dies must never look like one that passed, and must not spin until a timeout either.
//!
//! On a real board (feature `rtt`) the exit code is the log's last line too. Semihosting's exit, which is a breakpoint, is used
//! there only while a debugger is at the other end: without one it would be a fault. Where a program cannot see that (Cortex-M0,
//! RISC-V), and without a debugger, it ends in a sleep without end.

use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering};
use semihosting::process;

/// The exit code of a panic, as of a Rust program on a desktop.
pub const PANIC: i32 = 101;

/// The exit code of a hard fault: a bad address, a bad instruction, or a stack that ran out.
pub const HARD_FAULT: i32 = 102;

/// The exit code of a program without a usable image; the log's last line says why.
pub const NO_MODEL: i32 = 103;

/// The exit code of a request that failed; the log's last line says why.
pub const REQUEST: i32 = 104;

/// The exit code of a self-test that found something wrong; the log's last line says what.
pub const SELFTEST: i32 = 105;

/// Ends the program with `code`; 0 is success.
pub fn exit(code: i32) -> ! {
    #[cfg(feature = "rtt")]
    {
        defmt::info!("ended with {=i32}", code);
        // Until a probe has read all of it; at once without one.
        defmt::flush();
    }
    stop(code)
}

/// Ends the program with `code`, and logs nothing.
// Not inlined: the one function with a breakpoint in it, behind the question for a debugger.
#[inline(never)]
fn stop(code: i32) -> ! {
    #[cfg(feature = "rtt")]
    if !crate::arch::debugger_attached() {
        crate::arch::sleep()
    }
    process::exit(code)
}

/// Set by the first panic or fault.
///
/// Load and store, no swap: a Cortex-M0 has none, and nothing interrupts a program that is dying.
static DYING: AtomicBool = AtomicBool::new(false);

/// Ends a dying program with `code`, after `report` has logged why.
///
/// Trouble inside the logger comes back here; the second time nothing is logged, so that it ends.
pub(crate) fn die(code: i32, report: impl FnOnce()) -> ! {
    if DYING.load(Ordering::Relaxed) {
        stop(code)
    }
    DYING.store(true, Ordering::Relaxed);
    report();
    exit(code)
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    die(PANIC, || {
        // Where, and not the message: to put a message together takes the formatting of the language, 5 kB of flash.
        match info.location() {
            Some(at) => defmt::error!("PANIC at {=str}:{=u32}", at.file(), at.line()),
            None => defmt::error!("PANIC"),
        }
    })
}
