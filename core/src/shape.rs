//! The widths of a model's layers, and where each layer lies in packed buffers.

use core::ops::Range;

use serde::{Deserialize, Serialize};

use crate::bits::words_for;

/// Most layers that a model may have, the visible one included.
pub const MAX_LAYERS: usize = 8;
/// Most weight matrices that a model may have.
pub const MAX_CONNECTIONS: usize = MAX_LAYERS - 1;
/// Most units of one layer.
pub const MAX_WIDTH: usize = 1 << 16;

/// Layer widths, visible layer first. Units and words of all layers lie one layer after the other; each layer starts
/// on a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    widths: [u32; MAX_LAYERS],
    layers: usize,
}

/// Why widths are no shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ShapeError {
    /// A model has 2 to [`MAX_LAYERS`] layers, the visible one included.
    Layers {
        /// Layers found.
        found: usize,
    },
    /// A layer has 1 to [`MAX_WIDTH`] units.
    Width {
        /// Layer, 0 = visible.
        layer: usize,
        /// Units found.
        found: usize,
    },
}

impl core::fmt::Display for ShapeError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Layers { found } => write!(f, "expected 2 to {MAX_LAYERS} layers, found {found}"),
            Self::Width { layer, found } => write!(f, "layer {layer}: expected 1 to {MAX_WIDTH} units, found {found}"),
        }
    }
}

impl core::error::Error for ShapeError {}

impl Shape {
    /// A shape from its widths, visible layer first.
    ///
    /// # Errors
    /// Fewer than 2 or more than [`MAX_LAYERS`] layers; a layer with no units or more than [`MAX_WIDTH`].
    pub const fn new(widths: &[usize]) -> Result<Self, ShapeError> {
        if widths.len() < 2 || widths.len() > MAX_LAYERS {
            return Err(ShapeError::Layers { found: widths.len() });
        }
        let mut shape = Self { widths: [0; MAX_LAYERS], layers: widths.len() };
        let mut layer = 0;
        while layer < widths.len() {
            if widths[layer] == 0 || widths[layer] > MAX_WIDTH {
                return Err(ShapeError::Width { layer, found: widths[layer] });
            }
            shape.widths[layer] = widths[layer] as u32;
            layer += 1;
        }
        Ok(shape)
    }

    /// Layers, the visible one included.
    pub const fn layers(&self) -> usize {
        self.layers
    }

    /// Units of a layer, 0 = visible; 0 for a layer that does not exist.
    pub const fn width(&self, layer: usize) -> usize {
        if layer < self.layers && layer < MAX_LAYERS { self.widths[layer] as usize } else { 0 }
    }

    /// Widths, visible layer first.
    pub fn widths(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.layers).map(|layer| self.width(layer))
    }

    /// Units of the layers beside a layer: weights of each of its units.
    pub const fn neighbours(&self, layer: usize) -> usize {
        let below = if layer > 0 { self.width(layer - 1) } else { 0 };
        below + self.width(layer.saturating_add(1))
    }

    /// Units of all layers: the length of a buffer of fields.
    pub const fn units(&self) -> usize {
        self.first_unit(self.layers)
    }

    /// Words of all layers: the length of a buffer of packed state.
    pub const fn words(&self) -> usize {
        self.first_word(self.layers)
    }

    /// Words of a layer.
    pub const fn layer_words(&self, layer: usize) -> usize {
        words_for(self.width(layer))
    }

    /// Weights of all connections.
    pub const fn weights(&self) -> u64 {
        let (mut layer, mut sum) = (1, 0);
        while layer < self.layers {
            sum += self.width(layer - 1) as u64 * self.width(layer) as u64;
            layer += 1;
        }
        sum
    }

    /// Where a layer's units lie in a buffer of fields; nothing at its end for a layer that does not exist.
    pub const fn unit_range(&self, layer: usize) -> Range<usize> {
        self.first_unit(layer)..self.first_unit(layer.saturating_add(1))
    }

    /// Where a layer's words lie in a buffer of packed state; nothing at its end for a layer that does not exist.
    pub const fn word_range(&self, layer: usize) -> Range<usize> {
        self.first_word(layer)..self.first_word(layer.saturating_add(1))
    }

    const fn first_unit(&self, layer: usize) -> usize {
        let (mut l, mut sum) = (0, 0);
        while l < layer && l < self.layers {
            sum += self.width(l);
            l += 1;
        }
        sum
    }

    const fn first_word(&self, layer: usize) -> usize {
        let (mut l, mut sum) = (0, 0);
        while l < layer && l < self.layers {
            sum += self.layer_words(l);
            l += 1;
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_lie_one_after_the_other_on_words() {
        let shape = Shape::new(&[33, 32, 1]).unwrap();
        assert_eq!((shape.units(), shape.words(), shape.weights()), (66, 4, 33 * 32 + 32));
        assert_eq!(shape.unit_range(1), 33..65);
        assert_eq!(shape.word_range(1), 2..3);
        assert_eq!(shape.word_range(2), 3..4);
        assert_eq!((shape.unit_range(usize::MAX), shape.word_range(3)), (66..66, 4..4));
        assert_eq!(Shape::new(&[MAX_WIDTH; 2]).unwrap().weights(), 1 << 32);
    }

    #[test]
    fn impossible_shapes_are_refused() {
        assert_eq!(Shape::new(&[3]), Err(ShapeError::Layers { found: 1 }));
        assert_eq!(Shape::new(&[1; 9]), Err(ShapeError::Layers { found: 9 }));
        assert_eq!(Shape::new(&[3, 0]), Err(ShapeError::Width { layer: 1, found: 0 }));
        assert_eq!(Shape::new(&[3, 65_537]), Err(ShapeError::Width { layer: 1, found: 65_537 }));
    }
}
