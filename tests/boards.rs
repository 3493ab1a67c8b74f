//! Every board that QEMU knows runs every program, with the largest committed models that fit it, and answers as the core in
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
use xtask::toolchain::Toolchain;
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
    /// One for each weight type, with the largest image that fits.
    fn all(name: &str) -> Vec<Self> {
        let board = Board::load(name).unwrap();
        let firmware = build(&board).unwrap_or_else(|error| panic!("{error:#}"));
        let committed = tables::largest(&board).unwrap();
        let of = |path| Self { board: board.clone(), firmware: firmware.clone(), bytes: fs::read(path).unwrap() };
        committed.into_iter().map(of).collect()
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
    let subjects = Subject::all(name);
    assert_eq!(subjects.len(), 2, "{name}: 4 and 8 bits fit");
    for subject in &subjects {
        answers(name, subject);
    }
    let subject = &subjects[0];

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

/// Every program works with an image, and answers as this process does.
fn answers(name: &str, subject: &Subject) {
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
    assert!(counted.iter().all(|count| count.weights > 1_000), "{name}: {counted:?}");

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
fn programs_have_not_grown_beyond_the_committed_table() {
    let (compiler, sizes) = tables::read(&fs::read_to_string(tables::path()).unwrap()).unwrap();
    for name in board::names().unwrap() {
        let board = Board::load(&name).unwrap();
        let of_board: Vec<_> = sizes.iter().filter(|committed| committed.board == name).collect();
        assert_eq!(of_board.len(), tables::PROGRAMS.len(), "{name}: run `cargo xtask boards`");
        // Another compiler gives other sizes, which say nothing about the code.
        if Toolchain::require(&board.target).unwrap().version().unwrap() != compiler {
            continue;
        }
        let firmware = build(&board).unwrap_or_else(|error| panic!("{error:#}"));
        for tables::Committed { program, size: committed, .. } in of_board {
            let size = elf::size(firmware.elf(program).unwrap()).unwrap();
            assert!(
                size.flash <= tables::limit(committed.flash) && size.ram <= tables::limit(committed.ram),
                "{name}, {program}: {size:?}, committed {committed:?}; if it is worth that, run `cargo xtask boards`"
            );
        }
        // What no growth is worth: inpainting without weights fits 24 KiB of a Cortex-M0.
        assert!(name != "microbit" || elf::size(firmware.elf("inpaint").unwrap()).unwrap().flash < 24 << 10);
    }
}

#[test]
fn on_a_cortex_m0_nothing_computes_with_floats_or_formats_and_variables_are_few() {
    let firmware = build(&Board::load("microbit").unwrap()).unwrap_or_else(|error| panic!("{error:#}"));
    for program in firmware.shipped() {
        let symbols = elf::symbols(&program.elf).unwrap();
        assert!(symbols.iter().any(|name| name.starts_with("__aeabi_mem")), "the symbols are there");
        let floats: Vec<&String> = symbols.iter().filter(|name| elf::is_float_routine(name)).collect();
        assert!(floats.is_empty(), "{}: {floats:?}", program.name);
        // The message of a panic is never put together: its pieces may be linked, what joins them is not.
        let formats: Vec<&String> = symbols.iter().filter(|name| name.contains("4core3fmt5write")).collect();
        assert!(formats.is_empty(), "{}: {formats:?}", program.name);
        let size = elf::size(&program.elf).unwrap();
        assert!(size.ram < 2 << 10, "{}: {size:?}", program.name);
    }
}
