//! What the trainer needs of a data set, and the order in which it shows it.

use bitboltz_core::{bits::ones, image::CRC32, rng::Rng as _};
use serde::{Deserialize, Serialize};

use super::seeds::{Purpose, stream_for};
use crate::bits::BitMatrix;

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
    pub fn of(data: &BitMatrix) -> Self {
        Self { rows: data.rows(), width: data.cols(), crc: CRC32.checksum(bytemuck::cast_slice(data.words())) }
    }
}

impl std::fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} rows of {} bits, CRC {:08x}", self.rows, self.width, self.crc)
    }
}

/// The share of rows in which each bit is on.
pub fn bit_means(data: &BitMatrix) -> Vec<f32> {
    let mut counts = vec![0_u32; data.cols()];
    for index in 0..data.rows() {
        ones(data.row(index)).for_each(|bit| counts[bit] += 1);
    }
    counts.iter().map(|&count| count as f32 / data.rows().max(1) as f32).collect()
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
    fn means_are_shares_of_rows() {
        let rows = BitMatrix::from_words(2, 33, vec![1, 1, 3, 0]).unwrap();
        let means = bit_means(&rows);
        assert_eq!((means[0], means[1], means[2], means[32]), (1.0, 0.5, 0.0, 0.5));
    }
}
