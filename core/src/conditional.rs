//! Conditionals of one block of layers given the other.
//!
//! The even layers given the odd ones are independent, and the other way round, so a whole block is drawn, averaged or
//! maximised at once, from the newest state of the other block. (Updating every layer from the old state of all its
//! neighbours samples another distribution.) In a machine with one hidden layer, [`Block::Even`] is v given h and
//! [`Block::Odd`] is h given v.

use rand_core::Rng;

use crate::{
    bits::{WORD_BITS, word_mask},
    connection::Connection,
    fixed::{sigmoid, to_unit},
    kernels::{self, Flips},
    model::Dbm,
    state::{Clamp, State},
    weights::Field,
};

/// Half of the layers: those with an even number (0 is the visible layer), or those with an odd one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Block {
    /// Layers 0, 2, 4, …
    Even,
    /// Layers 1, 3, 5, …
    Odd,
}

impl Block {
    /// The other block.
    pub const fn other(self) -> Self {
        match self {
            Self::Even => Self::Odd,
            Self::Odd => Self::Even,
        }
    }

    /// The block's layers in a machine of `layers` layers, ascending.
    pub fn layers(self, layers: usize) -> impl Iterator<Item = usize> {
        (self as usize..layers).step_by(2)
    }
}

/// Draws every free unit of a block from its conditional p(x_i = 1 | other block) = σ(a_i). Returns the flips.
///
/// Draws one word for each unit of the block, clamped ones included.
pub fn sample_block<C: Connection, R: Rng>(
    model: &Dbm<'_, C>,
    state: &mut State<'_, C::Field>,
    block: Block,
    clamp: &Clamp<'_>,
    rng: &mut R,
) -> u32 {
    let scale = model.scale();
    update_block(model, state, block, clamp, |fields| {
        let draw = |&field: &C::Field| rng.next_u32() < sigmoid(field.to_q16(scale));
        fields.iter().map(draw).enumerate().fold(0, |word, (bit, on)| word | u32::from(on) << bit)
    })
}

/// Sets every free unit of a block to its conditional mode 1[a_i ≥ 0]. Returns the flips.
pub fn mode_block<C: Connection>(
    model: &Dbm<'_, C>,
    state: &mut State<'_, C::Field>,
    block: Block,
    clamp: &Clamp<'_>,
) -> u32 {
    update_block(model, state, block, clamp, kernels::modes)
}

/// Writes the conditional means σ(a_i) of one layer, by the same table as [`sample_block`] and rounded to the 24 bits of
/// an `f32`. Clamped units get their conditional mean too.
///
/// Writes the shorter of `means` and the layer.
pub fn mean_layer<C: Connection>(model: &Dbm<'_, C>, state: &State<'_, C::Field>, layer: usize, means: &mut [f32]) {
    let scale = model.scale();
    for (mean, field) in means.iter_mut().zip(state.layer_fields(layer)) {
        *mean = to_unit(sigmoid(field.to_q16(scale)));
    }
}

/// Sets the free units of a block, a word of them at a time as `decide` says by their fields.
fn update_block<C: Connection>(
    model: &Dbm<'_, C>,
    state: &mut State<'_, C::Field>,
    block: Block,
    clamp: &Clamp<'_>,
    mut decide: impl FnMut(&[C::Field]) -> u32,
) -> u32 {
    let (mut flipped, mut flips) = (0, Flips::default());
    for layer in block.layers(model.shape().layers()) {
        let (words, units) = (model.shape().word_range(layer), model.shape().unit_range(layer));
        for (index, at) in words.enumerate() {
            // A flip moves fields of the other block only, so the rest of this layer still sees what it should.
            let begin = units.start + index * WORD_BITS;
            let end = units.end.min(begin + WORD_BITS);
            let new = decide(state.fields().get(begin..end).unwrap_or_default());
            let free = !clamp.word(at) & word_mask(end - begin, 0);
            let flip = state.words().get(at).map_or(0, |&old| (old ^ new) & free);
            if flip != 0 {
                model.flip_word(state, layer, [at, index], flip, &mut flips);
                flipped += flip.count_ones();
            }
        }
        model.settle(state, layer, &mut flips);
    }
    flipped
}
