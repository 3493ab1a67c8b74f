//! New weights, chunk by chunk, into memory that holds the old ones.

use super::{
    frame::message_room,
    message::{CHUNK_NUMBERS, Refusal, Response, UpdateError},
    slots::{self, RECORD_BYTES, Record, Slots},
    store::{Granularity, Store, StoreError},
    workspace::workspace_words,
};
use crate::image::{Image, ImageError};

/// Most bytes of a chunk, however much room there is: longer ones gain nothing and cost more when they are sent again.
const LONGEST_CHUNK: usize = 1024;
/// Largest unit of writing.
const LARGEST_WRITE: usize = 16;

/// An update on its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Update {
    length: usize,
    crc: u32,
    /// First byte of the new image in the region.
    start: usize,
    /// Which slot it goes to; `None` for the whole region.
    slot: Option<usize>,
    /// Number of the record that will make it the current one.
    number: u32,
    /// Bytes written.
    written: usize,
}

fn u32_of(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Bytes of a chunk for a device that receives frames of up to `frame` bytes.
fn chunk_bytes(frame: usize) -> usize {
    let room = message_room(frame).saturating_sub(CHUNK_NUMBERS);
    (if room < LONGEST_CHUNK { room } else { LONGEST_CHUNK }) / LARGEST_WRITE * LARGEST_WRITE
}

impl Update {
    /// Begins an update to an image of this length and CRC, in the slot that is not in use. Where the old image is in its
    /// way, the old image is gone afterwards.
    pub(super) fn begin<S: Store>(store: &mut S, length: u32, crc: u32) -> Result<Self, UpdateError> {
        let granularity = store.granularity().ok_or(UpdateError::NotWritable)?;
        let slots = Slots::new(store.region().len(), Some(granularity));
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > slots.region {
            return Err(UpdateError::TooLong { room: u32_of(slots.region) });
        }
        let (number, in_use) = match slots::current(store.region(), Some(granularity)) {
            Ok(current) => (current.number, Some(current.slot)),
            Err(_) => (0, None),
        };
        let slot = match in_use {
            _ if length > slots.room() => None,
            // No image: nothing to spare.
            None => Some(0),
            Some(Some(slot)) => Some(1 - slot),
            // The old image is in both.
            Some(None) => None,
        };
        // Numbers that have run out begin again, in a region without any.
        let (slot, number) = number.checked_add(1).map_or((None, 1), |number| (slot, number));
        let invalidate = |store: &mut S, slot: usize| {
            for page in [slots.record(slot).start, slots.image(slot).start].map(|at| at / granularity.erase) {
                let at = page * granularity.erase;
                erase(store, at, granularity)?;
            }
            Ok(())
        };
        match slot {
            // The record first: without it the rest counts for nothing.
            Some(slot) => invalidate(store, slot)?,
            None if slots.room() > 0 => {
                // The older one first, lest it come back when the power goes in between.
                let newer = in_use.flatten().unwrap_or(0);
                invalidate(store, 1 - newer)?;
                invalidate(store, newer)?;
            }
            None => erase(store, 0, granularity)?,
        }
        let start = slot.map_or(0, |slot| slots.image(slot).start);
        Ok(Self { length, crc, start, slot, number, written: 0 })
    }

    /// Makes sure that a refused image is not taken for one that a programmer wrote.
    pub(super) fn discard<S: Store>(&self, store: &mut S) {
        if let Some(granularity) = store.granularity() {
            // Memory that can no longer be erased holds no image that can be trusted either way.
            let _ = erase(store, self.start, granularity);
        }
    }

    /// Whether this is the update to that image.
    pub(super) fn is_to(&self, length: u32, crc: u32) -> bool {
        self.length == usize::try_from(length).unwrap_or(usize::MAX) && self.crc == crc
    }

    /// The answer to the request to begin, for a device that receives frames of up to `frame` bytes.
    pub(super) fn ready(&self, frame: usize) -> Response<'static> {
        Response::Ready { chunk: u32_of(chunk_bytes(frame)), offset: u32_of(self.written) }
    }

    /// Writes a chunk that begins where the last one ended: as much of it as there is of whole units. Any other chunk was
    /// written before, or comes too early, and changes nothing.
    pub(super) fn chunk<S: Store>(
        &mut self,
        store: &mut S,
        offset: u32,
        bytes: &[u8],
    ) -> Result<Response<'static>, UpdateError> {
        let granularity = store.granularity().ok_or(UpdateError::NotWritable)?;
        if usize::try_from(offset) == Ok(self.written) {
            self.append(store, granularity, bytes)?;
        }
        Ok(Response::Stored { offset: u32_of(self.written) })
    }

    fn append<S: Store>(&mut self, store: &mut S, granularity: Granularity, bytes: &[u8]) -> Result<(), UpdateError> {
        let bytes = &bytes[..bytes.len().min(self.length - self.written)];
        let last = self.written + bytes.len() == self.length;
        let (whole, rest) = bytes.split_at(bytes.len() / granularity.write * granularity.write);
        let begin = self.start + self.written;
        let end = begin + whole.len() + if last { rest.len() } else { 0 };
        // Pages that begin here. The first one was erased when the update began.
        let mut page = begin.next_multiple_of(granularity.erase).max(self.start + granularity.erase);
        while page < end {
            erase(store, page, granularity)?;
            page += granularity.erase;
        }
        if !whole.is_empty() {
            write(store, begin, whole)?;
        }
        if last && !rest.is_empty() {
            let mut unit = [0xFF; LARGEST_WRITE];
            unit[..rest.len()].copy_from_slice(rest);
            write(store, begin + whole.len(), &unit[..granularity.write])?;
        }
        self.written += end - begin;
        Ok(())
    }

    /// Checks the whole image, for a device with an arena of so many words, and makes it the current one.
    pub(super) fn commit<S: Store>(&self, store: &mut S, arena: usize) -> Result<(), UpdateError> {
        if self.written < self.length {
            return Err(UpdateError::Incomplete { expected: u32_of(self.length), found: u32_of(self.written) });
        }
        let bytes = store.region().get(self.start..self.start + self.length).unwrap_or_default();
        let refused = |refusal| UpdateError::Refused(refusal);
        let image = Image::open(bytes).map_err(|error| refused(Refusal::Image(error)))?;
        if (image.crc(), image.bytes().len()) != (self.crc, self.length) {
            return Err(refused(Refusal::Image(ImageError::Crc { expected: self.crc, found: image.crc() })));
        }
        fits(&image, arena).map_err(refused)?;
        if let Some(slot) = self.slot {
            let slots = Slots::new(store.region().len(), store.granularity());
            write(store, slots.record(slot).start, &Record { number: self.number, crc: self.crc }.to_bytes())?;
        }
        Ok(())
    }
}

/// Whether a device with an arena of so many words can run an image.
pub(super) fn fits(image: &Image<'_>, arena: usize) -> Result<(), Refusal> {
    let needed = workspace_words(image.shape());
    let bytes = |words: usize| u32_of(words.saturating_mul(4));
    if needed <= arena { Ok(()) } else { Err(Refusal::Room { needed: bytes(needed), found: bytes(arena) }) }
}

fn erase<S: Store>(store: &mut S, offset: usize, granularity: Granularity) -> Result<(), UpdateError> {
    let failed = |_: StoreError| UpdateError::Store { offset: u32_of(offset) };
    store.erase(offset).map_err(failed)?;
    let page = store.region().get(offset..offset + granularity.erase).unwrap_or_default();
    match page.iter().position(|&byte| byte != 0xFF) {
        None => Ok(()),
        Some(at) => Err(UpdateError::Store { offset: u32_of(offset + at) }),
    }
}

fn write<S: Store>(store: &mut S, offset: usize, bytes: &[u8]) -> Result<(), UpdateError> {
    let failed = |_: StoreError| UpdateError::Store { offset: u32_of(offset) };
    store.write(offset, bytes).map_err(failed)?;
    let read = store.region().get(offset..offset + bytes.len()).unwrap_or_default();
    if read == bytes { Ok(()) } else { Err(UpdateError::Store { offset: u32_of(offset) }) }
}

const _: () = assert!(RECORD_BYTES == LARGEST_WRITE);
