//! The portable kernels and the sums of columns, compiled for AVX-512 with population counts of vectors (Ice Lake, Zen 4 and later).

use std::arch::x86_64::*;

compiled_for!(Avx512Tile, Avx512Table, "avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq,bmi1,bmi2,popcnt,lzcnt");

/// Whether this machine has all that the functions below need.
pub(super) fn available() -> bool {
    super::avx2::available()
        && is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512vpopcntdq")
}

/// A vector of floats.
type Floats = __m512;
/// A vector of integers.
type Integers = __m512i;
/// Numbers of 32 bits in a vector.
const WIDTH: usize = 16;

vector_sums!();

instructions! {
    floats_zero() -> Floats = _mm512_setzero_ps();
    floats_load(at: &[f32; WIDTH]) -> Floats = _mm512_loadu_ps(at.as_ptr());
    floats_store(at: &mut [f32; WIDTH], numbers: Floats) = _mm512_storeu_ps(at.as_mut_ptr(), numbers);
    floats_add(a: Floats, b: Floats) -> Floats = _mm512_add_ps(a, b);
    floats_subtract(a: Floats, b: Floats) -> Floats = _mm512_sub_ps(a, b);
    integers_zero() -> Integers = _mm512_setzero_si512();
    i32_load(at: &[i32; WIDTH]) -> Integers = _mm512_loadu_si512(at.as_ptr().cast());
    i32_store(at: &mut [i32; WIDTH], numbers: Integers) = _mm512_storeu_si512(at.as_mut_ptr().cast(), numbers);
    i32_add(a: Integers, b: Integers) -> Integers = _mm512_add_epi32(a, b);
    i32_subtract(a: Integers, b: Integers) -> Integers = _mm512_sub_epi32(a, b);
    i32_shift(a: Integers, shift: u32) -> Integers = _mm512_sll_epi32(a, _mm_cvtsi32_si128(shift as i32));
    i32_of_i16(at: &[i16; WIDTH]) -> Integers = _mm512_cvtepi16_epi32(_mm256_loadu_si256(at.as_ptr().cast()));
    i16_load(at: &[i16; 2 * WIDTH]) -> Integers = _mm512_loadu_si512(at.as_ptr().cast());
    i16_store(at: &mut [i16; 2 * WIDTH], numbers: Integers) = _mm512_storeu_si512(at.as_mut_ptr().cast(), numbers);
    i16_add(a: Integers, b: Integers) -> Integers = _mm512_add_epi16(a, b);
    i16_of_i8(at: &[i8; 2 * WIDTH]) -> Integers = _mm512_cvtepi8_epi16(_mm256_loadu_si256(at.as_ptr().cast()));
    halves(sums: Integers) -> [Integers; 2] = [_mm512_cvtepi16_epi32(_mm512_castsi512_si256(sums)), _mm512_cvtepi16_epi32(_mm512_extracti64x4_epi64::<1>(sums))];
}
