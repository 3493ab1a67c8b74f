//! BBC micro:bit version 1 (nRF51822), the real one; `microbit` is the same in QEMU.

use crate::uart::nrf;
pub use crate::uart::nrf::Uart;

/// Opens the serial line, which the board's USB chip passes on: 115,200 baud.
#[must_use]
pub fn uart() -> Uart {
    nrf::start_crystal();
    Uart::open(0x4000_2000, 24, 25)
}
