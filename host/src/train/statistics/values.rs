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
        // The other even layers' bits are off, so that they add nothing.
        let mut words = vec![0; count * shape.words()];
        let mut odd: Vec<Vec<f32>> = vec![Vec::new(); count];
        for (n, (state, visible)) in words.chunks_exact_mut(shape.words()).zip(visible).enumerate() {
            state[..shape.layer_words(0)].copy_from_slice(&visible[..shape.layer_words(0)]);
            values.iter().skip(1).step_by(2).for_each(|layer| odd[n].extend(layer.row(n)));
        }
        let states = words.chunks_exact(shape.words()).zip(&odd);
        let states = states.map(|(words, odd)| StateRef { weight: 1.0, words, odd });
        self.add_states(&states.collect::<Vec<_>>());

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
    use crate::train::tests::averages;

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
                let values: Vec<Tiles<f32>> = widths
                    .iter()
                    .zip(&layers)
                    .map(|(&width, layer)| {
                        let mut tiles = Tiles::zeros(count, width);
                        tiles.copy_from(layer);
                        tiles
                    })
                    .collect();
                moments.add_values(&visible.chunks(words).collect::<Vec<_>>(), &values);
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
