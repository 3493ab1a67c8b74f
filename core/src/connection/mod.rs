//! Connections between neighbouring layers. [`Dense`] is the fully connected one; others can stand behind the same
//! trait.

mod dense;

pub use dense::{Dense, MAX_SHIFT};

use crate::weights::Field;

/// The weights between a lower layer (nearer to the visible one) and the upper one above it.
pub trait Connection {
    /// What the weights add up to.
    type Field: Field;

    /// Units of the lower layer.
    fn lower(&self) -> usize;

    /// Units of the upper layer.
    fn upper(&self) -> usize;

    /// The weight between two units, as a field: the oracle of everything below.
    ///
    /// # Panics
    /// If a unit does not exist.
    fn weight(&self, lower: usize, upper: usize) -> Self::Field;

    /// Adds the contribution of the lower layer's bits to the upper layer's fields.
    fn add_to_upper(&self, lower_bits: &[u32], upper_fields: &mut [Self::Field]);

    /// Adds the contribution of the upper layer's bits to the lower layer's fields.
    fn add_to_lower(&self, upper_bits: &[u32], lower_fields: &mut [Self::Field]);

    /// Moves the upper fields for one lower unit that went on or off.
    fn flip_lower(&self, unit: usize, on: bool, upper_fields: &mut [Self::Field]);

    /// Moves the lower fields for one upper unit that went on or off.
    fn flip_upper(&self, unit: usize, on: bool, lower_fields: &mut [Self::Field]);

    /// Bound on the magnitude of what the lower layer adds to any upper field, and the upper layer to any lower one:
    /// (to upper, to lower). Zero where sums cannot overflow.
    fn bounds(&self) -> (u64, u64);

    /// Whether every weight is finite.
    fn is_finite(&self) -> bool;
}
