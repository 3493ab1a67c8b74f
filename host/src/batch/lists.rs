//! Which rows each chain adds and subtracts.
//!
//! A long list is cut where rows of 128 begin, and all chains' jobs on the same 128 rows are done in turn: these rows of
//! a tile, 32 kB of floats, then stay in the first-level cache. Short lists are one job each. A list of additions alone
//! that holds a third of all rows is not listed: its words are kept, and looked up in tables of sums of four rows.
//! What is done follows from the list alone, so sums of floats do not depend on what other chains do.

use bitboltz_core::bits::{WORD_BITS, count_ones, ones_of_word};

use super::{
    kernels::{self, Isa, Target},
    tile::{TILE, Table, TileWeight, Tiles},
};

/// Words of bits that make up one part of a long list.
const PART: usize = 4;
/// Rows from which a list is long. A part has at most 128 rows and a short list fewer than these: both below 256, the
/// most that sums of 8-bit weights in 16 bits allow.
const LONG: u32 = 64;

/// A list is dense if it holds one of so many rows.
const DENSE: usize = 3;

/// Rows to add (`start..middle`) and to subtract (`middle..end`), by their place in the list, and the row of the target
/// that they are added to.
#[derive(Clone, Copy, Debug)]
pub struct Job {
    /// Row of the target.
    pub target: u32,
    /// Where the rows to add begin.
    pub start: u32,
    /// Where they end, and those to subtract begin.
    pub middle: u32,
    /// Where those end.
    pub end: u32,
}

/// Rows to add, as a word of bits, and the row of the target that they are added to.
#[derive(Clone, Copy, Debug)]
pub struct WordJob {
    /// Row of the target.
    pub target: u32,
    /// Bit i is on if row i of 32 is to be added.
    pub word: u32,
}

/// The lists of many chains. Reused from step to step.
#[derive(Clone, Debug)]
pub struct Lists {
    /// Whether dense lists are looked up in tables.
    tables: bool,
    rows: Vec<u16>,
    /// Short lists, then one bucket for each part of the rows.
    buckets: Vec<Vec<Job>>,
    /// For each word of rows, the jobs of dense lists.
    words: Vec<Vec<WordJob>>,
}

impl Lists {
    /// No lists yet, for weights of a type.
    pub fn new<W: TileWeight>() -> Self {
        Self { tables: W::TABLES, rows: Vec::new(), buckets: Vec::new(), words: Vec::new() }
    }

    /// Forgets all lists.
    pub fn clear(&mut self) {
        self.rows.clear();
        self.buckets.iter_mut().for_each(Vec::clear);
        self.words.iter_mut().for_each(Vec::clear);
    }

    /// Lists rows for a row of the target: those whose bits are on in `add` are added, those in `subtract` subtracted.
    /// No row may be in both.
    pub fn push(&mut self, target: usize, add: &[u32], subtract: &[u32]) {
        let (added, subtracted) = (count_ones(add), count_ones(subtract));
        if self.tables && subtracted == 0 && DENSE * added as usize >= add.len() * WORD_BITS {
            self.words.resize_with(self.words.len().max(add.len()), Vec::new);
            for (jobs, &word) in self.words.iter_mut().zip(add) {
                jobs.push(WordJob { target: target as u32, word });
            }
        } else if added + subtracted < LONG {
            self.job(0, target, 0, add, subtract);
        } else {
            for (part, (add, subtract)) in add.chunks(PART).zip(subtract.chunks(PART)).enumerate() {
                self.job(part + 1, target, part * PART, add, subtract);
            }
        }
    }

    fn job(&mut self, bucket: usize, target: usize, first: usize, add: &[u32], subtract: &[u32]) {
        let start = self.rows.len() as u32;
        self.list(first, add);
        let middle = self.rows.len() as u32;
        self.list(first, subtract);
        let end = self.rows.len() as u32;
        if start < end {
            if self.buckets.len() <= bucket {
                self.buckets.resize_with(bucket + 1, Vec::new);
            }
            self.buckets[bucket].push(Job { target: target as u32, start, middle, end });
        }
    }

    fn list(&mut self, first: usize, words: &[u32]) {
        for (at, &word) in words.iter().enumerate() {
            let base = ((first + at) * WORD_BITS) as u16;
            self.rows.extend(ones_of_word(word).map(|bit| base + bit as u16));
        }
    }

    /// Adds the listed rows of a matrix to `fields`, whose rows are `stride` long and have the matrix' columns (and may
    /// have its padding). `shift` as in [`kernels::add_rows`]; `table` is scratch.
    ///
    /// # Panics
    /// If the matrix has fewer rows than are listed, or the fields fewer than there are targets.
    pub fn apply<W: TileWeight>(
        &self,
        isa: Isa,
        matrix: &Tiles<W>,
        shift: u32,
        table: &mut Table<W>,
        fields: &mut [W::Field],
        stride: usize,
    ) {
        for (at, tile) in matrix.tiles().enumerate() {
            let first = at * TILE;
            let mut target = Target { fields: &mut *fields, stride, first, columns: TILE.min(stride - first) };
            for jobs in self.buckets.iter().filter(|jobs| !jobs.is_empty()) {
                kernels::add_rows(isa, tile, jobs, &self.rows, &mut target, shift);
            }
            for (jobs, rows) in self.words.iter().zip(tile.chunks(WORD_BITS)) {
                if !jobs.is_empty() {
                    kernels::add_words(isa, rows, jobs, table, &mut target, shift);
                }
            }
        }
    }
}
