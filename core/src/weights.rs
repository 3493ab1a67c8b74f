//! Number types: what a weight may be, and the type of the fields that weights add up to.
//!
//! | weight | field | energy | real value |
//! |---|---|---|---|
//! | `f32` | `f32` | `f64` | itself |
//! | `i8`, `i16` | `i32` | `i64` | integer × 2^shift of its matrix × scale of the model |
//!
//! Biases have the field's type. The i4 type of packed nibbles has its number in [`WeightKind`] reserved.

use bytemuck::Pod;
use serde::{Deserialize, Serialize};

use crate::fixed::Scale;

mod sealed {
    pub trait Sealed {}
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
    // 3 is kept for packed 4-bit integers.
}

impl WeightKind {
    /// The kind with this number.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::F32),
            1 => Some(Self::I8),
            2 => Some(Self::I16),
            _ => None,
        }
    }

    /// Bytes of one weight.
    pub const fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::I8 => 1,
            Self::I16 => 2,
        }
    }

    /// The name that commands use: `f32`, `i8`, `i16`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::I8 => "i8",
            Self::I16 => "i16",
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
        }
    };
}

/// An energy of any weight type, as it travels: without floating point on an integer device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum AnyEnergy {
    /// Units of the model's scale.
    Units(i64),
    /// The bits of an `f64`.
    Real(u64),
}

impl AnyEnergy {
    /// The energy as a real number.
    pub fn to_real(self, scale: Scale) -> f64 {
        match self {
            Self::Units(units) => i32::energy_to_real(units, scale),
            Self::Real(bits) => f64::from_bits(bits),
        }
    }
}

/// A weight as it is stored.
pub trait Weight: Pod + Send + Sync + sealed::Sealed {
    /// What weights of this type add up to.
    type Field: Field;
    /// The type's number in an image.
    const KIND: WeightKind;
    /// Largest magnitude, 0 for a type whose sums cannot overflow.
    const MAX_MAGNITUDE: u64;

    /// The weight as a field, `shift` bits to the left (integers only).
    fn widen(self, shift: u32) -> Self::Field;
}

impl Weight for f32 {
    type Field = f32;
    const KIND: WeightKind = WeightKind::F32;
    const MAX_MAGNITUDE: u64 = 0;

    #[inline]
    fn widen(self, _shift: u32) -> f32 {
        self
    }
}

impl Weight for i8 {
    type Field = i32;
    const KIND: WeightKind = WeightKind::I8;
    const MAX_MAGNITUDE: u64 = 1 << 7;

    #[inline]
    fn widen(self, shift: u32) -> i32 {
        i32::from(self) << shift
    }
}

impl Weight for i16 {
    type Field = i32;
    const KIND: WeightKind = WeightKind::I16;
    const MAX_MAGNITUDE: u64 = 1 << 15;

    #[inline]
    fn widen(self, shift: u32) -> i32 {
        i32::from(self) << shift
    }
}

/// A field a_i = b_i + Σ_j W_ij x_j, or a bias. Four bytes, whatever the weights are.
///
/// Integers are added by wrapping operators, so that no overflow check is compiled in: a [`Dbm`](crate::model::Dbm) is only
/// built where the largest possible field fits.
pub trait Field: Pod + PartialOrd + Default + core::fmt::Debug + Send + Sync + sealed::Sealed {
    /// What fields add up to: wide enough for any model.
    type Energy: Copy + PartialOrd + Default + core::fmt::Debug;

    /// Sum.
    fn plus(self, other: Self) -> Self;
    /// Difference.
    fn minus(self, other: Self) -> Self;
    /// Whether the unit of lowest energy is on: a ≥ 0, ties go to 1.
    fn is_on(self) -> bool;
    /// Magnitude, for the overflow check; 0 for floats.
    fn magnitude(self) -> u64;
    /// Whether the number is finite.
    fn is_finite(self) -> bool;
    /// The field in Q16.16, saturating.
    fn to_q16(self, scale: Scale) -> i32;
    /// The field as a real number.
    fn to_real(self, scale: Scale) -> f64;

    /// The field as an energy.
    fn to_energy(self) -> Self::Energy;
    /// Sum of energies.
    fn add_energy(a: Self::Energy, b: Self::Energy) -> Self::Energy;
    /// −½ of an energy; exact for integers, where the argument is even.
    fn minus_half(energy: Self::Energy) -> Self::Energy;
    /// `max(0, to − from)` in Q16.16, saturating.
    fn rise(from: Self::Energy, to: Self::Energy, scale: Scale) -> u32;
    /// The energy as a real number.
    fn energy_to_real(energy: Self::Energy, scale: Scale) -> f64;
    /// The energy as it travels.
    fn any_energy(energy: Self::Energy) -> AnyEnergy;
}

impl Field for f32 {
    type Energy = f64;

    #[inline]
    fn plus(self, other: Self) -> Self {
        self + other
    }

    #[inline]
    fn minus(self, other: Self) -> Self {
        self - other
    }

    #[inline]
    fn is_on(self) -> bool {
        self >= 0.0
    }

    fn magnitude(self) -> u64 {
        0
    }

    fn is_finite(self) -> bool {
        f32::is_finite(self)
    }

    #[inline]
    fn to_q16(self, _scale: Scale) -> i32 {
        // Truncates: less than 2⁻¹⁶ off, below the table's own error, and a single instruction.
        (self * 65_536.0) as i32
    }

    fn to_real(self, _scale: Scale) -> f64 {
        f64::from(self)
    }

    #[inline]
    fn to_energy(self) -> f64 {
        f64::from(self)
    }

    #[inline]
    fn add_energy(a: f64, b: f64) -> f64 {
        a + b
    }

    fn minus_half(energy: f64) -> f64 {
        -0.5 * energy
    }

    fn rise(from: f64, to: f64, _scale: Scale) -> u32 {
        // A cast of a negative number to an unsigned one gives 0.
        ((to - from) * 65_536.0) as u32
    }

    fn energy_to_real(energy: f64, _scale: Scale) -> f64 {
        energy
    }

    fn any_energy(energy: f64) -> AnyEnergy {
        AnyEnergy::Real(energy.to_bits())
    }
}

impl Field for i32 {
    type Energy = i64;

    #[inline]
    fn plus(self, other: Self) -> Self {
        self.wrapping_add(other)
    }

    #[inline]
    fn minus(self, other: Self) -> Self {
        self.wrapping_sub(other)
    }

    #[inline]
    fn is_on(self) -> bool {
        self >= 0
    }

    fn magnitude(self) -> u64 {
        u64::from(self.unsigned_abs())
    }

    fn is_finite(self) -> bool {
        true
    }

    #[inline]
    fn to_q16(self, scale: Scale) -> i32 {
        scale.to_q16(i64::from(self))
    }

    fn to_real(self, scale: Scale) -> f64 {
        f64::from(self) * f64::from(scale.to_f32())
    }

    #[inline]
    fn to_energy(self) -> i64 {
        i64::from(self)
    }

    #[inline]
    fn add_energy(a: i64, b: i64) -> i64 {
        a + b
    }

    fn minus_half(energy: i64) -> i64 {
        -(energy / 2)
    }

    fn rise(from: i64, to: i64, scale: Scale) -> u32 {
        scale.to_q16(to - from).max(0).unsigned_abs()
    }

    fn energy_to_real(energy: i64, scale: Scale) -> f64 {
        energy as f64 * f64::from(scale.to_f32())
    }

    fn any_energy(energy: i64) -> AnyEnergy {
        AnyEnergy::Units(energy)
    }
}
