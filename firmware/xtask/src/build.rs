//! Builds the firmware and says where the programs are.

use crate::board::{self, Board};
use crate::toolchain::Toolchain;
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::env;
use std::fs::{self, File};
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

/// The program of `firmware/tests` that is built for every board.
const FAILING: &str = "overflow";

/// Builds all programs for `board`, in release: another profile's sizes are nobody's.
///
/// Those of `firmware/tests` come along for the default board only, and for all others the one that overflows its stack.
///
/// Installs nothing; see [`crate::setup`]. May be called by many processes at once: they take turns.
pub fn build(board: &Board) -> Result<Firmware> {
    let tests = if board.name == board::DEFAULT { "*" } else { FAILING };
    let mut programs = linked(board, &board.target, &["--bins", "--test", tests])?;
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
    let toolchain = Toolchain::require(target)?;
    // Cargo puts the programs of all boards of a target at the same place, each time that it is asked. So one build at a time,
    // and its programs are taken away before the next.
    let _turn = turn()?;
    let mut cargo = toolchain.cargo();
    let mut flags = remapped();
    flags.extend(board.cpu.iter().map(|cpu| format!("-Ctarget-cpu={cpu}")));
    cargo.arg("--config").arg(format!("target.{target}.rustflags = {flags:?}"));
    let mut child = cargo
        .args(["build", "--quiet", "--release", "--target", target])
        .args(["--no-default-features", "--features", &board.name])
        .args(which)
        .arg("--message-format=json-render-diagnostics")
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
        bail!("the firmware did not build for {}", board.name);
    }
    for program in &mut programs {
        program.elf = keep(&board.name, program)?;
    }
    Ok(programs)
}

/// Flags that cut what differs between machines off the paths that panics name: they lie in flash.
fn remapped() -> Vec<String> {
    let mut prefixes = vec![crate::root()];
    let home = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cargo")));
    let registries = home.and_then(|home| home.join("registry/src").read_dir().ok());
    prefixes.extend(registries.into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())));
    // A folder's name as bytes that are no UTF-8 cannot be in cargo's configuration; such paths stay as they are.
    let prefixes = prefixes.iter().filter_map(|prefix| prefix.to_str());
    prefixes.map(|prefix| format!("--remap-path-prefix={prefix}/=")).collect()
}

/// Waits until no other process builds firmware. The turn ends when the result is dropped, or with the process.
fn turn() -> Result<File> {
    let folder = crate::firmware_dir().join("target");
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let path = folder.join("xtask.lock");
    let file = File::create(&path).with_context(|| path.display().to_string())?;
    file.lock().with_context(|| path.display().to_string())?;
    Ok(file)
}

/// Copies a program to where no other board's comes, and says where that is. A copy that is the same stays: somebody may be
/// running it.
fn keep(board: &str, program: &Program) -> Result<PathBuf> {
    let from = &program.elf;
    // TARGET/TRIPLE/release/NAME, or one folder deeper for a test.
    let of_target = from.ancestors().find(|path| path.ends_with("release")).and_then(Path::parent);
    let folder = of_target.with_context(|| from.display().to_string())?.join("boards").join(board);
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let to = folder.join(&program.name);
    let new = fs::read(from).with_context(|| from.display().to_string())?;
    if fs::read(&to).is_ok_and(|old| old == new) {
        return Ok(to);
    }
    // Renamed, not overwritten: a process that has the old one open keeps it.
    let part = to.with_extension("part");
    fs::write(&part, new).and_then(|()| fs::rename(&part, &to)).with_context(|| to.display().to_string())?;
    Ok(to)
}
