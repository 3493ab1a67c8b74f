//! The core's own tests under Miri, which finds undefined behaviour: in the kernels, the only place of the core with `unsafe`,
//! and in what they are called with.

use anyhow::{Context, Result, ensure};
use std::process::Command;

/// Runs them with the nightly compiler.
///
/// Under Miri's default rules, stacked borrows, `bitvec`'s pointers to bits are errors; under tree borrows they are not.
///
/// # Errors
/// No such compiler, and whatever Miri found.
pub fn run() -> Result<()> {
    let status = Command::new("rustup")
        .args(["run", "nightly", "cargo", "miri", "test", "-p", "bitboltz-core", "--lib"])
        .env("MIRIFLAGS", "-Zmiri-tree-borrows")
        .current_dir(crate::root())
        .status()
        .context("rustup does not start")?;
    ensure!(
        status.success(),
        "a test failed, or Miri is missing: rustup toolchain install nightly --component miri,rust-src"
    );
    Ok(())
}
