//! Simulated NOR flash that loses its power.

use bitboltz_core::session::store::{Granularity, Store, StoreError};

/// NOR flash: writing only clears bits, an erasure sets those of a page. After `power` more bytes written or erased nothing
/// happens any more, and all fail.
#[derive(Clone, Debug)]
pub struct Flash {
    words: Vec<u32>,
    granularity: Granularity,
    /// Bytes until the power goes.
    pub power: usize,
    /// Bytes written or erased so far.
    pub used: usize,
}

impl Flash {
    /// Erased flash with power without end.
    pub fn new(bytes: usize, granularity: Granularity) -> Self {
        Self { words: vec![u32::MAX; bytes / 4], granularity, power: usize::MAX, used: 0 }
    }

    /// What a programmer does: the image at the start, everything else erased.
    pub fn program(&mut self, image: &[u8]) {
        self.words.fill(u32::MAX);
        self.bytes()[..image.len()].copy_from_slice(image);
    }

    /// The bytes, to be damaged.
    pub fn bytes(&mut self) -> &mut [u8] {
        bytemuck::cast_slice_mut(&mut self.words)
    }

    fn byte(&mut self, at: usize, change: impl Fn(u8) -> u8) -> Result<(), StoreError> {
        if self.used == self.power {
            return Err(StoreError);
        }
        self.used += 1;
        let byte = self.bytes().get_mut(at).ok_or(StoreError)?;
        *byte = change(*byte);
        Ok(())
    }
}

impl Store for Flash {
    fn region(&self) -> &[u8] {
        bytemuck::cast_slice(&self.words)
    }

    fn granularity(&self) -> Option<Granularity> {
        Some(self.granularity)
    }

    /// # Panics
    /// If that is no page.
    fn erase(&mut self, offset: usize) -> Result<(), StoreError> {
        assert!(offset.is_multiple_of(self.granularity.erase));
        (offset..offset + self.granularity.erase).try_for_each(|at| self.byte(at, |_| 0xFF))
    }

    /// # Panics
    /// If these are no whole units, or were written since their last erasure.
    fn write(&mut self, offset: usize, bytes: &[u8]) -> Result<(), StoreError> {
        let unit = self.granularity.write;
        assert!(offset.is_multiple_of(unit) && bytes.len().is_multiple_of(unit) && !bytes.is_empty());
        let before = &self.region()[offset..offset + bytes.len()];
        assert!(before.iter().all(|&byte| byte == 0xFF), "written twice at {offset}");
        bytes.iter().enumerate().try_for_each(|(i, &new)| self.byte(offset + i, |old| old & new))
    }
}
