//! Chains that show many states: they are recorded a wave at a time, and their records folded into the sums.

use super::Totals;
use crate::{
    estimator::PhaseReport,
    train::statistics::{ChainRecord, Moments},
};

/// Chains that are recorded before they are folded into the sums. It bounds memory, since the record of a chain grows
/// with its meeting time, and does not depend on the number of threads, so neither do the sums.
pub(super) const WAVE: usize = 64;

/// The result of one chain, kept while its wave runs.
#[derive(Clone, Debug, Default)]
pub(super) struct Slot {
    /// What it showed; thrown away without a report.
    pub(super) record: ChainRecord,
    /// What it took; `None` if a cap was hit.
    pub(super) report: Option<PhaseReport>,
    /// Visible bits that differ from their mode, if they were looked at.
    pub(super) wrong: Option<u32>,
}

impl Slot {
    /// Forgets everything: a new chain begins.
    pub(super) fn clear(&mut self) {
        self.record.clear();
        (self.report, self.wrong) = (None, None);
    }
}

/// The results of a wave. Buffers are kept from one to the next.
#[derive(Debug, Default)]
pub(super) struct Wave {
    slots: Vec<Slot>,
    count: usize,
    records: Vec<ChainRecord>,
}

impl Wave {
    /// Slots for a wave of so many chains. They hold what they held before.
    pub(super) fn slots(&mut self, count: usize) -> &mut [Slot] {
        self.slots.resize_with(count.max(self.slots.len()), Slot::default);
        self.count = count;
        &mut self.slots[..count]
    }

    /// Adds what the chains showed, in their order.
    pub(super) fn fold(&mut self, moments: &mut Moments, total: &mut Totals) {
        let slots = &mut self.slots[..self.count];
        // Records of one piece for the sums; the vectors change hands, nothing is copied.
        self.records.clear();
        for slot in slots.iter_mut() {
            total.add(slot.report, slot.wrong);
            if slot.report.is_none() {
                slot.record.clear();
            }
            self.records.push(std::mem::take(&mut slot.record));
        }
        moments.add(&self.records);
        for (slot, record) in slots.iter_mut().zip(self.records.drain(..)) {
            slot.record = record;
        }
    }
}
