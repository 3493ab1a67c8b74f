//! Connections between neighbouring layers. [`Dense`] is the fully connected one, [`Integer`] the same over integers of
//! any width; others can stand behind the same trait.

mod dense;
mod integer;

pub use dense::{Dense, MAX_SHIFT};
pub use integer::Integer;

use crate::{
    bits::{WORD_BITS, ones_of_word},
    kernels::Flips,
    weights::Field,
};

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

    /// Moves the upper fields for lower units that flipped. With floats as if one after the other, ascending.
    fn move_upper(&self, lower: &Flips, upper_fields: &mut [Self::Field]);

    /// Moves the lower fields for upper units that flipped. With floats as if one after the other, ascending.
    fn move_lower(&self, upper: &Flips, lower_fields: &mut [Self::Field]);

    /// Adds the contribution of the lower layer's bits to the upper layer's fields.
    fn add_to_upper(&self, lower_bits: &[u32], upper_fields: &mut [Self::Field]) {
        each_group(lower_bits, |flips| self.move_upper(flips, upper_fields));
    }

    /// Adds the contribution of the upper layer's bits to the lower layer's fields.
    fn add_to_lower(&self, upper_bits: &[u32], lower_fields: &mut [Self::Field]) {
        each_group(upper_bits, |flips| self.move_lower(flips, lower_fields));
    }

    /// Bound on the magnitude of what the lower layer adds to any upper field, and the upper layer to any lower one:
    /// (to upper, to lower). Zero where sums cannot overflow.
    fn bounds(&self) -> (u64, u64);

    /// Whether every weight is finite.
    fn is_finite(&self) -> bool;
}

/// Shows all bits that are on, as units that go on, group by group.
fn each_group(bits: &[u32], mut see: impl FnMut(&Flips)) {
    let mut flips = Flips::default();
    for (index, &word) in bits.iter().enumerate() {
        for bit in ones_of_word(word) {
            if flips.is_full() {
                see(&flips);
                flips.clear();
            }
            let _ = flips.push(index * WORD_BITS + bit, true);
        }
    }
    if !flips.is_empty() {
        see(&flips);
    }
}

/// Runs `$body` with the type alias `$C<'w>` set to the connection that images of `$kind` are run over: [`Integer`] for
/// integers of any width, [`Dense`] over `f32` for floats. Without the feature `float` always [`Integer`], whose sessions
/// refuse an image of floats.
///
/// ```
/// use bitboltz_core::{connection::Connection, weights::WeightKind, with_connection};
/// assert_eq!(with_connection!(WeightKind::I4, C => size_of::<<C<'static> as Connection>::Field>()), 4);
/// ```
#[cfg(feature = "float")]
#[macro_export]
macro_rules! with_connection {
    ($kind:expr, $C:ident => $body:expr) => {
        match $kind {
            $crate::weights::WeightKind::F32 => {
                type $C<'w> = $crate::connection::Dense<'w, f32>;
                $body
            }
            _ => {
                type $C<'w> = $crate::connection::Integer<'w>;
                $body
            }
        }
    };
}

/// Runs `$body` with the type alias `$C<'w>` set to [`Integer`], the only connection without the feature `float`.
#[cfg(not(feature = "float"))]
#[macro_export]
macro_rules! with_connection {
    ($kind:expr, $C:ident => $body:expr) => {{
        let _: $crate::weights::WeightKind = $kind;
        type $C<'w> = $crate::connection::Integer<'w>;
        $body
    }};
}
