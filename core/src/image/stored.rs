//! From the bytes of a matrix to a connection, in place.

use super::ImageError;
use crate::{
    connection::{Connection, Dense, Integer},
    weights::{I4, Weight, WeightKind},
};

/// A connection that is read from an image where it lies.
pub trait Stored<'a>: Connection + Sized {
    /// Whether it is over weights of this type.
    ///
    /// # Errors
    /// Why not.
    fn check(kind: WeightKind) -> Result<(), ImageError>;

    /// The connection over a matrix of `lower` rows of `upper` weights of type `kind`, which was checked. `None` if the
    /// bytes are not as many, or not aligned.
    fn read(kind: WeightKind, matrix: &'a [u8], lower: usize, upper: usize, shift: u32) -> Option<Self>;
}

impl<'a, W: Weight> Stored<'a> for Dense<'a, W> {
    fn check(kind: WeightKind) -> Result<(), ImageError> {
        if kind == W::KIND { Ok(()) } else { Err(ImageError::WrongKind { expected: W::KIND, found: kind }) }
    }

    fn read(_: WeightKind, matrix: &'a [u8], lower: usize, upper: usize, shift: u32) -> Option<Self> {
        Self::from_packed(bytemuck::try_cast_slice(matrix).ok()?, lower, upper, shift)
    }
}

impl<'a> Stored<'a> for Integer<'a> {
    fn check(kind: WeightKind) -> Result<(), ImageError> {
        if kind == WeightKind::F32 { Err(ImageError::Floats) } else { Ok(()) }
    }

    fn read(kind: WeightKind, matrix: &'a [u8], lower: usize, upper: usize, shift: u32) -> Option<Self> {
        match kind {
            WeightKind::F32 => None,
            WeightKind::I4 => Dense::read(kind, matrix, lower, upper, shift).map(Self::I4),
            WeightKind::I8 => Dense::read(kind, matrix, lower, upper, shift).map(Self::I8),
            WeightKind::I16 => Dense::read(kind, matrix, lower, upper, shift).map(Self::I16),
        }
    }
}

/// Where the padding of a row of `upper` weights is not zero: the first such byte of the matrix. Only rows of nibbles have
/// any.
pub(super) fn padding(kind: WeightKind, upper: usize, matrix: &[u8]) -> Option<usize> {
    let used = upper % I4::PER_WORD;
    if kind != WeightKind::I4 || used == 0 {
        return None;
    }
    let row = kind.row_bytes(upper) as usize;
    let mut lasts = matrix.chunks_exact(row).enumerate();
    lasts.find_map(|(index, bytes)| {
        let (_, last) = bytes.split_last_chunk::<4>()?;
        let beyond = u32::from_le_bytes(*last) >> (4 * used) << (4 * used);
        (beyond != 0).then(|| (index + 1) * row - 4 + beyond.trailing_zeros() as usize / 8)
    })
}
