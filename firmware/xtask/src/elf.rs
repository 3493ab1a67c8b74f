//! What the linked ELF says of itself: how much flash and RAM the program takes, and where the image goes.

use crate::board::Region;
use anyhow::{Context, Result, bail};
use object::read::elf::{ElfFile32, ProgramHeader};
use object::{Endianness, Object, ObjectSection, ObjectSymbol, SectionFlags, SectionKind, elf};
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
        // The log's strings and the debug information stay on the desktop. riscv-rt shows the stack as a section; here it
        // is what it is on any board: on top.
        if sh_flags & u64::from(elf::SHF_ALLOC) == 0 || section.name() == Ok(".stack") {
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

/// The regions whose use the program leaves to its symbols: the linker put them there from the board's memory.x.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Regions {
    /// Where the machine's image goes.
    pub weights: Region,
    /// The session's memory.
    pub arena: Region,
    /// The stack.
    pub stack: Region,
}

impl Regions {
    /// Refuses an image that does not fit: neither QEMU nor a programmer would stop at the region's end.
    pub fn check(&self, image: &Path) -> Result<()> {
        let length = image.metadata().with_context(|| image.display().to_string())?.len();
        let room = self.weights.length;
        if length > room {
            bail!("{}: {length} bytes, and the board's weights region has {room}", image.display());
        }
        Ok(())
    }
}

/// Reads the regions from the program in `path`.
pub fn regions(path: &Path) -> Result<Regions> {
    let bytes = read(path)?;
    let file = object::File::parse(&*bytes).with_context(|| path.display().to_string())?;
    let symbol = |name: &str| {
        let symbol = file.symbols().find(|symbol| symbol.name() == Ok(name));
        symbol
            .map(|symbol| symbol.address())
            .with_context(|| format!("{}: no symbol {name}; the board's memory.x defines it", path.display()))
    };
    let region = |start: &str, end: &str| {
        let address = symbol(start)?;
        Ok::<_, anyhow::Error>(Region { address, length: symbol(end)? - address })
    };
    Ok(Regions {
        weights: region("__weights_start", "__weights_end")?,
        arena: region("__arena_start", "__arena_end")?,
        stack: region("_stack_end", "_stack_start")?,
    })
}

/// What a programmer writes, or the program's start lays out: one program header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Where the program finds it.
    pub address: u64,
    /// Where it is written.
    pub load: u64,
    /// Bytes in memory; those beyond `bytes` are zeroed by the program's start, or not at all.
    pub length: u64,
    /// What is written.
    pub bytes: Vec<u8>,
    /// Whether it holds instructions.
    pub executable: bool,
}

/// All segments of the program in `path` that take memory.
pub fn segments(path: &Path) -> Result<Vec<Segment>> {
    let bytes = read(path)?;
    let file = ElfFile32::<Endianness>::parse(&*bytes).with_context(|| path.display().to_string())?;
    let endian = file.endian();
    let mut segments = Vec::new();
    for header in file.elf_program_headers() {
        if header.p_type(endian) != elf::PT_LOAD || header.p_memsz(endian) == 0 {
            continue;
        }
        let Ok(data) = header.data(endian, &*bytes) else {
            bail!("{}: a segment that ends beyond the file", path.display());
        };
        segments.push(Segment {
            address: header.p_vaddr(endian).into(),
            load: header.p_paddr(endian).into(),
            length: header.p_memsz(endian).into(),
            bytes: data.to_vec(),
            executable: header.p_flags(endian) & elf::PF_X != 0,
        });
    }
    Ok(segments)
}

/// The symbols of the program in `path` whose names are `wanted`. A function's address is even, whatever its instruction
/// set.
pub fn find(path: &Path, wanted: impl Fn(&str) -> bool) -> Result<Vec<Region>> {
    let bytes = read(path)?;
    let file = object::File::parse(&*bytes).with_context(|| path.display().to_string())?;
    let symbols = file.symbols().filter(|symbol| symbol.name().is_ok_and(&wanted));
    // The lowest bit of an address says Thumb.
    Ok(symbols.map(|symbol| Region { address: symbol.address() & !1, length: symbol.size() }).collect())
}

/// The names of all symbols of the program in `path`.
pub fn symbols(path: &Path) -> Result<Vec<String>> {
    let bytes = read(path)?;
    let file = object::File::parse(&*bytes).with_context(|| path.display().to_string())?;
    Ok(file.symbols().filter_map(|symbol| symbol.name().ok().map(String::from)).collect())
}

/// Whether a symbol is a routine that computes with floats on a processor that cannot. Conversions count.
#[must_use]
pub fn is_float_routine(name: &str) -> bool {
    let arm = name.strip_prefix("__aeabi_").is_some_and(|rest| {
        let conversion =
            ["i2f", "i2d", "ui2f", "ui2d", "l2f", "l2d", "ul2f", "ul2d", "cfcmp", "cdcmp", "cfrcmp", "cdrcmp", "h2f"];
        rest.starts_with('f')
            || rest.starts_with('d') && !rest.starts_with("div")
            || conversion.iter().any(|c| rest.starts_with(c))
    });
    let types = ["sf", "df"];
    arm || name.starts_with("__")
        && types.iter().any(|t| {
            // __addsf3, __ltdf2, __fixsfsi, __floatsidf, __extendsfdf2
            let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
            stem.ends_with(t) || stem.starts_with(&format!("__fix{t}")) || stem.starts_with(&format!("__fixuns{t}"))
        })
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| path.display().to_string())
}
