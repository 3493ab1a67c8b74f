//! Models for the tests of the engine.

use bitboltz_core::{
    image::Geometry,
    rng::{Rng as _, stream},
};

use crate::parameters::Parameters;

/// Weights and biases in multiples of 1/1024, whose sums are exact, that no unit's field can be a tie of: biases are odd
/// multiples of 1/2048.
pub(crate) fn parameters(widths: &[usize], seed: u64) -> Parameters {
    let mut rng = stream(seed, 77);
    let mut number = || ((rng.next_u32() >> 22) as f32 - 511.0) / 1024.0;
    let weights = widths.windows(2).map(|w| (0..w[0] * w[1]).map(|_| number()).collect()).collect();
    let biases = widths.iter().map(|&w| (0..w).map(|_| number() + 1.0 / 2048.0).collect()).collect();
    Parameters::new(weights, biases, Geometry::default()).unwrap()
}
