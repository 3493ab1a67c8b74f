//! Tests of significance: p-values, and the bounds that many tests together allow.

/// Chance that any of a file's statistical tests fails although nothing is wrong. Seeds are fixed, so this was decided
/// once, when they were first run.
pub const FALSE_ALARM: f64 = 1e-6;

/// P(|z| > bound) of a standard normal.
pub fn two_sided_p(z: f64) -> f64 {
    libm::erfc(z.abs() / std::f64::consts::SQRT_2)
}

/// The bound that the largest |z| of `tests` standard normals exceeds with a chance of at most [`FALSE_ALARM`]
/// (Bonferroni).
pub fn bonferroni_z(tests: usize) -> f64 {
    let (mut low, mut high) = (0.0, 40.0);
    for _ in 0..100 {
        let middle = 0.5 * (low + high);
        if two_sided_p(middle) * tests as f64 > FALSE_ALARM {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// A statistic, its degrees of freedom, and the chance of a larger one.
#[derive(Clone, Copy, Debug)]
pub struct ChiSquare {
    /// Σ (observed − expected)² / expected.
    pub statistic: f64,
    /// Cells minus one.
    pub freedom: usize,
    /// P(larger).
    pub p: f64,
}

impl ChiSquare {
    /// Of observed counts against probabilities. Cells that expect fewer than 10 become one, so that the statistic is
    /// near its limit distribution; the smallest cells are merged first.
    pub fn fit(observed: &[u64], probabilities: &[f64]) -> Self {
        let n: u64 = observed.iter().sum();
        let cells = observed.iter().zip(probabilities).map(|(&o, p)| [o as f64, p * n as f64]);
        Self::merged(cells.collect(), |[_, expected]| expected, |[o, e]| (o - e) * (o - e) / e)
    }

    /// Of two samples of equal size against each other.
    pub fn two_samples(a: &[u64], b: &[u64]) -> Self {
        assert_eq!(a.iter().sum::<u64>(), b.iter().sum::<u64>(), "samples of equal size");
        let cells = a.iter().zip(b).map(|(&a, &b)| [a as f64, b as f64]);
        Self::merged(cells.collect(), |[a, b]| (a + b) / 2.0, |[a, b]| (a - b) * (a - b) / (a + b))
    }

    fn merged(mut cells: Vec<[f64; 2]>, size: fn([f64; 2]) -> f64, term: fn([f64; 2]) -> f64) -> Self {
        cells.sort_by(|a, b| size(*a).total_cmp(&size(*b)));
        let mut rest = [0.0; 2];
        let mut statistic = 0.0;
        let mut used = 0;
        for (at, &cell) in cells.iter().enumerate() {
            rest = [rest[0] + cell[0], rest[1] + cell[1]];
            // A merged cell is closed once it is large enough; what is left at the end joins nothing, unless small.
            if size(rest) >= 10.0 || at + 1 == cells.len() && size(rest) > 0.0 {
                statistic += term(rest);
                used += 1;
                rest = [0.0; 2];
            }
        }
        let freedom = used - 1;
        Self { statistic, freedom, p: upper_gamma(freedom as f64 / 2.0, statistic / 2.0) }
    }
}

/// Regularised upper incomplete gamma function Q(a, x): series below a + 1, Lentz's continued fraction above.
fn upper_gamma(a: f64, x: f64) -> f64 {
    if x <= 0.0 || a <= 0.0 {
        return 1.0;
    }
    let front = (a * x.ln() - x - libm::lgamma(a)).exp();
    if x < a + 1.0 {
        let (mut term, mut sum, mut n) = (1.0 / a, 1.0 / a, a);
        while term > sum * 1e-16 {
            n += 1.0;
            term *= x / n;
            sum += term;
        }
        return 1.0 - front * sum;
    }
    let mut b = x + 1.0 - a;
    let (mut c, mut d) = (1e300, 1.0 / b);
    let mut h = d;
    for i in 1..10_000 {
        let an = -f64::from(i) * (f64::from(i) - a);
        b += 2.0;
        d = 1.0 / (an * d + b);
        c = b + an / c;
        h *= d * c;
        if (d * c - 1.0).abs() < 1e-15 {
            break;
        }
    }
    front * h
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p_values_agree_with_tables() {
        assert!((two_sided_p(1.959_964) - 0.05).abs() < 1e-7);
        // Two degrees of freedom: exp(−x/2). The usual table: 0.05 at 3.841 and 18.307, 0.001 at 149.449.
        for (freedom, statistic, p) in [(1, 3.841_459, 0.05), (10, 18.307_04, 0.05), (100, 149.449_3, 0.001)] {
            assert!((upper_gamma(f64::from(freedom) / 2.0, statistic / 2.0) - p).abs() < 1e-6 * p.max(0.1));
        }
        assert!((upper_gamma(1.0, 30.0) / (-30.0f64).exp() - 1.0).abs() < 1e-9);
        assert!((two_sided_p(bonferroni_z(1000)) - 1e-9).abs() < 1e-13);
    }

    #[test]
    fn rare_cells_are_merged() {
        let found = ChiSquare::fit(&[3, 4, 43, 50], &[0.05, 0.05, 0.4, 0.5]);
        assert_eq!(found.freedom, 2);
        assert!((found.statistic - (9.0 / 10.0 + 9.0 / 40.0)).abs() < 1e-12, "{found:?}");
    }
}
