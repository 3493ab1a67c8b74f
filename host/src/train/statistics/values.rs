//! Statistics of states whose hidden units have real values: means in place of bits, in even layers too.

use rayon::prelude::*;

use super::{Moments, StateRef, even_odd};
use crate::batch::{
    TILE,
    blocks::row_groups,
    kernels::{self, Isa},
    tile::Tiles,
};

impl Moments {
    /// Adds states of weight 1, given by the packed bits of their visible units and the values of their hidden ones: for
    /// each layer a row for each state; of layer 0 nothing is looked at.
    ///
    /// The products with visible bits are those of [`add_states`](Self::add_states). Those of two hidden layers are dense,
    /// and summed at once.
    ///
    /// # Panics
    /// If a layer has not as many rows as there are states.
    pub fn add_values(&mut self, visible: &[&[u32]], values: &[Tiles<f32>]) {
        let (shape, count) = (self.shape, visible.len());
        assert!(values[1..].iter().all(|values| values.rows() == count), "a row for each state");
        if let Some(projections) = &mut self.projections {
            for (n, visible) in visible.iter().enumerate() {
                projections.add_values(&visible[..shape.layer_words(0)], |layer| values[layer].row(n));
            }
        }
        // The other even layers' bits are off, so that they add nothing.
        let mut words = vec![0; count * shape.words()];
        let mut odd: Vec<Vec<f32>> = vec![Vec::new(); count];
        for (n, (state, visible)) in words.chunks_exact_mut(shape.words()).zip(visible).enumerate() {
            state[..shape.layer_words(0)].copy_from_slice(&visible[..shape.layer_words(0)]);
            values.iter().skip(1).step_by(2).for_each(|layer| odd[n].extend(layer.row(n)));
        }
        let states = words.chunks_exact(shape.words()).zip(&odd);
        let states = states.map(|(words, odd)| StateRef { weight: 1.0, words, odd });
        // Without the projections, which have all values already.
        self.sum_states(&states.collect::<Vec<_>>());

        for layer in (2..shape.layers()).step_by(2) {
            for n in 0..count {
                self.means[layer].iter_mut().zip(values[layer].row(n)).for_each(|(sum, value)| *sum += value);
            }
        }
        if shape.layers() > 2 {
            self.add_hidden_products(values, count);
        }
    }

    /// Adds the products of the hidden layers' values to the matrices of sums.
    fn add_hidden_products(&mut self, values: &[Tiles<f32>], count: usize) {
        let (mut sums, summed, isa) = (self.take_sums(), self.summed, Isa::best());
        let mut tasks = Vec::new();
        for (l, matrix) in sums.iter_mut().enumerate() {
            tasks.extend(row_groups(matrix).into_iter().enumerate().map(|(group, blocks)| (l, group, blocks)));
        }
        let scratch = || vec![[0.0; TILE]; TILE];
        tasks.into_par_iter().with_max_len(1).for_each_init(scratch, |columns, (l, group, mut blocks)| {
            if !summed {
                blocks.iter_mut().for_each(|block| block.fill([0.0; TILE]));
            }
            let (even, odd) = even_odd(l);
            if even == 0 {
                return;
            }
            // Of 64 states at a time: a row for each even unit.
            for first in (0..count).step_by(TILE) {
                let states = first..count.min(first + TILE);
                kernels::transpose(isa, &values[even].tile(group)[states.clone()], columns);
                for (tile, block) in blocks.iter_mut().enumerate() {
                    kernels::add_products(isa, &values[odd].tile(tile)[states.clone()], &columns[..block.len()], block);
                }
            }
        });
        self.sums = sums;
        self.summed = true;
    }
}

#[cfg(test)]
mod tests {
    use bitboltz_core::{
        bits::word_mask,
        rng::{Rng as _, stream},
        shape::Shape,
    };

    use super::*;
    use crate::train::{projections::Projections, tests::averages};

    /// Visible bits, a word for each state, and values of the hidden layers from 0 to 1.
    fn random_states(widths: &[usize], count: usize, seed: u64) -> (Vec<[u32; 1]>, Vec<Vec<f32>>) {
        let mut rng = stream(7, seed);
        let visible: Vec<[u32; 1]> = (0..count).map(|_| [rng.next_u32() & word_mask(widths[0], 0)]).collect();
        let mut value = || (rng.next_u32() >> 8) as f32 / (1 << 24) as f32;
        (visible, widths.iter().map(|width| (0..count * width).map(|_| value()).collect()).collect())
    }

    fn tiles(widths: &[usize], count: usize, layers: &[Vec<f32>]) -> Vec<Tiles<f32>> {
        let tiles = widths.iter().zip(layers).map(|(&width, layer)| {
            let mut tiles = Tiles::zeros(count, width);
            tiles.copy_from(layer);
            tiles
        });
        tiles.collect()
    }

    /// Over many directions, what projections say of two phases with values in three and four layers is what the matrices
    /// of all states say.
    #[test]
    fn projections_see_the_values_of_every_hidden_layer() {
        for widths in [&[5, 4][..], &[5, 4, 6], &[4, 3, 5, 2], &[3, 3, 2, 3, 2]] {
            let (shape, count) = (Shape::new(widths).unwrap(), 12);
            let phases = [1, 2].map(|seed| random_states(widths, count, seed));
            let offsets: Vec<Vec<f32>> = widths.iter().map(|&width| vec![0.25; width]).collect();
            // Of each phase: the mean over the states, and the variance of that mean, of all elements.
            let [(_, first), (variance, second)] = [&phases[0], &phases[1]].map(|(visible, layers)| {
                let centered = |n: usize, layer: usize, unit: usize| {
                    let bit = (visible[n][0] >> unit & 1) as f32;
                    f64::from(if layer == 0 { bit } else { layers[layer][n * widths[layer] + unit] }) - 0.25
                };
                let elements = (1..widths.len())
                    .flat_map(|l| (0..widths[l - 1]).flat_map(move |i| (0..widths[l]).map(move |j| (l, i, j))));
                let (mut variance, mut means) = (0.0, Vec::new());
                for (l, i, j) in elements {
                    let numbers: Vec<f64> = (0..count).map(|n| centered(n, l - 1, i) * centered(n, l, j)).collect();
                    let mean = numbers.iter().sum::<f64>() / count as f64;
                    let squares: f64 = numbers.iter().map(|x| (x - mean).powi(2)).sum();
                    variance += squares / (count - 1) as f64 / count as f64;
                    means.push(mean);
                }
                (variance, means)
            });
            let squared: f64 = first.iter().zip(&second).map(|(a, b)| (a - b).powi(2)).sum();
            let repeats = 500;
            let mut found = [(0.0, 0.0); 2];
            for repeat in 0..repeats {
                let [a, b] = [&phases[0], &phases[1]].map(|(visible, layers)| {
                    let mut moments = Moments::new(&shape);
                    moments.show_to(Some(Projections::new(&shape, &offsets, stream(repeat, 3))));
                    let visible: Vec<&[u32]> = visible.iter().map(<[u32; 1]>::as_slice).collect();
                    moments.add_values(&visible, &tiles(widths, count, layers));
                    moments
                });
                let [a, b] = [&a, &b].map(|moments| moments.projections().unwrap());
                for (sum, x) in found.iter_mut().zip([b.variance().unwrap(), a.squared_difference(b)]) {
                    *sum = (sum.0 + x, sum.1 + x * x);
                }
            }
            let n = repeats as f64;
            for ((sum, squares), exact) in found.into_iter().zip([variance, squared]) {
                let mean = sum / n;
                let error = ((squares / n - mean * mean) / n).sqrt();
                // Eight numbers, 4.5 standard errors: passed by chance once in 15,000 runs; the seeds are fixed.
                assert!(
                    (mean - exact).abs() < 4.5 * error && error < 0.05 * exact,
                    "{widths:?}: {mean} ± {error}, {exact}"
                );
            }
        }
    }

    /// Values that are bits project as the bits do.
    #[test]
    fn projections_of_values_and_of_bits_are_comparable() {
        let widths = [9, 7, 5, 4];
        let (shape, count) = (Shape::new(&widths).unwrap(), 10);
        let (visible, mut layers) = random_states(&widths, count, 3);
        layers.iter_mut().flatten().for_each(|value| *value = value.round());
        let mut words = vec![0_u32; count * shape.words()];
        for (n, state) in words.chunks_exact_mut(shape.words()).enumerate() {
            state[0] = visible[n][0];
            for layer in 1..widths.len() {
                let on = (0..widths[layer]).filter(|unit| layers[layer][n * widths[layer] + unit] == 1.0);
                state[layer] = on.map(|unit| 1 << unit).sum();
            }
        }
        let [mut values, mut bits] = [0, 1].map(|_| {
            let mut moments = Moments::new(&shape);
            moments.show_to(Some(Projections::new(&shape, &[], stream(4, 4))));
            moments
        });
        values
            .add_values(&visible.iter().map(<[u32; 1]>::as_slice).collect::<Vec<_>>(), &tiles(&widths, count, &layers));
        bits.add_bits(&words.chunks_exact(shape.words()).collect::<Vec<_>>());
        let [values, bits] = [&values, &bits].map(|moments| moments.projections().unwrap());
        assert_eq!(values.variance(), bits.variance());
        assert!(values.variance().unwrap() > 0.0 && values.squared_difference(bits) == 0.0);
    }

    /// Averages of products by the definition.
    #[test]
    fn averages_agree_with_the_definition() {
        for (widths, counts) in [
            (&[5, 4][..], &[3][..]),
            (&[40, 3, 70], &[30, 70, 1]),
            (&[3, 66, 2, 65], &[64, 9]),
            (&[3, 2, 2, 3, 4], &[1100, 2]),
        ] {
            let shape = Shape::new(widths).unwrap();
            let mut rng = stream(3, widths[0] as u64);
            let total: usize = counts.iter().sum();
            let mut exact =
                vec![0.0; widths.iter().sum::<usize>() + widths.windows(2).map(|w| w[0] * w[1]).sum::<usize>()];
            let mut moments = Moments::new(&shape);
            for &count in counts {
                let words = shape.layer_words(0);
                let visible: Vec<u32> =
                    (0..count * words).map(|at| rng.next_u32() & word_mask(widths[0], at % words)).collect();
                let mut layers: Vec<Vec<f32>> =
                    widths.iter().map(|w| (0..count * w).map(|_| rng.next_u32() as f32 / 4e9).collect()).collect();
                layers[0] = (0..count * widths[0])
                    .map(|at| {
                        (visible[at / widths[0] * words + at % widths[0] / 32] >> (at % widths[0] % 32) & 1) as f32
                    })
                    .collect();
                moments.add_values(&visible.chunks(words).collect::<Vec<_>>(), &tiles(widths, count, &layers));
                for n in 0..count {
                    let row = |layer: usize| &layers[layer][n * widths[layer]..(n + 1) * widths[layer]];
                    let means = (0..widths.len()).flat_map(row).map(|&x| f64::from(x));
                    let pairs = (1..widths.len()).flat_map(|l| {
                        let (even, odd) = even_odd(l - 1);
                        row(even).iter().flat_map(move |&a| row(odd).iter().map(move |&b| f64::from(a) * f64::from(b)))
                    });
                    exact.iter_mut().zip(means.chain(pairs)).for_each(|(sum, x)| *sum += x / total as f64);
                }
            }
            moments.finish(total);
            for (found, exact) in averages(&moments).into_iter().zip(exact) {
                assert!((f64::from(found) - exact).abs() < 1e-5, "{widths:?}: {found} {exact}");
            }
            // Another batch begins from nothing.
            moments.clear();
            moments.finish(1);
            assert!(averages(&moments).iter().all(|&x| x == 0.0));
        }
    }
}
