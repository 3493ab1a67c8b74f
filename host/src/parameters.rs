//! A model's parameters as the desktop holds them: owned floats, in the core's layout.

use bitboltz_core::{
    fixed::Scale,
    image::Geometry,
    model::{DenseDbm, ModelError, Tensor},
    shape::{Shape, ShapeError},
};

use crate::tensors::Tensors;

/// Weights and biases of a machine, all finite, and how its visible units make up a picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameters(Tensors<f32>);

impl Parameters {
    /// Parameters from their tensors. `weights[l]` holds width(l) rows of width(l + 1) weights; the biases give the
    /// widths.
    ///
    /// # Errors
    /// Tensors that are no model, or numbers that are not finite.
    pub fn new(weights: Vec<Vec<f32>>, biases: Vec<Vec<f32>>, geometry: Geometry) -> Result<Self, ModelError> {
        let shifts = vec![0; weights.len()];
        let parameters = Self(Tensors::new(weights, shifts, biases, Scale::ONE, geometry)?);
        parameters.check()?;
        Ok(parameters)
    }

    /// Parameters from tensors that fit each other, finite or not.
    ///
    /// # Panics
    /// If they do not fit.
    pub(crate) fn of_shape(weights: Vec<Vec<f32>>, biases: Vec<Vec<f32>>, geometry: Geometry) -> Self {
        let shifts = vec![0; weights.len()];
        Self(Tensors::new(weights, shifts, biases, Scale::ONE, geometry).expect("tensors that fit each other"))
    }

    /// All zero.
    ///
    /// # Errors
    /// Widths that are no shape.
    pub fn zeros(widths: &[usize], geometry: Geometry) -> Result<Self, ShapeError> {
        // Before anything is allocated for it.
        Shape::new(widths)?;
        let weights = widths.windows(2).map(|pair| vec![0.0; pair[0] * pair[1]]).collect();
        let biases = widths.iter().map(|&width| vec![0.0; width]).collect();
        Ok(Self::new(weights, biases, geometry).expect("zeros of a shape are a model"))
    }

    /// Whether every number is finite.
    ///
    /// # Errors
    /// [`ModelError::NotFinite`] with the first tensor that has one that is not.
    pub fn check(&self) -> Result<(), ModelError> {
        let finite = |tensor: &Vec<f32>| tensor.iter().all(|x| x.is_finite());
        if let Some(l) = self.0.weights.iter().position(|w| !finite(w)) {
            return Err(ModelError::NotFinite { tensor: Tensor::Weight(l) });
        }
        match self.0.biases.iter().position(|b| !finite(b)) {
            Some(l) => Err(ModelError::NotFinite { tensor: Tensor::Bias(l) }),
            None => Ok(()),
        }
    }

    /// The layer widths.
    pub fn shape(&self) -> &Shape {
        self.0.shape()
    }

    /// How the visible units make up a picture.
    pub fn geometry(&self) -> Geometry {
        self.0.geometry
    }

    /// The weight matrices, visible side first.
    pub fn weights(&self) -> &[Vec<f32>] {
        &self.0.weights
    }

    /// The biases, visible layer first.
    pub fn biases(&self) -> &[Vec<f32>] {
        &self.0.biases
    }

    /// Weights and biases, to change in place.
    pub fn tensors_mut(&mut self) -> (&mut [Vec<f32>], &mut [Vec<f32>]) {
        (&mut self.0.weights, &mut self.0.biases)
    }

    /// The core's model over these parameters.
    ///
    /// # Errors
    /// [`ModelError::NotFinite`], if a number was changed to something that is not finite.
    pub fn dbm(&self) -> Result<DenseDbm<'_, f32>, ModelError> {
        self.0.dbm()
    }
}
