//! Both ends of a session: the core's own in this process, and `serve` in QEMU.

use bitboltz::device::Port;
use bitboltz_core::{
    image::{Image, ImageError},
    session::{Session, message::Answer},
    weights::WeightKind,
    with_connection,
};
use std::io::{BufRead as _, BufReader, Write as _, copy};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;
use xtask::qemu::{Run, Running, Serial};

pub use bitboltz_fuzz_bodies::frames::{Receive, encoded, feed, frame, framed, message};

/// How long an answer may take. Far above what any needs: a loaded machine must not fail a test.
const PATIENCE: Duration = Duration::from_secs(60);

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
