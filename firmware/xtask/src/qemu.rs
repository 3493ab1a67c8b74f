//! Runs a program in QEMU.
//!
//! [`Run`] says what to run, [`Running`] is a QEMU at work, and [`Outcome`] what came of it. A `Running` that is dropped
//! takes its QEMU with it.

use crate::bank;
use crate::board::Board;
use crate::elf;
use crate::log::{Decoder, Line};
use anyhow::{Context, Result};
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::str::FromStr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// The exit code of a run that was ended by its timeout, as `timeout(1)` has it.
pub const TIMED_OUT: i32 = 124;

/// How long a run may take unless told otherwise.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(120);

/// The other end of the board's serial line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Serial {
    /// Nothing: what is sent is lost.
    None,
    /// QEMU listens on `HOST:PORT`, and the program starts when somebody has connected.
    Listen(String),
    /// QEMU connects to `HOST:PORT`, where somebody listens already. Needs no port that is free by luck: bind to port 0,
    /// and pass the address on.
    Connect(String),
}

impl Serial {
    fn argument(&self) -> String {
        match self {
            Self::None => "null".into(),
            Self::Listen(address) => format!("tcp:{address},server=on,wait=on,nodelay=on"),
            Self::Connect(address) => format!("tcp:{address},nodelay=on"),
        }
    }
}

/// `tcp:HOST:PORT`, the form of the command line: QEMU listens.
impl FromStr for Serial {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let address = text.strip_prefix("tcp:").ok_or("expected tcp:HOST:PORT")?;
        let (host, port) = address.rsplit_once(':').ok_or("expected tcp:HOST:PORT")?;
        // A comma would start an option of QEMU's.
        if host.is_empty() || host.contains(',') || port.parse::<u16>().is_err() {
            return Err("expected tcp:HOST:PORT".into());
        }
        Ok(Self::Listen(address.into()))
    }
}

/// A run to be.
#[derive(Clone, Debug)]
pub struct Run {
    board: Board,
    elf: PathBuf,
    image: Option<PathBuf>,
    flash: Option<PathBuf>,
    protected: bool,
    serial: Serial,
    icount: bool,
    timeout: Option<Duration>,
}

impl Run {
    /// The program in `elf` on `board`: no image, no serial line, [`DEFAULT_TIMEOUT`].
    #[must_use]
    pub fn new(board: &Board, elf: impl Into<PathBuf>) -> Self {
        Self {
            board: board.clone(),
            elf: elf.into(),
            image: None,
            flash: None,
            protected: false,
            serial: Serial::None,
            icount: false,
            timeout: Some(DEFAULT_TIMEOUT),
        }
    }

    /// Loads the file at `path` into the board's weights region, which is zero otherwise.
    #[must_use]
    pub fn image(mut self, path: impl Into<PathBuf>) -> Self {
        self.image = Some(path.into());
        self
    }

    /// Keeps the board's flash in the file at `path`, beyond the end of the run. Without an image the file stays as it is, or is
    /// made, erased; with one it holds that and nothing else.
    #[must_use]
    pub fn flash(mut self, path: impl Into<PathBuf>) -> Self {
        self.flash = Some(path.into());
        self
    }

    /// Lets the flash in a file refuse to be erased or written, as if its write protection were on.
    #[must_use]
    pub fn protected(mut self) -> Self {
        self.protected = true;
        self
    }

    /// Connects the board's serial line.
    #[must_use]
    pub fn serial(mut self, serial: Serial) -> Self {
        self.serial = serial;
        self
    }

    /// Lets QEMU's clock count instructions, a nanosecond each, instead of the time: what a program measures is then the
    /// same in every run.
    #[must_use]
    pub fn icount(mut self, icount: bool) -> Self {
        self.icount = icount;
        self
    }

    /// Ends the run after `timeout`, or never.
    #[must_use]
    pub fn timeout(mut self, timeout: Option<Duration>) -> Self {
        self.timeout = timeout;
        self
    }

    /// Starts QEMU.
    pub fn start(self) -> Result<Running> {
        let decoder = Decoder::new(&self.elf)?;
        let mut child = self.command()?.spawn().with_context(|| {
            let system = self.board.qemu.as_ref().map_or("QEMU", |qemu| &qemu.system);
            format!("{system} does not start: run `cargo xtask setup`")
        })?;

        let (sender, lines) = channel();
        let stdout = child.stdout.take().expect("stdout is piped");
        let stderr = child.stderr.take().expect("stderr is piped");
        thread::spawn({
            let sender = sender.clone();
            move || decode(&decoder, stdout, &sender)
        });
        thread::spawn(move || relay(stderr, &sender));

        Ok(Running {
            child,
            lines,
            log: Vec::new(),
            deadline: self.timeout.map(|timeout| Instant::now() + timeout),
            timed_out: false,
        })
    }

    fn command(&self) -> Result<Command> {
        let qemu = self.board.qemu()?;
        let mut command = Command::new(&qemu.system);
        command
            .args(&qemu.arguments)
            .args(["-display", "none", "-monitor", "none"])
            .args(["-semihosting-config", "enable=on,target=native"])
            .args(["-serial", &self.serial.argument()]);
        if qemu.flash.is_some() {
            // Where its flash is a file, QEMU leaves a kernel to a firmware in there. So it gets none: it starts at the RAM's
            // begin, as without such a file.
            command.args(["-device", &format!("loader,file={}", bank::value(&self.elf)?)]);
        } else {
            command.arg("-kernel").arg(&self.elf);
        }
        if self.icount {
            command.args(["-icount", "shift=0"]);
        }
        if let Some(image) = &self.image {
            elf::regions(&self.elf)?.check(image)?;
        }
        match (&self.flash, &self.image) {
            (Some(flash), image) => {
                let bank =
                    qemu.flash.with_context(|| format!("QEMU keeps no flash of {} in a file", self.board.name))?;
                bank.prepare(flash, image.as_deref())?;
                let protection = if self.protected { ",readonly=on" } else { "" };
                command.args(["-drive", &(bank.drive(flash)? + protection)]);
            }
            (None, Some(image)) => {
                let address = elf::regions(&self.elf)?.weights.address;
                let image = bank::value(image)?;
                command.args(["-device", &format!("loader,file={image},addr={address:#x},force-raw=on")]);
            }
            (None, None) => {}
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(command)
    }
}

fn decode(decoder: &Decoder, stdout: impl Read, sender: &Sender<Line>) {
    // A receiver that is gone is a run that was dropped: nobody wants the rest.
    let result = decoder.run(stdout, |line| drop(sender.send(line)));
    if let Err(error) = result {
        drop(sender.send(Line::of_qemu(format!("the log ended early: {error}"))));
    }
}

fn relay(stderr: impl Read, sender: &Sender<Line>) {
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        drop(sender.send(Line::of_qemu(line)));
    }
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The program's exit code; [`TIMED_OUT`] if it had to be ended; 128 + n if signal n ended QEMU.
    pub exit: i32,
    /// All lines, in the order in which they came.
    pub log: Vec<Line>,
}

impl Outcome {
    /// The log as text, a line each: for an assertion's message.
    #[must_use]
    pub fn text(&self) -> String {
        self.log.iter().map(|line| format!("{line}\n")).collect()
    }
}

/// A QEMU at work. It ends when this is dropped.
pub struct Running {
    child: Child,
    lines: Receiver<Line>,
    log: Vec<Line>,
    deadline: Option<Instant>,
    timed_out: bool,
}

impl Running {
    /// Waits for the next line; nothing once the run has ended or its time is up.
    pub fn next_line(&mut self) -> Option<Line> {
        let line = match self.deadline {
            None => self.lines.recv().ok()?,
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                match self.lines.recv_timeout(left) {
                    Ok(line) => line,
                    Err(RecvTimeoutError::Disconnected) => return None,
                    Err(RecvTimeoutError::Timeout) => {
                        self.timed_out = true;
                        // Fails only if it ended by itself just now.
                        drop(self.child.kill());
                        return None;
                    }
                }
            }
        };
        self.log.push(line.clone());
        Some(line)
    }

    /// The lines as they come, to the end of the run.
    pub fn lines(&mut self) -> impl Iterator<Item = Line> + '_ {
        std::iter::from_fn(|| self.next_line())
    }

    /// Waits for the end of the run.
    pub fn wait(mut self) -> Result<Outcome> {
        while self.next_line().is_some() {}
        // Both streams have closed, or QEMU was killed: it ends now.
        let status = self.child.wait()?;
        // What was under way when the time was up.
        while let Ok(line) = self.lines.recv() {
            self.log.push(line);
        }
        Ok(Outcome {
            exit: if self.timed_out { TIMED_OUT } else { exit_code(status) },
            log: std::mem::take(&mut self.log),
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Neither can do anything but nothing to a child that has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn exit_code(status: ExitStatus) -> i32 {
    #[cfg(unix)]
    {
        use std::os::unix::process::ExitStatusExt;
        if let Some(signal) = status.signal() {
            return 128 + signal;
        }
    }
    status.code().unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serial_lines_are_tcp_addresses() {
        assert_eq!("tcp:127.0.0.1:4000".parse(), Ok(Serial::Listen("127.0.0.1:4000".into())));
        for wrong in ["127.0.0.1:4000", "tcp:4000", "tcp::1", "tcp:host:port", "tcp:a,server=off:1"] {
            assert!(wrong.parse::<Serial>().is_err(), "{wrong}");
        }
    }
}
