//! Images: of small models, of a model for the board, and damaged ones.

use std::io::Write as _;

use bitboltz::{
    eval::random::random_parameters,
    image::{AlignedBytes, encode},
    quantise::Quantised,
    tensors::Tensors,
};
use bitboltz_core::{
    fixed::Scale,
    image::{Geometry, Image},
    weights::{Weight, WeightKind},
    with_weight,
};
pub use bitboltz_fuzz_bodies::reseal;

/// What has an image.
pub trait Encoded {
    /// Its bytes.
    ///
    /// # Panics
    /// If it is no model.
    fn image(&self) -> Vec<u8>;
}

impl<W: Weight> Encoded for Tensors<W> {
    fn image(&self) -> Vec<u8> {
        encode(&self.dbm().expect("a model"), self.geometry).expect("a small image")
    }
}

/// A power of two as a scale: 2^−`exponent`.
///
/// # Panics
/// If it is out of range.
pub fn scale(exponent: u32) -> Scale {
    Scale::from_bits((127 - exponent) << 23).expect("in range")
}

/// The worked example of `core/FORMAT.md`: 3-2-1 units, i8, two shifts.
///
/// # Panics
/// Never: its tensors fit.
pub fn example() -> Tensors<i8> {
    let weights = vec![vec![1, -2, 3, -4, 5, -6], vec![7, -8]];
    let biases = vec![vec![1, -2, 3], vec![4, -5], vec![6]];
    let geometry = Geometry { width: 3, height: 1, channels: 1, bits: 1 };
    Tensors::new(weights, vec![0, 3], biases, scale(4), geometry).expect("tensors that fit")
}

/// The shape of [`board`]: pictures of 28 × 28 pixels under two hidden layers, the second ending within a word.
pub const BOARD_WIDTHS: [usize; 3] = [784, 48, 24];

/// The image of a random model for the board, the same for the same seed. Its weights are strong enough that its modes
/// have structure, and its biases that they are neither empty nor full.
///
/// # Panics
/// If the parameters are no model, which they are.
pub fn board(kind: WeightKind, seed: u64) -> Vec<u8> {
    let geometry = Geometry { width: 28, height: 28, channels: 1, bits: 1 };
    let parameters = random_parameters(&BOARD_WIDTHS, 0.4, 0.6, seed).expect("a shape");
    match kind {
        WeightKind::F32 => encode(&parameters.dbm().expect("finite"), geometry),
        WeightKind::I8 => encode(&Quantised::<i8>::new(&parameters).expect("fits").dbm().expect("fits"), geometry),
        WeightKind::I4 => {
            let bytes = Quantised::<i8>::new(&parameters).expect("fits");
            let mut tensors = bytes.tensors().clone();
            // A sixteenth of the steps, each as wide as sixteen.
            tensors.weights.iter_mut().flatten().for_each(|weight| *weight = (*weight + 8).div_euclid(16).min(7));
            tensors.shifts.iter_mut().for_each(|shift| *shift += 4);
            encode(&tensors.to_nibbles().expect("small").dbm().expect("fits"), geometry)
        }
        WeightKind::I16 => encode(&Quantised::<i16>::new(&parameters).expect("fits").dbm().expect("fits"), geometry),
    }
    .expect("small")
}

/// The image of a random model of 8-bit weights, for a board that is too small for [`board`]: pictures of these many columns
/// and rows, under hidden layers of these widths.
///
/// # Panics
/// If it is no model.
pub fn small(widths: &[usize], [width, height]: [u16; 2], seed: u64) -> Vec<u8> {
    let geometry = Geometry { width, height, channels: 1, bits: 1 };
    let parameters = random_parameters(widths, 0.4, 0.6, seed).expect("a shape");
    encode(&Quantised::<i8>::new(&parameters).expect("fits").dbm().expect("fits"), geometry).expect("small")
}

/// A file of these bytes, for QEMU's loader. It goes when the result is dropped.
///
/// # Panics
/// If it cannot be written.
pub fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
    // The comma must survive QEMU's grammar.
    let mut file = tempfile::Builder::new().prefix("image,").tempfile().expect("a temporary file");
    file.write_all(bytes).expect("room on the disk");
    file
}

/// An image with some bytes replaced and the CRC made right again.
pub fn patched(image: &[u8], patches: &[(usize, &[u8])]) -> AlignedBytes {
    let mut image = image.to_vec();
    for (at, bytes) in patches {
        image[*at..at + bytes.len()].copy_from_slice(bytes);
    }
    reseal(&mut image);
    AlignedBytes::new(&image)
}

/// Whether an image is what its model is written as: no other bytes are the same model.
///
/// # Panics
/// If it is too large to be written.
pub fn is_the_only_one(image: &Image<'_>) -> bool {
    with_weight!(image.kind(), W => {
        let model = image.dbm::<W>().expect("checked when it was opened");
        encode(&model, image.geometry()).expect("it was one") == image.bytes()
    })
}
