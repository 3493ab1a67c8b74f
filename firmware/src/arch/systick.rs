//! The arithmetic of SysTick, which counts down 24 bits (Armv7-M Architecture Reference Manual, B3.3).

/// Ticks from one overflow to the next.
pub(super) const PERIOD: u32 = 1 << 24;

/// Ticks from the counter's values: how often it has overflowed, and where it stands now.
///
/// It overflows when it comes to zero, not when it is loaded again one tick later: zero is the first tick of a period.
pub(super) const fn ticks(overflows: u32, current: u32) -> u64 {
    overflows as u64 * PERIOD as u64 + ((PERIOD - current) % PERIOD) as u64
}
