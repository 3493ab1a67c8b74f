//! Puts a program and its image on a real board, through probe-rs.

use crate::board::Board;
use crate::elf;
use crate::setup::starts;
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::Command;

/// Writes `image` into the board's weights region, if one is given, then the program, and runs it.
pub fn flash(board: &Board, program: &Path, image: Option<&Path>) -> Result<()> {
    if !starts("probe-rs") {
        bail!("probe-rs is not installed: https://probe.rs/docs/getting-started/installation says how");
    }
    let probe = require(board)?;
    if let Some(image) = image {
        let regions = elf::regions(program)?;
        let address = format!("{:#x}", regions.weights.address);
        regions.check(image)?;
        probe_rs(&["download", "--chip", &probe.chip, "--binary-format", "bin", "--base-address", &address], image)?;
    }
    // `run`, not `download`: semihosting needs a debugger that answers.
    probe_rs(&["run", "--chip", &probe.chip], program)
}

/// How probe-rs reaches `board`, or an error that says that the board is not of this world.
pub fn require(board: &Board) -> Result<&crate::board::Probe> {
    board.probe.as_ref().with_context(|| {
        format!(
            "{} exists in QEMU only, there is nothing to flash: cargo xtask qemu PROGRAM --board {}",
            board.name, board.name
        )
    })
}

fn probe_rs(arguments: &[&str], file: &Path) -> Result<()> {
    let status = Command::new("probe-rs").args(arguments).arg(file).status()?;
    if !status.success() {
        bail!("probe-rs {} failed", arguments[0]);
    }
    Ok(())
}
