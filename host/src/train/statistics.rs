//! Sufficient statistics of weighted states: ⟨x_l⟩ of every layer and ⟨x_l x_{l+1}ᵀ⟩ of every connection.
//!
//! Each connection joins an even and an odd layer. With marginalisation the odd layers' bits are replaced by their
//! conditional means σ(a) given the even ones, which has the same expectation under the model and less variance.
//!
//! Chains are recorded first, each in its own [`ChainRecord`], and folded into the [`Moments`] afterwards, in their
//! order, all processors sharing the rows of the matrices: sums do not depend on the number of threads.

use bitboltz_core::{
    bits::{WORD_BITS, ones, words_for},
    conditional::{Block, mean_layer},
    connection::Connection,
    model::Dbm,
    shape::Shape,
    state::State,
};
use rayon::prelude::*;

use crate::dual::add_rows;

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
        self.weights.push(weight);
        self.words.extend_from_slice(state.words());
        for layer in Block::Odd.layers(model.shape().layers()) {
            let start = self.odd.len();
            self.odd.resize(start + model.shape().width(layer), 0.0);
            let values = &mut self.odd[start..];
            if marginalise {
                mean_layer(model, state, layer, values);
                values.iter_mut().for_each(|value| *value *= weight);
            } else {
                ones(state.layer_words(layer)).for_each(|unit| values[unit] = weight);
            }
        }
    }
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
    /// Bit n of row `unit`: whether the unit is on in state n. For each even layer; scratch.
    on: Vec<Vec<u32>>,
}

impl Moments {
    /// Nothing summed yet.
    pub fn new(shape: &Shape) -> Self {
        let widths: Vec<usize> = shape.widths().collect();
        Self {
            shape: *shape,
            means: widths.iter().map(|&width| vec![0.0; width]).collect(),
            pairs: widths.windows(2).map(|pair| vec![0.0; pair[0] * pair[1]]).collect(),
            on: vec![Vec::new(); Block::Even.layers(widths.len()).count()],
        }
    }

    /// Sums to zero.
    pub fn clear(&mut self) {
        self.means.iter_mut().chain(&mut self.pairs).for_each(|sums| sums.fill(0.0));
    }

    /// Adds the states of these chains.
    pub fn add(&mut self, records: &[ChainRecord]) {
        let shape = self.shape;
        let words = shape.words();
        let odd_units: usize = Block::Odd.layers(shape.layers()).map(|layer| shape.width(layer)).sum();
        let states: Vec<(f32, &[u32], &[f32])> = records
            .iter()
            .flat_map(|r| r.weights.iter().zip(r.words.chunks_exact(words)).zip(r.odd.chunks_exact(odd_units)))
            .map(|((&weight, words), odd)| (weight, words, odd))
            .collect();
        let row_words = words_for(states.len());

        for (on, layer) in self.on.iter_mut().zip(Block::Even.layers(shape.layers())) {
            on.clear();
            on.resize(shape.width(layer) * row_words, 0);
            let means = &mut self.means[layer];
            for (n, (weight, words, _)) in states.iter().enumerate() {
                for unit in ones(&words[shape.word_range(layer)]) {
                    on[unit * row_words + n / WORD_BITS] |= 1 << (n % WORD_BITS);
                    means[unit] += weight;
                }
            }
        }
        let mut first = 0;
        for layer in Block::Odd.layers(shape.layers()) {
            let (width, means) = (shape.width(layer), &mut self.means[layer]);
            add_rows(means, states.iter().map(|(_, _, odd)| &odd[first..first + width]));
            for l in [layer - 1, layer].into_iter().filter(|&l| l + 1 < shape.layers()) {
                let even = if l == layer { l + 1 } else { l };
                let on = &self.on[even / 2];
                // Some rows to a task: a task should cost more than handing it out.
                self.pairs[l]
                    .par_chunks_mut(width)
                    .zip(on.par_chunks(row_words.max(1)))
                    .with_min_len(8)
                    .for_each(|(sums, on)| add_rows(sums, ones(on).map(|n| &states[n].2[first..first + width])));
            }
            first += width;
        }
    }

    /// Divides the sums by the number of chains.
    pub fn finish(&mut self, chains: usize) {
        let factor = 1.0 / chains.max(1) as f32;
        self.means.iter_mut().flatten().for_each(|sum| *sum *= factor);
        self.pairs.iter_mut().for_each(|sums| sums.par_iter_mut().with_min_len(4096).for_each(|sum| *sum *= factor));
    }
}

#[cfg(test)]
mod tests {
    use bitboltz_core::{image::Geometry, rng::stream, state::Clamp};

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
}
