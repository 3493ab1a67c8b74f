//! The base-rate model: independent visible units with the means of the data.

use bitboltz_core::bits::ones;

use super::softplus::SoftplusSum;
use crate::bits::BitMatrix;

/// Independent visible units: the least that a model should know about its data, and where annealing begins.
#[derive(Clone, Debug, PartialEq)]
pub struct BaseRate {
    biases: Vec<f64>,
}

impl BaseRate {
    /// The model of these rows. A unit that is on in k of n rows is on with p = (k + ½) / (n + 1) (the posterior mean of
    /// Jeffreys' prior), so that none is certain; its bias is log p / (1 − p).
    pub fn of(rows: &BitMatrix) -> Self {
        let mut counts = vec![0_u32; rows.cols()];
        for i in 0..rows.rows() {
            ones(rows.row(i)).for_each(|unit| counts[unit] += 1);
        }
        let n = rows.rows() as f64;
        let bias = |count: u32| ((f64::from(count) + 0.5) / (n - f64::from(count) + 0.5)).ln();
        Self { biases: counts.into_iter().map(bias).collect() }
    }

    /// The log odds of each unit.
    pub fn biases(&self) -> &[f64] {
        &self.biases
    }

    /// log p(v) of every row, in nats.
    ///
    /// # Panics
    /// If the rows have more columns than the model has units.
    pub fn log_likelihoods(&self, rows: &BitMatrix) -> Vec<f64> {
        let mut log_z = SoftplusSum::ZERO;
        log_z.extend(self.biases.iter().copied());
        let log_z = log_z.total();
        (0..rows.rows()).map(|i| ones(rows.row(i)).map(|unit| self.biases[unit]).sum::<f64>() - log_z).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn likelihoods_are_those_of_the_smoothed_means() {
        let rows = BitMatrix::from_u8(3, 2, &[1, 0, 1, 0, 0, 0]).unwrap();
        let model = BaseRate::of(&rows);
        let p = [2.5 / 4.0_f64, 0.5 / 4.0];
        let exact = |v: [bool; 2]| (0..2).map(|i| if v[i] { p[i] } else { 1.0 - p[i] }.ln()).sum::<f64>();
        let all = BitMatrix::from_u8(4, 2, &[0, 0, 1, 0, 0, 1, 1, 1]).unwrap();
        let found = model.log_likelihoods(&all);
        let states = [[false, false], [true, false], [false, true], [true, true]];
        found.iter().zip(states).for_each(|(found, v)| assert!((found - exact(v)).abs() < 1e-12, "{v:?}"));
        assert!((found.iter().map(|log| log.exp()).sum::<f64>() - 1.0).abs() < 1e-12);
    }
}
