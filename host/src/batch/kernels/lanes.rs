//! Signs, squares and places of bits: what instructions do at once and the compiler does number by number.
//!
//! Each instruction set has a type of [`Lanes`]; every implementation gives what [`PlainLanes`] gives.

use bitboltz_core::bits::WORD_BITS;

/// Numbers of 32 bits on a side of a square.
pub const SIDE: usize = 16;

/// 16 × 16 numbers of 32 bits.
pub type Square = [[u32; SIDE]; SIDE];

/// Whoever has a value may call the methods: that the machine has the instructions is asked where it is made.
pub trait Lanes: Copy {
    /// Bit k is on iff number k is at least zero.
    fn floats_at_least_zero(self, numbers: &[f32; WORD_BITS]) -> u32;
    /// Bit k is on iff number k is at least zero.
    fn integers_at_least_zero(self, numbers: &[i32; WORD_BITS]) -> u32;
    /// Exchanges rows and columns.
    fn transpose(self, square: &mut Square);
    /// Writes the places of the bits that are on, counted from `first`. What is behind them is undefined.
    fn places(self, word: u32, first: u16, places: &mut [u16; WORD_BITS]);
}

/// The definition, for any machine.
#[derive(Clone, Copy, Debug)]
pub struct PlainLanes;

impl Lanes for PlainLanes {
    #[inline(always)]
    fn floats_at_least_zero(self, numbers: &[f32; WORD_BITS]) -> u32 {
        pack(|k| numbers[k] >= 0.0)
    }

    #[inline(always)]
    fn integers_at_least_zero(self, numbers: &[i32; WORD_BITS]) -> u32 {
        pack(|k| numbers[k] >= 0)
    }

    #[inline(always)]
    fn transpose(self, square: &mut Square) {
        let from = *square;
        for (j, row) in square.iter_mut().enumerate() {
            row.iter_mut().zip(&from).for_each(|(to, from)| *to = from[j]);
        }
    }

    #[inline(always)]
    fn places(self, word: u32, first: u16, places: &mut [u16; WORD_BITS]) {
        places_by_bytes(word, first, places);
    }
}

/// A word from its bits: as a sum over lanes, which becomes a few vector instructions.
#[inline(always)]
pub(super) fn pack(on: impl Fn(usize) -> bool) -> u32 {
    let mut word = 0;
    for k in 0..WORD_BITS {
        word |= if on(k) { 1 << k } else { 0 };
    }
    word
}

/// The places of the bits of each byte that are on, then zeros.
static PLACES: [[u16; 8]; 256] = {
    let mut all = [[0; 8]; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut bit, mut count) = (0, 0);
        while bit < 8 {
            if byte >> bit & 1 == 1 {
                all[byte][count] = bit;
                count += 1;
            }
            bit += 1;
        }
        byte += 1;
    }
    all
};

/// [`Lanes::places`], a byte at a time: no branch depends on the bits.
#[inline(always)]
pub(super) fn places_by_bytes(word: u32, first: u16, places: &mut [u16; WORD_BITS]) {
    let mut count = 0;
    for (at, byte) in word.to_le_bytes().into_iter().enumerate() {
        // At most eight bits of each byte before this one.
        let places = &mut places[count..count + 8];
        let first = first.wrapping_add(8 * at as u16);
        for (place, bit) in places.iter_mut().zip(&PLACES[usize::from(byte)]) {
            *place = first.wrapping_add(*bit);
        }
        count += byte.count_ones() as usize;
    }
}
