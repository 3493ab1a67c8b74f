//! Random number generators that count, or that say what they are told.

use bitboltz_core::rng::{Rng, XorShiftRng, stream};
use rand_core::TryRng;
use std::convert::Infallible;

/// A stream that counts the words drawn from it.
#[derive(Clone, Debug)]
pub struct Counting {
    inner: XorShiftRng,
    /// Words drawn.
    pub draws: u64,
}

impl Counting {
    /// Stream 0 of a seed.
    pub fn new(seed: u64) -> Self {
        Self { inner: stream(seed, 0), draws: 0 }
    }
}

impl TryRng for Counting {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.draws += 1;
        Ok(self.inner.next_u32())
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.draws += 2;
        Ok(self.inner.next_u64())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.draws += bytes.len().div_ceil(4) as u64;
        self.inner.fill_bytes(bytes);
        Ok(())
    }
}

/// Returns these words in turn, then the last one for ever.
#[derive(Clone, Debug)]
pub struct Script {
    words: Vec<u32>,
    at: usize,
}

impl Script {
    /// A script of at least one word.
    pub fn new(words: &[u32]) -> Self {
        assert!(!words.is_empty());
        Self { words: words.to_vec(), at: 0 }
    }
}

impl TryRng for Script {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let word = self.words[self.at.min(self.words.len() - 1)];
        self.at += 1;
        Ok(word)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from(self.try_next_u32()?) | u64::from(self.try_next_u32()?) << 32)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for chunk in bytes.chunks_mut(4) {
            chunk.copy_from_slice(&self.try_next_u32()?.to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}
