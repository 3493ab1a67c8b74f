//! The Fréchet distance between two sets of features, each taken for a Gaussian.
//!
//! For Gaussians it is d² = |μ₁ − μ₂|² + tr(S₁ + S₂ − 2 (S₁ S₂)^½) (Dowson and Landau 1982); on the features of a
//! network it compares generators (Heusel et al. 2017, "FID"). What is returned is d², as is the custom.
//!
//! The estimate is biased upwards, by the more the fewer vectors: distances compare only at the same counts.

use faer::{Accum, Mat, MatRef, Par, Side, linalg::matmul::matmul};
use thiserror::Error;

use super::features::FeatureSet;

/// Rows whose products are added at once.
const ROWS: usize = 512;

/// Why there is no distance.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FrechetError {
    /// One vector has no covariance.
    #[error("a covariance takes at least 2 feature vectors, found {found}")]
    Rows {
        /// Vectors given.
        found: usize,
    },
    /// The sets come from different networks.
    #[error("expected features of {expected} dimensions, found {found}")]
    Dimensions {
        /// Of the first set.
        expected: usize,
        /// Of the second.
        found: usize,
    },
    /// A feature is infinite or not a number.
    #[error("a feature is not a finite number")]
    NotFinite,
    /// The eigenvalues did not converge.
    #[error("the eigenvalues of a covariance did not converge")]
    Eigenvalues,
}

/// Mean and covariance of feature vectors.
#[derive(Debug, Clone)]
pub struct Gaussian {
    mean: Vec<f64>,
    covariance: Mat<f64>,
    /// The symmetric root of the covariance.
    root: Mat<f64>,
}

impl Gaussian {
    /// Fits mean and covariance (with n − 1 in the denominator).
    ///
    /// # Errors
    /// [`FrechetError::Rows`], [`FrechetError::NotFinite`], [`FrechetError::Eigenvalues`].
    pub fn fit(features: &FeatureSet) -> Result<Self, FrechetError> {
        let (rows, dims) = (features.len(), features.dims());
        if rows < 2 {
            return Err(FrechetError::Rows { found: rows });
        }
        let mut mean = vec![0.0; dims];
        for row in features.rows() {
            mean.iter_mut().zip(row).for_each(|(mean, &value)| *mean += f64::from(value) / rows as f64);
        }
        if !mean.iter().all(|mean| mean.is_finite()) {
            return Err(FrechetError::NotFinite);
        }
        let mut covariance = Mat::zeros(dims, dims);
        let scale = 1.0 / (rows - 1) as f64;
        for chunk in features.values().chunks(ROWS * dims) {
            let centered: Vec<f64> =
                chunk.iter().zip(mean.iter().cycle()).map(|(&value, mean)| f64::from(value) - mean).collect();
            let chunk = MatRef::from_row_major_slice(&centered, centered.len() / dims, dims);
            matmul(covariance.as_mut(), Accum::Add, chunk.transpose(), chunk, scale, Par::Seq);
        }
        Self::new(mean, covariance)
    }

    fn new(mean: Vec<f64>, covariance: Mat<f64>) -> Result<Self, FrechetError> {
        let eigen = covariance.self_adjoint_eigen(Side::Lower).map_err(|_| FrechetError::Eigenvalues)?;
        // Rounding may leave an eigenvalue of a singular covariance a little below zero.
        let roots: Vec<f64> = eigen.S().column_vector().iter().map(|value| value.max(0.0).sqrt()).collect();
        let vectors = eigen.U();
        let scaled = Mat::from_fn(mean.len(), mean.len(), |i, j| vectors[(i, j)] * roots[j]);
        let root = &scaled * vectors.transpose();
        Ok(Self { mean, covariance, root })
    }

    /// The squared Fréchet distance to `other`; never negative.
    ///
    /// The trace of (S₁ S₂)^½ is that of (R S₂ R)^½ with R = S₁^½: both products have the same eigenvalues, and the
    /// second is symmetric.
    ///
    /// # Errors
    /// [`FrechetError::Dimensions`], [`FrechetError::Eigenvalues`].
    pub fn distance(&self, other: &Self) -> Result<f64, FrechetError> {
        let (expected, found) = (self.mean.len(), other.mean.len());
        if expected != found {
            return Err(FrechetError::Dimensions { expected, found });
        }
        let means: f64 = self.mean.iter().zip(&other.mean).map(|(a, b)| (a - b).powi(2)).sum();
        let product = &self.root * &other.covariance * &self.root;
        let eigenvalues = product.self_adjoint_eigenvalues(Side::Lower).map_err(|_| FrechetError::Eigenvalues)?;
        let cross: f64 = eigenvalues.iter().map(|value| value.max(0.0).sqrt()).sum();
        Ok((means + trace(&self.covariance) + trace(&other.covariance) - 2.0 * cross).max(0.0))
    }
}

fn trace(matrix: &Mat<f64>) -> f64 {
    (0..matrix.nrows()).map(|i| matrix[(i, i)]).sum()
}

#[cfg(test)]
mod tests {
    use bitboltz_core::rng::stream;

    use super::*;
    use crate::random::normal;

    fn diagonal(mean: &[f64], deviations: &[f64]) -> Gaussian {
        let n = mean.len();
        let covariance = Mat::from_fn(n, n, |i, j| if i == j { deviations[i] * deviations[i] } else { 0.0 });
        Gaussian::new(mean.to_vec(), covariance).unwrap()
    }

    /// B Bᵀ of a random B: symmetric, and positive where `rank` is all of `n`.
    fn random(n: usize, rank: usize, seed: u64) -> Mat<f64> {
        let mut rng = stream(seed, 0);
        let factor = Mat::from_fn(n, rank, |_, _| normal(&mut rng));
        &factor * factor.transpose()
    }

    /// tr (S₁ S₂)^½ by the iteration of Denman and Beavers, which knows nothing of eigenvalues:
    /// Y ← (Y + Z⁻¹)/2, Z ← (Z + Y⁻¹)/2 from Y = S₁ S₂, Z = 1 brings Y to the root.
    fn brute(a: &Gaussian, b: &Gaussian) -> f64 {
        use faer::linalg::solvers::DenseSolveCore as _;
        let n = a.mean.len();
        let (mut y, mut z) = (&a.covariance * &b.covariance, Mat::<f64>::identity(n, n));
        for _ in 0..60 {
            let (y_inverse, z_inverse) = (y.partial_piv_lu().inverse(), z.partial_piv_lu().inverse());
            y = Mat::from_fn(n, n, |i, j| 0.5 * (y[(i, j)] + z_inverse[(i, j)]));
            z = Mat::from_fn(n, n, |i, j| 0.5 * (z[(i, j)] + y_inverse[(i, j)]));
        }
        let means: f64 = a.mean.iter().zip(&b.mean).map(|(a, b)| (a - b) * (a - b)).sum();
        means + trace(&a.covariance) + trace(&b.covariance) - 2.0 * trace(&y)
    }

    #[test]
    fn diagonal_covariances_have_a_closed_form() {
        let a = diagonal(&[0.0, 1.0, -2.0], &[1.0, 0.5, 0.0]);
        let b = diagonal(&[3.0, 1.0, -1.0], &[2.0, 0.5, 3.0]);
        // Means 9 + 0 + 1; deviations 1 + 0 + 9.
        assert!((a.distance(&b).unwrap() - 20.0).abs() < 1e-12);
        assert!((b.distance(&a).unwrap() - 20.0).abs() < 1e-12);
        assert!(a.distance(&a).unwrap() < 1e-12);
    }

    #[test]
    fn agrees_with_an_iteration_without_eigenvalues() {
        for seed in 0..5 {
            let n = 2 + 2 * seed as usize;
            let a = Gaussian::new(vec![0.0; n], random(n, n, seed)).unwrap();
            let b = Gaussian::new((0..n).map(|i| i as f64 / 3.0).collect(), random(n, 2 * n, 100 + seed)).unwrap();
            let (expected, found) = (brute(&a, &b), a.distance(&b).unwrap());
            assert!((expected - found).abs() < 1e-6 * expected.abs(), "{n}: {expected} {found}");
            assert!((found - b.distance(&a).unwrap()).abs() < 1e-8 * found);
        }
    }

    /// Singular covariances, as those of units that never fire: the root of a rounding error is 1e-8.
    #[test]
    fn singular_covariances_are_no_trouble() {
        let a = Gaussian::new(vec![1.0; 8], random(8, 3, 1)).unwrap();
        assert!(a.distance(&a).unwrap() < 1e-5);
        let shifted = Gaussian::new(vec![2.0; 8], a.covariance.clone()).unwrap();
        assert!((a.distance(&shifted).unwrap() - 8.0).abs() < 1e-5);
    }

    #[test]
    fn fits_the_covariance_of_the_vectors() {
        let set = |values: Vec<f32>| FeatureSet::new(2, values, None);
        // More rows than a chunk, and not a multiple of it.
        let mut rng = stream(3, 0);
        let values: Vec<f32> = (0..2 * 1300).map(|_| normal(&mut rng) as f32).collect();
        let fitted = Gaussian::fit(&set(values.clone())).unwrap();
        for (i, j) in [(0, 0), (0, 1), (1, 1)] {
            let column = |k| values.iter().skip(k).step_by(2).map(|&x| f64::from(x));
            let mean = |k| column(k).sum::<f64>() / 1300.0;
            let (a, b) = (mean(i), mean(j));
            let expected = column(i).zip(column(j)).map(|(x, y)| (x - a) * (y - b)).sum::<f64>() / 1299.0;
            assert!((fitted.covariance[(i, j)] - expected).abs() < 1e-12);
            assert!((fitted.mean[i] - a).abs() < 1e-12);
        }
        let moved = values.iter().enumerate().map(|(i, x)| x + if i % 2 == 0 { 3.0 } else { 0.0 }).collect();
        // The shift is rounded to a float.
        assert!((fitted.distance(&Gaussian::fit(&set(moved)).unwrap()).unwrap() - 9.0).abs() < 1e-5);
        assert!(fitted.distance(&Gaussian::fit(&set(values)).unwrap()).unwrap() < 1e-6);
    }

    #[test]
    fn bad_sets_are_refused() {
        let fit = |dims, values| Gaussian::fit(&FeatureSet::new(dims, values, None));
        assert_eq!(fit(2, vec![1.0, 2.0]).unwrap_err(), FrechetError::Rows { found: 1 });
        assert_eq!(fit(1, vec![1.0, f32::NAN]).unwrap_err(), FrechetError::NotFinite);
        let (a, b) = (fit(2, vec![1.0; 6]).unwrap(), fit(3, vec![1.0; 6]).unwrap());
        assert_eq!(a.distance(&b).unwrap_err(), FrechetError::Dimensions { expected: 2, found: 3 });
    }
}
