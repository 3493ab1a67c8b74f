//! A model's weights in tiles, in both orientations, so that a flip on either side adds contiguous numbers.
//!
//! The core's [`Dense`](bitboltz_core::connection::Dense) keeps one copy of a matrix, as flash must. On a desktop memory
//! is cheap and strides are not.

use bitboltz_core::{
    connection::Connection,
    fixed::Scale,
    kernels::Flips,
    model::{Dbm, DenseDbm, ModelError},
    shape::Shape,
};

use super::tile::{TILE, TileWeight, Tiles};

/// The weights and biases of a model, as many chains at once read them.
#[derive(Clone, Debug)]
pub struct ChainWeights<W: TileWeight> {
    shape: Shape,
    /// Connection l: a row of upper columns for each lower unit.
    up: Vec<Tiles<W>>,
    /// Connection l: a row of lower columns for each upper unit.
    down: Vec<Tiles<W>>,
    shifts: Vec<u32>,
    /// Padded with zeros to whole tiles.
    biases: Vec<Vec<W::Field>>,
    scale: Scale,
}

impl<W: TileWeight> ChainWeights<W> {
    /// All zero.
    pub fn zeros(shape: &Shape) -> Self {
        let pairs = || (1..shape.layers()).map(|l| (shape.width(l - 1), shape.width(l)));
        Self {
            shape: *shape,
            up: pairs().map(|(lower, upper)| Tiles::zeros(lower, upper)).collect(),
            down: pairs().map(|(lower, upper)| Tiles::zeros(upper, lower)).collect(),
            shifts: vec![0; shape.layers() - 1],
            biases: shape.widths().map(|width| vec![W::Field::default(); width.div_ceil(TILE) * TILE]).collect(),
            scale: Scale::ONE,
        }
    }

    /// The weights of a model.
    pub fn new(model: &DenseDbm<'_, W>) -> Self {
        let mut weights = Self::zeros(model.shape());
        weights.copy_from(model);
        weights
    }

    /// Takes the weights of another model of the same shape.
    ///
    /// # Panics
    /// If the shapes differ.
    pub fn copy_from(&mut self, model: &DenseDbm<'_, W>) {
        let matrices = model.connections().iter().map(|connection| (connection.weights(), connection.shift()));
        self.set(matrices, model.biases(), model.scale());
    }

    /// Takes matrices with their shifts (visible side first, a row of upper units for each lower one), biases, and the
    /// scale. The numbers must be a model's: finite, and with sums that fit 32 bits.
    ///
    /// # Panics
    /// If anything is of another size than the shape says.
    pub fn set<'m>(
        &mut self,
        matrices: impl Iterator<Item = (&'m [W], u32)>,
        biases: &[impl AsRef<[W::Field]>],
        scale: Scale,
    ) {
        let mut shifts = Vec::new();
        for (l, (matrix, shift)) in matrices.enumerate() {
            self.up[l].copy_from(matrix);
            self.down[l].copy_transposed(matrix);
            shifts.push(shift);
        }
        self.set_rounding(&shifts, biases, scale);
    }

    /// Takes shifts, biases and a scale. The weights stay as they are.
    ///
    /// # Panics
    /// If anything is of another size than the shape says.
    pub fn set_rounding(&mut self, shifts: &[u32], biases: &[impl AsRef<[W::Field]>], scale: Scale) {
        assert_eq!(biases.len(), self.shape.layers());
        self.shifts.copy_from_slice(shifts);
        for ((padded, bias), width) in self.biases.iter_mut().zip(biases).zip(self.shape.widths()) {
            padded[..width].copy_from_slice(bias.as_ref());
        }
        self.scale = scale;
    }

    /// Both orientations of each connection, to write: a row for each unit of the even one of its layers, and its transpose.
    pub fn even_odd_mut(&mut self) -> impl Iterator<Item = (&mut Tiles<W>, &mut Tiles<W>)> {
        let both = self.up.iter_mut().zip(&mut self.down).enumerate();
        both.map(|(l, (up, down))| if l.is_multiple_of(2) { (up, down) } else { (down, up) })
    }

    /// Connection `l`: a row of upper columns for each lower unit.
    pub fn up(&self, l: usize) -> &Tiles<W> {
        &self.up[l]
    }

    /// Connection `l`: a row of lower columns for each upper unit.
    pub fn down(&self, l: usize) -> &Tiles<W> {
        &self.down[l]
    }

    /// The layer widths.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The real value of one unit of an integer field.
    pub fn scale(&self) -> Scale {
        self.scale
    }

    /// The biases of a layer, padded to whole tiles.
    pub fn bias(&self, layer: usize) -> &[W::Field] {
        &self.biases[layer]
    }

    /// The weights from the units of a layer to those of a neighbouring one, and their shift.
    pub(super) fn between(&self, from: usize, to: usize) -> (&Tiles<W>, u32) {
        let l = from.min(to);
        (if from < to { &self.up[l] } else { &self.down[l] }, self.shifts[l])
    }

    /// The core's model over these weights, for what runs one chain at a time.
    ///
    /// # Errors
    /// Never for the numbers of a model.
    pub fn dbm(&self) -> Result<Dbm<'_, Tiled<'_, W>>, ModelError> {
        let connections = self.up.iter().zip(&self.down).zip(&self.shifts);
        let connections = connections.map(|((up, down), &shift)| Tiled { up, down, shift });
        let biases: Vec<&[W::Field]> =
            self.biases.iter().zip(self.shape.widths()).map(|(bias, width)| &bias[..width]).collect();
        Dbm::new(connections, &biases, self.scale)
    }
}

/// A dense connection over tiles in both orientations. Its fields differ from the core's by rounding only.
#[derive(Clone, Copy, Debug)]
pub struct Tiled<'w, W> {
    up: &'w Tiles<W>,
    down: &'w Tiles<W>,
    shift: u32,
}

impl<W: TileWeight> Tiled<'_, W> {
    fn flip(&self, tiles: &Tiles<W>, unit: usize, on: bool, fields: &mut [W::Field]) {
        if unit >= tiles.rows() {
            return;
        }
        for (fields, tile) in fields.chunks_mut(TILE).zip(tiles.tiles()) {
            bitboltz_core::kernels::add_row::<W>(fields, &tile[unit], self.shift, on);
        }
    }
}

impl<W: TileWeight> Connection for Tiled<'_, W> {
    type Field = W::Field;

    fn lower(&self) -> usize {
        self.up.rows()
    }

    fn upper(&self) -> usize {
        self.up.columns()
    }

    fn weight(&self, lower: usize, upper: usize) -> W::Field {
        self.up.get(lower, upper).widen(self.shift)
    }

    fn move_upper(&self, lower: &Flips, upper_fields: &mut [W::Field]) {
        lower.ascending().for_each(|(unit, on)| self.flip(self.up, unit, on, upper_fields));
    }

    fn move_lower(&self, upper: &Flips, lower_fields: &mut [W::Field]) {
        upper.ascending().for_each(|(unit, on)| self.flip(self.down, unit, on, lower_fields));
    }

    /// None: the weights are a model's, which was checked when it was made.
    fn bounds(&self) -> (u64, u64) {
        (0, 0)
    }

    /// As for [`bounds`](Self::bounds).
    fn is_finite(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use bitboltz_core::{rng::stream, state::Clamp};

    use super::*;
    use crate::{batch::testing::parameters, chain::ChainBuffer};

    #[test]
    fn tiles_hold_the_matrix_and_give_the_fields_of_the_core() {
        for widths in [&[37, 21, 18][..], &[64, 128], &[65, 1, 100, 3]] {
            let parameters = parameters(widths, 1);
            let weights = ChainWeights::new(&parameters.dbm().unwrap());
            let (ours, core) = (weights.dbm().unwrap(), parameters.dbm().unwrap());
            for (a, b) in ours.connections().iter().zip(core.connections()) {
                for (i, j) in (0..b.lower()).flat_map(|i| (0..b.upper()).map(move |j| (i, j))) {
                    assert_eq!((a.weight(i, j), a.down.get(j, i)), (b.weight(i, j), b.weight(i, j)));
                }
            }
            let mut buffers = [ChainBuffer::new(ours.shape()), ChainBuffer::new(ours.shape())];
            let [a, b] = &mut buffers;
            let (mut a, mut b) = (a.state(ours.shape()), b.state(ours.shape()));
            ours.randomise(&mut a, &Clamp::none(), &mut stream(1, 0));
            core.randomise(&mut b, &Clamp::none(), &mut stream(1, 0));
            for (layer, index) in [(0, 0), (0, 1), (1, 0)] {
                ours.set_word(&mut a, layer, index, 0x5A5A_1234);
                core.set_word(&mut b, layer, index, 0x5A5A_1234);
            }
            assert_eq!(a.words(), b.words());
            for (x, y) in a.fields().iter().zip(b.fields()) {
                assert!((x - y).abs() < 1e-4, "{x} {y}");
            }
        }
    }
}
