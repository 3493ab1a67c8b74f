//! Updates of a board with flash, and power cuts in their middle: QEMU keeps the flash of `riscv-virt` in a file, is killed at
//! random moments, and started again over the same file.
//!
//! With two slots the old image stays whole until the new one is; so after every cut a device that had a model has one.

use std::{
    fs,
    io::{Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
    sync::mpsc::channel,
    thread::{self, sleep},
    time::{Duration, Instant},
};

use bitboltz::image::AlignedBytes;
use bitboltz_core::{
    image::ImageError,
    rng::{Rng as _, XorShiftRng, stream},
    session::{
        message::{Failure, Refusal, UpdateError},
        slots,
        store::Granularity,
    },
};
use bitboltz_tests::{
    device::{Powered, crc, refusal},
    firmware, images,
};
use tempfile::TempDir;
use xtask::board::Board;
use xtask::build::build;
use xtask::qemu::Run;

/// The region in the file, and how it is erased (`firmware/boards/riscv-virt/memory.x`).
const REGION: usize = 4 << 20;
const SLOT: usize = REGION / 2;
const GRANULARITY: Granularity = Granularity { erase: 256 << 10, write: 4 };
const RECORD: usize = slots::RECORD_BYTES;

/// A board without power: its program, and the folder with the file that is its flash.
struct Device {
    serve: Run,
    folder: TempDir,
}

impl Device {
    fn new() -> Self {
        let board = Board::load("riscv-virt").unwrap();
        let firmware = build(&board).unwrap_or_else(|error| panic!("{error:#}"));
        let serve = Run::new(&board, firmware.elf("serve").unwrap());
        Self { serve, folder: tempfile::Builder::new().prefix("flash,").tempdir().unwrap() }
    }

    fn flash(&self) -> PathBuf {
        self.folder.path().join("flash")
    }

    /// Writes an image as a programmer does, and switches on.
    fn program(&self, image: &[u8]) -> Powered {
        let file = images::file(image);
        self.start(self.serve.clone().image(file.path()))
    }

    /// Switches on.
    fn power(&self) -> Powered {
        self.start(self.serve.clone())
    }

    fn start(&self, run: Run) -> Powered {
        Powered::start(run.flash(self.flash()))
    }

    /// The weights region, as it lies in the file.
    fn region(&self) -> AlignedBytes {
        AlignedBytes::new(&fs::read(self.flash()).unwrap()[..REGION])
    }

    /// A slot's image, if it is as long as this one, and its record.
    fn slot(&self, slot: usize, image: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let region = self.region();
        let bytes = &region.bytes()[slot * SLOT..(slot + 1) * SLOT];
        (bytes[..image.len()].to_vec(), bytes[SLOT - RECORD..].to_vec())
    }
}

/// When the power goes.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// So long after the update was asked for: while the slot's record and its first page are erased.
    Begin(Duration),
    /// So long after the device had so many bytes.
    Chunk(usize, Duration),
    /// So long after it had all of them: while it checks the image and writes the record.
    Commit(Duration),
    /// As soon as the record is not erased any more.
    Record,
}

/// How long the parts of an update take here and now.
#[derive(Clone, Copy, Debug)]
struct Durations {
    begin: Duration,
    chunk: Duration,
    commit: Duration,
}

impl Durations {
    /// Sends an image and measures.
    fn of(device: &mut Powered, image: &[u8]) -> Self {
        let mut steps = vec![Instant::now()];
        device.client.update(image, |_| steps.push(Instant::now())).unwrap();
        let end = Instant::now();
        let (first, last) = (steps[1], steps[steps.len() - 1]);
        Self { begin: first - steps[0], chunk: (last - first) / (steps.len() - 2) as u32, commit: end - last }
    }
}

fn part(whole: Duration, rng: &mut XorShiftRng) -> Duration {
    whole.mul_f64(f64::from(rng.next_u32()) / f64::from(u32::MAX))
}

impl Moment {
    fn draw(cut: usize, length: usize, durations: &Durations, rng: &mut XorShiftRng) -> Self {
        match cut % 6 {
            0 => Self::Begin(part(durations.begin, rng)),
            1 => Self::Commit(part(durations.commit, rng)),
            2 => Self::Record,
            // The chunk that begins a page, if there is a second one: it is erased first.
            3 if length > GRANULARITY.erase => Self::Chunk(GRANULARITY.erase - 224, part(2 * durations.chunk, rng)),
            _ => Self::Chunk(rng.next_u32() as usize % length, part(durations.chunk, rng)),
        }
    }

    /// Bytes that the device has when the time begins; `None` before it was asked for anything.
    fn from(&self, length: usize) -> Option<usize> {
        match *self {
            Self::Begin(_) => None,
            Self::Chunk(offset, _) => Some(offset),
            Self::Commit(_) | Self::Record => Some(length),
        }
    }

    /// Waits until it has come.
    fn wait(&self, record: impl Fn() -> [u8; RECORD]) {
        match *self {
            Self::Begin(delay) | Self::Chunk(_, delay) | Self::Commit(delay) => sleep(delay),
            Self::Record => {
                let begin = Instant::now();
                while record() == [0xFF; RECORD] && begin.elapsed() < Duration::from_secs(60) {}
            }
        }
    }
}

/// Sends an image and cuts the power meanwhile, or after it. Whether the device had been sent all of it, and so may have been
/// asked to take it.
fn cut(powered: Powered, image: &[u8], moment: Moment, record: impl Fn() -> [u8; RECORD] + Send) -> bool {
    let Powered { running, mut client } = powered;
    let (go, gone) = channel();
    let (off, power) = channel::<()>();
    let from = moment.from(image.len());
    if from.is_none() {
        go.send(()).unwrap();
    }
    let (mut sent, mut past) = (0, 0);
    let result = thread::scope(|scope| {
        scope.spawn(move || {
            // An update that failed by itself ends the wait too, and the test.
            let _ = gone.recv();
            moment.wait(record);
            // SIGKILL.
            drop(running);
            drop(off);
        });
        client.update(image, |offset| {
            sent = offset;
            past += u32::from(from.is_some_and(|from| offset >= from));
            match past {
                0 => {}
                1 => go.send(()).unwrap_or_default(),
                2 => {}
                // However late the other thread wakes up, the cut falls into one of these chunks: no more are sent.
                _ => power.recv().unwrap_or_default(),
            }
        })
    });
    match result {
        Ok(info) => assert_eq!(info.crc, crc(image)),
        Err(error) => assert!(error.is_line(), "{error}"),
    }
    sent == image.len()
}

/// What a slot holds after a cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Erased,
    Part,
    WholeImage,
    PartOfRecord,
    Whole,
}

fn left(image: &[u8], (found, record): (Vec<u8>, Vec<u8>), whole: bool) -> Left {
    match (found == image, record == [0xFF; RECORD]) {
        _ if whole => Left::Whole,
        (true, false) => Left::PartOfRecord,
        (true, true) => Left::WholeImage,
        _ if found.iter().all(|&byte| byte == 0xFF) => Left::Erased,
        _ => Left::Part,
    }
}

/// Updates back and forth between two images, of which so many are cut short.
fn cuts(count: usize, images: [&[u8]; 2]) {
    let device = Device::new();
    let mut rng = stream(2026, 11);
    let mut powered = device.program(images[0]);
    powered.answers_from(images[0]);
    let durations = Durations::of(&mut powered, images[1]);
    println!("{durations:?}");
    // Which image answers, and from which slot.
    let (mut current, mut slot) = (1, 1);
    powered.answers_from(images[current]);
    let mut seen = Vec::new();

    for number in 0..count {
        let (old, new) = (images[current], images[1 - current]);
        let moment = Moment::draw(number, new.len(), &durations, &mut rng);
        let file = fs::File::open(device.flash()).unwrap();
        let at = ((2 - slot) * SLOT - RECORD) as u64;
        let record = move || {
            let (mut file, mut bytes) = (&file, [0; RECORD]);
            file.seek(SeekFrom::Start(at)).unwrap();
            file.read_exact(&mut bytes).unwrap();
            bytes
        };
        let asked = cut(powered, new, moment, record);

        let region = device.region();
        let there = slots::open(region.bytes(), Some(GRANULARITY)).unwrap().crc();
        assert!(there == crc(old) || asked && there == crc(new), "{moment:?}: {there:08x}");
        let left = left(new, device.slot(1 - slot, new), there == crc(new));
        println!("{moment:?}: {left:?}");
        seen.push(left);
        if there == crc(new) {
            (current, slot) = (1 - current, 1 - slot);
        }
        powered = device.power();
        powered.answers_from(images[current]);

        // Now and then one that is not cut.
        if number % 4 == 3 {
            powered.client.update(images[1 - current], |_| {}).unwrap();
            (current, slot) = (1 - current, 1 - slot);
            powered.answers_from(images[current]);
        }
    }
    // Of the cuts after a chunk some leave a part, however slow the machine.
    assert!(seen.contains(&Left::Part), "{seen:?}");
    for kind in [Left::Erased, Left::Part, Left::WholeImage, Left::PartOfRecord, Left::Whole] {
        println!("{kind:?}: {}", seen.iter().filter(|&&left| left == kind).count());
    }
}

/// Two images of small models, which are soon sent: 15 chunks each.
fn pair() -> [Vec<u8>; 2] {
    [1, 2].map(|seed| images::small(&[100, 24, 12], [10, 10], seed))
}

#[test]
fn a_power_cut_at_any_moment_leaves_the_old_image_or_the_new_one() {
    let [a, b] = pair();
    cuts(12, [&a, &b]);
}

/// `cargo nextest run -p bitboltz-tests --test power_cut --run-ignored all --no-capture`.
#[test]
#[ignore = "minutes, for what 12 cuts have shown"]
fn so_it_does_for_long_and_with_images_of_several_pages() {
    let [a, b] = pair();
    cuts(100, [&a, &b]);
    let wide = images::small(&[784, 320, 64], [28, 28], 3);
    assert!(wide.len() > GRANULARITY.erase);
    cuts(24, [&a, &wide]);
}

#[test]
fn updates_take_the_slots_in_turn_and_stay_when_the_power_goes() {
    let [a, b] = pair();
    let device = Device::new();
    let mut powered = device.program(&a);
    powered.answers_from(&a);
    for (number, (new, old)) in [(1, (&b, &a)), (2, (&a, &b)), (3, (&b, &a))] {
        powered.client.update(new, |_| {}).unwrap();
        powered.answers_from(new);
        drop(powered);
        // Both images are there, the new one with the larger number.
        let slot = number % 2;
        let (image, record) = device.slot(slot, new);
        assert!(image == *new && device.slot(1 - slot, old).0 == *old, "update {number}");
        assert_eq!((&record[..4], &record[4..8]), (&b"BZR1"[..], &(number as u32).to_le_bytes()[..]));
        powered = device.power();
        powered.answers_from(new);
    }
}

#[test]
fn erased_flash_is_no_image_and_takes_one_that_stays() {
    let [a, _] = pair();
    let device = Device::new();
    let mut powered = device.power();
    assert_eq!(refusal(powered.client.info()), Failure::NoModel(Refusal::Image(ImageError::Erased)));
    powered.client.update(&a, |_| {}).unwrap();
    powered.answers_from(&a);
    drop(powered);
    device.power().answers_from(&a);
}

#[test]
fn flash_that_cannot_be_written_is_said_and_the_old_image_answers_on() {
    let [a, b] = pair();
    let device = Device::new();
    drop(device.program(&a));
    let mut powered = device.start(device.serve.clone().protected());
    powered.answers_from(&a);
    for _ in 0..2 {
        let refused = refusal(powered.client.update(&b, |_| {}));
        assert!(matches!(refused, Failure::Update(UpdateError::Store { .. })), "{refused}");
        powered.answers_from(&a);
    }
}

#[test]
fn a_board_whose_flash_is_in_no_file_says_so() {
    let path = Path::new("never made");
    let error = firmware::run("serve").flash(path).start().err().unwrap().to_string();
    assert!(error.contains("mps2-an386") && error.contains("in a file"), "{error}");
    assert!(!path.exists());
}
