//! The USART of the STM32F1 and STM32F4 (reference manuals RM0041 and RM0090, chapter USART).

use crate::mmio::Register;

const STATUS_RECEIVED: u32 = 1 << 5;
const STATUS_TX_EMPTY: u32 = 1 << 7;
const CONTROL_ENABLE: u32 = 1 << 13 | 1 << 3 | 1 << 2;

/// The enabled serial line.
///
/// There is one; a second `open` would be a second handle on the same registers, which is harmless and useless.
pub struct Uart {
    status: Register,
    data: Register,
}

impl Uart {
    /// Enables the line whose registers begin at `base`. Its clock and pins are the board's business, before. A bit takes
    /// `divisor` cycles of the peripheral's clock.
    #[inline]
    #[must_use]
    pub fn open(base: usize, divisor: u32) -> Self {
        Register::at(base + 0x08).write(divisor);
        Register::at(base + 0x0C).write(CONTROL_ENABLE);
        Self { status: Register::at(base), data: Register::at(base + 0x04) }
    }

    /// Waits for the next byte, without end.
    pub fn read(&mut self) -> u8 {
        while self.status.read() & STATUS_RECEIVED == 0 {}
        // Eight bits of data; the upper ones are reserved.
        self.data.read() as u8
    }

    /// Sends one byte, once the transmitter has room.
    pub fn write(&mut self, byte: u8) {
        while self.status.read() & STATUS_TX_EMPTY == 0 {}
        self.data.write(u32::from(byte));
    }
}
