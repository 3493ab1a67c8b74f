//! Kernels: fields from bits and weights.
//!
//! A matrix lies row by row, a row for each unit of the lower layer. Flips of lower units add contiguous rows to the
//! upper fields ([`move_upper`]), flips of upper units add columns to the lower ones ([`move_lower`]), up to
//! [`MOST`] of one layer at a time. The [`portable`] kernels are the reference, one flip after the other; floats use
//! them, so that their sums are rounded in that order. Integers are summed over all flips in registers first: nibbles
//! and bytes of aligned rows a word at a time, bytes by the DSP extension where the processor has it.
//!
//! Which kernel runs is decided here, when the crate is built. This folder is the only place of the crate where `unsafe`
//! may appear.
#![allow(unsafe_code)]

mod check;
mod columns;
#[cfg(arm_dsp)]
mod dsp;
mod flips;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod portable;
mod rows;
#[cfg(cortex_m)]
mod thumb;

pub use check::{Mismatch, check};
pub use flips::{Flips, MOST};
pub use portable::{add_column, add_row, masked_sum};

use crate::weights::{Field, Weight, WeightKind};
#[cfg(cortex_m)]
use core::any::TypeId;

/// A matrix as it is stored: its items, the number of items from one row to the next, and the shift of its integers.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'w, P> {
    /// Row by row.
    pub items: &'w [P],
    /// Items of a row.
    pub stride: usize,
    /// Bits by which an integer weight is shifted to the left, at most [`MAX_SHIFT`](crate::connection::MAX_SHIFT).
    pub shift: u32,
}

impl<P> Matrix<'_, P> {
    /// Whole rows.
    fn rows(&self) -> usize {
        self.items.len().checked_div(self.stride).unwrap_or(0)
    }
}

/// Adds the rows of lower units that went on to the upper fields, and subtracts those of units that went off. Fields
/// beyond the rows are left alone; if a unit is beyond the matrix, all are.
pub fn move_upper<W: Weight>(matrix: Matrix<'_, W::Packed>, flips: &Flips, fields: &mut [W::Field]) {
    if flips.end() > matrix.rows() {
        return;
    }
    let Matrix { items, stride, shift } = matrix;
    let end = fields.len().min(stride.saturating_mul(W::PER_PACKED));
    let fields = fields.get_mut(..end).unwrap_or_default();
    let Some(fields) = integers::<W>(fields) else { return portable::move_upper::<W>(matrix, flips, fields) };
    // SAFETY: every flipped unit has its row, of as many weights as there are fields or more.
    unsafe {
        match W::KIND {
            WeightKind::F32 => {}
            WeightKind::I4 => rows::words::<4>(items.as_ptr().cast(), stride, flips, shift, fields),
            #[cfg(arm_dsp)]
            WeightKind::I8 => dsp::bytes(items.as_ptr().cast(), stride, flips, shift, fields),
            #[cfg(not(arm_dsp))]
            WeightKind::I8 => {
                let words = items.as_ptr().cast::<u32>();
                let aligned = words.is_aligned() && stride.is_multiple_of(4);
                #[cfg(thumb1)]
                match fields.as_chunks_mut() {
                    (fours, []) if aligned => thumb::rows(words, stride / 4, flips, shift, fours),
                    // Seldom: widths are multiples of four.
                    _ => portable::move_upper::<i8>(Matrix { items: cast(items), stride, shift }, flips, fields),
                }
                #[cfg(not(thumb1))]
                if aligned {
                    rows::words::<8>(words, stride / 4, flips, shift, fields);
                } else {
                    rows::plain::<i8>(items.as_ptr().cast(), stride, flips, shift, fields);
                }
            }
            WeightKind::I16 => rows::plain::<i16>(items.as_ptr().cast(), stride, flips, shift, fields),
        }
    }
}

/// Adds the columns of upper units that went on to the lower fields, and subtracts those of units that went off. Fields
/// beyond the matrix are left alone; if a unit is beyond its rows, all are.
pub fn move_lower<W: Weight>(matrix: Matrix<'_, W::Packed>, flips: &Flips, fields: &mut [W::Field]) {
    let Matrix { items, stride, shift } = matrix;
    if flips.end() > stride.saturating_mul(W::PER_PACKED) {
        return;
    }
    let end = fields.len().min(matrix.rows());
    let fields = fields.get_mut(..end).unwrap_or_default();
    let Some(fields) = integers::<W>(fields) else { return portable::move_lower::<W>(matrix, flips, fields) };
    // SAFETY: every field has its row, and every flipped unit its weight in each.
    unsafe {
        match W::KIND {
            WeightKind::F32 => {}
            WeightKind::I4 => columns::nibbles(items.as_ptr().cast(), stride, flips, shift, fields),
            // A block of rows by itself costs as much as eight flips in it.
            #[cfg(thumb1)]
            WeightKind::I8 if flips.len() == 1 => {
                portable::move_lower::<i8>(Matrix { items: cast(items), stride, shift }, flips, fields);
            }
            #[cfg(cortex_m)]
            WeightKind::I8 => thumb::columns(items.as_ptr().cast(), stride, flips, shift, fields),
            #[cfg(not(cortex_m))]
            WeightKind::I8 => columns::plain::<i8>(items.as_ptr().cast(), stride, flips, shift, fields),
            WeightKind::I16 => columns::plain::<i16>(items.as_ptr().cast(), stride, flips, shift, fields),
        }
    }
}

/// The bits of up to a word of units: which of them are on where the energy is lowest. Bits beyond the units are on.
pub fn modes<F: Field>(fields: &[F]) -> u32 {
    #[cfg(cortex_m)]
    if TypeId::of::<F>() == TypeId::of::<i32>() {
        return thumb::modes(bytemuck::try_cast_slice(fields).unwrap_or_default());
    }
    portable::modes(fields)
}

/// The fields as integers, if that is what weights of this type add up to.
fn integers<W: Weight>(fields: &mut [W::Field]) -> Option<&mut [i32]> {
    match W::KIND {
        WeightKind::F32 => None,
        WeightKind::I4 | WeightKind::I8 | WeightKind::I16 => bytemuck::try_cast_slice_mut(fields).ok(),
    }
}

/// Items as what they are, once the weight type is known: never fails there.
#[cfg(thumb1)]
fn cast<P: bytemuck::Pod, T: bytemuck::Pod>(items: &[P]) -> &[T] {
    bytemuck::try_cast_slice(items).unwrap_or_default()
}

#[cfg(test)]
mod tests;
