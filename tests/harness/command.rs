//! The `bitboltz` program, built once and run as a user runs it.

use std::{
    ffi::OsStr,
    io::Read,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::OnceLock,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use bitboltz::{checkpoint::Checkpoint, eval::random::random_parameters, npy, parameters::Parameters};
use bitboltz_core::image::Geometry;
use serde_json::Value;

/// How long a command of a test may take. Far above what any needs: a loaded machine must not fail a test.
pub const TIMEOUT: Duration = Duration::from_secs(120);

/// The program of a package of the workspace.
///
/// Built by the first call of a process; where another process has built it, cargo only looks.
///
/// # Panics
/// If it does not build.
fn build(name: &str, profile: &str) -> PathBuf {
    // The cargo that runs the tests; a test that is started by hand asks the one in the path.
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        // Of the whole workspace, as the tests: a package alone may get other features of its libraries, which would then be
        // built a second time.
        .args(["build", "--quiet", "--workspace", "--bin", name, "--profile", profile])
        .arg("--message-format=json-render-diagnostics")
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo starts");
    assert!(output.status.success(), "{name} did not build");
    // Cargo says where it put the program; its folder may be set in many ways.
    let messages = output.stdout.split(|&byte| byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
    let programs: Vec<PathBuf> = messages
        .filter(|message: &Value| message["target"]["name"] == name)
        .filter_map(|message| message["executable"].as_str().map(PathBuf::from))
        .collect();
    programs.into_iter().next_back().expect("cargo names the program")
}

/// The `bitboltz` program, with the profile that the test itself was built with: its libraries are there already.
///
/// # Panics
/// If it does not build.
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| build("bitboltz", if cfg!(debug_assertions) { "test" } else { "release" }))
}

/// The `cargo xtask` program, as that command builds it: who tests with it has it already.
///
/// # Panics
/// If it does not build.
pub fn xtask() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| build("xtask", "dev"))
}

/// `bitboltz` in a folder, without the data sets and settings of whoever runs the test; to be completed and started.
pub fn bitboltz(folder: &Path) -> Command {
    let mut command = Command::new(program());
    isolate(&mut command, folder);
    command
}

/// Runs a command in `folder`, away from the user's own data sets.
pub fn isolate(command: &mut Command, folder: &Path) {
    command.current_dir(folder).env("HOME", folder);
    for name in ["BITBOLTZ_DATA", "XDG_CACHE_HOME", "RAYON_NUM_THREADS", "RUST_BACKTRACE", "COLUMNS"] {
        command.env_remove(name);
    }
}

/// Runs `bitboltz` with these arguments in `folder` until it ends.
///
/// # Panics
/// If it does not start, or does not end within [`TIMEOUT`].
pub fn run<A: AsRef<OsStr>>(folder: &Path, arguments: &[A]) -> Outcome {
    let mut command = bitboltz(folder);
    command.args(arguments);
    Running::start(command).wait()
}

/// [`run`] with arguments that are separated by spaces.
///
/// # Panics
/// As [`run`].
pub fn line(folder: &Path, arguments: &str) -> Outcome {
    run(folder, &arguments.split_whitespace().collect::<Vec<_>>())
}

/// A program that was started. What it prints is read all the while. Killed when dropped.
pub struct Running {
    child: Child,
    said: Option<[JoinHandle<Vec<u8>>; 2]>,
    command: String,
}

impl Running {
    /// Starts a command.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start(mut command: Command) -> Self {
        let name = format!("{command:?}");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{name}: {error}"));
        let said = [reader(child.stdout.take().expect("piped")), reader(child.stderr.take().expect("piped"))];
        Self { child, said: Some(said), command: name }
    }

    /// The process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends the process where it stands (SIGKILL on Unix).
    pub fn kill(&mut self) {
        // An error is a process that has ended already.
        let _ = self.child.kill();
    }

    /// Whether it has ended.
    ///
    /// # Panics
    /// If the system does not say.
    pub fn ended(&mut self) -> bool {
        self.child.try_wait().expect("the system says").is_some()
    }

    /// Waits for the end.
    ///
    /// # Panics
    /// If that takes longer than [`TIMEOUT`].
    pub fn wait(mut self) -> Outcome {
        let begin = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("the system says") {
                break status;
            }
            assert!(begin.elapsed() < TIMEOUT, "{}: did not end within {TIMEOUT:?}", self.command);
            thread::sleep(Duration::from_millis(3));
        };
        let [stdout, stderr] =
            self.said.take().expect("waits once").map(|reader| reader.join().expect("reads to the end"));
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Outcome { command: self.command.clone(), status, stdout: text(stdout), stderr: text(stderr) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
        let _ = self.child.wait();
    }
}

fn reader(mut from: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What came before an error is all there is.
        let _ = from.read_to_end(&mut bytes);
        bytes
    })
}

/// How a program ended, and what it said.
#[derive(Debug)]
pub struct Outcome {
    command: String,
    /// How it ended.
    pub status: ExitStatus,
    /// Answers.
    pub stdout: String,
    /// Progress and errors.
    pub stderr: String,
}

impl Outcome {
    /// Its standard output, if it ended well.
    ///
    /// # Panics
    /// If it did not.
    #[track_caller]
    pub fn ok(&self) -> &str {
        assert_eq!(self.status.code(), Some(0), "{}\n{}\n{}", self.command, self.stdout, self.stderr);
        assert!(!self.stderr.contains("error:") && !self.stderr.contains("panicked"), "{}", self.stderr);
        &self.stdout
    }

    /// The JSON that its standard output is, if it ended well.
    ///
    /// # Panics
    /// If it did not, or printed anything else.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(self.ok()).unwrap_or_else(|error| panic!("{}: {error}\n{}", self.command, self.stdout))
    }

    /// A failure: exit code 1, no answer, and exactly one line on standard error, which holds all of these words.
    ///
    /// # Panics
    /// If it is anything else.
    #[track_caller]
    pub fn fails(&self, words: &[&str]) {
        assert_eq!(self.stderr.lines().count(), 1, "{}\n{}", self.command, self.stderr);
        self.fails_late(words);
    }

    /// [`fails`](Self::fails) with lines of progress before the error.
    ///
    /// # Panics
    /// If it is anything else.
    #[track_caller]
    pub fn fails_late(&self, words: &[&str]) {
        assert_eq!(self.status.code(), Some(1), "{}\n{}\n{}", self.command, self.stdout, self.stderr);
        assert_eq!(self.stdout, "", "{}", self.command);
        let last = self.stderr.lines().next_back().unwrap_or_default();
        assert!(last.starts_with("error: "), "{}\n{}", self.command, self.stderr);
        for word in words {
            assert!(last.contains(word), "{}\n{last}\ndoes not say {word:?}", self.command);
        }
    }

    /// An error of usage: exit code 2, no answer, and a standard error that holds all of these words.
    ///
    /// # Panics
    /// If it is anything else.
    #[track_caller]
    pub fn misused(&self, words: &[&str]) {
        assert_eq!(self.status.code(), Some(2), "{}\n{}\n{}", self.command, self.stdout, self.stderr);
        assert_eq!(self.stdout, "", "{}", self.command);
        assert!(self.stderr.starts_with("error: "), "{}\n{}", self.command, self.stderr);
        for word in words {
            assert!(self.stderr.contains(word), "{}\n{}\ndoes not say {word:?}", self.command, self.stderr);
        }
    }
}

/// Width and height of a PNG file.
///
/// # Panics
/// If it is none.
#[track_caller]
pub fn png_size(path: &Path) -> (u32, u32) {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(bytes.starts_with(b"\x89PNG\r\n\x1a\n"), "{}: no PNG", path.display());
    let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
    (number(16), number(20))
}

/// A random model of 28 × 28 pixels, small and quick, as a checkpoint `m.safetensors` in the folder.
///
/// # Panics
/// If it cannot be written.
pub fn digits_model(folder: &Path) -> PathBuf {
    let geometry = Geometry { width: 28, height: 28, channels: 1, bits: 1 };
    let random = random_parameters(&[784, 24, 9], 0.2, 0.2, 1).expect("a shape");
    let (weights, biases) = (random.weights().to_vec(), random.biases().to_vec());
    save(&folder.join("m.safetensors"), Parameters::new(weights, biases, geometry).expect("finite"))
}

/// Writes parameters as a checkpoint without a training record.
///
/// # Panics
/// If it cannot be written.
pub fn save(path: &Path, parameters: Parameters) -> PathBuf {
    Checkpoint { parameters, training: None }.save(path).expect("a checkpoint can be written");
    path.to_owned()
}

/// Twelve patterned images of 4 × 4 pixels, as `data.npy` in the folder: a data set that trains in no time.
///
/// # Panics
/// If it cannot be written.
pub fn small_data(folder: &Path) {
    let pixels: Vec<u8> =
        (0..12 * 16).map(|at| u8::from(at / 16 % 4 == at % 4 || at / 16 % 3 == at % 16 / 4)).collect();
    npy::write_u8(&folder.join("data.npy"), 12, 16, &pixels).expect("data can be written");
}
