//! Initial weights: orthogonal, or independent normal numbers.

use bitboltz_core::rng::XorShiftRng;
use rayon::prelude::*;

use crate::random::normal;

/// A random semi-orthogonal matrix of `lower` rows of `upper` numbers: its columns are orthonormal if `lower ≥ upper`,
/// its rows if not (Saxe, McClelland, Ganguli 2014; the paper's initialisation).
///
/// Normal vectors, made orthonormal one after the other (modified Gram-Schmidt, in `f64`). That loses about
/// ε × condition number of orthogonality, and normal matrices of some thousand rows have condition numbers far below
/// 10⁸: nothing is left to correct once the numbers are rounded to `f32`. The vectors that a panel
/// is projected out of are independent of each other, so the result does not depend on the number of threads.
pub fn orthogonal(lower: usize, upper: usize, rng: &mut XorShiftRng) -> Vec<f32> {
    let (length, count) = (lower.max(upper), lower.min(upper));
    let mut vectors: Vec<Vec<f64>> = (0..count).map(|_| (0..length).map(|_| normal(rng)).collect()).collect();
    for start in (0..count).step_by(PANEL) {
        let (before, rest) = vectors.split_at_mut((start + PANEL).min(count));
        let panel = &mut before[start..];
        for done in 0..panel.len() {
            let (before, rest) = panel.split_at_mut(done + 1);
            let unit = &mut before[done];
            let norm = libm::sqrt(dot(unit, unit));
            unit.iter_mut().for_each(|x| *x /= norm);
            rest.iter_mut().for_each(|vector| project_out(unit, vector));
        }
        // The order of each vector's own steps is that of the plain algorithm; a panel keeps the vector in cache.
        rest.par_iter_mut().for_each(|vector| panel.iter().for_each(|unit| project_out(unit, vector)));
    }
    let mut matrix = vec![0.0; lower * upper];
    for (v, vector) in vectors.iter().enumerate() {
        for (i, &x) in vector.iter().enumerate() {
            matrix[if lower >= upper { i * upper + v } else { v * upper + i }] = x as f32;
        }
    }
    matrix
}

/// Vectors that are finished before the rest is made orthogonal to them.
const PANEL: usize = 32;

/// Makes `vector` orthogonal to a unit vector.
fn project_out(unit: &[f64], vector: &mut [f64]) {
    let share = dot(unit, vector);
    vector.iter_mut().zip(unit).for_each(|(x, u)| *x -= share * u);
}

/// Independent normal numbers with mean 0.
pub fn normals(count: usize, std: f32, rng: &mut XorShiftRng) -> Vec<f32> {
    (0..count).map(|_| (normal(rng) * f64::from(std)) as f32).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    // Eight sums side by side: a fixed order that the compiler can vectorise.
    let mut sums = [0.0; 8];
    let (a_chunks, b_chunks) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f64 = a_chunks.remainder().iter().zip(b_chunks.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in a_chunks.zip(b_chunks) {
        for lane in 0..8 {
            sums[lane] += x[lane] * y[lane];
        }
    }
    sums.iter().sum::<f64>() + rest
}

#[cfg(test)]
mod tests {
    use bitboltz_core::rng::stream;

    use super::*;

    #[test]
    fn the_shorter_side_is_orthonormal() {
        for (lower, upper) in [(20, 20), (30, 11), (11, 30), (1, 5), (70, 80), (80, 65)] {
            let matrix = orthogonal(lower, upper, &mut stream(4, 0));
            let at = |v: usize, i: usize| {
                f64::from(if lower >= upper { matrix[i * upper + v] } else { matrix[v * upper + i] })
            };
            for v in 0..lower.min(upper) {
                for w in 0..lower.min(upper) {
                    let product: f64 = (0..lower.max(upper)).map(|i| at(v, i) * at(w, i)).sum();
                    let expected = if v == w { 1.0 } else { 0.0 };
                    assert!((product - expected).abs() < 1e-6, "{lower}x{upper} {v} {w}: {product}");
                }
            }
        }
    }

    #[test]
    fn normal_numbers_have_their_moments() {
        let numbers = normals(40_000, 2.0, &mut stream(5, 0));
        let mean = numbers.iter().sum::<f32>() / 40_000.0;
        let square = numbers.iter().map(|x| x * x).sum::<f32>() / 40_000.0;
        // Five standard errors: 2 / √n and 4 √2 / √n.
        assert!(mean.abs() < 0.05 && (square - 4.0).abs() < 0.15, "{mean} {square}");
    }
}
