//! The way to the board and back works: the image arrives, the log and the exit code return, and failing is noticed.

use bitboltz_tests::firmware::{programs, run};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};
use xtask::elf;
use xtask::log::Source;
use xtask::qemu::{Outcome, Running, Serial, TIMED_OUT};

fn finish(running: anyhow::Result<Running>) -> Outcome {
    running.and_then(Running::wait).unwrap()
}

/// A file of these bytes, for QEMU's loader.
fn image(bytes: &[u8]) -> tempfile::NamedTempFile {
    // The comma must survive QEMU's grammar.
    let mut file = tempfile::Builder::new().prefix("image,").tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

#[test]
fn the_image_reaches_the_program() {
    let image = image(b"\x01\x02\x03bitboltz\xff");
    let outcome = finish(run("sample").image(image.path()).start());
    assert_eq!(outcome.exit, 0, "{}", outcome.text());
    let first = &outcome.log[0];
    assert_eq!((first.source, first.level), (Source::Program, "info"));
    // What the file does not fill is zero.
    let bytes = "[1, 2, 3, 98, 105, 116, 98, 111, 108, 116, 122, 255, 0, 0, 0, 0]";
    assert!(first.text.contains(bytes), "{}", first.text);
    let location = first.location.as_deref().unwrap();
    assert!(location.contains("sample.rs:"), "{location}");
}

#[test]
fn a_panic_is_a_failure_with_its_message() {
    let outcome = finish(run("panic").start());
    assert_eq!(outcome.exit, 101, "{}", outcome.text());
    let last = outcome.log.last().unwrap();
    assert_eq!(last.level, "error");
    assert!(last.text.contains("tests/panic.rs"), "{}", last.text);
    assert!(last.text.contains("on purpose"), "{}", last.text);
}

#[test]
fn a_hard_fault_is_a_failure() {
    let outcome = finish(run("fault").start());
    assert_eq!(outcome.exit, 102, "{}", outcome.text());
    assert!(outcome.text().contains("HARD FAULT"), "{}", outcome.text());
}

#[test]
fn a_program_without_end_is_ended() {
    let timeout = Duration::from_secs(1);
    let outcome = finish(run("serve").timeout(Some(timeout)).start());
    assert_eq!(outcome.exit, TIMED_OUT, "{}", outcome.text());
}

#[test]
fn a_run_that_is_dropped_takes_qemu_along() {
    let (serial, running) = served();
    drop(running);
    // The socket closes with the process that held it.
    let mut rest = Vec::new();
    let mut serial = BufReader::new(serial);
    assert_eq!(serial.read_until(0, &mut rest).unwrap(), 0);
}

#[test]
fn an_image_beyond_the_region_is_refused() {
    let (_, firmware) = programs();
    let region = elf::weights(firmware.elf("sample").unwrap()).unwrap();
    let large = tempfile::NamedTempFile::new().unwrap();
    large.as_file().set_len(region.length + 1).unwrap();
    let error = run("sample").image(large.path()).start().err().unwrap();
    let error = format!("{error:#}");
    assert!(error.contains(&region.length.to_string()), "{error}");
}

#[test]
fn frames_go_over_the_serial_line_and_back() {
    let (serial, running) = served();
    let mut answers = BufReader::new(serial.try_clone().unwrap());
    let mut requests = serial;
    for request in [&b"hello"[..], &[0xff; 200], b"x"] {
        requests.write_all(request).unwrap();
        requests.write_all(&[0]).unwrap();
        let mut answer = Vec::new();
        answers.read_until(0, &mut answer).unwrap();
        assert_eq!(answer.split_last().unwrap(), (&0, request));
    }
    requests.write_all(&[0]).unwrap();
    let outcome = finish(Ok(running));
    assert_eq!(outcome.exit, 0, "{}", outcome.text());
}

#[test]
fn qemu_may_listen_too() {
    // Free a moment ago: the command line's way, good enough for one try.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let running = run("serve").serial(format!("tcp:{address}").parse::<Serial>().unwrap()).start().unwrap();
    let begin = Instant::now();
    let mut serial = loop {
        match TcpStream::connect(address) {
            Ok(serial) => break serial,
            Err(error) if begin.elapsed() > Duration::from_secs(20) => panic!("{error}"),
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    };
    serial.write_all(&[0]).unwrap();
    assert_eq!(finish(Ok(running)).exit, 0);
}

/// `serve` at work, and its serial line, greeting received.
fn served() -> (TcpStream, Running) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let running = run("serve").serial(Serial::Connect(address)).start().unwrap();
    let (serial, _) = listener.accept().unwrap();
    serial.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut greeting = Vec::new();
    BufReader::new(&serial).read_until(0, &mut greeting).unwrap();
    assert_eq!(greeting, [0]);
    (serial, running)
}
