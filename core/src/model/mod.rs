//! A deep Boltzmann machine: E(x) = − Σ_l b_l·x_l − Σ_l x_lᵀ W_l x_{l+1}, p(x) ∝ exp(−E(x)).

mod energy;
mod error;

pub use energy::Energy;
pub use error::{ModelError, Tensor};

use crate::{
    bits::{WORD_BITS, count_ones, ones_of_word, word_mask},
    connection::{Connection, Dense},
    fixed::Scale,
    kernels::Flips,
    shape::{MAX_CONNECTIONS, MAX_LAYERS, Shape, ShapeError},
    state::{Clamp, State},
    weights::Field,
};
use heapless::Vec;
use rand_core::Rng;

/// A deep Boltzmann machine over connections of type `C`. With one hidden layer it is a restricted Boltzmann machine.
///
/// It borrows its numbers and holds no state, so any number of chains can share it. Every method that takes a
/// [`State`] wants one of the model's own shape.
///
/// ```
/// use bitboltz_core::{connection::Dense, fixed::Scale, model::DenseDbm, state::State};
///
/// let weights = [1.0, -2.0, 0.5, 0.0, 3.0, -1.0];
/// let model = DenseDbm::new([Dense::new(&weights, 2, 3, 0).unwrap()], &[&[0.5, 0.5], &[0.0; 3]], Scale::ONE)?;
/// let (mut words, mut fields) = ([0; 2], [0.0; 5]);
/// let mut state = State::new(model.shape(), &mut words, &mut fields)?;
/// state.layer_mut(0).set(1, true);
/// state.layer_mut(1).set(1, true);
/// model.refresh(&mut state);
/// assert_eq!(state.layer_fields(1), [0.0, 3.0, -1.0]);
/// assert_eq!(model.energy(&state), -3.5);
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Dbm<'w, C: Connection> {
    shape: Shape,
    connections: Vec<C, MAX_CONNECTIONS>,
    biases: Vec<&'w [C::Field], MAX_LAYERS>,
    scale: Scale,
}

/// Checks that no field of a layer can leave 32 bits: with these bounds on what the layers below and above add
/// ([`Connection::bounds`]), and these biases.
///
/// # Errors
/// [`ModelError::Overflow`].
pub fn check_sums<F: Field>(layer: usize, below: u64, above: u64, bias: &[F]) -> Result<(), ModelError> {
    let largest = bias.iter().map(|b| b.magnitude()).max().unwrap_or(0);
    let bound = below.saturating_add(above).saturating_add(largest);
    if bound > i32::MAX as u64 { Err(ModelError::Overflow { layer, bound }) } else { Ok(()) }
}

/// A machine whose layers are fully connected.
pub type DenseDbm<'w, W> = Dbm<'w, Dense<'w, W>>;

impl<'w, C: Connection> Dbm<'w, C> {
    /// A machine from its connections, visible side first, and one bias vector for each layer. `scale` is the real
    /// value of one unit of an integer field ([`Scale::ONE`] for floats).
    ///
    /// # Errors
    /// Wrong number of tensors; a shape that does not fit its neighbours; a number that is not finite; integers whose
    /// largest possible field, Σ|W| + |b| by the type's range, does not fit 32 bits.
    pub fn new(
        connections: impl IntoIterator<Item = C>,
        biases: &[&'w [C::Field]],
        scale: Scale,
    ) -> Result<Self, ModelError> {
        let mut kept = Vec::new();
        for connection in connections {
            kept.push(connection).map_err(|_| ModelError::Shape(ShapeError::Layers { found: MAX_LAYERS + 1 }))?;
        }
        let biases =
            Vec::from_slice(biases).map_err(|_| ModelError::Shape(ShapeError::Layers { found: biases.len() }))?;
        if biases.len() != kept.len() + 1 {
            return Err(ModelError::Biases { expected: kept.len() + 1, found: biases.len() });
        }
        let mut widths = [0; MAX_LAYERS];
        for (width, bias) in widths.iter_mut().zip(&biases) {
            *width = bias.len();
        }
        let shape = Shape::new(&widths[..biases.len()]).map_err(ModelError::Shape)?;
        let model = Self { shape, connections: kept, biases, scale };
        model.check()?;
        Ok(model)
    }

    /// No machine yet, but a place for one: see [`Image::fill`](crate::image::Image). Nothing of it is moved afterwards, so
    /// that a small stack holds it once.
    pub(crate) fn empty(shape: &Shape, scale: Scale) -> Self {
        Self { shape: *shape, connections: Vec::new(), biases: Vec::new(), scale }
    }

    /// The connections and the biases, to be filled in.
    pub(crate) fn parts_mut(&mut self) -> (&mut Vec<C, MAX_CONNECTIONS>, &mut Vec<&'w [C::Field], MAX_LAYERS>) {
        (&mut self.connections, &mut self.biases)
    }

    /// Whether the tensors are of the shape, and no field can overflow.
    pub(crate) fn check(&self) -> Result<(), ModelError> {
        for (l, connection) in self.connections.iter().enumerate() {
            let (expected, found) =
                ([self.shape.width(l + 1), self.shape.width(l)], [connection.upper(), connection.lower()]);
            if expected != found {
                return Err(ModelError::Weights { tensor: Tensor::Weight(l), expected, found });
            }
            if !connection.is_finite() {
                return Err(ModelError::NotFinite { tensor: Tensor::Weight(l) });
            }
        }
        for (l, bias) in self.biases.iter().enumerate() {
            if !bias.iter().all(|b| b.is_finite()) {
                return Err(ModelError::NotFinite { tensor: Tensor::Bias(l) });
            }
            let below =
                l.checked_sub(1).and_then(|l| self.connections.get(l)).map_or(0, |connection| connection.bounds().0);
            let above = self.connections.get(l).map_or(0, |connection| connection.bounds().1);
            check_sums(l, below, above, bias)?;
        }
        Ok(())
    }

    /// The layer widths.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The connections, visible side first.
    pub fn connections(&self) -> &[C] {
        &self.connections
    }

    /// The bias of each layer, visible layer first.
    pub fn biases(&self) -> &[&'w [C::Field]] {
        &self.biases
    }

    /// The real value of one unit of an integer field.
    pub fn scale(&self) -> Scale {
        self.scale
    }

    /// Computes all fields from the bits: a_i = b_i + Σ_j W_ij x_j over both neighbouring layers.
    ///
    /// # Panics
    /// If the state has another shape than the model.
    #[inline(never)]
    pub fn refresh(&self, state: &mut State<'_, C::Field>) {
        assert!(*state.shape() == self.shape, "a state of the model's shape");
        let on = (0..self.shape.layers())
            .map(|l| u64::from(count_ones(state.layer_words(l))) * self.shape.neighbours(l) as u64);
        let touched = on.sum();
        state.count_touched(touched);
        let (words, fields) = state.parts_mut();
        for (l, bias) in self.biases.iter().enumerate() {
            let fields = fields.get_mut(self.shape.unit_range(l)).unwrap_or_default();
            fields.iter_mut().zip(*bias).for_each(|(field, &bias)| *field = bias);
        }
        for (l, connection) in self.connections.iter().enumerate() {
            let bits = words.get(self.shape.word_range(l)).unwrap_or_default();
            connection.add_to_upper(bits, fields.get_mut(self.shape.unit_range(l + 1)).unwrap_or_default());
        }
        for (l, connection) in self.connections.iter().enumerate() {
            let bits = words.get(self.shape.word_range(l + 1)).unwrap_or_default();
            connection.add_to_lower(bits, fields.get_mut(self.shape.unit_range(l)).unwrap_or_default());
        }
    }

    /// Sets word `index` of a layer to `new` and moves the neighbours' fields by the units that flipped; returns how
    /// many did. Bits beyond the layer are ignored.
    pub fn set_word(&self, state: &mut State<'_, C::Field>, layer: usize, index: usize, new: u32) -> u32 {
        let Some(&old) = state.layer_words(layer).get(index) else { return 0 };
        let (flip, mut flips) = ((old ^ new) & word_mask(self.shape.width(layer), index), Flips::default());
        self.flip_word(state, layer, [self.shape.word_range(layer).start + index, index], flip, &mut flips);
        self.settle(state, layer, &mut flips);
        flip.count_ones()
    }

    /// Flips units of a word, by its place in the state and in its layer, which exist, but leaves the last of them in `flips`, for
    /// [`settle`](Self::settle): whoever changes a whole layer moves its neighbours' fields by many flips at a time. Until
    /// then only fields of the layer itself are right.
    pub(crate) fn flip_word(
        &self,
        state: &mut State<'_, C::Field>,
        layer: usize,
        [at, index]: [usize; 2],
        flip: u32,
        flips: &mut Flips,
    ) {
        let Some(word) = state.words_mut().get_mut(at) else { return };
        *word ^= flip;
        let new = *word;
        for bit in ones_of_word(flip) {
            let (unit, on) = (index * WORD_BITS + bit, new >> bit & 1 == 1);
            if flips.is_full() {
                self.settle(state, layer, flips);
            }
            let _ = flips.push(unit, on);
        }
    }

    /// Moves the fields of a layer's neighbours by the flips, and forgets them.
    pub(crate) fn settle(&self, state: &mut State<'_, C::Field>, layer: usize, flips: &mut Flips) {
        if flips.is_empty() {
            return;
        }
        state.count_touched(flips.len() as u64 * self.shape.neighbours(layer) as u64);
        let (_, fields) = state.parts_mut();
        if let Some(above) = self.connections.get(layer) {
            above.move_upper(flips, fields.get_mut(self.shape.unit_range(layer + 1)).unwrap_or_default());
        }
        if let Some(below) = layer.checked_sub(1).and_then(|l| self.connections.get(l)) {
            below.move_lower(flips, fields.get_mut(self.shape.unit_range(layer - 1)).unwrap_or_default());
        }
        flips.clear();
    }

    /// Sets every free unit to a uniform random bit. Draws one word for each word of state.
    pub fn randomise<R: Rng>(&self, state: &mut State<'_, C::Field>, clamp: &Clamp<'_>, rng: &mut R) {
        self.randomise_bits(state.words_mut(), clamp, rng);
        self.refresh(state);
    }

    fn randomise_bits<R: Rng>(&self, words: &mut [u32], clamp: &Clamp<'_>, rng: &mut R) {
        for layer in 0..self.shape.layers() {
            for (index, at) in self.shape.word_range(layer).enumerate() {
                let free = word_mask(self.shape.width(layer), index) & !clamp.word(at);
                let drawn = rng.next_u32() & free;
                if let Some(word) = words.get_mut(at) {
                    *word = *word & !free | drawn;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::{string::ToString as _, vec::Vec as Heap};

    fn dense<W: crate::weights::Weight<Packed = W>>(weights: &[W], lower: usize, upper: usize) -> Dense<'_, W> {
        Dense::new(weights, lower, upper, 0).unwrap()
    }

    #[test]
    fn tensors_that_are_no_model_are_refused_with_the_reason() {
        static W: [i8; 6] = [1; 6];
        static B: [i32; 3] = [0; 3];
        let (w, b): (&'static [i8], &'static [i32]) = (&W, &B);
        let error = |connections: &[Dense<'static, i8>], biases: &[&'static [i32]]| {
            Dbm::new(connections.iter().copied(), biases, Scale::ONE).unwrap_err().to_string()
        };
        assert_eq!(error(&[dense(w, 2, 3)], &[&b[..2]]), "expected 2 bias vectors, found 1");
        assert_eq!(error(&[], &[b]), "expected 2 to 8 layers, found 1");
        assert_eq!(error(&[dense(&w[..1], 1, 1); 8], &[&b[..1]; 9]), "expected 2 to 8 layers, found 9");
        assert_eq!(error(&[dense(w, 2, 3)], &[b, b]), "weight.0: expected shape [3, 3], found [3, 2]");
        assert_eq!(error(&[dense(w, 2, 3)], &[&b[..2], &[]]), "layer 1: expected 1 to 65536 units, found 0");
        assert_eq!(
            error(&[dense(w, 2, 3)], &[&b[..2], &[0, i32::MAX, 0]]),
            "layer 1: fields up to 2147483903 do not fit 32 bits; use a smaller shift or fewer units"
        );
        let nan = Dbm::new([dense(&[f32::NAN], 1, 1)], &[&[0.0], &[0.0]], Scale::ONE).unwrap_err();
        assert_eq!(nan.to_string(), "weight.0: a number is not finite");
        let infinite = Dbm::new([dense(&[1.0f32], 1, 1)], &[&[0.0], &[f32::INFINITY]], Scale::ONE).unwrap_err();
        assert_eq!(infinite.to_string(), "bias.1: a number is not finite");
    }

    #[test]
    fn matrices_of_the_wrong_size_are_none() {
        let w = [0i8; 6];
        for (lower, upper, shift) in [(2, 2, 0), (0, 6, 0), (usize::MAX, 2, 0), (2, 3, 16)] {
            assert!(Dense::new(&w, lower, upper, shift).is_none(), "{lower} × {upper} << {shift}");
        }
        assert!(Dense::<i8>::new(&[], 0, 3, 0).is_none());
        assert!(Dense::new(&w, 2, 3, 15).is_some());
    }

    #[test]
    fn flips_keep_the_fields_and_ignore_bits_beyond_the_layer() {
        let weights: Heap<i16> = (0..34 * 5 + 5 * 2).map(|i| (i * 7919 % 2001 - 1000) as i16).collect();
        let (w0, w1) = weights.split_at(34 * 5);
        let biases: [&[i32]; 3] = [&[3; 34], &[-5; 5], &[7; 2]];
        let model = Dbm::new([dense(w0, 34, 5), dense(w1, 5, 2)], &biases, Scale::ONE).unwrap();
        let (mut words, mut fields) = ([0; 4], [0; 41]);
        let mut state = State::new(model.shape(), &mut words, &mut fields).unwrap();
        model.refresh(&mut state);
        assert_eq!(model.set_word(&mut state, 0, 1, u32::MAX), 2);
        assert_eq!(model.set_word(&mut state, 0, 0, 0x8001_0003), 4);
        assert_eq!(model.set_word(&mut state, 1, 0, u32::MAX), 5);
        assert_eq!(model.set_word(&mut state, 2, 0, 2), 1);
        assert_eq!(model.set_word(&mut state, 0, 0, 0x8000_0003), 1);
        for (layer, index) in [(0, 2), (3, 0), (usize::MAX, 0), (1, usize::MAX)] {
            assert_eq!(model.set_word(&mut state, layer, index, 1), 0);
        }
        assert_eq!(state.words(), [0x8000_0003, 3, 31, 2]);
        // Seven flips below of five weights each, five of 34 + 2, one of 5.
        assert_eq!(state.weights_touched(), 7 * 5 + 5 * 36 + 5);
        let kept = Heap::from(state.fields());
        assert_eq!(model.real_energy(&state), model.direct_energy(&state));
        model.refresh(&mut state);
        assert_eq!(kept, state.fields());
        // Five units on in the first layer, five in the second, one in the last.
        assert_eq!(state.weights_touched(), 7 * 5 + 5 * 36 + 5 + 5 * 5 + 5 * 36 + 5);
        assert_eq!(model.free_energy(&state), None);
    }

    #[test]
    #[should_panic(expected = "a state of the model's shape")]
    fn a_state_of_another_shape_is_a_mistake() {
        let weights = [1i8; 6];
        let model = Dbm::new([dense(&weights, 2, 3)], &[&[0; 2], &[0; 3]], Scale::ONE).unwrap();
        // As many units, and as many words.
        let other = Shape::new(&[3, 2]).unwrap();
        let (mut words, mut fields) = ([0; 2], [0; 5]);
        model.refresh(&mut State::new(&other, &mut words, &mut fields).unwrap());
    }
}
