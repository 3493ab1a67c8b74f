//! Serial lines, by polling: a driver for each kind of UART, for all boards that have it.
//!
//! Every driver has the same face: `open` (with what the board's `board.rs` knows of it), `read`, `write`.
//!
//! No interrupt and no buffer: a byte that arrives while the receiver is full waits in QEMU's socket, and is lost on real
//! hardware. A session sends one request and waits for the answer, so that this does not occur.
// A board uses one of them.
#![allow(dead_code)]

#[cfg(target_arch = "arm")]
pub mod cmsdk;
#[cfg(target_arch = "arm")]
pub mod nrf;
#[cfg(target_arch = "riscv32")]
pub mod ns16550;
pub mod pl011;
pub mod rp2350;
#[cfg(target_arch = "arm")]
pub mod stm32;
