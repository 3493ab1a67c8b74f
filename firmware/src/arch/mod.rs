//! What differs between instruction sets: how a program starts, what happens at a fault, and the counter of time.
//!
//! Each file has the same face: `entry`, `Timer`, `turns` (a loop of known length), `stack_pointer`,
//! `debugger_attached`, `sleep`.

#[cfg(target_arch = "arm")]
mod arm;
#[cfg(target_arch = "arm")]
mod systick;
#[cfg(target_arch = "arm")]
pub use arm::*;

#[cfg(target_arch = "riscv32")]
mod riscv;
#[cfg(target_arch = "riscv32")]
pub use riscv::*;
