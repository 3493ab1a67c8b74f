//! Which random stream does what in a training run.
//!
//! Everything random follows from (seed, purpose, number): nothing about the generators needs to be saved to resume a
//! run, and no result depends on which thread ran a chain.

use bitboltz_core::rng::{GOLDEN, XorShiftRng, mix, stream};

/// What randomness is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Initial weights; one stream for each connection.
    Weights,
    /// The order of the data; one stream for each epoch.
    Shuffle,
    /// Clamped chains of a step; one stream for each chain.
    Positive,
    /// Free chains of a step; one stream for each chain.
    Negative,
    /// First states of persistent chains that a run takes up at a step; one stream for each chain.
    Persistent,
    /// Directions in which the gradient of a step is looked at; one stream.
    Diagnostics,
    /// Hidden samples that the next machine of a pretrained stack learns; one stream for each row.
    Pretraining,
}

/// Stream `index` of step (or 0) `number` for a purpose.
pub fn stream_for(seed: u64, purpose: Purpose, number: u64, index: u64) -> XorShiftRng {
    stream(scatter(scatter(seed ^ (purpose as u64 + 1).rotate_left(56)).wrapping_add(number)), index)
}

/// A step of SplitMix64 (Steele, Lea, Flood 2014).
fn scatter(number: u64) -> u64 {
    mix(number.wrapping_add(GOLDEN))
}

#[cfg(test)]
mod tests {
    use bitboltz_core::rng::Rng as _;

    use super::*;

    #[test]
    fn every_coordinate_changes_the_stream() {
        let first = |seed, purpose, number, index| stream_for(seed, purpose, number, index).next_u64();
        let base = first(1, Purpose::Positive, 5, 0);
        assert_eq!(base, first(1, Purpose::Positive, 5, 0));
        for other in [
            first(2, Purpose::Positive, 5, 0),
            first(1, Purpose::Negative, 5, 0),
            first(1, Purpose::Positive, 6, 0),
            first(1, Purpose::Positive, 5, 1),
        ] {
            assert_ne!(base, other);
        }
    }
}
