//! Which rows each chain adds and subtracts.
//!
//! A long list is cut where rows of 128 begin, and all chains' jobs on the same 128 rows are done in turn: these rows of
//! a tile, 32 kB of floats, then stay in the first-level cache. Short lists are one job each. Where a list is cut follows
//! from the list alone, so sums of floats do not depend on what other chains do.

use bitboltz_core::bits::{WORD_BITS, count_ones, ones_of_word};

/// Words of bits that make up one part of a long list.
const PART: usize = 4;
/// Rows from which a list is long. A part has at most 128 rows and a short list fewer than these: both below 256, the
/// most that sums of 8-bit weights in 16 bits allow.
const LONG: u32 = 64;

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

/// The lists of many chains. Reused from step to step.
#[derive(Clone, Debug, Default)]
pub struct Lists {
    rows: Vec<u16>,
    /// Short lists, then one bucket for each part of the rows.
    buckets: Vec<Vec<Job>>,
}

impl Lists {
    /// Forgets all lists.
    pub fn clear(&mut self) {
        self.rows.clear();
        self.buckets.iter_mut().for_each(Vec::clear);
    }

    /// Lists rows for a row of the target: those whose bits are on in `add` are added, those in `subtract` subtracted.
    /// No row may be in both.
    pub fn push(&mut self, target: usize, add: &[u32], subtract: &[u32]) {
        if count_ones(add) + count_ones(subtract) < LONG {
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

    /// All lists, one after the other.
    pub fn rows(&self) -> &[u16] {
        &self.rows
    }

    /// The jobs, in the order in which they should be done.
    pub fn buckets(&self) -> impl Iterator<Item = &[Job]> {
        self.buckets.iter().filter(|jobs| !jobs.is_empty()).map(Vec::as_slice)
    }
}
