//! Sums of columns that stay in registers.
//!
//! The compiler vectorises sums over arrays of some lengths and tears others apart; here each instruction set says what
//! its registers are. Every implementation does for each column what [`Plain`] does.

use bitboltz_core::weights::Weight;

use crate::batch::{kernels::Sign, tile::TileWeight};

/// Sums of `COLUMNS` columns. Whoever has a value may call the methods: that the machine has the instructions is asked
/// where the first one, all zero, is made.
pub trait Sums<W: Registers>: Copy {
    /// How many: at most [`TILE`].
    const COLUMNS: usize;

    /// Adds a row of weights.
    ///
    /// # Panics
    /// If it has another length, as in all that follow.
    fn add(self, row: &[W]) -> Self;
    /// Adds a row of sums.
    fn join(self, sums: &[W::Sum]) -> Self;
    /// Adds other sums.
    fn plus(self, other: Self) -> Self;
    /// Writes the sums.
    fn store(self, sums: &mut [W::Sum]);
    /// Adds the sums, shifted to the left, to fields, or subtracts them.
    fn fold(self, sign: Sign, fields: &mut [W::Field], shift: u32);
}

/// The registers of a weight type, for each instruction set: for the columns of a tile, and for those of a table.
pub trait Registers: Weight {
    /// What the rows of one [`Job`](crate::batch::lists::Job) add up to without overflow.
    type Sum: bytemuck::Pod + Default + Send + Sync + std::fmt::Debug;

    /// A table's, for any machine.
    type PlainTable: Sums<Self> + Default;
    /// A tile's, with AVX2.
    #[cfg(target_arch = "x86_64")]
    type Avx2Tile: Sums<Self> + Zero;
    /// A table's, with AVX2.
    #[cfg(target_arch = "x86_64")]
    type Avx2Table: Sums<Self> + Zero;
    /// A tile's, with AVX-512.
    #[cfg(target_arch = "x86_64")]
    type Avx512Tile: Sums<Self> + Zero;
    /// A table's, with AVX-512.
    #[cfg(target_arch = "x86_64")]
    type Avx512Table: Sums<Self> + Zero;
}

macro_rules! registers {
    ($weight:ty, $sum:ty, $name:ident, $table:literal, $avx2:literal, $avx2_table:literal, $avx512:literal, $avx512_table:literal) => {
        impl Registers for $weight {
            type Sum = $sum;
            type PlainTable = Plain<$sum, $table>;
            #[cfg(target_arch = "x86_64")]
            type Avx2Tile = super::avx2::$name<$avx2>;
            #[cfg(target_arch = "x86_64")]
            type Avx2Table = super::avx2::$name<$avx2_table>;
            #[cfg(target_arch = "x86_64")]
            type Avx512Tile = super::avx512::$name<$avx512>;
            #[cfg(target_arch = "x86_64")]
            type Avx512Table = super::avx512::$name<$avx512_table>;
        }
    };
}
registers!(f32, f32, F32, 32, 8, 4, 4, 2);
registers!(i16, i32, I32, 32, 8, 4, 4, 2);
// A job has at most 255 rows, and 255 × 128 is below 2¹⁵.
registers!(i8, i16, I16, 64, 4, 4, 2, 2);

/// Where sums that need instructions begin.
#[cfg(target_arch = "x86_64")]
pub trait Zero {
    /// All zero.
    ///
    /// # Safety
    /// The machine must have the instructions of the module that implements it.
    unsafe fn zero() -> Self;
}

/// The definition, for any machine.
#[derive(Clone, Copy, Debug)]
pub struct Plain<S, const C: usize>([S; C]);

impl<S: Copy + Default, const C: usize> Default for Plain<S, C> {
    fn default() -> Self {
        Self([S::default(); C])
    }
}

impl<W: TileWeight, const C: usize> Sums<W> for Plain<W::Sum, C> {
    const COLUMNS: usize = C;

    #[inline(always)]
    fn add(self, row: &[W]) -> Self {
        let Self(mut sums) = self;
        let row: &[W; C] = row.try_into().expect("as many columns");
        for k in 0..C {
            sums[k] = W::add(sums[k], row[k]);
        }
        Self(sums)
    }

    #[inline(always)]
    fn join(self, others: &[W::Sum]) -> Self {
        let Self(mut sums) = self;
        let others: &[W::Sum; C] = others.try_into().expect("as many columns");
        for k in 0..C {
            sums[k] = W::join(sums[k], others[k]);
        }
        Self(sums)
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        Sums::<W>::join(self, &other.0)
    }

    #[inline(always)]
    fn store(self, sums: &mut [W::Sum]) {
        sums.copy_from_slice(&self.0);
    }

    #[inline(always)]
    fn fold(self, sign: Sign, fields: &mut [W::Field], shift: u32) {
        let Self(sums) = if sign == Sign::Plus { self } else { Self(self.0.map(W::negate)) };
        let fields: &mut [W::Field; C] = fields.try_into().expect("as many columns");
        for k in 0..C {
            fields[k] = W::fold(fields[k], sums[k], shift);
        }
    }
}

/// Sums in vectors, from what the module around it names: vectors `Floats` and `Integers` of `WIDTH` numbers of 32 bits,
/// and a function for each instruction.
#[cfg(target_arch = "x86_64")]
macro_rules! vector_sums {
    () => {
        /// Sums of floats, in `N` vectors.
        #[derive(Clone, Copy, Debug)]
        pub struct F32<const N: usize>([Floats; N]);

        vector_sums!(F32, floats_zero);

        impl<const N: usize> Sums<f32> for F32<N> {
            const COLUMNS: usize = N * WIDTH;

            #[inline(always)]
            fn add(self, row: &[f32]) -> Self {
                self.join(row)
            }

            #[inline(always)]
            fn join(mut self, sums: &[f32]) -> Self {
                let sums = chunks::<_, WIDTH>(sums, N);
                for n in 0..N {
                    // SAFETY: a value of this type was made, so the machine has the instructions.
                    self.0[n] = unsafe { floats_add(self.0[n], floats_load(&sums[n])) };
                }
                self
            }

            #[inline(always)]
            fn plus(mut self, other: Self) -> Self {
                for n in 0..N {
                    // SAFETY: as above.
                    self.0[n] = unsafe { floats_add(self.0[n], other.0[n]) };
                }
                self
            }

            #[inline(always)]
            fn store(self, sums: &mut [f32]) {
                let sums = chunks_mut::<_, WIDTH>(sums, N);
                for n in 0..N {
                    // SAFETY: as above.
                    unsafe { floats_store(&mut sums[n], self.0[n]) };
                }
            }

            #[inline(always)]
            fn fold(self, sign: Sign, fields: &mut [f32], _shift: u32) {
                let fields = chunks_mut::<_, WIDTH>(fields, N);
                for n in 0..N {
                    // SAFETY: as above.
                    unsafe {
                        let field = floats_load(&fields[n]);
                        let field = match sign {
                            Sign::Plus => floats_add(field, self.0[n]),
                            Sign::Minus => floats_subtract(field, self.0[n]),
                        };
                        floats_store(&mut fields[n], field);
                    }
                }
            }
        }

        /// Sums of 16-bit weights in 32 bits, in `N` vectors.
        #[derive(Clone, Copy, Debug)]
        pub struct I32<const N: usize>([Integers; N]);

        vector_sums!(I32, integers_zero);

        impl<const N: usize> Sums<i16> for I32<N> {
            const COLUMNS: usize = N * WIDTH;

            #[inline(always)]
            fn add(mut self, row: &[i16]) -> Self {
                let row = chunks::<_, WIDTH>(row, N);
                for n in 0..N {
                    // SAFETY: as above.
                    self.0[n] = unsafe { i32_add(self.0[n], i32_of_i16(&row[n])) };
                }
                self
            }

            #[inline(always)]
            fn join(mut self, sums: &[i32]) -> Self {
                let sums = chunks::<_, WIDTH>(sums, N);
                for n in 0..N {
                    // SAFETY: as above.
                    self.0[n] = unsafe { i32_add(self.0[n], i32_load(&sums[n])) };
                }
                self
            }

            #[inline(always)]
            fn plus(mut self, other: Self) -> Self {
                for n in 0..N {
                    // SAFETY: as above.
                    self.0[n] = unsafe { i32_add(self.0[n], other.0[n]) };
                }
                self
            }

            #[inline(always)]
            fn store(self, sums: &mut [i32]) {
                let sums = chunks_mut::<_, WIDTH>(sums, N);
                for n in 0..N {
                    // SAFETY: as above.
                    unsafe { i32_store(&mut sums[n], self.0[n]) };
                }
            }

            #[inline(always)]
            fn fold(self, sign: Sign, fields: &mut [i32], shift: u32) {
                let fields = chunks_mut::<_, WIDTH>(fields, N);
                for n in 0..N {
                    // SAFETY: as above.
                    unsafe { fold_integers(sign, &mut fields[n], self.0[n], shift) };
                }
            }
        }

        /// Sums of 8-bit weights in 16 bits, in `N` vectors.
        #[derive(Clone, Copy, Debug)]
        pub struct I16<const N: usize>([Integers; N]);

        vector_sums!(I16, integers_zero);

        impl<const N: usize> Sums<i8> for I16<N> {
            const COLUMNS: usize = N * 2 * WIDTH;

            #[inline(always)]
            fn add(mut self, row: &[i8]) -> Self {
                let row = chunks::<_, { 2 * WIDTH }>(row, N);
                for n in 0..N {
                    // SAFETY: as above.
                    self.0[n] = unsafe { i16_add(self.0[n], i16_of_i8(&row[n])) };
                }
                self
            }

            #[inline(always)]
            fn join(mut self, sums: &[i16]) -> Self {
                let sums = chunks::<_, { 2 * WIDTH }>(sums, N);
                for n in 0..N {
                    // SAFETY: as above.
                    self.0[n] = unsafe { i16_add(self.0[n], i16_load(&sums[n])) };
                }
                self
            }

            #[inline(always)]
            fn plus(mut self, other: Self) -> Self {
                for n in 0..N {
                    // SAFETY: as above.
                    self.0[n] = unsafe { i16_add(self.0[n], other.0[n]) };
                }
                self
            }

            #[inline(always)]
            fn store(self, sums: &mut [i16]) {
                let sums = chunks_mut::<_, { 2 * WIDTH }>(sums, N);
                for n in 0..N {
                    // SAFETY: as above.
                    unsafe { i16_store(&mut sums[n], self.0[n]) };
                }
            }

            #[inline(always)]
            fn fold(self, sign: Sign, fields: &mut [i32], shift: u32) {
                let fields = chunks_mut::<_, WIDTH>(fields, 2 * N);
                for n in 0..N {
                    // SAFETY: as above.
                    unsafe {
                        let [low, high] = halves(self.0[n]);
                        fold_integers(sign, &mut fields[2 * n], low, shift);
                        fold_integers(sign, &mut fields[2 * n + 1], high, shift);
                    }
                }
            }
        }

        #[inline(always)]
        unsafe fn fold_integers(sign: Sign, field: &mut [i32; WIDTH], sum: Integers, shift: u32) {
            // SAFETY: the caller's.
            unsafe {
                let (old, sum) = (i32_load(field), i32_shift(sum, shift));
                let new = match sign {
                    Sign::Plus => i32_add(old, sum),
                    Sign::Minus => i32_subtract(old, sum),
                };
                i32_store(field, new);
            }
        }
    };
    ($name:ident, $zero:ident) => {
        impl<const N: usize> Zero for $name<N> {
            #[inline(always)]
            unsafe fn zero() -> Self {
                // SAFETY: the caller's.
                Self([unsafe { $zero() }; N])
            }
        }
    };
}

/// One function for each instruction that `vector_sums` needs.
#[cfg(target_arch = "x86_64")]
macro_rules! instructions {
    ($($name:ident($($argument:ident: $type:ty),*) $(-> $result:ty)? = $instruction:expr;)*) => {$(
        #[inline(always)]
        unsafe fn $name($($argument: $type),*) $(-> $result)? {
            // SAFETY: the caller has the instructions, and an array is as long as what is read or written.
            unsafe { $instruction }
        }
    )*};
}

/// `count` vectors' numbers.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(super) fn chunks<T, const L: usize>(numbers: &[T], count: usize) -> &[[T; L]] {
    let (chunks, rest) = numbers.as_chunks();
    assert!(chunks.len() == count && rest.is_empty());
    chunks
}

/// The same, to write.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(super) fn chunks_mut<T, const L: usize>(numbers: &mut [T], count: usize) -> &mut [[T; L]] {
    let (chunks, rest) = numbers.as_chunks_mut();
    assert!(chunks.len() == count && rest.is_empty());
    chunks
}
