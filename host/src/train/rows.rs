//! What the trainer needs of a data set, and the order in which it shows it.

use bitboltz_core::{bits::word_mask, image::CRC32, rng::Rng as _};
use serde::{Deserialize, Serialize};

use super::seeds::{Purpose, stream_for};

/// Binary rows, packed: bit j of a row in word j / 32 at position j % 32, padding zero.
pub trait Rows: Sync {
    /// Number of rows.
    fn len(&self) -> usize;
    /// Bits of a row.
    fn width(&self) -> usize;
    /// A row's words.
    ///
    /// # Panics
    /// If there is no such row.
    fn row(&self, index: usize) -> &[u32];
    /// Whether there are no rows.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<R: Rows + ?Sized> Rows for &R {
    fn len(&self) -> usize {
        (**self).len()
    }

    fn width(&self) -> usize {
        (**self).width()
    }

    fn row(&self, index: usize) -> &[u32] {
        (**self).row(index)
    }
}

/// Rows of `width` bits in vectors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackedRows {
    /// Bits of a row.
    pub width: usize,
    /// The rows' words.
    pub rows: Vec<Vec<u32>>,
}

impl Rows for PackedRows {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn width(&self) -> usize {
        self.width
    }

    fn row(&self, index: usize) -> &[u32] {
        &self.rows[index]
    }
}

/// A data set's name in a training record: a run resumes only on the data that it began with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Rows.
    pub rows: usize,
    /// Bits of a row.
    pub width: usize,
    /// CRC-32 (ISO-HDLC) of all words, little-endian.
    pub crc: u32,
}

impl Fingerprint {
    /// The fingerprint of these rows.
    pub fn of(rows: &(impl Rows + ?Sized)) -> Self {
        let mut digest = CRC32.digest();
        let mut bytes = Vec::new();
        for index in 0..rows.len() {
            bytes.clear();
            bytes.extend(rows.row(index).iter().flat_map(|word| word.to_le_bytes()));
            digest.update(&bytes);
        }
        Self { rows: rows.len(), width: rows.width(), crc: digest.finalize() }
    }
}

impl std::fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} rows of {} bits, CRC {:08x}", self.rows, self.width, self.crc)
    }
}

/// The share of rows in which each bit is on.
pub fn bit_means(rows: &(impl Rows + ?Sized)) -> Vec<f32> {
    let mut counts = vec![0_u32; rows.width()];
    for index in 0..rows.len() {
        bitboltz_core::bits::ones(rows.row(index)).for_each(|bit| counts[bit] += 1);
    }
    counts.iter().map(|&count| count as f32 / rows.len().max(1) as f32).collect()
}

/// The first row that is too short or has bits beyond the width.
pub fn malformed_row(rows: &(impl Rows + ?Sized)) -> Option<usize> {
    let words = bitboltz_core::bits::words_for(rows.width());
    (0..rows.len()).find(|&index| {
        let row = rows.row(index);
        row.len() != words || row.iter().enumerate().any(|(at, word)| word & !word_mask(rows.width(), at) != 0)
    })
}

/// Epochs of shuffled rows, cut into batches. Which rows a step sees follows from the seed and the step alone; a batch
/// may reach over the end of an epoch.
#[derive(Clone, Debug)]
pub struct Batches {
    seed: u64,
    rows: usize,
    batch: usize,
    /// The shuffled order of one epoch, kept for the next step.
    order: Option<(u64, Vec<u32>)>,
}

impl Batches {
    /// Batches of `batch` of `rows` rows; both at least 1.
    pub fn new(seed: u64, rows: usize, batch: usize) -> Self {
        Self { seed, rows, batch, order: None }
    }

    /// Writes the rows of a step, counted from 0.
    pub fn at(&mut self, step: u64, indices: &mut Vec<usize>) {
        indices.clear();
        let first = step * self.batch as u64;
        for position in first..first + self.batch as u64 {
            let (epoch, at) = (position / self.rows as u64, (position % self.rows as u64) as usize);
            indices.push(self.epoch(epoch)[at] as usize);
        }
    }

    fn epoch(&mut self, epoch: u64) -> &[u32] {
        if self.order.as_ref().is_none_or(|(kept, _)| *kept != epoch) {
            self.order = Some((epoch, shuffled(self.seed, epoch, self.rows)));
        }
        self.order.as_ref().map_or(&[], |(_, order)| order)
    }
}

/// Fisher-Yates. A position is a 32-bit draw scaled to the range: off from uniform by less than rows / 2³².
fn shuffled(seed: u64, epoch: u64, rows: usize) -> Vec<u32> {
    let mut rng = stream_for(seed, Purpose::Shuffle, epoch, 0);
    let mut order: Vec<u32> = (0..rows as u32).collect();
    for last in (1..rows).rev() {
        let other = (u64::from(rng.next_u32()) * (last as u64 + 1)) >> 32;
        order.swap(last, other as usize);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_shows_every_row_once_and_epochs_differ() {
        let mut batches = Batches::new(3, 10, 4);
        let (mut indices, mut seen) = (Vec::new(), Vec::new());
        for step in 0..5 {
            batches.at(step, &mut indices);
            seen.extend_from_slice(&indices);
        }
        let (first, second) = seen.split_at(10);
        assert_ne!(first, second);
        for epoch in [first, second] {
            let mut sorted = epoch.to_vec();
            sorted.sort_unstable();
            assert!(sorted.into_iter().eq(0..10));
        }
        // A step alone gives what it gave in turn.
        Batches::new(3, 10, 4).at(3, &mut indices);
        assert_eq!(indices, seen[12..16]);
    }

    #[test]
    fn means_and_malformed_rows() {
        let mut rows = PackedRows { width: 33, rows: vec![vec![1, 1], vec![3, 0]] };
        let means = bit_means(&rows);
        assert_eq!((means[0], means[1], means[2], means[32]), (1.0, 0.5, 0.0, 0.5));
        assert_eq!(malformed_row(&rows), None);
        rows.rows[1][1] = 2;
        assert_eq!(malformed_row(&rows), Some(1));
        rows.rows[1].pop();
        assert_eq!(malformed_row(&rows), Some(1));
    }
}
