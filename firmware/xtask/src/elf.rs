//! What the linked ELF says of itself: how much flash and RAM the program takes, and where the image goes.

use anyhow::{Context, Result, bail};
use object::{Object, ObjectSection, ObjectSymbol, SectionFlags, SectionKind, elf};
use std::fs;
use std::path::Path;

/// What a program takes of its board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Bytes of flash: vectors, code, constants, and the initial values of `data`.
    pub flash: u64,
    /// Bytes of RAM that are given out before the program starts: `data`, `bss`. The stack comes on top.
    pub ram: u64,
}

/// Reads the size of the program in `path`.
pub fn size(path: &Path) -> Result<Size> {
    let bytes = read(path)?;
    let file = object::File::parse(&*bytes).with_context(|| path.display().to_string())?;
    let mut size = Size { flash: 0, ram: 0 };
    for section in file.sections() {
        let SectionFlags::Elf { sh_flags } = section.flags() else {
            continue;
        };
        // The log's strings and the debug information stay on the desktop.
        if sh_flags & u64::from(elf::SHF_ALLOC) == 0 {
            continue;
        }
        if section.kind() != SectionKind::UninitializedData {
            size.flash += section.size();
        }
        if sh_flags & u64::from(elf::SHF_WRITE) != 0 {
            size.ram += section.size();
        }
    }
    Ok(size)
}

/// Where the board's image lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weights {
    /// Address of the first byte.
    pub address: u64,
    /// Length of the region in bytes.
    pub length: u64,
}

impl Weights {
    /// Refuses an image that does not fit: neither QEMU nor a programmer would stop at the region's end.
    pub fn check(&self, image: &Path) -> Result<()> {
        let length = image.metadata().with_context(|| image.display().to_string())?.len();
        if length > self.length {
            bail!("{}: {length} bytes, and the board's weights region has {}", image.display(), self.length);
        }
        Ok(())
    }
}

/// Reads the weights region from the program in `path`: the linker put it there from the board's memory.x.
pub fn weights(path: &Path) -> Result<Weights> {
    let bytes = read(path)?;
    let file = object::File::parse(&*bytes).with_context(|| path.display().to_string())?;
    let symbol = |name: &str| {
        let symbol = file.symbols().find(|symbol| symbol.name() == Ok(name));
        symbol
            .map(|symbol| symbol.address())
            .with_context(|| format!("{}: no symbol {name}; the board's memory.x defines it", path.display()))
    };
    let address = symbol("__weights_start")?;
    Ok(Weights { address, length: symbol("__weights_end")? - address })
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| path.display().to_string())
}
