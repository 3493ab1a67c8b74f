//! Stellaris LM3S6965 evaluation board.

use crate::mmio::Register;
pub use crate::uart::pl011::Uart;

/// Clocks of the UARTs and of the pins.
const RCGC1: Register = Register::at(0x400F_E104);
const RCGC2: Register = Register::at(0x400F_E108);
/// Alternate function and digital enable of port A.
const GPIOA_AFSEL: Register = Register::at(0x4000_4420);
const GPIOA_DEN: Register = Register::at(0x4000_451C);

/// Opens the serial line: UART0 on pins A0 and A1, 115,200 baud of the 12 MHz that the chip starts with.
#[must_use]
pub fn uart() -> Uart {
    RCGC1.set(1);
    RCGC2.set(1);
    GPIOA_AFSEL.set(0b11);
    GPIOA_DEN.set(0b11);
    // 12,000,000 · 4 / 115,200.
    Uart::open(0x4000_C000, 417)
}
