//! Packed bits: binary states as `u32` words, bit `i` of a row in word `i / 32` at position `i % 32`.
//!
//! The public face of the crate shows states as [`Bits`], a `bitvec` slice. Loops over bits go through the words
//! below it, which costs about a tenth of what `bitvec`'s own iterators cost on a Cortex-M.

use bitvec::{order::Lsb0, slice::BitSlice, view::BitView as _};

/// A row of binary units: bit `i` is unit `i`.
pub type Bits = BitSlice<u32, Lsb0>;

/// Bits in a word of packed state.
pub const WORD_BITS: usize = 32;

/// Words that hold `bits` bits.
pub const fn words_for(bits: usize) -> usize {
    bits.div_ceil(WORD_BITS)
}

/// The bits of word `index` that belong to a row of `bits` bits; padding is zero.
pub const fn word_mask(bits: usize, index: usize) -> u32 {
    let start = index.saturating_mul(WORD_BITS);
    if start >= bits {
        0
    } else if bits - start >= WORD_BITS {
        u32::MAX
    } else {
        (1 << (bits - start)) - 1
    }
}

/// The first `bits` bits of `words` as a bit slice.
///
/// # Panics
/// If `words` is shorter than [`words_for`]`(bits)`.
pub fn view(words: &[u32], bits: usize) -> &Bits {
    &words.view_bits::<Lsb0>()[..bits]
}

/// The first `bits` bits of `words` as a bit slice that can be written.
///
/// # Panics
/// If `words` is shorter than [`words_for`]`(bits)`.
pub fn view_mut(words: &mut [u32], bits: usize) -> &mut Bits {
    &mut words.view_bits_mut::<Lsb0>()[..bits]
}

/// Positions of the bits that are on, ascending.
pub fn ones(words: &[u32]) -> impl Iterator<Item = usize> + '_ {
    words.iter().enumerate().flat_map(|(index, &word)| ones_of_word(word).map(move |bit| index * WORD_BITS + bit))
}

/// Positions of the bits that are on in one word, ascending.
pub fn ones_of_word(mut word: u32) -> impl Iterator<Item = usize> {
    core::iter::from_fn(move || {
        let bit = word.trailing_zeros();
        // The last bit is cleared only when there is one, so that `word - 1` cannot wrap.
        (word != 0).then(|| {
            word &= word - 1;
            bit as usize
        })
    })
}

/// Number of bits that are on.
pub fn count_ones(words: &[u32]) -> u32 {
    words.iter().map(|word| word.count_ones()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_cover_each_bit_once_and_no_padding() {
        for bits in [0, 1, 31, 32, 33, 64, 65] {
            let on: u32 = (0..words_for(bits)).map(|i| word_mask(bits, i).count_ones()).sum();
            assert_eq!(on as usize, bits);
            assert_eq!((word_mask(bits, words_for(bits)), word_mask(bits, usize::MAX)), (0, 0));
        }
    }

    #[test]
    fn ones_agree_with_the_bit_slice() {
        let words = [0x8000_0001, 0, 0xDEAD_BEEF];
        assert!(ones(&words).eq(view(&words, 96).iter_ones()));
        assert_eq!(count_ones(&words) as usize, view(&words, 96).count_ones());
    }

    #[test]
    fn views_write_through() {
        let mut words = [0; 2];
        view_mut(&mut words, 40).set(33, true);
        assert_eq!(words, [0, 2]);
    }
}
