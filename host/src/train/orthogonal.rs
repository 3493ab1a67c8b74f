//! Initial weights: orthogonal, or independent normal numbers.

use bitboltz_core::rng::XorShiftRng;
use rayon::prelude::*;

use crate::random::normal;

/// A random semi-orthogonal matrix of `lower` rows of `upper` numbers: its columns are orthonormal if `lower ≥ upper`,
/// its rows if not (Saxe, McClelland, Ganguli 2014; the paper's initialisation).
///
/// Normal vectors, made orthonormal a panel at a time, in `f64`: within a panel one after the other (modified
/// Gram-Schmidt), the rest by all of a finished panel at once, which reads a vector twice a panel instead of twice a
/// vector. That loses about ε × condition number of orthogonality, and normal matrices of some thousand rows have
/// condition numbers far below 10⁸: nothing is left to correct once the numbers are rounded to `f32`. Sums have a fixed
/// order and no fused products, so the result depends neither on the machine nor on the number of threads.
pub fn orthogonal(lower: usize, upper: usize, rng: &mut XorShiftRng) -> Vec<f32> {
    let (length, count) = (lower.max(upper), lower.min(upper));
    // Padded with zeros, which change no product.
    let chunks = length.div_ceil(CHUNK);
    let mut vectors = vec![[0.0; CHUNK]; count * chunks];
    for vector in vectors.chunks_exact_mut(chunks) {
        vector.as_flattened_mut()[..length].iter_mut().for_each(|x| *x = normal(rng));
    }
    for start in (0..count).step_by(PANEL) {
        let (before, rest) = vectors.split_at_mut((start + PANEL).min(count) * chunks);
        let panel = &mut before[start * chunks..];
        for done in 0..panel.len() / chunks {
            let (before, rest) = panel.split_at_mut((done + 1) * chunks);
            let unit = &mut before[done * chunks..];
            let norm = libm::sqrt(products([unit], unit)[0]);
            unit.as_flattened_mut().iter_mut().for_each(|x| *x /= norm);
            rest.par_chunks_exact_mut(chunks).with_min_len(4).for_each(|vector| project_out(unit, vector));
        }
        let panel = &*panel;
        rest.par_chunks_exact_mut(chunks).for_each(|vector| project_out(panel, vector));
    }
    let mut matrix = vec![0.0; lower * upper];
    for (v, vector) in vectors.chunks_exact(chunks).enumerate() {
        for (i, &x) in vector.as_flattened()[..length].iter().enumerate() {
            matrix[if lower >= upper { i * upper + v } else { v * upper + i }] = x as f32;
        }
    }
    matrix
}

/// Vectors that are finished before the rest is made orthogonal to them.
const PANEL: usize = 32;
/// Numbers that are summed side by side.
const CHUNK: usize = 8;
/// Unit vectors that a vector is read for at once.
const UNITS: usize = 4;

/// Makes `vector` orthogonal to unit vectors that lie one after the other and are orthogonal to each other.
fn project_out(units: &[[f64; CHUNK]], vector: &mut [[f64; CHUNK]]) {
    let chunks = vector.len();
    let mut shares = [0.0; PANEL];
    let groups = || units.chunks(UNITS * chunks);
    for (shares, group) in shares.chunks_mut(UNITS).zip(groups()) {
        let mut each = group.chunks_exact(chunks);
        if let (Some(a), Some(b), Some(c), Some(d)) = (each.next(), each.next(), each.next(), each.next()) {
            shares.copy_from_slice(&products([a, b, c, d], vector));
        } else {
            let each = group.chunks_exact(chunks);
            shares.iter_mut().zip(each).for_each(|(share, unit)| *share = products([unit], vector)[0]);
        }
    }
    for (shares, group) in shares.chunks(UNITS).zip(groups()) {
        let mut each = group.chunks_exact(chunks);
        if let (Some(a), Some(b), Some(c), Some(d)) = (each.next(), each.next(), each.next(), each.next()) {
            for ((((x, a), b), c), d) in vector.iter_mut().zip(a).zip(b).zip(c).zip(d) {
                for k in 0..CHUNK {
                    x[k] -= shares[0] * a[k] + shares[1] * b[k] + (shares[2] * c[k] + shares[3] * d[k]);
                }
            }
        } else {
            for (share, unit) in shares.iter().zip(group.chunks_exact(chunks)) {
                for (x, u) in vector.iter_mut().zip(unit) {
                    (0..CHUNK).for_each(|k| x[k] -= share * u[k]);
                }
            }
        }
    }
}

/// The products of some vectors with another.
fn products<const N: usize>(units: [&[[f64; CHUNK]]; N], vector: &[[f64; CHUNK]]) -> [f64; N] {
    let units = units.map(|unit| &unit[..vector.len()]);
    let mut sums = [[0.0; CHUNK]; N];
    for (at, x) in vector.iter().enumerate() {
        for (sums, unit) in sums.iter_mut().zip(units) {
            for k in 0..CHUNK {
                sums[k] += x[k] * unit[at][k];
            }
        }
    }
    sums.map(|sums| sums.iter().sum())
}

/// Independent normal numbers with mean 0.
pub fn normals(count: usize, std: f32, rng: &mut XorShiftRng) -> Vec<f32> {
    (0..count).map(|_| (normal(rng) * f64::from(std)) as f32).collect()
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
