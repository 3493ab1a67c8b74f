//! Random numbers: one xorshift stream per chain.
//!
//! A step draws a number of 32-bit words that depends on the shape alone, whatever the state and the clamp, so two
//! programs that walk the same steps stay on the same stream:
//!
//! | step | draws |
//! |---|---|
//! | uniform random bits | one word per word of state (layers start on a word) |
//! | Gibbs sweep, alone or coupled | one word per unit, block by block, layers and units ascending |
//! | Metropolis-Hastings, alone or coupled | the proposal's random bits, then one word |
//! | mixture | one word, then as many as the longer of its two steps |
//! | local mode search | none |

pub use rand_core::Rng;
use rand_core::SeedableRng as _;
pub use rand_xorshift::XorShiftRng;

/// The stream of chain number `chain` of a run with this `seed`.
///
/// Each stream starts at a state that SplitMix64 scatters (Steele, Lea, Flood 2014), so neighbouring seeds and chains
/// are unrelated.
pub fn stream(seed: u64, chain: u64) -> XorShiftRng {
    let mut state = mix(seed).wrapping_add(chain.wrapping_mul(GOLDEN).wrapping_mul(3));
    let mut bytes = [0; 16];
    for half in bytes.chunks_exact_mut(8) {
        state = state.wrapping_add(GOLDEN);
        half.copy_from_slice(&mix(state).to_le_bytes());
    }
    XorShiftRng::from_seed(bytes)
}

/// 2⁶⁴ over the golden ratio: the step of SplitMix64, which takes 0 away from where [`mix`] would leave it.
pub const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// The finaliser of SplitMix64: scatters neighbouring numbers, one to one. Leaves 0 where it is.
pub fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_pinned() {
        let mut rng = stream(0, 0);
        let first = [rng.next_u32(), rng.next_u32(), rng.next_u32()];
        let mut rng = stream(2026, 7);
        let other = [rng.next_u32(), rng.next_u32(), rng.next_u32()];
        assert_eq!((first, other), (PINNED.0, PINNED.1));
    }

    const PINNED: ([u32; 3], [u32; 3]) = ([4221392575, 471550101, 1994856487], [3774691516, 1856823502, 1220463254]);
}
