//! Netduino Plus 2 (STM32F405).

use crate::mmio::Register;
pub use crate::uart::stm32::Uart;

/// Clocks of port A and of USART1.
const RCC_AHB1ENR: Register = Register::at(0x4002_3830);
const RCC_APB2ENR: Register = Register::at(0x4002_3844);
/// Mode and alternate function of the pins of port A.
const GPIOA_MODER: Register = Register::at(0x4002_0000);
const GPIOA_AFRH: Register = Register::at(0x4002_0024);

/// Opens the serial line: USART1 on pins A9 and A10, 115,200 baud of the 16 MHz that the chip starts with.
#[must_use]
pub fn uart() -> Uart {
    RCC_AHB1ENR.set(1);
    RCC_APB2ENR.set(1 << 4);
    GPIOA_AFRH.write(GPIOA_AFRH.read() & !0xFF0 | 0x770);
    GPIOA_MODER.write(GPIOA_MODER.read() & !(0b1111 << 18) | 0b1010 << 18);
    Uart::open(0x4001_1000, 16_000_000 / 115_200)
}
