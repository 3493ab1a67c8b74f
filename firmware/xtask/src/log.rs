//! What a run says: the program's log, decoded from defmt, and QEMU's own words.

use anyhow::{Context, Result};
use defmt_decoder::{DecodeError, Locations, Table};
use std::fmt;
use std::io::Read;
use std::path::Path;

/// Who said a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The program on the board.
    Program,
    /// QEMU, on its standard error.
    Qemu,
}

/// One line of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Who said it.
    pub source: Source,
    /// `trace`, `debug`, `info`, `warn` or `error`; empty for a plain print and for QEMU.
    pub level: &'static str,
    /// What was said.
    pub text: String,
    /// File and line of the statement, as far as the ELF knows.
    pub location: Option<String>,
}

impl Line {
    /// A line of QEMU itself.
    #[must_use]
    pub fn of_qemu(text: String) -> Self {
        Self { source: Source::Qemu, level: "", text, location: None }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.source {
            Source::Qemu => write!(f, "qemu: {}", self.text),
            Source::Program if self.level.is_empty() => f.write_str(&self.text),
            Source::Program => write!(f, "{:5} {}", self.level.to_uppercase(), self.text),
        }
    }
}

/// Decodes the log of one program.
pub struct Decoder {
    table: Table,
    locations: Option<Locations>,
}

impl Decoder {
    /// Reads the log's strings from the program in `path`.
    pub fn new(path: &Path) -> Result<Self> {
        let elf = std::fs::read(path).with_context(|| path.display().to_string())?;
        let table = Table::parse(&elf)?.with_context(|| format!("{}: no defmt in it", path.display()))?;
        let locations = table.get_locations(&elf).ok();
        // A table of locations that misses some would be one of another program.
        let locations = locations.filter(|l| table.indices().all(|index| l.contains_key(&(index as u64))));
        Ok(Self { table, locations })
    }

    /// Reads `stream` to its end and gives each line to `sink`, as soon as it is whole.
    pub fn run(&self, mut stream: impl Read, mut sink: impl FnMut(Line)) -> Result<()> {
        let mut decoder = self.table.new_stream_decoder();
        let mut buffer = [0; 4096];
        loop {
            let read = stream.read(&mut buffer)?;
            if read == 0 {
                return Ok(());
            }
            decoder.received(&buffer[..read]);
            loop {
                match decoder.decode() {
                    Ok(frame) => sink(Line {
                        source: Source::Program,
                        level: frame.level().map_or("", |level| level.as_str()),
                        text: frame.display_message().to_string(),
                        location: self.location(frame.index()),
                    }),
                    Err(DecodeError::UnexpectedEof) => break,
                    // The encoding finds the next frame by itself; this one is lost, and said to be.
                    Err(DecodeError::Malformed) => sink(Line {
                        source: Source::Program,
                        level: "error",
                        text: "a line of the log that cannot be decoded".into(),
                        location: None,
                    }),
                }
            }
        }
    }

    fn location(&self, index: u64) -> Option<String> {
        let location = self.locations.as_ref()?.get(&index)?;
        Some(format!("{}:{}", location.file.display(), location.line))
    }
}
