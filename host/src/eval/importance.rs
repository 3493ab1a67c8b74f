//! The mean of importance weights that are known by their logarithms, and how far to trust it.

use serde::Serialize;

/// What a set of log importance weights says about the log of their expectation.
///
/// The weights' mean w̄ is unbiased, so log w̄ is, in expectation, below the log of what it estimates (Jensen's
/// inequality), and the mean of the log weights is below it by more. Both are close where the weights are alike; where a
/// few chains carry everything, the effective sample size is small, and so is the worth of the standard error.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LogMean {
    /// log w̄.
    pub estimate: f64,
    /// Standard error of the estimate by the delta method: sd(w) / (w̄ √n). NaN for a single weight.
    pub standard_error: f64,
    /// (Σ w)² / Σ w² (Kish 1965): the number of equal weights that would be worth as much.
    pub effective_sample_size: f64,
    /// Mean of the log weights.
    pub mean_log: f64,
    /// Standard deviation of the log weights. NaN for a single one.
    pub sd_log: f64,
    /// Smallest log weight.
    pub min_log: f64,
    /// Largest log weight.
    pub max_log: f64,
}

impl LogMean {
    /// Of these log weights. Nothing overflows: the largest weight is 1 in the sums.
    ///
    /// # Panics
    /// If there are none.
    pub fn new(logs: &[f64]) -> Self {
        assert!(!logs.is_empty(), "a mean needs a weight");
        let n = logs.len() as f64;
        let min_log = logs.iter().copied().fold(f64::INFINITY, f64::min);
        let max_log = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weight = |log: &f64| (log - max_log).exp();
        let (sum, squares) = logs.iter().map(weight).fold((0.0, 0.0), |(sum, squares), w| (sum + w, squares + w * w));
        let mean = sum / n;
        let variance = logs.iter().map(|log| (weight(log) - mean).powi(2)).sum::<f64>() / (n - 1.0);
        let (mean_log, variance_log) = mean_and_variance(logs);
        Self {
            estimate: mean.ln() + max_log,
            standard_error: (variance / n).sqrt() / mean,
            effective_sample_size: sum * sum / squares,
            mean_log,
            sd_log: variance_log.sqrt(),
            min_log,
            max_log,
        }
    }

    /// The same of the reciprocals: what weights whose mean is 1 / Z say about log Z. Its estimate is then, in
    /// expectation, above the log of what it estimates, and the mean of the logs above it by more.
    pub fn of_reciprocals(self) -> Self {
        Self {
            estimate: -self.estimate,
            mean_log: -self.mean_log,
            min_log: -self.max_log,
            max_log: -self.min_log,
            ..self
        }
    }
}

/// Mean and unbiased variance of numbers; the variance of a single one is NaN.
pub fn mean_and_variance(numbers: &[f64]) -> (f64, f64) {
    let n = numbers.len() as f64;
    let mean = numbers.iter().sum::<f64>() / n;
    (mean, numbers.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0))
}

/// Mean of numbers and its standard error.
pub fn mean_and_error(numbers: &[f64]) -> (f64, f64) {
    let (mean, variance) = mean_and_variance(numbers);
    (mean, (variance / numbers.len() as f64).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_is_of_the_weights_and_huge_ones_do_not_overflow() {
        let logs: Vec<f64> = [1.0_f64, 2.0, 6.0].iter().map(|w| w.ln()).collect();
        for shift in [0.0, 5_000.0, -5_000.0] {
            let shifted: Vec<f64> = logs.iter().map(|log| log + shift).collect();
            let found = LogMean::new(&shifted);
            assert!((found.estimate - shift - 3.0_f64.ln()).abs() < 1e-9);
            // Variance of 1, 2, 6 is 7.
            assert!((found.standard_error - (7.0_f64 / 3.0).sqrt() / 3.0).abs() < 1e-9);
            assert!((found.effective_sample_size - 81.0 / 41.0).abs() < 1e-9);
            assert!((found.mean_log - shift - 12.0_f64.ln() / 3.0).abs() < 1e-9);
            assert_eq!((found.min_log, found.max_log), (shifted[0], shifted[2]));
        }
    }

    #[test]
    fn one_weight_has_no_error() {
        let found = LogMean::new(&[2.5]);
        assert_eq!((found.estimate, found.effective_sample_size), (2.5, 1.0));
        assert!(found.standard_error.is_nan() && found.sd_log.is_nan());
    }
}
