//! The boards: one folder of `firmware/boards` each.
//!
//! `memory.x` holds every address, for the linker; the rest of this crate reads them back from the linked ELF
//! ([`crate::elf`]). `board.toml` holds what a linker script has no words for.

use crate::bank::Bank;
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::fs;
use std::path::PathBuf;

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
    /// The processor, where it has instructions that the target alone does not promise: the compiler's `target-cpu`.
    pub cpu: Option<String>,
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
    /// The bank of flash that the weights region begins, where QEMU can keep it in a file.
    pub flash: Option<Bank>,
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

    /// The regions of its memory.x. Needs no build; the linked program has the same in its symbols ([`crate::elf`]).
    pub fn memory(&self) -> Result<Memory> {
        let path = self.folder().join("memory.x");
        let script = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        Memory::parse(&script).with_context(|| path.display().to_string())
    }

    fn folder(&self) -> PathBuf {
        folder().join(&self.name)
    }

    /// How QEMU runs this board, or an error that says that it does not.
    pub fn qemu(&self) -> Result<&Qemu> {
        self.qemu
            .as_ref()
            .with_context(|| format!("QEMU has no machine for the board {} (no [qemu] in its board.toml)", self.name))
    }
}

/// The boards that `--board` names: one, or all of them in the order of their names.
pub fn chosen(name: &str) -> Result<Vec<Board>> {
    if name == ALL {
        return names()?.iter().map(|name| Board::load(name)).collect();
    }
    Ok(vec![Board::load(name)?])
}

/// What `--board` calls all boards.
pub const ALL: &str = "all";

/// A region of a board's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// Address of the first byte.
    pub address: u64,
    /// Length in bytes.
    pub length: u64,
}

/// The regions of a board's memory.x.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// The program.
    pub flash: Region,
    /// The machine's image.
    pub weights: Region,
    /// The stack, at the bottom of the RAM.
    pub stack: Region,
    /// The program's variables.
    pub ram: Region,
    /// The session: what depends on the machine.
    pub arena: Region,
}

impl Memory {
    fn parse(script: &str) -> Result<Self> {
        let region = |name: &str| {
            let line = script.lines().find(|line| line.split(':').next().is_some_and(|first| first.trim() == name));
            let line = line.with_context(|| format!("no region {name}"))?;
            let value = |key: &str| {
                let after = line.split_once(key).and_then(|(_, rest)| rest.trim_start().strip_prefix('='));
                let text = after.and_then(|rest| rest.split([',', '}']).next()).unwrap_or_default().trim();
                number(text).with_context(|| format!("{name}: {key} is no plain number"))
            };
            Ok::<_, anyhow::Error>(Region { address: value("ORIGIN")?, length: value("LENGTH")? })
        };
        Ok(Self {
            flash: region("FLASH")?,
            weights: region("WEIGHTS")?,
            stack: region("STACK")?,
            ram: region("RAM")?,
            arena: region("ARENA")?,
        })
    }
}

/// A number as linker scripts have them: decimal or with `0x`, and with `K` or `M`.
fn number(text: &str) -> Option<u64> {
    let (digits, unit) = match text.strip_suffix('K') {
        Some(digits) => (digits, 1 << 10),
        None => text.strip_suffix('M').map_or((text, 1), |digits| (digits, 1 << 20)),
    };
    let value = match digits.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => digits.parse(),
    };
    value.ok()?.checked_mul(unit)
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

fn folder() -> PathBuf {
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
            let memory = board.memory().unwrap();
            assert!(memory.arena.length.is_multiple_of(4) && memory.arena.address.is_multiple_of(4), "{name}");
            assert!(memory.weights.address.is_multiple_of(4), "{name}");
            let mut regions = [memory.flash, memory.weights, memory.stack, memory.ram, memory.arena];
            assert!(memory.stack.address < memory.ram.address, "{name}: the stack is the lowest");
            assert!(memory.stack.address.is_multiple_of(4096), "{name}: the guard below the stack is of that size");
            regions.sort_by_key(|region| region.address);
            for pair in regions.windows(2) {
                assert!(pair[0].address + pair[0].length <= pair[1].address, "{name}: {pair:x?} overlap");
            }
        }
    }

    #[test]
    fn linker_scripts_are_read() {
        let script = "MEMORY\n{\n FLASH : ORIGIN = 0x10, LENGTH = 2K\n WEIGHTS (r) : ORIGIN=0, LENGTH=16 \n}";
        assert_eq!(Memory::parse(script).unwrap_err().to_string(), "no region WEIGHTS");
        let script = "FLASH : ORIGIN = 0x10, LENGTH = 2K\nWEIGHTS: ORIGIN=0,LENGTH=16\n\
                      STACK: ORIGIN = 4, LENGTH = 4\nRAM : ORIGIN = 0x20000000, LENGTH = 1M /* all */\nARENA : ORIGIN = 1, LENGTH = 4 + 4";
        assert_eq!(format!("{:#}", Memory::parse(script).unwrap_err()), "RAM: LENGTH is no plain number");
        let memory = Memory::parse(&script.replace(" /* all */", "").replace("4 + 4", "8")).unwrap();
        assert_eq!(memory.flash, Region { address: 16, length: 2048 });
        assert_eq!(memory.ram, Region { address: 0x2000_0000, length: 1 << 20 });
    }

    #[test]
    fn an_unknown_board_lists_the_known_ones() {
        let error = Board::load("toaster").unwrap_err().to_string();
        assert!(error.contains(DEFAULT), "{error}");
    }
}
