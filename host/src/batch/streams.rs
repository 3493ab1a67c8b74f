//! The random streams of many chains, advanced sixteen at a time.
//!
//! The numbers are those of the core's [`XorShiftRng`] (Marsaglia 2003), one stream for each chain. Its state is private,
//! but it is four words long and every draw becomes one of them, so four draws show it, and each step can be undone.

use bitboltz_core::rng::{Rng as _, XorShiftRng};

/// Streams that are advanced together.
pub const LANES: usize = 16;

/// The state of one stream: its next draws follow from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stream {
    words: [u32; 4],
}

impl From<XorShiftRng> for Stream {
    fn from(mut rng: XorShiftRng) -> Self {
        let mut words = [rng.next_u32(), rng.next_u32(), rng.next_u32(), rng.next_u32()];
        for _ in 0..4 {
            // The last word is w ^ (w >> 19) ^ t ^ (t >> 8), where w is the word before and t = x ^ (x << 11) comes from
            // the word that the step dropped.
            let [a, b, c, last] = words;
            let mixed = last ^ c ^ (c >> 19);
            let t = mixed ^ (mixed >> 8) ^ (mixed >> 16) ^ (mixed >> 24);
            let x = t ^ (t << 11) ^ (t << 22);
            words = [x, a, b, c];
        }
        Self { words }
    }
}

impl Stream {
    /// The next draw.
    pub fn next_u32(&mut self) -> u32 {
        let [x, y, z, w] = self.words;
        let next = step(x, w);
        self.words = [y, z, w, next];
        next
    }
}

#[inline(always)]
fn step(x: u32, w: u32) -> u32 {
    let t = x ^ (x << 11);
    w ^ (w >> 19) ^ t ^ (t >> 8)
}

/// Draws `count` words from each stream, into rows of `out` that are `stride` words long. See
/// [`kernels::draws`](super::kernels::draws).
#[inline(always)]
pub(super) fn draws(streams: &mut [Stream; LANES], count: usize, out: &mut [u32], stride: usize) {
    let mut words = [[0; LANES]; 4];
    for (lane, stream) in streams.iter().enumerate() {
        words.iter_mut().zip(stream.words).for_each(|(lanes, word)| lanes[lane] = word);
    }
    // Sixteen steps of all streams, then the square is written by streams.
    let mut square = [[0; LANES]; LANES];
    for first in (0..count).step_by(LANES) {
        let steps = LANES.min(count - first);
        for row in &mut square[..steps] {
            let [x, y, z, w] = words;
            for lane in 0..LANES {
                row[lane] = step(x[lane], w[lane]);
            }
            words = [y, z, w, *row];
        }
        for lane in 0..LANES {
            let out = &mut out[lane * stride + first..][..LANES];
            for (number, row) in out.iter_mut().zip(&square) {
                *number = row[lane];
            }
        }
    }
    for (lane, stream) in streams.iter_mut().enumerate() {
        stream.words.iter_mut().zip(&words).for_each(|(word, lanes)| *word = lanes[lane]);
    }
}

#[cfg(test)]
mod tests {
    use bitboltz_core::rng::stream;

    use super::*;
    use crate::batch::kernels::{self, Isa};

    #[test]
    fn streams_are_those_of_the_core_on_every_instruction_set() {
        for isa in Isa::available() {
            let mut rngs: Vec<XorShiftRng> = (0..LANES as u64).map(|i| stream(7, i)).collect();
            let mut streams: [Stream; LANES] = std::array::from_fn(|i| rngs[i].clone().into());
            for count in [1, 5, 16, 17, 100] {
                let stride = 112;
                let mut out = vec![0; LANES * stride];
                kernels::draws(*isa, &mut streams, count, &mut out, stride);
                for (rng, row) in rngs.iter_mut().zip(out.chunks(stride)) {
                    assert!(row[..count].iter().all(|&draw| draw == rng.next_u32()), "{} {count}", isa.name());
                }
            }
            for (rng, stream) in rngs.iter_mut().zip(&mut streams) {
                assert!((0..9).all(|_| rng.next_u32() == stream.next_u32()));
            }
        }
    }
}
