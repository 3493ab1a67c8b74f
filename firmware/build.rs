//! Puts the chosen board's memory map where the linker finds it and its Rust file where the lib finds it, and names the link
//! scripts.
//!
//! The board is a folder of `boards/`, chosen by the cargo feature of the same name.

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    let board = board();
    let folder = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("boards").join(board);
    let (memory, glue) = (folder.join("memory.x"), folder.join("board.rs"));
    println!("cargo::rerun-if-changed=boards");
    println!("cargo::rustc-check-cfg=cfg(armv6m)");
    if env::var("TARGET").is_ok_and(|target| target.starts_with("thumbv6m")) {
        println!("cargo::rustc-cfg=armv6m");
    }
    let page = weights(&memory);

    // The drivers of src/uart that the board names; no other is compiled.
    let drivers = ["cmsdk", "nrf", "ns16550", "pl011", "rp2350", "stm32"];
    println!("cargo::rustc-check-cfg=cfg(uart, values({}))", drivers.map(|name| format!("{name:?}")).join(", "));
    let text = fs::read_to_string(&glue).unwrap_or_else(|error| panic!("{}: {error}", glue.display()));
    for name in drivers.iter().filter(|name| text.contains(&format!("uart::{name}"))) {
        println!("cargo::rustc-cfg=uart=\"{name}\"");
    }

    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    fs::copy(&memory, out.join("memory.x")).unwrap_or_else(|error| panic!("{}: {error}", memory.display()));
    let page = page.map_or(String::new(), |bytes| format!("pub(crate) const WEIGHTS_PAGE: usize = {bytes};\n"));
    fs::write(out.join("board.rs"), format!("#[path = {glue:?}]\npub mod board;\n{page}"))
        .expect("OUT_DIR is writable");

    println!("cargo::rustc-link-search={}", out.display());
    // cortex-m-rt's link.x includes memory.x from the search path, riscv-rt's does not.
    if env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "riscv32") {
        println!("cargo::rustc-link-arg=-Tmemory.x");
    }
    println!("cargo::rustc-link-arg=-Tlink.x");
    // Which memory protection unit the processor may have, for src/arch/arm.rs: ARMv7-M has the one of PMSAv7.
    println!("cargo::rustc-check-cfg=cfg(pmsav7)");
    if env::var("TARGET").is_ok_and(|target| target.starts_with("thumbv7")) {
        println!("cargo::rustc-cfg=pmsav7");
    }
    // Places the log's strings outside of flash.
    println!("cargo::rustc-link-arg=-Tdefmt.x");
    // Sections are 4-byte aligned as the linker script says, not padded to a page that no board has.
    println!("cargo::rustc-link-arg=--nmagic");
}

/// How new weights are written, as memory.x says it: `__weights_ram = 1;`, or one of the drivers of src/flash and the bytes that
/// it erases together, which are returned; else not at all.
fn weights(memory: &Path) -> Option<usize> {
    println!("cargo::rustc-check-cfg=cfg(weights, values(\"ram\", \"cfi\", \"nvmc\"))");
    println!("cargo::rustc-check-cfg=cfg(weights_writable)");
    println!("cargo::rustc-check-cfg=cfg(weights_flash)");
    let script = fs::read_to_string(memory).unwrap_or_default();
    let value = |kind: &str| {
        let after =
            |line: &str| Some(line.trim().strip_prefix(&format!("__weights_{kind} = "))?.strip_suffix(';')?.to_owned());
        script.lines().find_map(after)
    };
    let (kind, value) = ["ram", "cfi", "nvmc"].into_iter().find_map(|kind| Some((kind, value(kind)?)))?;
    println!("cargo::rustc-cfg=weights={kind:?}");
    println!("cargo::rustc-cfg=weights_writable");
    if kind == "ram" {
        return None;
    }
    println!("cargo::rustc-cfg=weights_flash");
    let kib = value.strip_suffix('K').and_then(|kib| kib.parse::<usize>().ok());
    Some(1024 * kib.unwrap_or_else(|| panic!("{}: a page of {value} is no number of K", memory.display())))
}

/// The folder whose feature is on.
fn board() -> String {
    let folders = fs::read_dir(Path::new("boards")).expect("the folder of boards");
    let names = folders.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut chosen: Vec<String> = names
        .filter(|name| env::var_os(format!("CARGO_FEATURE_{}", name.to_uppercase().replace('-', "_"))).is_some())
        .collect();
    chosen.sort();
    match &chosen[..] {
        [board] => board.clone(),
        [] => panic!("no board chosen: --no-default-features --features NAME, with NAME a folder of firmware/boards"),
        several => panic!("more than one board chosen ({}): --no-default-features --features NAME", several.join(", ")),
    }
}
