//! The way to the board and back works: the image arrives, the programs do their work, the log and the exit code return, and
//! failing is noticed.

use bitboltz::image::AlignedBytes;
use bitboltz_core::{
    session::message::{Request, Response},
    weights::WeightKind,
};
use bitboltz_tests::{
    firmware::{programs, run},
    images,
    wire::{self, Served, frame},
};
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

/// Hash and visible bytes of the state that the desktop answers.
fn state(image: &AlignedBytes, request: Request<'_>) -> (u32, Vec<u8>) {
    let frames = wire::native(image.image(), 1 << 20, &[frame(1, request)]);
    wire::answer(&frames[0], |answer| match answer.response {
        Response::State { hash, visible, .. } => (hash, visible.to_vec()),
        other => panic!("{other:?}"),
    })
}

/// A picture of 28 × 28 pixels as the programs draw it.
fn picture(visible: &[u8]) -> Vec<String> {
    let on = |unit: usize| visible[unit / 8] >> (unit % 8) & 1 == 1;
    (0..28).map(|y| (0..28).map(|x| if on(28 * y + x) { '#' } else { '.' }).collect()).collect()
}

/// The lines after the one that begins with `what` and has this hash.
fn drawn<'o>(outcome: &'o Outcome, what: &str, hash: u32) -> Vec<&'o str> {
    let hash = format!("hash {hash:08x}");
    let mut lines = outcome.log.iter().map(|line| line.text.as_str());
    let found = lines.any(|line| line.starts_with(what) && line.ends_with(&hash));
    assert!(found, "no {what} with {hash}: {}", outcome.text());
    lines.take(28).collect()
}

#[test]
fn sample_draws_what_the_desktop_samples() {
    let bytes = images::board(WeightKind::I8, 1);
    let image = AlignedBytes::new(&bytes);
    let file = images::file(&bytes);
    let outcome = finish(run("sample").image(file.path()).start());
    assert_eq!(outcome.exit, 0, "{}", outcome.text());

    let first = &outcome.log[0];
    assert_eq!((first.source, first.level), (Source::Program, "info"));
    let crc = format!("CRC {:08x}", image.image().unwrap().crc());
    assert!(first.text.contains("layers [784, 48, 24]") && first.text.contains(&crc), "{first}");
    let location = first.location.as_deref().unwrap();
    assert!(location.contains("model.rs:"), "{location}");

    for chain in 0..4 {
        for (sweeps, what) in [(0, "mode:"), (1, "sample:")] {
            let (hash, visible) = state(&image, Request::Sample { seed: 0, chain, sweeps });
            assert_eq!(drawn(&outcome, what, hash), picture(&visible));
        }
    }
}

#[test]
fn inpaint_restores_what_the_desktop_restores_and_counts_the_same_every_time() {
    let bytes = images::board(WeightKind::I8, 1);
    let image = AlignedBytes::new(&bytes);
    let file = images::file(&bytes);
    let outcome = finish(run("inpaint").image(file.path()).icount(true).start());
    assert_eq!(outcome.exit, 0, "{}", outcome.text());
    println!("{}", outcome.text());

    let (hash, original) = state(&image, Request::Sample { seed: 0, chain: 0, sweeps: 0 });
    assert_eq!(drawn(&outcome, "original:", hash), picture(&original));
    let known: Vec<u8> = (0..98usize)
        .map(|byte| (0..8).fold(0, |all, bit| all | u8::from((8 * byte + bit) % 28 >= 14) << bit))
        .collect();
    // Padded to words, as states travel.
    let known = [&known[..], &[0; 2]].concat();
    let request = Request::Inpaint { seed: 0, chain: 1, restarts: 8, sweeps: 0, known: &known, visible: &original };
    let (hash, restored) = state(&image, request);
    assert_eq!(drawn(&outcome, "restored:", hash), picture(&restored));
    let wrong: u32 = original.iter().zip(&restored).map(|(a, b)| (a ^ b).count_ones()).sum();
    let share = format!("{} of 392 hidden units as in the original", 392 - wrong);
    assert!(outcome.text().contains(&share), "{}", outcome.text());

    let last = outcome.log.last().unwrap();
    assert!(last.text.starts_with("took ") && last.text.ends_with(" ticks"), "{last}");
    let again = finish(run("inpaint").image(file.path()).icount(true).start());
    assert_eq!(outcome.text(), again.text());
}

#[test]
fn a_panic_is_a_failure_with_its_place() {
    let outcome = finish(run("panic").start());
    assert_eq!(outcome.exit, 101, "{}", outcome.text());
    let last = outcome.log.last().unwrap();
    assert_eq!(last.level, "error");
    assert_eq!(last.text, "PANIC at tests/panic.rs:10");
}

#[test]
fn a_hard_fault_is_a_failure() {
    let outcome = finish(run("fault").start());
    assert_eq!(outcome.exit, 102, "{}", outcome.text());
    // Where it was is read off the stack, which the handler must not have overwritten.
    let last = &outcome.log.last().unwrap().text;
    let at = last.strip_prefix("HARD FAULT at 0x").and_then(|rest| rest.split_once(", called from 0x"));
    let (at, from) = at.unwrap_or_else(|| panic!("{last}"));
    let flash = programs().0.memory().unwrap().flash;
    for address in [at, from].map(|digits| u64::from_str_radix(digits, 16).unwrap()) {
        assert!((flash.address..flash.address + flash.length).contains(&address), "{last}");
    }
}

#[test]
fn a_program_without_end_is_ended() {
    let timeout = Duration::from_secs(1);
    let outcome = finish(run("serve").timeout(Some(timeout)).start());
    assert_eq!(outcome.exit, TIMED_OUT, "{}", outcome.text());
}

#[test]
fn a_run_that_is_dropped_takes_qemu_along() {
    let served = Served::start(run("serve"));
    let begin = Instant::now();
    // The line closes with the process that held it.
    assert!(served.end().is_empty());
    assert!(begin.elapsed() < Duration::from_secs(20));
}

#[test]
fn an_image_beyond_the_region_is_refused() {
    let (_, firmware) = programs();
    let region = elf::regions(firmware.elf("sample").unwrap()).unwrap().weights;
    let large = tempfile::NamedTempFile::new().unwrap();
    large.as_file().set_len(region.length + 1).unwrap();
    let error = run("sample").image(large.path()).start().err().unwrap();
    let error = format!("{error:#}");
    assert!(error.contains(&region.length.to_string()), "{error}");
}

#[test]
fn the_linker_and_xtask_read_the_same_memory_map() {
    let (board, firmware) = programs();
    let memory = board.memory().unwrap();
    for program in &firmware.programs {
        let regions = elf::regions(&program.elf).unwrap();
        assert_eq!((regions.weights, regions.arena), (memory.weights, memory.arena), "{}", program.name);
        let size = elf::size(&program.elf).unwrap();
        assert!(size.flash <= memory.flash.length && size.ram <= memory.ram.length, "{}: {size:?}", program.name);
    }
}

#[test]
fn qemu_may_listen_too() {
    // Free a moment ago: the command line's way, good enough for one try.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let running = run("serve").serial(format!("tcp:{address}").parse::<Serial>().unwrap()).start().unwrap();
    let begin = Instant::now();
    let connect = || loop {
        match TcpStream::connect(address) {
            Ok(serial) => break serial,
            Err(error) if begin.elapsed() > Duration::from_secs(20) => panic!("{error}"),
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    };
    // One caller after the other; only the first hears the greeting.
    for (seq, greeting) in [(1, &[0][..]), (2, &[])] {
        let mut serial = connect();
        serial.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        serial.write_all(&[&[0][..], &frame(seq, Request::Info)].concat()).unwrap();
        let mut line = BufReader::new(serial);
        let mut heard = Vec::new();
        if !greeting.is_empty() {
            line.read_until(0, &mut heard).unwrap();
        }
        assert_eq!(heard, greeting);
        heard.clear();
        line.read_until(0, &mut heard).unwrap();
        wire::answer(&heard, |answer| assert_eq!(answer.seq, seq));
    }
    drop(running);
}
