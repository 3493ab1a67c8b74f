//! Why tensors are no model.

use serde::{Deserialize, Serialize};

use crate::shape::ShapeError;

/// A tensor, by its name in a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Tensor {
    /// `weight.l`, between layers l and l + 1.
    Weight(usize),
    /// `bias.l`, of layer l.
    Bias(usize),
}

impl core::fmt::Display for Tensor {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Weight(l) => write!(f, "weight.{l}"),
            Self::Bias(l) => write!(f, "bias.{l}"),
        }
    }
}

/// Why tensors are no model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ModelError {
    /// The biases' lengths are no shape.
    Shape(ShapeError),
    /// There must be one bias vector more than weight matrices.
    Biases {
        /// Vectors expected.
        expected: usize,
        /// Vectors found.
        found: usize,
    },
    /// A weight matrix does not fit the layers' widths, which the biases give.
    Weights {
        /// Which matrix.
        tensor: Tensor,
        /// [upper, lower] units expected.
        expected: [usize; 2],
        /// [upper, lower] units found.
        found: [usize; 2],
    },
    /// A number is infinite or not a number.
    NotFinite {
        /// Where.
        tensor: Tensor,
    },
    /// The largest possible field of a layer does not fit 32 bits.
    Overflow {
        /// Layer, 0 = visible.
        layer: usize,
        /// Bound on the field's magnitude.
        bound: u64,
    },
}

impl core::fmt::Display for ModelError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Shape(error) => error.fmt(f),
            Self::Biases { expected, found } => write!(f, "expected {expected} bias vectors, found {found}"),
            Self::Weights { tensor, expected, found } => {
                write!(f, "{tensor}: expected shape {expected:?}, found {found:?}")
            }
            Self::NotFinite { tensor } => write!(f, "{tensor}: a number is not finite"),
            Self::Overflow { layer, bound } => {
                write!(f, "layer {layer}: fields up to {bound} do not fit 32 bits; use a smaller shift or fewer units")
            }
        }
    }
}

impl core::error::Error for ModelError {}
