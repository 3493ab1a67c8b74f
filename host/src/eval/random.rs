//! Random machines and data vectors.

use bitboltz_core::{
    image::Geometry,
    rng::{Rng, stream},
    shape::ShapeError,
};

use crate::{parameters::Parameters, random::normal};

/// Stream of a seed from which machines are made: far from those of chains and replicates.
const MODEL_STREAM: u64 = u64::MAX;
/// Stream of a seed from which data vectors are made.
const DATA_STREAM: u64 = u64::MAX - 1;

/// A machine with weights from N(0, `weight_std`²) and biases from N(0, `bias_std`²), in the layers' order. The same
/// seed gives the same normal deviates for every standard deviation.
///
/// # Errors
/// Widths that are no shape.
pub fn random_parameters(
    widths: &[usize],
    weight_std: f64,
    bias_std: f64,
    seed: u64,
) -> Result<Parameters, ShapeError> {
    let mut parameters = Parameters::zeros(widths, Geometry::default())?;
    let mut rng = stream(seed, MODEL_STREAM);
    let (weights, biases) = parameters.tensors_mut();
    for (tensors, std) in [(weights, weight_std), (biases, bias_std)] {
        for value in tensors.iter_mut().flatten() {
            *value = (std * normal(&mut rng)) as f32;
        }
    }
    Ok(parameters)
}

/// Uniform random bits.
pub fn random_bits(count: usize, seed: u64) -> Vec<bool> {
    let mut rng = stream(seed, DATA_STREAM);
    (0..count).map(|_| rng.next_u32() >> 31 == 1).collect()
}
