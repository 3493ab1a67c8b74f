//! Where each parameter lies in a flat vector: the order of a checkpoint.
//!
//! `weight.0` row by row, `weight.1`, …, `bias.0`, `bias.1`, …; a row of `weight.l` belongs to one unit of the upper
//! layer l + 1 and holds one number for each unit of layer l (shape [upper, lower]).

use std::ops::Range;

use bitboltz_core::{model::Tensor, shape::Shape};

/// The positions of a shape's parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    shape: Shape,
    weights: Vec<usize>,
    biases: Vec<usize>,
    len: usize,
}

impl Layout {
    /// The layout of a shape.
    pub fn new(shape: &Shape) -> Self {
        let mut len = 0;
        let mut take = |count: usize| {
            len += count;
            len - count
        };
        let weights = (1..shape.layers()).map(|l| take(shape.width(l - 1) * shape.width(l))).collect();
        let biases = shape.widths().map(&mut take).collect();
        Self { shape: *shape, weights, biases, len }
    }

    /// The layer widths.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Number of parameters, at least 3.
    #[expect(clippy::len_without_is_empty, reason = "no machine is without parameters")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Position of the weight between unit `lower` of layer `l` and unit `upper` of layer `l + 1`.
    ///
    /// # Panics
    /// If there is no such matrix.
    pub fn weight(&self, l: usize, lower: usize, upper: usize) -> usize {
        self.weights[l] + upper * self.shape.width(l) + lower
    }

    /// Positions of the biases of layer `l`.
    ///
    /// # Panics
    /// If there is no such layer.
    pub fn biases(&self, l: usize) -> Range<usize> {
        self.biases[l]..self.biases[l] + self.shape.width(l)
    }

    /// The tensors with their positions and shapes (upper and lower units, or units), in order.
    pub fn tensors(&self) -> impl Iterator<Item = (Tensor, Range<usize>, Vec<usize>)> + '_ {
        let weights = self.weights.iter().enumerate().map(|(l, &at)| {
            let shape = vec![self.shape.width(l + 1), self.shape.width(l)];
            (Tensor::Weight(l), at..at + shape[0] * shape[1], shape)
        });
        let biases = (0..self.biases.len()).map(|l| (Tensor::Bias(l), self.biases(l), vec![self.shape.width(l)]));
        weights.chain(biases)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_that_of_a_checkpoint() {
        let layout = Layout::new(&Shape::new(&[3, 2, 4]).unwrap());
        assert_eq!(layout.len(), 6 + 8 + 9);
        // The row of upper unit 1 comes after the three lower units of upper unit 0.
        assert_eq!((layout.weight(0, 2, 0), layout.weight(0, 0, 1)), (2, 3));
        assert_eq!((layout.weight(1, 0, 0), layout.weight(1, 1, 3)), (6, 13));
        assert_eq!((layout.biases(0), layout.biases(2)), (14..17, 19..23));
        let tensors: Vec<_> = layout.tensors().collect();
        assert_eq!(tensors[1], (Tensor::Weight(1), 6..14, vec![4, 2]));
        assert_eq!(tensors[4], (Tensor::Bias(2), 19..23, vec![4]));
    }
}
