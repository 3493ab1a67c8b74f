//! Small machines of every weight type, and units to hold.

use bitboltz::eval::{
    exact::Given,
    random::random_parameters,
    rounded::{Rounded, Rounding},
};
use bitboltz_core::{
    shape::Shape,
    state::{Clamp, State},
    weights::Field,
};

/// Machines with 1, 2 and 3 hidden layers, and a single unit at either end: at most 512 states.
pub const SMALL: &[&[usize]] = &[&[4, 3], &[3, 3, 3], &[3, 2, 2, 2], &[1, 4, 1]];

/// Machines whose layers end within a word, at its end, and behind it: too large to enumerate.
pub const WIDE: &[&[usize]] = &[&[33, 32], &[40, 31, 65], &[5, 64, 3, 33]];

/// A random machine: weights from N(0, std²), biases from N(0, std²/4), rounded to `W`. The second matrix of integers
/// is shifted by one bit, so that shifts take part in every test.
pub fn machine<W: Rounding>(widths: &[usize], std: f64, seed: u64) -> Rounded<W> {
    let parameters = random_parameters(widths, std, std / 2.0, seed).expect("a shape");
    Rounded::new(&parameters, &[0, 1]).expect("small weights")
}

/// Units that are held: for the oracle as a code, for the core as a mask.
#[derive(Clone, Debug)]
pub struct Held {
    /// The same for the oracle.
    pub given: Given,
    shape: Shape,
    mask: Vec<u32>,
}

impl Held {
    /// Holds the units of a code.
    pub fn new(shape: &Shape, given: Given) -> Self {
        let mask = (0..shape.layers()).map(|l| {
            let units = shape.unit_range(l);
            given.mask >> units.start & ((1 << units.len()) - 1)
        });
        Self { given, shape: *shape, mask: mask.collect() }
    }

    /// Nothing, the visible layer, the whole odd block but one unit, and a bit of every layer.
    pub fn all(shape: &Shape) -> [Self; 4] {
        let hidden = shape.unit_range(1);
        let odd = ((1 << hidden.len()) - 2) << hidden.start;
        let some = (0..shape.layers()).fold(0, |mask, l| mask | 1 << shape.unit_range(l).start);
        [
            Given::NOTHING,
            Given::visible(shape, 0b1101),
            Given { mask: odd, values: 0b0101_1010 },
            Given { mask: some, values: 0b1100_1011 },
        ]
        .map(|given| Self::new(shape, given))
    }

    /// The mask, for the core.
    pub fn clamp(&self) -> Clamp<'_> {
        Clamp::new(&self.shape, &self.mask).expect("one word a layer")
    }

    /// Writes the held values into a state. The fields must be refreshed.
    pub fn apply<F: Field>(&self, state: &mut State<'_, F>) {
        let code = bitboltz::eval::exact::read_code(state);
        let Given { mask, values } = self.given;
        bitboltz::eval::exact::write_code(code & !mask | values & mask, state);
    }
}
