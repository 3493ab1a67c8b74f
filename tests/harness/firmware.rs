//! The board's programs, built once, each run in a QEMU of its own.

use std::sync::OnceLock;
use std::time::Duration;
use xtask::board::{self, Board};
use xtask::build::{Firmware, build};
use xtask::qemu::Run;

/// How long a test's program may take. Far above what any needs: a loaded machine must not fail a test.
pub const TIMEOUT: Duration = Duration::from_secs(60);

/// The board that the tests run on.
///
/// # Panics
///
/// If its folder is damaged.
pub fn board() -> &'static Board {
    static BOARD: OnceLock<Board> = OnceLock::new();
    BOARD.get_or_init(|| Board::load(board::DEFAULT).expect("the default board"))
}

/// That board and its programs.
///
/// Built by the first test of a process that asks; cargo lets other processes wait, and they find everything done.
///
/// # Panics
///
/// If the firmware does not build. The usual reason is that the compiler's target is missing, and the message says so.
pub fn programs() -> &'static (&'static Board, Firmware) {
    static PROGRAMS: OnceLock<(&Board, Firmware)> = OnceLock::new();
    PROGRAMS.get_or_init(|| {
        let board = board();
        let firmware = build(board).unwrap_or_else(|error| panic!("{error:#}"));
        (board, firmware)
    })
}

/// A run of the program called `name`, to be completed and started.
///
/// # Panics
///
/// If there is no such program, or as [`programs`].
#[must_use]
pub fn run(name: &str) -> Run {
    let (board, firmware) = programs();
    let elf = firmware.elf(name).unwrap_or_else(|error| panic!("{error:#}"));
    Run::new(board, elf).timeout(Some(TIMEOUT))
}
