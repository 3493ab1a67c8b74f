//! The probability of a mixture's Metropolis-Hastings step, as the core takes it.

use std::{fmt, num::NonZeroU32};

/// A probability above 0 and below 1, in units of 2⁻³²: a uniform 32-bit word is below its
/// [threshold](Self::threshold) as often.
///
/// It is written with as few digits as tell it from its neighbours, so that what is written is read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probability(NonZeroU32);

const UNITS: f64 = 4_294_967_296.0;

impl Probability {
    /// The nearest multiple of 2⁻³². `None` if that is not above 0 and below 1.
    pub fn new(p: f64) -> Option<Self> {
        let units = (p * UNITS).round();
        // What is negative becomes 0, and what is not a number is below nothing.
        if units < UNITS { NonZeroU32::new(units as u32).map(Self) } else { None }
    }

    /// The probability in units of 2⁻³².
    pub fn threshold(self) -> u32 {
        self.0.get()
    }

    /// The probability.
    pub fn value(self) -> f64 {
        f64::from(self.threshold()) / UNITS
    }
}

impl fmt::Display for Probability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // 2⁻³² is above 10⁻¹⁰, so eleven digits tell all apart.
        let written = (1..=11).map(|digits| format!("{:.digits$}", self.value()));
        let mut read = written.filter(|text| text.parse().ok().and_then(Self::new) == Some(*self));
        f.write_str(&read.next().unwrap_or_else(|| self.value().to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        for (p, text) in [(0.5, "0.5"), (0.1, "0.1"), (1.0 / 3.0, "0.3333333333"), (0.000_2, "0.0002")] {
            assert_eq!(Probability::new(p).unwrap().to_string(), text);
        }
        let thresholds = (0..32).flat_map(|bit| [1 << bit, u32::MAX >> bit, 0x9E37_79B9_u32.rotate_left(bit)]);
        for threshold in thresholds {
            let p = Probability(NonZeroU32::new(threshold).unwrap());
            assert_eq!(p.to_string().parse().ok().and_then(Probability::new), Some(p), "{p}");
        }
    }

    #[test]
    fn only_probabilities_that_leave_both_steps_are_taken() {
        assert_eq!(Probability::new(0.25).map(Probability::threshold), Some(1 << 30));
        for p in [0.0, 1.0, -0.5, 1.5, 1e-11, 1.0 - 1e-11, f64::NAN, f64::INFINITY] {
            assert_eq!(Probability::new(p), None, "{p}");
        }
    }
}
