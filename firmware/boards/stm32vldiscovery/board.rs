//! ST STM32VLDISCOVERY (STM32F100RB).

use crate::mmio::Register;
pub use crate::uart::stm32::Uart;

/// Clocks of port A and of USART1.
const RCC_APB2ENR: Register = Register::at(0x4002_1018);
/// Pins 8 to 15 of port A.
const GPIOA_CRH: Register = Register::at(0x4001_0804);

/// Opens the serial line: USART1 on pins A9 and A10, 115,200 baud of the 8 MHz that the chip starts with.
#[must_use]
pub fn uart() -> Uart {
    RCC_APB2ENR.set(1 << 14 | 1 << 2);
    // A9: alternate function, push-pull, 10 MHz. A10: floating input.
    GPIOA_CRH.write(GPIOA_CRH.read() & !0xFF0 | 0x490);
    Uart::open(0x4001_3800, 8_000_000 / 115_200)
}
