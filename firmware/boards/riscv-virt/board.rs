//! QEMU's `virt` machine.

pub use crate::uart::ns16550::Uart;

/// Opens the serial line.
#[must_use]
pub fn uart() -> Uart {
    Uart::open(0x1000_0000)
}
