//! Installs what is missing, or says exactly what to do.
//!
//! Two things are needed beyond Rust itself: the compiler's library of the board's target, and QEMU. Both checks take a few
//! hundredths of a second, so that every command that needs them runs them first.

use crate::board::Board;
use crate::fallback;
use crate::toolchain::{Toolchain, clean};
use anyhow::{Context, Result, bail};
use std::io::IsTerminal;
use std::process::{Command, Stdio};

/// A system's package manager.
struct Manager {
    program: &'static str,
    /// Run first, where the lists of packages may be absent.
    refresh: Option<&'static [&'static str]>,
    install: &'static [&'static str],
    root: bool,
    /// What it calls the package of an emulator, such as `qemu-system-riscv32`.
    emulator: fn(&str) -> String,
}

const MANAGERS: [Manager; 4] = [
    Manager {
        program: "apt-get",
        refresh: Some(&["update", "-qq"]),
        install: &["install", "-y", "-qq", "--no-install-recommends"],
        root: true,
        // As the program: the package, or a name that it provides.
        emulator: str::to_owned,
    },
    Manager {
        program: "dnf",
        refresh: None,
        install: &["install", "-y"],
        root: true,
        // Finds the package by a file of it.
        emulator: |program| format!("/usr/bin/{program}"),
    },
    Manager {
        program: "pacman",
        refresh: None,
        install: &["-S", "--noconfirm", "--needed"],
        root: true,
        // Both widths of RISC-V in one.
        emulator: |program| program.trim_end_matches("32").to_owned(),
    },
    Manager {
        program: "brew",
        refresh: None,
        install: &["install"],
        root: false,
        // All of QEMU in one.
        emulator: |_| "qemu".into(),
    },
];

/// Targets of tests that link what never runs: cores without a float unit, the first one also without atomic
/// read-modify-write. No board has the second.
pub const TEST_TARGETS: [&str; 2] = ["thumbv6m-none-eabi", "thumbv7em-none-eabi"];

/// Sees to everything that `board` and the tests need, and says what there is.
pub fn everything(board: &Board) -> Result<()> {
    for name in [&[board.target.as_str()], &TEST_TARGETS[..]].concat() {
        match target(name)? {
            Toolchain::Named => println!("target {name}: installed"),
            Toolchain::Assembled(folder) => println!("target {name}: installed in {}", folder.display()),
        }
    }
    match &board.qemu {
        Some(qemu) => {
            self::qemu(board)?;
            println!("{}: installed", qemu.system);
        }
        None => println!("QEMU: not needed for {}", board.name),
    }
    Ok(())
}

/// Sees to the compiler's library of a target.
pub fn target(target: &str) -> Result<Toolchain> {
    if let Some(toolchain) = Toolchain::find(target)? {
        return Ok(toolchain);
    }
    if starts("rustup") {
        println!("rustup target add {target}");
        let status = clean("rustup").args(["target", "add", target]).status()?;
        if status.success()
            && let Some(toolchain) = Toolchain::find(target)?
        {
            return Ok(toolchain);
        }
    }
    if fallback::possible()
        && let Some(folder) = fallback::folder()
    {
        fallback::assemble(&folder, target)?;
        return Toolchain::require(target);
    }
    bail!(
        "the target {target} is missing: install Rust with rustup (https://rustup.rs), then `rustup target add {target}`"
    )
}

/// Sees to the emulator of `board`.
pub fn qemu(board: &Board) -> Result<()> {
    let system = board.qemu()?.system.as_str();
    if starts(system) {
        return Ok(());
    }
    let package = manager().map_or_else(|| system.to_owned(), |manager| (manager.emulator)(system));
    install(&[&package])?;
    if !starts(system) {
        bail!("{system} still does not start: install QEMU (https://www.qemu.org/download)");
    }
    Ok(())
}

/// Installs packages of the system.
///
/// Root is used where this is root already, or where sudo asks nothing or has a terminal to ask on; else the error is the
/// command to run.
pub fn install(packages: &[&str]) -> Result<()> {
    let Some(manager) = manager() else {
        bail!("no package manager that this knows: install {} by hand", packages.join(" "));
    };
    let shown = format!("{} {} {}", manager.program, manager.install.join(" "), packages.join(" "));
    let sudo = manager.root && !is_root();
    if sudo && !may_sudo() {
        bail!("missing: {}. Run: sudo {shown}", packages.join(" "));
    }
    println!("{}{shown}", if sudo { "sudo " } else { "" });
    let run = |arguments: &[&str]| -> Result<bool> {
        let mut command = if sudo {
            let mut command = Command::new("sudo");
            // Through sudo, which drops the environment.
            command.args(["DEBIAN_FRONTEND=noninteractive", manager.program]);
            command
        } else {
            Command::new(manager.program)
        };
        let status =
            command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").status().with_context(|| shown.clone())?;
        Ok(status.success())
    };
    if let Some(refresh) = manager.refresh
        && !run(refresh)?
    {
        // Some list may be out of reach and the package's own all the same be there.
        eprintln!("{} {} failed; going on", manager.program, refresh.join(" "));
    }
    let arguments: Vec<&str> = manager.install.iter().chain(packages).copied().collect();
    if !run(&arguments)? {
        bail!("`{shown}` failed");
    }
    Ok(())
}

/// The first one that is there.
fn manager() -> Option<&'static Manager> {
    MANAGERS.iter().find(|manager| starts(manager.program))
}

/// Whether `program` is there: it starts and ends well.
pub(crate) fn starts(program: &str) -> bool {
    quiet(Command::new(program).arg("--version"))
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn may_sudo() -> bool {
    quiet(Command::new("sudo").args(["-n", "true"])) || (std::io::stdin().is_terminal() && starts("sudo"))
}

fn quiet(command: &mut Command) -> bool {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}
