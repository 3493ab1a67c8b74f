//! Why bytes are no image.

use serde::{Deserialize, Serialize};

use super::{Geometry, MAGIC, VERSION};
use crate::{connection::MAX_SHIFT, model::ModelError, shape::ShapeError, weights::WeightKind};

/// Why bytes are no image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ImageError {
    /// Fewer bytes than a header, or than the header's length.
    TooShort {
        /// Bytes expected.
        expected: u64,
        /// Bytes found.
        found: usize,
    },
    /// The bytes do not start at an address that is a multiple of 4.
    Misaligned,
    /// Nothing but 0xFF, or nothing but zeros, where the magic should be: erased flash, or memory that nothing was loaded
    /// into.
    Erased,
    /// The first bytes are not [`MAGIC`].
    Magic {
        /// Bytes found.
        found: [u8; 4],
    },
    /// A version that this program does not read.
    Version {
        /// Version found; expected is [`VERSION`].
        found: u16,
    },
    /// The length in the header is not what the shape gives, or less than any shape gives.
    Length {
        /// Bytes that the shape needs, or that any does.
        expected: u64,
        /// Bytes in the header.
        found: u32,
    },
    /// The bytes were damaged.
    Crc {
        /// CRC stored at the end.
        expected: u32,
        /// CRC of the bytes before it.
        found: u32,
    },
    /// No such weight type.
    Kind {
        /// Number found.
        code: u8,
    },
    /// Widths that are no shape.
    Shape(ShapeError),
    /// The picture has more units than the visible layer.
    Geometry {
        /// Units of the picture.
        units: usize,
        /// Units of the visible layer.
        visible: usize,
    },
    /// The scale is outside 2⁻²⁴ ..= 1.
    Scale {
        /// Bits of the `f32` found.
        bits: u32,
    },
    /// A shift above [`MAX_SHIFT`].
    Shift {
        /// Which matrix.
        connection: usize,
        /// Shift found.
        found: u8,
    },
    /// Padding or a reserved byte is not zero.
    Reserved {
        /// Where.
        offset: usize,
    },
    /// The tensors are no model.
    Model(ModelError),
    /// The image has another weight type than the one asked for.
    WrongKind {
        /// Type asked for.
        expected: WeightKind,
        /// Type of the image.
        found: WeightKind,
    },
    /// The picture is neither whole nor absent: a side, the channels or the bits are 0 and others are not, or a value has
    /// more than 8 bits.
    Picture(Geometry),
    /// The weights are floats, and the program computes with integers alone.
    Floats,
}

impl core::fmt::Display for ImageError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::TooShort { expected, found } => {
                write!(f, "image cut short: expected {expected} bytes, found {found}")
            }
            Self::Misaligned => f.write_str("image must start at an address that is a multiple of 4"),
            Self::Erased => f.write_str("no image: the flash is erased"),
            Self::Magic { found } => write!(f, "no image: expected magic {MAGIC:02x?}, found {found:02x?}"),
            Self::Version { found } => write!(f, "image version: expected {VERSION}, found {found}"),
            Self::Length { expected, found } => {
                write!(f, "image length: expected {expected} bytes, the header says {found}")
            }
            Self::Crc { expected, found } => {
                write!(f, "image damaged: expected CRC {expected:08x}, found {found:08x}")
            }
            Self::Kind { code } => write!(f, "weight type: expected 0 (f32), 1 (i8), 2 (i16) or 3 (i4), found {code}"),
            Self::Shape(error) => error.fmt(f),
            Self::Geometry { units, visible } => {
                write!(f, "the picture has {units} units, the visible layer only {visible}")
            }
            Self::Scale { bits } => {
                write!(f, "scale: expected 2^-24 to 1, found the float with bits {bits:#010x}")
            }
            Self::Shift { connection, found } => {
                write!(f, "weight.{connection}: expected a shift up to {MAX_SHIFT}, found {found}")
            }
            Self::Reserved { offset } => write!(f, "byte {offset} is reserved and must be 0"),
            Self::Model(error) => error.fmt(f),
            Self::Picture(Geometry { width, height, channels, bits }) => {
                write!(f, "no picture: {width} × {height} pixels of {channels} values of {bits} bits (expected 1 to 8)")
            }
            Self::Floats => f.write_str("weight type: f32, which this program was built without; use i16, i8 or i4"),
            Self::WrongKind { expected, found } => write!(f, "weight type: expected {expected}, found {found}"),
        }
    }
}

impl core::error::Error for ImageError {}
