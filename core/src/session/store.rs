//! Where the image lies, and how it is written: the weights region of a device.

/// The weights region: memory that is read in place, and on most devices erased and written.
///
/// [`Server`](super::Server) keeps one or two images in it ([`slots`](super::slots)). Its rules are those of NOR flash, the
/// strictest memory that is read in place: a page is erased whole, to 0xFF, and between two erasures each unit of
/// [`Granularity::write`] bytes is written once. Flash with an error-correcting code must not fail where it reads a unit that
/// was cut short by a power failure.
pub trait Store {
    /// The whole region, at an address that is a multiple of 4.
    fn region(&self) -> &[u8];

    /// How the region is erased and written; `None` if it is not.
    fn granularity(&self) -> Option<Granularity>;

    /// Erases the page that begins at `offset`. Returns when it is done and the region can be read again.
    ///
    /// # Errors
    /// [`StoreError`], if the memory says so. What it did not say is found by reading.
    fn erase(&mut self, offset: usize) -> Result<(), StoreError>;

    /// Writes whole units to erased memory. Returns when it is done and the region can be read again.
    ///
    /// # Errors
    /// As [`erase`](Self::erase).
    fn write(&mut self, offset: usize, bytes: &[u8]) -> Result<(), StoreError>;
}

impl<S: Store> Store for &mut S {
    fn region(&self) -> &[u8] {
        (**self).region()
    }

    fn granularity(&self) -> Option<Granularity> {
        (**self).granularity()
    }

    fn erase(&mut self, offset: usize) -> Result<(), StoreError> {
        (**self).erase(offset)
    }

    fn write(&mut self, offset: usize, bytes: &[u8]) -> Result<(), StoreError> {
        (**self).write(offset, bytes)
    }
}

/// How memory is erased and written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Granularity {
    /// Bytes that are erased together: a power of two, at least 16.
    pub erase: usize,
    /// Bytes that are written together: a power of two, at most 16.
    pub write: usize,
}

/// The memory did not do what it was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct StoreError;

impl core::fmt::Display for StoreError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the memory could not be erased or written")
    }
}

impl core::error::Error for StoreError {}

/// Weights that stay as they are.
#[derive(Clone, Copy, Debug)]
pub struct NoStore<'a>(pub &'a [u8]);

impl Store for NoStore<'_> {
    fn region(&self) -> &[u8] {
        self.0
    }

    fn granularity(&self) -> Option<Granularity> {
        None
    }

    fn erase(&mut self, _offset: usize) -> Result<(), StoreError> {
        Err(StoreError)
    }

    fn write(&mut self, _offset: usize, _bytes: &[u8]) -> Result<(), StoreError> {
        Err(StoreError)
    }
}

/// Weights in RAM: new ones are lost at a reset.
#[derive(Debug)]
pub struct RamStore<'a>(pub &'a mut [u32]);

impl RamStore<'_> {
    /// Pages only so that there are slots: an erasure costs nothing.
    pub const GRANULARITY: Granularity = Granularity { erase: 256, write: 4 };

    fn part(&mut self, offset: usize, bytes: usize) -> Result<&mut [u8], StoreError> {
        let region: &mut [u8] = bytemuck::cast_slice_mut(self.0);
        offset.checked_add(bytes).and_then(|end| region.get_mut(offset..end)).ok_or(StoreError)
    }
}

impl Store for RamStore<'_> {
    fn region(&self) -> &[u8] {
        bytemuck::cast_slice(self.0)
    }

    fn granularity(&self) -> Option<Granularity> {
        Some(Self::GRANULARITY)
    }

    fn erase(&mut self, offset: usize) -> Result<(), StoreError> {
        self.part(offset, Self::GRANULARITY.erase)?.fill(0xFF);
        Ok(())
    }

    fn write(&mut self, offset: usize, bytes: &[u8]) -> Result<(), StoreError> {
        self.part(offset, bytes.len())?.copy_from_slice(bytes);
        Ok(())
    }
}
