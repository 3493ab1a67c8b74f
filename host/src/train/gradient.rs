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
//! Weight decay takes λ/2 Σ_l ‖W_l‖² off the log-likelihood, and biases are not decayed. That takes λ W_l off the plain
//! gradient of W_l; the map above takes it off ΔW_l too, and what a bias gets is −(ΔW_l − λ W_l) μ_{l+1}: a unit's field
//! stays as it is where its neighbours are at their offsets, while its weights decay.
//!
//! No gradient lies in memory: [`Gradient::ascend`] takes the weights through it block by block. Each block's sums of
//! products are read, the step is formed, the weights are moved in both of their orientations, and what the biases need
//! of the step (its products with the offsets) and the largest weight come out of the same pass.

use rayon::prelude::*;

use super::{
    even_major::EvenMajor,
    optimiser::Rule,
    statistics::{BlockSums, Moments, even_odd},
};
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
    /// Empty without momentum.
    velocities: Vec<&'t mut [[f32; TILE]]>,
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

    /// Moves the parameters along the gradient by a rule, on all processors, and their velocity, if there is momentum.
    /// Returns the largest magnitude in each matrix of weights: infinity or NaN if something there is not finite.
    ///
    /// # Panics
    /// If the parameters or velocities have another shape.
    pub fn ascend(
        &self,
        weights: Vec<Orientations<'_>>,
        biases: &mut [Vec<f32>],
        velocity: Option<&mut EvenMajor>,
        rule: Rule,
    ) -> Vec<f32> {
        let shape = *self.positive.shape();
        let connections = shape.layers() - 1;
        assert_eq!((weights.len(), biases.len()), (connections, shape.layers()));
        let mut to_even: Vec<Vec<f32>> = Vec::new();
        let mut to_odd: Vec<Vec<[f32; TILE]>> = Vec::new();
        for (even, odd) in (0..connections).map(even_odd) {
            to_even.push(vec![0.0; shape.width(even)]);
            to_odd.push(vec![[0.0; TILE]; shape.width(even).div_ceil(TILE) * shape.width(odd).div_ceil(TILE)]);
        }
        let (mut velocities, mut bias_velocities) = match velocity {
            Some(EvenMajor { weights, biases }) => (weights.iter_mut(), biases.iter_mut()),
            None => Default::default(),
        };
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
            let mut velocities = velocities.next().map(|velocities| {
                assert_eq!((velocities.rows(), velocities.columns()), (even_major.rows(), even_major.columns()));
                row_groups(velocities).into_iter()
            });
            let products = to_even.chunks_mut(TILE).zip(to_odd.chunks_mut(shape.width(odd).div_ceil(TILE)));
            for (group, (blocks, (to_even, to_odd))) in row_groups(even_major).into_iter().zip(products).enumerate() {
                let mirror = mirrors.as_mut().and_then(Iterator::next);
                let velocities = velocities.as_mut().and_then(Iterator::next).unwrap_or_default();
                tasks.push(Task { l, group, blocks, velocities, mirror, to_even, to_odd });
            }
        }
        let scratch = || (BlockSums::default(), BlockSums::default());
        let tasks = tasks.into_par_iter().with_max_len(1);
        let found: Vec<(usize, u32)> =
            tasks.map_init(scratch, |scratch, task| (task.l, self.ascend_rows(task, scratch, rule))).collect();
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
            if let Some(velocity) = bias_velocities.next() {
                for (velocity, step) in velocity.iter_mut().zip(steps.as_flattened_mut()) {
                    *step += rule.momentum * *velocity;
                    *velocity = *step;
                }
            }
            bias.iter_mut().zip(steps.as_flattened()).for_each(|(b, step)| *b += rule.rate * step);
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
    fn ascend_rows(&self, task: Task<'_>, scratch: &mut (BlockSums, BlockSums), rule: Rule) -> u32 {
        let Task { l, group, blocks, velocities, mut mirror, to_even, to_odd } = task;
        let (even, odd) = even_odd(l);
        let (positive, negative) = scratch;
        positive.begin(self.positive, l, group);
        negative.begin(self.negative, l, group);
        let isa = Isa::best();
        let mut velocities = velocities.into_iter();
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
                rule,
            };
            let mut products = Products { rows: to_even, columns, largest };
            kernels::ascend(isa, block, velocities.next(), &step, &mut products);
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
    use crate::batch::testing::parameters;

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

    fn rows(tiles: &Tiles<f32>) -> Vec<f32> {
        let at = (0..tiles.rows()).flat_map(|i| (0..tiles.columns()).map(move |j| (i, j)));
        at.map(|(i, j)| tiles.get(i, j)).collect()
    }

    /// A step from these parameters. Both orientations must agree.
    fn step(
        (p, n): (&Averages, &Averages),
        offsets: Option<&[Vec<f32>]>,
        parameters: &mut EvenMajor,
        velocity: Option<&mut EvenMajor>,
        rule: Rule,
    ) -> Vec<f32> {
        let (shape, ..) = setting();
        let [p, n] = [p, n].map(|a| Moments::of_averages(&shape, a.means.clone(), &a.pairs));
        let transposed = parameters.weights.iter().map(|tiles| {
            let mut transposed = Tiles::zeros(tiles.columns(), tiles.rows());
            transposed.copy_transposed(&rows(tiles));
            transposed
        });
        let mut mirrors: Vec<_> = transposed.collect();
        let weights = parameters.weights.iter_mut().zip(&mut mirrors);
        let weights = weights.map(|(e, o)| Orientations { even_major: e, odd_major: Some(o) }).collect();
        let largest = Gradient::new(&p, &n, offsets).ascend(weights, &mut parameters.biases, velocity, rule);
        for (e, o) in parameters.weights.iter().zip(&mirrors) {
            let at = (0..e.rows()).flat_map(|i| (0..e.columns()).map(move |j| (i, j)));
            at.for_each(|(i, j)| assert_eq!(e.get(i, j).to_bits(), o.get(j, i).to_bits()));
        }
        largest
    }

    /// A step of this rate from zero: of rate 1, the gradient itself.
    fn ascent(
        shape: &Shape,
        p: &Averages,
        n: &Averages,
        offsets: Option<&[Vec<f32>]>,
        rate: f32,
    ) -> (Ascent, Vec<f32>) {
        let mut moved = EvenMajor::zeros(shape);
        let largest = step((p, n), offsets, &mut moved, None, Rule { rate, momentum: 0.0, decay: 0.0 });
        (Ascent { weights: moved.weights.iter().map(rows).collect(), biases: moved.biases }, largest)
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
        let parameters = parameters(&[5, 70, 3, 2], 4);
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

    /// With weight decay the centered step is still the same linear map of the plain one, which is that of the penalised
    /// likelihood.
    #[test]
    fn decay_is_centered_as_the_rest_of_the_gradient() {
        let (shape, p, n, offsets) = setting();
        let start = EvenMajor::of(&parameters(&[5, 70, 3, 2], 4));
        let decayed = |offsets: Option<&[Vec<f32>]>| {
            let mut moved = start.clone();
            step((&p, &n), offsets, &mut moved, None, Rule { rate: 1.0, momentum: 0.0, decay: 0.25 });
            let difference = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<_>>();
            let weights = moved.weights.iter().zip(&start.weights).map(|(a, b)| difference(&rows(a), &rows(b)));
            let biases = moved.biases.iter().zip(&start.biases).map(|(a, b)| difference(a, b));
            Ascent { weights: weights.collect(), biases: biases.collect() }
        };
        let (plain, centered) = (decayed(None), decayed(Some(&offsets)));
        let likelihood = gradient(&shape, &p, &n, None);
        let close = |a: f32, b: f32| assert!((a - b).abs() < 2e-5, "{a} {b}");
        for ((found, gradient), weights) in plain.weights.iter().zip(&likelihood.weights).zip(&start.weights) {
            found.iter().zip(gradient).zip(rows(weights)).for_each(|((f, g), w)| close(*f, g - 0.25 * w));
        }
        plain.biases.iter().flatten().zip(likelihood.biases.iter().flatten()).for_each(|(a, b)| close(*a, *b));
        for (l, found) in centered.weights.iter().enumerate() {
            let (even, odd) = even_odd(l);
            for (at, found) in found.iter().enumerate() {
                let (i, j) = (at / shape.width(odd), at % shape.width(odd));
                let (mu, db) = (&offsets, &plain.biases);
                close(*found, plain.weights[l][at] - mu[even][i] * db[odd][j] - db[even][i] * mu[odd][j]);
            }
        }
        let mut biases = plain.biases.clone();
        for (l, steps) in centered.weights.iter().enumerate() {
            let (even, odd) = even_odd(l);
            for (at, step) in steps.iter().enumerate() {
                let (i, j) = (at / shape.width(odd), at % shape.width(odd));
                biases[even][i] -= step * offsets[odd][j];
                biases[odd][j] -= step * offsets[even][i];
            }
        }
        centered.biases.iter().flatten().zip(biases.iter().flatten()).for_each(|(a, b)| close(*a, *b));
    }

    /// Two steps: v_1 = g_1 and v_2 = momentum · g_1 + g_2.
    #[test]
    fn momentum_keeps_a_part_of_the_last_step() {
        let (shape, p, n, offsets) = setting();
        let (mut moved, mut velocity) = (EvenMajor::zeros(&shape), EvenMajor::zeros(&shape));
        let rule = Rule { rate: 0.5, momentum: 0.75, decay: 0.0 };
        step((&p, &n), Some(&offsets), &mut moved, Some(&mut velocity), rule);
        step((&n, &p), None, &mut moved, Some(&mut velocity), rule);
        let (first, second) = (gradient(&shape, &p, &n, Some(&offsets)), gradient(&shape, &n, &p, None));
        let numbers = |a: &EvenMajor| a.weights.iter().map(rows).chain(a.biases.clone()).flatten().collect::<Vec<_>>();
        let flat = |a: &Ascent| a.weights.iter().chain(&a.biases).flatten().copied().collect::<Vec<f32>>();
        let steps = flat(&first).into_iter().zip(flat(&second));
        for (((a, b), moved), velocity) in steps.zip(numbers(&moved)).zip(numbers(&velocity)) {
            assert!((velocity - (0.75 * a + b)).abs() < 1e-5);
            assert!((moved - 0.5 * (1.75 * a + b)).abs() < 1e-5);
        }
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
