//! Frames on a line, written and read in this process.

use bitboltz_core::{
    connection::Connection,
    image::CRC32,
    session::{
        Server, Session,
        frame::{BLOCK_BYTES, encode, frame_bytes},
        message::{Call, Request},
        store::Store,
    },
};

/// The frame of a request.
pub fn frame(seq: u32, request: Request<'_>) -> Vec<u8> {
    encoded(&Call { seq, request })
}

/// The frame of an answer, or of anything else that is encoded as one.
pub fn encoded<T: serde::Serialize>(message: &T) -> Vec<u8> {
    let mut frame = Vec::new();
    encode(message, &mut [0; BLOCK_BYTES], &mut |bytes| frame.extend_from_slice(bytes));
    frame
}

/// The frame of any message, sense or not: closed by its CRC, stuffed, ended by a zero.
///
/// # Panics
/// Never: the buffer is long enough.
pub fn framed(message: &[u8]) -> Vec<u8> {
    let body = [message, &CRC32.checksum(message).to_le_bytes()].concat();
    let mut frame = vec![0; frame_bytes(message.len())];
    let length = cobs::try_encode(&body, &mut frame).expect("room for stuffing");
    frame.truncate(length);
    frame.push(0);
    frame
}

/// The message in a frame, final zero included. The CRC is checked, and taken off.
///
/// # Panics
/// If it is no whole frame.
pub fn message(frame: &[u8]) -> Vec<u8> {
    let (zero, stuffed) = frame.split_last().expect("a frame");
    assert_eq!(*zero, 0, "no frame: {frame:02x?}");
    let mut bytes = stuffed.to_vec();
    let length = cobs::decode_in_place(&mut bytes).expect("stuffed bytes");
    let (message, crc) = bytes[..length].split_last_chunk::<4>().expect("a CRC");
    assert_eq!(CRC32.checksum(message), u32::from_le_bytes(*crc));
    message.to_vec()
}

/// Feeds bytes to a session and returns the messages of all frames that it sends.
///
/// # Panics
/// If it sends anything but whole, undamaged frames.
pub fn feed(session: &mut impl Receive, bytes: &[u8]) -> Vec<Vec<u8>> {
    bytes
        .iter()
        .filter_map(|&byte| {
            let frame = session.take(byte);
            (!frame.is_empty()).then(|| message(&frame))
        })
        .collect()
}

/// A session of either sort.
pub trait Receive {
    /// Takes a byte, and returns the frame that it is answered with, or nothing.
    fn take(&mut self, byte: u8) -> Vec<u8>;
}

impl<C: Connection> Receive for Session<'_, C> {
    fn take(&mut self, byte: u8) -> Vec<u8> {
        let mut frame = Vec::new();
        self.receive(byte, &mut |bytes| frame.extend_from_slice(bytes));
        frame
    }
}

impl<S: Store> Receive for Server<'_, S> {
    fn take(&mut self, byte: u8) -> Vec<u8> {
        let mut frame = Vec::new();
        self.receive(byte, &mut |bytes| frame.extend_from_slice(bytes));
        frame
    }
}
