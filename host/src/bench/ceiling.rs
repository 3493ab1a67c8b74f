//! What this machine can do, measured in the same run: the ceilings of the roofline model (Williams, Waterman,
//! Patterson 2009) that an update's work is held against.

use std::{hint::black_box, time::Duration};

use bitboltz_core::rng::{Rng as _, stream};
use ndarray::{ArrayView2, ArrayViewMut2, linalg::general_mat_mul};
use rayon::prelude::*;
use serde::Serialize;

use super::{BenchError, ensure, measure::best};
use crate::batch::{
    TILE, TileWeight,
    kernels::{self, Isa},
    tile::Tiles,
};

/// Bytes that fit any first-level cache, with room for what else is in use.
const L1: usize = 16 << 10;
/// Bytes that fit any second-level cache, and no first-level one.
const L2: usize = 192 << 10;

/// How fast rows of weights can be added: bytes read a second, all threads at once.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct RowAdds {
    /// Rows that lie in the first-level cache.
    pub l1_bytes_per_second: f64,
    /// Rows that lie in the second-level cache.
    pub l2_bytes_per_second: f64,
}

/// How fast the blocked float product is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Product {
    /// Seconds of one product of batch × lower by lower × upper for each connection.
    pub seconds: f64,
    /// Floating-point operations a second: 2 for each product of two numbers.
    pub flops: f64,
}

/// The row adds of a weight type, on all threads of the pool.
pub fn row_adds<W: TileWeight>(budget: Duration) -> RowAdds {
    let everywhere = |bytes| rayon::broadcast(|_| row_rate::<W>(Isa::best(), bytes, budget)).into_iter().sum();
    RowAdds { l1_bytes_per_second: everywhere(L1), l2_bytes_per_second: everywhere(L2) }
}

/// The row adds of a weight type on this thread alone.
pub fn row_adds_here<W: TileWeight>(isa: Isa, budget: Duration) -> RowAdds {
    RowAdds { l1_bytes_per_second: row_rate::<W>(isa, L1, budget), l2_bytes_per_second: row_rate::<W>(isa, L2, budget) }
}

fn row_rate<W: TileWeight>(isa: Isa, bytes: usize, budget: Duration) -> f64 {
    // Zeros take as long as other numbers, and their sums overflow in no type.
    let tiles = Tiles::<W>::zeros(bytes / size_of::<[W; TILE]>(), TILE);
    let rows = tiles.tiles().next().expect("one tile");
    let mut sums = [W::Sum::default(); TILE];
    bytes as f64 / best(budget, || kernels::add_all(isa, black_box(rows), black_box(&mut sums)))
}

/// Bits that can be counted in a second, on this thread.
pub fn counted_bits_here(isa: Isa, budget: Duration) -> f64 {
    let words = vec![0x5A5A_1234; L1 / 4];
    (L1 * 8) as f64 / best(budget, || _ = black_box(kernels::count_ones(isa, black_box(&words))))
}

/// The product of a batch of float vectors with each connection of a shape, on all threads of the pool: matrixmultiply's
/// kernels, a part of the batch for each thread.
///
/// # Errors
/// [`BenchError::Wrong`], if numbers of the product are not what a plain loop gives.
pub fn product(batch: usize, widths: &[usize], budget: Duration) -> Result<Product, BenchError> {
    let pairs = widths.windows(2).collect::<Vec<_>>();
    let (mut seconds, mut operations) = (0.0, 0.0);
    for pair in &pairs {
        let [lower, upper] = [pair[0], pair[1]];
        let mut rng = stream(1, 0);
        let mut numbers =
            |count| (0..count).map(|_| rng.next_u32() as i32 as f32 * 2.0_f32.powi(-31)).collect::<Vec<_>>();
        let (left, right) = (numbers(batch * lower), numbers(lower * upper));
        let mut result = vec![0.0; batch * upper];
        let rows = batch.div_ceil(rayon::current_num_threads());
        seconds += best(budget / pairs.len() as u32, || {
            result.par_chunks_mut(rows * upper).zip(left.par_chunks(rows * lower)).for_each(|(result, left)| {
                let shapes = "slices have these sizes";
                let height = left.len() / lower;
                let left = ArrayView2::from_shape((height, lower), left).expect(shapes);
                let right = ArrayView2::from_shape((lower, upper), &right).expect(shapes);
                let mut result = ArrayViewMut2::from_shape((height, upper), result).expect(shapes);
                general_mat_mul(1.0, &left, &right, 0.0, &mut result);
            });
        });
        operations += 2.0 * (batch * lower * upper) as f64;
        for at in (0..batch * upper).step_by((batch * upper / 64).max(1)) {
            let (row, column) = (at / upper, at % upper);
            let terms = (0..lower).map(|k| f64::from(left[row * lower + k]) * f64::from(right[k * upper + column]));
            let (expected, found) = (terms.sum::<f64>(), f64::from(result[at]));
            // Sums of `lower` numbers below 1, each rounded to 24 bits.
            let tolerance = lower as f64 * 1e-6;
            ensure((found - expected).abs() <= tolerance, || format!("float product: {found}, expected {expected}"))?;
        }
    }
    Ok(Product { seconds, flops: operations / seconds })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_right_and_rates_are_rates() {
        for batch in [1, 3, 50] {
            let product = product(batch, &[33, 20, 70], Duration::ZERO).unwrap();
            assert!(product.seconds > 0.0 && product.flops > 0.0);
        }
        let rates = row_adds::<i16>(Duration::ZERO);
        assert!(rates.l1_bytes_per_second > 0.0 && rates.l2_bytes_per_second > 0.0);
    }

    #[test]
    fn the_ceiling_of_row_adds_is_a_sum() {
        let rows: Vec<[i16; TILE]> = (0..35_i16).map(|row| std::array::from_fn(|k| row * 7 - k as i16)).collect();
        for &isa in Isa::available() {
            let mut sums = [1; TILE];
            kernels::add_all(isa, &rows, &mut sums);
            assert!((0..TILE).all(|k| sums[k] == rows.iter().map(|row| i32::from(row[k])).sum::<i32>()));
        }
    }
}
