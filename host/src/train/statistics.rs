//! Sufficient statistics of weighted states: ⟨x_l⟩ of every layer and ⟨x_l x_{l+1}ᵀ⟩ of every connection.
//!
//! Each connection joins an even and an odd layer. With marginalisation the odd layers' bits are replaced by their
//! conditional means σ(a) given the even ones, which has the same expectation under the model and less variance.
//!
//! Chains are recorded first, each in its own [`ChainRecord`], and folded into the [`Moments`] afterwards, in their
//! order, all processors sharing the rows of the matrices: sums do not depend on the number of threads.

use bitboltz_core::{
    bits::{WORD_BITS, count_ones, ones, word_mask, words_for},
    conditional::{Block, mean_layer},
    connection::Connection,
    model::Dbm,
    shape::Shape,
    state::State,
};
use rayon::prelude::*;

use crate::batch::{
    TILE,
    kernels::{self, Isa},
    lists::Lists,
    tile::{Tiles, new_table},
};

/// The weighted states that one chain showed. Reused from chain to chain.
#[derive(Clone, Debug, Default)]
pub struct ChainRecord {
    weights: Vec<f32>,
    /// All words of each state.
    words: Vec<u32>,
    /// Weight × value of each odd unit of each state, layers ascending.
    odd: Vec<f32>,
}

impl ChainRecord {
    /// Forgets everything: a new chain begins, or the chain failed.
    pub fn clear(&mut self) {
        self.weights.clear();
        self.words.clear();
        self.odd.clear();
    }

    /// Number of states.
    pub fn len(&self) -> usize {
        self.weights.len()
    }

    /// Whether there are no states.
    pub fn is_empty(&self) -> bool {
        self.weights.is_empty()
    }

    /// Adds a state with its weight; its odd layers as bits, or (`marginalise`) as conditional means.
    pub fn push<C: Connection>(
        &mut self,
        model: &Dbm<'_, C>,
        state: &State<'_, C::Field>,
        weight: f32,
        marginalise: bool,
    ) {
        let means = |layer: usize, means: &mut [f32]| mean_layer(model, state, layer, means);
        self.push_words(model.shape(), state.words(), weight, marginalise.then_some(means));
    }

    /// Adds a state, given by its words; its odd layers as bits, or as the means that `means(layer, means)` writes.
    pub fn push_words(&mut self, shape: &Shape, words: &[u32], weight: f32, means: Option<impl Fn(usize, &mut [f32])>) {
        self.weights.push(weight);
        self.words.extend_from_slice(words);
        for layer in Block::Odd.layers(shape.layers()) {
            let start = self.odd.len();
            self.odd.resize(start + shape.width(layer), 0.0);
            let values = &mut self.odd[start..];
            if let Some(means) = &means {
                means(layer, values);
                values.iter_mut().for_each(|value| *value *= weight);
            } else {
                ones(&words[shape.word_range(layer)]).for_each(|unit| values[unit] = weight);
            }
        }
    }
}

/// A state of weight 1 or more, as the sums take it.
#[derive(Clone, Copy, Debug)]
pub struct StateRef<'r> {
    /// Its weight.
    pub weight: f32,
    /// All words.
    pub words: &'r [u32],
    /// Weight × value of each odd unit, layers ascending.
    pub odd: &'r [f32],
}

/// Sums, and after [`finish`](Self::finish) averages, of sufficient statistics.
#[derive(Clone, Debug)]
pub struct Moments {
    shape: Shape,
    /// ⟨x_l⟩.
    pub means: Vec<Vec<f32>>,
    /// ⟨x_even x_oddᵀ⟩ of each connection, **even-major**: one row of odd units for each unit of the even layer. For
    /// even l that is the core's layout (lower rows), for odd l its transpose.
    pub pairs: Vec<Vec<f32>>,
    /// Scratch: for each layer, bit n of row `unit` tells whether the unit is on in state n.
    on: Vec<Vec<u32>>,
    /// Scratch: a row of values of the odd layer for each state.
    odd: Vec<Tiles<f32>>,
}

/// Rows of pairs that one task sums: some, since a task should cost more than handing it out.
const TASK_ROWS: usize = 128;

impl Moments {
    /// Nothing summed yet.
    pub fn new(shape: &Shape) -> Self {
        let widths: Vec<usize> = shape.widths().collect();
        Self {
            shape: *shape,
            means: widths.iter().map(|&width| vec![0.0; width]).collect(),
            pairs: widths.windows(2).map(|pair| vec![0.0; pair[0] * pair[1]]).collect(),
            on: vec![Vec::new(); widths.len()],
            odd: Vec::new(),
        }
    }

    /// Sums to zero.
    pub fn clear(&mut self) {
        self.means.iter_mut().chain(&mut self.pairs).for_each(|sums| sums.fill(0.0));
    }

    /// Adds the states of these chains.
    ///
    /// # Panics
    /// If there are more than 65,536 of them.
    pub fn add(&mut self, records: &[ChainRecord]) {
        let words = self.shape.words();
        let odd_units: usize = Block::Odd.layers(self.shape.layers()).map(|layer| self.shape.width(layer)).sum();
        let states: Vec<StateRef<'_>> = records
            .iter()
            .flat_map(|r| r.weights.iter().zip(r.words.chunks_exact(words)).zip(r.odd.chunks_exact(odd_units)))
            .map(|((&weight, words), odd)| StateRef { weight, words, odd })
            .collect();
        states.chunks(MAX_STATES).for_each(|states| self.add_states(states));
    }

    /// Adds these states, at most [`MAX_STATES`].
    ///
    /// # Panics
    /// If there are more.
    pub fn add_states(&mut self, states: &[StateRef<'_>]) {
        assert!(states.len() <= MAX_STATES);
        let (shape, isa) = (self.shape, Isa::best());
        let row_words = words_for(states.len());
        for layer in Block::Even.layers(shape.layers()) {
            transpose_bits(states.len(), |n| &states[n].words[shape.word_range(layer)], &mut self.on[layer]);
            let rows = self.on[layer].chunks_exact(row_words.max(1));
            if states.iter().all(|state| state.weight == 1.0) {
                self.means[layer].iter_mut().zip(rows).for_each(|(mean, on)| *mean += count_ones(on) as f32);
            } else {
                for (mean, on) in self.means[layer].iter_mut().zip(rows) {
                    ones(on).for_each(|n| *mean += states[n].weight);
                }
            }
        }
        let all: Vec<u32> = (0..row_words).map(|at| word_mask(states.len(), at)).collect();
        let none = vec![0; row_words];
        let mut first = 0;
        for (at, layer) in Block::Odd.layers(shape.layers()).enumerate() {
            let width = shape.width(layer);
            if self.odd.get(at).is_none_or(|tiles| tiles.rows() != states.len()) {
                self.odd.truncate(at);
                self.odd.push(Tiles::zeros(states.len(), width));
            }
            let values = &mut self.odd[at];
            values.fill_rows(|n| &states[n].odd[first..first + width]);
            first += width;
            let values = &self.odd[at];
            let mut lists = Lists::new::<f32>();
            lists.push(0, &all, &none);
            lists.apply(isa, values, 0, &mut new_table::<f32>(), &mut self.means[layer], width);
            for (l, even) in [(layer - 1, layer - 1), (layer, layer + 1)] {
                let (Some(pairs), Some(on)) = (self.pairs.get_mut(l), self.on.get(even)) else { continue };
                let tasks = pairs.par_chunks_mut(TASK_ROWS * width).zip(on.par_chunks(TASK_ROWS * row_words.max(1)));
                let scratch = || (Lists::new::<f32>(), new_table::<f32>());
                tasks.for_each_init(scratch, |(lists, table), (pairs, on)| {
                    lists.clear();
                    on.chunks_exact(row_words).enumerate().for_each(|(row, on)| lists.push(row, on, &none));
                    lists.apply(isa, values, 0, table, pairs, width);
                });
            }
        }
    }

    /// Adds states of weight 1, given by their words, with bits in the odd layers too: counts, so the sums are exact.
    pub fn add_bits(&mut self, states: &[&[u32]]) {
        let (shape, isa) = (self.shape, Isa::best());
        let row_words = words_for(states.len());
        if row_words == 0 {
            return;
        }
        for layer in 0..shape.layers() {
            transpose_bits(states.len(), |n| &states[n][shape.word_range(layer)], &mut self.on[layer]);
            let rows = self.on[layer].chunks_exact(row_words);
            self.means[layer].iter_mut().zip(rows).for_each(|(mean, on)| *mean += count_ones(on) as f32);
        }
        let longs = row_words.div_ceil(2);
        let long = |row: &[u32], at: usize| {
            u64::from(row[2 * at]) | u64::from(row.get(2 * at + 1).copied().unwrap_or(0)) << WORD_BITS
        };
        for layer in Block::Odd.layers(shape.layers()) {
            let width = shape.width(layer);
            // For each 64 odd units: word k of each of them, for all k in turn.
            let mut columns = vec![[0_u64; TILE]; width.div_ceil(TILE) * longs];
            for (unit, row) in self.on[layer].chunks_exact(row_words).enumerate() {
                (0..longs).for_each(|at| columns[unit / TILE * longs + at][unit % TILE] = long(row, at));
            }
            for (l, even) in [(layer - 1, layer - 1), (layer, layer + 1)] {
                let (Some(pairs), Some(on)) = (self.pairs.get_mut(l), self.on.get(even)) else { continue };
                let rows = pairs.par_chunks_mut(width).zip(on.par_chunks(row_words)).with_min_len(TASK_ROWS);
                rows.for_each(|(sums, on)| {
                    let row: Vec<u64> = (0..longs).map(|at| long(on, at)).collect();
                    for (sums, columns) in sums.chunks_mut(TILE).zip(columns.chunks_exact(longs)) {
                        let mut counts = [0; TILE];
                        kernels::count_pairs(isa, &row, columns, &mut counts);
                        sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count as f32);
                    }
                });
            }
        }
    }

    /// Divides the sums by the number of chains.
    pub fn finish(&mut self, chains: usize) {
        let factor = 1.0 / chains.max(1) as f32;
        self.means.iter_mut().flatten().for_each(|sum| *sum *= factor);
        self.pairs.iter_mut().for_each(|sums| sums.par_iter_mut().with_min_len(4096).for_each(|sum| *sum *= factor));
    }
}

/// Most states that are added at once: their values should stay in the cache, and their numbers fit 16 bits.
pub const MAX_STATES: usize = 1024;

/// Writes bit u of state n to bit n of row u, for whole words of units. Rows have `words_for(states)` words.
fn transpose_bits<'s>(states: usize, words: impl Fn(usize) -> &'s [u32] + Sync, rows: &mut Vec<u32>) {
    let row_words = words_for(states);
    rows.clear();
    if states == 0 {
        return;
    }
    rows.resize(words(0).len() * WORD_BITS * row_words, 0);
    rows.par_chunks_exact_mut(WORD_BITS * row_words).enumerate().for_each(|(index, rows)| {
        for part in 0..row_words {
            let mut square = [0; WORD_BITS];
            for (n, word) in (part * WORD_BITS..states).zip(&mut square) {
                *word = words(n)[index];
            }
            transpose_square(&mut square);
            square.into_iter().enumerate().for_each(|(unit, word)| rows[unit * row_words + part] = word);
        }
    });
}

/// Transposes 32 × 32 bits: halves, quarters, … change places (Hacker's Delight, section 7-3, for the least significant
/// bit first).
fn transpose_square(square: &mut [u32; WORD_BITS]) {
    let (mut step, mut mask) = (16, 0x0000_FFFF_u32);
    while step > 0 {
        let mut k = 0;
        while k < WORD_BITS {
            let swap = (square[k] >> step ^ square[k + step]) & mask;
            square[k] ^= swap << step;
            square[k + step] ^= swap;
            k = (k + step + 1) & !step;
        }
        step /= 2;
        mask ^= mask << step;
    }
}

#[cfg(test)]
mod tests {
    use bitboltz_core::{
        image::Geometry,
        rng::{Rng as _, stream},
        state::Clamp,
    };

    use super::*;
    use crate::{chain::ChainBuffer, parameters::Parameters};

    /// Sums by the definition, unit by unit.
    #[test]
    fn sums_agree_with_the_definition() {
        for widths in [&[5, 4][..], &[34, 3, 40], &[3, 33, 2, 5]] {
            let number = |i: usize| ((i * 7919 % 1009) as f32 - 500.0) / 300.0;
            let weights = widths.windows(2).map(|w| (0..w[0] * w[1]).map(number).collect()).collect();
            let biases = widths.iter().map(|&w| (0..w).map(number).collect()).collect();
            let parameters = Parameters::new(weights, biases, Geometry::default()).unwrap();
            let model = parameters.dbm().unwrap();
            let shape = *model.shape();
            for marginalise in [false, true] {
                let mut records = vec![ChainRecord::default(); 3];
                let mut moments = Moments::new(&shape);
                let mut means: Vec<Vec<f64>> = widths.iter().map(|&w| vec![0.0; w]).collect();
                let mut pairs: Vec<Vec<f64>> = widths.windows(2).map(|w| vec![0.0; w[0] * w[1]]).collect();
                let mut buffer = ChainBuffer::new(&shape);
                for (chain, record) in records.iter_mut().enumerate() {
                    for (n, weight) in [1.0_f32, -0.5, 2.0].into_iter().enumerate().take(chain + 1) {
                        let mut state = buffer.state(&shape);
                        model.randomise(&mut state, &Clamp::none(), &mut stream(chain as u64, n as u64));
                        record.push(&model, &state, weight, marginalise);
                        let values: Vec<Vec<f64>> = (0..shape.layers())
                            .map(|layer| {
                                let mut mean = vec![0.0; shape.width(layer)];
                                mean_layer(&model, &state, layer, &mut mean);
                                let bit = |unit: usize| f64::from(u8::from(state.layer(layer)[unit]));
                                let value = |(unit, &mean): (usize, &f32)| {
                                    if marginalise && layer % 2 == 1 { f64::from(mean) } else { bit(unit) }
                                };
                                mean.iter().enumerate().map(value).collect()
                            })
                            .collect();
                        for l in 0..shape.layers() {
                            for i in 0..shape.width(l) {
                                means[l][i] += f64::from(weight) * values[l][i] / 3.0;
                                for j in 0..shape.width(l + 1) {
                                    let at =
                                        if l % 2 == 0 { i * shape.width(l + 1) + j } else { j * shape.width(l) + i };
                                    pairs[l][at] += f64::from(weight) * values[l][i] * values[l + 1][j] / 3.0;
                                }
                            }
                        }
                    }
                }
                moments.add(&records[..2]);
                moments.add(&records[2..]);
                moments.finish(3);
                let found = moments.means.iter().chain(&moments.pairs).flatten();
                for (found, expected) in found.zip(means.iter().chain(&pairs).flatten()) {
                    assert!((f64::from(*found) - expected).abs() < 1e-5, "{found} {expected}");
                }
            }
        }
    }

    #[test]
    fn bits_are_transposed() {
        for (states, units) in [(1, 32), (31, 64), (33, 32), (100, 96)] {
            let mut rng = stream(6, states as u64);
            let words: Vec<Vec<u32>> = (0..states).map(|_| (0..units / 32).map(|_| rng.next_u32()).collect()).collect();
            let mut rows = vec![7; 3];
            transpose_bits(states, |n| &words[n], &mut rows);
            let row_words = words_for(states);
            assert_eq!(rows.len(), units * row_words);
            for (unit, row) in rows.chunks_exact(row_words).enumerate() {
                let found: Vec<usize> = ones(row).collect();
                let expected: Vec<usize> =
                    (0..states).filter(|&n| words[n][unit / 32] >> (unit % 32) & 1 == 1).collect();
                assert_eq!(found, expected);
            }
        }
    }

    #[test]
    fn counted_bits_are_summed_bits() {
        for (count, widths) in [(1, &[5, 4][..]), (70, &[34, 3, 40]), (1024, &[3, 70, 2, 65])] {
            let shape = Shape::new(widths).unwrap();
            let parameters = Parameters::zeros(widths, Geometry::default()).unwrap();
            let model = parameters.dbm().unwrap();
            let mut records = vec![ChainRecord::default(); count];
            let mut buffer = ChainBuffer::new(&shape);
            for (chain, record) in records.iter_mut().enumerate() {
                let mut state = buffer.state(&shape);
                model.randomise(&mut state, &Clamp::none(), &mut stream(2, chain as u64));
                record.push(&model, &state, 1.0, false);
            }
            let (mut summed, mut counted) = (Moments::new(&shape), Moments::new(&shape));
            summed.add(&records);
            counted.add_bits(&records.iter().map(|record| record.words.as_slice()).collect::<Vec<_>>());
            assert_eq!((&summed.means, &summed.pairs), (&counted.means, &counted.pairs));
        }
    }
}
