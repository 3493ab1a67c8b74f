//! NOR flash with Intel's command set (JEDEC JEP137, set 0001; the commands are those of Intel's StrataFlash J3 data sheet), as
//! QEMU's `virt` has it: two chips of 16 bits beside each other, so that each half of a word is a chip's and each command goes to
//! both.
//!
//! From its first command on the flash shows its status wherever it is read, until it is told to show its contents again. Each
//! function here ends with that, whatever came of the rest: between them the region is weights.

use super::{POLLS, words};
use crate::{WEIGHTS_PAGE, mmio::WeightsFlash};
use bitboltz_core::session::store::{Granularity, Store, StoreError};

/// All ones: a chip that was still to be given a word to write would write nothing.
const READ_ARRAY: u32 = both(0xFFFF);
const READ_STATUS: u32 = both(0x70);
const CLEAR_STATUS: u32 = both(0x50);
const PROGRAM: u32 = both(0x40);
const ERASE: u32 = both(0x20);
const CONFIRM: u32 = both(0xD0);
/// Status: neither chip is at work.
const READY: u32 = both(1 << 7);
/// Status: an erasure or a write failed, the voltage was too low, or the block is locked.
const FAILED: u32 = both(1 << 5 | 1 << 4 | 1 << 3 | 1 << 1);

const fn both(chip: u32) -> u32 {
    chip << 16 | chip
}

/// The weights region, in such a flash from its start on.
pub struct Flash(WeightsFlash);

impl Flash {
    /// A block of each chip, and a word of both.
    pub const GRANULARITY: Granularity = Granularity { erase: WEIGHTS_PAGE, write: 4 };

    /// The region: to be had once, and empty after that.
    #[must_use]
    pub fn take() -> Self {
        let mut region = WeightsFlash::take();
        // A region without words has no chips.
        let _ = recover(&mut region);
        Self(region)
    }

    /// Lets `work` give commands, then shows the contents again.
    fn command(&mut self, work: impl FnOnce(&mut WeightsFlash) -> Result<(), StoreError>) -> Result<(), StoreError> {
        // Errors of before stay in the status until they are cleared.
        self.0.write(0, CLEAR_STATUS)?;
        let done = work(&mut self.0);
        self.0.write(0, READ_ARRAY)?;
        done
    }
}

/// Shows the contents, whatever a reset in the middle of an update has left the chips at: their status, work that goes on, or a
/// command that waits for its second half. A word of ones writes nothing, and is no confirmation.
fn recover(region: &mut WeightsFlash) -> Result<(), StoreError> {
    region.write(0, READ_ARRAY)?;
    region.write(0, READ_STATUS)?;
    // What had failed has failed before.
    let _ = finish(region);
    region.write(0, CLEAR_STATUS)?;
    region.write(0, READ_ARRAY)
}

/// Waits until both chips are done, and asks how it went.
fn finish(region: &WeightsFlash) -> Result<(), StoreError> {
    for _ in 0..POLLS {
        let status = region.read(0)?;
        if status & READY == READY {
            return if status & FAILED == 0 { Ok(()) } else { Err(StoreError) };
        }
    }
    Err(StoreError)
}

impl Store for Flash {
    fn region(&self) -> &[u8] {
        self.0.bytes()
    }

    fn granularity(&self) -> Option<Granularity> {
        Some(Self::GRANULARITY)
    }

    fn erase(&mut self, offset: usize) -> Result<(), StoreError> {
        self.command(|region| {
            region.write(offset, ERASE)?;
            region.write(offset, CONFIRM)?;
            finish(region)
        })
    }

    fn write(&mut self, offset: usize, bytes: &[u8]) -> Result<(), StoreError> {
        self.command(|region| {
            words(offset, bytes).try_for_each(|(offset, word)| {
                region.write(offset, PROGRAM)?;
                region.write(offset, word)?;
                finish(region)
            })
        })
    }
}
