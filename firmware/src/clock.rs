//! Counts how long something took, by the core's own timer.
//!
//! On a Cortex-M a tick is a cycle of the core's clock, on RISC-V an instruction; an nRF51 has no timer of the core, and all
//! takes 0 ticks there. In QEMU, which gives it one, a cycle is wall time, unless QEMU counts instructions (`cargo xtask qemu …
//! --icount`): then each instruction takes one nanosecond, every run gives the same number of ticks, and a [`Rate`] turns
//! them into instructions.

use crate::arch::{TURN, Timer, turns};

/// The running timer, if there is one.
pub struct Clock(Option<Timer>);

/// Turns of the loop that tells what a tick is.
const TURNS: u32 = 1 << 20;
/// Its instructions.
const INSTRUCTIONS: u64 = TURN * TURNS as u64;

impl Clock {
    /// Starts the timer, where the processor has one that nobody has taken; else the clock knows no time.
    #[must_use]
    pub fn start() -> Self {
        Self(Timer::start())
    }

    /// Ticks since the start; 0 without a timer.
    #[must_use]
    pub fn ticks(&self) -> u64 {
        self.0.as_ref().map_or(0, Timer::ticks)
    }

    /// Runs `work` and returns its result with the ticks that it took.
    pub fn time<T>(&self, work: impl FnOnce() -> T) -> (T, u64) {
        let begin = self.ticks();
        let result = work();
        (result, self.ticks() - begin)
    }

    /// How many instructions a tick is, where the timer counts instructions; `None` where it counts anything else.
    ///
    /// Measured with loops of known lengths, never assumed. A chip completes one or two instructions in a tick of cycles,
    /// never four; QEMU's wall time hardly ever gives equal loops equal times. A counter of instructions counts them, and
    /// the few around.
    #[must_use]
    pub fn rate(&self) -> Option<Rate> {
        let time = || self.time(|| turns(TURNS)).1;
        let (first, second) = (time(), time());
        let exact = (INSTRUCTIONS..INSTRUCTIONS + 100).contains(&first);
        let slow = first > 0 && INSTRUCTIONS / first >= 4;
        (first.abs_diff(second) <= 1 && (exact || slow)).then_some(Rate { ticks: first })
    }
}

/// What a tick is, where it is a number of instructions.
#[derive(Clone, Copy)]
pub struct Rate {
    /// Ticks that [`INSTRUCTIONS`] take.
    ticks: u64,
}

impl Rate {
    /// The number of instructions that take so many ticks.
    #[must_use]
    pub fn instructions(self, ticks: u64) -> u64 {
        let nearest = (INSTRUCTIONS + self.ticks / 2) / self.ticks;
        // Most machines give a tick a whole number of instructions; a loop that begins within a tick seems to take one more.
        if (nearest * self.ticks).abs_diff(INSTRUCTIONS) <= 2 * nearest.max(50) {
            return ticks * nearest;
        }
        (ticks * INSTRUCTIONS + self.ticks / 2) / self.ticks
    }
}
