//! The RAM of a session: one arena, cut into the buffers that a shape needs.

use super::{frame::frame_bytes, message::message_bytes};
use crate::{shape::Shape, weights::Field};

/// The buffers of a session.
#[derive(Debug)]
pub struct Workspace<'a> {
    /// Those of the machine.
    pub machine: MachineBuffers<'a>,
    /// The frame being received.
    pub receive: &'a mut [u8],
    /// The frame being answered.
    pub answer: &'a mut [u8],
}

/// The buffers of a machine.
#[derive(Debug)]
pub struct MachineBuffers<'a> {
    /// Packed state.
    pub words: &'a mut [u32],
    /// Fields, as raw words.
    pub fields: &'a mut [u32],
    /// The best state so far.
    pub best: &'a mut [u32],
    /// The clamp mask.
    pub mask: &'a mut [u32],
    /// Counts of the visible units, padded to a word.
    pub on: &'a mut [u16],
}

/// Words of RAM that a session over a model of this shape uses: state, best state and mask (a bit for each unit),
/// fields (a word for each unit), counts (two bytes for each visible unit), and a frame in each direction.
pub const fn workspace_words(shape: &Shape) -> usize {
    3 * shape.words() + shape.units() + count_words(shape) + 2 * frame_words(shape)
}

/// [`workspace_words`] in bytes: the exact RAM of a session besides its stack.
pub const fn ram_bytes(shape: &Shape) -> usize {
    4 * workspace_words(shape)
}

const fn count_words(shape: &Shape) -> usize {
    shape.width(0).div_ceil(2)
}

const fn frame_words(shape: &Shape) -> usize {
    frame_bytes(message_bytes(shape)).div_ceil(4)
}

impl<'a> Workspace<'a> {
    /// Cuts the buffers off the front of an arena of at least [`workspace_words`] words. From a smaller arena the last
    /// buffers come out empty.
    pub fn carve(shape: &Shape, arena: &'a mut [u32]) -> Self {
        let mut rest = arena;
        let mut take = |words: usize| {
            let (taken, after) = core::mem::take(&mut rest).split_at_mut_checked(words).unwrap_or_default();
            rest = after;
            taken
        };
        Self {
            machine: MachineBuffers {
                words: take(shape.words()),
                fields: take(shape.units()),
                best: take(shape.words()),
                mask: take(shape.words()),
                on: bytemuck::cast_slice_mut(take(count_words(shape))),
            },
            receive: bytemuck::cast_slice_mut(take(frame_words(shape))),
            answer: bytemuck::cast_slice_mut(take(frame_words(shape))),
        }
    }
}

/// Raw words as fields: both are four bytes, and any bits are a number.
pub(super) fn as_fields<F: Field>(words: &mut [u32]) -> &mut [F] {
    bytemuck::try_cast_slice_mut(words).unwrap_or_default()
}
