//! The asking side of a session: numbers its requests, waits, and asks again where an answer was lost.

use std::{
    io::{self, ErrorKind},
    time::{Duration, Instant},
};

use bitboltz_core::session::{
    frame::{self, Receiver},
    message::{Answer, Call, Failure, Info, PROTOCOL, Request, Response},
};
use bitboltz_core::{
    shape::{Shape, ShapeError},
    weights::AnyEnergy,
};
use thiserror::Error;

use super::port::{Link, Port, PortError};

/// Tries of one request before giving up on a noisy line.
const TRIES: u32 = 3;

/// Why a device gave no usable answer.
#[derive(Debug, Error)]
pub enum DeviceError {
    /// The port could not be opened.
    #[error(transparent)]
    Port(#[from] PortError),
    /// The line broke.
    #[error("{port}: {source}")]
    Line {
        /// Which port.
        port: Port,
        /// Why.
        source: io::Error,
    },
    /// Nothing came back in time.
    #[error("{port}: no answer within {seconds} s, {tries} times; is the `serve` program running there?")]
    Silent {
        /// Which port.
        port: Port,
        /// Seconds waited, each time.
        seconds: u64,
        /// Times asked.
        tries: u32,
    },
    /// The device refused.
    #[error("{port}: {failure}")]
    Refused {
        /// Which port.
        port: Port,
        /// What it said.
        failure: Failure,
    },
    /// The answer does not go with the request.
    #[error("{port}: the answer is not of the kind that was asked for; does the device run the same version?")]
    Unexpected {
        /// Which port.
        port: Port,
    },
    /// The device speaks another protocol version.
    #[error("{port}: protocol version: expected {PROTOCOL}, found {found}")]
    Protocol {
        /// Which port.
        port: Port,
        /// Version found.
        found: u16,
    },
    /// The device states impossible layer widths.
    #[error("{port}: {source}")]
    Shape {
        /// Which port.
        port: Port,
        /// Why.
        source: ShapeError,
    },
}

/// A state that a device sampled or restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sampled {
    /// Energy of the whole state.
    pub energy: AnyEnergy,
    /// Sweeps of local mode search.
    pub sweeps: u32,
    /// CRC-32 of the whole state's words.
    pub hash: u32,
    /// Words of the visible layer.
    pub visible: Vec<u32>,
}

/// A connection to a device that runs `serve`.
pub struct Client {
    port: Port,
    link: Box<dyn Link>,
    patience: Duration,
    seq: u32,
    scratch: Vec<u8>,
    frame: Vec<u8>,
    received: Vec<u8>,
}

impl Client {
    /// Connects. Every request waits for its answer for `patience`, and is sent up to three times.
    ///
    /// # Errors
    /// The port cannot be opened.
    pub fn connect(port: &Port, baud: u32, patience: Duration) -> Result<Self, DeviceError> {
        // Short reads, so that the deadline of a request is kept to.
        let link = port.open(baud, Duration::from_millis(100).min(patience))?;
        // Frames are at most this long for the widest visible layer that any of the known devices could hold.
        let buffer = || vec![0; 1 << 16];
        Ok(Self { port: port.clone(), link, patience, seq: 0, scratch: buffer(), frame: buffer(), received: buffer() })
    }

    /// What the device's model is.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn info(&mut self) -> Result<(Info, Shape), DeviceError> {
        let port = self.port.clone();
        self.ask(&Request::Info, |response| match response {
            Response::Info(info) => Some(*info),
            _ => None,
        })
        .and_then(|info| {
            if info.protocol != PROTOCOL {
                return Err(DeviceError::Protocol { port, found: info.protocol });
            }
            let widths: Vec<usize> = info.widths.iter().take_while(|&&w| w > 0).map(|&w| w as usize).collect();
            match Shape::new(&widths) {
                Ok(shape) => Ok((info, shape)),
                Err(source) => Err(DeviceError::Shape { port, source }),
            }
        })
    }

    /// Asks for a state: [`Request::Sample`] or [`Request::Inpaint`].
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn state(&mut self, request: &Request<'_>) -> Result<Sampled, DeviceError> {
        self.ask(request, |response| match response {
            Response::State { energy, sweeps, hash, visible } => {
                let words = visible.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
                Some(Sampled { energy: *energy, sweeps: *sweeps, hash: *hash, visible: words.collect() })
            }
            _ => None,
        })
    }

    /// Asks for marginals: [`Request::Marginals`]. Probabilities of the visible units.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn marginals(&mut self, request: &Request<'_>) -> Result<Vec<f32>, DeviceError> {
        self.ask(request, |response| match response {
            Response::Marginals { samples, on } => {
                let counts = on.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]]));
                Some(counts.map(|count| f32::from(count) / f32::from((*samples).max(1))).collect())
            }
            _ => None,
        })
    }

    /// The energy of a whole state, given as the core packs it.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn energy(&mut self, words: &[u32]) -> Result<AnyEnergy, DeviceError> {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        self.ask(&Request::Energy { state: &bytes }, |response| match response {
            Response::Energy(energy) => Some(*energy),
            _ => None,
        })
    }

    fn ask<T>(
        &mut self,
        request: &Request<'_>,
        mut take: impl FnMut(&Response<'_>) -> Option<T>,
    ) -> Result<T, DeviceError> {
        let port = self.port.clone();
        for _ in 0..TRIES {
            self.seq += 1;
            let call = Call { seq: self.seq, request: *request };
            let Some(length) = frame::encode(&call, &mut self.scratch, &mut self.frame) else {
                let failure = Failure::TooLong { limit: self.frame.len() as u32 };
                return Err(DeviceError::Refused { port, failure });
            };
            let line = |source| DeviceError::Line { port: port.clone(), source };
            // The leading zero ends whatever noise the device may have heard before.
            self.link.write_all(&[0]).map_err(line)?;
            self.link.write_all(&self.frame[..length]).map_err(line)?;
            self.link.flush().map_err(line)?;
            let deadline = Instant::now() + self.patience;
            let mut receiver = Receiver::new(&mut self.received);
            let mut bytes = [0; 256];
            'waiting: while Instant::now() < deadline {
                let count = match self.link.read(&mut bytes) {
                    Ok(0) => return Err(line(ErrorKind::UnexpectedEof.into())),
                    Ok(count) => count,
                    Err(e)
                        if matches!(e.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
                    {
                        continue;
                    }
                    Err(source) => return Err(line(source)),
                };
                for &byte in &bytes[..count] {
                    // Damaged frames are noise, and answers to earlier requests come too late.
                    let Some(Ok(message)) = receiver.push(byte) else { continue };
                    let Ok(answer) = postcard::from_bytes::<Answer<'_>>(message) else { continue };
                    match answer.response {
                        Response::Failure(Failure::Damaged) if answer.seq == 0 => break 'waiting,
                        Response::Failure(failure) if answer.seq == self.seq || answer.seq == 0 => {
                            return Err(DeviceError::Refused { port, failure });
                        }
                        response if answer.seq == self.seq => {
                            return take(&response).ok_or(DeviceError::Unexpected { port });
                        }
                        _ => {}
                    }
                }
            }
        }
        Err(DeviceError::Silent { port, seconds: self.patience.as_secs(), tries: TRIES })
    }
}
