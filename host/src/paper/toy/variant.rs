//! An estimator as the experiment runs and names it: with its horizon, and the start of its second chain.

use std::fmt;

use bitboltz_core::coupling::Horizon;

use crate::estimator::{Estimator, SecondStart};

/// What is run. Its name says all that is not usual: H_0, y₀ = x₀.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Variant {
    /// The estimator.
    pub estimator: Estimator,
}

impl Variant {
    /// An estimator by its name.
    ///
    /// # Panics
    /// If there is no such estimator.
    pub fn new(name: &str) -> Self {
        Self { estimator: name.parse().expect("a name of an estimator") }
    }

    /// The same with another horizon.
    pub fn with_horizon(self, horizon: Horizon) -> Self {
        Self { estimator: self.estimator.with_horizon(horizon) }
    }

    /// The same with an independent start of the second chain.
    pub fn independent(self) -> Self {
        Self { estimator: self.estimator.with_second(SecondStart::Independent) }
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.estimator)?;
        let Estimator::Ucd { second, horizon, .. } = self.estimator else { return Ok(()) };
        if second == SecondStart::Independent {
            f.write_str(", y₀ independent")?;
        }
        match (horizon.k, horizon.m) {
            (0, 0) => Ok(()),
            (k, m) if k == m => write!(f, ", H_{k}"),
            (k, m) => write!(f, ", H_{{{k}:{m}}}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_is_not_usual() {
        let horizon = |k, m| Horizon { k, m, ..Horizon::default() };
        let mixture = Variant::new("ucd-lmi-mix-0.1");
        for (variant, name) in [
            (mixture, "ucd-lmi-mix-0.1"),
            (mixture.with_horizon(horizon(5, 50)), "ucd-lmi-mix-0.1, H_{5:50}"),
            (Variant::new("ucd-lmi").independent().with_horizon(horizon(5, 5)), "ucd-lmi, y₀ independent, H_5"),
            (Variant::new("cd-10").independent().with_horizon(horizon(5, 5)), "cd-10"),
        ] {
            assert_eq!(variant.to_string(), name);
        }
    }
}
