//! Which rows each chain adds and subtracts.
//!
//! What a chain adds and what it subtracts are two lists. A long list is cut where rows of 224 begin, and all chains' jobs
//! on the same rows are done in turn, in the order of their lengths. Short lists are one job each. A list of additions alone
//! that holds a fifth of all rows is not listed: its words are kept, and looked up in tables of sums of four rows.
//! What is done follows from the list alone, so sums of floats do not depend on what other chains do.

use bitboltz_core::bits::WORD_BITS;

use super::{
    kernels::{self, Isa, Sign, Target},
    tile::{TILE, Table, TileWeight, Tiles},
};

/// Words of bits that make up one part of a long list.
const PART: usize = 7;
/// Rows from which a list is long. A part has at most 224 rows and a short list fewer than these: both below 256, the
/// most that sums of 8-bit weights in 16 bits allow.
const LONG: u32 = 64;

/// A list is dense if it holds one of so many rows: what tables then cost, however many more it holds.
const DENSE: usize = 5;

/// What a list of additions costs, in rows added one by one, if so many bits of so many words are on.
pub(super) fn cost_of_additions(on: u32, words: usize) -> u32 {
    on.min((words * WORD_BITS / DENSE) as u32)
}

/// Rows to add or to subtract, by their place in the list, and the row of the target that they are added to.
#[derive(Clone, Copy, Debug)]
pub struct Job {
    /// Row of the target.
    pub target: u32,
    /// Where the rows begin.
    pub start: u32,
    /// Where they end.
    pub end: u32,
}

impl Job {
    /// Jobs of the same length come one after the other, so that the end of a list is foreseen.
    fn order(&self) -> (u32, u32) {
        (self.end - self.start, self.target)
    }
}

/// Rows to add, as bits, and the row of the target that they are added to.
#[derive(Clone, Copy, Debug)]
pub struct WordJob {
    /// Row of the target.
    pub target: u32,
    /// Bit i is on if row i of 64 is to be added.
    pub word: u64,
}

/// The jobs on one part of the rows.
#[derive(Clone, Debug, Default)]
struct Bucket {
    add: Vec<Job>,
    subtract: Vec<Job>,
}

/// The lists of many chains. Reused from step to step.
#[derive(Clone, Debug)]
pub struct Lists {
    isa: Isa,
    /// Rows in all lists.
    listed: u64,
    /// The rows of all lists, one after the other, and room for more.
    rows: Vec<u16>,
    /// Where that room begins.
    end: usize,
    /// Short lists, then one bucket for each part of the rows.
    buckets: Vec<Bucket>,
    /// For each 64 rows, the jobs of dense lists.
    words: Vec<Vec<WordJob>>,
    /// Whether the jobs lie in the order of their lengths.
    sorted: bool,
}

impl Lists {
    /// No lists yet. The instruction set changes no result.
    pub fn new(isa: Isa) -> Self {
        Self { isa, listed: 0, rows: Vec::new(), end: 0, buckets: Vec::new(), words: Vec::new(), sorted: false }
    }

    /// Forgets all lists.
    pub fn clear(&mut self) {
        self.listed = 0;
        self.end = 0;
        for Bucket { add, subtract } in &mut self.buckets {
            add.clear();
            subtract.clear();
        }
        self.words.iter_mut().for_each(Vec::clear);
    }

    /// Rows in all lists.
    pub fn listed(&self) -> u64 {
        self.listed
    }

    /// Lists rows for a row of the target: those whose bits are on in `add` are added, those in `subtract` subtracted.
    /// No row may be in both.
    pub fn push(&mut self, target: usize, add: &[u32], subtract: &[u32]) {
        let (added, subtracted) = (kernels::count_ones(self.isa, add), kernels::count_ones(self.isa, subtract));
        self.listed += u64::from(added + subtracted);
        self.sorted = false;
        if subtracted == 0 && DENSE * added as usize >= add.len() * WORD_BITS {
            self.words.resize_with(self.words.len().max(add.len().div_ceil(2)), Vec::new);
            for (jobs, words) in self.words.iter_mut().zip(add.chunks(2)) {
                let high = words.get(1).copied().unwrap_or(0);
                jobs.push(WordJob { target: target as u32, word: u64::from(words[0]) | u64::from(high) << WORD_BITS });
            }
        } else if added + subtracted < LONG {
            self.jobs(0, target, 0, add, subtract);
        } else {
            for (part, (add, subtract)) in add.chunks(PART).zip(subtract.chunks(PART)).enumerate() {
                self.jobs(part + 1, target, part * PART, add, subtract);
            }
        }
    }

    fn jobs(&mut self, bucket: usize, target: usize, first: usize, add: &[u32], subtract: &[u32]) {
        if self.buckets.len() <= bucket {
            self.buckets.resize_with(bucket + 1, Bucket::default);
        }
        let Self { isa, rows, end, buckets, .. } = self;
        let room = *end + (add.len() + subtract.len()) * WORD_BITS;
        if rows.len() < room {
            rows.resize(2 * room, 0);
        }
        let Bucket { add: adding, subtract: subtracting } = &mut buckets[bucket];
        for (jobs, words) in [(adding, add), (subtracting, subtract)] {
            let start = *end;
            *end += kernels::list_ones(*isa, words, first * WORD_BITS, &mut rows[start..]);
            if start < *end {
                jobs.push(Job { target: target as u32, start: start as u32, end: *end as u32 });
            }
        }
    }

    /// Adds the listed rows of a matrix to `fields`, whose rows are `stride` long and have the matrix' columns (and may
    /// have its padding). `shift` as in [`kernels::add_rows`]; `table` is scratch.
    ///
    /// # Panics
    /// If the matrix has fewer rows than are listed, or the fields fewer than there are targets.
    pub fn apply<W: TileWeight>(
        &mut self,
        matrix: &Tiles<W>,
        shift: u32,
        table: &mut Table<W>,
        fields: &mut [W::Field],
        stride: usize,
    ) {
        if !self.sorted {
            for Bucket { add, subtract } in &mut self.buckets {
                add.sort_unstable_by_key(Job::order);
                subtract.sort_unstable_by_key(Job::order);
            }
            self.sorted = true;
        }
        let mut tiles = matrix.tiles().enumerate();
        while let Some((at, tile)) = tiles.next() {
            let pair = if W::PAIRS { tiles.next() } else { None };
            let first = at * TILE;
            let width = if pair.is_some() { 2 * TILE } else { TILE };
            let mut target = Target { fields: &mut *fields, stride, first, columns: width.min(stride - first) };
            for Bucket { add, subtract } in &self.buckets {
                for (jobs, sign) in [(add, Sign::Plus), (subtract, Sign::Minus)] {
                    match pair {
                        _ if jobs.is_empty() => {}
                        None => kernels::add_rows(self.isa, [tile], jobs, &self.rows, sign, &mut target, shift),
                        Some((_, next)) => {
                            kernels::add_rows(self.isa, [tile, next], jobs, &self.rows, sign, &mut target, shift);
                        }
                    }
                }
            }
            for (at, tile) in [Some((at, tile)), pair].into_iter().flatten() {
                let first = at * TILE;
                let mut target = Target { fields: &mut *fields, stride, first, columns: TILE.min(stride - first) };
                for (jobs, rows) in self.words.iter().zip(tile.chunks(2 * WORD_BITS)) {
                    if !jobs.is_empty() {
                        kernels::add_words(self.isa, rows, jobs, table, &mut target, shift);
                    }
                }
            }
        }
    }
}
