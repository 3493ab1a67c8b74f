//! Small machines of every weight type, and units to hold.

use bitboltz::{
    eval::{exact::Given, random::random_parameters},
    tensors::{Tensors, pack},
};
use bitboltz_core::{
    fixed::Scale,
    image::Geometry,
    shape::Shape,
    state::{Clamp, State},
    weights::{Field, I4, Weight},
};

/// Machines with 1, 2 and 3 hidden layers, and a single unit at either end: at most 512 states.
pub const SMALL: &[&[usize]] = &[&[4, 3], &[3, 3, 3], &[3, 2, 2, 2], &[1, 4, 1]];

/// Machines whose layers end within a word, at its end, and behind it: too large to enumerate.
pub const WIDE: &[&[usize]] = &[&[33, 32], &[40, 31, 65], &[5, 64, 3, 33]];

/// A weight type that tests round to by force: with shifts that they choose, and one scale for all matrices. What the
/// program itself rounds by is [`Quantised`](bitboltz::quantise::Quantised).
pub trait Rounding: Weight<Field: Send + Sync> {
    /// Largest weight, if there is one.
    const LARGEST: Option<f64>;

    /// The nearest weight.
    fn weight(value: f64) -> Self;

    /// The nearest field.
    fn field(value: f64) -> Self::Field;
}

impl Rounding for f32 {
    const LARGEST: Option<f64> = None;

    fn weight(value: f64) -> Self {
        value as Self
    }

    fn field(value: f64) -> f32 {
        value as f32
    }
}

impl Rounding for i16 {
    const LARGEST: Option<f64> = Some(32_767.0);

    fn weight(value: f64) -> Self {
        value.round() as Self
    }

    fn field(value: f64) -> i32 {
        value.round() as i32
    }
}

impl Rounding for i8 {
    const LARGEST: Option<f64> = Some(127.0);

    fn weight(value: f64) -> Self {
        value.round() as Self
    }

    fn field(value: f64) -> i32 {
        value.round() as i32
    }
}

impl Rounding for I4 {
    const LARGEST: Option<f64> = Some(7.0);

    fn weight(value: f64) -> Self {
        Self::new(value.round() as i8).expect("within the range")
    }

    fn field(value: f64) -> i32 {
        value.round() as i32
    }
}

/// A random machine: weights from N(0, std²), biases from N(0, std²/4), rounded to `W` by the finest scale that all
/// weights fit. Every second matrix of integers is shifted by one bit, so that shifts take part in every test. The
/// visible units are a picture of one row.
///
/// # Panics
/// If the widths are no shape, or integers cannot hold the weights with a scale below 1.
pub fn machine<W: Rounding>(widths: &[usize], std: f64, seed: u64) -> Tensors<W> {
    let parameters = random_parameters(widths, std, std / 2.0, seed).expect("a shape");
    let (matrices, biases) = (parameters.weights(), parameters.biases());
    let shifts: Vec<u32> = (0..matrices.len()).map(|l| l as u32 % 2).collect();
    // What a matrix's integers are worth, in units of the scale.
    let worth = |l: usize| if W::LARGEST.is_some() { f64::from(1 << shifts[l]) } else { 1.0 };
    let scale = W::LARGEST.map_or(Scale::ONE, |limit| {
        let steps = matrices.iter().enumerate().map(|(l, matrix)| {
            let largest = matrix.iter().fold(0.0, |largest, w| f64::from(w.abs()).max(largest));
            largest / (limit * worth(l))
        });
        // The next float above, so that rounding the scale cannot push the largest weight beyond its type.
        let scale = (steps.fold(f64::from(f32::EPSILON), f64::max) as f32).next_up();
        Scale::from_bits(scale.to_bits()).expect("small weights")
    });
    let unit = f64::from(scale.to_f32());
    let rounded = |(l, matrix): (usize, &Vec<f32>)| {
        let weights: Vec<W> = matrix.iter().map(|&w| W::weight(f64::from(w) / (unit * worth(l)))).collect();
        pack(&weights, widths[l + 1])
    };
    let weights = matrices.iter().enumerate().map(rounded).collect();
    let biases = biases.iter().map(|bias| bias.iter().map(|&b| W::field(f64::from(b) / unit)).collect()).collect();
    let geometry = Geometry { width: widths[0] as u16, height: 1, channels: 1, bits: 1 };
    Tensors::new(weights, shifts, biases, scale, geometry).expect("of the parameters' shape")
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
