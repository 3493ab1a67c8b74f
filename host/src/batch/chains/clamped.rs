//! What clamped units contribute, summed once, and the fields of layers that are clamped whole.

use bitboltz_core::bits::{count_ones, word_mask};

use super::{Chains, Clamping, LayerFields, neighbours};
use crate::batch::{tile::TileWeight, weights::ChainWeights};

impl<W: TileWeight> Chains<W> {
    /// Finds out what is clamped, and sums what it contributes.
    pub(super) fn clamp(&mut self, weights: &ChainWeights<W>) {
        let (shape, words) = (self.shape, self.shape.words());
        let mut touched = vec![false; shape.layers()];
        for layer in 0..shape.layers() {
            let full = |mask: &[u32]| {
                shape
                    .word_range(layer)
                    .enumerate()
                    .all(|(index, at)| !mask[at] & word_mask(shape.width(layer), index) == 0)
            };
            self.frozen[layer] = self.masks.chunks_exact(words).all(full);
            touched[layer] = self.masks.chunks_exact(words).any(|mask| count_ones(&mask[shape.word_range(layer)]) > 0);
        }
        for target in 0..shape.layers() {
            let sources = neighbours(&shape, target).filter(|&source| touched[source]);
            let based = sources.clone().next().is_some() && !self.frozen[target];
            self.based[target] = based;
            if !based {
                continue;
            }
            let mut base = std::mem::take(&mut self.layers[target].base);
            let stride = self.layers[target].stride;
            base.resize(self.count * stride);
            base.chunks_exact_mut(stride).for_each(|base| base.copy_from_slice(weights.bias(target)));
            for source in sources {
                self.lists.clear();
                let range = shape.word_range(source);
                self.subtract.clear();
                self.subtract.resize(range.len(), 0);
                for chain in 0..self.count {
                    let mask = &self.masks[if self.each { chain * words } else { 0 }..][..words];
                    let bits = &self.words[chain * words..][..words];
                    self.add.clear();
                    self.add.extend(range.clone().map(|at| bits[at] & mask[at]));
                    self.lists.push(chain, &self.add, &self.subtract);
                }
                let (matrix, shift) = weights.between(source, target);
                self.work.add_rows::<W>(self.lists.listed(), stride);
                self.lists.apply(matrix, shift, &mut self.table, &mut base, stride);
            }
            self.layers[target].base = base;
        }
    }

    /// Clamps other units from here on, at the values that they have. Bits and streams stay as they are.
    ///
    /// # Panics
    /// If masks has too few words.
    pub fn set_clamping(&mut self, weights: &ChainWeights<W>, clamping: Clamping<'_>) {
        let frozen = self.frozen.clone();
        self.set_masks(clamping);
        self.clamp(weights);
        // Fields are the same whatever is clamped, but layers that were clamped whole had none.
        for layer in (0..frozen.len()).filter(|&layer| frozen[layer] && !self.frozen[layer]) {
            self.valid.iter_mut().for_each(|valid| valid[layer % 2] = false);
        }
    }

    /// Brings the fields of one layer of these chains up to its neighbours' bits, also if it is clamped whole. For others
    /// the whole block must have been looked at before.
    pub fn look_at_layer(&mut self, weights: &ChainWeights<W>, layer: usize, active: &[u32]) {
        if !self.frozen[layer] {
            return;
        }
        let (shape, words) = (self.shape, self.shape.words());
        let LayerFields { stride, fields, .. } = &mut self.layers[layer];
        for &chain in active {
            fields[chain as usize * *stride..][..*stride].copy_from_slice(weights.bias(layer));
        }
        for source in neighbours(&shape, layer) {
            self.lists.clear();
            self.subtract.clear();
            self.subtract.resize(shape.layer_words(source), 0);
            for &chain in active {
                let bits = &self.words[chain as usize * words..][shape.word_range(source)];
                self.lists.push(chain as usize, bits, &self.subtract);
            }
            let (matrix, shift) = weights.between(source, layer);
            self.work.add_rows::<W>(self.lists.listed(), *stride);
            self.lists.apply(matrix, shift, &mut self.table, fields, *stride);
        }
    }
}
