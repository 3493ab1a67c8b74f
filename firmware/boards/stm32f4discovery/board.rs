//! ST STM32F4 Discovery (STM32F407VG). Sections are those of the reference manual RM0090.

use crate::mmio::Register;
pub use crate::uart::stm32::Uart;

/// Clocks of port A and of USART2 (7.3.10, 7.3.13).
const RCC_AHB1ENR: Register = Register::at(0x4002_3830);
const RCC_APB1ENR: Register = Register::at(0x4002_3840);
/// Mode, pull-up and alternate function of the pins of port A (8.4).
const GPIOA_MODER: Register = Register::at(0x4002_0000);
const GPIOA_PUPDR: Register = Register::at(0x4002_000C);
const GPIOA_AFRL: Register = Register::at(0x4002_0020);

/// Opens the serial line: USART2 on pins A2 (out) and A3 (in), 115,200 baud of the 16 MHz that the chip starts with. The
/// board's debugger does not pass it on: it takes an adapter of 3.3 V.
#[must_use]
pub fn uart() -> Uart {
    RCC_AHB1ENR.set(1);
    RCC_APB1ENR.set(1 << 17);
    GPIOA_AFRL.write(GPIOA_AFRL.read() & !0xFF00 | 0x7700);
    // Pulled up: a line with nobody at its end is idle.
    GPIOA_PUPDR.write(GPIOA_PUPDR.read() & !(0b11 << 6) | 0b01 << 6);
    GPIOA_MODER.write(GPIOA_MODER.read() & !(0b1111 << 4) | 0b1010 << 4);
    Uart::open(0x4000_4400, (16_000_000 + 115_200 / 2) / 115_200)
}
