//! Precision, recall and coverage of generated images, by balls around feature vectors.
//!
//! A ball reaches from its vector to the k-th nearest of its own set.
//! - **recall**: the share of real vectors that lie in a generated ball, k = 3 (Kynkäänniemi et al. 2019);
//! - **coverage**: the share of real balls that hold a generated vector, k = 5 (Naeem et al. 2020);
//! - **precision**: the share of generated vectors that lie in a real ball, k = 3, of which **only the smaller half
//!   counts**. With all of them the balls of a few outliers hold pure noise: independent pixels scored 0.17 against 0.85
//!   for real digits on the embedded network, and more with features of unit length; with the smaller half 0.00 against
//!   0.44.
//!
//! So no share reaches 1, not even for real images: read each beside the floor's. All grow with the number of vectors.

use faer::{Accum, Mat, MatRef, Par, linalg::matmul::matmul};
use rayon::prelude::*;
use serde::Serialize;

use super::features::FeatureSet;

/// Neighbours of precision and recall.
pub const PRECISION_NEIGHBOURS: usize = 3;
/// Neighbours of coverage.
pub const COVERAGE_NEIGHBOURS: usize = 5;

/// Vectors whose distances to all others are in memory at once.
const BLOCK: usize = 64;

/// Squared radii of the balls around the vectors of a set.
#[derive(Debug, Clone)]
pub struct Balls {
    /// To the third nearest.
    precision: Vec<f32>,
    /// To the fifth nearest.
    coverage: Vec<f32>,
    /// The median of the first.
    median: f32,
}

/// How well a set of generated vectors and a set of real ones hold each other; each a share from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Coverage {
    /// Generated vectors in one of the smaller half of real balls.
    pub precision: f64,
    /// Real vectors in a generated ball.
    pub recall: f64,
    /// Real balls with a generated vector.
    pub coverage: f64,
}

impl Balls {
    /// The balls around `points`, by brute force.
    ///
    /// # Panics
    /// If there are not more than [`COVERAGE_NEIGHBOURS`] points.
    #[must_use]
    pub fn new(points: &FeatureSet) -> Self {
        assert!(points.len() > COVERAGE_NEIGHBOURS, "{} vectors have no fifth neighbour", points.len());
        let radii = in_blocks(points, points, |first, distances| {
            let radius = |(i, row): (usize, &mut [f32])| {
                row[first + i] = f32::INFINITY;
                let (below, fifth, _) = row.select_nth_unstable_by(COVERAGE_NEIGHBOURS - 1, f32::total_cmp);
                let third = *below.select_nth_unstable_by(PRECISION_NEIGHBOURS - 1, f32::total_cmp).1;
                (third, *fifth)
            };
            distances.chunks_exact_mut(points.len()).enumerate().map(radius).collect::<Vec<_>>()
        });
        let (precision, coverage): (Vec<f32>, Vec<f32>) = radii.concat().into_iter().unzip();
        let mut sorted = precision.clone();
        let median = *sorted.select_nth_unstable_by((precision.len() - 1) / 2, f32::total_cmp).1;
        Self { precision, coverage, median }
    }
}

impl Coverage {
    /// Compares generated vectors with real ones, whose balls are known.
    ///
    /// # Panics
    /// If there are not more than [`COVERAGE_NEIGHBOURS`] generated vectors, if the balls are not those of `real`, or if
    /// the sets are of different dimensions.
    #[must_use]
    pub fn measure(real: &FeatureSet, balls: &Balls, generated: &FeatureSet) -> Self {
        assert_eq!(balls.precision.len(), real.len(), "a ball for each real vector");
        let own = Balls::new(generated);
        let parts = in_blocks(generated, real, |first, distances| {
            let mut part = Part { precise: 0, recalled: vec![false; real.len()], covered: vec![false; real.len()] };
            for (i, row) in distances.chunks_exact(real.len()).enumerate() {
                let mut held = false;
                for (j, &distance) in row.iter().enumerate() {
                    let radius = balls.precision[j];
                    held |= distance <= radius && radius <= balls.median;
                    part.recalled[j] |= distance <= own.precision[first + i];
                    part.covered[j] |= distance <= balls.coverage[j];
                }
                part.precise += usize::from(held);
            }
            part
        });
        let share = |flags: fn(&Part) -> &[bool]| {
            let hit = (0..real.len()).filter(|&j| parts.iter().any(|part| flags(part)[j])).count();
            hit as f64 / real.len() as f64
        };
        Self {
            precision: parts.iter().map(|part| part.precise).sum::<usize>() as f64 / generated.len() as f64,
            recall: share(|part| &part.recalled),
            coverage: share(|part| &part.covered),
        }
    }
}

/// What a block of generated vectors says.
struct Part {
    /// How many of them lie in a real ball that counts.
    precise: usize,
    /// Which real vectors lie in their balls.
    recalled: Vec<bool>,
    /// Which real balls hold one of them.
    covered: Vec<bool>,
}

/// Calls `f` with the index of a block's first vector and the block's squared distances to all of `to`, row by row.
fn in_blocks<T: Send>(from: &FeatureSet, to: &FeatureSet, f: impl Fn(usize, &mut [f32]) -> T + Sync) -> Vec<T> {
    let dims = from.dims();
    assert_eq!(dims, to.dims(), "features of the same network");
    let norm = |row: &[f32]| row.iter().map(|x| x * x).sum::<f32>();
    let norms: Vec<f32> = to.rows().map(norm).collect();
    let columns = MatRef::from_column_major_slice(to.values(), dims, to.len());
    let blocks: Vec<&[f32]> = from.values().chunks(BLOCK * dims).collect();
    let block = |(index, values): (usize, &[f32])| {
        let rows = MatRef::from_column_major_slice(values, dims, values.len() / dims);
        // |a − b|² = |a|² + |b|² − 2 a·b: the products are one matrix product.
        let mut products = Mat::<f32>::zeros(to.len(), rows.ncols());
        matmul(products.as_mut(), Accum::Replace, columns.transpose(), rows, 1.0, Par::Seq);
        let mut distances = Vec::with_capacity(to.len() * rows.ncols());
        for (row, products) in values.chunks_exact(dims).zip(products.col_iter()) {
            let own = norm(row);
            distances
                .extend(products.iter().zip(&norms).map(|(product, other)| (own + other - 2.0 * product).max(0.0)));
        }
        f(index * BLOCK, &mut distances)
    };
    blocks.into_par_iter().enumerate().map(block).collect()
}

#[cfg(test)]
mod tests {
    use bitboltz_core::rng::{Rng, stream};

    use super::*;
    use crate::random::normal;

    fn normals(count: usize, dims: usize, shift: f64, seed: u64) -> FeatureSet {
        let mut rng = stream(seed, 0);
        FeatureSet::new(dims, (0..count * dims).map(|_| (normal(&mut rng) + shift) as f32).collect(), None)
    }

    /// The definitions, word for word.
    fn naive(real: &FeatureSet, generated: &FeatureSet) -> Coverage {
        let distance = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
        let radius = |set: &FeatureSet, i: usize, k: usize| {
            let centre = set.rows().nth(i).unwrap();
            let others = set.rows().enumerate().filter(|&(j, _)| j != i);
            let mut distances: Vec<f64> = others.map(|(_, row)| distance(centre, row)).collect();
            distances.sort_by(f64::total_cmp);
            distances[k - 1]
        };
        let radii = |set: &FeatureSet, k| (0..set.len()).map(|i| radius(set, i, k)).collect::<Vec<_>>();
        let (real3, real5, own3) = (radii(real, 3), radii(real, 5), radii(generated, 3));
        let mut sorted = real3.clone();
        sorted.sort_by(f64::total_cmp);
        let median = sorted[(sorted.len() - 1) / 2];
        let share = |of: usize, hit: &dyn Fn(usize) -> bool| (0..of).filter(|&i| hit(i)).count() as f64 / of as f64;
        let at = |r: usize, g: usize| distance(real.rows().nth(r).unwrap(), generated.rows().nth(g).unwrap());
        let (n, m) = (real.len(), generated.len());
        Coverage {
            precision: share(m, &|g| (0..n).any(|r| real3[r] <= median && at(r, g) <= real3[r])),
            recall: share(n, &|r| (0..m).any(|g| at(r, g) <= own3[g])),
            coverage: share(n, &|r| (0..m).any(|g| at(r, g) <= real5[r])),
        }
    }

    #[test]
    fn equals_the_definitions() {
        // More than a block, and not a multiple of one.
        for (count, shift) in [(150, 0.0), (97, 0.7)] {
            let (real, generated) = (normals(130, 4, 0.0, 1), normals(count, 4, shift, 2));
            let found = Coverage::measure(&real, &Balls::new(&real), &generated);
            assert_eq!(found, naive(&real, &generated));
            assert!(found.precision > 0.1 && found.recall > 0.3 && found.coverage > 0.3, "{found:?}");
        }
    }

    #[test]
    fn what_is_missing_shows() {
        let real = normals(400, 3, 0.0, 1);
        let balls = Balls::new(&real);
        let floor = Coverage::measure(&real, &balls, &normals(400, 3, 0.0, 2));
        // Far away: nothing.
        let far = Coverage::measure(&real, &balls, &normals(400, 3, 30.0, 3));
        assert_eq!(far, Coverage { precision: 0.0, recall: 0.0, coverage: 0.0 });
        // Few real vectors again and again: precise, but they reach little.
        let mut rng = stream(4, 0);
        let few = (0..400).flat_map(|_| real.rows().nth(rng.next_u32() as usize % 8).unwrap().to_vec()).collect();
        let few = Coverage::measure(&real, &balls, &FeatureSet::new(3, few, None));
        assert!(few.recall < 0.05 && few.coverage < 0.2 && floor.recall > 0.8 && floor.coverage > 0.8);
        // Noise that surrounds everything is in the balls of outliers at most.
        let wide: Vec<f32> = normals(400, 3, 0.0, 5).values().iter().map(|x| 6.0 * x).collect();
        let wide = Coverage::measure(&real, &balls, &FeatureSet::new(3, wide, None));
        assert!(wide.precision < 0.05 && floor.precision > 0.3, "{wide:?} {floor:?}");
    }
}
