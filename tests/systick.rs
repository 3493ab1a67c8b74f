//! The firmware's clock on a Cortex-M: every tick is one more than the one before, over an overflow too.

#[path = "../firmware/src/arch/systick.rs"]
mod systick;

#[test]
fn every_tick_is_one_more() {
    // The counter as the processor runs it: down to zero, where it raises the exception that is counted, then to the top.
    let (mut overflows, mut current) = (0, systick::PERIOD - 1);
    let mut last = systick::ticks(overflows, current);
    for _ in 0..2 * systick::PERIOD + 5 {
        current = current.checked_sub(1).unwrap_or(systick::PERIOD - 1);
        overflows += u32::from(current == 0);
        let now = systick::ticks(overflows, current);
        assert_eq!(now, last + 1, "after {overflows} overflows, at {current}");
        last = now;
    }
}
