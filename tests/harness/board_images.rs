//! Images of small models for the board, and what else QEMU's loader may find in a file.

use bitboltz::{image::encode, parameters::Parameters, quantise::Quantised};
use bitboltz_core::{
    image::Geometry,
    rng::{Rng as _, stream},
    weights::WeightKind,
};
use std::io::Write as _;

/// The shape of [`image`]: pictures of 28 × 28 pixels under two hidden layers, the second ending within a word.
pub const WIDTHS: [usize; 3] = [784, 48, 24];

/// The image of a random model, the same for the same seed. Its weights are strong enough that its modes have structure,
/// and its biases that they are neither empty nor full.
///
/// # Panics
/// If the parameters are no model, which they are.
pub fn image(kind: WeightKind, seed: u64) -> Vec<u8> {
    let geometry = Geometry { width: 28, height: 28, channels: 1, bits: 1 };
    let mut rng = stream(seed, 0);
    // Uniform within ±`size`, on a grid of 2⁻²³: floats that every machine rounds alike.
    let mut numbers = |count: usize, size: f32| {
        (0..count).map(|_| (rng.next_u32() >> 8) as f32 / 8_388_608.0 - 1.0).map(|x| x * size).collect()
    };
    let weights = WIDTHS.windows(2).map(|pair| numbers(pair[0] * pair[1], 0.7)).collect();
    let biases = WIDTHS.iter().map(|&width| numbers(width, 1.0)).collect();
    let parameters = Parameters::new(weights, biases, geometry).expect("a model");
    match kind {
        WeightKind::F32 => encode(&parameters.dbm().expect("finite"), geometry),
        WeightKind::I8 => encode(&Quantised::<i8>::new(&parameters).expect("fits").dbm().expect("fits"), geometry),
        WeightKind::I16 => encode(&Quantised::<i16>::new(&parameters).expect("fits").dbm().expect("fits"), geometry),
    }
    .expect("small")
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
