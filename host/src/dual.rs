//! Weight matrices in both orientations, so that a flip on either side adds one contiguous row.
//!
//! The core's [`Dense`](bitboltz_core::connection::Dense) keeps one copy of a matrix, as flash must: there a flip of an
//! upper unit walks a column. On a desktop memory is cheap and strides are not, so [`DualMatrices`] keeps the transposes
//! beside the [`Parameters`] and [`DualDense`] uses whichever lies right.
//!
//! Fields differ from the core's by rounding only: `Dense` sums the contributions of an upper layer before it adds them
//! to a field, `DualDense` adds them one after the other.

use bitboltz_core::{
    bits::ones,
    connection::Connection,
    fixed::Scale,
    kernels,
    model::{Dbm, ModelError},
};
use rayon::prelude::*;

use crate::parameters::Parameters;

/// A dense connection of floats, borrowed in both orientations.
#[derive(Clone, Copy, Debug)]
pub struct DualDense<'w> {
    /// `lower` rows of `upper` weights.
    rows: &'w [f32],
    /// `upper` rows of `lower` weights.
    columns: &'w [f32],
    lower: usize,
    upper: usize,
}

impl DualDense<'_> {
    fn row(&self, unit: usize) -> &[f32] {
        self.rows.get(unit * self.upper..(unit + 1) * self.upper).unwrap_or(&[])
    }

    fn column(&self, unit: usize) -> &[f32] {
        self.columns.get(unit * self.lower..(unit + 1) * self.lower).unwrap_or(&[])
    }
}

impl Connection for DualDense<'_> {
    type Field = f32;

    fn lower(&self) -> usize {
        self.lower
    }

    fn upper(&self) -> usize {
        self.upper
    }

    fn weight(&self, lower: usize, upper: usize) -> f32 {
        self.row(lower)[upper]
    }

    fn add_to_upper(&self, lower_bits: &[u32], upper_fields: &mut [f32]) {
        add_rows(upper_fields, ones(lower_bits).map(|unit| self.row(unit)));
    }

    fn add_to_lower(&self, upper_bits: &[u32], lower_fields: &mut [f32]) {
        add_rows(lower_fields, ones(upper_bits).map(|unit| self.column(unit)));
    }

    fn flip_lower(&self, unit: usize, on: bool, upper_fields: &mut [f32]) {
        kernels::add_row(upper_fields, self.row(unit), 0, on);
    }

    fn flip_upper(&self, unit: usize, on: bool, lower_fields: &mut [f32]) {
        kernels::add_row(lower_fields, self.column(unit), 0, on);
    }

    fn bounds(&self) -> (u64, u64) {
        (0, 0)
    }

    fn is_finite(&self) -> bool {
        all_finite(self.rows)
    }
}

/// The transposes of a model's weight matrices.
#[derive(Clone, Debug, Default)]
pub struct DualMatrices {
    /// Matrix l: width(l + 1) rows of width(l) weights.
    transposed: Vec<Vec<f32>>,
}

impl DualMatrices {
    /// The transposes of these weights.
    pub fn new(parameters: &Parameters) -> Self {
        let mut dual = Self { transposed: parameters.weights().iter().map(|matrix| vec![0.0; matrix.len()]).collect() };
        dual.refresh(parameters);
        dual
    }

    /// Copies the weights again, after they changed. The shape must be the one that this was made for.
    pub fn refresh(&mut self, parameters: &Parameters) {
        for (l, transposed) in self.transposed.iter_mut().enumerate() {
            transpose(&parameters.weights()[l], parameters.shape().width(l + 1), transposed);
        }
    }

    /// The model over both orientations.
    ///
    /// # Errors
    /// [`ModelError::NotFinite`], if a weight or bias is not finite.
    pub fn dbm<'w>(&'w self, parameters: &'w Parameters) -> Result<Dbm<'w, DualDense<'w>>, ModelError> {
        let shape = parameters.shape();
        let connections = parameters.weights().iter().zip(&self.transposed).enumerate();
        let connections = connections.map(|(l, (rows, columns))| DualDense {
            rows,
            columns,
            lower: shape.width(l),
            upper: shape.width(l + 1),
        });
        let biases: Vec<&[f32]> = parameters.biases().iter().map(Vec::as_slice).collect();
        Dbm::new(connections, &biases, Scale::ONE)
    }
}

/// Adds rows to sums, one after the other: what [`kernels::add_row`] does in turn, with the same roundings.
///
/// Four rows at a time, so that the sums are loaded and stored a quarter as often: about twice as fast.
///
/// # Panics
/// If a row is shorter than the sums.
#[inline]
pub fn add_rows<'r>(sums: &mut [f32], rows: impl Iterator<Item = &'r [f32]>) {
    // An iterator that has ended is asked again.
    let mut rows = rows.fuse();
    let width = sums.len();
    loop {
        let four = [rows.next(), rows.next(), rows.next(), rows.next()];
        if let [Some(a), Some(b), Some(c), Some(d)] = four {
            // Slices of one length, so that the compiler leaves out the bounds checks.
            let (a, b, c, d) = (&a[..width], &b[..width], &c[..width], &d[..width]);
            for j in 0..width {
                sums[j] = sums[j] + a[j] + b[j] + c[j] + d[j];
            }
        } else {
            four.into_iter().flatten().for_each(|row| kernels::add_row(sums, &row[..width], 0, true));
            return;
        }
    }
}

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
    use bitboltz_core::{image::Geometry, rng::stream, state::Clamp};

    use super::*;
    use crate::chain::ChainBuffer;

    #[test]
    fn both_orientations_give_the_fields_of_the_core() {
        let widths = [37, 21, 18];
        let number = |i: usize| ((i * 7919 % 1009) as f32 - 500.0) / 300.0;
        let weights = widths.windows(2).map(|w| (0..w[0] * w[1]).map(number).collect()).collect();
        let biases = widths.iter().map(|&w| (0..w).map(number).collect()).collect();
        let parameters = Parameters::new(weights, biases, Geometry::default()).unwrap();
        let dual = DualMatrices::new(&parameters);
        let (ours, core) = (dual.dbm(&parameters).unwrap(), parameters.dbm().unwrap());
        let mut buffers = [ChainBuffer::new(ours.shape()), ChainBuffer::new(ours.shape())];
        let [a, b] = &mut buffers;
        let (mut a, mut b) = (a.state(ours.shape()), b.state(ours.shape()));
        ours.randomise(&mut a, &Clamp::none(), &mut stream(1, 0));
        core.randomise(&mut b, &Clamp::none(), &mut stream(1, 0));
        for (layer, index) in [(0, 0), (0, 1), (1, 0), (2, 0)] {
            ours.set_word(&mut a, layer, index, 0x5A5A_1234);
            core.set_word(&mut b, layer, index, 0x5A5A_1234);
        }
        assert_eq!(a.words(), b.words());
        for (x, y) in a.fields().iter().zip(b.fields()) {
            assert!((x - y).abs() < 1e-4, "{x} {y}");
        }
    }

    #[test]
    fn rows_added_together_are_rows_added_in_turn() {
        let matrix: Vec<f32> = (0..11 * 37).map(|i| (i as f32).sin()).collect();
        for count in 0..11 {
            let rows = || matrix.chunks_exact(37).take(count);
            let (mut together, mut turn) = (vec![0.1; 37], vec![0.1; 37]);
            add_rows(&mut together, rows());
            rows().for_each(|row| kernels::add_row(&mut turn, row, 0, true));
            assert_eq!(together, turn);
        }
    }

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
