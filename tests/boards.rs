//! Every board that QEMU knows runs every program, with the largest committed model that fits it, and answers as the core in
//! this process does, byte for byte. What the exporter believes of a board is what the board's folder says.

use bitboltz::{boards::BOARDS, image::AlignedBytes};
use bitboltz_core::session::{
    message::{Request, Response},
    ram_bytes,
};
use bitboltz_tests::{
    firmware, images,
    wire::{self, Served, frame},
};
use std::fs;
use xtask::board::{self, Board};
use xtask::build::{Firmware, build};
use xtask::qemu::{Outcome, Run};
use xtask::{elf, tables};

#[test]
fn the_exporter_knows_the_boards_as_they_are() {
    let names: Vec<String> = board::names().unwrap();
    assert!(names.iter().eq(BOARDS.iter().map(|board| board.name)), "{names:?}");
    for known in BOARDS {
        let memory = Board::load(known.name).unwrap().memory().unwrap();
        let told = (known.address, known.flash, known.ram);
        assert_eq!(told, (memory.weights.address, memory.weights.length, memory.arena.length), "{}", known.name);
    }
}

/// A board, its programs, and an image that fits it.
struct Subject {
    board: Board,
    firmware: Firmware,
    bytes: Vec<u8>,
}

impl Subject {
    fn new(name: &str) -> Self {
        let board = Board::load(name).unwrap();
        let firmware = build(&board).unwrap_or_else(|error| panic!("{error:#}"));
        let ram = |bytes: &[u8]| ram_bytes(AlignedBytes::new(bytes).image().unwrap().shape()) as u64;
        let committed = tables::largest(&board, |path| ram(&fs::read(path).unwrap()));
        // A session of 784 visible units may be more than the smallest RAM holds.
        let bytes =
            committed.map_or_else(|_| images::small(&[256, 24, 12], [16, 16], 1), |path| fs::read(path).unwrap());
        assert!(ram(&bytes) <= board.memory().unwrap().arena.length, "{name}: no model fits");
        Self { board, firmware, bytes }
    }

    fn run(&self, program: &str) -> Run {
        let elf = self.firmware.elf(program).unwrap_or_else(|error| panic!("{error:#}"));
        Run::new(&self.board, elf).timeout(Some(firmware::TIMEOUT))
    }

    /// The hash and the visible bytes of the state that the core answers in this process.
    fn state(&self, request: Request<'_>) -> (u32, Vec<u8>) {
        let image = AlignedBytes::new(&self.bytes);
        let frames = wire::native(image.image(), 1 << 20, &[frame(1, request)]);
        wire::answer(&frames[0], |answer| match answer.response {
            Response::State { hash, visible, .. } => (hash, visible.to_vec()),
            other => panic!("{other:?}"),
        })
    }

    /// Bits of the units of the right half of the picture.
    fn right_half(&self) -> Vec<u8> {
        let image = AlignedBytes::new(&self.bytes);
        let image = image.image().unwrap();
        let width = usize::from(image.geometry().width);
        let mut known = vec![0; 4 * image.shape().layer_words(0)];
        let units = image.shape().width(0);
        for unit in (0..units).filter(|unit| unit % width >= width / 2) {
            known[unit / 8] |= 1 << (unit % 8);
        }
        known
    }
}

fn finish(run: Run) -> Outcome {
    run.start().and_then(xtask::qemu::Running::wait).unwrap_or_else(|error| panic!("{error:#}"))
}

/// The hashes in the lines that begin with `what`, in their order.
fn hashes(outcome: &Outcome, what: &str) -> Vec<String> {
    let lines = outcome.log.iter().filter(|line| line.text.starts_with(what));
    lines.filter_map(|line| line.text.rsplit_once("hash ").map(|(_, hash)| hash.to_owned())).collect()
}

/// All that is asked of a board.
fn runs_everything(name: &str) {
    let subject = Subject::new(name);
    let file = images::file(&subject.bytes);
    let with_image = |program: &str| {
        let outcome = finish(subject.run(program).image(file.path()).icount(program == "bench"));
        assert_eq!(outcome.exit, 0, "{name}, {program}: {}", outcome.text());
        outcome
    };

    let outcome = with_image("selftest");
    let stack = tables::used(&outcome, "stack").unwrap();
    assert!(stack > 100 && stack < subject.board.memory().unwrap().stack.length, "{name}: {}", outcome.text());
    let arena = tables::used(&outcome, "arena").unwrap();
    assert_eq!(arena, ram_bytes(AlignedBytes::new(&subject.bytes).image().unwrap().shape()) as u64, "{name}");

    let outcome = with_image("sample");
    for (sweeps, what) in [(0, "mode:"), (1, "sample:")] {
        let expected = |chain| format!("{:08x}", subject.state(Request::Sample { seed: 0, chain, sweeps }).0);
        assert_eq!(hashes(&outcome, what), (0..4).map(expected).collect::<Vec<_>>(), "{name}: {}", outcome.text());
    }

    let outcome = with_image("inpaint");
    let (hash, original) = subject.state(Request::Sample { seed: 0, chain: 0, sweeps: 0 });
    assert_eq!(hashes(&outcome, "original:"), [format!("{hash:08x}")], "{name}");
    let known = subject.right_half();
    let inpaint = Request::Inpaint { seed: 0, chain: 1, restarts: 8, sweeps: 0, known: &known, visible: &original };
    assert_eq!(hashes(&outcome, "restored:"), [format!("{:08x}", subject.state(inpaint).0)], "{name}");

    let counted = tables::counts(&with_image("bench"));
    assert_eq!(
        counted.iter().map(|count| &*count.what).collect::<Vec<_>>(),
        ["search", "gibbs", "inpainting"],
        "{name}"
    );
    assert!(counted.iter().all(|count| count.instructions > 10_000 && count.sweeps > 0), "{name}: {counted:?}");
    assert!(counted[..2].iter().all(|count| count.weights > 1_000), "{name}: {counted:?}");

    // A short talk over the serial line, a damaged frame in its middle.
    let mut damaged = frame(3, Request::Info);
    damaged[1] ^= 1;
    let sent = [
        frame(1, Request::Info),
        frame(2, Request::Sample { seed: 7, chain: 3, sweeps: 2 }),
        damaged,
        frame(4, inpaint),
        frame(5, Request::Sample { seed: 7, chain: 3, sweeps: 2 }),
    ];
    let image = AlignedBytes::new(&subject.bytes);
    let expected = wire::native(image.image(), 1 << 20, &sent);
    let mut served = Served::start(subject.run("serve").image(file.path()));
    for (asked, expected) in sent.iter().zip(&expected) {
        served.send(asked);
        assert!(served.frame() == *expected, "{name}: another answer than here");
    }
    assert!(served.end().is_empty(), "{name}");

    // No image, and no stack.
    let outcome = finish(subject.run("sample"));
    assert_eq!(outcome.exit, 103, "{name}: {}", outcome.text());
    let outcome = finish(subject.run("overflow"));
    assert_eq!(outcome.exit, 102, "{name}: {}", outcome.text());
    assert!(outcome.text().contains("STACK OVERFLOW"), "{name}: {}", outcome.text());

    let memory = subject.board.memory().unwrap();
    for program in &subject.firmware.programs {
        let regions = elf::regions(&program.elf).unwrap();
        let found = (regions.weights, regions.arena, regions.stack);
        assert_eq!(found, (memory.weights, memory.arena, memory.stack), "{name}: {}", program.name);
        let size = elf::size(&program.elf).unwrap();
        assert!(size.flash <= memory.flash.length && size.ram <= memory.ram.length, "{name}: {size:?}");
        let symbols = elf::symbols(&program.elf).unwrap();
        let heap: Vec<&String> = symbols.iter().filter(|symbol| symbol.contains("__rust_alloc")).collect();
        assert!(heap.is_empty(), "{name}: {heap:?}");
    }
}

/// A test for each board that QEMU runs, and one that none is left out.
macro_rules! boards {
    ($($test:ident: $name:literal),* $(,)?) => {
        $(
            #[test]
            fn $test() {
                runs_everything($name);
            }
        )*

        #[test]
        fn no_board_is_left_out() {
            let named = [$($name),*];
            for name in board::names().unwrap() {
                let runs = Board::load(&name).unwrap().qemu.is_some();
                assert_eq!(runs, named.contains(&&*name), "{name}");
            }
        }
    };
}

boards! {
    lm3s6965evb: "lm3s6965evb",
    microbit: "microbit",
    mps2_an386: "mps2-an386",
    mps2_an500: "mps2-an500",
    mps2_an505: "mps2-an505",
    netduinoplus2: "netduinoplus2",
    riscv_virt: "riscv-virt",
    stm32vldiscovery: "stm32vldiscovery",
}

#[test]
fn on_a_cortex_m0_nothing_computes_with_floats_and_variables_are_few() {
    let subject = Subject::new("microbit");
    for program in subject.firmware.shipped() {
        let symbols = elf::symbols(&program.elf).unwrap();
        assert!(symbols.iter().any(|name| name.starts_with("__aeabi_mem")), "the symbols are there");
        let floats: Vec<&String> = symbols.iter().filter(|name| elf::is_float_routine(name)).collect();
        assert!(floats.is_empty(), "{}: {floats:?}", program.name);
        let size = elf::size(&program.elf).unwrap();
        assert!(size.ram < 2 << 10, "{}: {size:?}", program.name);
    }
}
