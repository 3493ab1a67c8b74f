//! Power laws y = c·x^slope by least squares of the logarithms.

use serde::Serialize;

/// A straight line through log y against log x.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PowerLaw {
    /// The exponent.
    pub slope: f64,
    /// Its standard error, from the residuals; infinite with two points.
    pub standard_error: f64,
    /// c.
    pub factor: f64,
    /// Points.
    pub points: usize,
}

impl PowerLaw {
    /// Through these points (x, y), all positive, each with the same weight; `None` with fewer than two x that differ
    /// by more than rounding.
    pub fn through(points: &[(f64, f64)]) -> Option<Self> {
        let n = points.len() as f64;
        let logs: Vec<(f64, f64)> = points.iter().map(|(x, y)| (x.ln(), y.ln())).collect();
        let mean_x = logs.iter().map(|(x, _)| x).sum::<f64>() / n;
        let mean_y = logs.iter().map(|(_, y)| y).sum::<f64>() / n;
        let spread: f64 = logs.iter().map(|(x, _)| (x - mean_x) * (x - mean_x)).sum();
        if points.len() < 2 || spread <= 1e-12 || !spread.is_finite() || !mean_y.is_finite() {
            return None;
        }
        let slope = logs.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum::<f64>() / spread;
        let residual = |(x, y): &(f64, f64)| y - mean_y - slope * (x - mean_x);
        let squares: f64 = logs.iter().map(|point| residual(point).powi(2)).sum();
        let standard_error = match points.len() {
            2 => f64::INFINITY,
            _ => (squares / (n - 2.0) / spread).sqrt(),
        };
        Some(Self { slope, standard_error, factor: (mean_y - slope * mean_x).exp(), points: points.len() })
    }

    /// The line's value at x.
    pub fn at(&self, x: f64) -> f64 {
        self.factor * x.powf(self.slope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_power_law_is_found() {
        let points: Vec<(f64, f64)> = [10.0, 30.0, 100.0, 1000.0].map(|x: f64| (x, 3.0 * x.powf(0.4))).to_vec();
        let found = PowerLaw::through(&points).unwrap();
        assert!((found.slope - 0.4).abs() < 1e-12 && (found.factor - 3.0).abs() < 1e-9, "{found:?}");
        assert!(found.standard_error < 1e-7 && found.points == 4);
        assert!((found.at(50.0) - 3.0 * 50f64.powf(0.4)).abs() < 1e-9);
    }

    #[test]
    fn the_error_is_that_of_the_residuals() {
        // log x = 0, 1, 2, 3 and log y = 0, 1, 1, 2: slope 0.6, mean residual 0.
        let points = [(0.0f64, 0.0f64), (1.0, 1.0), (2.0, 1.0), (3.0, 2.0)].map(|(x, y)| (x.exp(), y.exp()));
        let found = PowerLaw::through(&points).unwrap();
        assert!((found.slope - 0.6).abs() < 1e-12);
        // Squares of −0.1, 0.3, −0.3, 0.1 are 0.2 together; over 2 degrees of freedom and a spread of 5.
        assert!((found.standard_error - (0.2f64 / 2.0 / 5.0).sqrt()).abs() < 1e-12, "{found:?}");
    }

    #[test]
    fn too_little_is_no_line() {
        assert_eq!(PowerLaw::through(&[]), None);
        assert_eq!(PowerLaw::through(&[(2.0, 1.0), (2.0, 3.0)]), None);
        assert_eq!(PowerLaw::through(&[(1.0, 1.0), (2.0, 0.0)]), None);
        assert_eq!(PowerLaw::through(&[(1.0, 1.0), (2.0, 2.0)]).unwrap().standard_error, f64::INFINITY);
    }
}
