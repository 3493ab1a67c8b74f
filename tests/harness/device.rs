//! A board that serves in QEMU, and a client of it.

use std::time::Duration;

use bitboltz::{
    device::{Client, DeviceError, Sampled},
    image::AlignedBytes,
};
use bitboltz_core::session::message::{Failure, Request, Response};
use xtask::qemu::{Run, Running};

use crate::wire::{self, frame};

/// The CRC that an image ends with.
///
/// # Panics
/// If it is too short to be one.
#[must_use]
pub fn crc(image: &[u8]) -> u32 {
    u32::from_le_bytes(*image.last_chunk().expect("an image"))
}

/// Why a device refuses.
///
/// # Panics
/// If it does not, or the line failed.
pub fn refusal<T>(result: Result<T, DeviceError>) -> Failure {
    match result {
        Err(DeviceError::Refused { failure, .. }) => failure,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("no refusal"),
    }
}

/// A board with power, and a client of it.
pub struct Powered {
    /// The board. Its power goes when this is dropped.
    pub running: Running,
    /// The client.
    pub client: Client,
}

impl Powered {
    /// Switches on, with a program that serves.
    ///
    /// # Panics
    /// If QEMU does not start.
    #[must_use]
    pub fn start(serve: Run) -> Self {
        let (running, port) = wire::reachable(serve);
        let client = Client::connect(&port, 115_200, Duration::from_secs(60)).expect("a line");
        Self { running, client }
    }

    /// It answers from this image, and as this process does.
    ///
    /// # Panics
    /// If not.
    pub fn answers_from(&mut self, image: &[u8]) {
        assert_eq!(self.client.info().expect("a model").0.crc, crc(image));
        let image = AlignedBytes::new(image);
        let bytes = 4 * image.image().expect("an image").shape().layer_words(0);
        let (known, visible) = (vec![0x0F; bytes], vec![0x5A; bytes]);
        let request = Request::Inpaint { seed: 3, chain: 1, restarts: 2, sweeps: 1, known: &known, visible: &visible };
        let here = &wire::native(image.image(), 1 << 20, &[frame(1, request)])[0];
        let here = wire::answer(here, |answer| match answer.response {
            Response::State { energy, sweeps, hash, visible } => {
                let words = visible.chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().expect("four")));
                Sampled { energy, sweeps, hash, visible: words.collect() }
            }
            other => panic!("{other:?}"),
        });
        assert_eq!(self.client.state(&request).expect("a state"), here);
    }
}
