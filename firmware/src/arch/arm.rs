//! Cortex-M: a guard below the stack (on Armv8-M cortex-m-rt sets the stack pointer's limit instead), hard faults, and SysTick as
//! the timer.
#![allow(unsafe_code)]

use super::systick::{self, PERIOD};
use crate::exit::{HARD_FAULT, die};
use crate::stack;
use core::arch::{asm, naked_asm};
use core::sync::atomic::{AtomicU32, Ordering};
use cortex_m::peripheral::{DCB, SYST, syst::SystClkSource};
pub use cortex_m_rt::entry;

/// Runs before `main`: makes the processor refuse every access to the 4 KiB below the stack. The stack is the lowest of the RAM, so
/// that a chip finds nothing there anyway; not all do so loudly, and of QEMU's machines some ignore such accesses.
///
/// An Armv7-M without a memory protection unit is left as it is, and so is every Armv6-M: the guard is then what the bus refuses.
#[cfg(pmsav7)]
// SAFETY: the name is what cortex-m-rt calls before it sets up the RAM. No Rust runs here, no memory is touched, and these registers
// are nobody else's; r0 to r3 are the caller's to save. Below the stack memory.x puts nothing, and the stack's end is a multiple
// of the guard's size.
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn __pre_init() {
    naked_asm!(
        // MPU_TYPE: the number of regions.
        "ldr r0, =0xE000ED90",
        "ldr r1, [r0]",
        "ubfx r1, r1, #8, #8",
        "cbz r1, 2f",
        // MPU_RNR, MPU_RBAR, MPU_RASR: region 0 begins 4 KiB below the stack; enabled, 2^(11 + 1) bytes, no access, no code.
        "movs r1, #0",
        "str r1, [r0, #8]",
        "ldr r1, =_stack_end",
        "sub r1, r1, #4096",
        "str r1, [r0, #12]",
        "ldr r1, =0x10000017",
        "str r1, [r0, #16]",
        // MPU_CTRL: enabled; what no region names is as it was.
        "movs r1, #5",
        "str r1, [r0, #4]",
        "dsb",
        "isb",
        "2:",
        "bx lr",
    )
}

/// What the handler may take of the stack, in bytes, with room to spare.
const HANDLER: usize = 512;

/// Entered by the processor at a hard fault: passes on where the stack was, and begins it anew where it has no room for the handler,
/// since that may be the fault. Else the handler goes on below the registers that the processor has put there.
///
/// In the place of cortex-m-rt's trampoline, which goes on with any stack that it finds: a push in the handler would then be a
/// second fault, which locks the processor up.
// SAFETY: the name is the vector table's; the function is reached as a hard fault handler only, and does not return.
#[unsafe(naked)]
#[unsafe(no_mangle)]
#[unsafe(link_section = ".HardFault.bitboltz")]
unsafe extern "C" fn HardFault() {
    naked_asm!(
        "mov r0, sp",
        "ldr r1, =_stack_start",
        "ldr r2, =_stack_end + {room}",
        "cmp r0, r2",
        "blo 2f",
        "cmp r0, r1",
        "blo 3f",
        "2:",
        "mov sp, r1",
        "3:",
        "bl {handler}",
        room = const HANDLER,
        handler = sym hard_fault,
    )
}

/// `frame` is the stack pointer after the processor has put the registers there: r0-r3, r12, lr, pc, xPSR.
extern "C" fn hard_fault(frame: usize) -> ! {
    die(HARD_FAULT, || {
        if !stack::contains(frame, 32) || limit_met() {
            defmt::error!(
                "STACK OVERFLOW: the stack pointer was {=usize:#x}, and the stack begins at {=usize:#x}",
                frame,
                stack::bounds().0
            );
            return;
        }
        let register = |index: usize| {
            let register = core::ptr::with_exposed_provenance::<u32>(frame + 4 * index);
            // SAFETY: the eight words from `frame` on lie in the stack, where the processor has just written them. The stack
            // pointer is aligned to a word by the hardware.
            unsafe { register.read_volatile() }
        };
        defmt::error!("HARD FAULT at {=u32:#x}, called from {=u32:#x}", register(6), register(5));
    })
}

/// Whether the stack pointer would have passed its limit (Armv8-M Architecture Reference Manual, CFSR.STKOF; a zero on Armv7-M):
/// what it points to is then no frame.
fn limit_met() -> bool {
    const STKOF: u32 = 1 << 20;
    let cfsr = core::ptr::with_exposed_provenance::<u32>(0xE000_ED28);
    // SAFETY: a register of the core, which reading does not change.
    cfg!(not(armv6m)) && unsafe { cfsr.read_volatile() } & STKOF != 0
}

/// An instruction that is defined to be undefined.
pub fn undefined() -> ! {
    // SAFETY: it faults, and the handler does not return.
    unsafe { asm!("udf #0", options(noreturn, nomem, nostack)) }
}

/// Whether a debugger is attached (Armv7-M Architecture Reference Manual, C1.6.2, DHCSR.C_DEBUGEN). On Armv6-M a program need
/// not be able to read that, and on a Cortex-M0 is not: no.
#[inline(always)]
pub fn debugger_attached() -> bool {
    const C_DEBUGEN: u32 = 1;
    // SAFETY: a register of the core, which reading does not change.
    cfg!(not(armv6m)) && unsafe { (*DCB::PTR).dhcsr.read() } & C_DEBUGEN != 0
}

/// Does nothing more.
pub fn sleep() -> ! {
    loop {
        cortex_m::asm::wfi();
    }
}

/// The stack pointer.
#[inline(always)]
pub fn stack_pointer() -> usize {
    let pointer;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, sp", out(reg) pointer, options(nomem, nostack, preserves_flags)) };
    pointer
}

/// Instructions of a turn of [`turns`].
pub const TURN: u64 = 2;

/// A loop of so many turns, at least one.
pub fn turns(count: u32) {
    // SAFETY: counts a register down.
    unsafe {
        asm!(
            ".p2align 3",
            "2:",
            "subs {0}, #1",
            "bne 2b",
            inout(reg) count.max(1) => _,
            options(nomem, nostack),
        );
    }
}

/// How often the timer came to zero.
static OVERFLOWS: AtomicU32 = AtomicU32::new(0);

#[cortex_m_rt::exception]
fn SysTick() {
    // Load and store: nothing else writes, and a Cortex-M0 has no addition.
    OVERFLOWS.store(OVERFLOWS.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
}

/// The running timer of the core, by the core's clock.
pub struct Timer(());

impl Timer {
    /// Starts it. `None` where there is none, as on the nRF51, whose registers of it are zero whatever is written, or if the core's
    /// peripherals were taken already.
    pub fn start() -> Option<Self> {
        let mut timer = cortex_m::Peripherals::take()?.SYST;
        timer.set_clock_source(SystClkSource::Core);
        timer.set_reload(PERIOD - 1);
        timer.clear_current();
        timer.enable_interrupt();
        timer.enable_counter();
        // It stands at zero until its first tick loads it.
        (0..1000).any(|_| SYST::get_current() != 0).then_some(Self(()))
    }

    /// Ticks since the start.
    pub fn ticks(&self) -> u64 {
        loop {
            let overflows = OVERFLOWS.load(Ordering::Relaxed);
            let current = SYST::get_current();
            // An overflow between the two readings belongs to neither, and at zero, for one tick, it may not be counted yet.
            if current != 0 && overflows == OVERFLOWS.load(Ordering::Relaxed) {
                return systick::ticks(overflows, current);
            }
        }
    }
}
