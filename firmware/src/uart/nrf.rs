//! The UART without DMA of Nordic's nRF51 and nRF52 (nRF51 Series Reference Manual, section 29).

use crate::mmio::Register;

const ENABLE: u32 = 4;
/// Output, input buffer disconnected.
const PIN_TX: u32 = 0b11;
/// Input, pulled up: a line with nobody at its end is idle.
const PIN_RX: u32 = 0b1100;
/// The bank of port 0's pins (section 16; nRF52840 Product Specification, GPIO).
const PORT: usize = 0x5000_0000;
/// The clocks (section 13; nRF52840 Product Specification, CLOCK).
const CLOCK: usize = 0x4000_0000;
/// 115,200 baud of the 16 MHz that the peripheral runs at.
const BAUD_115200: u32 = 0x01D7_E000;

/// Takes the clock from the board's crystal, and waits until that runs: the chip starts with an oscillator that may be too
/// far off for a serial line.
pub fn start_crystal() {
    Register::at(CLOCK).write(1);
    while Register::at(CLOCK + 0x100).read() == 0 {}
}

/// The enabled serial line.
///
/// There is one; a second `open` would be a second handle on the same registers, which is harmless and useless.
pub struct Uart {
    received: Register,
    receive: Register,
    sent: Register,
    send: Register,
    /// Whether a byte is on its way, whose end is still to be waited for.
    sending: bool,
}

impl Uart {
    /// Enables the line whose registers begin at `base`, on the pins `tx` and `rx` of port 0, at 115,200 baud.
    #[inline]
    #[must_use]
    pub fn open(base: usize, tx: u32, rx: u32) -> Self {
        // High, as an idle line is, before it is an output.
        Register::at(PORT + 0x508).write(1 << tx);
        Register::at(PORT + 0x700 + 4 * tx as usize).write(PIN_TX);
        Register::at(PORT + 0x700 + 4 * rx as usize).write(PIN_RX);
        Register::at(base + 0x50C).write(tx);
        Register::at(base + 0x514).write(rx);
        Register::at(base + 0x524).write(BAUD_115200);
        Register::at(base + 0x500).write(ENABLE);
        // The tasks that start the receiver and the transmitter.
        Register::at(base).write(1);
        Register::at(base + 0x008).write(1);
        Self {
            received: Register::at(base + 0x108),
            receive: Register::at(base + 0x518),
            sent: Register::at(base + 0x11C),
            send: Register::at(base + 0x51C),
            sending: false,
        }
    }

    /// Waits for the next byte, without end.
    pub fn read(&mut self) -> u8 {
        while self.received.read() == 0 {}
        // Before the byte is taken: the next one sets it again.
        self.received.write(0);
        self.receive.read() as u8
    }

    /// Sends one byte, once the one before has left.
    pub fn write(&mut self, byte: u8) {
        if self.sending {
            while self.sent.read() == 0 {}
            self.sent.write(0);
        }
        self.send.write(u32::from(byte));
        self.sending = true;
    }
}
