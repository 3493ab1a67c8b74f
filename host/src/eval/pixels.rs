//! The worst generator that still knows something: independent pixels, each with the training set's mean.

use bitboltz_core::{
    bits::view,
    rng::{Rng as _, stream},
};

use crate::bits::BitMatrix;

/// Draws `count` rows whose bits are independent, each on with the share of `train`'s rows where it is on. Row i draws
/// from [`stream`]`(seed, i)`, one word a bit.
///
/// # Panics
/// If `train` is empty.
#[must_use]
pub fn independent(train: &BitMatrix, count: usize, seed: u64) -> BitMatrix {
    assert!(train.rows() > 0, "a training set is not empty");
    let mut on = vec![0_u64; train.cols()];
    for i in 0..train.rows() {
        view(train.row(i), train.cols()).iter_ones().for_each(|bit| on[bit] += 1);
    }
    let rows = train.rows() as u64;
    let draws = (0..count).map(|i| {
        let mut rng = stream(seed, i as u64);
        // A word times the rows, shifted down, is a uniform row number.
        on.iter().map(|&on| (u64::from(rng.next_u32()) * rows) >> 32 < on).collect::<Vec<bool>>()
    });
    BitMatrix::from_rows(train.cols(), draws).expect("rows of the right length")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_the_means_and_nothing_else() {
        // Columns: always, never, in a quarter of the rows, and the same quarter again.
        let train = BitMatrix::from_u8(4, 4, &[1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0]).unwrap();
        let drawn = independent(&train, 10_000, 3);
        let share = |on: &dyn Fn(usize) -> bool| (0..10_000).filter(|&i| on(i)).count() as f64 / 10_000.0;
        assert_eq!(share(&|i| drawn.get(i, 0)), 1.0);
        assert_eq!(share(&|i| drawn.get(i, 1)), 0.0);
        // Standard errors 0.0043 and 0.0024.
        assert!((share(&|i| drawn.get(i, 2)) - 0.25).abs() < 0.02);
        assert!((share(&|i| drawn.get(i, 2) && drawn.get(i, 3)) - 0.0625).abs() < 0.012);
        assert_eq!(independent(&train, 5, 3), drawn.subset(0..5));
    }
}
