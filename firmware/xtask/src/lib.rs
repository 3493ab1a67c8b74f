//! What builds the firmware and runs it in QEMU: the library behind `cargo xtask`, used by the tests as well.
//!
//! Top down:
//! - [`setup`] sees to the compiler's target and to QEMU, with [`toolchain`] (which cargo builds firmware) and [`fallback`]
//!   (where rustup cannot fetch);
//! - [`build`] compiles the programs for a [`board`] and says where they are; [`elf`] reads sizes and addresses from them;
//! - [`qemu`] runs one, with its flash in a file where there is such a [`bank`], and [`log`](mod@log) decodes what it says;
//! - [`tables`] measures all boards for `docs/boards.md`;
//! - [`flash`] puts one on a real board;
//! - [`suite`] is `cargo xtask test`, [`miri`] `cargo xtask miri`.
//!
//! ```no_run
//! # fn main() -> anyhow::Result<()> {
//! let board = xtask::board::Board::load("mps2-an386")?;
//! let firmware = xtask::build::build(&board)?;
//! let outcome = xtask::qemu::Run::new(&board, firmware.elf("sample")?).image("m.bbz").start()?.wait()?;
//! assert_eq!(outcome.exit, 0);
//! # Ok(())
//! # }
//! ```

pub mod bank;
pub mod board;
pub mod build;
pub mod elf;
pub mod fallback;
pub mod flash;
pub mod log;
pub mod miri;
pub mod qemu;
pub mod setup;
pub mod suite;
pub mod tables;
pub mod toolchain;

use std::path::{Path, PathBuf};

/// The root of the repository that this crate was compiled in.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("xtask lies two folders below the root")
        .to_path_buf()
}

/// The firmware's package.
#[must_use]
pub fn firmware_dir() -> PathBuf {
    root().join("firmware")
}
