//! Stochastic gradient ascent with the paper's schedule.

use rayon::prelude::*;

use super::gradient::Gradient;
use crate::{
    matrix::{all_finite, transpose},
    parameters::Parameters,
};

/// The learning rate of step t, counted from 0: rate / √(1 + gamma · t).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// The rate of the first step.
    pub rate: f64,
    /// How fast it falls.
    pub gamma: f64,
}

impl Schedule {
    /// The rate of step `step`.
    pub fn at(&self, step: u64) -> f32 {
        (self.rate / (1.0 + self.gamma * step as f64).sqrt()) as f32
    }
}

/// Adds rate × gradient to the parameters, on all processors. Returns whether all of them are still finite.
///
/// # Panics
/// If the gradient has another shape.
pub fn ascend(parameters: &mut Parameters, gradient: &Gradient, rate: f32, scratch: &mut Vec<f32>) -> bool {
    let shape = *parameters.shape();
    let (weights, biases) = parameters.tensors_mut();
    let mut finite = true;
    for (l, matrix) in weights.iter_mut().enumerate() {
        let width = shape.width(l + 1);
        let lower_rows: &[f32] = if l.is_multiple_of(2) {
            &gradient.weights[l]
        } else {
            // Rows belong to the even layer, here the upper one.
            scratch.resize(matrix.len(), 0.0);
            transpose(&gradient.weights[l], shape.width(l), scratch);
            scratch
        };
        assert_eq!(matrix.len(), lower_rows.len());
        finite &= matrix
            .par_chunks_mut(16 * width)
            .zip(lower_rows.par_chunks(16 * width))
            .map(|(weights, steps)| {
                weights.iter_mut().zip(steps).for_each(|(w, step)| *w += rate * step);
                all_finite(weights)
            })
            .reduce(|| true, |a, b| a & b);
    }
    for (bias, steps) in biases.iter_mut().zip(&gradient.biases) {
        assert_eq!(bias.len(), steps.len());
        bias.iter_mut().zip(steps).for_each(|(b, step)| *b += rate * step);
        finite &= all_finite(bias);
    }
    finite
}

#[cfg(test)]
mod tests {
    use bitboltz_core::image::Geometry;

    use super::*;

    #[test]
    fn the_rate_falls_with_the_square_root() {
        let schedule = Schedule { rate: 0.06, gamma: 0.001 };
        assert_eq!((schedule.at(0), schedule.at(3000)), (0.06, 0.03));
    }

    #[test]
    fn every_weight_moves_by_its_own_gradient() {
        let mut parameters = Parameters::zeros(&[2, 3, 2], Geometry::default()).unwrap();
        let gradient = Gradient {
            // Even-major: 2 visible rows of 3, then 2 rows of layer 2 of 3 each.
            weights: vec![vec![1., 2., 3., 4., 5., 6.], vec![1., 2., 3., 4., 5., 6.]],
            biases: vec![vec![1., 2.], vec![3.; 3], vec![4.; 2]],
        };
        assert!(ascend(&mut parameters, &gradient, 2.0, &mut Vec::new()));
        assert_eq!(parameters.weights()[0], [2., 4., 6., 8., 10., 12.]);
        assert_eq!(parameters.weights()[1], [2., 8., 4., 10., 6., 12.]);
        assert_eq!(parameters.biases()[0], [2., 4.]);
        assert!(!ascend(&mut parameters, &gradient, f32::MAX, &mut Vec::new()));
    }
}
