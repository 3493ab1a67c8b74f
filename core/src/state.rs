//! The state of one chain in the caller's buffers, and the mask of units that stay as they are.

use crate::{
    bits::{Bits, view, view_mut},
    shape::Shape,
    weights::Field,
};

/// Bits and fields of every layer, in buffers that the caller owns.
///
/// The fields belong to the bits: [`Dbm`](crate::model::Dbm) keeps them so with every flip. After bits were edited
/// directly, call [`Dbm::refresh`](crate::model::Dbm::refresh).
#[derive(Debug)]
pub struct State<'b, F> {
    shape: Shape,
    words: &'b mut [u32],
    fields: &'b mut [F],
    touched: u64,
}

/// A buffer is shorter than the shape needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct BufferTooSmall {
    /// Elements needed.
    pub needed: usize,
    /// Elements found.
    pub found: usize,
}

impl core::fmt::Display for BufferTooSmall {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "buffer too small: {} elements needed, {} found", self.needed, self.found)
    }
}

impl core::error::Error for BufferTooSmall {}

fn first<T>(buffer: &mut [T], needed: usize) -> Result<&mut [T], BufferTooSmall> {
    let found = buffer.len();
    buffer.get_mut(..needed).ok_or(BufferTooSmall { needed, found })
}

impl<'b, F: Field> State<'b, F> {
    /// All units off. Call [`Dbm::refresh`](crate::model::Dbm::refresh) before the first step.
    ///
    /// `words` holds at least [`Shape::words`] words, `fields` at least [`Shape::units`] fields.
    ///
    /// # Errors
    /// [`BufferTooSmall`].
    pub fn new(shape: &Shape, words: &'b mut [u32], fields: &'b mut [F]) -> Result<Self, BufferTooSmall> {
        let words = first(words, shape.words())?;
        let fields = first(fields, shape.units())?;
        words.fill(0);
        fields.fill(F::default());
        Ok(Self { shape: *shape, words, fields, touched: 0 })
    }

    /// The layer widths.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// All bits, packed: [`Shape::words`] words.
    pub fn words(&self) -> &[u32] {
        self.words
    }

    /// All bits, to edit; padding must stay zero.
    pub fn words_mut(&mut self) -> &mut [u32] {
        self.words
    }

    /// All fields: [`Shape::units`] fields.
    pub fn fields(&self) -> &[F] {
        self.fields
    }

    /// The bits of a layer, 0 = visible; empty for a layer that does not exist.
    pub fn layer(&self, layer: usize) -> &Bits {
        view(self.layer_words(layer), self.shape.width(layer))
    }

    /// The bits of a layer, to edit.
    pub fn layer_mut(&mut self, layer: usize) -> &mut Bits {
        let width = self.shape.width(layer);
        view_mut(&mut self.words[self.shape.word_range(layer)], width)
    }

    /// The packed bits of a layer.
    pub fn layer_words(&self, layer: usize) -> &[u32] {
        self.words.get(self.shape.word_range(layer)).unwrap_or_default()
    }

    /// The fields of a layer.
    pub fn layer_fields(&self, layer: usize) -> &[F] {
        self.fields.get(self.shape.unit_range(layer)).unwrap_or_default()
    }

    /// Weights that were added to or subtracted from the fields since the state was made: those of each unit that flipped,
    /// and of each that was on when all fields were computed. What the time of a search or a sweep is measured by.
    pub fn weights_touched(&self) -> u64 {
        self.touched
    }

    pub(crate) fn count_touched(&mut self, weights: u64) {
        self.touched = self.touched.wrapping_add(weights);
    }

    /// Becomes a copy of a state of the same shape, fields included.
    ///
    /// # Panics
    /// If the other state has another shape.
    pub fn copy_from(&mut self, other: &State<'_, F>) {
        assert!(self.shape == other.shape, "a state is copied into one of its own shape");
        self.words.copy_from_slice(other.words);
        self.fields.copy_from_slice(other.fields);
    }

    pub(crate) fn parts_mut(&mut self) -> (&mut [u32], &mut [F]) {
        (self.words, self.fields)
    }
}

/// Which units keep their value in every search and step: known pixels, labels, or the whole visible layer in the
/// positive phase. A mask only: the values are those of the state.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clamp<'m> {
    mask: Option<&'m [u32]>,
}

impl<'m> Clamp<'m> {
    /// Every unit is free.
    pub const fn none() -> Self {
        Self { mask: None }
    }

    /// The units whose bits are on in `mask` are clamped. `mask` is packed like a state: [`Shape::words`] words.
    ///
    /// # Errors
    /// [`BufferTooSmall`] for a shorter mask.
    pub fn new(shape: &Shape, mask: &'m [u32]) -> Result<Self, BufferTooSmall> {
        match mask.get(..shape.words()) {
            Some(mask) => Ok(Self { mask: Some(mask) }),
            None => Err(BufferTooSmall { needed: shape.words(), found: mask.len() }),
        }
    }

    /// A mask whose length was checked before.
    pub(crate) const fn over(mask: &'m [u32]) -> Self {
        Self { mask: Some(mask) }
    }

    /// The clamped bits of a word of state.
    #[inline]
    pub fn word(&self, index: usize) -> u32 {
        self.mask.and_then(|mask| mask.get(index)).copied().unwrap_or(0)
    }
}

/// Writes a mask that clamps whole layers and frees the others.
///
/// # Panics
/// If `mask` is shorter than [`Shape::words`].
pub fn clamp_layers(shape: &Shape, mask: &mut [u32], clamped: impl Fn(usize) -> bool) {
    for layer in 0..shape.layers() {
        mask[shape.word_range(layer)].fill(if clamped(layer) { u32::MAX } else { 0 });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_buffers_and_masks_are_refused_and_long_ones_cut() {
        let shape = Shape::new(&[33, 2]).unwrap();
        let error = |needed, found| Some(BufferTooSmall { needed, found });
        assert_eq!(State::<i32>::new(&shape, &mut [0; 2], &mut [0; 35]).err(), error(3, 2));
        assert_eq!(State::<i32>::new(&shape, &mut [0; 3], &mut [0; 34]).err(), error(35, 34));
        assert_eq!(Clamp::new(&shape, &[0; 2]).err(), error(3, 2));
        let (mut words, mut fields) = ([7; 9], [7; 40]);
        let state = State::<i32>::new(&shape, &mut words, &mut fields).unwrap();
        assert_eq!((state.words(), state.fields()), (&[0; 3][..], &[0; 35][..]));
        assert_eq!((state.layer(0).len(), state.layer(1).len(), state.layer(2).len()), (33, 2, 0));
    }

    /// Copies a state of widths 3-2 into one of these widths.
    fn copied(widths: &[usize; 2]) -> [u32; 2] {
        let (mut a, mut b, mut one, mut two) = ([1; 2], [2; 2], [0; 5], [0; 5]);
        let mut x = State::<i32>::new(&Shape::new(widths).unwrap(), &mut a, &mut one).unwrap();
        let mut y = State::<i32>::new(&Shape::new(&[3, 2]).unwrap(), &mut b, &mut two).unwrap();
        y.words_mut().fill(1);
        x.copy_from(&y);
        a
    }

    #[test]
    fn states_of_the_same_shape_are_copied() {
        assert_eq!(copied(&[3, 2]), [1; 2]);
    }

    #[test]
    #[should_panic(expected = "its own shape")]
    fn states_of_another_shape_are_not() {
        copied(&[2, 3]);
    }

    #[test]
    fn whole_layers_are_clamped() {
        let shape = Shape::new(&[33, 2, 1]).unwrap();
        let mut mask = [5; 4];
        clamp_layers(&shape, &mut mask, |layer| layer != 1);
        assert_eq!(mask, [u32::MAX, u32::MAX, 0, u32::MAX]);
        let clamp = Clamp::new(&shape, &mask).unwrap();
        assert_eq!((clamp.word(1), clamp.word(2), clamp.word(9), Clamp::none().word(0)), (u32::MAX, 0, 0, 0));
    }
}
