//! Numbers of the shape of a model's parameters, kept as the trainer keeps its weights.
//!
//! A matrix is **even-major**: a row for each unit of the even one of the two layers that it joins, a column for each unit
//! of the odd one, in tiles. That is the order in which an update passes over the weights, so what goes along with them
//! lies in the same order.

use bitboltz_core::{image::Geometry, shape::Shape};

use super::statistics::even_odd;
use crate::{
    batch::{
        blocks::{to_columns, to_rows},
        tile::Tiles,
    },
    parameters::Parameters,
};

/// A number for each weight and each bias.
#[derive(Clone, Debug, PartialEq)]
pub struct EvenMajor {
    /// For each connection, even-major.
    pub weights: Vec<Tiles<f32>>,
    /// For each layer.
    pub biases: Vec<Vec<f32>>,
}

impl EvenMajor {
    /// The numbers of these parameters.
    pub fn of(parameters: &Parameters) -> Self {
        Self { weights: tiles(parameters), biases: parameters.biases().to_vec() }
    }

    /// Zeros of this shape.
    pub fn zeros(shape: &Shape) -> Self {
        let tiles = |(even, odd)| Tiles::zeros(shape.width(even), shape.width(odd));
        Self {
            weights: (0..shape.layers() - 1).map(even_odd).map(tiles).collect(),
            biases: shape.widths().map(|width| vec![0.0; width]).collect(),
        }
    }

    /// The numbers in the core's layout, finite or not.
    pub fn to_parameters(&self, geometry: Geometry) -> Parameters {
        Parameters::of_shape(matrices(self.weights.iter()), self.biases.clone(), geometry)
    }
}

/// The weights of these parameters, even-major.
pub fn tiles(parameters: &Parameters) -> Vec<Tiles<f32>> {
    let (shape, matrices) = (parameters.shape(), parameters.weights().iter().enumerate());
    let tiles = matrices.map(|(l, matrix)| {
        let (even, odd) = even_odd(l);
        let mut tiles = Tiles::zeros(shape.width(even), shape.width(odd));
        if even == l {
            tiles.copy_from(matrix);
        } else {
            tiles.copy_transposed(matrix);
        }
        tiles
    });
    tiles.collect()
}

/// Even-major matrices in the core's layout: a row for each unit of the lower layer.
pub fn matrices<'t>(tiles: impl Iterator<Item = &'t Tiles<f32>>) -> Vec<Vec<f32>> {
    tiles.enumerate().map(|(l, tiles)| if l.is_multiple_of(2) { to_rows(tiles) } else { to_columns(tiles) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::testing::parameters;

    #[test]
    fn parameters_come_back_as_they_were() {
        let parameters = parameters(&[70, 5, 65, 3], 2);
        let numbers = EvenMajor::of(&parameters);
        assert_eq!((numbers.weights[1].rows(), numbers.weights[1].columns()), (65, 5));
        assert_eq!(numbers.weights[1].get(64, 3), parameters.weights()[1][3 * 65 + 64]);
        assert_eq!(numbers.to_parameters(parameters.geometry()), parameters);
    }
}
