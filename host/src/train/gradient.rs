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

use bitboltz_core::shape::Shape;
use rayon::prelude::*;

use super::statistics::Moments;

/// A direction of ascent.
#[derive(Clone, Debug, PartialEq)]
pub struct Gradient {
    /// For each connection, even-major as in [`Moments::pairs`].
    pub weights: Vec<Vec<f32>>,
    /// For each layer.
    pub biases: Vec<Vec<f32>>,
}

impl Gradient {
    /// All zero.
    pub fn zeros(shape: &Shape) -> Self {
        let widths: Vec<usize> = shape.widths().collect();
        Self {
            weights: widths.windows(2).map(|pair| vec![0.0; pair[0] * pair[1]]).collect(),
            biases: widths.iter().map(|&width| vec![0.0; width]).collect(),
        }
    }

    /// The gradient of both phases' averages: centered if there are offsets, one vector for each layer.
    ///
    /// # Panics
    /// If anything has another shape than this gradient.
    pub fn set(&mut self, positive: &Moments, negative: &Moments, offsets: Option<&[Vec<f32>]>) {
        for (l, bias) in self.biases.iter_mut().enumerate() {
            let pairs = positive.means[l].iter().zip(&negative.means[l]);
            bias.iter_mut().zip(pairs).for_each(|(b, (p, n))| *b = p - n);
        }
        for l in 0..self.weights.len() {
            // Rows belong to the even one of the two layers.
            let (even, odd) = if l.is_multiple_of(2) { (l, l + 1) } else { (l + 1, l) };
            let width = self.biases[odd].len();
            let (positive, negative) = (&positive.pairs[l], &negative.pairs[l]);
            assert_eq!((self.weights[l].len(), positive.len()), (negative.len(), negative.len()));
            // The means' differences, before centering touches them.
            let (even_step, odd_step) = (&self.biases[even], &self.biases[odd]);
            let rows = self.weights[l].par_chunks_mut(width).enumerate().with_min_len(16);
            rows.for_each(|(i, row)| {
                let pairs = positive[i * width..].iter().zip(&negative[i * width..]);
                row.iter_mut().zip(pairs).for_each(|(w, (p, n))| *w = p - n);
                if let Some(offsets) = offsets {
                    let (offset, step) = (offsets[even][i], even_step[i]);
                    let pairs = odd_step.iter().zip(&offsets[odd]);
                    row.iter_mut().zip(pairs).for_each(|(w, (s, o))| *w -= offset * s + step * o);
                }
            });
        }
        if let Some(offsets) = offsets {
            self.centre_biases(offsets);
        }
    }

    fn centre_biases(&mut self, offsets: &[Vec<f32>]) {
        for (l, weights) in self.weights.iter().enumerate() {
            let (even, odd) = if l.is_multiple_of(2) { (l, l + 1) } else { (l + 1, l) };
            let width = self.biases[odd].len();
            let mut to_odd = vec![0.0; width];
            for (i, row) in weights.chunks_exact(width).enumerate() {
                let offset = offsets[even][i];
                self.biases[even][i] -= dot(row, &offsets[odd]);
                to_odd.iter_mut().zip(row).for_each(|(sum, w)| *sum += offset * w);
            }
            self.biases[odd].iter_mut().zip(to_odd).for_each(|(b, sum)| *b -= sum);
        }
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    // Sixteen sums side by side: a fixed order that the compiler can vectorise.
    let mut sums = [0.0; 16];
    let (a_chunks, b_chunks) = (a.chunks_exact(16), b.chunks_exact(16));
    let rest: f32 = a_chunks.remainder().iter().zip(b_chunks.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in a_chunks.zip(b_chunks) {
        for lane in 0..16 {
            sums[lane] += x[lane] * y[lane];
        }
    }
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use bitboltz_core::rng::{Rng as _, XorShiftRng, stream};

    use super::*;

    fn random_moments(shape: &Shape, rng: &mut XorShiftRng) -> Moments {
        let mut moments = Moments::new(shape);
        for x in moments.means.iter_mut().chain(&mut moments.pairs).flatten() {
            *x = rng.next_u32() as f32 / 4_294_967_296.0;
        }
        moments
    }

    fn setting() -> (Shape, Moments, Moments, Vec<Vec<f32>>) {
        let shape = Shape::new(&[5, 18, 3, 2]).unwrap();
        let mut rng = stream(8, 0);
        let (p, n) = (random_moments(&shape, &mut rng), random_moments(&shape, &mut rng));
        let offsets = random_moments(&shape, &mut rng).means;
        (shape, p, n, offsets)
    }

    #[test]
    fn offsets_of_zero_give_the_plain_gradient() {
        let (shape, p, n, mut offsets) = setting();
        offsets.iter_mut().flatten().for_each(|o| *o = 0.0);
        let (mut plain, mut centered) = (Gradient::zeros(&shape), Gradient::zeros(&shape));
        plain.set(&p, &n, None);
        centered.set(&p, &n, Some(&offsets));
        assert_eq!(plain, centered);
        assert_eq!(plain.weights[1][4], p.pairs[1][4] - n.pairs[1][4]);
        assert_eq!(plain.biases[2][1], p.means[2][1] - n.means[2][1]);
    }

    /// Solving the formulas for the plain gradient gives it back: the map is invertible and, being made of sums and
    /// products with offsets only, linear.
    #[test]
    fn the_plain_gradient_can_be_recovered_from_the_centered_one() {
        let (shape, p, n, offsets) = setting();
        let (mut plain, mut centered) = (Gradient::zeros(&shape), Gradient::zeros(&shape));
        plain.set(&p, &n, None);
        centered.set(&p, &n, Some(&offsets));
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
        let pairs = |g: &Gradient| g.weights.iter().chain(&g.biases).flatten().copied().collect::<Vec<f32>>();
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
            let mut moments = Moments::new(&shape);
            moments.means.clone_from(&states[s]);
            for l in 0..3 {
                let (even, odd) = if l % 2 == 0 { (l, l + 1) } else { (l + 1, l) };
                let outer = states[s][even].iter().flat_map(|x| states[s][odd].iter().map(move |y| x * y));
                moments.pairs[l] = outer.collect();
            }
            moments
        });
        let mut centered = Gradient::zeros(&shape);
        centered.set(&moments[0], &moments[1], Some(&offsets));
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
