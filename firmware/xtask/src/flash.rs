//! Puts a program and its image on a real board, through probe-rs.

use crate::board::Board;
use crate::elf;
use crate::setup::starts;
use crate::tables;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Writes `image` into the board's weights region, if one is given, then the program, and runs it.
///
/// The whole region is written, 0xFF behind the image: what was left of an older update in its second slot would else win
/// over the image. probe-rs shows the log while the program runs, decoded, if the board's log goes over RTT.
pub fn flash(board: &Board, program: &Path, image: Option<&Path>) -> Result<()> {
    if !starts("probe-rs") {
        bail!("probe-rs is not installed: https://probe.rs/docs/getting-started/installation says how");
    }
    let probe = require(board)?;
    if let Some(image) = image {
        let regions = elf::regions(program)?;
        let address = format!("{:#x}", regions.weights.address);
        regions.check(image)?;
        fits_arena(image, regions.arena.length)?;
        let bytes = fs::read(image).with_context(|| image.display().to_string())?;
        let whole = program.with_file_name("weights.bin");
        fs::write(&whole, filled(bytes, regions.weights.length)?).with_context(|| whole.display().to_string())?;
        probe_rs(&["download", "--chip", &probe.chip, "--binary-format", "bin", "--base-address", &address], &whole)?;
    }
    // `run`, not `download`: semihosting needs a debugger that answers.
    probe_rs(&["run", "--chip", &probe.chip], program)
}

/// Refuses a file that is no image, or one whose session has no room, before hardware is written.
fn fits_arena(image: &Path, room: u64) -> Result<()> {
    let needed = tables::ram(image)?;
    if needed > room {
        bail!("{}: it needs {needed} bytes of RAM, and the board's arena has {room}", image.display());
    }
    Ok(())
}

/// `image` and, up to `length` bytes, erased flash.
fn filled(mut image: Vec<u8>, length: u64) -> Result<Vec<u8>> {
    image.resize(usize::try_from(length).context("the weights region's length")?, 0xFF);
    Ok(image)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behind_the_image_the_region_is_erased() {
        assert_eq!(filled(vec![1, 2, 3], 5).unwrap(), [1, 2, 3, 0xFF, 0xFF]);
        assert_eq!(filled(vec![1, 2, 3], 3).unwrap(), [1, 2, 3]);
    }

    #[test]
    fn only_images_whose_session_has_room_are_written() {
        let board = Board::load("nrf52840dk").unwrap();
        let image = tables::largest(&board).unwrap().remove(0);
        let needed = tables::ram(&image).unwrap();
        assert!(fits_arena(&image, needed).is_ok());
        let error = fits_arena(&image, needed - 1).unwrap_err().to_string();
        assert!(error.contains(&format!("needs {needed} bytes of RAM")), "{error}");
        let none = tempfile::NamedTempFile::new().unwrap();
        fs::write(none.path(), [0xFF; 100]).unwrap();
        assert!(fits_arena(none.path(), u64::MAX).is_err());
    }

    #[test]
    fn a_board_that_is_none_cannot_be_flashed() {
        assert_eq!(require(&Board::load("nrf52840dk").unwrap()).unwrap().chip, "nRF52840_xxAA");
        let error = require(&Board::load("mps2-an386").unwrap()).unwrap_err().to_string();
        assert!(error.contains("exists in QEMU only"), "{error}");
    }
}
