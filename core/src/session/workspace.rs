//! The RAM of a session: one arena, cut into the buffers that a shape needs.

use super::{
    frame::{BLOCK_BYTES, frame_bytes},
    message::request_bytes,
};
use crate::{shape::Shape, weights::Field};

/// The buffers of a session.
#[derive(Debug)]
pub struct Workspace<'a> {
    /// Those of the machine.
    pub machine: MachineBuffers<'a>,
    /// The frame being received, then block by block the one that answers it.
    pub receive: &'a mut [u8],
}

/// The buffers of a machine.
#[derive(Debug)]
pub struct MachineBuffers<'a> {
    /// Packed state.
    pub words: &'a mut [u32],
    /// Fields, as raw words.
    pub fields: &'a mut [u32],
    /// The clamp mask.
    pub mask: &'a mut [u32],
    /// What one kind of request needs: the best state so far, or counts of the visible units.
    pub scratch: &'a mut [u32],
}

/// Words of RAM that a session over a model of this shape uses: state and mask (a bit for each unit), fields (a word for
/// each unit), the larger of a best state and of counts (two bytes for each visible unit), and the longest request.
pub const fn workspace_words(shape: &Shape) -> usize {
    machine_words(shape) + receive_words(shape)
}

/// Words of a machine's buffers.
pub(super) const fn machine_words(shape: &Shape) -> usize {
    2 * shape.words() + shape.units() + scratch_words(shape)
}

/// [`workspace_words`] in bytes: the exact RAM of a session besides its stack.
pub const fn ram_bytes(shape: &Shape) -> usize {
    4 * workspace_words(shape)
}

/// Words of the scratch buffer of a machine.
pub(super) const fn scratch_words(shape: &Shape) -> usize {
    let (best, counts) = (shape.words(), shape.width(0).div_ceil(2));
    if best > counts { best } else { counts }
}

/// Words of the buffer that frames are received in, and sent from.
pub(super) const fn receive_words(shape: &Shape) -> usize {
    let frame = frame_bytes(request_bytes(shape));
    (if frame > BLOCK_BYTES { frame } else { BLOCK_BYTES }).div_ceil(4)
}

impl<'a> Workspace<'a> {
    /// Cuts the buffers off the front of an arena of at least [`workspace_words`] words. From a smaller arena the last
    /// buffers come out empty.
    pub fn carve(shape: &Shape, arena: &'a mut [u32]) -> Self {
        let (receive, rest) = arena.split_at_mut_checked(receive_words(shape)).unwrap_or_default();
        Self { receive: bytemuck::cast_slice_mut(receive), machine: MachineBuffers::carve(shape, rest) }
    }
}

impl<'a> MachineBuffers<'a> {
    /// As [`Workspace::carve`] cuts them, from what is left of an arena behind the receive buffer.
    pub(super) fn carve(shape: &Shape, arena: &'a mut [u32]) -> Self {
        let mut rest = arena;
        let mut take = |words: usize| {
            let (taken, after) = core::mem::take(&mut rest).split_at_mut_checked(words).unwrap_or_default();
            rest = after;
            taken
        };
        Self {
            words: take(shape.words()),
            fields: take(shape.units()),
            mask: take(shape.words()),
            scratch: take(scratch_words(shape)),
        }
    }
}

/// Raw words as fields: both are four bytes, and any bits are a number.
pub(super) fn as_fields<F: Field>(words: &mut [u32]) -> &mut [F] {
    bytemuck::try_cast_slice_mut(words).unwrap_or_default()
}
