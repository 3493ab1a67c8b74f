//! Serial lines, by polling: a driver for each kind of UART, for all boards that have it.
//!
//! Every driver has the same face: `open` (with what the board's `board.rs` knows of it), `read`, `write`.
//!
//! No interrupt and no buffer: a byte that arrives while the receiver is full waits in QEMU's socket, and is lost on real
//! hardware. A session sends one request and waits for the answer, so that this does not occur.

// Which of them a board's board.rs names, build.rs has found out.
#[cfg(uart = "cmsdk")]
pub mod cmsdk;
#[cfg(uart = "nrf")]
pub mod nrf;
#[cfg(uart = "ns16550")]
pub mod ns16550;
#[cfg(uart = "pl011")]
pub mod pl011;
#[cfg(uart = "rp2350")]
pub mod rp2350;
#[cfg(uart = "stm32")]
pub mod stm32;
