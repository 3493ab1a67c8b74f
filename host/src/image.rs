//! Writes flash images (`.bbz`), and holds them aligned in memory. The format is in `core/FORMAT.md`.

use bitboltz_core::{
    image::{CRC32, Geometry, HEADER_BYTES, Image, ImageError, MAGIC, VERSION, image_bytes, prefix_bytes},
    model::DenseDbm,
    weights::Weight,
};
use thiserror::Error;

/// The model does not fit the 4 GiB that an image's header can state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("an image of {bytes} bytes does not fit the format's 4 GiB")]
pub struct TooLarge {
    /// Bytes needed.
    pub bytes: u64,
}

/// The bytes of a model's image.
///
/// # Errors
/// [`TooLarge`].
pub fn encode<W: Weight>(model: &DenseDbm<'_, W>, geometry: Geometry) -> Result<Vec<u8>, TooLarge> {
    let shape = model.shape();
    let bytes = image_bytes(shape, W::KIND);
    let length = u32::try_from(bytes).map_err(|_| TooLarge { bytes })?;
    let mut out = Vec::with_capacity(length as usize);
    out.extend(MAGIC);
    out.extend(VERSION.to_le_bytes());
    out.push(W::KIND as u8);
    out.push(shape.layers() as u8);
    out.extend(length.to_le_bytes());
    out.extend(model.scale().to_bits().to_le_bytes());
    out.extend(geometry.width.to_le_bytes());
    out.extend(geometry.height.to_le_bytes());
    out.extend([geometry.channels, geometry.bits, 0, 0]);
    debug_assert_eq!(out.len(), HEADER_BYTES);
    shape.widths().for_each(|width| out.extend((width as u32).to_le_bytes()));
    out.extend(model.connections().iter().map(|connection| connection.shift() as u8));
    out.resize(prefix_bytes(shape.layers()), 0);
    model.biases().iter().for_each(|bias| out.extend_from_slice(bytemuck::cast_slice(bias)));
    for connection in model.connections() {
        out.extend_from_slice(bytemuck::cast_slice(connection.weights()));
        out.resize(out.len().next_multiple_of(4), 0);
    }
    let crc = CRC32.checksum(&out);
    out.extend(crc.to_le_bytes());
    debug_assert_eq!(out.len() as u64, bytes);
    Ok(out)
}

/// The bytes of a file, at an address that is a multiple of 4, as an image must be.
#[derive(Clone, Debug)]
pub struct AlignedBytes {
    words: Vec<u32>,
    length: usize,
}

impl AlignedBytes {
    /// A copy of `bytes`.
    pub fn new(bytes: &[u8]) -> Self {
        let mut words = vec![0u32; bytes.len().div_ceil(4)];
        bytemuck::cast_slice_mut(&mut words)[..bytes.len()].copy_from_slice(bytes);
        Self { words, length: bytes.len() }
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.words)[..self.length]
    }

    /// The image in them.
    ///
    /// # Errors
    /// See [`Image::open`].
    pub fn image(&self) -> Result<Image<'_>, ImageError> {
        Image::open(self.bytes())
    }
}
