//! Nordic nRF52840-DK.

use crate::uart::nrf;
pub use crate::uart::nrf::Uart;

/// Opens the serial line, which the board's debugger passes on: UART0 on pins P0.06 (out) and P0.08 (in), 115,200 baud.
#[must_use]
pub fn uart() -> Uart {
    nrf::start_crystal();
    Uart::open(0x4000_2000, 6, 8)
}
