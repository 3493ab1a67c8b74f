//! How far images are from the nearest training image, in bits: whether a model copies what it was shown.

use bitboltz_core::bits::count_ones;
use rayon::prelude::*;
use serde::Serialize;

use crate::bits::BitMatrix;

/// The levels of [`Nearest::quantiles`].
pub const LEVELS: [f64; 7] = [0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0];

/// Distances of images to their nearest training images, in bits that differ.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Nearest {
    /// How many images.
    pub count: usize,
    /// Mean distance.
    pub mean: f64,
    /// Distances at [`LEVELS`]: the smallest, …, the median, …, the largest.
    pub quantiles: [u32; 7],
    /// The share of images that are training images, bit for bit.
    pub copies: f64,
}

impl Nearest {
    /// Sums up distances.
    ///
    /// # Panics
    /// If there are none.
    #[must_use]
    pub fn new(distances: &[u32]) -> Self {
        let count = distances.len();
        let mut sorted = distances.to_vec();
        sorted.sort_unstable();
        Self {
            count,
            mean: distances.iter().map(|&d| f64::from(d)).sum::<f64>() / count as f64,
            quantiles: LEVELS.map(|level| sorted[(level * (count - 1) as f64).round() as usize]),
            copies: distances.iter().filter(|&&d| d == 0).count() as f64 / count as f64,
        }
    }
}

/// The number of bits in which each image differs from the nearest of `train`.
///
/// Exact, but most training images need not be tried: no distance is below the difference in the number of ones, in whose
/// order they come, nor below the sum of these differences over the words.
///
/// # Panics
/// If `train` is empty, or its rows have another length.
#[must_use]
pub fn distances(images: &BitMatrix, train: &BitMatrix) -> Vec<u32> {
    assert!(train.rows() > 0, "a training set is not empty");
    assert_eq!(images.cols(), train.cols(), "images of the same size");
    let mut order: Vec<(u32, usize)> = (0..train.rows()).map(|i| (count_ones(train.row(i)), i)).collect();
    order.sort_unstable();
    let words = train.row(0).len();
    // In that order in memory too.
    let sorted: Vec<u32> = order.iter().flat_map(|&(_, i)| train.row(i)).copied().collect();
    let padded = words.next_multiple_of(LANES);
    let mut counts = vec![0; train.rows() * padded];
    for (counts, row) in counts.chunks_exact_mut(padded).zip(sorted.chunks_exact(words)) {
        counts_of_words(row, counts);
    }
    let nearest = |image: &[u32]| {
        let ink = count_ones(image);
        let mut up = order.partition_point(|&(other, _)| other < ink);
        let mut down = up;
        let mut best = u32::MAX;
        let mut own = vec![0; padded];
        counts_of_words(image, &mut own);
        loop {
            let below = (down > 0).then(|| ink - order[down - 1].0);
            let above = (up < order.len()).then(|| order[up].0 - ink);
            let (gap, next) = match (below, above) {
                (Some(below), above) if above.is_none_or(|above| below <= above) => {
                    down -= 1;
                    (below, down)
                }
                (_, Some(above)) => {
                    up += 1;
                    (above, up - 1)
                }
                _ => return best,
            };
            if gap >= best {
                return best;
            }
            if difference(&own, &counts[next * padded..(next + 1) * padded]) >= best {
                continue;
            }
            let other = &sorted[next * words..(next + 1) * words];
            best = best.min(image.iter().zip(other).map(|(a, b)| (a ^ b).count_ones()).sum());
        }
    };
    (0..images.rows()).into_par_iter().map(|i| nearest(images.row(i))).collect()
}

/// Counts whose differences are added at once: what a vector instruction takes.
const LANES: usize = 16;

/// The number of ones of each word.
fn counts_of_words(row: &[u32], counts: &mut [u8]) {
    counts.iter_mut().zip(row).for_each(|(count, word)| *count = word.count_ones() as u8);
}

/// The sum of absolute differences of counts.
fn difference(a: &[u8], b: &[u8]) -> u32 {
    let lanes = |a: &[u8], b: &[u8]| a.iter().zip(b).map(|(a, b)| u32::from(a.abs_diff(*b))).sum::<u32>();
    a.chunks_exact(LANES).zip(b.chunks_exact(LANES)).map(|(a, b)| lanes(a, b)).sum()
}

#[cfg(test)]
mod tests {
    use bitboltz_core::rng::{Rng as _, stream};

    use super::*;

    #[test]
    fn equals_a_plain_search() {
        let mut rng = stream(1, 0);
        let mut random = |rows: usize| {
            // Different amounts of ink.
            let words = (0..rows).flat_map(|i| {
                let mask = if i % 3 == 0 { rng.next_u32() } else { u32::MAX };
                [rng.next_u32() & mask, rng.next_u32() & 0xFF]
            });
            BitMatrix::from_words(rows, 40, words.collect()).unwrap()
        };
        let (train, images) = (random(300), random(200));
        let found = distances(&images, &train);
        for (i, &found) in found.iter().enumerate() {
            let distance = |j| (0..40).filter(|&bit| images.get(i, bit) != train.get(j, bit)).count() as u32;
            assert_eq!(found, (0..300).map(distance).min().unwrap());
        }
        assert_eq!(distances(&train, &train), vec![0; 300]);
        assert_eq!(distances(&BitMatrix::zeros(1, 40), &BitMatrix::zeros(1, 40)), [0]);
    }

    #[test]
    fn sums_up() {
        let nearest = Nearest::new(&[4, 0, 2, 10, 0]);
        assert_eq!(nearest, Nearest { count: 5, mean: 3.2, quantiles: [0, 0, 0, 2, 4, 10, 10], copies: 0.4 });
    }
}
