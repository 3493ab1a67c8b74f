//! The variational lower bound on log p*(v) = log Σ_h exp(−E(v, h)) (Salakhutdinov, Hinton 2009, eq. 8 and 9):
//! E_q[−E(v, h)] + H(q) for independent hidden units q. With one hidden layer it is exact.
//!
//! The bound is raised block by block: the even hidden layers given the odd ones, and the other way round. A unit of a
//! block is best at μ = σ(a), its field taken at the other block's means, so the bound never falls. With the odd layers at
//! their best it is b·v + Σ_odd softplus(a) + Σ_even (b μ + H(μ)): only the means of the even layers are kept, and without
//! any the bound is log p*(v) itself.

use bitboltz_core::{bits::ones, fixed::Scale};

use super::softplus::{SoftplusSum, entropy};
pub use crate::batch::mean_field::FixedPoint;
use crate::{
    batch::{self, ChainWeights, in_blocks},
    bits::BitMatrix,
    parameters::Parameters,
};

/// The best q that was found for one visible vector.
#[derive(Clone, Debug, PartialEq)]
pub struct MeanField {
    /// E_q[−E(v, h)] + H(q), in nats: at most log p*(v).
    pub bound: f64,
    /// Log odds of q, for the units of all layers one after the other; zero for the visible ones.
    pub fields: Vec<f64>,
    /// Sweeps that it took; none with one hidden layer.
    pub sweeps: u32,
    /// Whether the means came to rest before the cap.
    pub converged: bool,
}

/// A machine's weights in both orientations.
#[derive(Clone, Debug)]
pub struct MeanFields<'p> {
    parameters: &'p Parameters,
    weights: ChainWeights<f32>,
}

impl<'p> MeanFields<'p> {
    /// Of a machine.
    pub fn new(parameters: &'p Parameters) -> Self {
        let mut weights = ChainWeights::zeros(parameters.shape());
        let matrices = parameters.weights().iter().map(|matrix| (matrix.as_slice(), 0));
        weights.set(matrices, parameters.biases(), Scale::ONE);
        Self { parameters, weights }
    }

    /// What `take` makes of the mean field of each row, on all processors. `progress` is told of the rows that are done.
    ///
    /// # Panics
    /// If the rows are not of the visible layer's width.
    pub fn each<T: Send>(
        &self,
        rows: &BitMatrix,
        until: &FixedPoint,
        take: impl Fn(MeanField) -> T + Sync + Send,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Vec<T> {
        assert_eq!(rows.cols(), self.parameters.shape().width(0), "rows of visible units");
        let block = |(): &mut (), range: std::ops::Range<usize>| -> Vec<T> {
            let row = |at: usize| rows.row(range.start + at);
            let found = batch::mean_field::MeanFields::find(&self.weights, range.len(), row, until);
            let taken = (0..range.len()).map(|at| take(self.of(row(at), &found, at))).collect();
            progress(range.len() as u64);
            taken
        };
        in_blocks(rows.rows(), || (), block).into_iter().flatten().collect()
    }

    /// The bound of the mean field of one visible vector.
    fn of(&self, visible: &[u32], found: &batch::mean_field::MeanFields, at: usize) -> MeanField {
        let (shape, biases) = (self.parameters.shape(), self.parameters.biases());
        let mut bound: f64 = ones(visible).map(|unit| f64::from(biases[0][unit])).sum();
        let mut odd = SoftplusSum::ZERO;
        let mut fields = vec![0.0; shape.width(0)];
        for (layer, biases) in biases.iter().enumerate().skip(1) {
            let first = fields.len();
            fields.extend(found.fields(at, layer).map(f64::from));
            let layer_fields = fields[first..].iter().copied();
            if layer % 2 == 1 {
                odd.extend(layer_fields);
            } else {
                // The mean of this very field, so that the bound is that of one q.
                let terms = layer_fields.zip(biases).zip(found.means(at, layer));
                bound += terms.map(|((field, &b), mean)| f64::from(b) * f64::from(mean) + entropy(field)).sum::<f64>();
            }
        }
        bound += odd.total();
        MeanField { bound, fields, sweeps: found.sweeps(at), converged: found.converged(at) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::{
        exact::{Given, Oracle},
        random::random_parameters,
        softplus::sigmoid,
    };

    fn quiet(_: u64) {}

    /// Every visible vector of a machine, its mean field, and the exact log p*(v).
    fn all(widths: &[usize], weight_std: f64, seed: u64, until: FixedPoint) -> Vec<(MeanField, f64)> {
        let parameters = random_parameters(widths, weight_std, 0.7, seed).unwrap();
        let oracle = Oracle::new(&parameters.dbm().unwrap()).unwrap();
        let codes: Vec<u32> = (0..1 << widths[0]).collect();
        let rows = BitMatrix::from_words(codes.len(), widths[0], codes.clone()).unwrap();
        let found = MeanFields::new(&parameters).each(&rows, &until, |found| found, &quiet);
        found.into_iter().zip(codes.iter().map(|&v| oracle.log_z(Given::visible(oracle.shape(), v)))).collect()
    }

    /// Rounding of fields in f32.
    const ROUNDING: f64 = 1e-5;

    #[test]
    fn with_one_hidden_layer_it_is_exact() {
        for (found, exact) in all(&[5, 7], 1.0, 1, FixedPoint::default()) {
            assert!((found.bound - exact).abs() < ROUNDING, "{found:?}, exactly {exact}");
            assert!(found.converged);
        }
    }

    #[test]
    fn it_is_a_lower_bound_that_does_not_fall() {
        for widths in [&[4, 5, 4][..], &[3, 4, 3, 2], &[3, 2, 5, 2, 3]] {
            for seed in 1..4 {
                let mut last = vec![f64::NEG_INFINITY; 1 << widths[0]];
                for cap in [0, 1, 2, 5, 50, 1_000] {
                    let found = all(widths, 1.0, seed, FixedPoint { cap, ..FixedPoint::default() });
                    for ((found, exact), last) in found.iter().zip(&mut last) {
                        assert!(found.bound < exact + ROUNDING && found.bound > *last - ROUNDING, "{found:?} {exact}");
                        assert!(found.sweeps <= cap);
                        *last = found.bound;
                    }
                    // Not just anything below.
                    if cap == 1_000 {
                        let gap = found.iter().map(|(found, exact)| exact - found.bound).sum::<f64>();
                        assert!(found.iter().all(|(found, _)| found.converged));
                        assert!(gap > 1e-3 && gap / found.len() as f64 <= 1.0, "{gap}");
                    }
                }
            }
        }
    }

    /// With small weights the posterior is nearly independent: the gap is of second order, and the means are right.
    #[test]
    fn with_weak_weights_it_is_close_and_so_are_the_means() {
        for (found, exact) in all(&[3, 4, 3], 0.05, 1, FixedPoint::default()) {
            // Twelve pairs of units, each worth at most w² / 32.
            assert!((0.0..2e-3).contains(&(exact - found.bound + ROUNDING)), "{found:?} {exact}");
        }
        let parameters = random_parameters(&[3, 4, 3], 0.05, 0.7, 1).unwrap();
        let oracle = Oracle::new(&parameters.dbm().unwrap()).unwrap();
        let expectations = oracle.expectations(Given::visible(oracle.shape(), 0b101));
        let rows = BitMatrix::from_words(1, 3, vec![0b101]).unwrap();
        let found = MeanFields::new(&parameters).each(&rows, &FixedPoint::default(), |found| found, &quiet);
        for layer in 1..3 {
            let units = oracle.shape().unit_range(layer);
            for (unit, at) in units.zip(oracle.layout().biases(layer)) {
                let (mean, exact) = (sigmoid(found[0].fields[unit]), expectations.statistics[at]);
                assert!((mean - exact).abs() < 1e-3, "{unit}: {mean}, exactly {exact}");
            }
        }
    }

    /// The bound of the means that it gives, from its definition.
    #[test]
    fn the_bound_is_that_of_its_own_means() {
        let parameters = random_parameters(&[3, 2, 3, 2], 1.0, 0.7, 5).unwrap();
        let oracle = Oracle::new(&parameters.dbm().unwrap()).unwrap();
        let rows = BitMatrix::from_words(1, 3, vec![0b011]).unwrap();
        let tight = FixedPoint { tolerance: 1e-7, ..FixedPoint::default() };
        let found = MeanFields::new(&parameters).each(&rows, &tight, |found| found, &quiet).remove(0);
        let sign = |hidden: u32, i: usize| if hidden >> i & 1 == 1 { 1.0 } else { -1.0 };
        let mut direct = 0.0;
        for hidden in 0..1_u32 << 7 {
            let q: f64 = (0..7).map(|i| sigmoid(found.fields[3 + i] * sign(hidden, i))).product();
            direct += q * (-oracle.energy(0b011 | hidden << 3) - q.ln());
        }
        assert!((direct - found.bound).abs() < ROUNDING, "{direct} {found:?}");
    }
}
