//! Pixels to visible units and back.
//!
//! Unit `i · B + p` is bit `p`, least significant first, of the B-bit value of byte `i` of the image (height × width ×
//! channels): the planes of a pixel are neighbours. With one bit the value is whether the byte exceeds a threshold; with
//! more it is the byte's top B bits, in plain binary.

use super::Images;
use crate::bits::BitMatrix;

/// Why images could not become bits, or bits images.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// A pixel has 8 bits.
    #[error("bits of a pixel: expected 1 to 8, found {found}")]
    Bits {
        /// What was asked for.
        found: u8,
    },
    /// The rows are not images of that size.
    #[error("expected {expected} visible units ({width} × {height} × {channels} × {bits} bits), found {found}")]
    Units {
        /// Pixels in a row.
        width: usize,
        /// Rows of an image.
        height: usize,
        /// Values of a pixel.
        channels: usize,
        /// Bits of a value.
        bits: u8,
        /// Their product.
        expected: usize,
        /// The columns of the bits.
        found: usize,
    },
    /// The bits would not fit in memory.
    #[error(transparent)]
    TooLarge(#[from] crate::bits::BitsError),
}

/// The grey value above which a pixel is on, unless told otherwise.
pub const THRESHOLD: u8 = 127;

/// How a pixel becomes visible units. See the [module](self).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Encoding {
    /// Units of a pixel's channel, 1 to 8.
    pub bits: u8,
    /// With one bit: a unit is on if its pixel is above this. Not used with more.
    pub threshold: u8,
}

impl Default for Encoding {
    /// One bit, on above [`THRESHOLD`].
    fn default() -> Self {
        Self { bits: 1, threshold: THRESHOLD }
    }
}

impl Encoding {
    /// So many bits a pixel, with the default threshold.
    ///
    /// # Errors
    ///
    /// [`EncodeError::Bits`].
    pub fn new(bits: u8) -> Result<Self, EncodeError> {
        let encoding = Self { bits, ..Self::default() };
        encoding.check().map(|()| encoding)
    }

    fn check(self) -> Result<(), EncodeError> {
        match self.bits {
            1..=8 => Ok(()),
            found => Err(EncodeError::Bits { found }),
        }
    }

    /// The visible units of an image of so many bytes.
    #[must_use]
    pub fn units(self, image_len: usize) -> usize {
        image_len.saturating_mul(usize::from(self.bits))
    }

    /// One row an image.
    ///
    /// # Errors
    ///
    /// [`EncodeError::Bits`], and [`EncodeError::TooLarge`].
    pub fn encode(self, images: &Images) -> Result<BitMatrix, EncodeError> {
        self.check()?;
        let cols = self.units(images.image_len());
        let mut matrix = BitMatrix::try_zeros(images.len(), cols)?;
        let planes = usize::from(self.bits);
        for row in 0..images.len() {
            for (i, &byte) in images.image(row).iter().enumerate() {
                let value = self.value(byte);
                for plane in 0..planes {
                    if value >> plane & 1 == 1 {
                        matrix.set(row, i * planes + plane, true);
                    }
                }
            }
        }
        Ok(matrix)
    }

    /// The images that these bits show: a B-bit value becomes the grey of the same share of 2^B − 1, rounded.
    ///
    /// # Errors
    ///
    /// [`EncodeError::Bits`], and [`EncodeError::Units`] when rows are not images of that size.
    pub fn decode(self, bits: &BitMatrix, width: usize, height: usize, channels: usize) -> Result<Images, EncodeError> {
        self.check()?;
        let size = width.saturating_mul(height).saturating_mul(channels);
        let expected = self.units(size);
        if expected != bits.cols() {
            return Err(EncodeError::Units { width, height, channels, bits: self.bits, expected, found: bits.cols() });
        }
        let planes = usize::from(self.bits);
        let mut pixels = Vec::with_capacity(bits.rows() * size);
        for row in 0..bits.rows() {
            for i in 0..size {
                let value =
                    (0..planes).fold(0, |value, plane| value | u8::from(bits.get(row, i * planes + plane)) << plane);
                pixels.push(self.grey(value));
            }
        }
        Ok(Images { name: String::new(), width, height, channels, pixels, labels: None })
    }

    fn value(self, byte: u8) -> u8 {
        match self.bits {
            1 => u8::from(byte > self.threshold),
            bits => byte >> (8 - bits),
        }
    }

    fn grey(self, value: u8) -> u8 {
        let most = (1_u16 << self.bits) - 1;
        ((u16::from(value) * 255 + most / 2) / most) as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images(pixels: Vec<u8>, width: usize, channels: usize) -> Images {
        Images { name: String::new(), width, height: 1, channels, pixels, labels: None }
    }

    #[test]
    fn one_bit_is_above_the_threshold() {
        let source = images(vec![0, 127, 128, 255], 4, 1);
        let bits = Encoding::default().encode(&source).unwrap();
        assert_eq!(bits.to_u8(), [0, 0, 1, 1]);
        let dark = Encoding { bits: 1, threshold: 0 };
        assert_eq!(dark.encode(&source).unwrap().to_u8(), [0, 1, 1, 1]);
        assert_eq!(dark.decode(&bits, 4, 1, 1).unwrap().pixels, [0, 0, 255, 255]);
    }

    #[test]
    fn planes_of_a_pixel_are_neighbours_least_first() {
        // Top three bits: 0b110 and 0b001.
        let source = images(vec![0b1101_1111, 0b0010_0000], 1, 2);
        let bits = Encoding::new(3).unwrap().encode(&source).unwrap();
        assert_eq!(bits.to_u8(), [0, 1, 1, 1, 0, 0]);
        // 6/7 and 1/7 of 255.
        let decoded = Encoding::new(3).unwrap().decode(&bits, 1, 1, 2).unwrap();
        assert_eq!(decoded.pixels, [219, 36]);
    }

    #[test]
    fn what_was_decoded_encodes_to_the_same_bits() {
        let source = images((0..=255).collect(), 32, 1);
        for planes in 1..=8 {
            let encoding = Encoding::new(planes).unwrap();
            let bits = encoding.encode(&source).unwrap();
            let back = encoding.decode(&bits, 32, 1, 1).unwrap();
            assert_eq!(encoding.encode(&back).unwrap(), bits, "{planes}");
            assert_eq!((back.pixels[0], back.pixels[255]), (0, 255));
            if planes == 8 {
                assert_eq!(back.pixels, source.pixels);
            }
        }
    }

    #[test]
    fn wrong_sizes_are_errors() {
        assert_eq!(Encoding::new(0).unwrap_err(), EncodeError::Bits { found: 0 });
        let nine = Encoding { bits: 9, threshold: 0 };
        assert!(nine.encode(&images(vec![1], 1, 1)).is_err());
        let error = Encoding::default().decode(&BitMatrix::zeros(1, 5), 2, 2, 1).unwrap_err();
        assert_eq!(error.to_string(), "expected 4 visible units (2 × 2 × 1 × 1 bits), found 5");
    }
}
