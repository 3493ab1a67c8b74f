//! What answers the requests: a model and its buffers.

use core::ops::Range;

use super::{
    message::{Failure, Info, PROTOCOL, Request, Response, UpdateError},
    ram_bytes,
    workspace::{MachineBuffers, as_fields, scratch_words},
};
use crate::{
    bits::word_mask,
    connection::Connection,
    image::{CRC32, Image},
    inpaint::Inpaint,
    model::Dbm,
    posterior::PosteriorMean,
    rng::{XorShiftRng, stream},
    search::SearchCapHit,
    shape::MAX_LAYERS,
    start::{LocalModeStart, Start as _},
    state::{BufferTooSmall, Clamp, State},
    weights::Field as _,
};

/// A model with the buffers to answer from it.
#[derive(Debug)]
pub struct Machine<'a, C: Connection> {
    model: Dbm<'a, C>,
    info: Info,
    state: State<'a, C::Field>,
    mask: &'a mut [u32],
    /// Long enough for either use; see [`MachineBuffers`].
    scratch: &'a mut [u32],
}

impl From<SearchCapHit> for Failure {
    fn from(error: SearchCapHit) -> Self {
        Self::SearchCap { cap: error.cap }
    }
}

impl<'a, C: Connection> Machine<'a, C> {
    /// A machine over the model of an image.
    ///
    /// # Errors
    /// [`BufferTooSmall`], if a buffer is shorter than [`Workspace::carve`](super::Workspace::carve) makes it.
    pub fn new(image: &Image<'_>, model: Dbm<'a, C>, buffers: MachineBuffers<'a>) -> Result<Self, BufferTooSmall> {
        let shape = *model.shape();
        let mut widths = [0; MAX_LAYERS];
        for (named, width) in widths.iter_mut().zip(shape.widths()) {
            *named = width as u32;
        }
        let info = Info {
            protocol: PROTOCOL,
            kind: image.kind(),
            widths,
            geometry: image.geometry(),
            scale: image.scale().to_bits(),
            crc: image.crc(),
            ram: ram_bytes(&shape) as u32,
        };
        let MachineBuffers { words, fields, mask, scratch } = buffers;
        let lengths = [(shape.words(), mask.len()), (scratch_words(&shape), scratch.len())];
        if let Some(&(needed, found)) = lengths.iter().find(|(needed, found)| needed > found) {
            return Err(BufferTooSmall { needed, found });
        }
        let state = State::new(&shape, words, as_fields(fields))?;
        Ok(Self { model, info, state, mask, scratch })
    }

    /// Carries out a request.
    pub fn answer(&mut self, request: &Request<'_>) -> Response<'_> {
        let failed = match *request {
            Request::Info => return Response::Info(self.info),
            Request::Sample { seed, chain, sweeps } => match self.sample(seed, chain, sweeps) {
                Ok(sweeps) => return self.state_response(sweeps),
                Err(failure) => failure,
            },
            Request::Inpaint { seed, chain, restarts, sweeps, known, visible } => {
                let inpaint = Inpaint { restarts: restarts.into(), sweeps: sweeps.into(), ..Inpaint::default() };
                let mut rng = stream(seed, chain);
                match self.restore(&inpaint, known, visible, &mut rng) {
                    Ok(sweeps) => return self.state_response(sweeps),
                    Err(failure) => failure,
                }
            }
            Request::Marginals { seed, chain, restarts, burn_in, samples, known, visible } => {
                let (restarts, burn_in) = (restarts.into(), burn_in.into());
                let mean = PosteriorMean { restarts, burn_in, samples, ..PosteriorMean::default() };
                match self.marginals(&mean, known, visible, &mut stream(seed, chain)) {
                    Ok(()) => {
                        let on = &bytemuck::cast_slice(self.scratch)[..2 * self.model.shape().width(0)];
                        return Response::Marginals { samples, on };
                    }
                    Err(failure) => failure,
                }
            }
            Request::Energy { state } => match self.load(0..self.model.shape().layers(), state) {
                Ok(()) => {
                    self.model.refresh(&mut self.state);
                    return Response::Energy(C::Field::any_energy(self.model.energy(&self.state)));
                }
                Err(failure) => failure,
            },
            // A machine is one model; what holds it may have a place for another.
            Request::Update { .. } | Request::Chunk { .. } | Request::Commit => {
                Failure::Update(UpdateError::NotWritable)
            }
        };
        Response::Failure(failed)
    }

    fn sample(&mut self, seed: u64, chain: u64, sweeps: u16) -> Result<u32, Failure> {
        let start = LocalModeStart { sweeps: sweeps.into(), ..LocalModeStart::default() };
        Ok(start.start(&self.model, &mut self.state, &Clamp::none(), &mut stream(seed, chain))?.sweeps)
    }

    fn restore(
        &mut self,
        inpaint: &Inpaint,
        known: &[u8],
        visible: &[u8],
        rng: &mut XorShiftRng,
    ) -> Result<u32, Failure> {
        self.clamp(known, visible)?;
        Ok(inpaint.restore(&self.model, &mut self.state, self.scratch, &Clamp::over(self.mask), rng)?.sweeps)
    }

    fn marginals(
        &mut self,
        mean: &PosteriorMean,
        known: &[u8],
        visible: &[u8],
        rng: &mut XorShiftRng,
    ) -> Result<(), Failure> {
        self.clamp(known, visible)?;
        let on = &mut bytemuck::cast_slice_mut(self.scratch)[..self.model.shape().width(0)];
        Ok(mean.count(&self.model, &mut self.state, &Clamp::over(self.mask), on, rng)?)
    }

    /// Puts a picture into the visible layer and what is known of it into the mask.
    fn clamp(&mut self, known: &[u8], visible: &[u8]) -> Result<(), Failure> {
        self.load(0..1, known)?;
        let visible_words = self.model.shape().layer_words(0);
        self.mask.fill(0);
        self.mask[..visible_words].copy_from_slice(self.state.layer_words(0));
        self.load(0..1, visible)
    }

    fn state_response(&self, sweeps: u32) -> Response<'_> {
        Response::State {
            energy: C::Field::any_energy(self.model.energy(&self.state)),
            sweeps,
            hash: CRC32.checksum(bytemuck::cast_slice(self.state.words())),
            visible: bytemuck::cast_slice(self.state.layer_words(0)),
        }
    }

    /// Writes the packed bits of some layers into the state.
    fn load(&mut self, layers: Range<usize>, bytes: &[u8]) -> Result<(), Failure> {
        let shape = *self.model.shape();
        let (first, last) = (shape.word_range(layers.start).start, shape.word_range(layers.end).start);
        let (expected, found) = (4 * (last - first), bytes.len());
        if expected != found {
            return Err(Failure::Length { expected: expected as u32, found: found as u32 });
        }
        let mut chunks = bytes.chunks_exact(4);
        for layer in layers {
            for (index, at) in shape.word_range(layer).enumerate() {
                let word = chunks.next().map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
                self.state.words_mut()[at] = word & word_mask(shape.width(layer), index);
            }
        }
        Ok(())
    }
}
