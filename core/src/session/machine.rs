//! What answers the requests: a model and its buffers.

use core::ops::Range;

use super::{
    message::{Failure, Info, Refusal, Request, Response, UpdateError},
    room,
    workspace::{MachineBuffers, as_fields, scratch_words},
};
use crate::{
    bits::word_mask,
    connection::Connection,
    image::{CRC32, Image, Stored},
    inpaint::Inpaint,
    model::Dbm,
    posterior::PosteriorMean,
    rng::{XorShiftRng, stream},
    search::SearchCapHit,
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

impl<'a, C: Stored<'a>> Machine<'a, C> {
    /// A machine over the model of an image.
    ///
    /// # Errors
    /// [`Refusal::Image`], if `C` is not over the image's weight type; [`Refusal::Room`], if a buffer is shorter than
    /// [`Workspace::carve`](super::Workspace::carve) makes it.
    // Not inlined: what it is put together from is gone when it answers.
    #[inline(never)]
    pub fn new(image: &Image<'a>, buffers: MachineBuffers<'a>) -> Result<Self, Refusal> {
        let shape = image.shape();
        let MachineBuffers { words, fields, mask, scratch } = buffers;
        for (needed, found) in [(shape.words(), mask.len()), (scratch_words(shape), scratch.len())] {
            if needed > found {
                return Err(room(BufferTooSmall { needed, found }));
            }
        }
        let state = State::new(shape, words, as_fields(fields)).map_err(room)?;
        let mut machine = Self { model: Dbm::empty(shape, image.scale()), info: Info::of(image), state, mask, scratch };
        image.fill(&mut machine.model).map_err(Refusal::Image)?;
        Ok(machine)
    }
}

impl<C: Connection> Machine<'_, C> {
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
                        let on = bytemuck::cast_slice(self.scratch);
                        let on = on.get(..2 * self.model.shape().width(0)).unwrap_or_default();
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
        let on = bytemuck::cast_slice_mut(self.scratch).get_mut(..self.model.shape().width(0)).unwrap_or_default();
        Ok(mean.count(&self.model, &mut self.state, &Clamp::over(self.mask), on, rng)?)
    }

    /// Puts a picture into the visible layer and what is known of it into the mask.
    fn clamp(&mut self, known: &[u8], visible: &[u8]) -> Result<(), Failure> {
        self.load(0..1, known)?;
        self.mask.fill(0);
        self.mask.iter_mut().zip(self.state.layer_words(0)).for_each(|(mask, &known)| *mask = known);
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
        let (mut chunks, _) = bytes.as_chunks();
        for layer in layers {
            for (index, at) in shape.word_range(layer).enumerate() {
                let [chunk, rest @ ..] = chunks else { return Ok(()) };
                chunks = rest;
                if let Some(word) = self.state.words_mut().get_mut(at) {
                    *word = u32::from_le_bytes(*chunk) & word_mask(shape.width(layer), index);
                }
            }
        }
        Ok(())
    }
}
