//! `bench kernels`: the engine's inner loops, on each instruction set that this machine has, beside the plainest loop
//! over the same bytes. Criterion's benches run the same cases.

use std::{fmt, hint::black_box, time::Duration};

use bitboltz_core::{
    fixed::Scale,
    rng::{Rng as _, XorShiftRng, stream},
};
use bytemuck::Pod;
use serde::Serialize;

use super::{
    BenchError,
    ceiling::{counted_bits_here, row_adds_here},
    ensure,
    measure::best,
};
use crate::batch::{
    TILE, TileField, TileWeight,
    kernels::{self, Isa, Sign, Target},
    lists::{Job, WordJob},
    streams::{LANES, Stream},
    tile::{Tiles, new_table},
};

/// Units of a layer.
const WIDTH: usize = 784;
/// The same, in whole words.
const PADDED: usize = WIDTH.div_ceil(32) * 32;
/// Chains whose lists are added, and whose words are looked up.
const CHAINS: usize = 256;
/// Words of 64 chains along the batch.
const WORDS: usize = 16;

/// What a kernel took on one instruction set.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figure {
    /// The kernel.
    pub kernel: &'static str,
    /// Type of the weights, or of the fields; `None` where there are none.
    pub numbers: Option<&'static str>,
    /// What it worked on.
    pub size: String,
    /// The instruction set.
    pub instruction_set: &'static str,
    /// What is counted.
    pub unit: &'static str,
    /// Nanoseconds for one of it, at best.
    pub nanoseconds: f64,
    /// Share of this thread's ceiling: row adds from the first-level cache, or counts of bits. Tables of sums add more
    /// than they read, so it may be above 1. `None` where there is no ceiling.
    pub share_of_peak: Option<f64>,
}

/// What all kernels took.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Kernels {
    /// Seconds of one run of every case on the best instruction set.
    pub seconds: f64,
    /// Each of them.
    pub kernels: Vec<Figure>,
    /// Row adds from the first-level cache, for each instruction set and weight type.
    pub row_adds: Vec<Ceiling>,
    /// What was compared with what.
    pub checked: &'static str,
}

/// What one thread can do with an instruction set.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ceiling {
    /// The instruction set.
    pub instruction_set: &'static str,
    /// Bytes of `f32` weights a second, from the first-level cache.
    pub f32_bytes_per_second: f64,
    /// Of `i16`.
    pub i16_bytes_per_second: f64,
    /// Of `i8`.
    pub i8_bytes_per_second: f64,
    /// Bits counted in a second.
    pub counted_bits_per_second: f64,
}

/// Measures every case on every instruction set, on this thread, for about so long in all.
///
/// # Errors
/// [`BenchError::Wrong`], if one gives another answer than the portable one.
pub fn kernels(seed: u64, budget: Duration) -> Result<Kernels, BenchError> {
    let mut cases = cases(seed);
    let sets = Isa::available();
    // The ceilings take about as long as five cases.
    let slice = budget / (sets.len() * (cases.len() + 5)) as u32;
    let ceilings: Vec<Ceiling> = sets.iter().map(|&isa| Ceiling::of(isa, slice)).collect();
    let mut figures = Vec::new();
    let mut seconds = 0.0;
    for case in &mut cases {
        let expected = case.answer(Isa::PORTABLE);
        for (&isa, ceiling) in sets.iter().zip(&ceilings) {
            ensure(case.answer(isa) == expected, || format!("{case}: {} differs from portable", isa.name()))?;
            let call = best(slice, || case.run(isa));
            if isa == Isa::best() {
                seconds += call;
            }
            figures.push(Figure {
                kernel: case.kernel,
                numbers: case.numbers,
                size: case.size.clone(),
                instruction_set: isa.name(),
                unit: case.unit,
                nanoseconds: call * 1e9 / case.units as f64,
                share_of_peak: case.share(ceiling, call),
            });
        }
    }
    Ok(Kernels { seconds, kernels: figures, row_adds: ceilings, checked: "every answer with the portable kernel's" })
}

impl Ceiling {
    fn of(isa: Isa, budget: Duration) -> Self {
        let slice = budget / 2;
        Self {
            instruction_set: isa.name(),
            f32_bytes_per_second: row_adds_here::<f32>(isa, slice).l1_bytes_per_second,
            i16_bytes_per_second: row_adds_here::<i16>(isa, slice).l1_bytes_per_second,
            i8_bytes_per_second: row_adds_here::<i8>(isa, slice).l1_bytes_per_second,
            counted_bits_per_second: counted_bits_here(isa, slice),
        }
    }
}

/// One kernel on one input.
pub struct Case {
    /// The kernel.
    pub kernel: &'static str,
    /// Type of the weights, or of the fields.
    pub numbers: Option<&'static str>,
    /// What it works on.
    pub size: String,
    /// What is counted.
    pub unit: &'static str,
    /// How many a call does.
    pub units: usize,
    work: Box<dyn Work>,
}

impl Case {
    /// Does it once more.
    pub fn run(&mut self, isa: Isa) {
        self.work.run(isa);
    }

    /// The bytes of the result of a first call.
    pub fn answer(&mut self, isa: Isa) -> Vec<u8> {
        self.work.answer(isa)
    }

    fn share(&self, ceiling: &Ceiling, seconds: f64) -> Option<f64> {
        let (amount, peak) = match (self.kernel, self.numbers) {
            ("count_pairs", _) => (self.units * WORDS * 64, ceiling.counted_bits_per_second),
            ("add_rows" | "add_words", Some("f32")) => (self.units * TILE * 4, ceiling.f32_bytes_per_second),
            ("add_rows" | "add_words", Some("i16")) => (self.units * TILE * 2, ceiling.i16_bytes_per_second),
            ("add_rows" | "add_words", Some("i8")) => (self.units * TILE, ceiling.i8_bytes_per_second),
            _ => return None,
        };
        Some(amount as f64 / seconds / peak)
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kernel, self.size)?;
        self.numbers.map_or(Ok(()), |numbers| write!(f, ", {numbers}"))
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Case({self})")
    }
}

trait Work {
    fn run(&mut self, isa: Isa);
    fn answer(&mut self, isa: Isa) -> Vec<u8>;
}

/// A call that writes numbers, which begin at zero.
struct Call<T, F> {
    result: Vec<T>,
    call: F,
}

impl<T: Pod, F: FnMut(Isa, &mut [T])> Work for Call<T, F> {
    fn run(&mut self, isa: Isa) {
        (self.call)(isa, black_box(&mut self.result));
    }

    fn answer(&mut self, isa: Isa) -> Vec<u8> {
        self.result.fill(T::zeroed());
        self.run(isa);
        let answer = bytemuck::cast_slice(&self.result).to_vec();
        // Sums of many calls stay numbers.
        self.result.fill(T::zeroed());
        answer
    }
}

fn case<T: Pod>(
    kernel: &'static str,
    numbers: Option<&'static str>,
    size: String,
    (units, unit): (usize, &'static str),
    length: usize,
    call: impl FnMut(Isa, &mut [T]) + 'static,
) -> Case {
    let work = Box::new(Call { result: vec![T::zeroed(); length], call });
    Case { kernel, numbers, size, unit, units, work }
}

/// Every kernel that the engine spends its time in, for every type of numbers.
pub fn cases(seed: u64) -> Vec<Case> {
    let rng = &mut stream(seed, 0);
    let mut cases = Vec::new();
    row_cases(&mut cases, rng, |rng| rng.next_u32() as i32 as f32 * 2.0_f32.powi(-31));
    row_cases(&mut cases, rng, |rng| (rng.next_u32() >> 16) as i16);
    row_cases(&mut cases, rng, |rng| (rng.next_u32() >> 24) as i8);
    field_cases(&mut cases, rng, "f32", Scale::ONE, |rng| rng.next_u32() as i32 as f32 * 2.0_f32.powi(-28));
    // An integer worth 1/1024, and fields within ±8.
    let scale = Scale::from_bits((1.0_f32 / 1024.0).to_bits()).expect("a positive scale");
    field_cases(&mut cases, rng, "i32", scale, |rng| rng.next_u32() as i32 >> 18);

    let rows: Vec<u64> = (0..TILE * WORDS).map(|_| rng.next_u64()).collect();
    let columns: Vec<[u64; TILE]> = (0..WORDS).map(|_| std::array::from_fn(|_| rng.next_u64())).collect();
    let size = format!("64 × 64 pairs, {} chains", 64 * WORDS);
    cases.push(case("count_pairs", None, size, (TILE * TILE, "pair"), TILE, move |isa, sums: &mut [[f32; TILE]]| {
        kernels::count_pairs(isa, &rows, &columns, sums);
    }));

    let begin: [Stream; LANES] = std::array::from_fn(|lane| stream(seed, 1 + lane as u64).into());
    let size = format!("{LANES} streams, {WIDTH} each");
    cases.push(case("draws", None, size, (LANES * WIDTH, "draw"), LANES * PADDED, move |isa, out| {
        // From the same place each time: the answer must not depend on the calls before.
        let mut streams = begin;
        kernels::draws(isa, &mut streams, WIDTH, out, PADDED);
        // Behind the last draw of a stream anything may stand.
        out.chunks_exact_mut(PADDED).for_each(|row| row[WIDTH..].fill(0));
    }));
    cases
}

fn row_cases<W: TileWeight>(cases: &mut Vec<Case>, rng: &mut XorShiftRng, number: impl Fn(&mut XorShiftRng) -> W) {
    let matrix: Vec<W> = (0..WIDTH * TILE).map(|_| number(rng)).collect();
    let mut tiles = Tiles::zeros(WIDTH, TILE);
    tiles.copy_from(&matrix);
    let name = W::KIND.name();
    for length in [3, 30, 200] {
        let tiles = tiles.clone();
        let listed: Vec<u16> =
            (0..CHAINS * length).map(|_| ((u64::from(rng.next_u32()) * WIDTH as u64) >> 32) as u16).collect();
        let jobs: Vec<Job> = (0..CHAINS as u32)
            .map(|target| Job { target, start: target * length as u32, end: (target + 1) * length as u32 })
            .collect();
        let size = format!("{length} of {WIDTH} rows");
        let units = (CHAINS * length, "row of 64");
        cases.push(case("add_rows", Some(name), size, units, CHAINS * TILE, move |isa, fields: &mut [W::Field]| {
            let mut target = Target { fields, stride: TILE, first: 0, columns: TILE };
            let tile = tiles.tiles().next().expect("one tile");
            kernels::add_rows(isa, [tile], &jobs, &listed, Sign::Plus, &mut target, 0);
        }));
    }
    let jobs: Vec<WordJob> = (0..CHAINS as u32).map(|target| WordJob { target, word: rng.next_u64() }).collect();
    let on: u32 = jobs.iter().map(|job| job.word.count_ones()).sum();
    let mut table = new_table::<W>();
    let units = (on as usize, "row of 64");
    cases.push(case(
        "add_words",
        Some(name),
        "32 of 64 rows".to_owned(),
        units,
        CHAINS * TILE,
        move |isa, fields: &mut [W::Field]| {
            let mut target = Target { fields, stride: TILE, first: 0, columns: TILE };
            let tile = tiles.tiles().next().expect("one tile");
            kernels::add_words(isa, &tile[..64], &jobs, &mut table, &mut target, 0);
        },
    ));
}

fn field_cases<F: TileField>(
    cases: &mut Vec<Case>,
    rng: &mut XorShiftRng,
    name: &'static str,
    scale: Scale,
    number: impl Fn(&mut XorShiftRng) -> F,
) {
    let fields: Vec<F> = (0..PADDED).map(|_| number(rng)).collect();
    let draws: Vec<u32> = (0..PADDED).map(|_| rng.next_u32()).collect();
    let (size, units) = (format!("{PADDED} fields"), (PADDED, "unit"));
    let same = fields.clone();
    cases.push(case("modes", Some(name), size.clone(), units, PADDED / 32, move |isa, words| {
        kernels::modes(isa, &same, words);
    }));
    cases.push(case("samples", Some(name), size, units, PADDED / 32, move |isa, words| {
        kernels::samples(isa, &fields, scale, &draws, words);
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_those_of_the_definition_and_every_kernel_is_there() {
        let mut cases = cases(3);
        for case in &mut cases {
            let answer = case.answer(Isa::best());
            assert!(answer.iter().any(|&byte| byte != 0) && answer == case.answer(Isa::PORTABLE), "{case}");
            // Repeats change no first answer.
            case.run(Isa::best());
            assert!(answer == case.answer(Isa::best()), "{case}");
        }
        for kernel in ["add_rows", "add_words", "modes", "samples", "count_pairs", "draws"] {
            assert!(cases.iter().any(|case| case.kernel == kernel));
        }
        let figures = kernels(3, Duration::ZERO).unwrap().kernels;
        assert_eq!(figures.len(), cases.len() * Isa::available().len());
    }
}
