//! The CMSDK APB UART of Arm's MPS2 boards (Cortex-M System Design Kit, DDI 0479, section 4.3).

use crate::mmio::Register;

const STATE_TX_FULL: u32 = 1 << 0;
const STATE_RX_FULL: u32 = 1 << 1;
const CTRL_TX_ENABLE: u32 = 1 << 0;
const CTRL_RX_ENABLE: u32 = 1 << 1;

/// The enabled serial line.
///
/// There is one; a second `open` would be a second handle on the same registers, which is harmless and useless.
pub struct Uart {
    data: Register,
    state: Register,
}

impl Uart {
    /// Enables the line whose registers begin at `base` in both directions. A bit takes `divisor` cycles of the
    /// peripheral's clock, at least 16.
    ///
    /// Bytes that the other side sends before are dropped by some boards: the program greets first, the host waits for it.
    #[inline]
    #[must_use]
    pub fn open(base: usize, divisor: u32) -> Self {
        Register::at(base + 0x10).write(divisor);
        Register::at(base + 0x08).write(CTRL_TX_ENABLE | CTRL_RX_ENABLE);
        let uart = Self { data: Register::at(base), state: Register::at(base + 0x04) };
        // A byte that was there before is nobody's. In QEMU this read is also what makes it look at the socket again, which
        // it otherwise does once a second.
        uart.data.read();
        uart
    }

    /// Waits for the next byte, without end.
    pub fn read(&mut self) -> u8 {
        while self.state.read() & STATE_RX_FULL == 0 {}
        // The upper bits of the register are reserved and read as zero.
        self.data.read() as u8
    }

    /// Sends one byte, once the transmitter has room.
    pub fn write(&mut self, byte: u8) {
        while self.state.read() & STATE_TX_FULL != 0 {}
        self.data.write(u32::from(byte));
    }
}
