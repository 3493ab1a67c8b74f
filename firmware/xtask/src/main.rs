//! `cargo xtask`: set-up, firmware builds, QEMU runs and the whole test.

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::io::{ErrorKind, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use xtask::board::{self, Board};
use xtask::build::{self, Firmware};
use xtask::log::Source;
use xtask::qemu::{DEFAULT_TIMEOUT, Run, Serial};
use xtask::suite::Totals;
use xtask::toolchain::Toolchain;
use xtask::{elf, flash, miri, setup, suite, tables};

/// Set-up, firmware builds, QEMU runs and the whole test of bitboltz.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install what is missing: the compiler's target and QEMU.
    Setup {
        #[command(flatten)]
        on: On,
    },
    /// Build all programs in release and print what each takes of flash and RAM.
    Firmware {
        #[command(flatten)]
        on: On,
    },
    /// Build a program and run it in QEMU; the exit code is the program's, or 124 after the timeout.
    Qemu {
        /// A program of firmware/src/bin.
        program: String,
        #[command(flatten)]
        on: On,
        /// The machine's image, loaded into the board's weights region.
        #[arg(long, value_name = "FILE.bbz")]
        image: Option<PathBuf>,
        /// Keep the board's flash in this file when QEMU ends (riscv-virt); made where there is none, and with --image erased
        /// but for that image.
        #[arg(long, value_name = "FILE")]
        flash: Option<PathBuf>,
        /// Let the board's serial line listen here; the program starts when somebody has connected.
        #[arg(long, value_name = "tcp:HOST:PORT")]
        serial: Option<Serial>,
        /// Count instructions instead of time, so that what a program measures is the same in every run.
        #[arg(long)]
        icount: bool,
        /// End the run after so many seconds; 0 is never [default: 120, and never for serve].
        #[arg(long, value_name = "SECONDS")]
        timeout: Option<u64>,
    },
    /// Write a program and its image to a real board, and run it.
    Flash {
        /// A program of firmware/src/bin.
        program: String,
        /// A folder of firmware/boards.
        #[arg(long)]
        board: String,
        /// The machine's image, written into the board's weights region.
        #[arg(long, value_name = "FILE.bbz")]
        image: Option<PathBuf>,
    },
    /// Build all programs for all boards, measure them in QEMU, and write docs/boards.md.
    Boards,
    /// Set up, build the firmware, and run every test.
    Test,
    /// Run the core's own tests under Miri, with the nightly compiler: minutes, and no part of `test`.
    Miri,
}

#[derive(clap::Args)]
struct On {
    /// A folder of firmware/boards; `all` where several make sense.
    #[arg(long, default_value = board::DEFAULT)]
    board: String,
}

fn main() -> ExitCode {
    match run(Arguments::parse().task) {
        Ok(code) => code,
        // Whoever reads has seen enough, as in `cargo xtask firmware | head`.
        Err(error) if error.downcast_ref().is_some_and(|e: &std::io::Error| e.kind() == ErrorKind::BrokenPipe) => {
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<ExitCode> {
    match task {
        Task::Setup { on } => {
            for board in board::chosen(&on.board)? {
                setup::everything(&board)?;
            }
        }
        Task::Firmware { on } => {
            for board in board::chosen(&on.board)? {
                print_sizes(&board, &built(&board)?)?;
            }
        }
        Task::Boards => {
            let boards = board::chosen(board::ALL)?;
            for board in &boards {
                if board.qemu.is_some() {
                    setup::qemu(board)?;
                }
                setup::target(&board.target)?;
            }
            let path = tables::path();
            std::fs::write(&path, tables::write(&boards)?)?;
            println!("{}", path.display());
        }
        Task::Qemu { program, on, image, flash, serial, icount, timeout } => {
            let board = Board::load(&on.board)?;
            setup::qemu(&board)?;
            let firmware = built(&board)?;
            // A server has no end of its own.
            let default = (program != "serve").then_some(DEFAULT_TIMEOUT);
            let timeout = timeout.map_or(default, |seconds| (seconds > 0).then(|| Duration::from_secs(seconds)));
            let mut run = Run::new(&board, firmware.elf(&program)?).icount(icount).timeout(timeout);
            if let Some(image) = image {
                run = run.image(image);
            }
            if let Some(flash) = flash {
                run = run.flash(flash);
            }
            if let Some(serial) = serial {
                run = run.serial(serial);
            }
            return show(run);
        }
        Task::Flash { program, board, image } => {
            let board = Board::load(&board)?;
            flash::require(&board)?;
            let firmware = built(&board)?;
            flash::flash(&board, firmware.elf(&program)?, image.as_deref())?;
        }
        Task::Miri => miri::run()?,
        Task::Test => {
            let mut totals = Totals::default();
            // The desktop's tests are worth running all the same, and the totals stay the last line.
            if let Err(error) = ready() {
                eprintln!("error: {error:#}");
                totals.failed += 1;
            }
            totals += suite::run()?;
            println!("{totals}");
            if totals.failed > 0 {
                return Ok(ExitCode::FAILURE);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Sees to what the tests of the firmware need.
fn ready() -> Result<()> {
    for board in board::chosen(board::ALL)? {
        if board.qemu.is_some() {
            setup::qemu(&board)?;
        }
        built(&board)?;
    }
    setup::TEST_TARGETS.iter().try_for_each(|target| setup::target(target).map(drop))
}

fn built(board: &Board) -> Result<Firmware> {
    setup::target(&board.target)?;
    build::build(board)
}

fn print_sizes(board: &Board, firmware: &Firmware) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}: {}", board.name, board.description)?;
    writeln!(out, "{}", Toolchain::require(&board.target)?.version()?)?;
    writeln!(out, "{:12}{:>10}{:>10}", "program", "flash", "RAM")?;
    for program in firmware.shipped() {
        let size = elf::size(&program.elf)?;
        writeln!(out, "{:12}{:>10}{:>10}", program.name, size.flash, size.ram)?;
    }
    writeln!(out, "bytes; flash is code, constants and data, RAM is data and bss")?;
    let memory = board.memory()?;
    writeln!(out, "\n{:12}{:>10}", "region", "bytes")?;
    for (name, region, what) in [
        ("flash", memory.flash, "the program"),
        ("weights", memory.weights, "the machine's image"),
        ("stack", memory.stack, "`selftest` says how much of it is used"),
        ("RAM", memory.ram, "the program's variables"),
        ("arena", memory.arena, "the session; `bitboltz export` says how much a machine needs"),
    ] {
        writeln!(out, "{name:12}{:>10}  {what}", region.length)?;
    }
    Ok(())
}

/// Runs, printing the lines as they come.
fn show(run: Run) -> Result<ExitCode> {
    let mut running = run.start()?;
    for line in running.lines() {
        match line.source {
            Source::Program => writeln!(std::io::stdout(), "{line}")?,
            Source::Qemu => eprintln!("{line}"),
        }
    }
    let outcome = running.wait()?;
    if outcome.exit != 0 {
        eprintln!("the program ended with {}", outcome.exit);
    }
    // A code that a process cannot have is a failure all the same.
    Ok(u8::try_from(outcome.exit).map_or(ExitCode::FAILURE, ExitCode::from))
}
