//! The flash image of a model (`.bbz`): read in place, checked before use. `FORMAT.md` specifies the bytes.
//!
//! [`Image::open`] refuses anything that is not one whole, undamaged model, with the reason; after it has succeeded,
//! nothing about the image can fail.

use crc::{CRC_32_ISO_HDLC, Crc};
use serde::{Deserialize, Serialize};

mod error;
mod stored;

pub use error::ImageError;
pub use stored::Stored;

use crate::{
    connection::{Dense, Integer, MAX_SHIFT},
    fixed::Scale,
    model::{Dbm, DenseDbm},
    shape::{MAX_CONNECTIONS, MAX_LAYERS, Shape, ShapeError},
    weights::{Weight, WeightKind},
    with_connection,
};

#[cfg(target_endian = "big")]
compile_error!("images are little-endian and read in place");

/// The first bytes of an image.
pub const MAGIC: [u8; 4] = *b"\x89BBZ";
/// The version that this crate reads.
pub const VERSION: u16 = 1;
/// Bytes before the layer widths.
pub const HEADER_BYTES: usize = 24;
/// The CRC-32 of images and session frames (ISO-HDLC, as in zip and png).
pub const CRC32: Crc<u32, Lookup> = Crc::<u32, Lookup>::new(&CRC_32_ISO_HDLC);

/// How [`CRC32`] is computed: with a table of 1 kB, or bit by bit on bare metal, where flash is scarce and an image is checked
/// once, at boot.
#[cfg(not(target_os = "none"))]
pub type Lookup = crc::Table<1>;
/// How [`CRC32`] is computed: bit by bit. Flash is scarce on bare metal, and an image is checked once, at boot.
#[cfg(target_os = "none")]
pub type Lookup = crc::NoTable;

/// How the visible units make up a picture. Unit `(pixel × channels + channel) × bits + plane`, pixels row by row,
/// planes least significant first. Units of the visible layer behind the picture are label units, one for each class. All
/// zero for data that is no picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Geometry {
    /// Pixels in a row.
    pub width: u16,
    /// Rows.
    pub height: u16,
    /// Values of a pixel: 1 grey, 3 RGB.
    pub channels: u8,
    /// Visible units of a value.
    pub bits: u8,
}

impl Geometry {
    /// Visible units of a picture, at most 2³² − 1 (the same number on every machine).
    pub const fn units(&self) -> usize {
        let units = self.width as u64 * self.height as u64 * self.channels as u64 * self.bits as u64;
        if units > u32::MAX as u64 { u32::MAX as usize } else { units as usize }
    }
}

/// A checked image.
#[derive(Clone, Copy, Debug)]
pub struct Image<'a> {
    bytes: &'a [u8],
    kind: WeightKind,
    shape: Shape,
    geometry: Geometry,
    scale: Scale,
    shifts: [u8; MAX_CONNECTIONS],
}

/// Bytes before the first bias, for a number of layers: header, widths, and one shift a connection padded to a word.
pub const fn prefix_bytes(layers: usize) -> usize {
    HEADER_BYTES + 4 * layers + 4 * layers.saturating_sub(1).div_ceil(4)
}

/// Bytes of the smallest image: one visible and one hidden unit.
const SMALLEST: u64 = match Shape::new(&[1, 1]) {
    Ok(shape) => image_bytes(&shape, WeightKind::I8),
    Err(_) => panic!("one unit a layer is a shape"),
};

/// Bytes of the image of a shape: the flash it needs.
pub const fn image_bytes(shape: &Shape, kind: WeightKind) -> u64 {
    let mut total = prefix_bytes(shape.layers()) as u64 + 4 * shape.units() as u64 + 4;
    let mut l = 1;
    while l < shape.layers() {
        total += padded(kind.matrix_bytes(shape.width(l - 1), shape.width(l)));
        l += 1;
    }
    total
}

const fn padded(bytes: u64) -> u64 {
    bytes.div_ceil(4) * 4
}

// Beyond the end they read zero, and nobody asks for that: a bounds check that panics would link the formatting of its
// message into every device.
fn byte_at(bytes: &[u8], at: usize) -> u8 {
    bytes.get(at).copied().unwrap_or(0)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([byte_at(bytes, at), byte_at(bytes, at + 1)])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

impl<'a> Image<'a> {
    /// Checks everything about the image at the start of `bytes`; what follows it (the rest of a flash region) is
    /// ignored.
    ///
    /// ```
    /// use bitboltz_core::{image::{Image, ImageError}, weights::WeightKind};
    ///
    /// // Two units, one weight of 8 bits: 52 bytes, at an address that is a multiple of 4.
    /// const CRC: u32 = 0x96FC_68C1;
    /// let words: [u32; 13] = [
    ///     0x5A42_4289, 0x0201_0001, 52, 0x3D80_0000, 0, 0, // magic, version, type and layers, length, scale, picture
    ///     1, 1, 0, // widths, shift
    ///     5, 0xFFFF_FFFD, 7, // biases 5 and -3, weight 7
    ///     CRC,
    /// ];
    /// let image = Image::open(bytemuck::cast_slice(&words))?;
    /// assert_eq!((image.kind(), image.shape().units()), (WeightKind::I8, 2));
    /// let model = image.dbm::<i8>()?;
    /// assert_eq!((model.biases()[1], model.connections()[0].weights()), (&[-3][..], &[7][..]));
    ///
    /// // Flash that was never written is told apart from flash with something else in it.
    /// assert_eq!(Image::open(bytemuck::cast_slice(&[u32::MAX; 8])).unwrap_err(), ImageError::Erased);
    /// # Ok::<(), ImageError>(())
    /// ```
    ///
    /// # Errors
    /// [`ImageError`], from the first check that fails. Their order: room for a header, alignment, magic, version, length,
    /// CRC, weight type, shape, length for that shape, scale, geometry, shifts, zeros, then the tensors.
    pub fn open(bytes: &'a [u8]) -> Result<Self, ImageError> {
        if bytes.len() < HEADER_BYTES {
            return Err(ImageError::TooShort { expected: HEADER_BYTES as u64, found: bytes.len() });
        }
        if bytes.as_ptr().align_offset(4) != 0 {
            return Err(ImageError::Misaligned);
        }
        let magic = u32_at(bytes, 0).to_le_bytes();
        if magic == [0xFF; 4] || magic == [0; 4] {
            return Err(ImageError::Erased);
        }
        if magic != MAGIC {
            return Err(ImageError::Magic { found: magic });
        }
        let version = u16_at(bytes, 4);
        if version != VERSION {
            return Err(ImageError::Version { found: version });
        }
        let length = u32_at(bytes, 8);
        if u64::from(length) < SMALLEST {
            return Err(ImageError::Length { expected: SMALLEST, found: length });
        }
        let Some(bytes) = bytes.get(..length as usize) else {
            return Err(ImageError::TooShort { expected: u64::from(length), found: bytes.len() });
        };
        let (body, _) = bytes.split_at(bytes.len() - 4);
        let (expected, found) = (u32_at(bytes, body.len()), CRC32.checksum(body));
        if expected != found {
            return Err(ImageError::Crc { expected, found });
        }
        let image = Self::contents(bytes)?;
        with_connection!(image.kind, C => image.fill(&mut Dbm::<C<'_>>::empty(&image.shape, image.scale)))?;
        Ok(image)
    }

    /// An image that [`Image::open`] has opened before, by its own bytes, which have not changed since: neither the
    /// CRC nor what its sums may come to is computed again.
    pub(crate) fn reopen(bytes: &'a [u8]) -> Result<Self, ImageError> {
        Self::contents(bytes)
    }

    fn contents(bytes: &'a [u8]) -> Result<Self, ImageError> {
        let kind = WeightKind::from_code(byte_at(bytes, 6)).ok_or(ImageError::Kind { code: byte_at(bytes, 6) })?;
        let layers = usize::from(byte_at(bytes, 7));
        let mut widths = [0; MAX_LAYERS];
        let Some(named) = widths.get_mut(..layers) else {
            return Err(ImageError::Shape(ShapeError::Layers { found: layers }));
        };
        for (l, width) in named.iter_mut().enumerate() {
            *width = u32_at(bytes, HEADER_BYTES + 4 * l) as usize;
        }
        let shape = Shape::new(named).map_err(ImageError::Shape)?;
        let expected = image_bytes(&shape, kind);
        if expected != bytes.len() as u64 {
            return Err(ImageError::Length { expected, found: bytes.len() as u32 });
        }
        let scale_bits = u32_at(bytes, 12);
        let scale = Scale::from_bits(scale_bits).ok_or(ImageError::Scale { bits: scale_bits })?;
        let geometry = Geometry {
            width: u16_at(bytes, 16),
            height: u16_at(bytes, 18),
            channels: byte_at(bytes, 20),
            bits: byte_at(bytes, 21),
        };
        if geometry != Geometry::default() && (geometry.units() == 0 || geometry.bits > 8) {
            return Err(ImageError::Picture(geometry));
        }
        if geometry.units() > shape.width(0) {
            return Err(ImageError::Geometry { units: geometry.units(), visible: shape.width(0) });
        }
        let first_shift = HEADER_BYTES + 4 * layers;
        let mut shifts = [0; MAX_CONNECTIONS];
        for (connection, shift) in shifts.iter_mut().enumerate().take(layers - 1) {
            *shift = byte_at(bytes, first_shift + connection);
            if u32::from(*shift) > MAX_SHIFT {
                return Err(ImageError::Shift { connection, found: *shift });
            }
        }
        let padding = first_shift + layers - 1..prefix_bytes(layers);
        for offset in [22..24, padding].into_iter().flatten() {
            if byte_at(bytes, offset) != 0 {
                return Err(ImageError::Reserved { offset });
            }
        }
        Ok(Self { bytes, kind, shape, geometry, scale, shifts })
    }

    /// The model in the image, borrowing its weights and biases.
    ///
    /// # Errors
    /// [`ImageError::WrongKind`] for another weight type than the image's. Nothing else, once the image was opened.
    pub fn dbm<W: Weight>(&self) -> Result<DenseDbm<'a, W>, ImageError> {
        self.model::<Dense<'a, W>>()
    }

    /// The model in an image of integers, whatever their width, borrowing its weights and biases.
    ///
    /// # Errors
    /// [`ImageError::Floats`] for an image of floats. Nothing else, once the image was opened.
    pub fn integer_dbm(&self) -> Result<Dbm<'a, Integer<'a>>, ImageError> {
        self.model()
    }

    /// The model in the image over connections of type `C`, borrowing its weights and biases.
    ///
    /// # Errors
    /// [`ImageError::WrongKind`] or [`ImageError::Floats`], if `C` is not over the image's weight type. Nothing else, once
    /// the image was opened.
    pub fn model<C: Stored<'a>>(&self) -> Result<Dbm<'a, C>, ImageError> {
        let mut model = Dbm::empty(&self.shape, self.scale);
        self.fill(&mut model)?;
        Ok(model)
    }

    /// Fills in the model in the image, where its place is: [`Dbm::empty`] of this image's shape and scale.
    ///
    /// # Errors
    /// As [`model`](Self::model)'s.
    #[inline(never)]
    pub(crate) fn fill<C: Stored<'a>>(&self, model: &mut Dbm<'a, C>) -> Result<(), ImageError> {
        C::check(self.kind)?;
        let (connections, biases) = model.parts_mut();
        let mut rest = self.bytes.get(prefix_bytes(self.shape.layers())..).unwrap_or(&[]);
        for width in self.shape.widths() {
            let bias = self.take(&mut rest, size_of::<C::Field>() as u64 * width as u64)?;
            // Never full: a shape has at most MAX_LAYERS layers.
            let _ = biases.push(bytemuck::try_cast_slice(bias).map_err(|_| ImageError::Misaligned)?);
        }
        for l in 1..self.shape.layers() {
            let (lower, upper) = (self.shape.width(l - 1), self.shape.width(l));
            let matrix = self.take(&mut rest, self.kind.matrix_bytes(lower, upper))?;
            if let Some(at) = stored::padding(self.kind, upper, matrix) {
                let matrices_end = self.bytes.len() - rest.len();
                let offset = matrices_end - padded(matrix.len() as u64) as usize + at;
                return Err(ImageError::Reserved { offset });
            }
            let shift = self.shifts.get(l - 1).map_or(0, |&shift| u32::from(shift));
            let connection = C::read(self.kind, matrix, lower, upper, shift).ok_or(ImageError::Misaligned)?;
            let _ = connections.push(connection);
        }
        model.check().map_err(ImageError::Model)
    }

    /// The weight type.
    pub fn kind(&self) -> WeightKind {
        self.kind
    }

    /// The layer widths.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// How the visible units make up a picture.
    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// The real value of one unit of an integer field.
    pub fn scale(&self) -> Scale {
        self.scale
    }

    /// The shift of each connection's weights.
    pub fn shifts(&self) -> &[u8] {
        self.shifts.get(..self.shape.layers() - 1).unwrap_or_default()
    }

    /// The stored CRC-32: a name for these very weights.
    pub fn crc(&self) -> u32 {
        u32_at(self.bytes, self.bytes.len() - 4)
    }

    /// The image's own bytes.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Takes bytes, padded to a word, off the front of the rest of the image.
    fn take(&self, rest: &mut &'a [u8], bytes: u64) -> Result<&'a [u8], ImageError> {
        let (end, bytes) = (padded(bytes) as usize, bytes as usize);
        let (Some(taken), Some(padding), Some(after)) = (rest.get(..bytes), rest.get(bytes..end), rest.get(end..))
        else {
            return Err(ImageError::TooShort { expected: end as u64, found: rest.len() });
        };
        if let Some(at) = padding.iter().position(|&byte| byte != 0) {
            return Err(ImageError::Reserved { offset: self.bytes.len() - rest.len() + bytes + at });
        }
        *rest = after;
        Ok(taken)
    }
}
