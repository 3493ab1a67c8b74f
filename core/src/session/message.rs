//! The messages of a session, protocol version [`PROTOCOL`].
//!
//! States travel packed as the core packs them: little-endian words, each layer starting on a word. `known` and
//! `visible` are the words of the visible layer, `state` those of all layers.

use serde::{Deserialize, Serialize};

use super::ram_bytes;
use crate::{
    image::{Geometry, Image, ImageError},
    shape::{MAX_LAYERS, Shape},
    weights::{AnyEnergy, WeightKind},
};

/// Version of the messages.
pub const PROTOCOL: u16 = 1;

/// A request with its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call<'a> {
    /// Chosen by the caller, and returned with the answer; at least 1.
    pub seq: u32,
    /// What is asked.
    #[serde(borrow)]
    pub request: Request<'a>,
}

/// A response with the number of its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer<'a> {
    /// The request's number; 0 if the request could not be read.
    pub seq: u32,
    /// The answer.
    #[serde(borrow)]
    pub response: Response<'a>,
}

/// What can be asked. Random numbers come from [`stream`](crate::rng::stream)`(seed, chain)`, so the answer is the same
/// wherever the model runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Request<'a> {
    /// What the model is.
    Info,
    /// A state from scratch: random bits, local mode search, Gibbs sweeps.
    Sample {
        /// Seed of the run.
        seed: u64,
        /// Number of the chain.
        chain: u64,
        /// Gibbs sweeps after the search; 0 for the local mode itself.
        sweeps: u16,
    },
    /// The lowest local mode that agrees with the known pixels.
    Inpaint {
        /// Seed of the run.
        seed: u64,
        /// Number of the chain.
        chain: u64,
        /// Searches from random bits.
        restarts: u16,
        /// Gibbs sweeps, the first from the best mode, each followed by a search from which the next goes on.
        sweeps: u16,
        /// Which visible units are known.
        known: &'a [u8],
        /// Their values; the others do not matter.
        visible: &'a [u8],
    },
    /// How often each visible unit is on, given the known pixels: samples of several short chains, as
    /// [`PosteriorMean`](crate::posterior::PosteriorMean) counts them.
    Marginals {
        /// Seed of the run.
        seed: u64,
        /// Number of the chain.
        chain: u64,
        /// Chains, each from a local mode searched from random bits; no more than `samples` are run.
        restarts: u16,
        /// Gibbs sweeps of a chain before its first sample.
        burn_in: u16,
        /// Samples of all chains together.
        samples: u16,
        /// Which visible units are known.
        known: &'a [u8],
        /// Their values; the others do not matter.
        visible: &'a [u8],
    },
    /// The energy of a whole state.
    Energy {
        /// The state of all layers.
        state: &'a [u8],
    },
    /// New weights are to come, or to go on: the image of this length and CRC.
    Update {
        /// Bytes of the whole image.
        length: u32,
        /// CRC-32 of the image: its last four bytes.
        crc: u32,
    },
    /// A part of the new image. One that does not begin where the last one ended changes nothing.
    Chunk {
        /// Where in the image.
        offset: u32,
        /// The bytes: no more than [`Response::Ready`] allows, and but for the last chunk a multiple of 16.
        bytes: &'a [u8],
    },
    /// Checks the new image, and takes it in place of the old.
    Commit,
}

/// What can be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Response<'a> {
    /// To [`Request::Info`].
    Info(Info),
    /// To [`Request::Sample`] and [`Request::Inpaint`].
    State {
        /// Energy of the whole state.
        energy: AnyEnergy,
        /// Sweeps of local mode search.
        sweeps: u32,
        /// CRC-32 of the whole state's words, to compare machines.
        hash: u32,
        /// The visible layer.
        visible: &'a [u8],
    },
    /// To [`Request::Marginals`].
    Marginals {
        /// Samples taken.
        samples: u16,
        /// How often each visible unit was on: one little-endian `u16` a unit.
        on: &'a [u8],
    },
    /// To [`Request::Energy`].
    Energy(AnyEnergy),
    /// To any request that could not be carried out.
    Failure(Failure),
    /// To [`Request::Update`].
    Ready {
        /// Most bytes of a chunk.
        chunk: u32,
        /// Where to go on: 0, unless an update to the same image was begun before.
        offset: u32,
    },
    /// To [`Request::Chunk`].
    Stored {
        /// Where to go on: bytes of the new image that were written.
        offset: u32,
    },
    /// To [`Request::Commit`]: requests are answered from the new image from now on.
    Committed,
}

/// What a model is, and what it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Info {
    /// [`PROTOCOL`] of the answering side.
    pub protocol: u16,
    /// Weight type.
    pub kind: WeightKind,
    /// Layer widths, visible first; 0 for layers that do not exist.
    pub widths: [u32; MAX_LAYERS],
    /// How the visible units make up a picture.
    pub geometry: Geometry,
    /// Bits of the `f32` that one unit of an integer energy is worth.
    pub scale: u32,
    /// CRC-32 of the image.
    pub crc: u32,
    /// Bytes of RAM that the session uses.
    pub ram: u32,
}

impl Info {
    /// Of the model in an image, and of a session over it.
    pub(super) fn of(image: &Image<'_>) -> Self {
        let mut widths = [0; MAX_LAYERS];
        for (named, width) in widths.iter_mut().zip(image.shape().widths()) {
            *named = width as u32;
        }
        Self {
            protocol: PROTOCOL,
            kind: image.kind(),
            widths,
            geometry: image.geometry(),
            scale: image.scale().to_bits(),
            crc: image.crc(),
            ram: ram_bytes(image.shape()) as u32,
        }
    }
}

/// Why a request was not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Failure {
    /// The frame was damaged on the way: send it again.
    Damaged,
    /// The frame was longer than any request to this model.
    TooLong {
        /// Longest frame in bytes.
        limit: u32,
    },
    /// The message is no request of this protocol version.
    Request,
    /// A packed state has the wrong length.
    Length {
        /// Bytes expected.
        expected: u32,
        /// Bytes found.
        found: u32,
    },
    /// Local mode search hit its cap.
    SearchCap {
        /// Sweeps allowed.
        cap: u32,
    },
    /// There is no model to ask.
    NoModel(Refusal),
    /// New weights cannot be taken.
    Update(UpdateError),
}

/// Why new weights were not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum UpdateError {
    /// The device's weights are not to be written over the line.
    NotWritable,
    /// The image does not fit.
    TooLong {
        /// Bytes that do.
        room: u32,
    },
    /// No update was begun since the device started, or since the last one ended.
    NotBegun,
    /// The update is not at its end.
    Incomplete {
        /// Bytes expected.
        expected: u32,
        /// Bytes written so far.
        found: u32,
    },
    /// The new image was refused.
    Refused(Refusal),
    /// The memory did not take what was written, or was not erased.
    Store {
        /// Where in the weights region.
        offset: u32,
    },
}

impl core::fmt::Display for UpdateError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::NotWritable => f.write_str("this device has no weights that can be written over the line"),
            Self::TooLong { room } => {
                write!(f, "the image is longer than {room} bytes, which is all there is room for")
            }
            Self::NotBegun => f.write_str("no update was begun"),
            Self::Incomplete { expected, found } => {
                write!(f, "the update is not at its end: expected {expected} bytes, {found} written so far")
            }
            Self::Refused(refusal) => write!(f, "the new image was refused: {refusal}"),
            Self::Store { offset } => {
                write!(f, "the weights memory could not be written at byte {offset}: is it worn out or locked?")
            }
        }
    }
}

/// Why there is no model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Refusal {
    /// The image was refused.
    Image(ImageError),
    /// The model needs more RAM than there is.
    Room {
        /// Bytes needed.
        needed: u32,
        /// Bytes found.
        found: u32,
    },
}

impl core::fmt::Display for Refusal {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Image(error) => error.fmt(f),
            Self::Room { needed, found } => write!(f, "the model needs {needed} bytes of RAM, there are {found}"),
        }
    }
}

impl core::fmt::Display for Failure {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Damaged => f.write_str("the request was damaged on the way"),
            Self::TooLong { limit } => write!(f, "the request is longer than {limit} bytes"),
            Self::Request => f.write_str("the request is none of this protocol version"),
            Self::Length { expected, found } => write!(f, "a state of {expected} bytes was expected, {found} found"),
            Self::SearchCap { cap } => write!(f, "no local mode after {cap} sweeps"),
            Self::NoModel(refusal) => write!(f, "no model: {refusal}"),
            Self::Update(error) => write!(f, "no new weights: {error}"),
        }
    }
}

impl core::error::Error for Failure {}

/// Bytes of the longest question to a model of this shape.
pub const fn request_bytes(shape: &Shape) -> usize {
    // Sequence number, variant, seed and chain, three counts, two lengths of at most three bytes each.
    const NUMBERS: usize = 5 + 1 + 2 * 10 + 3 * 3 + 2 * 3;
    let (known_and_visible, state) = (8 * shape.layer_words(0), 4 * shape.words());
    NUMBERS + if known_and_visible > state { known_and_visible } else { state }
}

/// Bytes of the longest message to or from a model of this shape.
pub const fn message_bytes(shape: &Shape) -> usize {
    // Numbers of at most 10 bytes each, around: known and visible; a whole state; or one u16 for each visible unit.
    const NUMBERS: usize = 80;
    let (request, on) = (request_bytes(shape), 2 * shape.width(0));
    NUMBERS + if request > on { request } else { on }
}

/// Bytes of a [`Request::Chunk`] besides those of the image: sequence number, variant, offset, and a length of up to 16,383.
pub(super) const CHUNK_NUMBERS: usize = 5 + 1 + 5 + 2;
