//! The boards: one folder of `firmware/boards` each.
//!
//! `memory.x` holds every address, for the linker; the rest of this crate reads them back from the linked ELF
//! ([`crate::elf`]). `board.toml` holds what a linker script has no words for.

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::fs;

/// The board that commands take when none is named.
pub const DEFAULT: &str = "mps2-an386";

/// A board, as its `board.toml` describes it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Board {
    /// The folder's name.
    #[serde(skip)]
    pub name: String,
    /// One line for people.
    pub description: String,
    /// The compiler's target triple.
    pub target: String,
    /// How QEMU runs it, if it does.
    pub qemu: Option<Qemu>,
    /// How probe-rs reaches it, if there is hardware.
    pub probe: Option<Probe>,
}

/// How QEMU runs a board.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Qemu {
    /// The emulator's program, such as `qemu-system-arm`.
    pub system: String,
    /// Arguments that choose the machine.
    pub arguments: Vec<String>,
}

/// How probe-rs reaches a board.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// probe-rs' name of the chip.
    pub chip: String,
}

impl Board {
    /// Reads the board called `name`; an unknown name lists those that there are.
    pub fn load(name: &str) -> Result<Self> {
        let known = names()?;
        if !known.iter().any(|known| known == name) {
            bail!("no board {name}; there are: {}", known.join(", "));
        }
        let path = folder().join(name).join("board.toml");
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let mut board: Self = toml::from_str(&text).with_context(|| path.display().to_string())?;
        board.name = name.into();
        Ok(board)
    }

    /// How QEMU runs this board, or an error that says that it does not.
    pub fn qemu(&self) -> Result<&Qemu> {
        self.qemu
            .as_ref()
            .with_context(|| format!("QEMU has no machine for the board {} (no [qemu] in its board.toml)", self.name))
    }
}

/// The names of all boards, sorted.
pub fn names() -> Result<Vec<String>> {
    let folder = folder();
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        if entry.path().join("board.toml").is_file() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn folder() -> std::path::PathBuf {
    crate::firmware_dir().join("boards")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_board_reads() {
        let names = names().unwrap();
        assert!(names.iter().any(|name| name == DEFAULT));
        for name in names {
            let board = Board::load(&name).unwrap();
            assert!(board.qemu.is_some() || board.probe.is_some(), "{name} can run nowhere");
        }
    }

    #[test]
    fn an_unknown_board_lists_the_known_ones() {
        let error = Board::load("toaster").unwrap_err().to_string();
        assert!(error.contains(DEFAULT), "{error}");
    }
}
