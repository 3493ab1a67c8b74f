//! A machine with one hidden layer whose two layers see multiples of each other, each its own: what layer-wise
//! pretraining trains in place of one that has a copy of a layer.

use bitboltz_core::fixed::Scale;
use rayon::prelude::*;

use super::Runner;
use crate::{
    batch::{blocks::map_both, tile::Tiles},
    parameters::Parameters,
};

/// Float weights that learn, and multiples of them for the chains.
#[derive(Debug)]
pub struct Scaled {
    /// A row for each visible unit.
    pub(super) floats: Tiles<f32>,
    /// What the hidden units and what the visible ones see.
    factors: [f32; 2],
    pub(super) runner: Runner<f32>,
}

impl Scaled {
    /// # Panics
    /// If there is more than one connection.
    pub(super) fn new(parameters: &Parameters, factors: [f32; 2]) -> Self {
        let [matrix] = parameters.weights() else { panic!("one hidden layer") };
        let mut floats = Tiles::zeros(parameters.shape().width(0), parameters.shape().width(1));
        floats.copy_from(matrix);
        Self { floats, factors, runner: Runner::new(parameters) }
    }

    /// Gives the chains the weights and these biases as they are now.
    pub(super) fn refresh(&mut self, biases: &[Vec<f32>]) {
        let [up_factor, down_factor] = self.factors;
        for (up, down) in self.runner.weights.even_odd_mut() {
            map_both(&self.floats, up, down, |weight| up_factor * weight);
            let ratio = down_factor / up_factor;
            down.tiles_mut().for_each(|tile| tile.as_flattened_mut().iter_mut().for_each(|weight| *weight *= ratio));
        }
        self.runner.weights.set_rounding(&[0], biases, Scale::ONE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{batch::blocks::to_rows, eval::random::random_parameters};

    #[test]
    fn each_layer_sees_its_multiple() {
        let parameters = random_parameters(&[70, 9], 1.0, 1.0, 1).unwrap();
        for factors in [[1.0, 1.0], [2.0, 1.0], [1.0, 2.0]] {
            let mut scaled = Scaled::new(&parameters, factors);
            scaled.refresh(parameters.biases());
            let weights = &mut scaled.runner.weights;
            assert_eq!(weights.bias(1)[..9], parameters.biases()[1]);
            let (up, down) = weights.even_odd_mut().next().unwrap();
            let number = |i: usize, j: usize| parameters.weights()[0][i * 9 + j];
            for (i, j) in (0..70).flat_map(|i| (0..9).map(move |j| (i, j))) {
                assert_eq!((up.get(i, j), down.get(j, i)), (factors[0] * number(i, j), factors[1] * number(i, j)));
            }
            assert_eq!(to_rows(&scaled.floats), parameters.weights()[0]);
        }
    }
}
