//! Random machines and data vectors.

use bitboltz_core::{
    image::Geometry,
    rng::{Rng, stream},
    shape::ShapeError,
};

use crate::parameters::Parameters;

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

/// A standard normal deviate (Box and Muller 1958). Draws four words.
fn normal<R: Rng>(rng: &mut R) -> f64 {
    let mut uniform = || (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
    // 1 − u is never 0.
    let (radius, angle) = ((-2.0 * (1.0 - uniform()).ln()).sqrt(), std::f64::consts::TAU * uniform());
    radius * angle.cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deviates_have_mean_0_and_variance_1() {
        let mut rng = stream(1, 2);
        let draws: Vec<f64> = (0..40_000).map(|_| normal(&mut rng)).collect();
        let mean = draws.iter().sum::<f64>() / 40_000.0;
        let variance = draws.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / 40_000.0;
        // Standard errors: 0.005 and 0.007.
        assert!(mean.abs() < 0.025 && (variance - 1.0).abs() < 0.035, "{mean} {variance}");
    }
}
