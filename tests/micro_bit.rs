//! Updates of the micro:bit, whose flash is written by the chip's own controller: QEMU has the registers of the nRF51822's, and
//! keeps the flash over a reset, though not beyond its end. The programs are those of the board in QEMU and of the real one.

use bitboltz::image::AlignedBytes;
use bitboltz_core::{
    image::ImageError,
    session::{
        message::{Failure, Refusal, UpdateError},
        slots,
        store::Granularity,
    },
};
use bitboltz_tests::{
    device::{Powered, crc, refusal},
    images,
    monitor::{self, Monitor},
};
use std::fs;
use xtask::board::{self, Board};
use xtask::build::build;
use xtask::qemu::Run;
use xtask::tables;

const GRANULARITY: Granularity = Granularity { erase: 1 << 10, write: 4 };

struct Device {
    memory: board::Memory,
    powered: Powered,
    monitor: Monitor,
}

impl Device {
    /// Switches on, with an image as a programmer writes it, or with zeros, as QEMU's flash begins.
    fn start(name: &str, image: Option<&[u8]>) -> Self {
        let mut board = Board::load(name).unwrap();
        let firmware = build(&board).unwrap_or_else(|error| panic!("{error:#}"));
        // The real board is the same chip.
        board.qemu = Board::load("microbit").unwrap().qemu;
        let monitor = monitor::called_by(&mut board);
        let mut serve = Run::new(&board, firmware.elf("serve").unwrap());
        let file = image.map(images::file);
        if let Some(file) = &file {
            serve = serve.image(file.path());
        }
        let mut powered = Powered::start(serve);
        // It has read the file once it answers.
        let _ = powered.client.info();
        Self { memory: board.memory().unwrap(), powered, monitor: monitor() }
    }

    /// It answers from this image, which is the newest whole one of its flash by the core's own reading.
    fn runs(&mut self, image: &[u8]) {
        self.powered.answers_from(image);
        let weights = self.memory.weights;
        let region = AlignedBytes::new(&self.monitor.memory(weights.address, weights.length));
        assert_eq!(slots::open(region.bytes(), Some(GRANULARITY)).unwrap().crc(), crc(image));
    }

    /// Bytes of the stack below which nothing was ever written: QEMU's RAM begins as zeros.
    fn stack(&mut self) -> u64 {
        let stack = self.memory.stack;
        let bytes = self.monitor.memory(stack.address, stack.length);
        stack.length - (bytes.iter().position(|&byte| byte != 0).unwrap() & !3) as u64
    }
}

/// Two images of small models: of several pages, the last one in part.
fn pair() -> [Vec<u8>; 2] {
    let pair = [1, 2].map(|seed| images::small(&[100, 24, 12], [10, 10], seed));
    assert!(pair[0].len() > 2 * GRANULARITY.erase && !pair[0].len().is_multiple_of(GRANULARITY.erase));
    pair
}

/// All that is asked of the updates of a board.
fn updates(name: &str) {
    let [a, b] = pair();
    let mut device = Device::start(name, Some(&a));
    device.runs(&a);
    // Into either slot, over what was there.
    for (new, old) in [(&b, &a), (&a, &b), (&b, &a)] {
        device.powered.client.update(new, |_| {}).unwrap();
        device.runs(new);
        // A damaged one into the other slot: it is not taken, and the last stays.
        let mut damaged = old.clone();
        damaged[1000] ^= 1;
        let refused = refusal(device.powered.client.update(&damaged, |_| {}));
        let Failure::Update(UpdateError::Refused(Refusal::Image(ImageError::Crc { expected, .. }))) = refused else {
            panic!("{refused}")
        };
        assert_eq!(expected, crc(&damaged));
        device.runs(new);
    }
    // The board's largest model takes more than a slot.
    let board = Board::load(name).unwrap();
    let large = fs::read(&tables::largest(&board).unwrap()[0]).unwrap();
    assert!(large.len() as u64 > device.memory.weights.length / 2);
    device.powered.client.update(&large, |_| {}).unwrap();
    device.runs(&large);
    let stack = device.memory.stack.length;
    let used = device.stack();
    println!("{name}: stack: {used} of {stack} bytes used");
    assert!(used + 512 <= stack, "{name}: {used} of {stack}");
}

#[test]
fn the_micro_bit_takes_new_weights_and_keeps_the_old_ones_where_they_are_damaged() {
    updates("microbit");
}

#[test]
fn so_does_the_program_of_the_real_one() {
    updates("microbit-v1");
}

#[test]
fn new_weights_are_there_after_a_reset_and_the_old_ones_after_one_in_the_middle_of_an_update() {
    let [a, b] = pair();
    // No image: QEMU would write it again at each reset.
    let mut device = Device::start("microbit", None);
    assert_eq!(refusal(device.powered.client.info()), Failure::NoModel(Refusal::Image(ImageError::Erased)));
    for (new, other) in [(&a, &b), (&b, &a)] {
        device.powered.client.update(new, |_| {}).unwrap();
        device.runs(new);
        device.monitor.reset();
        device.runs(new);
        let Device { powered, monitor, .. } = &mut device;
        let mut resets = 0;
        let refused = refusal(powered.client.update(other, |offset| {
            if resets == 0 && offset > other.len() / 2 {
                monitor.reset();
                resets += 1;
            }
        }));
        assert!(resets == 1 && refused == Failure::Update(UpdateError::NotBegun), "{refused}");
        device.runs(new);
    }
}
