//! What answers from a weights region: the image in it, whatever its weight type, and new ones over the line.

use core::ops::Range;

use super::{
    answer,
    frame::{self, Collector},
    machine::Machine,
    message::{Call, Failure, Refusal, Request, Response, UpdateError},
    slots,
    store::Store,
    unreadable,
    update::{Update, fits},
    workspace::{MachineBuffers, receive_words},
};
use crate::{
    image::{Image, ImageError, Stored},
    with_connection,
};

/// A session over a weights region: the newest whole image in it answers, and a new one can be sent over the line.
///
/// Without a usable image, or with too little room for it, a server still runs: it answers every question with the reason,
/// and takes a better image. That takes 64 words; from less nothing is answered.
///
/// ```
/// use bitboltz_core::{image::ImageError, session::{Server, message::Refusal, store::RamStore}};
///
/// let (mut weights, mut arena) = ([u32::MAX; 1024], [0; 512]);
/// let mut server = Server::new(RamStore(&mut weights), &mut arena);
/// assert_eq!(server.image().unwrap_err(), Refusal::Image(ImageError::Erased));
/// let mut sent = 0;
/// for byte in [1, 2, 3, 0] {
///     // On a device: read a byte from the line, and write what is handed out to it.
///     server.receive(byte, &mut |bytes| sent += bytes.len());
/// }
/// // The answer to noise: damaged, send it again.
/// assert_eq!(sent, 9);
/// ```
#[derive(Debug)]
pub struct Server<'a, S> {
    store: S,
    arena: &'a mut [u32],
    collector: Collector,
    /// The image that answers, by its bytes in the region: it was opened, and has not changed since.
    model: Result<Range<usize>, Refusal>,
    /// Words at the arena's front that frames are received in. The rest is the machine's.
    receive: usize,
    update: Option<Update>,
}

impl<'a, S: Store> Server<'a, S> {
    /// A server of the newest whole image in a weights region, which answers from the buffers in `arena`
    /// ([`workspace_words`](super::workspace_words) words).
    pub fn new(store: S, arena: &'a mut [u32]) -> Self {
        // Replaced at once.
        let model = Err(Refusal::Image(ImageError::Erased));
        let mut server = Self { store, arena, collector: Collector::default(), model, receive: 0, update: None };
        server.boot();
        server
    }

    /// The image that answers, or why there is none.
    ///
    /// # Errors
    /// Why there is none.
    pub fn image(&self) -> Result<Image<'_>, Refusal> {
        let range = self.model.clone()?;
        Image::reopen(self.store.region().get(range).unwrap_or_default()).map_err(Refusal::Image)
    }

    /// The weights region.
    pub fn store(&self) -> &S {
        &self.store
    }

    /// Looks for the newest whole image.
    fn boot(&mut self) {
        let words = self.arena.len();
        let found =
            slots::current(self.store.region(), self.store.granularity()).map_err(Refusal::Image).and_then(|current| {
                fits(&current.image, words)?;
                let bytes = current.image.bytes();
                let start = bytes.as_ptr() as usize - self.store.region().as_ptr() as usize;
                Ok((start..start + bytes.len(), receive_words(current.image.shape())))
            });
        match found {
            Ok((range, receive)) => (self.model, self.receive) = (Ok(range), receive),
            Err(refusal) => (self.model, self.receive) = (Err(refusal), words),
        }
    }

    /// Takes one byte. If it completed a frame, hands out the answer's in pieces of at most
    /// [`BLOCK_BYTES`](super::frame::BLOCK_BYTES).
    pub fn receive(&mut self, byte: u8, send: &mut dyn FnMut(&[u8])) {
        let Some((receive, rest)) = self.arena.split_at_mut_checked(self.receive) else { return };
        let receive: &mut [u8] = bytemuck::cast_slice_mut(receive);
        let limit = u32::try_from(receive.len()).unwrap_or(u32::MAX);
        let length = match self.collector.push(receive, byte) {
            None => return,
            Some(Ok(length)) => length,
            Some(Err(error)) => return answer(0, Response::Failure(unreadable(error, limit)), receive, send),
        };
        let Some(Call { seq, request }) = call(&receive[..length]) else {
            return answer(0, Response::Failure(Failure::Request), receive, send);
        };
        match request {
            Request::Update { length, crc } => {
                let response = self.begin(length, crc).unwrap_or_else(failed);
                self.reply(seq, response, send);
            }
            Request::Chunk { offset, bytes } => {
                let response = match &mut self.update {
                    Some(update) => update.chunk(&mut self.store, offset, bytes),
                    None => Err(not_begun(&self.store)),
                };
                if matches!(response, Err(UpdateError::Store { .. })) {
                    // What lies there is unknown, and may take no second write: it has to be erased first.
                    self.update = None;
                }
                answer(seq, response.unwrap_or_else(failed), receive, send);
            }
            Request::Commit => {
                let response = self.commit().unwrap_or_else(failed);
                self.reply(seq, response, send);
            }
            _ => {
                let image = self.model.clone().and_then(|range| {
                    let bytes = self.store.region().get(range).unwrap_or_default();
                    Image::reopen(bytes).map_err(Refusal::Image)
                });
                match image {
                    Ok(image) => with_connection!(image.kind(), C => put::<C<'_>>(&image, length, rest, receive, send)),
                    Err(refusal) => answer(seq, Response::Failure(Failure::NoModel(refusal)), receive, send),
                }
            }
        }
    }

    fn begin(&mut self, length: u32, crc: u32) -> Result<Response<'static>, UpdateError> {
        let update = match self.update.take() {
            Some(update) if update.is_to(length, crc) => update,
            _ => {
                let update = Update::begin(&mut self.store, length, crc);
                // The old image may be gone.
                self.boot();
                update?
            }
        };
        self.update = Some(update);
        Ok(update.ready(4 * self.receive))
    }

    fn commit(&mut self) -> Result<Response<'static>, UpdateError> {
        let update = self.update.ok_or_else(|| not_begun(&self.store))?;
        let result = update.commit(&mut self.store, self.arena.len());
        if !matches!(result, Err(UpdateError::Incomplete { .. })) {
            // Done, or not to be had by going on.
            self.update = None;
            if result.is_err() {
                update.discard(&mut self.store);
            }
            self.boot();
        }
        result.map(|()| Response::Committed)
    }

    /// Sends an answer after the division of the arena may have changed.
    fn reply(&mut self, seq: u32, response: Response<'_>, send: &mut dyn FnMut(&[u8])) {
        let receive = self.arena.get_mut(..self.receive).unwrap_or_default();
        answer(seq, response, bytemuck::cast_slice_mut(receive), send);
    }
}

/// The request in a message. Not inlined: it is read again where its frame's buffer is still needed for the answer.
#[inline(never)]
fn call(message: &[u8]) -> Option<Call<'_>> {
    frame::decode(message)
}

/// Puts a question, the message of this length in `receive`, to the model of an image, in the machine's part of the arena.
/// Not inlined: its frame is the largest, and only questions need it.
#[inline(never)]
fn put<'a, C: Stored<'a>>(
    image: &Image<'a>,
    length: usize,
    arena: &'a mut [u32],
    receive: &mut [u8],
    send: &mut dyn FnMut(&[u8]),
) {
    let Some(Call { seq, request }) = call(&receive[..length]) else { return };
    let buffers = MachineBuffers::carve(image.shape(), arena);
    match &mut Machine::<C>::new(image, buffers) {
        Ok(machine) => answer(seq, machine.answer(&request), receive, send),
        Err(refusal) => answer(seq, Response::Failure(Failure::NoModel(*refusal)), receive, send),
    }
}

fn failed<'a>(error: UpdateError) -> Response<'a> {
    Response::Failure(Failure::Update(error))
}

fn not_begun<S: Store>(store: &S) -> UpdateError {
    store.granularity().map_or(UpdateError::NotWritable, |_| UpdateError::NotBegun)
}
