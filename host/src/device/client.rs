//! The asking side of a session: numbers its requests, waits, and asks again where an answer was lost.

use std::{
    hash::{BuildHasher as _, RandomState},
    io::{self, ErrorKind},
    time::{Duration, Instant},
};

use bitboltz_core::session::{
    frame::{self, BLOCK_BYTES, Receiver},
    message::{Answer, Call, Failure, Info, PROTOCOL, Request, Response, UpdateError, message_bytes},
};
use bitboltz_core::{
    shape::{Shape, ShapeError},
    weights::AnyEnergy,
};
use thiserror::Error;

use super::port::{Link, Port, PortError};

/// Tries of one request before giving up on a noisy line.
const TRIES: u32 = 3;

/// Bytes of the buffers until the model's shape is known: far more than [`Info`] and any failure take.
const INFO_BYTES: usize = 1024;

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
    /// An update does not come forward.
    #[error("{port}: the device has {offset} of {length} bytes of the image, and takes no more")]
    Stuck {
        /// Which port.
        port: Port,
        /// Bytes that it has.
        offset: usize,
        /// Bytes of the image.
        length: usize,
    },
    /// After an update, another image answers.
    #[error("{port}: after the update an image with CRC {expected:08x} was expected, found {found:08x}")]
    NotUpdated {
        /// Which port.
        port: Port,
        /// CRC of the image that was sent.
        expected: u32,
        /// CRC that the device states.
        found: u32,
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

impl DeviceError {
    /// Whether the line is to blame, not the device's answer.
    pub fn is_line(&self) -> bool {
        matches!(self, Self::Port(_) | Self::Line { .. } | Self::Silent { .. })
    }
}

/// The number before that of the first request: at random, so that what a device still answers to a caller before is not
/// taken for an answer to this one. Far from the largest.
fn first_number() -> u32 {
    // The standard library's own source of random bits.
    (RandomState::new().hash_one(()) >> 33) as u32
}

/// A connection to a device that runs `serve`.
pub struct Client {
    port: Port,
    link: Box<dyn Link>,
    patience: Duration,
    seq: u32,
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
        Ok(Self { port: port.clone(), link, patience, seq: first_number(), received: vec![0; INFO_BYTES] })
    }

    /// What the device's model is. To be asked first: the answer says how long the frames of all other requests are.
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
        .inspect(|(_, shape)| {
            self.received.resize(frame::frame_bytes(message_bytes(shape)).max(INFO_BYTES), 0);
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

    /// Sends an image in place of the device's, and waits until it answers from it. `progress` hears how many bytes the device
    /// has. An update to the same image that was broken off before goes on where it was, unless the device has lost its power.
    ///
    /// `image` is one whole image, as [`Image::open`](bitboltz_core::image::Image::open) checks it; the device does so too.
    ///
    /// # Errors
    /// [`DeviceError`]; [`is_line`](DeviceError::is_line) tells those after which another try over a new connection may do.
    pub fn update(&mut self, image: &[u8], mut progress: impl FnMut(usize)) -> Result<Info, DeviceError> {
        let expected = image.last_chunk().map_or(0, |crc| u32::from_le_bytes(*crc));
        // No image has more: its length is a number of 32 bits.
        let length = u32::try_from(image.len()).unwrap_or(u32::MAX);
        let (chunk, mut offset) = self.ask(&Request::Update { length, crc: expected }, |response| match response {
            Response::Ready { chunk, offset } => Some((*chunk as usize, *offset as usize)),
            _ => None,
        })?;
        if chunk == 0 {
            return Err(DeviceError::Stuck { port: self.port.clone(), offset, length: image.len() });
        }
        progress(offset);
        while offset < image.len() {
            let rest = image.get(offset..).unwrap_or_default();
            let bytes = &rest[..chunk.min(rest.len())];
            let next = self.ask(&Request::Chunk { offset: offset as u32, bytes }, |response| match response {
                Response::Stored { offset } => Some(*offset as usize),
                _ => None,
            })?;
            if next <= offset || next > image.len() {
                return Err(DeviceError::Stuck { port: self.port.clone(), offset: next, length: image.len() });
            }
            offset = next;
            progress(offset);
        }
        let committed = self.ask(&Request::Commit, |response| match response {
            Response::Committed => Some(()),
            _ => None,
        });
        match committed {
            // The answer to an earlier try was lost: whether it was done, the next question tells.
            Ok(()) | Err(DeviceError::Refused { failure: Failure::Update(UpdateError::NotBegun), .. }) => {}
            Err(error) => return Err(error),
        }
        let (info, _) = self.info()?;
        if info.crc == expected {
            Ok(info)
        } else {
            Err(DeviceError::NotUpdated { port: self.port.clone(), expected, found: info.crc })
        }
    }

    fn ask<T>(
        &mut self,
        request: &Request<'_>,
        mut take: impl FnMut(&Response<'_>) -> Option<T>,
    ) -> Result<T, DeviceError> {
        let Self { port, link, patience, seq, received } = self;
        let line = |source| DeviceError::Line { port: port.clone(), source };
        let refused = |failure| DeviceError::Refused { port: port.clone(), failure };
        let first = seq.wrapping_add(1).max(1);
        *seq = first - 1;
        // One for all tries: an answer may be in the middle of its way when its time is over.
        let mut receiver = Receiver::new(received);
        let mut bytes = [0; 256];
        for left in (0..TRIES).rev() {
            *seq += 1;
            let call = Call { seq: *seq, request: *request };
            // The leading zero ends whatever noise the device may have heard before.
            let mut frame = vec![0];
            frame::encode(&call, &mut [0; BLOCK_BYTES], &mut |bytes| frame.extend_from_slice(bytes));
            link.write_all(&frame).map_err(line)?;
            link.flush().map_err(line)?;
            let deadline = Instant::now() + *patience;
            let mut again = false;
            while !again && Instant::now() < deadline {
                let count = match link.read(&mut bytes) {
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
                    // What cannot be read is noise.
                    let Some(Ok(message)) = receiver.push(byte) else { continue };
                    let Some(answer) = frame::decode::<Answer<'_>>(message) else { continue };
                    match answer.response {
                        // The device heard noise, or noise in the request.
                        Response::Failure(Failure::Damaged | Failure::TooLong { .. } | Failure::Request)
                            if answer.seq == 0 && left > 0 =>
                        {
                            again = true;
                        }
                        Response::Failure(failure) if (first..=*seq).contains(&answer.seq) || answer.seq == 0 => {
                            return Err(refused(failure));
                        }
                        // The answer to any of the tries: it depends on the request alone. Those to earlier requests
                        // come too late.
                        response if (first..=*seq).contains(&answer.seq) => {
                            return take(&response).ok_or(DeviceError::Unexpected { port: port.clone() });
                        }
                        _ => {}
                    }
                }
            }
        }
        Err(DeviceError::Silent { port: port.clone(), seconds: patience.as_secs(), tries: TRIES })
    }
}

#[cfg(test)]
mod lossy;

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::{Shutdown, TcpListener, TcpStream},
        thread::{self, JoinHandle},
    };

    use bitboltz_core::{
        image::Geometry,
        shape::{MAX_LAYERS, MAX_WIDTH},
        weights::WeightKind,
    };

    use super::*;

    /// The device's end of the line.
    struct Fake {
        line: TcpStream,
        pending: Vec<u8>,
    }

    impl Fake {
        /// The number of the next request.
        fn hear(&mut self) -> u32 {
            self.hear_if(|_| true)
        }

        /// The number of the next request that is one of these.
        fn hear_if(&mut self, wanted: impl Fn(&Request<'_>) -> bool) -> u32 {
            loop {
                while let Some(end) = self.pending.iter().position(|&byte| byte == 0) {
                    let frame: Vec<u8> = self.pending.drain(..=end).collect();
                    let mut buffer = vec![0; frame.len()];
                    let mut receiver = Receiver::new(&mut buffer);
                    for byte in frame {
                        if let Some(message) = receiver.push(byte) {
                            let call = frame::decode::<Call<'_>>(message.unwrap()).unwrap();
                            if wanted(&call.request) {
                                return call.seq;
                            }
                        }
                    }
                }
                let mut bytes = [0; 4096];
                let count = self.line.read(&mut bytes).unwrap();
                assert!(count > 0, "the client has gone");
                self.pending.extend(&bytes[..count]);
            }
        }

        fn say(&mut self, bytes: &[u8]) {
            self.line.write_all(bytes).unwrap();
        }

        fn answer(&mut self, seq: u32, response: Response<'_>) {
            self.say(&encoded(seq, response));
        }
    }

    fn encoded(seq: u32, response: Response<'_>) -> Vec<u8> {
        framed(&Answer { seq, response })
    }

    fn framed<T: serde::Serialize>(message: &T) -> Vec<u8> {
        let mut frame = Vec::new();
        frame::encode(message, &mut [0; BLOCK_BYTES], &mut |bytes| frame.extend_from_slice(bytes));
        frame
    }

    fn info(visible: usize) -> Info {
        let mut widths = [0; MAX_LAYERS];
        (widths[0], widths[1]) = (visible as u32, 1);
        let (scale, kind) = (1.0_f32.to_bits(), WeightKind::I8);
        Info { protocol: PROTOCOL, kind, widths, geometry: Geometry::default(), scale, crc: 1, ram: 2 }
    }

    /// A client with this patience, and a device that does as `device` says, and stays until the client has gone.
    fn pair(patience: u64, device: impl FnOnce(&mut Fake) + Send + 'static) -> (Client, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = Port::Tcp(listener.local_addr().unwrap().to_string());
        let client = Client::connect(&port, 0, Duration::from_millis(patience)).unwrap();
        let (line, _) = listener.accept().unwrap();
        let device = thread::spawn(move || {
            let mut fake = Fake { line, pending: Vec::new() };
            device(&mut fake);
            while fake.line.read(&mut [0; 64]).is_ok_and(|count| count > 0) {}
        });
        (client, device)
    }

    fn end(client: Client, device: JoinHandle<()>) {
        drop(client);
        device.join().unwrap();
    }

    const UNITS: AnyEnergy = AnyEnergy::Units(-7);
    /// Longer than any test.
    const PATIENT: u64 = 60_000;

    #[test]
    fn a_slow_answer_counts_for_the_try_after_it_and_not_for_the_next_request() {
        let (mut client, device) = pair(150, |device| {
            let first = device.hear();
            let second = device.hear();
            assert_eq!(second, first + 1);
            device.answer(first, Response::Energy(UNITS));
            // The other answer comes when the next request is already there.
            let next = device.hear_if(|request| *request == Request::Info);
            device.answer(second, Response::Energy(UNITS));
            device.answer(next, Response::Info(info(3)));
        });
        assert_eq!(client.energy(&[1]).unwrap(), UNITS);
        client.patience = Duration::from_millis(PATIENT);
        assert_eq!(client.info().unwrap().0, info(3));
        end(client, device);
    }

    #[test]
    fn an_answer_on_its_way_is_not_cut_by_the_next_try() {
        let (mut client, device) = pair(150, |device| {
            let first = device.hear();
            let answer = encoded(first, Response::Energy(UNITS));
            device.say(&answer[..5]);
            device.hear();
            device.say(&answer[5..]);
        });
        assert_eq!(client.energy(&[1]).unwrap(), UNITS);
        end(client, device);
    }

    #[test]
    fn a_damaged_answer_is_asked_for_again() {
        let (mut client, device) = pair(150, |device| {
            let seq = device.hear();
            let mut answer = encoded(seq, Response::Energy(UNITS));
            answer[2] ^= 4;
            device.say(&answer);
            // One byte more than an answer has.
            let more = (Answer { seq, response: Response::Energy(UNITS) }, 1u8);
            device.say(&framed(&more));
            let seq = device.hear();
            device.answer(seq, Response::Energy(AnyEnergy::Units(3)));
        });
        assert_eq!(client.energy(&[1]).unwrap(), AnyEnergy::Units(3));
        end(client, device);
    }

    #[test]
    fn noise_on_either_side_is_survived() {
        let (mut client, device) = pair(PATIENT, |device| {
            device.say(b"booting...\r\n\0");
            device.hear();
            // What the device may say to noise, or to a damaged request; asked again at once.
            device.answer(0, Response::Failure(Failure::Request));
            device.hear();
            device.answer(0, Response::Failure(Failure::Damaged));
            let seq = device.hear();
            device.answer(seq, Response::Energy(UNITS));
            // In the end it is the answer.
            for _ in 0..TRIES {
                device.hear();
                device.answer(0, Response::Failure(Failure::Damaged));
            }
            // What has a number is an answer at once.
            let seq = device.hear();
            device.answer(seq, Response::Failure(Failure::SearchCap { cap: 5 }));
            let seq = device.hear();
            device.answer(seq, Response::Info(info(1)));
        });
        assert_eq!(client.energy(&[1]).unwrap(), UNITS);
        let error = client.energy(&[1]).unwrap_err();
        assert!(matches!(error, DeviceError::Refused { failure: Failure::Damaged, .. }), "{error}");
        let error = client.energy(&[1]).unwrap_err();
        assert!(matches!(error, DeviceError::Refused { failure: Failure::SearchCap { cap: 5 }, .. }), "{error}");
        let error = client.energy(&[1]).unwrap_err();
        assert!(matches!(error, DeviceError::Unexpected { .. }), "{error}");
        end(client, device);
    }

    #[test]
    fn a_silent_device_is_asked_three_times_and_one_that_vanishes_is_told() {
        let (mut client, device) = pair(50, |device| (0..TRIES).for_each(|_| _ = device.hear()));
        let error = client.info().unwrap_err();
        assert!(matches!(error, DeviceError::Silent { tries: 3, .. }), "{error}");
        end(client, device);
        let (mut client, device) = pair(PATIENT, |device| {
            let seq = device.hear();
            let answer = encoded(seq, Response::Energy(UNITS));
            device.say(&answer[..answer.len() / 2]);
            device.line.shutdown(Shutdown::Both).unwrap();
        });
        let error = client.energy(&[1]).unwrap_err();
        assert!(matches!(error, DeviceError::Line { .. }), "{error}");
        end(client, device);
    }

    #[test]
    fn the_widest_model_fits() {
        let (mut client, device) = pair(PATIENT, |device| {
            let seq = device.hear();
            device.answer(seq, Response::Info(info(MAX_WIDTH)));
            let seq = device.hear();
            let on: Vec<u8> = (0..MAX_WIDTH).flat_map(|i| (i as u16 % 11).to_le_bytes()).collect();
            device.answer(seq, Response::Marginals { samples: 10, on: &on });
            let seq = device.hear();
            device.answer(seq, Response::Energy(UNITS));
        });
        let (_, shape) = client.info().unwrap();
        assert_eq!(shape.width(0), MAX_WIDTH);
        let bits = vec![0x5a; 4 * shape.layer_words(0)];
        let (known, visible) = (&bits[..], &bits[..]);
        let request = Request::Marginals { seed: 1, chain: 2, restarts: 3, burn_in: 4, samples: 10, known, visible };
        let p = client.marginals(&request).unwrap();
        assert_eq!((p.len(), p[0], p[10], p[12]), (MAX_WIDTH, 0.0, 1.0, 0.1));
        assert_eq!(client.energy(&vec![0; shape.words()]).unwrap(), UNITS);
        end(client, device);
    }
}
