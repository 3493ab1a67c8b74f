//! Raspberry Pi Pico 2 (RP2350), its Arm processor.

pub use crate::uart::pl011::Uart;
use crate::uart::rp2350;

/// Opens the serial line: UART0 on GPIO 0 (out) and 1 (in), 115,200 baud, as Raspberry Pi's debug probe expects it.
#[must_use]
pub fn uart() -> Uart {
    rp2350::open()
}
