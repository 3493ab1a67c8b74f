//! The serial line: the CMSDK APB UART of Arm's MPS2 boards, by polling.
//!
//! No interrupt and no buffer: a byte that arrives while the receiver is full waits in QEMU's socket, and is lost on real
//! hardware. A session sends one request and waits for the answer, so that this does not occur.

use crate::mmio::UartRegister;

const DATA: UartRegister = UartRegister::at(0x00);
const STATE: UartRegister = UartRegister::at(0x04);
const CTRL: UartRegister = UartRegister::at(0x08);
const BAUDDIV: UartRegister = UartRegister::at(0x10);

const STATE_TX_FULL: u32 = 1 << 0;
const STATE_RX_FULL: u32 = 1 << 1;
const CTRL_TX_ENABLE: u32 = 1 << 0;
const CTRL_RX_ENABLE: u32 = 1 << 1;

/// The least that the hardware takes. QEMU moves bytes at any speed; a board with a real line sets its own.
const DIVISOR: u32 = 16;

/// The enabled serial line.
///
/// There is one; a second `open` would be a second handle on the same registers, which is harmless and useless.
pub struct Uart(());

impl Uart {
    /// Enables the line in both directions.
    ///
    /// Bytes that the other side sends before are dropped by some boards: the program greets first, the host waits for it.
    #[must_use]
    pub fn open() -> Self {
        BAUDDIV.write(DIVISOR);
        CTRL.write(CTRL_TX_ENABLE | CTRL_RX_ENABLE);
        // A byte that was there before is nobody's. In QEMU this read is also what makes it look at the socket again, which
        // it otherwise does once a second.
        DATA.read();
        Self(())
    }

    /// Waits for the next byte, without end.
    pub fn read(&mut self) -> u8 {
        while STATE.read() & STATE_RX_FULL == 0 {}
        // The upper bits of the register are reserved and read as zero.
        DATA.read() as u8
    }

    /// Sends one byte, once the transmitter has room.
    pub fn write(&mut self, byte: u8) {
        while STATE.read() & STATE_TX_FULL != 0 {}
        DATA.write(u32::from(byte));
    }

    /// Sends all bytes.
    pub fn write_all(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write(byte);
        }
    }
}
