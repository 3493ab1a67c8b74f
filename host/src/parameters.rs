//! A model's parameters as the desktop holds them: owned floats, in the core's layout.

use bitboltz_core::{
    connection::Dense,
    fixed::Scale,
    image::Geometry,
    model::{DenseDbm, ModelError, Tensor},
    shape::{Shape, ShapeError},
};

/// Weights and biases of a machine, all finite, and how its visible units make up a picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameters {
    shape: Shape,
    /// Matrix l lies row by row, one row of width(l + 1) weights for each unit of layer l.
    weights: Vec<Vec<f32>>,
    biases: Vec<Vec<f32>>,
    geometry: Geometry,
}

impl Parameters {
    /// Parameters from their tensors. `weights[l]` holds width(l) rows of width(l + 1) weights; the biases give the
    /// widths.
    ///
    /// # Errors
    /// Tensors that are no model, or numbers that are not finite.
    pub fn new(weights: Vec<Vec<f32>>, biases: Vec<Vec<f32>>, geometry: Geometry) -> Result<Self, ModelError> {
        let widths: Vec<usize> = biases.iter().map(Vec::len).collect();
        let shape = Shape::new(&widths).map_err(ModelError::Shape)?;
        if weights.len() + 1 != biases.len() {
            return Err(ModelError::Biases { expected: weights.len() + 1, found: biases.len() });
        }
        for (l, matrix) in weights.iter().enumerate() {
            let expected = [shape.width(l + 1), shape.width(l)];
            if matrix.len() != expected[0] * expected[1] {
                let found = [matrix.len() / expected[1], expected[1]];
                return Err(ModelError::Weights { tensor: Tensor::Weight(l), expected, found });
            }
        }
        let parameters = Self { shape, weights, biases, geometry };
        parameters.check()?;
        Ok(parameters)
    }

    /// All zero.
    ///
    /// # Errors
    /// Widths that are no shape.
    pub fn zeros(widths: &[usize], geometry: Geometry) -> Result<Self, ShapeError> {
        let shape = Shape::new(widths)?;
        let weights = widths.windows(2).map(|pair| vec![0.0; pair[0] * pair[1]]).collect();
        let biases = widths.iter().map(|&width| vec![0.0; width]).collect();
        Ok(Self { shape, weights, biases, geometry })
    }

    /// Whether every number is finite.
    ///
    /// # Errors
    /// [`ModelError::NotFinite`] with the first tensor that has one that is not.
    pub fn check(&self) -> Result<(), ModelError> {
        let finite = |tensor: &Vec<f32>| tensor.iter().all(|x| x.is_finite());
        if let Some(l) = self.weights.iter().position(|w| !finite(w)) {
            return Err(ModelError::NotFinite { tensor: Tensor::Weight(l) });
        }
        match self.biases.iter().position(|b| !finite(b)) {
            Some(l) => Err(ModelError::NotFinite { tensor: Tensor::Bias(l) }),
            None => Ok(()),
        }
    }

    /// The layer widths.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// How the visible units make up a picture.
    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// The weight matrices, visible side first.
    pub fn weights(&self) -> &[Vec<f32>] {
        &self.weights
    }

    /// The biases, visible layer first.
    pub fn biases(&self) -> &[Vec<f32>] {
        &self.biases
    }

    /// Weights and biases, to change in place.
    pub fn tensors_mut(&mut self) -> (&mut [Vec<f32>], &mut [Vec<f32>]) {
        (&mut self.weights, &mut self.biases)
    }

    /// The core's model over these parameters.
    ///
    /// # Errors
    /// [`ModelError::NotFinite`], if a number was changed to something that is not finite.
    pub fn dbm(&self) -> Result<DenseDbm<'_, f32>, ModelError> {
        let connections = self.weights.iter().enumerate().filter_map(|(l, matrix)| {
            // Never `None`: the sizes were checked when the parameters were made.
            Dense::new(matrix, self.shape.width(l), self.shape.width(l + 1), 0)
        });
        let biases: Vec<&[f32]> = self.biases.iter().map(Vec::as_slice).collect();
        DenseDbm::new(connections, &biases, Scale::ONE)
    }
}
