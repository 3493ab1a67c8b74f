//! Number types: what a weight may be, and the type of the fields that weights add up to.
//!
//! | weight | field | energy | real value |
//! |---|---|---|---|
//! | `f32` | `f32` | `f64` | itself |
//! | [`I4`], `i8`, `i16` | `i32` | `i64` | integer × 2^shift of its matrix × scale of the model |
//!
//! Biases have the field's type. A row of weights is stored as [`Weight::Packed`] items: the weights themselves, except
//! for [`I4`], of which eight share a word.

mod field;

pub use field::{AnyEnergy, Field};

use bytemuck::Pod;
use serde::{Deserialize, Serialize};

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::I4 {}
    impl Sealed for f32 {}
    impl Sealed for i8 {}
    impl Sealed for i16 {}
    impl Sealed for i32 {}
}

/// The weight types of the image format, with their numbers in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum WeightKind {
    /// 32-bit floats.
    F32 = 0,
    /// 8-bit integers.
    I8 = 1,
    /// 16-bit integers.
    I16 = 2,
    /// 4-bit integers, eight to a word.
    I4 = 3,
}

impl WeightKind {
    /// The kind with this number.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::F32),
            1 => Some(Self::I8),
            2 => Some(Self::I16),
            3 => Some(Self::I4),
            _ => None,
        }
    }

    /// Bytes of a row of `width` weights. A row of nibbles fills whole words; of the others, the next row follows at once.
    pub const fn row_bytes(self, width: usize) -> u64 {
        let width = width as u64;
        match self {
            Self::F32 => 4 * width,
            Self::I8 => width,
            Self::I16 => 2 * width,
            Self::I4 => 4 * width.div_ceil(I4::PER_WORD as u64),
        }
    }

    /// Bytes of a matrix of `lower` rows of `upper` weights each.
    pub const fn matrix_bytes(self, lower: usize, upper: usize) -> u64 {
        lower as u64 * self.row_bytes(upper)
    }

    /// Largest magnitude of a weight, 0 for a type whose sums cannot overflow.
    pub const fn max_magnitude(self) -> u64 {
        match self {
            Self::F32 => 0,
            Self::I4 => 1 << 3,
            Self::I8 => 1 << 7,
            Self::I16 => 1 << 15,
        }
    }

    /// The name that commands use: `f32`, `i8`, `i16`, `i4`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::I8 => "i8",
            Self::I16 => "i16",
            Self::I4 => "i4",
        }
    }
}

impl core::fmt::Display for WeightKind {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}

/// Runs `$body` with the type alias `$W` set to the weight type of `$kind`.
///
/// ```
/// use bitboltz_core::{weights::WeightKind, with_weight};
/// assert_eq!(with_weight!(WeightKind::I16, W => size_of::<W>()), 2);
/// ```
#[macro_export]
macro_rules! with_weight {
    ($kind:expr, $W:ident => $body:expr) => {
        match $kind {
            $crate::weights::WeightKind::F32 => {
                type $W = f32;
                $body
            }
            $crate::weights::WeightKind::I8 => {
                type $W = i8;
                $body
            }
            $crate::weights::WeightKind::I16 => {
                type $W = i16;
                $body
            }
            $crate::weights::WeightKind::I4 => {
                type $W = $crate::weights::I4;
                $body
            }
        }
    };
}

/// A number type of weights, and how a row of them is stored.
pub trait Weight: Copy + PartialEq + core::fmt::Debug + Send + Sync + sealed::Sealed + 'static {
    /// What weights of this type add up to.
    type Field: Field;
    /// What a row is stored as: the weights themselves, or words that hold several.
    type Packed: Pod + PartialEq + core::fmt::Debug + Send + Sync;
    /// The type's number in an image.
    const KIND: WeightKind;
    /// Weights of one packed item. A row begins with a new item, and what its last one holds beyond the row is zero.
    const PER_PACKED: usize;

    /// The weight as a field, `shift` bits to the left (integers only).
    fn widen(self, shift: u32) -> Self::Field;

    /// The weight at `index` of a row; `None` beyond its last item.
    fn get(row: &[Self::Packed], index: usize) -> Option<Self>;

    /// Writes the weight at `index` of a row; does nothing beyond its last item.
    fn set(row: &mut [Self::Packed], index: usize, weight: Self);

    /// All weights of a row, and the zeros that pad its last item.
    fn unpack(row: &[Self::Packed]) -> impl Iterator<Item = Self> + '_;
}

macro_rules! plain {
    ($W:ty, $Field:ty, $kind:ident, |$weight:ident, $shift:pat_param| $widen:expr) => {
        impl Weight for $W {
            type Field = $Field;
            type Packed = Self;
            const KIND: WeightKind = WeightKind::$kind;
            const PER_PACKED: usize = 1;

            #[inline]
            fn widen(self, $shift: u32) -> $Field {
                let $weight = self;
                $widen
            }

            #[inline]
            fn get(row: &[Self], index: usize) -> Option<Self> {
                row.get(index).copied()
            }

            #[inline]
            fn set(row: &mut [Self], index: usize, weight: Self) {
                if let Some(place) = row.get_mut(index) {
                    *place = weight;
                }
            }

            #[inline]
            fn unpack(row: &[Self]) -> impl Iterator<Item = Self> + '_ {
                row.iter().copied()
            }
        }
    };
}

plain!(f32, f32, F32, |weight, _| weight);
plain!(i8, i32, I8, |weight, shift| i32::from(weight) << shift);
plain!(i16, i32, I16, |weight, shift| i32::from(weight) << shift);

/// An integer from −8 to 7. Eight make a word, the first in its lowest bits, each in two's complement.
///
/// Writers use ±7, so that a matrix and its negative round alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct I4(i8);

impl I4 {
    /// Weights of one word.
    pub const PER_WORD: usize = 8;

    /// The weight of this value; `None` outside −8 ..= 7.
    pub const fn new(value: i8) -> Option<Self> {
        if value >= -8 && value <= 7 { Some(Self(value)) } else { None }
    }

    /// Its value.
    pub const fn value(self) -> i8 {
        self.0
    }

    /// Nibble `index` of a word.
    #[inline]
    const fn of_word(word: u32, index: usize) -> Self {
        // To the top of the word, and down again with its sign.
        let nibble = (word << (28 - 4 * (index % Self::PER_WORD))) as i32 >> 28;
        Self(nibble as i8)
    }
}

impl Weight for I4 {
    type Field = i32;
    type Packed = u32;
    const KIND: WeightKind = WeightKind::I4;
    const PER_PACKED: usize = Self::PER_WORD;

    #[inline]
    fn widen(self, shift: u32) -> i32 {
        i32::from(self.0) << shift
    }

    #[inline]
    fn get(row: &[u32], index: usize) -> Option<Self> {
        row.get(index / Self::PER_WORD).map(|&word| Self::of_word(word, index))
    }

    #[inline]
    fn set(row: &mut [u32], index: usize, weight: Self) {
        if let Some(word) = row.get_mut(index / Self::PER_WORD) {
            let at = 4 * (index % Self::PER_WORD);
            *word = *word & !(0xF << at) | (weight.0 as u32 & 0xF) << at;
        }
    }

    #[inline]
    fn unpack(row: &[u32]) -> impl Iterator<Item = Self> + '_ {
        row.iter().flat_map(|&word| (0..Self::PER_WORD).map(move |index| Self::of_word(word, index)))
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::vec::Vec;

    #[test]
    fn nibbles_are_packed_low_first_in_twos_complement() {
        let mut row = [u32::MAX; 2];
        for index in 0..16 {
            I4::set(&mut row, index, I4::new(index as i8 - 8).unwrap());
        }
        assert_eq!(row, [0xFEDC_BA98, 0x7654_3210]);
        I4::set(&mut row, 16, I4(1));
        assert_eq!(I4::unpack(&row).map(I4::value).collect::<Vec<_>>(), (-8..8).collect::<Vec<_>>());
        for index in 0..16 {
            assert_eq!(I4::get(&row, index), I4::new(index as i8 - 8));
        }
        assert_eq!((I4::get(&row, 16), I4::new(8), I4::new(-9)), (None, None, None));
    }

    #[test]
    fn every_kind_has_its_code_and_its_bytes() {
        for code in 0..=255 {
            assert!(WeightKind::from_code(code).is_none_or(|kind| kind as u8 == code));
        }
        let bytes = |kind: WeightKind| (kind.row_bytes(9), kind.matrix_bytes(3, 9));
        assert_eq!(bytes(WeightKind::F32), (36, 108));
        assert_eq!(bytes(WeightKind::I16), (18, 54));
        assert_eq!(bytes(WeightKind::I8), (9, 27));
        assert_eq!(bytes(WeightKind::I4), (8, 24));
    }
}
