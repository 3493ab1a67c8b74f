//! Which cargo builds the firmware.
//!
//! Always the toolchain that `rust-toolchain.toml` names, however `cargo xtask` itself was started: a parent cargo leaves
//! `RUSTUP_TOOLCHAIN` and its flags in the environment, and a coverage run's flags would not link on a microcontroller.
//! Where that toolchain lacks the board's target and cannot get it, the one of [`crate::fallback`] takes its place.

use crate::fallback;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a parent cargo, or a tool around it, sets for its own builds.
const FOREIGN: [&str; 9] = [
    "RUSTUP_TOOLCHAIN",
    "RUSTC",
    "RUSTDOC",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTFLAGS",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_INCREMENTAL",
];

/// A toolchain that has a board's target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Toolchain {
    /// The one that `rust-toolchain.toml` names, or a system's only one.
    Named,
    /// The one that [`crate::fallback`] assembled, by its folder.
    Assembled(PathBuf),
}

impl Toolchain {
    /// The first toolchain that can build for `target`, or nothing.
    pub fn find(target: &str) -> Result<Option<Self>> {
        if has_target(&mut rustc(), target)? {
            return Ok(Some(Self::Named));
        }
        if let Some(folder) = fallback::folder()
            && fallback::has_target(&folder, target)
        {
            return Ok(Some(Self::Assembled(folder)));
        }
        Ok(None)
    }

    /// As [`Toolchain::find`], with an error that says what to run.
    pub fn require(target: &str) -> Result<Self> {
        match Self::find(target)? {
            Some(toolchain) => Ok(toolchain),
            None => {
                bail!("no library of the target {target} is installed: run `cargo xtask setup`")
            }
        }
    }

    /// The compiler's name and version: a program's size means nothing without.
    pub fn version(&self) -> Result<String> {
        let mut rustc = match self {
            Self::Named => rustc(),
            Self::Assembled(folder) => clean(folder.join("bin/rustc")),
        };
        let output = rustc.arg("--version").output().context("rustc does not start")?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().into())
    }

    /// A cargo of this toolchain, in the firmware's folder, without a parent's settings.
    #[must_use]
    pub fn cargo(&self) -> Command {
        let mut command = match self {
            Self::Named => clean("cargo"),
            Self::Assembled(folder) => {
                let bin = folder.join("bin");
                let mut command = clean(bin.join("cargo"));
                command.env("RUSTC", bin.join("rustc")).env("RUSTDOC", bin.join("rustdoc"));
                command
            }
        };
        // Cargo reads its configuration from where it runs, not from where the manifest is.
        command.current_dir(crate::firmware_dir());
        command
    }
}

/// A command in the repository's root, without a parent cargo's settings.
pub(crate) fn clean(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(crate::root());
    for variable in FOREIGN {
        command.env_remove(variable);
    }
    command
}

fn rustc() -> Command {
    clean("rustc")
}

/// Asks the compiler where the target's library would be, and looks: the same with rustup and without.
fn has_target(rustc: &mut Command, target: &str) -> Result<bool> {
    let output =
        rustc.args(["--print", "target-libdir", "--target", target]).output().context("rustc does not start")?;
    if !output.status.success() {
        bail!("rustc knows no target {target}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let folder = String::from_utf8(output.stdout).context("rustc's answer")?;
    Ok(holds_core(Path::new(folder.trim())))
}

/// Whether `folder` holds a compiled `core`.
pub(crate) fn holds_core(folder: &Path) -> bool {
    let Ok(entries) = folder.read_dir() else {
        return false;
    };
    entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("libcore-"))
}
