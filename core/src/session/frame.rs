//! Frames: message, CRC-32 (little-endian), byte-stuffed by COBS (Cheshire, Baker 1999), ended by a zero.
//!
//! Zero occurs only at the end of a frame, so after any damage the next zero brings both sides back into step.
//!
//! A frame is sent while it is encoded, a block of stuffing at a time ([`encode`]), so that nobody needs room for a whole
//! one; it is received whole ([`Receiver`]), since nothing in it counts before its CRC was found right.

use postcard::ser_flavors::Flavor;
use serde::{Deserialize, Serialize};

use crate::image::{CRC32, Lookup};

/// Bytes of the buffer that [`encode`] fills and sends: a code, the 254 bytes that it stands for at most, and the zero.
pub const BLOCK_BYTES: usize = 256;
/// Bytes that one code of the stuffing stands for at most.
const LONGEST_RUN: usize = 254;

/// Why the bytes up to a zero are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum FrameError {
    /// More bytes than the receiver holds.
    TooLong,
    /// The byte stuffing or the CRC is wrong.
    Damaged,
}

/// Bytes of the frame of a message of `bytes` bytes, its zero included, whatever they are.
pub const fn frame_bytes(bytes: usize) -> usize {
    let raw = bytes + 4;
    // One byte of stuffing for each 254 begun, and the zero.
    raw + raw / LONGEST_RUN + 2
}

/// Bytes of the longest message whose frame has no more than `bytes` bytes, its zero not counted, whatever the message.
pub const fn message_room(bytes: usize) -> usize {
    let mut raw = bytes.saturating_sub(1);
    while raw > 0 && raw + raw / LONGEST_RUN + 1 > bytes {
        raw -= 1;
    }
    raw.saturating_sub(4)
}

/// Encodes a message and hands its frame to `send`, zero included, in pieces of at most [`BLOCK_BYTES`].
///
/// `message` is a type whose fields are of fixed number, as all of [`message`](super::message) are. What postcard cannot
/// encode (sequences of unknown length) breaks off without a zero.
pub fn encode<T: Serialize>(message: &T, block: &mut [u8; BLOCK_BYTES], send: &mut dyn FnMut(&[u8])) {
    let sender = Sender { crc: CRC32.digest(), stuffing: Stuffing { block, run: 0, full: false, send } };
    let _ = postcard::serialize_with_flavor(message, sender);
}

/// Takes the bytes of a message, sends their frame.
struct Sender<'b> {
    crc: crc::Digest<'static, u32, Lookup>,
    stuffing: Stuffing<'b>,
}

impl Flavor for Sender<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.crc.update(&[byte]);
        self.stuffing.push(byte);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.crc.update(bytes);
        bytes.iter().for_each(|&byte| self.stuffing.push(byte));
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        let Self { crc, mut stuffing } = self;
        crc.finalize().to_le_bytes().into_iter().for_each(|byte| stuffing.push(byte));
        stuffing.end();
        Ok(())
    }
}

/// Consistent overhead byte stuffing of a stream: a code is known when the run after it has ended, which is at the next
/// zero and no later than after 254 bytes.
struct Stuffing<'b> {
    /// The code, then the run.
    block: &'b mut [u8; BLOCK_BYTES],
    /// Bytes of the run so far.
    run: usize,
    /// The run before this one ended by its length, not by a zero: if nothing follows, no code does.
    full: bool,
    send: &'b mut dyn FnMut(&[u8]),
}

impl Stuffing<'_> {
    fn push(&mut self, byte: u8) {
        self.full = false;
        if byte == 0 {
            self.flush(0);
            return;
        }
        self.block[1 + self.run] = byte;
        self.run += 1;
        if self.run == LONGEST_RUN {
            self.flush(0);
            self.full = true;
        }
    }

    fn end(mut self) {
        if self.full {
            (self.send)(&[0]);
        } else {
            self.block[1 + self.run] = 0;
            self.flush(1);
        }
    }

    /// Sends the code, its run, and as many bytes more.
    fn flush(&mut self, more: usize) {
        // At most 255.
        self.block[0] = self.run as u8 + 1;
        (self.send)(&self.block[..1 + self.run + more]);
        self.run = 0;
    }
}

/// Decodes what a frame held. `None` if that is anything but one whole `T`: bytes left over are an error too.
pub fn decode<'a, T: Deserialize<'a>>(message: &'a [u8]) -> Option<T> {
    match postcard::take_from_bytes(message) {
        Ok((value, [])) => Some(value),
        _ => None,
    }
}

/// How far a frame has arrived, in a buffer that is handed in with each byte.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Collector {
    used: usize,
    overflow: bool,
}

impl Collector {
    /// Takes one byte. At the zero that ends a frame, returns the length of its message, which then lies at the front of
    /// the buffer, or why it is none.
    pub(super) fn push(&mut self, buffer: &mut [u8], byte: u8) -> Option<Result<usize, FrameError>> {
        if byte != 0 {
            match buffer.get_mut(self.used) {
                Some(free) => {
                    *free = byte;
                    self.used += 1;
                }
                None => self.overflow = true,
            }
            return None;
        }
        let Self { used, overflow } = core::mem::take(self);
        if overflow {
            return Some(Err(FrameError::TooLong));
        }
        (used > 0).then(|| message_length(&mut buffer[..used]).ok_or(FrameError::Damaged))
    }
}

/// Collects bytes into frames.
#[derive(Debug)]
pub struct Receiver<'a> {
    buffer: &'a mut [u8],
    collector: Collector,
}

impl<'a> Receiver<'a> {
    /// A receiver of frames up to the buffer's length, the final zero not counted.
    pub fn new(buffer: &'a mut [u8]) -> Self {
        Self { buffer, collector: Collector::default() }
    }

    /// Longest frame in bytes, the final zero not counted.
    pub fn capacity(&self) -> usize {
        self.buffer.len()
    }

    /// Takes one byte. At the zero that ends a frame, returns its message, or why it is none. Empty frames are skipped,
    /// so a sender may begin with a zero to end whatever noise came before.
    pub fn push(&mut self, byte: u8) -> Option<Result<&[u8], FrameError>> {
        let length = self.collector.push(self.buffer, byte)?;
        Some(length.map(|length| &self.buffer[..length]))
    }

    /// The buffer between frames, as scratch space.
    pub fn scratch(&mut self) -> &mut [u8] {
        self.buffer
    }
}

/// Unstuffs a frame in place and returns the length of the message at its front, if it is whole.
fn message_length(stuffed: &mut [u8]) -> Option<usize> {
    let length = cobs::decode_in_place(stuffed).ok()?;
    let (message, crc) = stuffed.get(..length)?.split_last_chunk::<4>()?;
    (CRC32.checksum(message) == u32::from_le_bytes(*crc)).then_some(message.len())
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::vec::Vec;

    fn encoded<T: Serialize>(message: &T) -> Vec<u8> {
        let mut frame = Vec::new();
        encode(message, &mut [0xAA; BLOCK_BYTES], &mut |bytes| {
            assert!((1..=BLOCK_BYTES).contains(&bytes.len()));
            frame.extend_from_slice(bytes);
        });
        frame
    }

    #[test]
    fn exact_bytes_and_back() {
        let frame = encoded(&(7u8, 0u8));
        let crc = CRC32.checksum(&[7, 0]).to_le_bytes();
        assert!(!crc.contains(&0));
        assert_eq!(frame, [2, 7, 5, crc[0], crc[1], crc[2], crc[3], 0]);

        let mut buffer = [0; 7];
        let mut receiver = Receiver::new(&mut buffer);
        assert_eq!(receiver.push(0), None);
        for &byte in &frame[..frame.len() - 1] {
            assert_eq!(receiver.push(byte), None);
        }
        assert_eq!(receiver.push(0), Some(Ok(&[7, 0][..])));
    }

    #[test]
    fn damage_and_excess_are_reported_once_and_leave_the_receiver_in_step() {
        let frame = encoded(&(7u8, 0u8));
        let length = frame.len();
        let mut buffer = [0; 7];
        let mut receiver = Receiver::new(&mut buffer);
        let mut feed = |bytes: &[u8]| {
            let mut results = [None; 4];
            let mut n = 0;
            for &byte in bytes {
                if let Some(result) = receiver.push(byte) {
                    results[n] = Some(result.map(<[u8]>::len));
                    n += 1;
                }
            }
            results
        };
        for at in 0..length - 1 {
            for bit in 0..8 {
                let mut damaged = frame.clone();
                damaged[at] ^= 1 << bit;
                let results = feed(&damaged);
                let answered = results.iter().flatten().count();
                assert!(
                    answered >= 1 && results.iter().flatten().all(Result::is_err),
                    "byte {at} bit {bit}: {results:?}"
                );
                assert_eq!(feed(&frame[..length])[0], Some(Ok(2)));
            }
        }
        assert_eq!(feed(&[1; 9])[0], None);
        assert_eq!(feed(&[0])[0], Some(Err(FrameError::TooLong)));
        assert_eq!(feed(&frame[..length])[0], Some(Ok(2)));
    }

    #[test]
    fn the_stuffing_of_a_stream_is_that_of_a_whole_message() {
        // Zeros nowhere, at one place, or in a pattern, around every length at which a run ends by itself. The CRC behind
        // is whatever it is.
        let lengths = (0..12).chain(245..262).chain(500..515).chain([2000]);
        // Miri is slow: every twentieth.
        for length in lengths.step_by(if cfg!(miri) { 20 } else { 1 }) {
            for zero in [usize::MAX, 0, 1, 200, 249, 250, 251, 253, 254, 255] {
                for step in [1, 7] {
                    let message: Vec<u8> = (0..length)
                        .map(|i| if i == zero || (step > 1 && i % step == 3) { 0 } else { i as u8 | 1 })
                        .collect();
                    // A byte array without its length before it.
                    let mut frame = Vec::new();
                    let mut block = [0; BLOCK_BYTES];
                    let mut send = |bytes: &[u8]| frame.extend_from_slice(bytes);
                    let stuffing = Stuffing { block: &mut block, run: 0, full: false, send: &mut send };
                    let mut sender = Sender { crc: CRC32.digest(), stuffing };
                    sender.try_extend(&message).unwrap();
                    sender.finalize().unwrap();

                    let mut raw = message.clone();
                    raw.extend_from_slice(&CRC32.checksum(&message).to_le_bytes());
                    let mut expected = std::vec![0; frame_bytes(length)];
                    let end = cobs::try_encode(&raw, &mut expected).unwrap();
                    expected[end] = 0;
                    assert_eq!(frame, expected[..=end], "{length} {zero} {step}");

                    let mut buffer = std::vec![0; frame.len() - 1];
                    let mut receiver = Receiver::new(&mut buffer);
                    let received = frame.iter().find_map(|&byte| receiver.push(byte).map(|m| m.map(Vec::from)));
                    assert_eq!(received, Some(Ok(message)));
                }
            }
        }
    }

    #[test]
    fn frame_bytes_is_enough_for_any_content() {
        for bytes in [1usize, 249, 250, 251, 600] {
            let raw = [1; 700];
            let mut frame = [0; 720];
            let stuffed = cobs::try_encode(&raw[..bytes + 4], &mut frame).unwrap();
            assert!(stuffed < frame_bytes(bytes), "{bytes}");
        }
        for bytes in (0..2_000).step_by(if cfg!(miri) { 100 } else { 1 }) {
            let room = message_room(bytes);
            assert!(room == 0 || frame_bytes(room) - 1 <= bytes, "{bytes}");
            assert!(frame_bytes(room + 1) - 1 > bytes, "{bytes}");
        }
    }
}
