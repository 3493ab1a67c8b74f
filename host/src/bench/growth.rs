//! How a time grows with the width of the layers.

use crate::power_law::PowerLaw;

/// The exponent e of seconds ∝ widthᵉ, by least squares in logarithms; `None` if all widths are the same.
pub fn exponent(points: &[(f64, f64)]) -> Option<f64> {
    PowerLaw::through(points).map(|law| law.slope)
}

/// The width of a shape, for this: the square root of the mean number of weights of a connection. That of n-n-n is n.
pub fn width(layers: &[usize]) -> f64 {
    let weights: f64 = layers.windows(2).map(|pair| (pair[0] * pair[1]) as f64).sum();
    (weights / (layers.len() - 1) as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_are_found() {
        let points = [1.0, 2.0, 5.0, 30.0].map(|x: f64| (x, 0.3 * x.powf(1.7)));
        assert!((exponent(&points).unwrap() - 1.7).abs() < 1e-9);
        // By hand: slopes 1 and 3 between points that are equally far apart.
        let bent = [(1.0, 1.0), (2.0, 2.0), (4.0, 16.0)];
        assert!((exponent(&bent).unwrap() - 2.0).abs() < 1e-9);
        assert_eq!(exponent(&[(3.0, 1.0), (3.0, 2.0)]), None);
        assert_eq!((width(&[7, 7, 7]), width(&[2, 8])), (7.0, 4.0));
    }
}
