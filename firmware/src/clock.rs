//! Counts how long something took, by the core's own timer.
//!
//! On a chip a tick is a cycle of the core's clock. In QEMU it is wall time, unless QEMU counts instructions
//! (`cargo xtask qemu … --icount`): then each instruction takes one nanosecond, every run gives the same number of ticks,
//! and [`Clock::instructions`] turns them into instructions.

use core::sync::atomic::{AtomicU32, Ordering};
use cortex_m::peripheral::{SYST, syst::SystClkSource};
use cortex_m_rt::exception;

/// The timer has 24 bits; their overflows are counted.
const PERIOD: u32 = 1 << 24;

static OVERFLOWS: AtomicU32 = AtomicU32::new(0);

#[exception]
fn SysTick() {
    // Load and store: nothing else writes, and a Cortex-M0 has no addition.
    OVERFLOWS.store(OVERFLOWS.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
}

/// The running timer.
pub struct Clock(SYST);

impl Clock {
    /// Starts the timer. Nothing else may use it; `None` if the core's peripherals were taken already.
    #[must_use]
    pub fn start() -> Option<Self> {
        let mut timer = cortex_m::Peripherals::take()?.SYST;
        timer.set_clock_source(SystClkSource::Core);
        timer.set_reload(PERIOD - 1);
        timer.clear_current();
        timer.enable_interrupt();
        timer.enable_counter();
        Some(Self(timer))
    }

    /// Ticks since the start.
    #[must_use]
    pub fn ticks(&self) -> u64 {
        loop {
            let overflows = OVERFLOWS.load(Ordering::Relaxed);
            // It counts down.
            let part = PERIOD - 1 - SYST::get_current();
            // An overflow between the two readings belongs to neither.
            if overflows == OVERFLOWS.load(Ordering::Relaxed) {
                return u64::from(overflows) * u64::from(PERIOD) + u64::from(part);
            }
        }
    }

    /// Runs `work` and returns its result with the ticks that it took.
    pub fn time<T>(&self, work: impl FnOnce() -> T) -> (T, u64) {
        let begin = self.ticks();
        let result = work();
        (result, self.ticks() - begin)
    }

    /// The number of instructions that take so many ticks, where the timer counts instructions: measured with loops of
    /// known lengths, never assumed.
    ///
    /// `None` where it counts anything else. A chip completes one or two instructions in a tick, never four, and wall time
    /// hardly ever gives equal loops equal times.
    #[must_use]
    pub fn instructions(&self, ticks: u64) -> Option<u64> {
        // Two instructions for each turn.
        const TURNS: u32 = 1 << 20;
        const INSTRUCTIONS: u64 = 2 * TURNS as u64;
        let time = || self.time(|| cortex_m::asm::delay(TURNS)).1;
        let (first, second) = (time(), time());
        let counted = first.abs_diff(second) <= 1 && first > 0 && INSTRUCTIONS / first >= 4;
        // QEMU gives a tick a whole number of instructions; a loop that begins within a tick seems to take one more.
        counted.then(|| ticks * ((INSTRUCTIONS + first / 2) / first))
    }
}
