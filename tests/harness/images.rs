//! Small models, their images, and the other end of a session.

use bitboltz::image::{AlignedBytes, encode};
use bitboltz_core::{
    connection::Dense,
    fixed::Scale,
    image::{CRC32, Geometry},
    model::DenseDbm,
    rng::{Rng as _, stream},
    session::{
        Session,
        frame::{self, Receiver},
        message::{Call, Request},
    },
    weights::Weight,
};

/// The tensors of a model, owned.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensors<W: Weight> {
    /// Matrix l: a row for each unit of layer l.
    pub weights: Vec<Vec<W>>,
    /// One shift for each matrix.
    pub shifts: Vec<u32>,
    /// One vector for each layer.
    pub biases: Vec<Vec<W::Field>>,
    /// What one unit of an integer field is worth.
    pub scale: Scale,
    /// How the visible units make up a picture.
    pub geometry: Geometry,
}

impl<W: Weight> Tensors<W> {
    /// The tensors of an existing model.
    pub fn of(model: &DenseDbm<'_, W>, geometry: Geometry) -> Self {
        Self {
            weights: model.connections().iter().map(|c| c.weights().to_vec()).collect(),
            shifts: model.connections().iter().map(Dense::shift).collect(),
            biases: model.biases().iter().map(|bias| bias.to_vec()).collect(),
            scale: model.scale(),
            geometry,
        }
    }

    /// The model over them.
    ///
    /// # Panics
    /// If they are no model.
    pub fn dbm(&self) -> DenseDbm<'_, W> {
        let connections = self.weights.iter().enumerate().map(|(l, matrix)| {
            Dense::new(matrix, self.biases[l].len(), self.biases[l + 1].len(), self.shifts[l]).expect("a matrix")
        });
        let biases: Vec<&[W::Field]> = self.biases.iter().map(Vec::as_slice).collect();
        DenseDbm::new(connections, &biases, self.scale).expect("a model")
    }

    /// The bytes of their image.
    ///
    /// # Panics
    /// If they are no model.
    pub fn image(&self) -> Vec<u8> {
        encode(&self.dbm(), self.geometry).expect("a small image")
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
pub fn example() -> Tensors<i8> {
    Tensors {
        weights: vec![vec![1, -2, 3, -4, 5, -6], vec![7, -8]],
        shifts: vec![0, 3],
        biases: vec![vec![1, -2, 3], vec![4, -5], vec![6]],
        scale: scale(4),
        geometry: Geometry { width: 3, height: 1, channels: 1, bits: 1 },
    }
}

/// A model with reproducible random weights of up to about ±4, whatever the type: `of` makes a weight and a bias
/// from an integer in −127 ..= 127.
pub fn random<W: Weight>(widths: &[usize], seed: u64, scale: Scale, of: fn(i8) -> (W, W::Field)) -> Tensors<W> {
    let mut rng = stream(seed, 0);
    let mut number = || (rng.next_u32() % 255) as i32 as i16;
    let mut draw = || of((number() - 127) as i8);
    Tensors {
        weights: widths.windows(2).map(|w| (0..w[0] * w[1]).map(|_| draw().0).collect()).collect(),
        shifts: (1..widths.len()).map(|l| l as u32 % 2).collect(),
        biases: widths.iter().map(|&width| (0..width).map(|_| draw().1).collect()).collect(),
        scale,
        geometry: Geometry { width: widths[0] as u16, height: 1, channels: 1, bits: 1 },
    }
}

/// [`random`] in 8 bits.
pub fn random_i8(widths: &[usize], seed: u64) -> Tensors<i8> {
    random(widths, seed, scale(5), |n| (n, i32::from(n)))
}

/// [`random`] in 16 bits.
pub fn random_i16(widths: &[usize], seed: u64) -> Tensors<i16> {
    random(widths, seed, scale(12), |n| (i16::from(n) * 129, i32::from(n) * 77))
}

/// [`random`] in floats.
pub fn random_f32(widths: &[usize], seed: u64) -> Tensors<f32> {
    random(widths, seed, Scale::ONE, |n| (f32::from(n) / 37.0, f32::from(n) / 41.0))
}

/// Writes the CRC that the bytes before it have.
///
/// # Panics
/// If there is no room for a CRC.
pub fn reseal(image: &mut [u8]) {
    let (body, crc) = image.split_last_chunk_mut::<4>().expect("room for a CRC");
    *crc = CRC32.checksum(body).to_le_bytes();
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

/// The frame of a request.
///
/// # Panics
/// If the request has more than a mebibyte.
pub fn request_frame(seq: u32, request: Request<'_>) -> Vec<u8> {
    let (mut scratch, mut bytes) = (vec![0; 1 << 20], vec![0; 1 << 21]);
    let length = frame::encode(&Call { seq, request }, &mut scratch, &mut bytes).expect("a short request");
    bytes.truncate(length);
    bytes
}

/// Feeds bytes to a session and returns the messages of all frames that it sends.
///
/// # Panics
/// If it sends anything but whole, undamaged frames.
pub fn feed<W: Weight>(session: &mut Session<'_, W>, bytes: &[u8]) -> Vec<Vec<u8>> {
    bytes.iter().filter_map(|&byte| session.receive(byte).map(message)).collect()
}

/// The message of one whole frame.
///
/// # Panics
/// If it is anything else.
pub fn message(frame: &[u8]) -> Vec<u8> {
    let mut buffer = vec![0; frame.len()];
    let mut receiver = Receiver::new(&mut buffer);
    let (last, before) = frame.split_last().expect("a frame");
    assert!(before.iter().all(|&byte| receiver.push(byte).is_none()), "a zero within a frame");
    receiver.push(*last).expect("a frame ends with a zero").expect("undamaged").to_vec()
}
