//! A request/response session without any input or output of its own: bytes in, frames out.
//!
//! The same code answers on a board, in QEMU and in native tests: feed every byte that arrives to
//! [`Session::receive`], and send the frame that it sometimes returns. Every complete frame gets exactly one answer,
//! also one that is damaged or makes no sense. No input can make a session panic or lose step with the frames that
//! follow.
//!
//! A message is encoded with postcard ([`message`]), closed by a CRC-32 and byte-stuffed ([`frame`]).

pub mod frame;
mod machine;
pub mod message;
mod workspace;

pub use machine::Machine;
pub use workspace::{MachineBuffers, Workspace, ram_bytes, workspace_words};

use crate::{
    connection::Connection,
    image::{Image, ImageError, Stored},
    state::BufferTooSmall,
};
use frame::{FrameError, Receiver};
use message::{Answer, Call, Failure, Refusal, Response};

/// A session over a model, or over the reason why there is none. [`with_connection!`](crate::with_connection) finds the
/// connection's type for an image.
///
/// ```
/// use bitboltz_core::{
///     connection::Integer, image::{Image, ImageError},
///     session::{Session, frame::{Receiver, decode, encode}, message::{Answer, Call, Failure, Refusal, Request, Response}},
/// };
///
/// // A device whose flash is empty, in the 64 words that saying so takes.
/// let flash = [u32::MAX; 1024];
/// let mut arena = [0; 64];
/// let mut session = Session::<Integer>::new(Image::open(bytemuck::cast_slice(&flash)), &mut arena);
///
/// // The other side frames a request, and feeds the answer's bytes to a receiver.
/// let (mut scratch, mut frame, mut buffer) = ([0; 64], [0; 64], [0; 64]);
/// let length = encode(&Call { seq: 1, request: Request::Info }, &mut scratch, &mut frame).expect("short");
/// let mut receiver = Receiver::new(&mut buffer);
/// for &byte in &frame[..length] {
///     // On a device: write what `receive` returns to the line.
///     for &answered in session.receive(byte).unwrap_or_default() {
///         if let Some(message) = receiver.push(answered) {
///             let failure = Failure::NoModel(Refusal::Image(ImageError::Erased));
///             let answer = Answer { seq: 1, response: Response::Failure(failure) };
///             assert_eq!(decode(message.expect("undamaged")), Some(answer));
///         }
///     }
/// }
/// ```
#[derive(Debug)]
pub struct Session<'a, C: Connection> {
    machine: Result<Machine<'a, C>, Refusal>,
    receiver: Receiver<'a>,
    answer: &'a mut [u8],
}

impl<'a, C: Stored<'a>> Session<'a, C> {
    /// A session that answers from an image, in buffers carved out of `arena` ([`workspace_words`] words).
    ///
    /// Without a usable image, or with too little room, the session still runs: it answers every request with the
    /// reason, so that a host can find out and send better weights. That takes 64 words; an empty arena answers nothing.
    pub fn new(image: Result<Image<'a>, ImageError>, arena: &'a mut [u32]) -> Self {
        let checked = image.map_err(Refusal::Image).and_then(|image| {
            let model = image.model::<C>().map_err(Refusal::Image)?;
            let (needed, found) = (workspace_words(image.shape()), arena.len());
            if needed > found {
                let bytes = |words: usize| u32::try_from(words * 4).unwrap_or(u32::MAX);
                return Err(Refusal::Room { needed: bytes(needed), found: bytes(found) });
            }
            Ok((image, model))
        });
        match checked {
            Err(refusal) => {
                let half = arena.len() * 2;
                let (receive, answer) = bytemuck::cast_slice_mut(arena).split_at_mut(half);
                Self { machine: Err(refusal), receiver: Receiver::new(receive), answer }
            }
            Ok((image, model)) => {
                let Workspace { machine, receive, answer } = Workspace::carve(image.shape(), arena);
                let room = |e: BufferTooSmall| Refusal::Room { needed: e.needed as u32 * 4, found: e.found as u32 * 4 };
                let machine = Machine::new(&image, model, machine).map_err(room);
                Self { machine, receiver: Receiver::new(receive), answer }
            }
        }
    }
}

impl<C: Connection> Session<'_, C> {
    /// Why there is no model, if so.
    pub fn refusal(&self) -> Option<&Refusal> {
        self.machine.as_ref().err()
    }

    /// Takes one byte; returns the frame to send, if this byte completed a request.
    pub fn receive(&mut self, byte: u8) -> Option<&[u8]> {
        let limit = u32::try_from(self.receiver.capacity()).unwrap_or(u32::MAX);
        let (seq, response) = match self.receiver.push(byte)? {
            Err(FrameError::TooLong) => (0, Response::Failure(Failure::TooLong { limit })),
            Err(FrameError::Damaged) => (0, Response::Failure(Failure::Damaged)),
            Ok(message) => match frame::decode::<Call<'_>>(message) {
                None => (0, Response::Failure(Failure::Request)),
                Some(call) => match &mut self.machine {
                    Err(refusal) => (call.seq, Response::Failure(Failure::NoModel(*refusal))),
                    Ok(machine) => (call.seq, machine.answer(&call.request)),
                },
            },
        };
        let length = frame::encode(&Answer { seq, response }, self.receiver.scratch(), self.answer)?;
        self.answer.get(..length)
    }
}
