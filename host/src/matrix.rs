//! Plain operations on matrices of floats.

use rayon::prelude::*;

/// Writes the transpose of a matrix with rows of `width` numbers, on all processors.
///
/// # Panics
/// If the sizes differ, or are no multiple of `width`.
pub fn transpose(matrix: &[f32], width: usize, transposed: &mut [f32]) {
    assert!(matrix.len() == transposed.len() && matrix.len().is_multiple_of(width));
    let height = matrix.len() / width;
    // Tiles of 16 × 16: each cache line that a tile touches is used whole.
    const TILE: usize = 16;
    transposed.par_chunks_mut(TILE * height).enumerate().for_each(|(tile, out)| {
        let columns = tile * TILE..(tile * TILE + out.len() / height);
        for top in (0..height).step_by(TILE) {
            for i in top..(top + TILE).min(height) {
                let row = &matrix[i * width..][columns.clone()];
                row.iter().enumerate().for_each(|(j, &x)| out[j * height + i] = x);
            }
        }
    });
}

/// Whether all numbers are finite.
pub fn all_finite(numbers: &[f32]) -> bool {
    // The exponent is all ones only for infinities and NaN. A maximum is vectorised, a search that stops early is not.
    const EXPONENT: u32 = 0x7F80_0000;
    numbers.iter().fold(0, |largest, x| largest.max((x.to_bits() & EXPONENT) as i32)) < EXPONENT as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn infinities_and_nan_are_found() {
        assert!(all_finite(&[0.0, -1.0, f32::MAX, f32::MIN_POSITIVE]));
        for bad in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert!(!all_finite(&[1.0, bad, 2.0]));
        }
    }

    #[test]
    fn transposing_twice_is_nothing() {
        let matrix: Vec<f32> = (0..33 * 50).map(|i| i as f32).collect();
        let (mut once, mut twice) = (vec![0.0; matrix.len()], vec![0.0; matrix.len()]);
        transpose(&matrix, 50, &mut once);
        assert_eq!(once[1], matrix[50]);
        transpose(&once, 33, &mut twice);
        assert_eq!(matrix, twice);
    }
}
