//! How far results may be from the oracle's, and why. Statistical bounds are in [`significance`](crate::significance).

use bitboltz_core::weights::WeightKind;

/// Energies of machines of some ten units, as real numbers.
///
/// Integers are exact, and become real by one multiplication in `f64`; the oracle multiplies first and adds then. Fields
/// of `f32` are sums of up to ten numbers below 8, each rounded to 2⁻²² at most, and up to ten fields make an energy.
pub const fn energy(kind: WeightKind) -> f64 {
    match kind {
        WeightKind::F32 => 100.0 / (1 << 22) as f64,
        _ => 1e-11,
    }
}

/// Fields, as real numbers, after `flips` updates one by one: each rounds a number below 8 to 2⁻²².
pub const fn fields(kind: WeightKind, flips: u32) -> f64 {
    match kind {
        WeightKind::F32 => (10 + flips) as f64 / (1 << 22) as f64,
        _ => 1e-11,
    }
}

/// Probabilities: 1.3·10⁻⁵ of the sigmoid's table (tested beside it), plus a field off by up to 2⁻¹⁶ where the slope is
/// at most ¼, plus the rounding of a mean to `f32`.
pub const PROBABILITY: f64 = 1.3e-5 + 0.25 / 65_536.0 + 6e-8;
