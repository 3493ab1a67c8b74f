//! What weights add up to: fields, and the energies that fields add up to.

use bytemuck::Pod;
use serde::{Deserialize, Serialize};

use super::sealed;
use crate::fixed::Scale;

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
