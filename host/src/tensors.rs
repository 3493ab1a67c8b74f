//! The tensors of a model, owned, in the core's layout: floats as they are trained, or integers as a board holds them.

use bytemuck::Zeroable as _;

use bitboltz_core::{
    connection::Dense,
    fixed::Scale,
    image::Geometry,
    model::{DenseDbm, ModelError, Tensor},
    shape::Shape,
    weights::{I4, Weight, WeightKind},
};

/// Weights and biases of a machine, what an integer is worth, and how its visible units make up a picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensors<W: Weight> {
    shape: Shape,
    /// Matrix l lies row by row as it is stored, one row of width(l + 1) weights for each unit of layer l.
    pub weights: Vec<Vec<W::Packed>>,
    /// One shift for each matrix: an integer weight `w` stands for `w << shift`.
    pub shifts: Vec<u32>,
    /// One vector for each layer.
    pub biases: Vec<Vec<W::Field>>,
    /// What one unit of an integer field is worth.
    pub scale: Scale,
    /// How the visible units make up a picture.
    pub geometry: Geometry,
    /// The type by whose range sums of integers are bounded.
    range: WeightKind,
}

impl<W: Weight> Tensors<W> {
    /// `weights[l]` holds width(l) rows of width(l + 1) weights; the biases give the widths.
    ///
    /// # Errors
    /// Tensors that do not fit each other. Their numbers are only checked by [`dbm`](Self::dbm).
    ///
    /// # Panics
    /// As [`dbm`](Self::dbm).
    pub fn new(
        weights: Vec<Vec<W::Packed>>,
        shifts: Vec<u32>,
        biases: Vec<Vec<W::Field>>,
        scale: Scale,
        geometry: Geometry,
    ) -> Result<Self, ModelError> {
        Self::within(W::KIND, weights, shifts, biases, scale, geometry)
    }

    /// As [`new`](Self::new), of integers that are within the range of a narrower type: sums are bounded by that.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    ///
    /// # Panics
    /// As [`dbm`](Self::dbm).
    pub fn within(
        range: WeightKind,
        weights: Vec<Vec<W::Packed>>,
        shifts: Vec<u32>,
        biases: Vec<Vec<W::Field>>,
        scale: Scale,
        geometry: Geometry,
    ) -> Result<Self, ModelError> {
        let widths: Vec<usize> = biases.iter().map(Vec::len).collect();
        let shape = Shape::new(&widths).map_err(ModelError::Shape)?;
        let matrices = weights.len().min(shifts.len());
        if matrices + 1 != biases.len() {
            return Err(ModelError::Biases { expected: matrices + 1, found: biases.len() });
        }
        let tensors = Self { shape, weights, shifts, biases, scale, geometry, range };
        tensors.connections()?;
        Ok(tensors)
    }

    /// The tensors of an existing model.
    pub fn of(model: &DenseDbm<'_, W>, geometry: Geometry) -> Self {
        Self {
            shape: *model.shape(),
            weights: model.connections().iter().map(|c| c.weights().to_vec()).collect(),
            shifts: model.connections().iter().map(Dense::shift).collect(),
            biases: model.biases().iter().map(|bias| bias.to_vec()).collect(),
            scale: model.scale(),
            geometry,
            range: model.connections()[0].range(),
        }
    }

    /// The layer widths.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The core's model over these tensors.
    ///
    /// # Errors
    /// Floats that are not finite, integers whose sums could overflow 32 bits, or tensors that were changed in size.
    ///
    /// # Panics
    /// If a shift is above the core's [`MAX_SHIFT`](bitboltz_core::connection::MAX_SHIFT), or a weight is
    /// beyond the [range](Self::within) that they came with.
    pub fn dbm(&self) -> Result<DenseDbm<'_, W>, ModelError> {
        let biases: Vec<&[W::Field]> = self.biases.iter().map(Vec::as_slice).collect();
        DenseDbm::new(self.connections()?, &biases, self.scale)
    }

    fn connections(&self) -> Result<Vec<Dense<'_, W>>, ModelError> {
        let matrices = self.weights.iter().zip(&self.shifts).enumerate();
        matrices
            .map(|(l, (matrix, &shift))| {
                let (lower, upper) = (self.shape.width(l), self.shape.width(l + 1));
                if matrix.len() != lower * Dense::<W>::packed_row(upper) {
                    let (expected, found) = ([upper, lower], [matrix.len() / lower * W::PER_PACKED, lower]);
                    return Err(ModelError::Weights { tensor: Tensor::Weight(l), expected, found });
                }
                let matrix = Dense::from_packed(matrix, lower, upper, shift);
                let matrix = matrix.expect("the size is right, and the shift was chosen");
                Ok(matrix.within(self.range).expect("weights within the range that they came with"))
            })
            .collect()
    }
}

/// A matrix as it is stored, from its weights, row by row of `upper`.
pub fn pack<W: Weight>(weights: &[W], upper: usize) -> Vec<W::Packed> {
    let mut packed = Vec::with_capacity(weights.len().div_ceil(W::PER_PACKED));
    for row in weights.chunks(upper) {
        let first = packed.len();
        packed.resize(first + Dense::<W>::packed_row(upper), W::Packed::zeroed());
        row.iter().enumerate().for_each(|(at, &weight)| W::set(&mut packed[first..], at, weight));
    }
    packed
}

impl Tensors<I4> {
    /// The same integers in bytes, for what reads no nibbles. Their sums are bounded as those of nibbles.
    pub fn expand(&self) -> Tensors<i8> {
        let expand = |(l, matrix): (usize, &Vec<u32>)| {
            let upper = self.shape.width(l + 1);
            let rows = matrix.chunks(Dense::<I4>::packed_row(upper));
            rows.flat_map(|row| I4::unpack(row).take(upper).map(I4::value)).collect()
        };
        Tensors { range: WeightKind::I4, ..self.with_weights(self.weights.iter().enumerate().map(expand).collect()) }
    }
}

impl Tensors<i8> {
    /// The same integers in nibbles; `None` if a weight is outside −8 ..= 7.
    pub fn to_nibbles(&self) -> Option<Tensors<I4>> {
        let nibbles = |(l, matrix): (usize, &Vec<i8>)| {
            let weights: Option<Vec<I4>> = matrix.iter().map(|&weight| I4::new(weight)).collect();
            weights.map(|weights| pack(&weights, self.shape.width(l + 1)))
        };
        let weights: Option<_> = self.weights.iter().enumerate().map(nibbles).collect();
        weights.map(|weights| self.with_weights(weights))
    }
}

impl<W: Weight<Field = i32>> Tensors<W> {
    /// Everything but the weights.
    fn with_weights<V: Weight<Field = i32>>(&self, weights: Vec<Vec<V::Packed>>) -> Tensors<V> {
        let Self { shape, scale, geometry, .. } = *self;
        let (shifts, biases) = (self.shifts.clone(), self.biases.clone());
        Tensors { shape, weights, shifts, biases, scale, geometry, range: V::KIND }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_that_do_not_fit_are_named() {
        let error = |weights: &[usize], biases: &[usize]| {
            let shifts = vec![0; weights.len()];
            let zeros = |lengths: &[usize]| lengths.iter().map(|&n| vec![0.0; n]).collect();
            Tensors::<f32>::new(zeros(weights), shifts, zeros(biases), Scale::ONE, Geometry::default()).unwrap_err()
        };
        assert!(matches!(error(&[6], &[2, 0]), ModelError::Shape(_)));
        assert_eq!(error(&[6, 3], &[2, 3]), ModelError::Biases { expected: 3, found: 2 });
        let tensor = Tensor::Weight(1);
        assert_eq!(error(&[6, 6], &[2, 3, 1]), ModelError::Weights { tensor, expected: [1, 3], found: [2, 3] });
    }

    #[test]
    fn there_and_back() {
        let geometry = Geometry { width: 2, height: 1, channels: 1, bits: 1 };
        let (weights, biases) = (vec![vec![1, 2, 3, 4, 5, 6]], vec![vec![1, 2], vec![3, 4, 5]]);
        let mut tensors = Tensors::<i8>::new(weights, vec![3], biases, Scale::ONE, geometry).unwrap();
        assert_eq!(Tensors::of(&tensors.dbm().unwrap(), tensors.geometry), tensors);
        tensors.weights[0].pop();
        assert!(matches!(tensors.dbm(), Err(ModelError::Weights { .. })));
    }

    #[test]
    fn nibbles_are_bytes_and_back() {
        let weights = vec![(0..27).map(|i| i % 16 - 8).collect(), vec![7, -8, 0, -1, 1, 2, 3, 4, 5]];
        let biases = vec![vec![1; 3], vec![2; 9], vec![3]];
        let bytes = Tensors::<i8>::new(weights, vec![0, 3], biases, Scale::ONE, Geometry::default()).unwrap();
        let nibbles = bytes.to_nibbles().unwrap();
        assert_eq!(nibbles.weights[0].len(), 3 * 2);
        assert_eq!((nibbles.weights[0][0], nibbles.weights[0][1]), (0xFEDC_BA98, 0));
        // The same but for their bounds.
        assert_eq!(nibbles.expand(), Tensors { range: WeightKind::I4, ..bytes.clone() });
        assert_eq!(Tensors::of(&nibbles.dbm().unwrap(), nibbles.geometry), nibbles);
        let mut large = bytes.clone();
        large.weights[1][4] = 8;
        assert_eq!(large.to_nibbles(), None);
    }
}
