//! Compares the kernels that were built with the portable ones, where they run.

use super::{Flips, MOST, Matrix, modes, move_lower, move_upper, portable};
use crate::weights::{I4, Weight, WeightKind};

/// A kernel gave other fields than the portable one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Mismatch {
    /// Weight type.
    pub kind: WeightKind,
    /// Units of the lower layer.
    pub lower: usize,
    /// Units of the upper layer.
    pub upper: usize,
}

impl core::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "the {} kernels of a {} × {} matrix differ from the portable ones", self.kind, self.lower, self.upper)
    }
}

impl core::error::Error for Mismatch {}

/// Runs the integer kernels of this build on some small matrices and compares with the [`portable`] ones: for a device to
/// try its own processor. Takes about 600 bytes of stack.
///
/// # Errors
/// The first [`Mismatch`].
pub fn check() -> Result<(), Mismatch> {
    // Bytes of all kinds: all weights of the smallest value, then noise. As many as the largest shapes take, at 16 bits.
    let mut words = [0x8080_8080u32; 64];
    for round in 0..3 {
        for (lower, upper) in [(4, 32), (32, 4), (13, 8), (5, 17), (3, 11), (7, 5)] {
            compare::<I4>(&words, lower, upper, round)?;
            compare::<i8>(&words, lower, upper, round)?;
            compare::<i16>(&words, lower, upper, round)?;
        }
        let mut state = 0x9E37_79B9u32.wrapping_add(round);
        for word in &mut words {
            // Xorshift: any noise does.
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            *word = state;
        }
    }
    Ok(())
}

fn compare<W: Weight<Field = i32>>(words: &[u32; 64], lower: usize, upper: usize, round: u32) -> Result<(), Mismatch> {
    let stride = upper.div_ceil(W::PER_PACKED);
    let items: &[W::Packed] = bytemuck::try_cast_slice(words).unwrap_or_default();
    let mismatch = Mismatch { kind: W::KIND, lower, upper };
    let Some(items) = items.get(..lower * stride) else { return Err(mismatch) };
    // By 0, 7 and 15 bits, the most that there are.
    let matrix = Matrix { items, stride, shift: (8 * round).saturating_sub(1) };
    // At first all units, and off: sums of the smallest value, subtracted, are the largest that the kernels keep.
    let flips = |width: usize| {
        let mut flips = Flips::default();
        for unit in (0..width.min(MOST)).filter(|unit| round == 0 || unit % 4 != 1) {
            // Not full: there are at most as many units.
            let _ = flips.push(unit, round != 0 && !words[unit].is_multiple_of(3));
        }
        flips
    };
    let (mut found, mut expected) = ([7i32; MOST], [7i32; MOST]);
    let (below, above) = (flips(lower), flips(upper));
    move_upper::<W>(matrix, &below, &mut found[..upper]);
    portable::move_upper::<W>(matrix, &below, &mut expected[..upper]);
    let same = found == expected;
    move_lower::<W>(matrix, &above, &mut found[..lower]);
    portable::move_lower::<W>(matrix, &above, &mut expected[..lower]);
    let same = same && modes(&found[..lower.max(upper)]) == portable::modes(&expected[..lower.max(upper)]);
    if same && found == expected { Ok(()) } else { Err(mismatch) }
}
