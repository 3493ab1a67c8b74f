//! Owned buffers of chains.

use bitboltz_core::{
    shape::Shape,
    state::{State, clamp_layers},
    weights::Field,
};

/// The words and fields of one chain's state.
#[derive(Clone, Debug)]
pub struct ChainBuffer<F> {
    words: Vec<u32>,
    fields: Vec<F>,
}

impl<F: Field> ChainBuffer<F> {
    /// Buffers for a shape.
    pub fn new(shape: &Shape) -> Self {
        Self { words: vec![0; shape.words()], fields: vec![F::default(); shape.units()] }
    }

    /// A state in these buffers, all units off.
    ///
    /// # Panics
    /// If the shape is larger than the one that the buffers were made for.
    pub fn state(&mut self, shape: &Shape) -> State<'_, F> {
        State::new(shape, &mut self.words, &mut self.fields).expect("buffers were made for this shape")
    }
}

/// The mask that clamps the visible layer and no other: the positive phase's.
pub fn visible_mask(shape: &Shape) -> Vec<u32> {
    let mut mask = vec![0; shape.words()];
    clamp_layers(shape, &mut mask, |layer| layer == 0);
    mask
}

/// Everything that one coupled pair needs.
#[derive(Clone, Debug)]
pub struct PairBuffer<F> {
    /// The leading chain.
    pub x: ChainBuffer<F>,
    /// The chain that follows.
    pub y: ChainBuffer<F>,
    /// Scratch of Metropolis-Hastings.
    pub proposal: ChainBuffer<F>,
}

impl<F: Field> PairBuffer<F> {
    /// Buffers for a shape.
    pub fn new(shape: &Shape) -> Self {
        let one = ChainBuffer::new(shape);
        Self { x: one.clone(), y: one.clone(), proposal: one }
    }
}
