//! The random streams of many chains, advanced sixteen at a time.
//!
//! The numbers are those of the core's [`XorShiftRng`] (Marsaglia 2003), one stream for each chain. Its state is private,
//! but it is four words long and every draw becomes one of them, so four draws show it, and each step can be undone.

use bitboltz_core::rng::{Rng as _, XorShiftRng};

use super::kernels::{Lanes, SIDE, Square};

/// Streams that are advanced together.
pub const LANES: usize = SIDE;

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
pub(super) fn draws(lanes: impl Lanes, streams: &mut [Stream; LANES], count: usize, out: &mut [u32], stride: usize) {
    let mut words = gather(streams);
    // Sixteen steps of all streams, then the square is written by streams.
    for first in (0..count).step_by(LANES) {
        let steps = LANES.min(count - first);
        let mut square = Square::default();
        for row in &mut square[..steps] {
            *row = advance(&mut words);
        }
        lanes.transpose(&mut square);
        for (lane, row) in square.iter().enumerate() {
            out[lane * stride + first..][..LANES].copy_from_slice(row);
        }
    }
    scatter(&words, streams);
}

/// Draws `count` words from each stream that nobody needs. See [`kernels::skip`](super::kernels::skip).
#[inline(always)]
pub(super) fn skip(streams: &mut [Stream; LANES], count: usize) {
    let mut words = gather(streams);
    for _ in 0..count {
        advance(&mut words);
    }
    scatter(&words, streams);
}

/// The states of streams, word by word.
type Words = [[u32; LANES]; 4];

#[inline(always)]
fn gather(streams: &[Stream; LANES]) -> Words {
    let mut words = Words::default();
    for (lane, stream) in streams.iter().enumerate() {
        words.iter_mut().zip(stream.words).for_each(|(lanes, word)| lanes[lane] = word);
    }
    words
}

#[inline(always)]
fn scatter(words: &Words, streams: &mut [Stream; LANES]) {
    for (lane, stream) in streams.iter_mut().enumerate() {
        stream.words.iter_mut().zip(words).for_each(|(word, lanes)| *word = lanes[lane]);
    }
}

/// The next draw of every stream.
#[inline(always)]
fn advance(words: &mut Words) -> [u32; LANES] {
    let [x, y, z, w] = *words;
    let mut next = [0; LANES];
    for lane in 0..LANES {
        next[lane] = step(x[lane], w[lane]);
    }
    *words = [y, z, w, next];
    next
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
                kernels::skip(*isa, &mut streams, count);
                for rng in &mut rngs {
                    (0..count).for_each(|_| _ = rng.next_u32());
                }
            }
            for (rng, stream) in rngs.iter_mut().zip(&mut streams) {
                assert!((0..9).all(|_| rng.next_u32() == stream.next_u32()));
            }
        }
    }
}
