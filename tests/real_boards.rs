//! Boards of hardware, which no test here can flash: what can be known of their programs without.
//!
//! Of every one: the linked programs lie where the chip has memory, begin as the chip wants it, leave the weights region alone,
//! and cannot run into semihosting without a debugger. Two of them have a sibling in QEMU with the same registers. There their own
//! programs run, and their log is read from RAM as a probe would.

use bitboltz::image::AlignedBytes;
use bitboltz_core::session::message::Request;
use bitboltz_tests::{
    firmware::TIMEOUT,
    images,
    monitor::{self, Monitor},
    wire::{self, Served, frame},
};
use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};
use xtask::board::{self, Board, Qemu, Region};
use xtask::build::{Firmware, build};
use xtask::elf::{self, Segment};
use xtask::log::{Decoder, Line};
use xtask::qemu::Run;
use xtask::tables;

/// What the chip of a board has, from its data sheet.
struct Chip {
    board: &'static str,
    flash: Region,
    ram: Region,
    start: Start,
}

/// What a chip's flash begins with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Start {
    /// Vectors.
    Arm,
    /// Vectors, and within 4 KiB an image definition that names Arm.
    Rp2350Arm,
    /// Within 4 KiB an image definition that names RISC-V and the entry.
    Rp2350RiscV,
}

const fn region(address: u64, kib: u64) -> Region {
    Region { address, length: kib << 10 }
}

const CHIPS: [Chip; 5] = [
    Chip { board: "microbit-v1", flash: region(0, 256), ram: region(0x2000_0000, 16), start: Start::Arm },
    Chip { board: "nrf52840dk", flash: region(0, 1024), ram: region(0x2000_0000, 256), start: Start::Arm },
    Chip { board: "pico2", flash: region(0x1000_0000, 4096), ram: region(0x2000_0000, 512), start: Start::Rp2350Arm },
    Chip {
        board: "pico2-riscv",
        flash: region(0x1000_0000, 4096),
        ram: region(0x2000_0000, 512),
        start: Start::Rp2350RiscV,
    },
    Chip {
        board: "stm32f4discovery",
        flash: region(0x0800_0000, 1024),
        ram: region(0x2000_0000, 128),
        start: Start::Arm,
    },
];

fn within(outer: Region, address: u64, length: u64) -> bool {
    address >= outer.address && address + length <= outer.address + outer.length
}

fn built(name: &str) -> (Board, Firmware) {
    let board = Board::load(name).unwrap();
    let firmware = build(&board).unwrap_or_else(|error| panic!("{error:#}"));
    (board, firmware)
}

#[test]
fn no_board_that_a_probe_reaches_is_left_out() {
    let probed = board::names().unwrap().into_iter().filter(|name| Board::load(name).unwrap().probe.is_some());
    assert!(probed.eq(CHIPS.iter().map(|chip| chip.board)));
}

/// All that is asked of a board's programs.
fn lies_right(name: &str) {
    let chip = CHIPS.iter().find(|chip| chip.board == name).unwrap();
    let (board, firmware) = built(name);
    let memory = board.memory().unwrap();
    for part in [memory.flash, memory.weights] {
        assert!(within(chip.flash, part.address, part.length), "{name}: {part:x?}");
    }
    for part in [memory.stack, memory.ram, memory.arena] {
        assert!(within(chip.ram, part.address, part.length), "{name}: {part:x?}");
    }
    for program in &firmware.programs {
        let what = format!("{name}, {}", program.name);
        let regions = elf::regions(&program.elf).unwrap();
        let expected = elf::Regions { weights: memory.weights, arena: memory.arena, stack: memory.stack };
        assert_eq!(regions, expected, "{what}");

        let segments = elf::segments(&program.elf).unwrap();
        assert!(segments.iter().any(|segment| segment.executable), "{what}");
        for segment in &segments {
            let written = segment.bytes.len() as u64;
            let at = (segment.load, segment.address, segment.length);
            assert!(written == 0 || within(memory.flash, segment.load, written), "{what}: {at:x?}");
            let homes = [memory.flash, memory.ram, memory.stack];
            assert!(
                homes.iter().any(|&home| within(home, segment.address, segment.length)),
                "{what}: {at:x?} lies elsewhere"
            );
        }
        starts(chip, &memory, &segments, &program.elf);

        let ring = elf::find(&program.elf, |name| name == "_SEGGER_RTT").unwrap();
        assert!(ring.len() == 1 && within(memory.ram, ring[0].address, 48), "{what}: {ring:x?}");
        breaks_for_a_debugger_only(&board.target, &segments, &program.elf);
    }
}

/// The bytes that a programmer writes, from `address` on.
fn written(segments: &[Segment], address: u64) -> &[u8] {
    let holds =
        |segment: &&Segment| within(Region { address: segment.load, length: segment.bytes.len() as u64 }, address, 1);
    let segment = segments.iter().find(holds).expect("something is written there");
    &segment.bytes[(address - segment.load) as usize..]
}

fn words(bytes: &[u8]) -> impl Iterator<Item = u32> {
    bytes.chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().unwrap()))
}

/// The program begins as the chip's boot wants it.
fn starts(chip: &Chip, memory: &board::Memory, segments: &[Segment], elf: &Path) {
    let what = elf.display();
    let first = written(segments, chip.flash.address);
    let stack = memory.stack.address + memory.stack.length;
    if chip.start != Start::Rp2350RiscV {
        let [pointer, reset, ..] = words(first).collect::<Vec<_>>()[..] else { panic!("{what}: no vectors") };
        assert_eq!(u64::from(pointer), stack, "{what}");
        let reset = u64::from(reset);
        let code = segments.iter().find(|segment| segment.executable).unwrap();
        assert!(reset & 1 == 1 && within(Region { address: code.address, length: code.length }, reset, 1), "{what}");
    }
    if chip.start != Start::Arm {
        let found: Vec<u32> = words(&first[..first.len().min(4096)]).collect();
        let begin = found.iter().position(|&word| word == 0xFFFF_DED3).expect("an image definition");
        let definition = &found[begin..];
        let entry = elf::find(elf, |name| name == "_start").unwrap();
        if chip.start == Start::Rp2350Arm {
            assert_eq!(definition[..5], [0xFFFF_DED3, 0x1021_0142, 0x0000_01FF, 0, 0xAB12_3579], "{what}");
        } else {
            let [start, top] = [definition[3], definition[4]].map(u64::from);
            assert!(entry.iter().any(|symbol| symbol.address == start) && top == stack, "{what}: {definition:x?}");
            assert_eq!(definition[..3], [0xFFFF_DED3, 0x1101_0142, 0x0000_0344], "{what}");
            assert_eq!(definition[5..8], [0x0000_04FF, 0, 0xAB12_3579], "{what}");
        }
    }
}

/// Without a debugger the breakpoint that is semihosting's call would be a fault. Where a program can see whether there is one, the
/// call is in one place, behind that question; elsewhere there is none.
fn breaks_for_a_debugger_only(target: &str, segments: &[Segment], elf: &Path) {
    let mut breaks = Vec::new();
    for segment in segments.iter().filter(|segment| segment.executable) {
        let call: &[u8] = match target {
            // slli zero, zero, 31; ebreak; srai zero, zero, 7
            "riscv32imac-unknown-none-elf" => &[0x13, 0x10, 0xF0, 0x01, 0x73, 0x00, 0x10, 0x00, 0x13, 0x50, 0x70, 0x40],
            // bkpt 0xAB
            _ => &[0xAB, 0xBE],
        };
        let places = segment.bytes.windows(call.len()).enumerate().step_by(2);
        breaks.extend(places.filter(|(_, bytes)| *bytes == call).map(|(at, _)| segment.address + at as u64));
    }
    let what = elf.display();
    if matches!(target, "thumbv6m-none-eabi" | "riscv32imac-unknown-none-elf") {
        assert!(breaks.is_empty(), "{what}: {breaks:x?}");
        return;
    }
    // `stop`, which asks, and semihosting's own `exit`, which it alone calls.
    let exit = |name: &str| name.contains("4exit4stop") || name.contains("11semihosting") && name.contains("4exit");
    let allowed = elf::find(elf, exit).unwrap();
    // The same bytes may end an instruction of four.
    let functions = elf::find(elf, |_| true).unwrap();
    breaks.retain(|&at| {
        functions.iter().find(|&&function| within(function, at, 2)).is_none_or(|function| {
            let code = written(segments, function.address);
            begins_an_instruction(code, (at - function.address) as usize)
        })
    });
    assert!(!breaks.is_empty(), "{what}: no way to tell a probe the exit code");
    for at in breaks {
        assert!(allowed.iter().any(|&function| within(function, at, 2)), "{what}: a breakpoint at {at:x}");
    }
}

/// Whether one of the Thumb instructions of this code begins so many bytes from its start on.
fn begins_an_instruction(code: &[u8], wanted: usize) -> bool {
    let mut at = 0;
    while at < wanted {
        // Five bits tell the instructions of two halfwords.
        at += if code[at + 1] >> 3 >= 0b11101 { 4 } else { 2 };
    }
    at == wanted
}

macro_rules! lie_right {
    ($($test:ident: $name:literal),* $(,)?) => {
        $(
            #[test]
            fn $test() {
                lies_right($name);
            }
        )*
    };
}

lie_right! {
    microbit_v1_lies_right: "microbit-v1",
    nrf52840dk_lies_right: "nrf52840dk",
    pico2_lies_right: "pico2",
    pico2_riscv_lies_right: "pico2-riscv",
    stm32f4discovery_lies_right: "stm32f4discovery",
}

/// A board whose programs run on a machine of QEMU with the same chip, or one so near that they cannot tell.
struct Sibling {
    board: Board,
    firmware: Firmware,
    image: Vec<u8>,
}

impl Sibling {
    fn new(name: &str, arguments: &[&str]) -> Self {
        let (mut board, firmware) = built(name);
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        board.qemu = Some(Qemu { system: "qemu-system-arm".into(), arguments, flash: None });
        let image = fs::read(&tables::largest(&board).unwrap()[0]).unwrap();
        Self { board, firmware, image }
    }

    /// nRF51822, the very chip.
    fn microbit_v1() -> Self {
        Self::new("microbit-v1", &["-machine", "microbit"])
    }

    /// STM32F405, an STM32F407 without camera and Ethernet. Its USART2 is QEMU's second line.
    fn stm32f4discovery() -> Self {
        Self::new("stm32f4discovery", &["-machine", "netduinoplus2", "-serial", "null"])
    }

    /// Runs a program without a debugger, to where it says how it ended, and returns its log.
    fn log(&self, program: &str, image: Option<&Path>) -> Vec<Line> {
        let elf = self.firmware.elf(program).unwrap();
        let ring = elf::find(elf, |name| name == "_SEGGER_RTT").unwrap()[0].address;
        let mut board = self.board.clone();
        let monitor = monitor::called_by(&mut board);
        let mut run = Run::new(&board, elf).timeout(None);
        if let Some(image) = image {
            run = run.image(image);
        }
        let _running = run.start().unwrap();
        let mut monitor = monitor();

        let decoder = Decoder::new(elf).unwrap();
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let mut lines = Vec::new();
            decoder.run(&*logged(&mut monitor, ring), |line| lines.push(line)).unwrap();
            if lines.last().is_some_and(|line| line.text.starts_with("ended with ")) {
                return lines;
            }
            assert!(Instant::now() < deadline, "{program}: {lines:?}");
            sleep(Duration::from_millis(50));
        }
    }

    /// As [`Sibling::log`], whose last line says `exit`, and one of the others `said`.
    fn ends(&self, program: &str, image: Option<&Path>, exit: i32, said: &str) {
        let lines = self.log(program, image);
        assert_eq!(lines.last().unwrap().text, format!("ended with {exit}"), "{program}: {lines:?}");
        assert!(lines.iter().any(|line| line.text.contains(said)), "{program}: {lines:?}");
    }

    /// It serves what the core in this process answers, logs over RTT, and ends well without a debugger.
    fn works(&self) {
        let file = images::file(&self.image);
        let image = AlignedBytes::new(&self.image);
        let bytes = 4 * image.image().unwrap().shape().layer_words(0);
        let (known, visible) = (vec![0x0F; bytes], vec![0x55; bytes]);
        let inpaint = Request::Inpaint { seed: 3, chain: 1, restarts: 4, sweeps: 1, known: &known, visible: &visible };
        let sample = Request::Sample { seed: 7, chain: 3, sweeps: 2 };
        let sent = [frame(1, Request::Info), frame(2, sample), frame(3, inpaint)];
        let expected = wire::native(image.image(), 1 << 20, &sent);
        let run = Run::new(&self.board, self.firmware.elf("serve").unwrap()).image(file.path());
        let mut served = Served::start(run);
        for (asked, expected) in sent.iter().zip(&expected) {
            served.send(asked);
            assert!(served.frame() == *expected, "{}: another answer than here", self.board.name);
        }
        assert!(served.end().is_empty());

        self.ends("selftest", Some(file.path()), 0, "image: layers");
        self.ends("selftest", None, 103, "erased or empty");
        self.ends("overflow", None, 102, "STACK OVERFLOW");
    }
}

/// What was logged so far, as a probe reads it from RAM. Nobody has said that it was read, so it is at most what the ring holds,
/// from its start.
fn logged(monitor: &mut Monitor, ring: u64) -> Vec<u8> {
    let header = monitor.memory(ring, 48);
    if !header.starts_with(b"SEGGER RTT\0") {
        // Its variables have not been laid out yet.
        return Vec::new();
    }
    let word = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().unwrap());
    let (buffer, written, read) = (word(28), word(36), word(40));
    assert_eq!(read, 0);
    if written == 0 {
        return Vec::new();
    }
    monitor.memory(buffer.into(), written.into())
}

#[test]
fn the_micro_bits_programs_work_on_qemus() {
    Sibling::microbit_v1().works();
}

#[test]
fn the_stm32f4_discoverys_programs_work_on_an_stm32f405() {
    Sibling::stm32f4discovery().works();
}
