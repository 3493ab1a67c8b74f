//! Sufficient statistics of weighted states: ⟨x_l⟩ of every layer and ⟨x_l x_{l+1}ᵀ⟩ of every connection.
//!
//! Each connection joins an even and an odd layer. With marginalisation the odd layers' bits are replaced by their
//! conditional means σ(a) given the even ones, which has the same expectation under the model and less variance.
//!
//! States are collected first, in the order of their chains, and their products summed afterwards, all processors sharing
//! the rows of the matrices: sums do not depend on the number of threads.

mod values;

use bitboltz_core::{
    bits::{WORD_BITS, ones, words_for},
    conditional::{Block, mean_layer},
    connection::Connection,
    model::Dbm,
    shape::Shape,
    state::State,
};
use rayon::prelude::*;

use super::projections::Projections;
use crate::batch::{
    TILE,
    aligned::Aligned,
    blocks::row_groups,
    kernels::{self, Isa},
    lists::Lists,
    tile::{Table, Tiles, new_table},
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

    /// The states, of a machine of this shape.
    pub fn states(&self, shape: &Shape) -> impl Iterator<Item = StateRef<'_>> {
        let odd_units: usize = Block::Odd.layers(shape.layers()).map(|layer| shape.width(layer)).sum();
        let states = self.weights.iter().zip(self.words.chunks_exact(shape.words()));
        let states = states.zip(self.odd.chunks_exact(odd_units));
        states.map(|((&weight, words), odd)| StateRef { weight, words, odd })
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

/// A state, and its weight in an estimate: in H_{k:m} that may be a fraction, or negative.
#[derive(Clone, Copy, Debug)]
pub struct StateRef<'r> {
    /// Its weight.
    pub weight: f32,
    /// All words.
    pub words: &'r [u32],
    /// Weight × value of each odd unit, layers ascending.
    pub odd: &'r [f32],
}

/// What the odd layers of waiting states hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Odd {
    /// Values, for sums.
    Values,
    /// Bits, for counts.
    Bits,
}

/// States whose products nobody has summed yet.
#[derive(Clone, Debug)]
struct Waiting {
    odd: Odd,
    count: usize,
    /// All words of each state.
    words: Vec<u32>,
    /// For each layer, bit n of row `unit` tells whether the unit is on in state n; of whole words of units.
    on: Vec<Vec<u32>>,
    /// For each layer, if it is odd, and each 64 units of it: the units' values in every state.
    values: Vec<Vec<Tiles<f32>>>,
    /// For each layer, if it is odd, and each 64 units of it: word k of each unit's row of bits, for all k in turn.
    columns: Vec<Vec<[u64; TILE]>>,
}

/// Sums, and after [`finish`](Self::finish) averages, of sufficient statistics.
///
/// The products of the last states added, up to [`MAX_STATES`], are not summed before somebody [reads](BlockSums::read)
/// them, 64 × 64 units at a time: an update then goes over its weights once, and no matrix of sums lies in memory unless
/// there are more states than that.
#[derive(Clone, Debug)]
pub struct Moments {
    shape: Shape,
    /// ⟨x_l⟩.
    pub means: Vec<Vec<f32>>,
    /// For each connection the sums of the states that do not wait, **even-major**: a row for each unit of the even
    /// layer, a column for each of the odd one. Empty before the first such state.
    sums: Vec<Tiles<f32>>,
    /// Whether the sums hold something.
    summed: bool,
    /// What turns sums into averages.
    factor: f32,
    waiting: Waiting,
    /// Who is shown each chain, if anybody.
    projections: Option<Projections>,
}

/// The even and the odd one of the layers that connection `l` joins.
pub fn even_odd(l: usize) -> (usize, usize) {
    if l.is_multiple_of(2) { (l, l + 1) } else { (l + 1, l) }
}

impl Moments {
    /// Nothing summed yet.
    pub fn new(shape: &Shape) -> Self {
        let layers = shape.layers();
        Self {
            shape: *shape,
            means: shape.widths().map(|width| vec![0.0; width]).collect(),
            sums: Vec::new(),
            summed: false,
            factor: 1.0,
            waiting: Waiting {
                odd: Odd::Values,
                count: 0,
                words: Vec::new(),
                on: vec![Vec::new(); layers],
                values: vec![Vec::new(); layers],
                columns: vec![Vec::new(); layers],
            },
            projections: None,
        }
    }

    /// Shows each chain that is added from now on to these projections, or to none.
    pub fn show_to(&mut self, projections: Option<Projections>) {
        self.projections = projections;
    }

    /// The projections of the chains that were added.
    pub fn projections(&self) -> Option<&Projections> {
        self.projections.as_ref()
    }

    /// The layer widths.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Sums to zero.
    pub fn clear(&mut self) {
        self.means.iter_mut().for_each(|sums| sums.fill(0.0));
        self.summed = false;
        self.factor = 1.0;
        self.waiting.count = 0;
        self.waiting.words.clear();
    }

    /// Adds the states of these chains.
    pub fn add(&mut self, records: &[ChainRecord]) {
        if let Some(projections) = &mut self.projections {
            let chains = records.iter().filter(|record| !record.is_empty());
            chains.for_each(|record| projections.add_chain(record.states(&self.shape)));
        }
        let states: Vec<StateRef<'_>> = records.iter().flat_map(|record| record.states(&self.shape)).collect();
        self.sum_states(&states);
    }

    /// Adds the states of chains that show one each.
    pub fn add_states(&mut self, states: &[StateRef<'_>]) {
        if let Some(projections) = &mut self.projections {
            states.iter().for_each(|&state| projections.add_chain([state]));
        }
        self.sum_states(states);
    }

    fn sum_states(&mut self, states: &[StateRef<'_>]) {
        let mut rest = states;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(self.room(Odd::Values).min(rest.len()));
            self.append(now);
            rest = later;
        }
    }

    /// Adds the states of chains that show one each, of weight 1, given by its words, with bits in the odd layers too:
    /// counts, so the sums are exact.
    pub fn add_bits(&mut self, states: &[&[u32]]) {
        if let Some(projections) = &mut self.projections {
            states.iter().for_each(|words| projections.add_bits(words));
        }
        let mut rest = states;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(self.room(Odd::Bits).min(rest.len()));
            self.waiting.count += now.len();
            now.iter().for_each(|words| self.waiting.words.extend_from_slice(words));
            for state in now {
                for (layer, means) in self.means.iter_mut().enumerate() {
                    ones(&state[self.shape.word_range(layer)]).for_each(|unit| means[unit] += 1.0);
                }
            }
            rest = later;
        }
    }

    /// How many states of a kind may be added to those that wait, at least one. Sums those first if it must.
    fn room(&mut self, odd: Odd) -> usize {
        if self.waiting.count == MAX_STATES || (self.waiting.count > 0 && self.waiting.odd != odd) {
            self.sum_waiting();
        }
        self.waiting.odd = odd;
        MAX_STATES - self.waiting.count
    }

    fn append(&mut self, states: &[StateRef<'_>]) {
        let (shape, begin) = (self.shape, self.waiting.count);
        for state in states {
            self.waiting.words.extend_from_slice(state.words);
            let mut odd = state.odd;
            for (layer, means) in self.means.iter_mut().enumerate() {
                if layer.is_multiple_of(2) {
                    ones(&state.words[shape.word_range(layer)]).for_each(|unit| means[unit] += state.weight);
                } else {
                    let (values, others) = odd.split_at(means.len());
                    means.iter_mut().zip(values).for_each(|(mean, value)| *mean += value);
                    odd = others;
                }
            }
        }
        let mut first = 0;
        for layer in Block::Odd.layers(shape.layers()) {
            let width = shape.width(layer);
            let tiles = &mut self.waiting.values[layer];
            if tiles.is_empty() {
                *tiles = (0..width.div_ceil(TILE)).map(|_| Tiles::zeros(MAX_STATES, TILE)).collect();
            }
            // A thread should have more to copy than it costs to wake it.
            tiles.par_iter_mut().with_min_len(1 + 256 / states.len().max(1)).enumerate().for_each(|(at, tile)| {
                let units = at * TILE..((at + 1) * TILE).min(width);
                let rows = tile.each_tile_mut().flat_map(|rows| &mut rows[begin..]);
                rows.zip(states).for_each(|(row, state)| {
                    row[..units.len()].copy_from_slice(&state.odd[first..][units.clone()]);
                });
            });
            first += width;
        }
        self.waiting.count += states.len();
    }

    /// Divides the sums by the number of chains, and makes the states that wait ready to be read.
    pub fn finish(&mut self, chains: usize) {
        let factor = 1.0 / chains.max(1) as f32;
        self.means.iter_mut().flatten().for_each(|sum| *sum *= factor);
        self.factor = factor;
        self.waiting.pack(&self.shape);
    }

    /// What turns the sums of [`BlockSums::read`] into averages.
    pub fn factor(&self) -> f32 {
        self.factor
    }

    /// ⟨x_even x_oddᵀ⟩ of connection `l`: a row of odd units for each unit of the even layer. For even `l` that is the
    /// core's layout (lower rows), for odd `l` its transpose. After [`finish`](Self::finish).
    pub fn pairs(&self, l: usize) -> Vec<f32> {
        let (even, odd) = even_odd(l);
        let (height, width) = (self.shape.width(even), self.shape.width(odd));
        let mut pairs = vec![0.0; height * width];
        pairs.par_chunks_mut(TILE * width).enumerate().for_each_init(BlockSums::default, |scratch, (group, rows)| {
            scratch.begin(self, l, group);
            for first in (0..width).step_by(TILE) {
                let count = TILE.min(width - first);
                let sums = scratch.read(self, l, group, first / TILE);
                for (row, sums) in rows.chunks_exact_mut(width).zip(sums) {
                    let sums = sums.map(|sum| sum * self.factor);
                    row[first..first + count].copy_from_slice(&sums[..count]);
                }
            }
        });
        pairs
    }

    /// Adds the products of the states that wait to the matrices of sums.
    fn sum_waiting(&mut self) {
        self.waiting.pack(&self.shape);
        let mut sums = self.take_sums();
        let mut tasks = Vec::new();
        for (l, matrix) in sums.iter_mut().enumerate() {
            tasks.extend(row_groups(matrix).into_iter().enumerate().map(|(group, blocks)| (l, group, blocks)));
        }
        tasks.into_par_iter().with_max_len(1).for_each_init(BlockSums::default, |scratch, (l, group, blocks)| {
            scratch.begin(self, l, group);
            for (tile, block) in blocks.into_iter().enumerate() {
                if !self.summed {
                    block.fill([0.0; TILE]);
                }
                scratch.lists.add(&self.waiting, l, tile, block);
            }
        });
        self.sums = sums;
        self.summed = true;
        self.waiting.count = 0;
        self.waiting.words.clear();
    }

    /// The matrices of sums, made if there are none yet. If [`summed`](Self::summed) is not set, they hold anything.
    fn take_sums(&mut self) -> Vec<Tiles<f32>> {
        let sums = std::mem::take(&mut self.sums);
        if !sums.is_empty() {
            return sums;
        }
        let connections = 0..self.shape.layers() - 1;
        let matrix = |(even, odd)| Tiles::zeros(self.shape.width(even), self.shape.width(odd));
        connections.map(even_odd).map(matrix).collect()
    }

    /// Averages with these values, and no states behind them.
    #[cfg(test)]
    pub(super) fn of_averages(shape: &Shape, means: Vec<Vec<f32>>, pairs: &[Vec<f32>]) -> Self {
        let mut moments = Self { means, summed: true, ..Self::new(shape) };
        for (l, pairs) in pairs.iter().enumerate() {
            let (even, odd) = even_odd(l);
            let mut tiles = Tiles::zeros(shape.width(even), shape.width(odd));
            tiles.copy_from(pairs);
            moments.sums.push(tiles);
        }
        moments
    }
}

impl Waiting {
    /// Arranges the bits of the states by units.
    fn pack(&mut self, shape: &Shape) {
        let (count, words) = (self.count, shape.words());
        let longs = count.div_ceil(2 * WORD_BITS);
        for layer in 0..shape.layers() {
            let odd = layer % 2 == 1;
            if odd && self.odd == Odd::Values {
                continue;
            }
            let range = shape.word_range(layer);
            let states = &self.words;
            transpose_bits(count, range.len(), |n| &states[n * words..][range.clone()], &mut self.on[layer]);
            if odd && count > 0 {
                let columns = &mut self.columns[layer];
                columns.clear();
                columns.resize(shape.width(layer).div_ceil(TILE) * longs, [0; TILE]);
                for (unit, row) in self.on[layer].chunks_exact(words_for(count)).enumerate() {
                    (0..longs).for_each(|at| columns[unit / TILE * longs + at][unit % TILE] = long(row, at));
                }
            }
        }
    }
}

/// Long `at` of a row of words.
fn long(row: &[u32], at: usize) -> u64 {
    u64::from(row[2 * at]) | u64::from(row.get(2 * at + 1).copied().unwrap_or(0)) << WORD_BITS
}

/// Which waiting states each of 64 even units is on in.
#[derive(Clone, Debug)]
struct GroupLists {
    lists: Lists,
    table: Table<f32>,
    /// The units' bits, for counts.
    rows: Vec<u64>,
}

impl GroupLists {
    /// Takes units 64 · `group`.. of the even layer of connection `l`.
    fn set(&mut self, moments: &Moments, l: usize, group: usize) {
        self.lists.clear();
        self.rows.clear();
        let Waiting { odd, count, on, .. } = &moments.waiting;
        if *count == 0 {
            return;
        }
        let (even, _) = even_odd(l);
        let units = group * TILE..((group + 1) * TILE).min(moments.shape.width(even));
        let words = words_for(*count);
        let rows = on[even][units.start * words..units.end * words].chunks_exact(words);
        match odd {
            Odd::Values => {
                let none = vec![0; words];
                rows.enumerate().for_each(|(at, row)| self.lists.push(at, row, &none));
            }
            Odd::Bits => rows.for_each(|row| self.rows.extend((0..words.div_ceil(2)).map(|at| long(row, at)))),
        }
    }

    /// Adds the products of these units with units 64 · `tile`.. of the odd layer, over all states that wait.
    fn add(&mut self, waiting: &Waiting, l: usize, tile: usize, sums: &mut [[f32; TILE]]) {
        let (_, odd) = even_odd(l);
        match waiting.odd {
            _ if waiting.count == 0 => {}
            Odd::Values => {
                let values = &waiting.values[odd][tile];
                self.lists.apply(values, 0, &mut self.table, sums.as_flattened_mut(), TILE);
            }
            Odd::Bits => {
                let longs = waiting.count.div_ceil(2 * WORD_BITS);
                kernels::count_pairs(Isa::best(), &self.rows, &waiting.columns[odd][tile * longs..][..longs], sums);
            }
        }
    }
}

/// Reads sums of products block by block; scratch of a thread.
#[derive(Clone, Debug)]
pub struct BlockSums {
    lists: GroupLists,
    block: Aligned<f32>,
}

impl Default for BlockSums {
    fn default() -> Self {
        let lists = GroupLists { lists: Lists::new(Isa::best()), table: new_table::<f32>(), rows: Vec::new() };
        Self { lists, block: Aligned::zeros(TILE * TILE) }
    }
}

impl BlockSums {
    /// Makes ready for units 64 · `group`.. of the even layer of connection `l`.
    pub fn begin(&mut self, moments: &Moments, l: usize, group: usize) {
        self.lists.set(moments, l, group);
    }

    /// The sums of products of these units with units 64 · `tile`.. of the odd layer: a row for each even unit, padded
    /// with zeros to 64 columns. The [factor](Moments::factor) makes averages of them.
    pub fn read(&mut self, moments: &Moments, l: usize, group: usize, tile: usize) -> &[[f32; TILE]] {
        let height = moments.shape.width(even_odd(l).0);
        let units = group * TILE..((group + 1) * TILE).min(height);
        let sums = &mut self.block.as_chunks_mut().0[..units.len()];
        if moments.summed {
            let tile = moments.sums[l].tiles().nth(tile).expect("a tile of the matrix");
            sums.copy_from_slice(&tile[units]);
        } else {
            sums.fill([0.0; TILE]);
        }
        self.lists.add(&moments.waiting, l, tile, sums);
        sums
    }
}

/// Most states that wait to be summed: their values should stay in the cache, and their numbers fit 16 bits.
pub const MAX_STATES: usize = 1024;

/// Writes bit u of state n to bit n of row u, for `length` words of units. Rows have `words_for(states)` words.
fn transpose_bits<'s>(states: usize, length: usize, words: impl Fn(usize) -> &'s [u32] + Sync, rows: &mut Vec<u32>) {
    let row_words = words_for(states);
    rows.clear();
    if states == 0 {
        return;
    }
    rows.resize(length * WORD_BITS * row_words, 0);
    rows.par_chunks_exact_mut(WORD_BITS * row_words).with_min_len(1 + 128 / row_words).enumerate().for_each(
        |(index, rows)| {
            for part in 0..row_words {
                let mut square = [0; WORD_BITS];
                for (n, word) in (part * WORD_BITS..states).zip(&mut square) {
                    *word = words(n)[index];
                }
                transpose_square(&mut square);
                square.into_iter().enumerate().for_each(|(unit, word)| rows[unit * row_words + part] = word);
            }
        },
    );
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

    fn averages(moments: &Moments) -> Vec<f32> {
        let pairs = (1..moments.shape().layers()).flat_map(|l| moments.pairs(l - 1));
        moments.means.iter().flatten().copied().chain(pairs).collect()
    }

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
                for (found, expected) in averages(&moments).into_iter().zip(means.iter().chain(&pairs).flatten()) {
                    assert!((f64::from(found) - expected).abs() < 1e-5, "{found} {expected}");
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
            transpose_bits(states, units / 32, |n| &words[n], &mut rows);
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
        // The last ones go beyond what waits.
        for (count, widths) in [(1, &[5, 4][..]), (70, &[34, 3, 40]), (1024, &[3, 70, 2, 65]), (1100, &[3, 2])] {
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
            summed.finish(1);
            counted.finish(1);
            assert_eq!(averages(&summed), averages(&counted));
            let mut mixed = Moments::new(&shape);
            mixed.add_bits(&records[..count / 2].iter().map(|record| record.words.as_slice()).collect::<Vec<_>>());
            mixed.add(&records[count / 2..]);
            mixed.finish(1);
            assert_eq!(averages(&summed), averages(&mixed));
        }
    }
}
