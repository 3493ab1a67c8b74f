//! Two images in one weights region, so that one is whole whenever the power goes. `FORMAT.md` specifies the bytes.
//!
//! The region is halved into two slots. A slot's image begins at its start, and its last 16 bytes are a record, written when
//! the image was found whole: the record's number says which slot is the newer. An image at the region's start without a
//! record is what a programmer wrote there; it counts as number 0.

use core::ops::Range;

use super::store::Granularity;
use crate::image::{CRC32, Image, ImageError};

/// Bytes of a record.
pub const RECORD_BYTES: usize = 16;
/// First word of a record: "BZR1".
const RECORD_MAGIC: u32 = u32::from_le_bytes(*b"BZR1");

/// What is written behind an image to make it the current one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// One more than that of the image that it replaced; at least 1.
    pub(super) number: u32,
    /// CRC-32 of the image in the same slot.
    pub(super) crc: u32,
}

impl Record {
    pub(super) fn to_bytes(self) -> [u8; RECORD_BYTES] {
        let mut bytes = [0; RECORD_BYTES];
        let (body, crc) = bytes.split_at_mut(RECORD_BYTES - 4);
        for (to, word) in body.chunks_exact_mut(4).zip([RECORD_MAGIC, self.number, self.crc]) {
            to.copy_from_slice(&word.to_le_bytes());
        }
        crc.copy_from_slice(&CRC32.checksum(body).to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let word = |at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
        let record = Self { number: word(4)?, crc: word(8)? };
        (record.to_bytes() == *bytes && record.number > 0).then_some(record)
    }
}

/// Where the slots of a region lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slots {
    /// Bytes of a slot, its record included; 0 if the region has no room for two.
    slot: usize,
    /// Bytes of the region, whole pages only.
    pub(super) region: usize,
}

impl Slots {
    /// Of a region of `bytes` bytes. One that is never erased is one slot.
    pub(super) fn new(bytes: usize, granularity: Option<Granularity>) -> Self {
        match granularity {
            None => Self { slot: 0, region: bytes },
            Some(Granularity { erase, .. }) => Self { slot: bytes / 2 / erase * erase, region: bytes / erase * erase },
        }
    }

    /// Longest image of a slot.
    pub(super) fn room(&self) -> usize {
        self.slot.saturating_sub(RECORD_BYTES)
    }

    /// Where a slot's image may lie.
    pub(super) fn image(&self, slot: usize) -> Range<usize> {
        slot * self.slot..slot * self.slot + self.room()
    }

    /// Where a slot's record lies.
    pub(super) fn record(&self, slot: usize) -> Range<usize> {
        self.image(slot).end..(slot + 1) * self.slot
    }
}

/// The image that counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Current<'a> {
    pub(super) image: Image<'a>,
    pub(super) number: u32,
    /// Its slot; `None` for an image that is longer than a slot, and so takes the whole region.
    pub(super) slot: Option<usize>,
}

/// The newest whole image of a region.
///
/// # Errors
/// Without one, why: what is wrong with the image of the newest record, or without a record with the one at the start.
pub(super) fn current(region: &[u8], granularity: Option<Granularity>) -> Result<Current<'_>, ImageError> {
    let slots = Slots::new(region.len(), granularity);
    if slots.room() == 0 {
        return Image::open(region).map(|image| Current { image, number: 0, slot: None });
    }
    let record = |slot| Record::from_bytes(region.get(slots.record(slot)).unwrap_or_default());

    // The first slot may hold an image longer than itself, or without a record.
    let first = Image::open(region).map(|image| {
        let fits = image.bytes().len() <= slots.room();
        let number = record(0).filter(|record| fits && record.crc == image.crc()).map_or(0, |record| record.number);
        Current { image, number, slot: fits.then_some(0) }
    });
    // What lies within an image is its weights, whatever it looks like.
    if first.is_ok_and(|first| first.slot.is_none()) {
        return first;
    }
    let Some(Record { number, crc }) = record(1) else { return first };
    let second = Image::open(region.get(slots.image(1)).unwrap_or_default()).and_then(|image| match image.crc() {
        found if found != crc => Err(ImageError::Crc { expected: crc, found }),
        _ => Ok(Current { image, number, slot: Some(1) }),
    });
    match (first, second) {
        (Ok(first), Ok(_)) if first.number > number => Ok(first),
        (_, Ok(second)) => Ok(second),
        (Ok(first), Err(_)) => Ok(first),
        (Err(first), Err(second)) => Err(if record(0).is_some_and(|r| r.number > number) { first } else { second }),
    }
}

/// The image that a device runs: the newest whole one of its weights region, which is erased and written as its
/// [`Store`](super::store::Store) says.
///
/// # Errors
/// Why there is none: what is wrong with the newest, or with what lies at the region's start.
pub fn open(region: &[u8], granularity: Option<Granularity>) -> Result<Image<'_>, ImageError> {
    current(region, granularity).map(|current| current.image)
}
