//! Measures all boards and writes `docs/boards.md`: what each program takes of flash and RAM, how much of the stack is used, and
//! what the machine costs in instructions.

use crate::board::Board;
use crate::build;
use crate::elf;
use crate::qemu::{Outcome, Run};
use crate::toolchain::Toolchain;
use anyhow::{Context, Result, bail};
use bitboltz_core::{image::Image, session::ram_bytes};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// Where the tables are committed.
#[must_use]
pub fn path() -> PathBuf {
    crate::root().join("docs/boards.md")
}

/// The programs of the table of sizes, in its order.
pub const PROGRAMS: [&str; 5] = ["sample", "inpaint", "serve", "selftest", "bench"];

/// The committed images, largest first.
fn images() -> Result<Vec<PathBuf>> {
    let folder = crate::root().join("tests/vectors");
    let mut images = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "bbz") {
            images.push((path.metadata()?.len(), path));
        }
    }
    images.sort_by(|a, b| b.cmp(a));
    Ok(images.into_iter().map(|(_, path)| path).collect())
}

/// What `bench` counted of one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// `search`, `gibbs` or `inpainting`.
    pub what: String,
    /// Sweeps.
    pub sweeps: u64,
    /// Instructions of all of them.
    pub instructions: u64,
    /// Weights touched in all of them; 0 where they were not counted.
    pub weights: u64,
}

/// Reads the lines of `bench`.
#[must_use]
pub fn counts(outcome: &Outcome) -> Vec<Count> {
    let count = |line: &str| {
        let (what, rest) = line.strip_prefix("bench: ")?.split_once(": ")?;
        let mut numbers = rest.split(", ").map(|part| part.split(' ').next()?.parse().ok());
        let (sweeps, instructions, weights) = (numbers.next()??, numbers.next()??, numbers.next()??);
        Some(Count { what: what.into(), sweeps, instructions, weights })
    };
    outcome.log.iter().filter_map(|line| count(&line.text)).collect()
}

/// The bytes that a line of `selftest`, such as `stack: 1024 of 3072 bytes used`, has first.
#[must_use]
pub fn used(outcome: &Outcome, what: &str) -> Option<u64> {
    let line = outcome.log.iter().find_map(|line| line.text.strip_prefix(what)?.strip_prefix(": "))?;
    line.split(' ').next()?.parse().ok()
}

/// Builds and measures all `boards`; the text of `docs/boards.md`.
pub fn write(boards: &[Board]) -> Result<String> {
    let mut sizes = String::new();
    let mut costs = String::new();
    let mut compiler = String::new();
    for board in boards {
        compiler = Toolchain::require(&board.target)?.version()?;
        let firmware = build::build(board)?;
        let mut row = format!("| `{}` | {} |", board.name, board.target);
        for name in PROGRAMS {
            let size = elf::size(firmware.elf(name)?)?;
            write!(row, " {} + {} |", size.flash, size.ram)?;
        }
        let mut stack = "not run".to_owned();
        if board.qemu.is_some() {
            for (index, image) in largest(board)?.iter().enumerate() {
                let name = image.file_stem().unwrap_or_default().to_string_lossy();
                let run = |program: &str| -> Result<Outcome> {
                    Run::new(board, firmware.elf(program)?).image(image).icount(true).start()?.wait()
                };
                let tested = run("selftest")?;
                if tested.exit != 0 {
                    bail!("{}: selftest ended with {}:\n{}", board.name, tested.exit, tested.text());
                }
                if index == 0 {
                    let used = used(&tested, "stack").context("selftest prints the stack")?;
                    stack = format!("{used} of {}", board.memory()?.stack.length);
                }
                let counted = counts(&run("bench")?);
                let of = |what: &str| counted.iter().find(|count| count.what == what);
                let (Some(search), Some(gibbs), Some(inpainting)) = (of("search"), of("gibbs"), of("inpainting"))
                else {
                    bail!("{}: bench counted nothing with {name}", board.name);
                };
                let arena = used(&tested, "arena").context("selftest prints the arena")?;
                writeln!(
                    costs,
                    "| `{}` | `{name}` | {arena} | {} | {} | {} | {} | {:.2} |",
                    board.name,
                    search.instructions / search.sweeps.max(1),
                    gibbs.instructions / gibbs.sweeps.max(1),
                    inpainting.instructions,
                    inpainting.sweeps,
                    search.instructions as f64 / search.weights.max(1) as f64,
                )?;
            }
        }
        writeln!(sizes, "{row} {stack} |")?;
    }
    Ok(format!(
        "# The boards in figures\n\n\
         Written by `cargo xtask boards`, with {compiler}. Another compiler gives other figures; a test compares the sizes with\n\
         those of the same one.\n\n\
         ## Sizes\n\n\
         Bytes of flash + RAM of each program, in release: flash is code, constants and data, RAM the program's own variables.\n\
         The session's memory (the arena) and the stack come on top. The stack is what `selftest` used of its region with the\n\
         largest image that fits.\n\n\
         | board | target | {} | stack |\n|---|---|{}---|\n{sizes}\n\
         ## Instructions\n\n\
         Counted in QEMU with `--icount`: the same numbers in every run. They are no cycles and no times. A search begins at\n\
         random bits; an inpainting hides the left half of a mode and takes eight searches. A weight is touched when the unit on\n\
         one side of it flips; what a search costs is divided by the weights that it touches.\n\n\
         | board | image | arena, bytes | per search sweep | per Gibbs sweep | per inpainting | its sweeps | per weight touched |\n\
         |---|---|---|---|---|---|---|---|\n{costs}",
        PROGRAMS.map(|name| format!("`{name}`")).join(" | "),
        "---|".repeat(PROGRAMS.len()),
    ))
}

/// A program's size as `docs/boards.md` has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The board.
    pub board: String,
    /// The program.
    pub program: String,
    /// Its size.
    pub size: elf::Size,
}

/// Reads the compiler and the sizes of a text that [`write()`] wrote.
pub fn read(text: &str) -> Result<(String, Vec<Committed>)> {
    let compiler = text.split_once("`cargo xtask boards`, with ").and_then(|(_, rest)| rest.split_once(". Another"));
    let (compiler, _) = compiler.context("no compiler is named")?;
    let mut sizes = Vec::new();
    for line in text.lines().filter(|line| line.starts_with("| `") && line.contains(" + ")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, board, _, rest @ ..] = &cells[..] else { bail!("no row of sizes: {line}") };
        for (program, cell) in PROGRAMS.iter().zip(rest) {
            let (flash, ram) = cell.split_once(" + ").with_context(|| format!("no size: {cell}"))?;
            let size = elf::Size { flash: flash.parse()?, ram: ram.parse()? };
            sizes.push(Committed { board: board.trim_matches('`').into(), program: (*program).into(), size });
        }
    }
    Ok((compiler.into(), sizes))
}

/// The largest size that passes for the committed one: 2 % and 256 bytes more.
#[must_use]
pub fn limit(committed: u64) -> u64 {
    committed + committed / 50 + 256
}

/// Of each weight type the largest committed image that fits the flash and the RAM of `board`, the largest of all first.
pub fn largest(board: &Board) -> Result<Vec<PathBuf>> {
    let memory = board.memory()?;
    let mut found: Vec<PathBuf> = Vec::new();
    for image in images()? {
        let fits = image.metadata()?.len() <= memory.weights.length && ram(&image)? <= memory.arena.length;
        if fits && !found.iter().any(|larger| kind(larger) == kind(&image)) {
            found.push(image);
        }
    }
    Ok(found)
}

/// Bytes that a session over an image takes; the core's reason if the file is none.
pub(crate) fn ram(image: &Path) -> Result<u64> {
    let name = || image.display().to_string();
    let bytes = fs::read(image).with_context(name)?;
    // It is read in place, from the address of a word on.
    let mut words = vec![0_u32; bytes.len().div_ceil(4)];
    bytemuck::cast_slice_mut(&mut words)[..bytes.len()].copy_from_slice(&bytes);
    let image = Image::open(bytemuck::cast_slice(&words)).map_err(anyhow::Error::msg).with_context(name)?;
    Ok(ram_bytes(image.shape()) as u64)
}

/// The weight type of a committed image, which its name ends with.
fn kind(image: &Path) -> String {
    let name = image.file_stem().unwrap_or_default().to_string_lossy();
    name.rsplit('-').next().unwrap_or_default().to_owned()
}
