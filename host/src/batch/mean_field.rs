//! Mean fields of many visible vectors at once: the independent hidden units q that raise the variational bound
//! E_q[−E(v, h)] + H(q) until nothing moves (Salakhutdinov, Hinton 2009, eq. 8 and 9).
//!
//! The bound is raised block by block: the even hidden layers given the odd ones, and the other way round. A unit of a
//! block is best at μ = σ(a), its field taken at the other block's means, so the bound never falls. With one hidden layer
//! the first half-sweep is exact.
//!
//! Means are dense, so this is a product of matrices, 64 × 64 weights at a time for all vectors that still move. What a
//! vector's mean field is does not depend on which others it runs with.

use bitboltz_core::shape::Shape;

use super::{
    ChainWeights,
    kernels::{self, Isa},
    lists::Lists,
    tile::{TILE, Tiles, new_table},
};

/// When the fixed point is reached.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FixedPoint {
    /// Largest change of a mean in a sweep.
    pub tolerance: f64,
    /// Most sweeps. The bound holds wherever they end.
    pub cap: u32,
}

impl Default for FixedPoint {
    fn default() -> Self {
        Self { tolerance: 1e-5, cap: 1_000 }
    }
}

/// The mean fields of a block of visible vectors.
#[derive(Clone, Debug)]
pub struct MeanFields {
    shape: Shape,
    isa: Isa,
    /// Where each vector's rows lie: those that still move come first.
    places: Vec<usize>,
    /// Which vector lies there.
    vectors: Vec<usize>,
    /// Vectors that still move.
    moving: usize,
    /// Biases of the first hidden layer and what the visible units give to it.
    bottom: Tiles<f32>,
    /// Of each layer: log odds and means, a row for each place. Nothing for the visible layer.
    fields: Vec<Tiles<f32>>,
    means: Vec<Tiles<f32>>,
    /// Largest change of the last half-sweep, for each place.
    changes: Vec<f32>,
    /// For each vector.
    sweeps: Vec<u32>,
    /// For each vector.
    converged: Vec<bool>,
}

impl MeanFields {
    /// The mean fields of `count` visible vectors, packed as layer 0 of a state, from hidden means of ½.
    ///
    /// # Panics
    /// If a vector has too few words.
    pub fn find<'v>(
        weights: &ChainWeights<f32>,
        count: usize,
        visible: impl Fn(usize) -> &'v [u32],
        until: &FixedPoint,
    ) -> Self {
        let shape = *weights.shape();
        // A vector's layers are rows of tiles, as its fields are; padding stays zero.
        let layers = |value: f32| -> Vec<Tiles<f32>> {
            let hidden = (0..shape.layers()).map(|layer| if layer == 0 { 0 } else { shape.width(layer) });
            let filled = hidden.map(|width| {
                let mut tiles = Tiles::zeros(count, width);
                let row = vec![value; width];
                tiles.fill_rows(|_| &row);
                tiles
            });
            filled.collect()
        };
        let mut found = Self {
            shape,
            isa: Isa::best(),
            places: (0..count).collect(),
            vectors: (0..count).collect(),
            moving: count,
            bottom: bottom(weights, count, visible),
            fields: layers(0.0),
            means: layers(0.5),
            changes: vec![0.0; count],
            sweeps: vec![0; count],
            converged: vec![false; count],
        };
        found.half_sweep(weights, 1);
        if shape.layers() == 2 {
            found.converged.fill(true);
            return found;
        }
        for sweep in 1..=until.cap {
            found.changes.fill(0.0);
            found.half_sweep(weights, 2);
            let changes = found.changes.clone();
            found.half_sweep(weights, 1);
            for place in (0..found.moving).rev() {
                let vector = found.vectors[place];
                found.sweeps[vector] = sweep;
                if f64::from(changes[place]) <= until.tolerance {
                    found.converged[vector] = true;
                    found.moving -= 1;
                    found.swap(place, found.moving);
                }
            }
            if found.moving == 0 {
                break;
            }
        }
        found
    }

    /// Updates every other layer from `first` on, for all vectors that still move.
    fn half_sweep(&mut self, weights: &ChainWeights<f32>, first: usize) {
        let (isa, moving) = (self.isa, self.moving);
        for layer in (first..self.shape.layers()).step_by(2) {
            let width = self.shape.width(layer);
            let Self { fields, means, bottom, changes, .. } = self;
            let bias = weights.bias(layer).as_chunks().0;
            for (tile, fields) in fields[layer].each_tile_mut().enumerate() {
                let fields = &mut fields[..moving];
                if layer == 1 {
                    fields.copy_from_slice(&bottom.tile(tile)[..moving]);
                } else {
                    fields.fill(bias[tile]);
                    add_products(isa, weights, (layer - 1, layer), tile, &means[layer - 1], fields);
                }
                if layer + 1 < self.shape.layers() {
                    add_products(isa, weights, (layer + 1, layer), tile, &means[layer + 1], fields);
                }
                let columns = TILE.min(width - tile * TILE);
                let means = means[layer].tile_mut(tile);
                for ((field, mean), change) in fields.iter().zip(means).zip(&mut *changes) {
                    let old = *mean;
                    kernels::sigmoids(isa, &field[..columns], &mut mean[..columns]);
                    *change = old.iter().zip(mean).fold(*change, |most, (old, new)| most.max((*new - old).abs()));
                }
            }
        }
    }

    /// Lets the vectors at two places change them.
    fn swap(&mut self, a: usize, b: usize) {
        if a == b {
            return;
        }
        let layers = self.fields.iter_mut().chain(&mut self.means).chain(std::iter::once(&mut self.bottom));
        layers.for_each(|tiles| tiles.each_tile_mut().for_each(|tile| tile.swap(a, b)));
        self.vectors.swap(a, b);
        self.places[self.vectors[a]] = a;
        self.places[self.vectors[b]] = b;
    }

    /// Number of vectors.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there are no vectors.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Log odds of q for the units of a hidden layer.
    pub fn fields(&self, vector: usize, layer: usize) -> impl Iterator<Item = f32> {
        self.fields[layer].row(self.places[vector])
    }

    /// Means of q for the units of a hidden layer.
    pub fn means(&self, vector: usize, layer: usize) -> impl Iterator<Item = f32> {
        self.means[layer].row(self.places[vector])
    }

    /// Copies the means of a hidden layer into a row of a matrix of its width.
    ///
    /// # Panics
    /// If there is no such row, or the matrix is of another width.
    pub fn copy_means(&self, vector: usize, layer: usize, rows: &mut Tiles<f32>, to: usize) {
        let from = self.places[vector];
        assert_eq!(rows.columns(), self.shape.width(layer));
        rows.each_tile_mut().zip(self.means[layer].tiles()).for_each(|(rows, means)| rows[to] = means[from]);
    }

    /// Sweeps that a vector took.
    pub fn sweeps(&self, vector: usize) -> u32 {
        self.sweeps[vector]
    }

    /// Whether a vector's means came to rest before the cap.
    pub fn converged(&self, vector: usize) -> bool {
        self.converged[vector]
    }
}

/// Biases of the first hidden layer and what visible vectors give to it.
fn bottom<'v>(weights: &ChainWeights<f32>, count: usize, visible: impl Fn(usize) -> &'v [u32]) -> Tiles<f32> {
    let width = weights.shape().width(1);
    let none = vec![0; weights.shape().layer_words(0)];
    let mut lists = Lists::new(Isa::best());
    (0..count).for_each(|vector| lists.push(vector, &visible(vector)[..none.len()], &none));
    let mut fields = weights.bias(1)[..width].repeat(count);
    lists.apply(weights.up(0), 0, &mut new_table::<f32>(), &mut fields, width);
    let mut tiles = Tiles::zeros(count, width);
    tiles.copy_from(&fields);
    tiles
}

/// Adds to the fields of a tile of units of a layer what the means of another one give to it.
pub fn add_products(
    isa: Isa,
    weights: &ChainWeights<f32>,
    (from, to): (usize, usize),
    tile: usize,
    means: &Tiles<f32>,
    fields: &mut [[f32; TILE]],
) {
    let (matrix, _) = weights.between(from, to);
    for (rows, means) in matrix.tile(tile).chunks(TILE).zip(means.tiles()) {
        kernels::add_products(isa, rows, &means[..fields.len()], fields);
    }
}

#[cfg(test)]
mod tests {
    use bitboltz_core::bits::word_mask;
    use bitboltz_core::rng::{Rng as _, stream};

    use super::*;
    use crate::{eval::random::random_parameters, parameters::Parameters};

    /// From the definition, in doubles: fields of all layers, and the sweeps.
    fn by_definition(parameters: &Parameters, visible: &[u32], until: &FixedPoint) -> (Vec<Vec<f64>>, u32) {
        let shape = parameters.shape();
        let sigmoid = |a: f64| 1.0 / (1.0 + (-a).exp());
        let weight = |l: usize, i: usize, j: usize| f64::from(parameters.weights()[l][i * shape.width(l + 1) + j]);
        let mut means: Vec<Vec<f64>> = shape.widths().map(|width| vec![0.5; width]).collect();
        let mut fields = means.clone();
        for (unit, mean) in means[0].iter_mut().enumerate() {
            *mean = f64::from(visible[unit / 32] >> (unit % 32) & 1);
        }
        let half = |first: usize, means: &mut Vec<Vec<f64>>, fields: &mut Vec<Vec<f64>>| {
            let mut change = 0.0_f64;
            for layer in (first..shape.layers()).step_by(2) {
                let of_unit = |i: usize| {
                    let below = (0..shape.width(layer - 1)).map(|j| weight(layer - 1, j, i) * means[layer - 1][j]);
                    let above = means.get(layer + 1).into_iter().flatten().enumerate();
                    let above = above.map(|(j, mean)| weight(layer, i, j) * mean);
                    f64::from(parameters.biases()[layer][i]) + below.sum::<f64>() + above.sum::<f64>()
                };
                fields[layer] = (0..shape.width(layer)).map(of_unit).collect();
                for (mean, &field) in means[layer].iter_mut().zip(&fields[layer]) {
                    change = change.max((sigmoid(field) - *mean).abs());
                    *mean = sigmoid(field);
                }
            }
            change
        };
        half(1, &mut means, &mut fields);
        for sweep in 1..=until.cap {
            let change = half(2, &mut means, &mut fields);
            half(1, &mut means, &mut fields);
            if change <= until.tolerance {
                return (fields, sweep);
            }
        }
        (fields, until.cap)
    }

    fn vectors(count: usize, width: usize) -> Vec<Vec<u32>> {
        let mut rng = stream(6, width as u64);
        let words = width.div_ceil(32);
        (0..count).map(|_| (0..words).map(|at| rng.next_u32() & word_mask(width, at)).collect()).collect()
    }

    #[test]
    fn the_fixed_point_is_that_of_the_definition() {
        let mut uneven = 0;
        for (widths, std) in [
            (&[5, 4, 3][..], 1.0),
            (&[70, 65, 130], 0.2),
            (&[20, 9, 66, 40], 0.3),
            (&[6, 5, 4, 3, 2], 1.0),
            (&[100, 3], 0.3),
        ] {
            let parameters = random_parameters(widths, std, 0.5, 3).unwrap();
            let weights = ChainWeights::new(&parameters.dbm().unwrap());
            let vectors = vectors(11, widths[0]);
            for until in [FixedPoint::default(), FixedPoint { cap: 3, ..FixedPoint::default() }] {
                let found = MeanFields::find(&weights, vectors.len(), |n| &vectors[n], &until);
                let mut sweeps = Vec::new();
                for (n, vector) in vectors.iter().enumerate() {
                    let (fields, taken) = by_definition(&parameters, vector, &until);
                    for (layer, expected) in fields.iter().enumerate().skip(1) {
                        for ((field, mean), expected) in found.fields(n, layer).zip(found.means(n, layer)).zip(expected)
                        {
                            // Both stop where a sweep changes less than 1e-5: not at the same sweep always.
                            assert!((f64::from(field) - expected).abs() < 1e-3, "{widths:?} {field} {expected}");
                            let expected = 1.0 / (1.0 + (-f64::from(field)).exp());
                            assert!((f64::from(mean) - expected).abs() < 1e-6, "{widths:?} {mean} {expected}");
                        }
                    }
                    if widths.len() > 2 {
                        assert!(found.sweeps(n).abs_diff(taken) <= 1, "{widths:?} {} {taken}", found.sweeps(n));
                        assert!(found.converged(n) || found.sweeps(n) == until.cap);
                        sweeps.push(found.sweeps(n));
                    } else {
                        assert!(found.converged(n));
                    }
                }
                uneven += usize::from(sweeps.iter().min() != sweeps.iter().max());
            }
        }
        assert!(uneven > 0, "vectors should come to rest one after the other");
    }

    #[test]
    fn a_vector_s_mean_field_does_not_depend_on_others() {
        let widths = [40, 70, 30, 20];
        let parameters = random_parameters(&widths, 0.4, 0.5, 4).unwrap();
        let weights = ChainWeights::new(&parameters.dbm().unwrap());
        let vectors = vectors(13, 40);
        let all = MeanFields::find(&weights, vectors.len(), |n| &vectors[n], &FixedPoint::default());
        for (n, vector) in vectors.iter().enumerate() {
            let alone = MeanFields::find(&weights, 1, |_| vector, &FixedPoint::default());
            for layer in 1..widths.len() {
                assert!(all.fields(n, layer).eq(alone.fields(0, layer)), "{n} {layer}");
                assert!(all.means(n, layer).eq(alone.means(0, layer)), "{n} {layer}");
            }
            assert_eq!((all.sweeps(n), all.converged(n)), (alone.sweeps(0), alone.converged(0)));
        }
    }
}
