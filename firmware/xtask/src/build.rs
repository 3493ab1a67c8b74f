//! Builds the firmware and says where the programs are.

use crate::board::Board;
use crate::toolchain::Toolchain;
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// A linked program.
#[derive(Clone, Debug)]
pub struct Program {
    /// Its name: a file of `src/bin`, or of `tests`.
    pub name: String,
    /// The linked ELF.
    pub elf: PathBuf,
    /// False for the programs of `firmware/tests`, which exist to fail.
    pub shipped: bool,
}

/// All programs, built for one board.
#[derive(Clone, Debug)]
pub struct Firmware {
    /// Sorted by name.
    pub programs: Vec<Program>,
}

impl Firmware {
    /// The ELF of the program called `name`; an unknown name lists those that there are.
    pub fn elf(&self, name: &str) -> Result<&Path> {
        let found = self.programs.iter().find(|program| program.name == name);
        found.map(|program| program.elf.as_path()).with_context(|| {
            let known: Vec<&str> = self.shipped().map(|program| program.name.as_str()).collect();
            format!("no program {name}; there are: {}", known.join(", "))
        })
    }

    /// The programs for people, without those that exist to fail.
    pub fn shipped(&self) -> impl Iterator<Item = &Program> {
        self.programs.iter().filter(|program| program.shipped)
    }
}

/// What is read of a line of cargo's build messages.
#[derive(Deserialize)]
struct Message {
    executable: Option<PathBuf>,
    target: Option<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

/// Builds all programs for `board`, in release: another profile's sizes are nobody's.
///
/// Installs nothing; see [`crate::setup`]. May be called by many processes at once, since cargo takes turns.
pub fn build(board: &Board) -> Result<Firmware> {
    let mut programs = linked(board, &board.target, &["--bins", "--test", "*"])?;
    programs.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Firmware { programs })
}

/// Builds one program of `firmware/tests` for another target than the board's, such as one without a float unit, and says
/// where it is.
pub fn build_test(board: &Board, target: &str, name: &str) -> Result<PathBuf> {
    let program = linked(board, target, &["--test", name])?.into_iter().find(|program| program.name == name);
    Ok(program.with_context(|| format!("no program {name}"))?.elf)
}

fn linked(board: &Board, target: &str, which: &[&str]) -> Result<Vec<Program>> {
    let mut child = Toolchain::require(target)?
        .cargo()
        .args(["build", "--quiet", "--release", "--target", target])
        .args(which)
        .arg("--message-format=json-render-diagnostics")
        .env("BITBOLTZ_BOARD", &board.name)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cargo does not start")?;

    let mut programs = Vec::new();
    let stdout = child.stdout.take().expect("stdout is piped");
    for line in BufReader::new(stdout).lines() {
        // Cargo says where it put each program; its folder may be set in many ways.
        let message: Message = serde_json::from_str(&line?).context("a build message of cargo")?;
        if let (Some(elf), Some(target)) = (message.executable, message.target) {
            programs.push(Program { shipped: target.kind.iter().any(|kind| kind == "bin"), name: target.name, elf });
        }
    }
    if !child.wait()?.success() {
        bail!("the firmware did not build");
    }
    Ok(programs)
}
