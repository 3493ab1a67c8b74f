//! The portable kernels and the sums of columns, compiled for AVX2, as every x86-64 machine since about 2015 has it.

use std::arch::x86_64::*;

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
