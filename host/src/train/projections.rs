//! How far the chains of a phase differ in what they say of the weights' gradient, without a matrix for each chain.
//!
//! A chain's own estimate of connection l is the matrix S_l = Σ w (x_l − μ_l)(x_{l+1} − μ_{l+1})ᵀ over the weighted states
//! that it showed. Independent random signs r, one for each unit, make a number of it, s_l = r_lᵀ S_l r_{l+1}, which costs a
//! sum over the units; and E s_l² is the squared length of S_l, the sum of its squared elements (Hutchinson's estimate of a
//! trace). So the variance of s_l over the chains is an unbiased estimate of the variances of all elements of S_l together,
//! and the mean of s_l gives the squared length of the mean. Both are averaged over [`DIRECTIONS`] vectors of signs.

use bitboltz_core::{bits::ones, rng::Rng as _, rng::XorShiftRng, shape::Shape};

use super::statistics::StateRef;

/// Vectors of signs.
pub const DIRECTIONS: usize = 16;

/// One number for each direction.
type Each<T> = [T; DIRECTIONS];

/// Random directions, and how the chains shown so far project on them.
#[derive(Clone, Debug)]
pub struct Projections {
    shape: Shape,
    /// For each layer and each unit.
    signs: Vec<Vec<Each<f32>>>,
    /// For each layer, the offsets' projection.
    offsets: Vec<Each<f32>>,
    chains: usize,
    /// For each connection, of the chains' numbers: their mean and the sum of their squared distances from it.
    means: Vec<Each<f64>>,
    squares: Vec<Each<f64>>,
}

impl Projections {
    /// Directions drawn from a stream, for statistics centered by these offsets, one vector for each layer; by nothing if
    /// there are none.
    pub fn new(shape: &Shape, offsets: &[Vec<f32>], mut rng: XorShiftRng) -> Self {
        let signs: Vec<Vec<Each<f32>>> = shape
            .widths()
            .map(|width| {
                let unit = |_| {
                    let bits = rng.next_u32();
                    std::array::from_fn(|d| if bits >> d & 1 == 1 { 1.0 } else { -1.0 })
                };
                (0..width).map(unit).collect()
            })
            .collect();
        let offsets = signs.iter().enumerate().map(|(layer, signs)| {
            let offsets = offsets.get(layer).map_or(&[][..], Vec::as_slice);
            project(signs, offsets.iter().copied().enumerate())
        });
        let connections = shape.layers() - 1;
        Self {
            shape: *shape,
            offsets: offsets.collect(),
            signs,
            chains: 0,
            means: vec![[0.0; DIRECTIONS]; connections],
            squares: vec![[0.0; DIRECTIONS]; connections],
        }
    }

    /// Adds the states that one chain showed.
    pub fn add_chain<'s>(&mut self, states: impl IntoIterator<Item = StateRef<'s>>) {
        let mut numbers = vec![[0.0; DIRECTIONS]; self.means.len()];
        for state in states {
            let mut odd = state.odd;
            let layers = self.layers(state.words, |layer, signs| {
                let (values, others) = odd.split_at(self.shape.width(layer));
                odd = others;
                project(signs, values.iter().copied().enumerate())
            });
            self.products(&layers, state.weight, &mut numbers);
        }
        self.count(&numbers);
    }

    /// Adds a chain that showed one state, of weight 1 and with bits in the odd layers too.
    pub fn add_bits(&mut self, words: &[u32]) {
        let mut numbers = vec![[0.0; DIRECTIONS]; self.means.len()];
        let odd = |layer: usize, signs: &[Each<f32>]| project_bits(signs, &words[self.shape.word_range(layer)]);
        self.products(&self.layers(words, odd), 1.0, &mut numbers);
        self.count(&numbers);
    }

    /// Adds a chain that showed one state, of weight 1 and with values in all hidden layers: `values` gives those of a layer.
    pub fn add_values<V: Iterator<Item = f32>>(&mut self, visible: &[u32], values: impl Fn(usize) -> V) {
        let mut numbers = vec![[0.0; DIRECTIONS]; self.means.len()];
        let hidden = self.signs.iter().enumerate().skip(1);
        let hidden = hidden.map(|(layer, signs)| project(signs, values(layer).enumerate()));
        let layers: Vec<Each<f32>> = std::iter::once(project_bits(&self.signs[0], visible)).chain(hidden).collect();
        self.products(&layers, 1.0, &mut numbers);
        self.count(&numbers);
    }

    /// The projection of each layer of a state: its bits in the even ones, weight × value in the odd ones.
    fn layers(&self, words: &[u32], mut odd: impl FnMut(usize, &[Each<f32>]) -> Each<f32>) -> Vec<Each<f32>> {
        let layers = self.signs.iter().enumerate();
        let project = |(layer, signs): (usize, &Vec<Each<f32>>)| {
            if layer % 2 == 1 { odd(layer, signs) } else { project_bits(signs, &words[self.shape.word_range(layer)]) }
        };
        layers.map(project).collect()
    }

    fn products(&self, layers: &[Each<f32>], weight: f32, numbers: &mut [Each<f64>]) {
        for (l, numbers) in numbers.iter_mut().enumerate() {
            let (even, odd) = super::statistics::even_odd(l);
            for (d, number) in numbers.iter_mut().enumerate() {
                let centered = [
                    layers[even][d] - self.offsets[even][d],
                    // The values have the weight in them.
                    layers[odd][d] - weight * self.offsets[odd][d],
                ];
                *number += f64::from(centered[0]) * f64::from(centered[1]);
            }
        }
    }

    /// Welford's update of means and squares.
    fn count(&mut self, numbers: &[Each<f64>]) {
        self.chains += 1;
        let all = self.means.as_flattened_mut().iter_mut().zip(self.squares.as_flattened_mut());
        for ((mean, squares), number) in all.zip(numbers.as_flattened()) {
            let before = number - *mean;
            *mean += before / self.chains as f64;
            *squares += before * (number - *mean);
        }
    }

    /// The variance of the phase's average over its chains: of all weights' statistics, added up. `None` with less than two
    /// chains.
    pub fn variance(&self) -> Option<f64> {
        let n = self.chains as f64;
        let squares: f64 = self.squares.as_flattened().iter().sum();
        (self.chains > 1).then(|| squares / DIRECTIONS as f64 / (n - 1.0) / n)
    }

    /// The squared length of the difference of two phases' averages: of the gradient, if both have the same directions.
    pub fn squared_difference(&self, other: &Self) -> f64 {
        let numbers = self.means.as_flattened().iter().zip(other.means.as_flattened());
        numbers.map(|(a, b)| (a - b).powi(2)).sum::<f64>() / DIRECTIONS as f64
    }
}

fn project(signs: &[Each<f32>], values: impl Iterator<Item = (usize, f32)>) -> Each<f32> {
    let mut sums = [0.0; DIRECTIONS];
    for (unit, value) in values {
        sums.iter_mut().zip(&signs[unit]).for_each(|(sum, sign)| *sum += value * sign);
    }
    sums
}

fn project_bits(signs: &[Each<f32>], words: &[u32]) -> Each<f32> {
    project(signs, ones(words).map(|unit| (unit, 1.0)))
}

#[cfg(test)]
mod tests {
    use bitboltz_core::rng::stream;

    use super::*;

    /// Weighted states of a chain, packed for layers of 5, 4 and 6 units: a word each.
    struct Chain(Vec<(f32, [u32; 3], Vec<f32>)>);

    fn chains(count: u64, values: bool) -> Vec<Chain> {
        let mut rng = stream(9, 9);
        let chain = |n: u64| {
            // Three states with weights 1, 1, −1, or one.
            let weights: &[f32] = if values && n.is_multiple_of(3) { &[1.0, 1.0, -1.0] } else { &[1.0] };
            let state = |&weight: &f32| {
                let words = [rng.next_u32() & 31, rng.next_u32() & 15, rng.next_u32() & rng.next_u32() & 63];
                let odd = (0..4).map(|i| {
                    if values { weight * (rng.next_u32() >> 24) as f32 / 256.0 } else { (words[1] >> i & 1) as f32 }
                });
                (weight, words, odd.collect())
            };
            Chain(weights.iter().map(state).collect())
        };
        (0..count).map(chain).collect()
    }

    /// The centered statistics of both connections, one after the other, by their definition.
    fn statistics(chain: &Chain, offsets: &[Vec<f32>]) -> Vec<f64> {
        let mut sums = vec![0.0; 5 * 4 + 4 * 6];
        for (weight, words, odd) in &chain.0 {
            let value = |layer: usize, i: usize| match layer {
                1 => f64::from(odd[i] / weight),
                _ => f64::from(words[layer] >> i & 1),
            };
            let mut at = 0;
            for (l, (lower, upper)) in [(5, 4), (4, 6)].into_iter().enumerate() {
                for (i, j) in (0..lower).flat_map(|i| (0..upper).map(move |j| (i, j))) {
                    let centered = |layer: usize, unit: usize| value(layer, unit) - f64::from(offsets[layer][unit]);
                    sums[at] += f64::from(*weight) * centered(l, i) * centered(l + 1, j);
                    at += 1;
                }
            }
        }
        sums
    }

    /// Over many directions, variance and squared length are those of all elements of the matrices.
    #[test]
    fn projections_give_the_variance_and_the_length_of_the_matrices() {
        let shape = Shape::new(&[5, 4, 6]).unwrap();
        let offsets = vec![vec![0.25, 0.5, 0.5, 0.75, 0.125], vec![0.5, 0.25, 0.5, 0.5], vec![0.25; 6]];
        for (values, count) in [(true, 40), (false, 25)] {
            let all = chains(count, values);
            let (first, second) = all.split_at(count as usize / 2);
            let exact = |chains: &[Chain]| {
                let numbers: Vec<Vec<f64>> = chains.iter().map(|chain| statistics(chain, &offsets)).collect();
                let n = numbers.len() as f64;
                let means: Vec<f64> =
                    (0..44).map(|at| numbers.iter().map(|numbers| numbers[at]).sum::<f64>() / n).collect();
                let squares =
                    numbers.iter().flat_map(|numbers| numbers.iter().zip(&means).map(|(x, m)| (x - m).powi(2)));
                (squares.sum::<f64>() / (n - 1.0) / n, means)
            };
            let ((variance, means), (_, others)) = (exact(first), exact(second));
            let squared: f64 = means.iter().zip(&others).map(|(a, b)| (a - b).powi(2)).sum();
            let repeats = 500;
            let mut found = [(0.0, 0.0); 2];
            for repeat in 0..repeats {
                let mut projections = [0, 1].map(|_| Projections::new(&shape, &offsets, stream(repeat, 3)));
                for (projections, chains) in projections.iter_mut().zip([first, second]) {
                    for Chain(states) in chains {
                        if values {
                            let states = states.iter();
                            projections.add_chain(states.map(|(weight, words, odd)| StateRef {
                                weight: *weight,
                                words,
                                odd,
                            }));
                        } else {
                            projections.add_bits(&states[0].1);
                        }
                    }
                }
                let [a, b] = projections;
                for (sum, x) in found.iter_mut().zip([a.variance().unwrap(), a.squared_difference(&b)]) {
                    *sum = (sum.0 + x, sum.1 + x * x);
                }
            }
            let n = repeats as f64;
            for ((sum, squares), exact) in found.into_iter().zip([variance, squared]) {
                let mean = sum / n;
                let error = ((squares / n - mean * mean) / n).sqrt();
                // Four numbers, 4.5 standard errors: passed by chance once in 30,000 runs; the seeds are fixed.
                assert!((mean - exact).abs() < 4.5 * error && error < 0.05 * exact, "{mean} ± {error}, {exact}");
            }
        }
    }

    #[test]
    fn one_chain_has_no_variance() {
        let shape = Shape::new(&[5, 4, 6]).unwrap();
        let mut projections = Projections::new(&shape, &[], stream(1, 1));
        assert_eq!(projections.variance(), None);
        projections.add_bits(&[31, 15, 63]);
        assert_eq!(projections.variance(), None);
        projections.add_bits(&[31, 15, 63]);
        assert_eq!(projections.variance(), Some(0.0));
    }
}
