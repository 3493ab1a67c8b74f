//! Frames: message, CRC-32 (little-endian), byte-stuffed by COBS (Cheshire, Baker 1999), ended by a zero.
//!
//! Zero occurs only at the end of a frame, so after any damage the next zero brings both sides back into step.

use serde::{Deserialize, Serialize};

use crate::image::CRC32;

/// Why the bytes up to a zero are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum FrameError {
    /// More bytes than the receiver holds.
    TooLong,
    /// The byte stuffing or the CRC is wrong.
    Damaged,
}

/// Bytes of the frame of a message of `bytes` bytes.
pub const fn frame_bytes(bytes: usize) -> usize {
    let raw = bytes + 4;
    // One byte of stuffing for each 254 begun, and the zero.
    raw + raw / 254 + 2
}

/// Encodes a message into `frame`, zero included, and returns its length. `scratch` holds the message before it is
/// stuffed. `None` if either buffer is too small.
pub fn encode<T: Serialize>(message: &T, scratch: &mut [u8], frame: &mut [u8]) -> Option<usize> {
    let length = postcard::to_slice(message, scratch).ok()?.len();
    let crc = CRC32.checksum(scratch.get(..length)?);
    scratch.get_mut(length..length + 4)?.copy_from_slice(&crc.to_le_bytes());
    let end = cobs::try_encode(&scratch[..length + 4], frame).ok()?;
    *frame.get_mut(end)? = 0;
    Some(end + 1)
}

/// Decodes what a frame held. `None` if that is anything but one whole `T`: bytes left over are an error too.
pub fn decode<'a, T: Deserialize<'a>>(message: &'a [u8]) -> Option<T> {
    match postcard::take_from_bytes(message) {
        Ok((value, [])) => Some(value),
        _ => None,
    }
}

/// Collects bytes into frames.
#[derive(Debug)]
pub struct Receiver<'a> {
    buffer: &'a mut [u8],
    used: usize,
    overflow: bool,
}

impl<'a> Receiver<'a> {
    /// A receiver of frames up to the buffer's length, the final zero not counted.
    pub fn new(buffer: &'a mut [u8]) -> Self {
        Self { buffer, used: 0, overflow: false }
    }

    /// Longest frame in bytes, the final zero not counted.
    pub fn capacity(&self) -> usize {
        self.buffer.len()
    }

    /// Takes one byte. At the zero that ends a frame, returns its message, or why it is none. Empty frames are skipped,
    /// so a sender may begin with a zero to end whatever noise came before.
    pub fn push(&mut self, byte: u8) -> Option<Result<&[u8], FrameError>> {
        if byte != 0 {
            match self.buffer.get_mut(self.used) {
                Some(free) => {
                    *free = byte;
                    self.used += 1;
                }
                None => self.overflow = true,
            }
            return None;
        }
        let (used, overflow) = (core::mem::take(&mut self.used), core::mem::take(&mut self.overflow));
        if overflow {
            return Some(Err(FrameError::TooLong));
        }
        (used > 0).then(|| message(&mut self.buffer[..used]).ok_or(FrameError::Damaged))
    }

    /// The buffer between frames, as scratch space.
    pub fn scratch(&mut self) -> &mut [u8] {
        self.buffer
    }
}

fn message(stuffed: &mut [u8]) -> Option<&[u8]> {
    let length = cobs::decode_in_place(stuffed).ok()?;
    let (message, crc) = stuffed.get(..length)?.split_last_chunk::<4>()?;
    (CRC32.checksum(message) == u32::from_le_bytes(*crc)).then_some(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_bytes_and_back() {
        let (mut scratch, mut frame) = ([0; 16], [0; 16]);
        let length = encode(&(7u8, 0u8), &mut scratch, &mut frame).unwrap();
        let crc = CRC32.checksum(&[7, 0]).to_le_bytes();
        assert!(!crc.contains(&0));
        assert_eq!(frame[..length], [2, 7, 5, crc[0], crc[1], crc[2], crc[3], 0]);

        let mut buffer = [0; 7];
        let mut receiver = Receiver::new(&mut buffer);
        assert_eq!(receiver.push(0), None);
        for &byte in &frame[..length - 1] {
            assert_eq!(receiver.push(byte), None);
        }
        assert_eq!(receiver.push(0), Some(Ok(&[7, 0][..])));
    }

    #[test]
    fn damage_and_excess_are_reported_once_and_leave_the_receiver_in_step() {
        let (mut scratch, mut frame) = ([0; 16], [0; 16]);
        let length = encode(&(7u8, 0u8), &mut scratch, &mut frame).unwrap();
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
                let mut damaged = frame;
                damaged[at] ^= 1 << bit;
                let results = feed(&damaged[..length]);
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
    fn frame_bytes_is_enough_for_any_content() {
        for bytes in [1usize, 249, 250, 251, 600] {
            let raw = [1; 700];
            let mut frame = [0; 720];
            let stuffed = cobs::try_encode(&raw[..bytes + 4], &mut frame).unwrap();
            assert!(stuffed < frame_bytes(bytes), "{bytes}");
        }
    }
}
