//! What two chains of a coupled pair take from each other.

use super::Chains;
use crate::batch::tile::TileWeight;

impl<W: TileWeight> Chains<W> {
    /// Makes a chain a copy of another one, whose clamped units are the same: bits, fields and stream.
    ///
    /// # Panics
    /// If there is no such chain.
    pub fn copy_chain(&mut self, from: usize, to: usize) {
        let words = self.shape.words();
        for all in [&mut self.words, &mut self.seen] {
            all.copy_within(from * words..(from + 1) * words, to * words);
        }
        for layer in &mut self.layers {
            layer.fields.copy_within(from * layer.stride..(from + 1) * layer.stride, to * layer.stride);
        }
        self.valid[to] = self.valid[from];
        self.copy_stream(from, to);
    }

    /// Makes a chain draw next what another one draws next.
    ///
    /// # Panics
    /// If there is no such chain.
    pub fn copy_stream(&mut self, from: usize, to: usize) {
        self.streams[to] = self.streams[from];
    }
}
