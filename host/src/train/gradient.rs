//! The gradient of the log-likelihood from the two phases' statistics: plain, or centered (Melchior, Fischer, Wiskott,
//! JMLR 2016).
//!
//! With offsets μ_l the centered gradient is
//!
//! ΔW_l = ⟨(x_l − μ_l)(x_{l+1} − μ_{l+1})ᵀ⟩₊ − ⟨…⟩₋,
//! Δb_l = ⟨x_l⟩₊ − ⟨x_l⟩₋ − ΔW_l μ_{l+1} − ΔW_{l−1}ᵀ μ_{l−1}.
//!
//! The products of means cancel between the phases, so ΔW_l is the plain one minus μ_l Δm_{l+1}ᵀ + Δm_l μ_{l+1}ᵀ, with
//! Δm = ⟨x⟩₊ − ⟨x⟩₋. That is an invertible linear map of the plain gradient: it has the same zeros, and an unbiased
//! estimate of the one is an unbiased estimate of the other as long as the offsets do not depend on it. (The trainer's
//! offsets come from the steps before.) The model itself never holds an offset.
//!
//! No gradient lies in memory: [`Gradient::ascend`] takes the weights through it block by block. Each block's sums of
//! products are read, the step is formed, the weights are moved in both of their orientations, and what the biases need
//! of the step (its products with the offsets) and the largest weight come out of the same pass.

use rayon::prelude::*;

use super::statistics::{BlockSums, Moments, even_odd};
use crate::batch::{
    TILE,
    blocks::row_groups,
    kernels::{self, BlockStep, Isa, Products},
    tile::Tiles,
};

/// A direction of ascent: the averages of both phases, and the offsets that center it.
#[derive(Debug)]
pub struct Gradient<'m> {
    positive: &'m Moments,
    negative: &'m Moments,
    /// For each layer, padded to whole tiles; zero without centering.
    offsets: Vec<Vec<[f32; TILE]>>,
    /// ⟨x_l⟩₊ − ⟨x_l⟩₋, padded likewise.
    differences: Vec<Vec<[f32; TILE]>>,
}

/// A matrix of weights that is to be moved.
#[derive(Debug)]
pub struct Orientations<'w> {
    /// A row for each unit of the even layer.
    pub even_major: &'w mut Tiles<f32>,
    /// Its transpose, where that is kept.
    pub odd_major: Option<&'w mut Tiles<f32>>,
}

/// The rows of 64 even units.
struct Task<'t> {
    l: usize,
    group: usize,
    blocks: Vec<&'t mut [[f32; TILE]]>,
    mirror: Option<&'t mut [[f32; TILE]]>,
    /// Products of the rows' steps with the odd layer's offsets.
    to_even: &'t mut [f32],
    /// Sums of the rows' steps times their offsets.
    to_odd: &'t mut [[f32; TILE]],
}

impl<'m> Gradient<'m> {
    /// The gradient of both phases' averages: centered if there are offsets, one vector for each layer.
    ///
    /// # Panics
    /// If shapes differ.
    pub fn new(positive: &'m Moments, negative: &'m Moments, offsets: Option<&[Vec<f32>]>) -> Self {
        assert_eq!(positive.shape(), negative.shape());
        let pairs = positive.means.iter().zip(&negative.means);
        let differences: Vec<_> =
            pairs.map(|(p, n)| padded(&p.iter().zip(n).map(|(p, n)| p - n).collect::<Vec<_>>())).collect();
        let offsets = match offsets {
            Some(offsets) => offsets.iter().map(|offsets| padded(offsets)).collect(),
            None => differences.iter().map(|layer| vec![[0.0; TILE]; layer.len()]).collect(),
        };
        Self { positive, negative, offsets, differences }
    }

    /// Adds rate × gradient to the parameters, on all processors. Returns the largest magnitude in each matrix of weights:
    /// infinity or NaN if something there is not finite.
    ///
    /// # Panics
    /// If the parameters have another shape.
    pub fn ascend(&self, weights: Vec<Orientations<'_>>, biases: &mut [Vec<f32>], rate: f32) -> Vec<f32> {
        let shape = *self.positive.shape();
        let connections = shape.layers() - 1;
        assert_eq!((weights.len(), biases.len()), (connections, shape.layers()));
        let mut to_even: Vec<Vec<f32>> = Vec::new();
        let mut to_odd: Vec<Vec<[f32; TILE]>> = Vec::new();
        for (even, odd) in (0..connections).map(even_odd) {
            to_even.push(vec![0.0; shape.width(even)]);
            to_odd.push(vec![[0.0; TILE]; shape.width(even).div_ceil(TILE) * shape.width(odd).div_ceil(TILE)]);
        }
        let mut tasks = Vec::new();
        let products = to_even.iter_mut().zip(&mut to_odd);
        for (l, (Orientations { even_major, odd_major }, (to_even, to_odd))) in
            weights.into_iter().zip(products).enumerate()
        {
            let (even, odd) = even_odd(l);
            assert_eq!((even_major.rows(), even_major.columns()), (shape.width(even), shape.width(odd)));
            let mut mirrors = odd_major.map(|mirror| {
                assert_eq!((mirror.rows(), mirror.columns()), (shape.width(odd), shape.width(even)));
                mirror.each_tile_mut()
            });
            let products = to_even.chunks_mut(TILE).zip(to_odd.chunks_mut(shape.width(odd).div_ceil(TILE)));
            for (group, (blocks, (to_even, to_odd))) in row_groups(even_major).into_iter().zip(products).enumerate() {
                let mirror = mirrors.as_mut().and_then(Iterator::next);
                tasks.push(Task { l, group, blocks, mirror, to_even, to_odd });
            }
        }
        let scratch = || (BlockSums::default(), BlockSums::default());
        let tasks = tasks.into_par_iter().with_max_len(1);
        let found: Vec<(usize, u32)> =
            tasks.map_init(scratch, |scratch, task| (task.l, self.ascend_rows(task, scratch, rate))).collect();
        let mut largest = vec![0; connections];
        found.into_iter().for_each(|(l, bits)| largest[l] = bits.max(largest[l]));
        for (layer, bias) in biases.iter_mut().enumerate() {
            let mut steps = self.differences[layer].clone();
            for l in [layer.checked_sub(1), (layer < connections).then_some(layer)].into_iter().flatten() {
                if layer.is_multiple_of(2) {
                    steps.as_flattened_mut().iter_mut().zip(&to_even[l]).for_each(|(step, product)| *step -= product);
                } else {
                    let mut sums = vec![[0.0; TILE]; steps.len()];
                    for part in to_odd[l].chunks_exact(steps.len()).map(<[_]>::as_flattened) {
                        sums.as_flattened_mut().iter_mut().zip(part).for_each(|(sum, product)| *sum += product);
                    }
                    let sums = sums.as_flattened().iter();
                    steps.as_flattened_mut().iter_mut().zip(sums).for_each(|(step, sum)| *step -= sum);
                }
            }
            bias.iter_mut().zip(steps.as_flattened()).for_each(|(b, step)| *b += rate * step);
        }
        largest.into_iter().map(f32::from_bits).collect()
    }

    /// The mean energy of the positive phase's states minus that of the negative phase's, under these parameters: minus
    /// the product of the parameters with the plain gradient. The weights are even-major.
    ///
    /// # Panics
    /// If the parameters have another shape.
    pub fn energy_gap(&self, weights: &[&Tiles<f32>], biases: &[Vec<f32>]) -> f64 {
        let shape = *self.positive.shape();
        assert_eq!((weights.len(), biases.len()), (shape.layers() - 1, shape.layers()));
        let groups = |l: usize| (0..shape.width(even_odd(l).0).div_ceil(TILE)).map(move |group| (l, group));
        let tasks: Vec<_> = (0..weights.len()).flat_map(groups).collect();
        let scratch = || (BlockSums::default(), BlockSums::default());
        let tasks = tasks.into_par_iter().with_max_len(1);
        let products: Vec<f64> =
            tasks.map_init(scratch, |scratch, (l, group)| self.product(weights[l], (l, group), scratch)).collect();
        let biases = biases.iter().zip(&self.differences).flat_map(|(b, d)| b.iter().zip(d.as_flattened()));
        -(products.iter().sum::<f64>() + biases.map(|(b, d)| f64::from(b * d)).sum::<f64>())
    }

    /// The product of some rows of weights with their plain gradient.
    fn product(&self, weights: &Tiles<f32>, (l, group): (usize, usize), scratch: &mut (BlockSums, BlockSums)) -> f64 {
        let (positive, negative) = scratch;
        positive.begin(self.positive, l, group);
        negative.begin(self.negative, l, group);
        let [p, n] = [self.positive.factor(), self.negative.factor()];
        let mut product = 0.0;
        for (at, tile) in weights.tiles().enumerate() {
            let sums =
                positive.read(self.positive, l, group, at).iter().zip(negative.read(self.negative, l, group, at));
            for (row, (positive, negative)) in tile[group * TILE..].iter().zip(sums) {
                let mut lanes = [0.0; 16];
                for first in (0..TILE).step_by(16) {
                    for (k, lane) in lanes.iter_mut().enumerate() {
                        *lane += row[first + k] * (positive[first + k] * p - negative[first + k] * n);
                    }
                }
                product += f64::from(lanes.iter().sum::<f32>());
            }
        }
        product
    }

    /// Moves some rows. Returns the largest magnitude among them, as bits.
    fn ascend_rows(&self, task: Task<'_>, scratch: &mut (BlockSums, BlockSums), rate: f32) -> u32 {
        let Task { l, group, blocks, mut mirror, to_even, to_odd } = task;
        let (even, odd) = even_odd(l);
        let (positive, negative) = scratch;
        positive.begin(self.positive, l, group);
        negative.begin(self.negative, l, group);
        let isa = Isa::best();
        let mut largest = 0;
        for (tile, (block, columns)) in blocks.into_iter().zip(to_odd).enumerate() {
            let step = BlockStep {
                positive: positive.read(self.positive, l, group, tile),
                negative: negative.read(self.negative, l, group, tile),
                factors: [self.positive.factor(), self.negative.factor()],
                row_offsets: &self.offsets[even][group][..block.len()],
                row_differences: &self.differences[even][group][..block.len()],
                column_offsets: &self.offsets[odd][tile],
                column_differences: &self.differences[odd][tile],
                rate,
            };
            let mut products = Products { rows: to_even, columns, largest };
            kernels::ascend(isa, block, &step, &mut products);
            largest = products.largest;
            if let Some(mirror) = &mut mirror {
                let units = tile * TILE..((tile + 1) * TILE).min(mirror.len());
                kernels::transpose(isa, block, &mut mirror[units]);
            }
        }
        largest
    }
}

fn padded(numbers: &[f32]) -> Vec<[f32; TILE]> {
    let mut tiles = vec![[0.0; TILE]; numbers.len().div_ceil(TILE)];
    tiles.as_flattened_mut()[..numbers.len()].copy_from_slice(numbers);
    tiles
}

#[cfg(test)]
mod tests {
    use bitboltz_core::{
        rng::{Rng as _, XorShiftRng, stream},
        shape::Shape,
    };

    use super::*;
    use crate::train::even_major::EvenMajor;

    /// Averages, even-major.
    #[derive(Clone)]
    struct Averages {
        means: Vec<Vec<f32>>,
        pairs: Vec<Vec<f32>>,
    }

    fn random_averages(shape: &Shape, rng: &mut XorShiftRng) -> Averages {
        let mut numbers = |n: usize| (0..n).map(|_| rng.next_u32() as f32 / 4_294_967_296.0).collect();
        Averages {
            means: shape.widths().map(&mut numbers).collect(),
            pairs: (1..shape.layers()).map(|l| numbers(shape.width(l - 1) * shape.width(l))).collect(),
        }
    }

    fn setting() -> (Shape, Averages, Averages, Vec<Vec<f32>>) {
        let shape = Shape::new(&[5, 70, 3, 2]).unwrap();
        let mut rng = stream(8, 0);
        let (p, n) = (random_averages(&shape, &mut rng), random_averages(&shape, &mut rng));
        let offsets = random_averages(&shape, &mut rng).means;
        (shape, p, n, offsets)
    }

    /// A step.
    #[derive(Clone, Debug, PartialEq)]
    struct Ascent {
        /// Even-major.
        weights: Vec<Vec<f32>>,
        biases: Vec<Vec<f32>>,
    }

    /// A step of this rate from zero: of rate 1, the gradient itself. Both orientations must agree.
    fn ascent(
        shape: &Shape,
        p: &Averages,
        n: &Averages,
        offsets: Option<&[Vec<f32>]>,
        rate: f32,
    ) -> (Ascent, Vec<f32>) {
        let [p, n] = [p, n].map(|a| Moments::of_averages(shape, a.means.clone(), &a.pairs));
        let tiles = |(rows, columns): (usize, usize)| Tiles::zeros(shape.width(rows), shape.width(columns));
        let layers = (0..shape.layers() - 1).map(even_odd);
        let mut matrices: Vec<[Tiles<f32>; 2]> = layers.map(|(e, o)| [tiles((e, o)), tiles((o, e))]).collect();
        let weights = matrices.iter_mut();
        let weights = weights.map(|[e, o]| Orientations { even_major: e, odd_major: Some(o) }).collect();
        let mut biases: Vec<Vec<f32>> = shape.widths().map(|width| vec![0.0; width]).collect();
        let largest = Gradient::new(&p, &n, offsets).ascend(weights, &mut biases, rate);
        let rows = |[e, o]: &[Tiles<f32>; 2]| {
            let at = (0..e.rows()).flat_map(|i| (0..e.columns()).map(move |j| (i, j)));
            at.inspect(|&(i, j)| assert_eq!(e.get(i, j).to_bits(), o.get(j, i).to_bits()))
                .map(|(i, j)| e.get(i, j))
                .collect()
        };
        (Ascent { weights: matrices.iter().map(rows).collect(), biases }, largest)
    }

    fn gradient(shape: &Shape, p: &Averages, n: &Averages, offsets: Option<&[Vec<f32>]>) -> Ascent {
        ascent(shape, p, n, offsets, 1.0).0
    }

    #[test]
    fn the_largest_weight_is_found_and_so_is_what_is_not_finite() {
        let (shape, p, n, offsets) = setting();
        let (step, largest) = ascent(&shape, &p, &n, Some(&offsets), 0.25);
        for (weights, largest) in step.weights.iter().zip(largest) {
            assert_eq!(weights.iter().fold(0.0, |m: f32, w| m.max(w.abs())), largest);
        }
        let whole = gradient(&shape, &p, &n, Some(&offsets));
        assert_eq!(step.weights[0][3], 0.25 * whole.weights[0][3]);
        assert_eq!(step.biases[1][69], 0.25 * whole.biases[1][69]);
        for bad in [f32::NAN, f32::INFINITY] {
            let mut p = p.clone();
            p.pairs[1][7] = bad;
            let (_, largest) = ascent(&shape, &p, &n, None, 1.0);
            assert_eq!(largest.iter().map(|x| x.is_finite()).collect::<Vec<_>>(), [true, false, true]);
        }
    }

    #[test]
    fn the_energy_gap_is_the_difference_of_mean_energies() {
        let (shape, p, n, offsets) = setting();
        let parameters = crate::batch::testing::parameters(&[5, 70, 3, 2], 4);
        let numbers = EvenMajor::of(&parameters);
        let mean_energy = |averages: &Averages| {
            let pairs = averages.pairs.iter().zip(&numbers.weights).flat_map(|(pairs, weights)| {
                pairs.iter().enumerate().map(|(at, x)| x * weights.get(at / weights.columns(), at % weights.columns()))
            });
            let means =
                averages.means.iter().zip(&numbers.biases).flat_map(|(m, b)| m.iter().zip(b).map(|(m, b)| m * b));
            -pairs.chain(means).map(f64::from).sum::<f64>()
        };
        let moments = [&p, &n].map(|a| Moments::of_averages(&shape, a.means.clone(), &a.pairs));
        let weights: Vec<_> = numbers.weights.iter().collect();
        for offsets in [None, Some(offsets.as_slice())] {
            let gap = Gradient::new(&moments[0], &moments[1], offsets).energy_gap(&weights, &numbers.biases);
            let expected = mean_energy(&p) - mean_energy(&n);
            assert!((gap - expected).abs() < 1e-5 && expected.abs() > 0.01, "{gap} {expected}");
        }
    }

    #[test]
    fn offsets_of_zero_give_the_plain_gradient() {
        let (shape, p, n, mut offsets) = setting();
        offsets.iter_mut().flatten().for_each(|o| *o = 0.0);
        let (plain, centered) = (gradient(&shape, &p, &n, None), gradient(&shape, &p, &n, Some(&offsets)));
        assert_eq!(plain, centered);
        assert_eq!(plain.weights[1][4], p.pairs[1][4] - n.pairs[1][4]);
        assert_eq!(plain.biases[2][1], p.means[2][1] - n.means[2][1]);
    }

    /// Solving the formulas for the plain gradient gives it back: the map is invertible and, being made of sums and
    /// products with offsets only, linear.
    #[test]
    fn the_plain_gradient_can_be_recovered_from_the_centered_one() {
        let (shape, p, n, offsets) = setting();
        let (plain, centered) = (gradient(&shape, &p, &n, None), gradient(&shape, &p, &n, Some(&offsets)));
        assert_ne!(plain, centered);
        let mut back = centered.clone();
        let at = |l: usize, lower: usize, upper: usize| {
            if l.is_multiple_of(2) { lower * shape.width(l + 1) + upper } else { upper * shape.width(l) + lower }
        };
        for l in 0..3 {
            for i in 0..shape.width(l) {
                for j in 0..shape.width(l + 1) {
                    back.biases[l][i] += centered.weights[l][at(l, i, j)] * offsets[l + 1][j];
                    back.biases[l + 1][j] += centered.weights[l][at(l, i, j)] * offsets[l][i];
                }
            }
        }
        for l in 0..3 {
            for i in 0..shape.width(l) {
                for j in 0..shape.width(l + 1) {
                    back.weights[l][at(l, i, j)] +=
                        offsets[l][i] * back.biases[l + 1][j] + back.biases[l][i] * offsets[l + 1][j];
                }
            }
        }
        let pairs = |g: &Ascent| g.weights.iter().chain(&g.biases).flatten().copied().collect::<Vec<f32>>();
        for (found, expected) in pairs(&back).into_iter().zip(pairs(&plain)) {
            assert!((found - expected).abs() < 1e-4, "{found} {expected}");
        }
    }

    /// The definition: covariance-like products about the offsets, here of single states.
    #[test]
    fn centered_weights_are_differences_of_centered_products() {
        let (shape, _, _, offsets) = setting();
        let mut rng = stream(9, 0);
        let states: [Vec<Vec<f32>>; 2] = std::array::from_fn(|_| {
            shape.widths().map(|w| (0..w).map(|_| (rng.next_u32() >> 31) as f32).collect()).collect()
        });
        let moments = [0, 1].map(|s: usize| {
            let mut moments = Averages { means: states[s].clone(), pairs: vec![Vec::new(); 3] };
            for l in 0..3 {
                let (even, odd) = if l % 2 == 0 { (l, l + 1) } else { (l + 1, l) };
                let outer = states[s][even].iter().flat_map(|x| states[s][odd].iter().map(move |y| x * y));
                moments.pairs[l] = outer.collect();
            }
            moments
        });
        let centered = gradient(&shape, &moments[0], &moments[1], Some(&offsets));
        for l in 0..3 {
            let (even, odd) = if l % 2 == 0 { (l, l + 1) } else { (l + 1, l) };
            for i in 0..shape.width(even) {
                for j in 0..shape.width(odd) {
                    let product =
                        |s: usize| (states[s][even][i] - offsets[even][i]) * (states[s][odd][j] - offsets[odd][j]);
                    let (found, expected) = (centered.weights[l][i * shape.width(odd) + j], product(0) - product(1));
                    assert!((found - expected).abs() < 1e-5, "{found} {expected}");
                }
            }
        }
    }
}
