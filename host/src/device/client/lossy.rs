//! Updates over a line that loses what a script says, to the core's own server in this process.

use std::{
    collections::VecDeque,
    io::{Read, Write},
    sync::{Arc, Mutex},
    thread::sleep,
};

use bitboltz_core::session::{Server, store::RamStore};

use super::*;
use crate::{eval::random::random_parameters, image::encode};

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Answered,
    /// It does not arrive.
    RequestLost,
    /// Its answer does not.
    AnswerLost,
    /// Its answer comes damaged.
    AnswerDamaged,
    /// The line breaks before it arrives, and after half of it is sent.
    CutBefore,
    /// The line breaks when it was done, and half of the answer is here.
    CutAfter,
}

type Device = Arc<Mutex<Server<'static, RamStore<'static>>>>;

/// A line to the device, up to its break.
struct Line<F> {
    device: Device,
    script: F,
    answers: VecDeque<u8>,
    broken: bool,
}

impl<F: FnMut(&Request<'_>) -> Fate> Line<F> {
    fn deliver(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut answer = Vec::new();
        let mut device = self.device.lock().unwrap();
        bytes.iter().for_each(|&byte| device.receive(byte, &mut |bytes| answer.extend_from_slice(bytes)));
        answer
    }

    fn fate(&mut self, frame: &[u8]) -> Fate {
        let mut buffer = vec![0; frame.len()];
        let mut receiver = Receiver::new(&mut buffer);
        for &byte in frame {
            // The leading zero is an empty frame, which is none.
            if let Some(Ok(message)) = receiver.push(byte) {
                return (self.script)(&frame::decode::<Call<'_>>(message).expect("a request").request);
            }
        }
        panic!("no request in {frame:02x?}");
    }
}

impl<F: FnMut(&Request<'_>) -> Fate> Write for Line<F> {
    /// Takes one request, as a client writes it.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.broken {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let fate = self.fate(bytes);
        match fate {
            Fate::RequestLost => {}
            Fate::CutBefore => {
                self.deliver(&bytes[..bytes.len() / 2]);
            }
            _ => {
                let mut answer = self.deliver(bytes);
                match fate {
                    Fate::AnswerLost => answer.clear(),
                    Fate::AnswerDamaged => answer[2] ^= 0x10,
                    Fate::CutAfter => answer.truncate(answer.len() / 2),
                    _ => {}
                }
                self.answers.extend(answer);
            }
        }
        self.broken = matches!(fate, Fate::CutBefore | Fate::CutAfter);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<F: FnMut(&Request<'_>) -> Fate> Read for Line<F> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if self.answers.is_empty() && !self.broken {
            sleep(Duration::from_millis(1));
            return Err(ErrorKind::TimedOut.into());
        }
        self.answers.read(bytes)
    }
}

fn image(seed: u64) -> Vec<u8> {
    let parameters = random_parameters(&[60, 20, 4], 1.0, 1.0, seed).unwrap();
    encode(&parameters.dbm().unwrap(), parameters.geometry()).unwrap()
}

fn crc(image: &[u8]) -> u32 {
    u32::from_le_bytes(*image.last_chunk().unwrap())
}

/// A device that runs this image, with room for another one.
fn device(image: &[u8]) -> Device {
    let weights = Box::leak(vec![u32::MAX; 8192].into_boxed_slice());
    bytemuck::cast_slice_mut::<u32, u8>(weights)[..image.len()].copy_from_slice(image);
    let arena = Box::leak(vec![0; 1024].into_boxed_slice());
    Arc::new(Mutex::new(Server::new(RamStore(weights), arena)))
}

fn running(device: &Device) -> u32 {
    device.lock().unwrap().image().unwrap().crc()
}

/// A client on a new line, whose requests fare as the script says.
fn client(device: &Device, script: impl FnMut(&Request<'_>) -> Fate + Send + 'static) -> Client {
    let line = Line { device: device.clone(), script, answers: VecDeque::new(), broken: false };
    let port = Port::Tcp("127.0.0.1:1".into());
    let (patience, received) = (Duration::from_millis(30), vec![0; INFO_BYTES]);
    Client { port, link: Box::new(line), patience, seq: first_number(), received }
}

/// The n-th request that is one of these, from 0, has this fate; all others are answered.
fn nth(n: usize, fate: Fate, wanted: impl Fn(&Request<'_>) -> bool + Send) -> impl FnMut(&Request<'_>) -> Fate + Send {
    let mut seen = 0;
    move |request| {
        if !wanted(request) {
            return Fate::Answered;
        }
        seen += 1;
        if seen == n + 1 { fate } else { Fate::Answered }
    }
}

const LOSSES: [Fate; 3] = [Fate::RequestLost, Fate::AnswerLost, Fate::AnswerDamaged];
const CUTS: [Fate; 2] = [Fate::CutBefore, Fate::CutAfter];

fn is_chunk(request: &Request<'_>) -> bool {
    matches!(request, Request::Chunk { .. })
}

fn is_commit(request: &Request<'_>) -> bool {
    *request == Request::Commit
}

#[test]
fn one_lost_request_or_answer_of_any_sort_does_not_matter() {
    let (old, new) = (image(1), image(2));
    type Which = fn(&Request<'_>) -> bool;
    let wanted: [(Which, usize); 4] = [
        (|request| matches!(request, Request::Update { .. }), 0),
        (is_chunk, 3),
        // An answer to it that is lost leaves a device that has begun no update when it is asked again.
        (is_commit, 0),
        (|request| *request == Request::Info, 0),
    ];
    for fate in LOSSES {
        for (wanted, n) in wanted {
            let device = device(&old);
            let info = client(&device, nth(n, fate, wanted)).update(&new, |_| {}).unwrap();
            assert_eq!((info.crc, running(&device)), (crc(&new), crc(&new)), "{fate:?}");
        }
    }
}

#[test]
fn a_line_that_loses_every_third_request_or_answer_is_slow_only() {
    let (old, new) = (image(1), image(2));
    for fate in LOSSES {
        let device = device(&old);
        let mut asked = 0;
        let mut script = move || {
            asked += 1;
            if asked % 3 == 0 { fate } else { Fate::Answered }
        };
        let mut steps = Vec::new();
        let info = client(&device, move |_| script()).update(&new, |offset| steps.push(offset)).unwrap();
        assert_eq!((info.crc, running(&device)), (crc(&new), crc(&new)), "{fate:?}");
        assert!(steps.is_sorted() && steps.len() > 10 && steps.last() == Some(&new.len()), "{steps:?}");
    }
}

#[test]
fn an_update_goes_on_over_a_new_line_where_the_old_one_broke() {
    let (old, new) = (image(1), image(2));
    for fate in CUTS {
        let device = device(&old);
        let mut steps = Vec::new();
        let error = client(&device, nth(5, fate, is_chunk)).update(&new, |offset| steps.push(offset)).unwrap_err();
        assert!(error.is_line(), "{fate:?}: {error}");
        assert_eq!(running(&device), crc(&old));
        let reached = *steps.last().unwrap();
        assert!(reached > 0 && reached < new.len());

        steps.clear();
        let info = client(&device, |_| Fate::Answered).update(&new, |offset| steps.push(offset)).unwrap();
        assert_eq!((info.crc, running(&device)), (crc(&new), crc(&new)), "{fate:?}");
        // The device may have stored a chunk whose answer was cut.
        let cut = steps[0];
        assert_eq!(cut > reached, fate == Fate::CutAfter, "{fate:?}: {cut}, {reached}");
        assert!(cut >= reached);
    }
}

#[test]
fn a_line_that_breaks_at_the_end_leaves_either_image_and_another_update_works() {
    let (old, new) = (image(1), image(2));
    for fate in CUTS {
        let device = device(&old);
        let error = client(&device, nth(0, fate, is_commit)).update(&new, |_| {}).unwrap_err();
        assert!(error.is_line(), "{fate:?}: {error}");
        assert_eq!(running(&device), crc(if fate == Fate::CutAfter { &new } else { &old }), "{fate:?}");
        let info = client(&device, |_| Fate::Answered).update(&new, |_| {}).unwrap();
        assert_eq!((info.crc, running(&device)), (crc(&new), crc(&new)), "{fate:?}");
    }
}

#[test]
fn a_line_that_loses_everything_is_told_and_the_old_image_stays() {
    let (old, new) = (image(1), image(2));
    for fate in LOSSES {
        let device = device(&old);
        let error = client(&device, move |_| fate).update(&new, |_| {}).unwrap_err();
        assert!(matches!(error, DeviceError::Silent { tries: TRIES, .. }), "{fate:?}: {error}");
        assert_eq!(running(&device), crc(&old));
    }
}
