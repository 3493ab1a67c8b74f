//! The free chains of persistent contrastive divergence (Tieleman, ICML 2008): they go on from update to update, while
//! the model changes slowly under them.

use std::ops::Range;

use bitboltz_core::{bits::word_mask, rng::Rng as _, shape::Shape};

use super::seeds::{Purpose, stream_for};

/// The states of chains between two updates: part of what a run needs to continue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersistentChains {
    state_words: usize,
    words: Vec<u32>,
}

impl PersistentChains {
    /// Chains at uniform random bits, for a run that takes them up at this step, counted from 0.
    pub fn new(shape: &Shape, seed: u64, step: u64, count: usize) -> Self {
        let mut words = Vec::with_capacity(count * shape.words());
        for chain in 0..count as u64 {
            let mut rng = stream_for(seed, Purpose::Persistent, step, chain);
            words.extend(masks(shape).map(|mask| rng.next_u32() & mask));
        }
        Self { state_words: shape.words(), words }
    }

    /// Chains in these states, packed as the core packs a state, one after the other. `None` if they are no whole number
    /// of states, or bits of padding are on.
    pub fn from_words(shape: &Shape, words: Vec<u32>) -> Option<Self> {
        let states = words.chunks(shape.words());
        let fits = |state: &[u32]| {
            state.len() == shape.words() && state.iter().zip(masks(shape)).all(|(word, mask)| word & !mask == 0)
        };
        states.into_iter().all(fits).then_some(Self { state_words: shape.words(), words })
    }

    /// Number of chains.
    pub fn len(&self) -> usize {
        self.words.len() / self.state_words
    }

    /// Whether there are no chains.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Words of one state.
    pub fn state_words(&self) -> usize {
        self.state_words
    }

    /// All states, one after the other.
    pub fn words(&self) -> &[u32] {
        &self.words
    }

    /// The states of these chains, to move on.
    ///
    /// # Panics
    /// If there are fewer chains.
    pub fn words_mut(&mut self, chains: Range<usize>) -> &mut [u32] {
        &mut self.words[chains.start * self.state_words..chains.end * self.state_words]
    }
}

/// The bits of each word of a state that are units.
fn masks(shape: &Shape) -> impl Iterator<Item = u32> {
    let shape = *shape;
    let layers = 0..shape.layers();
    layers.flat_map(move |layer| (0..shape.layer_words(layer)).map(move |at| word_mask(shape.width(layer), at)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_random_bits_without_padding() {
        let shape = Shape::new(&[40, 7, 64]).unwrap();
        let chains = PersistentChains::new(&shape, 3, 5, 200);
        assert_eq!((chains.len(), chains.state_words()), (200, shape.words()));
        let on: u32 = chains.words().iter().map(|word| word.count_ones()).sum();
        // 22,200 fair bits: five standard deviations are 373.
        assert!(on.abs_diff(11_100) < 373, "{on}");
        assert_eq!(PersistentChains::from_words(&shape, chains.words().to_vec()).as_ref(), Some(&chains));
        assert_ne!(chains, PersistentChains::new(&shape, 3, 6, 200));

        assert_eq!(PersistentChains::from_words(&shape, vec![0; shape.words() + 1]), None);
        let mut padded = vec![0; shape.words()];
        padded[2] = 1 << 7;
        assert_eq!(PersistentChains::from_words(&shape, padded), None);
    }
}
