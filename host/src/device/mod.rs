//! Talks to a board or to QEMU: the other end of the core's session.

mod client;
mod port;

pub use client::{Client, DeviceError, Sampled};
pub use port::{Port, PortError};
