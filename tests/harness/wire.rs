//! Both ends of a session: the core's own in this process, and `serve` in QEMU.

use bitboltz::device::Port;
use bitboltz_core::{
    connection::Connection,
    image::{CRC32, Image, ImageError},
    session::{
        Server, Session,
        frame::{BLOCK_BYTES, encode, frame_bytes},
        message::{Answer, Call, Request},
        store::Store,
    },
    weights::WeightKind,
    with_connection,
};
use std::io::{BufRead as _, BufReader, Write as _, copy};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;
use xtask::qemu::{Run, Running, Serial};

/// How long an answer may take. Far above what any needs: a loaded machine must not fail a test.
const PATIENCE: Duration = Duration::from_secs(60);

/// The frame of a request.
pub fn frame(seq: u32, request: Request<'_>) -> Vec<u8> {
    encoded(&Call { seq, request })
}

/// The frame of an answer, or of anything else that is encoded as one.
pub fn encoded<T: serde::Serialize>(message: &T) -> Vec<u8> {
    let mut frame = Vec::new();
    encode(message, &mut [0; BLOCK_BYTES], &mut |bytes| frame.extend_from_slice(bytes));
    frame
}

/// The frame of any message, sense or not: closed by its CRC, stuffed, ended by a zero.
///
/// # Panics
/// Never: the buffer is long enough.
pub fn framed(message: &[u8]) -> Vec<u8> {
    let body = [message, &CRC32.checksum(message).to_le_bytes()].concat();
    let mut frame = vec![0; frame_bytes(message.len())];
    let length = cobs::try_encode(&body, &mut frame).expect("room for stuffing");
    frame.truncate(length);
    frame.push(0);
    frame
}

/// The message in a frame, final zero included. The CRC is checked, and taken off.
///
/// # Panics
/// If it is no whole frame.
pub fn message(frame: &[u8]) -> Vec<u8> {
    let (zero, stuffed) = frame.split_last().expect("a frame");
    assert_eq!(*zero, 0, "no frame: {frame:02x?}");
    let mut bytes = stuffed.to_vec();
    let length = cobs::decode_in_place(&mut bytes).expect("stuffed bytes");
    let (message, crc) = bytes[..length].split_last_chunk::<4>().expect("a CRC");
    assert_eq!(CRC32.checksum(message), u32::from_le_bytes(*crc));
    message.to_vec()
}

/// Feeds bytes to a session and returns the messages of all frames that it sends.
///
/// # Panics
/// If it sends anything but whole, undamaged frames.
pub fn feed(session: &mut impl Receive, bytes: &[u8]) -> Vec<Vec<u8>> {
    bytes
        .iter()
        .filter_map(|&byte| {
            let frame = session.take(byte);
            (!frame.is_empty()).then(|| message(&frame))
        })
        .collect()
}

/// A session of either sort.
pub trait Receive {
    /// Takes a byte, and returns the frame that it is answered with, or nothing.
    fn take(&mut self, byte: u8) -> Vec<u8>;
}

impl<C: Connection> Receive for Session<'_, C> {
    fn take(&mut self, byte: u8) -> Vec<u8> {
        let mut frame = Vec::new();
        self.receive(byte, &mut |bytes| frame.extend_from_slice(bytes));
        frame
    }
}

impl<S: Store> Receive for Server<'_, S> {
    fn take(&mut self, byte: u8) -> Vec<u8> {
        let mut frame = Vec::new();
        self.receive(byte, &mut |bytes| frame.extend_from_slice(bytes));
        frame
    }
}

/// Reads what a frame answers and shows it to `see`.
///
/// # Panics
/// If it is no answer.
pub fn answer<T>(frame: &[u8], see: impl FnOnce(Answer<'_>) -> T) -> T {
    see(postcard::from_bytes(&message(frame)).expect("an answer"))
}

/// What the session over an image answers to each of `sent`, in this process: all frames of one after the other.
pub fn native(image: Result<Image<'_>, ImageError>, arena_bytes: usize, sent: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut arena = vec![0; arena_bytes / 4];
    let kind = image.as_ref().map_or(WeightKind::I8, Image::kind);
    with_connection!(kind, C => {
        let mut session = Session::<C<'_>>::new(image, &mut arena);
        let one = |bytes: &Vec<u8>| bytes.iter().flat_map(|&byte| session.take(byte)).collect();
        sent.iter().map(one).collect()
    })
}

/// Starts a program in QEMU that serves, and says where one client reaches it.
///
/// # Panics
/// If QEMU does not start.
pub fn reachable(run: Run) -> (Running, Port) {
    // Both sides come to listeners of this process, and what one says is passed on to the other: no port has to be free by luck.
    let [device, host] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port"));
    let address = |listener: &TcpListener| listener.local_addr().expect("its address").to_string();
    let serial = Serial::Connect(address(&device));
    let running = run.timeout(None).serial(serial).start().unwrap_or_else(|e| panic!("{e:#}"));
    let port = Port::Tcp(address(&host));
    thread::spawn(move || {
        let [(device, _), (host, _)] = [device, host].map(|side| side.accept().expect("a caller"));
        let back = [&host, &device].map(|side| side.try_clone().expect("a second handle"));
        thread::spawn(move || pass(back));
        pass([device, host]);
    });
    (running, port)
}

/// Passes on what the one says, until it hangs up: then the other is told.
fn pass([mut from, mut to]: [TcpStream; 2]) {
    to.set_nodelay(true).expect("an option");
    // A side that is gone has nothing more to say or to hear.
    drop(copy(&mut from, &mut to));
    drop(to.shutdown(Shutdown::Both));
}

/// A program in QEMU that serves, and its serial line.
pub struct Served {
    line: BufReader<TcpStream>,
    running: Running,
}

impl Served {
    /// Starts `run` and waits for the greeting.
    ///
    /// # Panics
    /// If QEMU does not start, or says nothing.
    pub fn start(run: Run) -> Self {
        // This side listens: a port that QEMU chose could be taken by then.
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address").to_string();
        let running = run.timeout(None).serial(Serial::Connect(address)).start().unwrap_or_else(|e| panic!("{e:#}"));
        let (line, _) = listener.accept().expect("QEMU connects");
        line.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let mut served = Self { line: BufReader::new(line), running };
        assert_eq!(served.frame(), [0], "the greeting");
        served
    }

    /// Sends bytes.
    ///
    /// # Panics
    /// If the line is closed.
    pub fn send(&mut self, bytes: &[u8]) {
        self.line.get_mut().write_all(bytes).expect("the line is open");
    }

    /// The next frame, its zero included; less at the end of the line.
    ///
    /// # Panics
    /// If nothing comes for a minute.
    pub fn frame(&mut self) -> Vec<u8> {
        let mut frame = Vec::new();
        self.line.read_until(0, &mut frame).expect("an answer in time");
        frame
    }

    /// The run itself. The line stays open as long as the result lives.
    pub fn running(&mut self) -> &mut Running {
        &mut self.running
    }

    /// Ends QEMU and returns what was still on the line.
    pub fn end(self) -> Vec<u8> {
        let Self { mut line, running } = self;
        drop(running);
        let mut rest = Vec::new();
        // A connection that is reset has no rest either.
        drop(std::io::Read::read_to_end(&mut line, &mut rest));
        rest
    }
}
