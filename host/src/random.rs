//! Random numbers that everything here draws alike.

use bitboltz_core::rng::Rng;

/// A standard normal number (Box, Muller 1958), with libm so that every platform gets the same. Draws two words.
pub(crate) fn normal(rng: &mut impl Rng) -> f64 {
    // Shifted by a half, so that the logarithm never sees 0.
    let mut uniform = || (f64::from(rng.next_u32()) + 0.5) / 4_294_967_296.0;
    let (radius, angle) = (uniform(), uniform());
    libm::sqrt(-2.0 * libm::log(radius)) * libm::cos(2.0 * std::f64::consts::PI * angle)
}

#[cfg(test)]
mod tests {
    use bitboltz_core::rng::stream;

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

    #[test]
    fn deviates_are_pinned() {
        let mut rng = stream(0, 0);
        let first = [normal(&mut rng), normal(&mut rng)];
        assert_eq!(first.map(f64::to_bits), PINNED);
    }

    const PINNED: [u64; 2] = [0x3FC2_5AA6_B96D_13A8, 0x3FE9_B813_C910_4B44];
}
