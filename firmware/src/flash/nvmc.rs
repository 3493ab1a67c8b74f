//! The flash of Nordic's nRF51 and nRF52, written through its controller (nRF51 Series Reference Manual, section 6; nRF52840
//! Product Specification, NVMC): the registers are the same, the pages are not. The processor stands still while the flash is at
//! work.

use super::{POLLS, words};
use crate::{
    WEIGHTS_PAGE,
    mmio::{Register, WeightsFlash},
};
use bitboltz_core::session::store::{Granularity, Store, StoreError};

const READY: Register = Register::at(0x4001_E400);
const CONFIG: Register = Register::at(0x4001_E504);
const ERASE_PAGE: Register = Register::at(0x4001_E508);

/// What may be done to the flash.
const READ_ONLY: u32 = 0;
const WRITE: u32 = 1;
const ERASE: u32 = 2;

/// The weights region, in the flash beside the program.
pub struct Flash(WeightsFlash);

impl Flash {
    /// A page, and a word.
    pub const GRANULARITY: Granularity = Granularity { erase: WEIGHTS_PAGE, write: 4 };

    /// The region: to be had once, and empty after that.
    #[must_use]
    pub fn take() -> Self {
        Self(WeightsFlash::take())
    }

    /// Lets `work` erase or write, then protects the flash again.
    fn allowed(
        &mut self,
        what: u32,
        work: impl FnOnce(&mut WeightsFlash) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        CONFIG.write(what);
        let done = work(&mut self.0);
        CONFIG.write(READ_ONLY);
        done
    }
}

/// Waits until the flash is done.
fn finish() -> Result<(), StoreError> {
    (0..POLLS).find(|_| READY.read() & 1 == 1).map(drop).ok_or(StoreError)
}

impl Store for Flash {
    fn region(&self) -> &[u8] {
        self.0.bytes()
    }

    fn granularity(&self) -> Option<Granularity> {
        Some(Self::GRANULARITY)
    }

    fn erase(&mut self, offset: usize) -> Result<(), StoreError> {
        self.allowed(ERASE, |region| {
            region.erase(offset, ERASE_PAGE)?;
            finish()
        })
    }

    fn write(&mut self, offset: usize, bytes: &[u8]) -> Result<(), StoreError> {
        self.allowed(WRITE, |region| {
            words(offset, bytes).try_for_each(|(offset, word)| {
                region.write(offset, word)?;
                finish()
            })
        })
    }
}
