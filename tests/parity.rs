//! The board answers as the desktop does, byte for byte: `serve` in QEMU over its serial line, against the core's session
//! in this process, over the same image and the same requests.

use bitboltz::image::AlignedBytes;
use bitboltz_core::{
    bits::word_mask,
    image::{Image, ImageError},
    rng::{Rng as _, stream},
    session::message::{Failure, Refusal, Request, Response},
    shape::Shape,
    weights::WeightKind,
};
use bitboltz_tests::{
    firmware::{programs, run},
    images,
    wire::{self, Served, frame},
};
use std::path::Path;
use xtask::elf;

/// What a case must be answered with, so that two equal failures do not pass for parity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expect {
    Info,
    State,
    Marginals,
    Energy,
    Failure,
    Nothing,
}

/// Bytes to send.
struct Case {
    name: String,
    bytes: Vec<u8>,
    expect: Expect,
}

/// Everything that is asked of a model of this shape.
fn cases(shape: &Shape) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut seq = 0;
    let mut rng = stream(28, 0);
    let mut ask = |name: String, expect: Expect, request: Request<'_>| {
        seq += 1;
        cases.push(Case { name, bytes: frame(seq, request), expect });
    };
    let mut words = |layers: std::ops::Range<usize>, density: u32| -> Vec<u8> {
        let words = layers.flat_map(|layer| (0..shape.layer_words(layer)).map(move |index| (layer, index)));
        words
            .flat_map(|(layer, index)| {
                // Each bit is on with probability 2^−density.
                let random = (0..density).fold(u32::MAX, |word, _| word & rng.next_u32());
                (random & word_mask(shape.width(layer), index)).to_le_bytes()
            })
            .collect()
    };

    ask("info".into(), Expect::Info, Request::Info);
    for chain in [0, 1, 2, u64::MAX] {
        for sweeps in [0, 1, 3] {
            let request = Request::Sample { seed: 2026, chain, sweeps };
            ask(format!("sample, chain {chain}, {sweeps} sweeps"), Expect::State, request);
        }
    }
    let picture = words(0..1, 1);
    let mut half = vec![0; picture.len()];
    for unit in (0..shape.width(0)).filter(|unit| unit % 28 >= 14) {
        half[unit / 8] |= 1 << (unit % 8);
    }
    let (sparse, dense) = (words(0..1, 3), words(0..1, 1));
    let (nothing, everything) = (words(0..1, 32), words(0..1, 0));
    let masks = [("half", &half), ("random", &dense), ("sparse", &sparse), ("no", &nothing), ("every", &everything)];
    for (mask, known) in masks {
        for (restarts, sweeps) in [(8, 0), (1, 3), (0, 0)] {
            let request = Request::Inpaint { seed: 7, chain: 1, restarts, sweeps, known, visible: &picture };
            ask(format!("inpaint, {mask} unit known, {restarts} restarts, {sweeps} sweeps"), Expect::State, request);
        }
        let request =
            Request::Marginals { seed: 7, chain: 2, restarts: 2, burn_in: 3, samples: 10, known, visible: &picture };
        ask(format!("marginals, {mask} unit known"), Expect::Marginals, request);
    }
    for density in [0, 1, 3, 32] {
        let state = words(0..shape.layers(), density);
        ask(format!("energy, one in 2^{density} units on"), Expect::Energy, Request::Energy { state: &state });
    }
    // Bits beyond a layer are nobody's.
    let stray = vec![0xFF; 4 * shape.words()];
    ask("energy, padding set".into(), Expect::Energy, Request::Energy { state: &stray });

    let short = &picture[..picture.len() - 4];
    ask("energy of no state".into(), Expect::Failure, Request::Energy { state: &[] });
    ask("energy of half a state".into(), Expect::Failure, Request::Energy { state: short });
    let request = Request::Inpaint { seed: 0, chain: 0, restarts: 1, sweeps: 0, known: short, visible: &picture };
    ask("a mask too short".into(), Expect::Failure, request);
    let request = Request::Inpaint { seed: 0, chain: 0, restarts: 1, sweeps: 0, known: &half, visible: short };
    ask("a picture too short".into(), Expect::Failure, request);
    let long = vec![1; 2 * stray.len()];
    let request =
        Request::Marginals { seed: 0, chain: 0, restarts: 1, burn_in: 0, samples: 1, known: &half, visible: &long };
    ask("a picture too long".into(), Expect::Failure, request);

    let good = frame(1000, Request::Sample { seed: 1, chain: 1, sweeps: 1 });
    let mut raw = |name: &str, expect: Expect, bytes: Vec<u8>| {
        cases.push(Case { name: name.into(), bytes, expect });
    };
    for at in [0, 1, good.len() / 2, good.len() - 2] {
        let mut damaged = good.clone();
        damaged[at] ^= if damaged[at] == 0x40 { 0x20 } else { 0x40 };
        raw("a damaged byte", Expect::Failure, damaged);
    }
    raw("the end of a frame", Expect::Failure, good[good.len() / 2..].to_vec());
    raw("noise", Expect::Failure, vec![0xA5, 0x01, 0xFF, 0x11, 0]);
    raw("a frame too long", Expect::Failure, [vec![0x55; 1 << 16], vec![0]].concat());
    raw("nothing", Expect::Nothing, vec![0, 0, 0]);
    raw("zeros around", Expect::State, [&[0, 0][..], &good, &[0]].concat());
    raw("begun", Expect::Nothing, good[..3].to_vec());
    raw("and finished", Expect::State, good[3..].to_vec());
    cases
}

/// Bytes of the arena of the program called `name`.
fn arena(name: &str) -> usize {
    let regions = elf::regions(programs().1.elf(name).unwrap()).unwrap();
    usize::try_from(regions.arena.length).unwrap()
}

/// Sends each of `sent` to `served` and compares with what the desktop answered.
fn compare(served: &mut Served, native: &[Vec<u8>], names: &[&str], sent: &[Vec<u8>]) {
    for ((expected, name), bytes) in native.iter().zip(names).zip(sent) {
        served.send(bytes);
        let frames = expected.iter().filter(|&&byte| byte == 0).count();
        let found: Vec<u8> = (0..frames).flat_map(|_| served.frame()).collect();
        assert!(
            *expected == found,
            "{name}: {} instead of {}",
            wire::answer(&found, |a| format!("{a:?}")),
            wire::answer(expected, |a| format!("{a:?}"))
        );
    }
}

/// The whole transcript of one image.
fn check(bytes: &[u8]) {
    let aligned = AlignedBytes::new(bytes);
    let image = aligned.image().unwrap();
    let cases = cases(image.shape());
    let sent: Vec<Vec<u8>> = cases.iter().map(|case| case.bytes.clone()).collect();
    let names: Vec<&str> = cases.iter().map(|case| case.name.as_str()).collect();
    let native = wire::native(Ok(image), arena("serve"), &sent);
    for (case, frames) in cases.iter().zip(&native) {
        let kind = if frames.is_empty() {
            Expect::Nothing
        } else {
            wire::answer(frames, |answer| match answer.response {
                Response::Info(info) => {
                    assert_eq!((info.kind, info.crc), (image.kind(), image.crc()));
                    Expect::Info
                }
                Response::State { .. } => Expect::State,
                Response::Marginals { .. } => Expect::Marginals,
                Response::Energy(_) => Expect::Energy,
                _ => Expect::Failure,
            })
        };
        assert_eq!(kind, case.expect, "{}", case.name);
    }

    let file = images::file(bytes);
    let mut served = Served::start(run("serve").image(file.path()));
    compare(&mut served, &native, &names, &sent);
    assert!(served.end().is_empty(), "the board says more than the desktop");
}

#[test]
fn i8_weights() {
    check(&images::board(WeightKind::I8, 1));
}

#[test]
fn i16_weights() {
    check(&images::board(WeightKind::I16, 2));
}

#[test]
fn f32_weights() {
    check(&images::board(WeightKind::F32, 3));
}

/// The models that the repository holds.
#[test]
fn committed_images() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors");
    let mut checked = 0;
    for entry in folder.read_dir().into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "bbz") {
            println!("{}", path.display());
            check(&std::fs::read(&path).unwrap());
            checked += 1;
        }
    }
    assert!(checked > 0, "the digits model is in the repository");
}

/// Images that are none, what the core says of them, and a word of the log.
fn refused() -> Vec<(&'static str, Option<Vec<u8>>, &'static str)> {
    let good = images::board(WeightKind::I8, 1);
    let edited = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        Some(bytes)
    };
    let mut cut = good.clone();
    cut.truncate(good.len() / 2);
    vec![
        ("absent", None, "erased or empty"),
        ("erased", Some(vec![0xFF; 64]), "erased or empty"),
        ("of another format", Some(b"\x89PNG\r\n\x1a\n".to_vec()), "begins with [89, 50, 4e, 47]"),
        ("of another version", edited(4, 2), "its version is 2, this program reads 1"),
        ("damaged", edited(1000, good[1000] ^ 1), "damaged or cut short"),
        ("cut short", Some(cut), "damaged or cut short"),
        ("larger than the region", edited(11, 1), "the weights region only 2097152"),
    ]
}

/// What the core says of the region with these bytes at its start and zeros after them, as QEMU leaves it.
fn region(bytes: Option<&[u8]>) -> AlignedBytes {
    let regions = elf::regions(programs().1.elf("serve").unwrap()).unwrap();
    let mut region = vec![0; usize::try_from(regions.weights.length).unwrap()];
    if let Some(bytes) = bytes {
        region[..bytes.len()].copy_from_slice(bytes);
    }
    AlignedBytes::new(&region)
}

#[test]
fn a_refused_image_is_answered_with_the_reason() {
    for (name, bytes, log) in refused() {
        let region = region(bytes.as_deref());
        let sent = [frame(5, Request::Info), frame(6, Request::Sample { seed: 0, chain: 0, sweeps: 0 })];
        let sent = [&sent[..], &[vec![1, 2, 3, 0]]].concat();
        let error = Image::open(region.bytes()).unwrap_err();
        let native = wire::native(Err(error), arena("serve"), &sent);
        wire::answer(&native[1], |answer| {
            assert_eq!(answer.seq, 6);
            assert_eq!(answer.response, Response::Failure(Failure::NoModel(Refusal::Image(error))), "{name}");
        });
        let file = bytes.as_deref().map(images::file);
        let mut run = run("serve");
        if let Some(file) = &file {
            run = run.image(file.path());
        }
        let mut served = Served::start(run);
        let line = served.running().next_line().unwrap();
        assert_eq!(line.level, "error", "{name}: {line}");
        assert!(line.text.contains(log), "{name}: {line}");
        compare(&mut served, &native, &[name; 3], &sent);
    }
}

#[test]
fn a_refused_image_ends_the_other_programs() {
    for (name, bytes, log) in refused() {
        let file = bytes.as_deref().map(images::file);
        for program in ["sample", "inpaint"] {
            let mut run = run(program);
            if let Some(file) = &file {
                run = run.image(file.path());
            }
            let outcome = run.start().unwrap().wait().unwrap();
            assert_eq!(outcome.exit, 103, "{program}, {name}: {}", outcome.text());
            let last = outcome.log.last().unwrap();
            assert!(last.level == "error" && last.text.contains(log), "{program}, {name}: {last}");
        }
    }
}

#[test]
fn a_model_too_large_for_the_arena_is_answered_with_the_bytes() {
    const ARENA: usize = 4 * 64;
    let bytes = images::board(WeightKind::I8, 1);
    let aligned = AlignedBytes::new(&bytes);
    let sent = [frame(9, Request::Info)];
    let native = wire::native(aligned.image(), ARENA, &sent);
    wire::answer(&native[0], |answer| match answer.response {
        Response::Failure(Failure::NoModel(Refusal::Room { needed, found })) => {
            assert!(needed > found && found as usize == ARENA, "{needed} {found}");
        }
        other => panic!("{other:?}"),
    });
    let file = images::file(&bytes);
    let mut served = Served::start(run("room").image(file.path()));
    compare(&mut served, &native, &["room"], &sent);
    let line = served.running().lines().next().unwrap();
    assert!(line.level == "error" && line.text.contains("the board has 256"), "{line}");
}

#[test]
fn no_image_is_the_same_as_erased_flash() {
    assert_eq!(Image::open(region(None).bytes()).unwrap_err(), ImageError::Erased);
}
