//! Puts the board's memory map where the linker finds it, and names the link scripts.
//!
//! The board is a folder of `boards/`, chosen by the variable `BITBOLTZ_BOARD`.

use std::path::PathBuf;
use std::{env, fs};

/// The board of a plain `cargo build`.
const DEFAULT_BOARD: &str = "mps2-an386";

fn main() {
    println!("cargo::rerun-if-env-changed=BITBOLTZ_BOARD");
    let board = env::var("BITBOLTZ_BOARD").unwrap_or_else(|_| DEFAULT_BOARD.into());
    let memory = PathBuf::from("boards").join(&board).join("memory.x");
    println!("cargo::rerun-if-changed={}", memory.display());
    println!("cargo::rustc-check-cfg=cfg(weights_ram)");
    if fs::read_to_string(&memory).is_ok_and(|script| script.lines().any(|line| line.trim() == "__weights_ram = 1;")) {
        println!("cargo::rustc-cfg=weights_ram");
    }

    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    fs::copy(&memory, out.join("memory.x"))
        .unwrap_or_else(|error| panic!("board {board}: {}: {error}", memory.display()));

    // cortex-m-rt's link.x includes memory.x from the search path; defmt.x places the log's strings outside of flash.
    println!("cargo::rustc-link-search={}", out.display());
    println!("cargo::rustc-link-arg=-Tlink.x");
    println!("cargo::rustc-link-arg=-Tdefmt.x");
    // Sections are 4-byte aligned as the linker script says, not padded to a page that no board has.
    println!("cargo::rustc-link-arg=--nmagic");
}
