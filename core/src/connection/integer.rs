//! A dense connection of whichever integer type an image has.

use super::{Connection, Dense};
use crate::{
    kernels::Flips,
    weights::{I4, WeightKind},
};

/// A dense connection over integers of any width. The type is looked at once for each set of flips, so a program has
/// one search, one sampler and one session for all of them.
#[derive(Clone, Copy, Debug)]
pub enum Integer<'w> {
    /// Over nibbles.
    I4(Dense<'w, I4>),
    /// Over bytes.
    I8(Dense<'w, i8>),
    /// Over half-words.
    I16(Dense<'w, i16>),
}

macro_rules! each {
    ($self:expr, $dense:ident => $body:expr) => {
        match $self {
            Self::I4($dense) => $body,
            Self::I8($dense) => $body,
            Self::I16($dense) => $body,
        }
    };
}

impl Integer<'_> {
    /// The weight type.
    pub fn kind(&self) -> WeightKind {
        match self {
            Self::I4(_) => WeightKind::I4,
            Self::I8(_) => WeightKind::I8,
            Self::I16(_) => WeightKind::I16,
        }
    }
}

impl Connection for Integer<'_> {
    type Field = i32;

    fn lower(&self) -> usize {
        each!(self, dense => dense.lower())
    }

    fn upper(&self) -> usize {
        each!(self, dense => dense.upper())
    }

    fn weight(&self, lower: usize, upper: usize) -> i32 {
        each!(self, dense => dense.weight(lower, upper))
    }

    fn move_upper(&self, lower: &Flips, upper_fields: &mut [i32]) {
        each!(self, dense => dense.move_upper(lower, upper_fields));
    }

    fn move_lower(&self, upper: &Flips, lower_fields: &mut [i32]) {
        each!(self, dense => dense.move_lower(upper, lower_fields));
    }

    fn bounds(&self) -> (u64, u64) {
        each!(self, dense => dense.bounds())
    }

    fn is_finite(&self) -> bool {
        true
    }
}
