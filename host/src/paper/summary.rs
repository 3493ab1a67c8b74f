//! What a sample of numbers comes to.

use serde::Serialize;

/// Mean, spread and quantiles of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Numbers in the sample.
    pub count: usize,
    /// Mean.
    pub mean: f64,
    /// Standard deviation, from n − 1; not a number for fewer than two.
    pub sd: f64,
    /// Standard error of the mean, of independent numbers; not a number for fewer than two.
    pub standard_error: f64,
    /// Smallest number.
    pub min: f64,
    /// First quartile.
    pub q25: f64,
    /// Median.
    pub median: f64,
    /// Third quartile.
    pub q75: f64,
    /// 99 % of the numbers are at most this.
    pub q99: f64,
    /// Largest number.
    pub max: f64,
}

impl Summary {
    /// Of these numbers; `None` for none, or if one is not a number. A quantile q is the smallest number that at least a
    /// share q of them does not exceed.
    pub fn of(numbers: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = numbers.into_iter().collect();
        if sorted.is_empty() || sorted.iter().any(|x| x.is_nan()) {
            return None;
        }
        sorted.sort_by(f64::total_cmp);
        let count = sorted.len();
        let n = count as f64;
        let mean = sorted.iter().sum::<f64>() / n;
        let squares: f64 = sorted.iter().map(|x| (x - mean) * (x - mean)).sum();
        // Of one number 0 / 0: it says nothing about the spread.
        let sd = (squares / (n - 1.0)).sqrt();
        let quantile = |q: f64| sorted[((q * n).ceil() as usize).clamp(1, count) - 1];
        Some(Self {
            count,
            mean,
            sd,
            standard_error: sd / n.sqrt(),
            min: sorted[0],
            q25: quantile(0.25),
            median: quantile(0.5),
            q75: quantile(0.75),
            q99: quantile(0.99),
            max: sorted[count - 1],
        })
    }
}

/// A share of a number of trials, with the Wilson score interval of 95 %.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Share {
    /// Successes over trials.
    pub share: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Share {
    /// Of `successes` in `trials`; `None` without trials.
    pub fn of(successes: usize, trials: usize) -> Option<Self> {
        if trials == 0 {
            return None;
        }
        let (n, z) = (trials as f64, 1.959_963_984_540_054);
        let p = successes as f64 / n;
        let middle = p + z * z / (2.0 * n);
        let half = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
        let scale = 1.0 + z * z / n;
        // At 0 and 1 rounding may carry an end past the share.
        Some(Self {
            share: p,
            low: ((middle - half) / scale).clamp(0.0, p),
            high: ((middle + half) / scale).clamp(p, 1.0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_described() {
        let found = Summary::of([4.0, 1.0, 3.0, 2.0]).unwrap();
        assert_eq!((found.count, found.mean, found.min, found.max), (4, 2.5, 1.0, 4.0));
        assert_eq!((found.q25, found.median, found.q75, found.q99), (1.0, 2.0, 3.0, 4.0));
        assert!((found.sd - (5.0f64 / 3.0).sqrt()).abs() < 1e-12);
        assert!((found.standard_error - found.sd / 2.0).abs() < 1e-12);
        assert!(Summary::of([7.0]).unwrap().sd.is_nan());
        assert_eq!((Summary::of([]), Summary::of([1.0, f64::NAN])), (None, None));
    }

    #[test]
    fn shares_have_wilson_intervals() {
        // 81 of 263, the example of Wilson's interval in Newcombe 1998: 0.2553 to 0.3662.
        let found = Share::of(81, 263).unwrap();
        assert!((found.low - 0.2553).abs() < 5e-5 && (found.high - 0.3662).abs() < 5e-5, "{found:?}");
        let all = Share::of(20, 20).unwrap();
        assert!((all.share, all.high) == (1.0, 1.0) && (0.8..0.9).contains(&all.low));
        assert_eq!((Share::of(0, 20).unwrap().low, Share::of(0, 0)), (0.0, None));
    }
}
