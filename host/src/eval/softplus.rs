//! Sums of log(1 + exp(a)): what a unit contributes to a free energy when it is summed out.

/// A running sum of softplus(a) = log(1 + exp(a)) = max(a, 0) + log(1 + exp(−|a|)).
///
/// The second terms are kept as a product, whose logarithm is taken once for many units: each unit costs one exponential.
#[derive(Clone, Copy, Debug)]
pub struct SoftplusSum {
    sum: f64,
    product: f64,
    factors: u32,
}

impl SoftplusSum {
    /// Factors are at most 2, so that so many fit a double.
    const MOST: u32 = 1_000;

    /// Of no units.
    pub const ZERO: Self = Self { sum: 0.0, product: 1.0, factors: 0 };

    /// Adds softplus(`field`), and returns exp(−|`field`|).
    #[inline]
    pub fn add(&mut self, field: f64) -> f64 {
        let tail = (-field.abs()).exp();
        self.sum += field.max(0.0);
        self.product *= 1.0 + tail;
        self.factors += 1;
        if self.factors == Self::MOST {
            *self = Self { sum: self.sum + self.product.ln(), ..Self::ZERO };
        }
        tail
    }

    /// The sum.
    pub fn total(self) -> f64 {
        self.sum + self.product.ln()
    }
}

impl Extend<f64> for SoftplusSum {
    fn extend<I: IntoIterator<Item = f64>>(&mut self, fields: I) {
        fields.into_iter().for_each(|field| {
            self.add(field);
        });
    }
}

/// softplus(`field`).
pub fn softplus(field: f64) -> f64 {
    field.max(0.0) + (-field.abs()).exp().ln_1p()
}

/// σ(`field`).
pub fn sigmoid(field: f64) -> f64 {
    1.0 / (1.0 + (-field).exp())
}

/// Entropy of a unit with this field, in nats: softplus(a) − a σ(a).
pub fn entropy(field: f64) -> f64 {
    // By the smaller of both probabilities, so that nothing cancels.
    let magnitude = field.abs();
    (-magnitude).exp().ln_1p() + magnitude * sigmoid(-magnitude)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_product_is_the_sum_of_the_logarithms() {
        let fields = || (0..5_432).map(|i| f64::from(i * 7_919 % 4_001 - 2_000) / 100.0);
        let mut sum = SoftplusSum::ZERO;
        for (count, field) in fields().enumerate() {
            if count % 1_000 < 3 {
                let plain: f64 = fields().take(count).map(softplus).sum();
                assert!((sum.total() - plain).abs() < 1e-9 * (1.0 + plain), "{count}");
            }
            assert_eq!(sum.add(field), (-field.abs()).exp());
        }
        let mut extended = SoftplusSum::ZERO;
        extended.extend(fields());
        assert_eq!(extended.total(), sum.total());
        // The product overflows without the break: all factors are 2.
        let mut twos = SoftplusSum::ZERO;
        twos.extend(std::iter::repeat_n(0.0, 5_000));
        assert!((twos.total() - 5_000.0 * 2.0_f64.ln()).abs() < 1e-8);
    }

    #[test]
    fn extreme_fields_are_finite() {
        for field in [0.0, 1e-9, 3.0, 40.0, 800.0, 1e30] {
            assert!((softplus(field) - softplus(-field) - field).abs() <= 1e-12 * field.max(1.0));
            let p = sigmoid(field);
            assert!((0.5..=1.0).contains(&p) && (sigmoid(-field) - (1.0 - p)).abs() < 1e-15);
            let entropy = entropy(field);
            assert!((0.0..=2.0_f64.ln() + 1e-15).contains(&entropy) && entropy == super::entropy(-field));
            if field < 30.0 {
                assert!((entropy - (softplus(field) - field * p)).abs() < 1e-12);
            }
        }
    }
}
