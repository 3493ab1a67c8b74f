//! The portable kernels and the sums of columns, compiled for AVX-512 with what
//! Ice Lake and Zen 4 added: population counts of vectors, compression of 16-bit numbers.

use std::arch::x86_64::*;

compiled_for!(
    Avx512Tile,
    Avx512Table,
    "avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq,avx512vbmi2,bmi1,bmi2,popcnt,lzcnt"
);

/// Whether this machine has all that the functions below need.
pub(super) fn available() -> bool {
    super::avx2::available()
        && is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512vpopcntdq")
        && is_x86_feature_detected!("avx512vbmi2")
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

/// Signs as masks, squares by permutations of two vectors, places by compression.
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
        let numbers = chunks::<_, WIDTH>(numbers, 2);
        // SAFETY: a value of this type was made, so the machine has the instructions.
        unsafe {
            let at_least = |numbers| _mm512_cmp_ps_mask::<_CMP_GE_OQ>(floats_load(numbers), floats_zero());
            u32::from(at_least(&numbers[0])) | u32::from(at_least(&numbers[1])) << WIDTH
        }
    }

    #[inline(always)]
    fn integers_at_least_zero(self, numbers: &[i32; WORD_BITS]) -> u32 {
        let numbers = chunks::<_, WIDTH>(numbers, 2);
        // SAFETY: as above.
        unsafe {
            let negative = |numbers| _mm512_movepi32_mask(i32_load(numbers));
            !(u32::from(negative(&numbers[0])) | u32::from(negative(&numbers[1])) << WIDTH)
        }
    }

    #[inline(always)]
    fn transpose(self, square: &mut Square) {
        // SAFETY: as above; a row is as long as a vector.
        unsafe {
            let mut rows = [integers_zero(); SIDE];
            for k in 0..SIDE {
                rows[k] = _mm512_loadu_si512(square[k].as_ptr().cast());
            }
            exchange::<1>(&mut rows);
            exchange::<2>(&mut rows);
            exchange::<4>(&mut rows);
            exchange::<8>(&mut rows);
            for k in 0..SIDE {
                _mm512_storeu_si512(square[k].as_mut_ptr().cast(), rows[k]);
            }
        }
    }

    #[inline(always)]
    fn places(self, word: u32, first: u16, places: &mut [u16; WORD_BITS]) {
        const UP: [u16; WORD_BITS] = {
            let mut up = [0; WORD_BITS];
            let mut k = 0;
            while k < WORD_BITS {
                up[k] = k as u16;
                k += 1;
            }
            up
        };
        // SAFETY: as above; a row of 32 numbers of 16 bits is as long as a vector.
        unsafe {
            let all = _mm512_add_epi16(_mm512_set1_epi16(first as i16), _mm512_loadu_si512(UP.as_ptr().cast()));
            _mm512_storeu_si512(places.as_mut_ptr().cast(), _mm512_maskz_compress_epi16(word, all));
        }
    }
}

/// In every square of 2 · `STEP` rows and columns, the upper right quarter and the lower left one change places.
#[inline(always)]
unsafe fn exchange<const STEP: usize>(rows: &mut [Integers; SIDE]) {
    /// Where each number of a row comes from: below 16 from the upper row, else from the lower one.
    const fn sources(step: usize, upper: bool) -> [u32; SIDE] {
        let mut sources = [0; SIDE];
        let mut k = 0;
        while k < SIDE {
            let left = k & step == 0;
            sources[k] = match (upper, left) {
                (true, true) => k,
                (true, false) => SIDE + k - step,
                (false, true) => k + step,
                (false, false) => SIDE + k,
            } as u32;
            k += 1;
        }
        sources
    }
    // SAFETY: the caller has the instructions; a row is as long as a vector.
    unsafe {
        let upper = _mm512_loadu_si512(const { sources(STEP, true) }.as_ptr().cast());
        let lower = _mm512_loadu_si512(const { sources(STEP, false) }.as_ptr().cast());
        for k in 0..SIDE {
            if k & STEP == 0 {
                let (a, b) = (rows[k], rows[k + STEP]);
                rows[k] = _mm512_permutex2var_epi32(a, upper, b);
                rows[k + STEP] = _mm512_permutex2var_epi32(a, lower, b);
            }
        }
    }
}
