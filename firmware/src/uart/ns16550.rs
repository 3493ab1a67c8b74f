//! The 16550 UART of QEMU's `virt` machine (National Semiconductor PC16550D).

use crate::mmio::ByteRegister;

const STATUS_RECEIVED: u8 = 1 << 0;
const STATUS_TX_EMPTY: u8 = 1 << 5;
const FIFO_ENABLE: u8 = 1 << 0;
const LINE_8_BITS: u8 = 0b11;

/// The enabled serial line.
///
/// There is one; a second `open` would be a second handle on the same registers, which is harmless and useless.
pub struct Uart {
    data: ByteRegister,
    status: ByteRegister,
}

impl Uart {
    /// Enables the line whose registers begin at `base`, at whatever speed it has.
    #[inline]
    #[must_use]
    pub fn open(base: usize) -> Self {
        ByteRegister::at(base + 2).write(FIFO_ENABLE);
        ByteRegister::at(base + 3).write(LINE_8_BITS);
        Self { data: ByteRegister::at(base), status: ByteRegister::at(base + 5) }
    }

    /// Waits for the next byte, without end.
    pub fn read(&mut self) -> u8 {
        while self.status.read() & STATUS_RECEIVED == 0 {}
        self.data.read()
    }

    /// Sends one byte, once the transmitter has room.
    pub fn write(&mut self, byte: u8) {
        while self.status.read() & STATUS_TX_EMPTY == 0 {}
        self.data.write(byte);
    }
}
