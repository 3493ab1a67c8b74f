//! A request/response session without any input or output of its own: bytes in, frames out.
//!
//! The same code answers on a board, in QEMU and in native tests: feed every byte that arrives to
//! [`Session::receive`] or [`Server::receive`], and send what they hand out. Every complete frame gets exactly one answer,
//! also one that is damaged or makes no sense. No input can make them panic or lose step with the frames that follow.
//!
//! - [`Session`] answers from one model of one weight type, for as long as it lives. What it does not need is not linked.
//! - [`Server`] answers from whatever image its weights region ([`store`]) holds, takes new ones over the line, and keeps the
//!   old one until the new one is whole, where there is room for both ([`slots`]).
//!
//! A message is encoded with postcard ([`message`]), closed by a CRC-32 and byte-stuffed ([`frame`]).

pub mod frame;
mod machine;
pub mod message;
mod server;
pub mod slots;
pub mod store;
mod update;
mod workspace;

pub use machine::Machine;
pub use server::Server;
pub use workspace::{MachineBuffers, Workspace, ram_bytes, workspace_words};

use crate::{
    connection::Connection,
    image::{Image, ImageError, Stored},
    state::BufferTooSmall,
};
use frame::{BLOCK_BYTES, FrameError, Receiver};
use message::{Answer, Call, Failure, Refusal, Response};

/// A session over a model, or over the reason why there is none. [`with_connection!`](crate::with_connection) finds the
/// connection's type for an image.
///
/// ```
/// use bitboltz_core::{
///     connection::Integer, image::{Image, ImageError},
///     session::{Session, frame::{BLOCK_BYTES, Receiver, decode, encode}, message::{Answer, Call, Failure, Refusal, Request, Response}},
/// };
///
/// // A device whose flash is empty, in the 64 words that saying so takes.
/// let flash = [u32::MAX; 1024];
/// let mut arena = [0; 64];
/// let mut session = Session::<Integer>::new(Image::open(bytemuck::cast_slice(&flash)), &mut arena);
///
/// // The other side frames a request, and feeds the answer's bytes to a receiver.
/// let mut line = heapless::Vec::<u8, 64>::new();
/// encode(&Call { seq: 1, request: Request::Info }, &mut [0; BLOCK_BYTES], &mut |bytes| {
///     line.extend_from_slice(bytes).expect("short");
/// });
/// let mut buffer = [0; 64];
/// let mut receiver = Receiver::new(&mut buffer);
/// let mut answered = 0;
/// for byte in line {
///     // On a device: write what is handed out to the line.
///     session.receive(byte, &mut |bytes| {
///         for &byte in bytes {
///             if let Some(message) = receiver.push(byte) {
///                 let failure = Failure::NoModel(Refusal::Image(ImageError::Erased));
///                 let answer = Answer { seq: 1, response: Response::Failure(failure) };
///                 assert_eq!(decode(message.expect("undamaged")), Some(answer));
///                 answered += 1;
///             }
///         }
///     });
/// }
/// assert_eq!(answered, 1);
/// ```
#[derive(Debug)]
pub struct Session<'a, C: Connection> {
    machine: Result<Machine<'a, C>, Refusal>,
    receiver: Receiver<'a>,
}

impl<'a, C: Stored<'a>> Session<'a, C> {
    /// A session that answers from an image, in buffers carved out of `arena` ([`workspace_words`] words).
    ///
    /// Without a usable image, or with too little room, the session still runs: it answers every request with the
    /// reason, so that a host can find out and send better weights. That takes 64 words; from less nothing is answered.
    pub fn new(image: Result<Image<'a>, ImageError>, arena: &'a mut [u32]) -> Self {
        let checked = image.map_err(Refusal::Image).and_then(|image| {
            C::check(image.kind()).map_err(Refusal::Image)?;
            update::fits(&image, arena.len())?;
            Ok(image)
        });
        match checked {
            Err(refusal) => Self { machine: Err(refusal), receiver: Receiver::new(bytemuck::cast_slice_mut(arena)) },
            Ok(image) => {
                let Workspace { machine, receive } = Workspace::carve(image.shape(), arena);
                Self { machine: Machine::new(&image, machine), receiver: Receiver::new(receive) }
            }
        }
    }
}

impl<C: Connection> Session<'_, C> {
    /// Why there is no model, if so.
    pub fn refusal(&self) -> Option<&Refusal> {
        self.machine.as_ref().err()
    }

    /// Takes one byte. If it completed a frame, hands out the answer's in pieces of at most [`BLOCK_BYTES`].
    pub fn receive(&mut self, byte: u8, send: &mut dyn FnMut(&[u8])) {
        let limit = u32::try_from(self.receiver.capacity()).unwrap_or(u32::MAX);
        let (seq, response) = match self.receiver.push(byte) {
            None => return,
            Some(Err(error)) => (0, Response::Failure(unreadable(error, limit))),
            Some(Ok(message)) => match frame::decode::<Call<'_>>(message) {
                None => (0, Response::Failure(Failure::Request)),
                Some(call) => match &mut self.machine {
                    Err(refusal) => (call.seq, Response::Failure(Failure::NoModel(*refusal))),
                    Ok(machine) => (call.seq, machine.answer(&call.request)),
                },
            },
        };
        answer(seq, response, self.receiver.scratch(), send);
    }
}

/// A machine's buffer is too short, in bytes.
fn room(BufferTooSmall { needed, found }: BufferTooSmall) -> Refusal {
    Refusal::Room { needed: needed as u32 * 4, found: found as u32 * 4 }
}

fn unreadable(error: FrameError, limit: u32) -> Failure {
    match error {
        FrameError::TooLong => Failure::TooLong { limit },
        FrameError::Damaged => Failure::Damaged,
    }
}

/// Sends an answer by way of the buffer that its request came in; from less than a block of it nothing can be said.
fn answer(seq: u32, response: Response<'_>, receive: &mut [u8], send: &mut dyn FnMut(&[u8])) {
    if let Some(block) = receive.first_chunk_mut::<BLOCK_BYTES>() {
        frame::encode(&Answer { seq, response }, block, send);
    }
}
