//! Fixed point: fields as Q16.16, probabilities as thresholds in units of 2⁻³².
//!
//! A unit with field `a` is drawn on iff a uniform 32-bit draw is below [`sigmoid`]`(a)`; a proposal that raises the
//! energy by `d` is accepted iff the draw is below [`exp_neg`]`(d)`. Both read a table that `build.rs` computed with
//! libm and interpolate it linearly with integers, so a device needs no floating point, and a desktop with `f32`
//! weights takes the same decisions as one with integer weights whenever the fields agree.
//!
//! Errors, tested below: [`sigmoid`] is within 1.3·10⁻⁵ of σ, and within 1.3·10⁻⁴ σ + 1.5·2⁻³² in its tails;
//! [`exp_neg`] is within 3·10⁻⁵ exp(−d) + 2⁻³². The 2⁻³² is the unit of a 32-bit draw.

include!(concat!(env!("OUT_DIR"), "/tables.rs"));

/// One, as Q16.16.
pub const ONE: i32 = 1 << 16;

/// σ(−`index`/32) in units of 2⁻³², what [`sigmoid`] interpolates; 0 from [`SIGMOID_TAIL`] on.
#[inline]
pub const fn sigmoid_tail(index: usize) -> u32 {
    if index < TAIL_WIDE.len() {
        TAIL_WIDE[index]
    } else if index < SIGMOID_TAIL {
        TAIL_NARROW[index - TAIL_WIDE.len()] as u32
    } else {
        0
    }
}

/// The number of entries of [`sigmoid_tail`]; the last two are 0.
pub const SIGMOID_TAIL: usize = TAIL_WIDE.len() + TAIL_NARROW.len();

/// P(unit on) for a field in Q16.16, in units of 2⁻³² and at most 1 − 2⁻³².
pub fn sigmoid(field: i32) -> u32 {
    // Table step 1/32, so 11 bits lie between two entries.
    const SUB: u32 = 11;
    let magnitude = field.unsigned_abs();
    let index = (magnitude >> SUB) as usize;
    let high = sigmoid_tail(index);
    let part = u64::from(magnitude & ((1 << SUB) - 1));
    let tail = high - ((u64::from(high - sigmoid_tail(index + 1)) * part) >> SUB) as u32;
    if field < 0 {
        tail
    } else if tail == 0 {
        u32::MAX
    } else {
        tail.wrapping_neg()
    }
}

/// exp(−d) for d ≥ 0 in Q16.16, in units of 2⁻³²: 2³² (always accept) at d = 0, 0 (never) from about d = 22.
pub fn exp_neg(d: u32) -> u64 {
    // log2(e) in Q2.30 turns exp(−d) into a shift and a power of two between 1/2 and 1.
    const LOG2_E: u64 = 1_549_082_005;
    const SUB: u32 = 10;
    let t = (u64::from(d) * LOG2_E) >> 30;
    let index = ((t >> SUB) & 63) as usize;
    let (high, low) = (u64::from(EXP2_NEG[index]), u64::from(EXP2_NEG[index + 1]));
    let part = t & ((1 << SUB) - 1);
    let value = (high << SUB) - (high - low) * part;
    u64::checked_shr(value >> (SUB - 1), (t >> 16).min(u64::from(u32::MAX)) as u32).unwrap_or(0)
}

/// A probability threshold as a number in [0, 1].
pub fn to_unit(threshold: u32) -> f32 {
    threshold as f32 * (1.0 / 4_294_967_296.0)
}

/// What one unit of an integer field is worth: a positive `f32`, held as integers so that no float is needed to use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale {
    mantissa: i64,
    /// `field × mantissa >> shift` is the field in Q16.16.
    shift: u32,
    bits: u32,
}

impl Scale {
    /// One: the scale of `f32` weights.
    pub const ONE: Self = match Self::from_bits(0x3F80_0000) {
        Some(scale) => scale,
        None => panic!("one is a valid scale"),
    };

    /// From the bits of an `f32` between 2⁻²⁴ and 1, both included; otherwise `None`.
    pub const fn from_bits(bits: u32) -> Option<Self> {
        // Positive floats are ordered as their bits are.
        if bits < 0x3380_0000 || bits > 0x3F80_0000 {
            return None;
        }
        // value = mantissa × 2^(exponent − 127 − 23); Q16.16 multiplies by 2^16.
        Some(Self { mantissa: ((bits & 0x7F_FFFF) | 0x80_0000) as i64, shift: 127 + 23 - 16 - (bits >> 23), bits })
    }

    /// The bits of the `f32`.
    pub const fn to_bits(self) -> u32 {
        self.bits
    }

    /// The scale as a float.
    pub const fn to_f32(self) -> f32 {
        f32::from_bits(self.bits)
    }

    /// An integer in Q16.16, rounded to nearest, saturating.
    #[inline]
    pub const fn to_q16(self, value: i64) -> i32 {
        // Beyond ±2³⁸ the product could overflow, and at the smallest scale the result is ±2¹⁴: both saturate every table.
        const LIMIT: i64 = 1 << 38;
        let value = if value > LIMIT {
            LIMIT
        } else if value < -LIMIT {
            -LIMIT
        } else {
            value
        };
        let q16 = (value * self.mantissa + (1 << (self.shift - 1))) >> self.shift;
        if q16 > i32::MAX as i64 {
            i32::MAX
        } else if q16 < -(i32::MAX as i64) {
            -i32::MAX
        } else {
            q16 as i32
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO32: f64 = 4_294_967_296.0;
    /// Miri, which is slow, looks at every hundredth argument of those that are looked at.
    const FEWER: usize = if cfg!(miri) { 100 } else { 1 };

    #[test]
    fn sigmoid_is_within_its_stated_error_and_monotone() {
        let mut last = 0;
        for field in (-24 * ONE..24 * ONE).step_by(97 * FEWER) {
            let p = sigmoid(field);
            assert!(p >= last, "falls at {field}");
            last = p;
            let exact = 1.0 / (1.0 + libm::exp(-f64::from(field) / f64::from(ONE)));
            let error = libm::fabs(f64::from(p) / TWO32 - exact);
            assert!(error < 1.3e-5, "{field}: {error}");
            assert!(error < 1.3e-4 * exact + 1.5 / TWO32, "{field}: {error} of {exact}");
        }
        assert_eq!(sigmoid(0), 1 << 31);
        assert_eq!((sigmoid(i32::MIN), sigmoid(i32::MAX)), (0, u32::MAX));
    }

    #[test]
    fn exponential_is_within_its_stated_error_and_monotone() {
        let mut last = 1 << 32;
        for d in (0..24 * ONE as u32).step_by(61 * FEWER) {
            let p = exp_neg(d);
            assert!(p <= last, "rises at {d}");
            last = p;
            let exact = libm::exp(-f64::from(d) / f64::from(ONE));
            let error = libm::fabs(p as f64 / TWO32 - exact);
            assert!(error < 3e-5 * exact + 1.0 / TWO32, "{d}: {error} of {exact}");
        }
        assert_eq!(exp_neg(0), 1 << 32);
        assert_eq!((exp_neg(23 * ONE as u32), exp_neg(u32::MAX)), (0, 0));
    }

    #[test]
    fn scale_accepts_its_range_and_converts_like_a_float() {
        assert_eq!(Scale::from_bits((1.0f32 + f32::EPSILON).to_bits()), None);
        for bad in [0.0f32, -0.5, 5.9e-8, f32::NAN, f32::INFINITY, 1e-40] {
            assert_eq!(Scale::from_bits(bad.to_bits()), None, "{bad}");
        }
        for value in [1.0f32, 0.037, 0.000_31, libm::exp2f(-24.0)] {
            let scale = Scale::from_bits(value.to_bits()).expect("in range");
            assert_eq!(scale.to_f32(), value);
            for field in [0i64, 1, -1, 127, -128, 1_000_003, -7_654_321] {
                let exact = field as f64 * f64::from(value) * 65_536.0;
                let exact = exact.clamp(-f64::from(i32::MAX), f64::from(i32::MAX));
                assert!(libm::fabs(f64::from(scale.to_q16(field)) - exact) <= 0.5, "{field} × {value}");
            }
        }
        assert_eq!(Scale::ONE.to_q16(i64::MAX), i32::MAX);
        assert_eq!(Scale::ONE.to_q16(i64::MIN), -i32::MAX);
    }
}
