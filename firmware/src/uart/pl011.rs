//! Arm's PrimeCell UART (PL011, DDI 0183), also that of the Stellaris family and of the RP2350.

use crate::mmio::Register;

const FLAG_RX_EMPTY: u32 = 1 << 4;
const FLAG_TX_FULL: u32 = 1 << 5;
const LINE_8_BITS: u32 = 0b11 << 5;
const LINE_FIFOS: u32 = 1 << 4;
const CONTROL_ENABLE: u32 = 1 << 0 | 1 << 8 | 1 << 9;

/// The enabled serial line.
///
/// There is one; a second `open` would be a second handle on the same registers, which is harmless and useless.
pub struct Uart {
    data: Register,
    flags: Register,
}

impl Uart {
    /// Enables the line whose registers begin at `base`. A bit takes `divisor` / 4 cycles of the peripheral's clock.
    #[inline]
    #[must_use]
    pub fn open(base: usize, divisor: u32) -> Self {
        // The baud rate is a number of sixteenths of a bit, with six binary places.
        Register::at(base + 0x24).write(divisor >> 6);
        Register::at(base + 0x28).write(divisor & 63);
        // Takes the baud rate over, so it comes after.
        Register::at(base + 0x2C).write(LINE_8_BITS | LINE_FIFOS);
        Register::at(base + 0x30).write(CONTROL_ENABLE);
        Self { data: Register::at(base), flags: Register::at(base + 0x18) }
    }

    /// Waits for the next byte, without end.
    pub fn read(&mut self) -> u8 {
        while self.flags.read() & FLAG_RX_EMPTY != 0 {}
        // Above the byte are flags of errors on the line; the frame's CRC finds those.
        self.data.read() as u8
    }

    /// Sends one byte, once the transmitter has room.
    pub fn write(&mut self, byte: u8) {
        while self.flags.read() & FLAG_TX_FULL != 0 {}
        self.data.write(u32::from(byte));
    }
}
