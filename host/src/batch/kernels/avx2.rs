//! The portable kernels and the sums of columns, compiled for AVX2, as every x86-64 machine since about 2015 has it.

use std::arch::x86_64::*;

use super::lanes::places_by_bytes;

compiled_for!(Avx2Tile, Avx2Table, "avx2,bmi1,bmi2,popcnt,lzcnt");

/// Whether this machine has all that the functions below need.
pub(super) fn available() -> bool {
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
        && is_x86_feature_detected!("popcnt")
        && is_x86_feature_detected!("lzcnt")
}

/// A vector of floats.
type Floats = __m256;
/// A vector of integers.
type Integers = __m256i;
/// Numbers of 32 bits in a vector.
const WIDTH: usize = 8;

vector_sums!();

instructions! {
    floats_zero() -> Floats = _mm256_setzero_ps();
    floats_load(at: &[f32; WIDTH]) -> Floats = _mm256_loadu_ps(at.as_ptr());
    floats_store(at: &mut [f32; WIDTH], numbers: Floats) = _mm256_storeu_ps(at.as_mut_ptr(), numbers);
    floats_add(a: Floats, b: Floats) -> Floats = _mm256_add_ps(a, b);
    floats_subtract(a: Floats, b: Floats) -> Floats = _mm256_sub_ps(a, b);
    integers_zero() -> Integers = _mm256_setzero_si256();
    i32_load(at: &[i32; WIDTH]) -> Integers = _mm256_loadu_si256(at.as_ptr().cast());
    i32_store(at: &mut [i32; WIDTH], numbers: Integers) = _mm256_storeu_si256(at.as_mut_ptr().cast(), numbers);
    i32_add(a: Integers, b: Integers) -> Integers = _mm256_add_epi32(a, b);
    i32_subtract(a: Integers, b: Integers) -> Integers = _mm256_sub_epi32(a, b);
    i32_shift(a: Integers, shift: u32) -> Integers = _mm256_sll_epi32(a, _mm_cvtsi32_si128(shift as i32));
    i32_of_i16(at: &[i16; WIDTH]) -> Integers = _mm256_cvtepi16_epi32(_mm_loadu_si128(at.as_ptr().cast()));
    i16_load(at: &[i16; 2 * WIDTH]) -> Integers = _mm256_loadu_si256(at.as_ptr().cast());
    i16_store(at: &mut [i16; 2 * WIDTH], numbers: Integers) = _mm256_storeu_si256(at.as_mut_ptr().cast(), numbers);
    i16_add(a: Integers, b: Integers) -> Integers = _mm256_add_epi16(a, b);
    i16_of_i8(at: &[i8; 2 * WIDTH]) -> Integers = _mm256_cvtepi8_epi16(_mm_loadu_si128(at.as_ptr().cast()));
    halves(sums: Integers) -> [Integers; 2] = [_mm256_cvtepi16_epi32(_mm256_castsi256_si128(sums)), _mm256_cvtepi16_epi32(_mm256_extracti128_si256::<1>(sums))];
}

/// Signs as masks, squares as four of eight rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct VectorLanes(());

impl VectorLanes {
    /// # Safety
    /// The machine must have the instructions of this module.
    #[inline(always)]
    unsafe fn new() -> Self {
        Self(())
    }
}

impl Lanes for VectorLanes {
    #[inline(always)]
    fn floats_at_least_zero(self, numbers: &[f32; WORD_BITS]) -> u32 {
        let mut word = 0;
        for (at, numbers) in chunks::<_, WIDTH>(numbers, WORD_BITS / WIDTH).iter().enumerate() {
            // SAFETY: a value of this type was made, so the machine has the instructions.
            let mask = unsafe { _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_GE_OQ>(floats_load(numbers), floats_zero())) };
            word |= (mask as u32) << (at * WIDTH);
        }
        word
    }

    #[inline(always)]
    fn integers_at_least_zero(self, numbers: &[i32; WORD_BITS]) -> u32 {
        let mut negative = 0;
        for (at, numbers) in chunks::<_, WIDTH>(numbers, WORD_BITS / WIDTH).iter().enumerate() {
            // SAFETY: as above.
            let mask = unsafe { _mm256_movemask_ps(_mm256_castsi256_ps(i32_load(numbers))) };
            negative |= (mask as u32) << (at * WIDTH);
        }
        !negative
    }

    #[inline(always)]
    fn transpose(self, square: &mut Square) {
        let from = *square;
        for (top, rows) in from.chunks_exact(WIDTH).enumerate() {
            for left in 0..SIDE / WIDTH {
                // SAFETY: as above; half a row is as long as a vector.
                unsafe {
                    let mut eight = [integers_zero(); WIDTH];
                    for k in 0..WIDTH {
                        eight[k] = _mm256_loadu_si256(rows[k][left * WIDTH..][..WIDTH].as_ptr().cast());
                    }
                    // In every square of two, four and eight rows, the quarters off the diagonal change places.
                    for k in [0, 2, 4, 6] {
                        let (a, b) = (eight[k], eight[k + 1]);
                        eight[k] = _mm256_blend_epi32::<0b1010_1010>(a, _mm256_slli_epi64::<32>(b));
                        eight[k + 1] = _mm256_blend_epi32::<0b1010_1010>(_mm256_srli_epi64::<32>(a), b);
                    }
                    for k in [0, 1, 4, 5] {
                        let (a, b) = (eight[k], eight[k + 2]);
                        eight[k] = _mm256_unpacklo_epi64(a, b);
                        eight[k + 2] = _mm256_unpackhi_epi64(a, b);
                    }
                    for k in 0..4 {
                        let (a, b) = (eight[k], eight[k + 4]);
                        eight[k] = _mm256_permute2x128_si256::<0x20>(a, b);
                        eight[k + 4] = _mm256_permute2x128_si256::<0x31>(a, b);
                    }
                    for k in 0..WIDTH {
                        let to = &mut square[left * WIDTH + k][top * WIDTH..][..WIDTH];
                        _mm256_storeu_si256(to.as_mut_ptr().cast(), eight[k]);
                    }
                }
            }
        }
    }

    #[inline(always)]
    fn places(self, word: u32, first: u16, places: &mut [u16; WORD_BITS]) {
        places_by_bytes(word, first, places);
    }
}
