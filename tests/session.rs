//! Sessions: answers equal to the core's own, the exact RAM, and no way to make one panic or lose step.

use bitboltz::{chain::ChainBuffer, image::AlignedBytes, tensors::Tensors};
use bitboltz_core::{
    connection::{Dense, Integer},
    gibbs::Gibbs,
    image::{CRC32, ImageError},
    inpaint::Inpaint,
    model::DenseDbm,
    posterior::PosteriorMean,
    rng::stream,
    search::LocalModeSearch,
    session::{
        Machine, Session, Workspace,
        frame::{self, BLOCK_BYTES},
        message::{Answer, Failure, Info, PROTOCOL, Refusal, Request, Response, request_bytes},
        ram_bytes, workspace_words,
    },
    shape::{MAX_LAYERS, Shape},
    state::{Clamp, State},
    transition::Transition as _,
    weights::{Field as _, I4, Weight, WeightKind},
};
use bitboltz_tests::{
    fuzz,
    images::{Encoded as _, example},
    models::machine,
    wire::{self, Receive, feed, frame as request_frame, framed},
};
use proptest::prelude::*;

/// A session in exactly the room it needs.
struct Held {
    image: AlignedBytes,
    arena: Vec<u32>,
}

impl Held {
    fn new<W: Weight>(tensors: &Tensors<W>) -> Self {
        let image = AlignedBytes::new(&tensors.image());
        let words = workspace_words(image.image().unwrap().shape());
        Self { image, arena: vec![0xDEAD_BEEF; words] }
    }

    fn session<W: Weight>(&mut self) -> Session<'_, Dense<'_, W>> {
        Session::new(self.image.image(), &mut self.arena)
    }
}

/// One request, one answer.
fn ask(session: &mut impl Receive, seq: u32, request: Request<'_>) -> Vec<u8> {
    let mut answers = feed(session, &request_frame(seq, request));
    assert_eq!(answers.len(), 1, "{request:?}");
    answers.remove(0)
}

fn read(message: &[u8]) -> Answer<'_> {
    frame::decode(message).expect("an answer")
}

fn failure(message: &[u8]) -> Option<Failure> {
    match read(message).response {
        Response::Failure(failure) => Some(failure),
        _ => None,
    }
}

/// Packed bytes for a number of units, from a seed; padding is noise too.
fn noise(words: usize, seed: u64) -> Vec<u8> {
    use bitboltz_core::rng::Rng as _;
    let mut rng = stream(seed, 99);
    (0..words).flat_map(|_| rng.next_u32().to_le_bytes()).collect()
}

/// The core's answer, without a session: loads packed layers into a state.
fn load<F: bitboltz_core::weights::Field>(state: &mut State<'_, F>, layers: std::ops::Range<usize>, bytes: &[u8]) {
    let mut bits = bytes.iter();
    for layer in layers {
        let shape = *state.shape();
        let bytes: Vec<u8> = bits.by_ref().take(4 * shape.layer_words(layer)).copied().collect();
        for unit in 0..shape.width(layer) {
            state.layer_mut(layer).set(unit, bytes[unit / 8] >> (unit % 8) & 1 == 1);
        }
    }
}

fn state_answer<W: Weight>(seq: u32, model: &DenseDbm<'_, W>, state: &State<'_, W::Field>, sweeps: u32) -> Vec<u8> {
    let words: Vec<u8> = state.words().iter().flat_map(|word| word.to_le_bytes()).collect();
    let visible = &words[..4 * model.shape().layer_words(0)];
    let energy = W::Field::any_energy(model.energy(state));
    encoded(&Answer { seq, response: Response::State { energy, sweeps, hash: CRC32.checksum(&words), visible } })
}

fn encoded(answer: &Answer<'_>) -> Vec<u8> {
    wire::message(&wire::encoded(answer))
}

/// Asks everything of one model, and compares with the core called directly.
fn answers_equal_the_core<W: Weight>(tensors: &Tensors<W>) {
    let model = tensors.dbm().unwrap();
    let shape = *model.shape();
    let mut held = Held::new(tensors);
    let crc = held.image.image().unwrap().crc();
    if W::KIND != WeightKind::F32 {
        // The connection of all integers answers as that of one type.
        let request = framed(&[1, 1, 5, 6, 2]);
        let alone = feed(&mut held.session::<W>(), &request);
        let mut session = Session::<Integer<'_>>::new(held.image.image(), &mut held.arena);
        assert_eq!(feed(&mut session, &request), alone);
    }
    let mut session = held.session::<W>();
    assert_eq!(session.refusal(), None);
    let mut buffer = ChainBuffer::new(&shape);

    let mut widths = [0; MAX_LAYERS];
    widths.iter_mut().zip(shape.widths()).for_each(|(named, width)| *named = width as u32);
    let info = Info {
        protocol: PROTOCOL,
        kind: W::KIND,
        widths,
        geometry: tensors.geometry,
        scale: tensors.scale.to_bits(),
        crc,
        ram: ram_bytes(&shape) as u32,
    };
    assert_eq!(read(&ask(&mut session, 1, Request::Info)), Answer { seq: 1, response: Response::Info(info) });

    for (seed, sweeps) in [(0, 0), (1, 1), (u64::MAX, 7)] {
        let mut state = buffer.state(&shape);
        let mut rng = stream(seed, 3);
        model.randomise(&mut state, &Clamp::none(), &mut rng);
        let report = LocalModeSearch::default().run(&model, &mut state, &Clamp::none()).unwrap();
        (0..sweeps).for_each(|_| Gibbs::default().step(&model, &mut state, &Clamp::none(), &mut rng));
        let expected = state_answer(7, &model, &state, report.sweeps);
        assert_eq!(ask(&mut session, 7, Request::Sample { seed, chain: 3, sweeps }), expected);
    }

    let visible_words = shape.layer_words(0);
    for (seed, restarts, sweeps) in [(0, 0, 0), (1, 1, 0), (2, 5, 3)] {
        let (known, visible) = (noise(visible_words, seed), noise(visible_words, seed + 100));
        let mut masked = ChainBuffer::<W::Field>::new(&shape);
        let mut mask = masked.state(&shape);
        load(&mut mask, 0..1, &known);
        let clamp = Clamp::new(&shape, mask.words()).unwrap();
        let mut best = vec![0; shape.words()];

        let mut state = buffer.state(&shape);
        load(&mut state, 0..1, &visible);
        let inpaint =
            Inpaint { restarts: u32::from(restarts), sweeps: u32::from(sweeps), search: LocalModeSearch::default() };
        let report = inpaint.restore(&model, &mut state, &mut best, &clamp, &mut stream(seed, 4)).unwrap();
        let expected = state_answer(8, &model, &state, report.sweeps);
        let (known, visible) = (&known[..], &visible[..]);
        let request = Request::Inpaint { seed, chain: 4, restarts, sweeps, known, visible };
        assert_eq!(ask(&mut session, 8, request), expected);

        let samples = 20 * sweeps;
        let (mut state, mut rng) = (buffer.state(&shape), stream(seed, 4));
        load(&mut state, 0..1, visible);
        let mean = PosteriorMean { restarts: restarts.into(), burn_in: 2, samples, ..PosteriorMean::default() };
        let mut on = vec![0; shape.width(0)];
        mean.count(&model, &mut state, &clamp, &mut on, &mut rng).unwrap();
        let request = Request::Marginals { seed, chain: 4, restarts, burn_in: 2, samples, known, visible };
        let on: Vec<u8> = on.iter().flat_map(|count| count.to_le_bytes()).collect();
        let expected = encoded(&Answer { seq: 9, response: Response::Marginals { samples, on: &on } });
        assert_eq!(ask(&mut session, 9, request), expected);
    }

    for seed in 0..3 {
        let bytes = noise(shape.words(), seed);
        let mut state = buffer.state(&shape);
        load(&mut state, 0..shape.layers(), &bytes);
        model.refresh(&mut state);
        let energy = W::Field::any_energy(model.energy(&state));
        assert!((energy.to_real(model.scale()) - model.direct_energy(&state)).abs() < 1e-3);
        let expected = encoded(&Answer { seq: u32::MAX, response: Response::Energy(energy) });
        assert_eq!(ask(&mut session, u32::MAX, Request::Energy { state: &bytes }), expected);
    }
}

#[test]
fn every_answer_equals_the_core_called_directly() {
    for widths in [&[1, 1][..], &[70, 33, 5], &[9, 40, 8, 31], &[32, 64]] {
        answers_equal_the_core(&machine::<i8>(widths, 1.0, 1));
        answers_equal_the_core(&machine::<i16>(widths, 1.0, 2));
        answers_equal_the_core(&machine::<f32>(widths, 1.0, 3));
        answers_equal_the_core(&machine::<I4>(widths, 1.0, 4));
    }
}

#[test]
fn the_worked_session_of_the_format() {
    let mut held = Held::new(&example());
    let mut session = held.session::<i8>();
    let request = [5, 2, 4, 12, 7, 1, 1, 2, 3, 1, 1, 2, 1, 1, 1, 5, 0x9F, 0x0D, 0xE8, 0xBE, 0];
    let state = [7, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0];
    assert_eq!(request_frame(2, Request::Energy { state: &state }), request);
    let (last, before) = request.split_last().unwrap();
    assert!(before.iter().all(|&byte| session.take(byte).is_empty()));
    assert_eq!(session.take(*last), [3, 2, 3, 6, 8, 0xFC, 0x21, 0xD0, 0x87, 0]);
}

/// One request of each kind for a model, with its packed states.
fn one_of_each<'a>(known: &'a [u8], visible: &'a [u8], state: &'a [u8]) -> [Request<'a>; 5] {
    [
        Request::Info,
        Request::Sample { seed: 1, chain: 2, sweeps: 3 },
        Request::Inpaint { seed: 3, chain: 4, restarts: 5, sweeps: 6, known, visible },
        Request::Marginals { seed: 7, chain: 8, restarts: 2, burn_in: 3, samples: 10, known, visible },
        Request::Energy { state },
    ]
}

#[test]
fn an_answer_depends_on_its_request_alone() {
    let tensors = machine::<i8>(&[40, 33, 5], 1.0, 4);
    let shape = *tensors.shape();
    let (known, visible, state) = (noise(2, 1), noise(2, 2), noise(shape.words(), 3));
    let requests = one_of_each(&known, &visible, &state);
    let (mut fresh, mut used) = (Held::new(&tensors), Held::new(&tensors));
    let alone = requests.map(|request| ask(&mut fresh.session::<i8>(), 1, request));
    let mut session = used.session::<i8>();
    for first in 0..5 {
        for second in 0..5 {
            assert_eq!(ask(&mut session, 1, requests[first]), alone[first]);
            assert_eq!(ask(&mut session, 1, requests[second]), alone[second]);
        }
    }
}

#[test]
fn extreme_counts_are_finite_and_exact() {
    let tensors = example();
    let mut held = Held::new(&tensors);
    let mut session = held.session::<i8>();
    const MAX: u16 = u16::MAX;
    let (none, all, ones) = ([0; 4], [255; 4], [1, 0, 0, 0]);
    let ask = |session: &mut Session<'_, Dense<'_, i8>>, request| ask(session, 1, request);

    let (seed, chain) = (0, 0);
    let inpaint = |restarts, sweeps| Request::Inpaint { seed, chain, restarts, sweeps, known: &none, visible: &none };
    // At least one search is run, so none means one.
    assert_eq!(ask(&mut session, inpaint(0, 0)), ask(&mut session, inpaint(1, 0)));
    let most = ask(&mut session, inpaint(MAX, MAX));
    assert!(matches!(read(&most).response, Response::State { sweeps, .. } if sweeps >= 131_070));

    let marginals = |burn_in, samples, known, visible| Request::Marginals {
        seed,
        chain,
        restarts: 0,
        burn_in,
        samples,
        known,
        visible,
    };
    let zero = ask(&mut session, marginals(0, 0, &none, &none));
    assert_eq!(read(&zero).response, Response::Marginals { samples: 0, on: &[0; 6] });
    // A clamped unit counts every sample: the counter's full range, and no more.
    let full = ask(&mut session, marginals(MAX, MAX, &all, &ones));
    assert_eq!(read(&full).response, Response::Marginals { samples: MAX, on: &[255, 255, 0, 0, 0, 0] });

    let sample = ask(&mut session, Request::Sample { seed: u64::MAX, chain: u64::MAX, sweeps: MAX });
    assert!(matches!(read(&sample).response, Response::State { .. }));
}

#[test]
fn wrong_lengths_are_named() {
    let tensors = machine::<i8>(&[40, 33, 5], 1.0, 4);
    let mut held = Held::new(&tensors);
    let mut session = held.session::<i8>();
    let long = [0; 24];
    for wrong in [0, 1, 4, 7, 9, 12] {
        let (right, wrong) = (&long[..8], &long[..wrong]);
        for (known, visible) in [(wrong, right), (right, wrong), (wrong, wrong)] {
            for request in &one_of_each(known, visible, &long[..20])[2..4] {
                let expected = Failure::Length { expected: 8, found: wrong.len() as u32 };
                assert_eq!(failure(&ask(&mut session, 1, *request)), Some(expected));
            }
        }
    }
    for wrong in [0, 8, 19, 21, 24] {
        let expected = Failure::Length { expected: 20, found: wrong as u32 };
        assert_eq!(failure(&ask(&mut session, 1, Request::Energy { state: &long[..wrong] })), Some(expected));
    }
    assert_eq!(failure(&ask(&mut session, 1, Request::Energy { state: &long[..20] })), None);
}

#[test]
fn too_long_frames_are_refused_with_the_limit() {
    let mut held = Held::new(&example());
    let shape = *held.image.image().unwrap().shape();
    let mut session = held.session::<i8>();
    // A small model's requests are shorter than a block of an answer.
    let limit = frame::frame_bytes(request_bytes(&shape)).max(BLOCK_BYTES).next_multiple_of(4);
    let info = ask(&mut session, 1, Request::Info);
    for (length, expected) in [(limit, Failure::Damaged), (limit + 1, Failure::TooLong { limit: limit as u32 })] {
        for length in [length, length + 1_000 * (length - limit)] {
            assert_eq!(feed(&mut session, &vec![1; length]), Vec::<Vec<u8>>::new());
            let answers = feed(&mut session, &[0]);
            assert_eq!((read(&answers[0]).seq, failure(&answers[0])), (0, Some(expected)));
            assert_eq!(ask(&mut session, 1, Request::Info), info);
        }
    }
    // Zeros alone are no frames.
    assert_eq!(feed(&mut session, &[0; 100]).len(), 0);
}

#[test]
fn messages_that_are_no_request_are_refused() {
    let mut held = Held::new(&example());
    let mut session = held.session::<i8>();
    // Framed rightly: an answer, an unknown request, nothing.
    // The last is a request with something after it.
    for message in [&[1, 77][..], &[], &[1, 0, 0]] {
        assert_eq!(failure(&feed(&mut session, &framed(message))[0]), Some(Failure::Request));
    }
    // Less than a CRC.
    for short in [&[1, 0][..], &[2, 1, 0], &[3, 1, 1, 0]] {
        assert_eq!(failure(&feed(&mut session, short)[0]), Some(Failure::Damaged));
    }
}

#[test]
fn every_flipped_bit_of_a_frame_is_noticed_and_the_next_frame_answered() {
    let tensors = machine::<i8>(&[40, 5], 1.0, 4);
    let mut held = Held::new(&tensors);
    let mut session = held.session::<i8>();
    let (known, visible, state) = (noise(2, 1), noise(2, 2), noise(3, 3));
    for request in one_of_each(&known, &visible, &state) {
        let frame = request_frame(5, request);
        let good = ask(&mut session, 5, request);
        for bit in 0..8 * frame.len() {
            let mut damaged = frame.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            // The sender's next frame begins with a zero, in case the last one's end was lost.
            damaged.push(0);
            for answer in feed(&mut session, &damaged) {
                assert_eq!((read(&answer).seq, failure(&answer)), (0, Some(Failure::Damaged)), "bit {bit}");
            }
            assert_eq!(feed(&mut session, &frame), [&good[..]], "bit {bit}");
        }
        // A frame cut short at any byte, with and without its end.
        for length in 0..frame.len() - 1 {
            let answers = feed(&mut session, &[&frame[..length], &[0]].concat());
            assert_eq!(answers.len(), usize::from(length > 0));
            assert!(answers.iter().all(|answer| failure(answer) == Some(Failure::Damaged)));
        }
    }
}

#[test]
fn without_a_model_every_request_is_answered_with_the_reason() {
    use ImageError as E;
    for error in [
        E::Erased,
        E::Magic { found: [255; 4] },
        E::Crc { expected: u32::MAX, found: u32::MAX },
        E::Length { expected: u64::MAX, found: u32::MAX },
        E::Geometry { units: usize::MAX, visible: usize::MAX },
        E::WrongKind { expected: WeightKind::I8, found: WeightKind::I16 },
    ] {
        let mut arena = [7; 64];
        let mut session = Session::<Dense<'_, i8>>::new(Err(error), &mut arena);
        let refusal = Refusal::Image(error);
        assert_eq!(session.refusal(), Some(&refusal));
        for request in one_of_each(&[0; 4], &[0; 4], &[0; 8]) {
            let answer = ask(&mut session, u32::MAX, request);
            assert_eq!((read(&answer).seq, failure(&answer)), (u32::MAX, Some(Failure::NoModel(refusal))));
        }
        let answer = ask(&mut session, 1, Request::Energy { state: &[255; 4096] });
        assert_eq!(failure(&answer), Some(Failure::TooLong { limit: 256 }));
    }

    // The right image for another type.
    let image = AlignedBytes::new(&example().image());
    let mut arena = [0; 4096];
    let session = Session::<Dense<'_, i16>>::new(image.image(), &mut arena);
    let error = E::WrongKind { expected: WeightKind::I16, found: WeightKind::I8 };
    assert_eq!(session.refusal(), Some(&Refusal::Image(error)));
}

#[test]
fn ram_bytes_is_exactly_enough() {
    for widths in [&[1, 1][..], &[33, 1], &[70, 33, 5], &[2, 300], &[500, 3, 2]] {
        let tensors = machine::<i8>(widths, 1.0, 6);
        let mut held = Held::new(&tensors);
        let image = held.image.image().unwrap();
        let (shape, words) = (*image.shape(), held.arena.len());
        assert_eq!(ram_bytes(&shape), 4 * words);

        // The largest numbers make the longest frames.
        let mut session = Session::<Dense<'_, i8>>::new(Ok(image), &mut held.arena);
        let (visible, state) = (vec![255; 4 * shape.layer_words(0)], vec![255; 4 * shape.words()]);
        let (seed, chain, known, visible) = (u64::MAX, u64::MAX, &visible[..], &visible[..]);
        for request in [
            Request::Info,
            Request::Sample { seed, chain, sweeps: 300 },
            Request::Inpaint { seed, chain, restarts: 300, sweeps: 300, known, visible },
            Request::Marginals { seed, chain, restarts: 1, burn_in: 300, samples: 300, known, visible },
            Request::Energy { state: &state },
        ] {
            assert_eq!(failure(&ask(&mut session, u32::MAX, request)), None, "{widths:?} {request:?}");
        }

        let mut less = vec![0; words - 1];
        let mut session = Session::<Dense<'_, i8>>::new(Ok(image), &mut less);
        let refusal = Refusal::Room { needed: 4 * words as u32, found: 4 * words as u32 - 4 };
        assert_eq!(session.refusal(), Some(&refusal));
        assert_eq!(failure(&ask(&mut session, 1, Request::Info)), Some(Failure::NoModel(refusal)));
    }
}

#[test]
fn no_arena_is_too_small_to_be_safe() {
    let image = AlignedBytes::new(&example().image());
    let image = image.image().unwrap();
    let needed = workspace_words(image.shape());
    for words in 0..=needed {
        let mut arena = vec![0; words];
        let mut session = Session::<Dense<'_, i8>>::new(Ok(image), &mut arena);
        let room = Refusal::Room { needed: 4 * needed as u32, found: 4 * words as u32 };
        assert_eq!(session.refusal(), (words < needed).then_some(&room));
        for request in one_of_each(&[0; 4], &[0; 4], &[0; 12]) {
            let answers = feed(&mut session, &request_frame(1, request));
            assert!(answers.len() == 1 || words < 64, "{words}");
            assert!(answers.len() <= 1);
        }
        feed(&mut session, &[1; 3000]);
        feed(&mut session, &[0]);
    }
}

#[test]
fn a_machine_refuses_each_buffer_that_is_too_short() {
    let image = AlignedBytes::new(&machine::<i8>(&[40, 33, 5], 1.0, 4).image());
    let image = image.image().unwrap();
    let shape = *image.shape();
    for short in 0..4 {
        let mut arena = vec![0; workspace_words(&shape)];
        let mut buffers = Workspace::carve(&shape, &mut arena).machine;
        let needed = [shape.words(), shape.units(), shape.words(), shape.width(0).div_ceil(2)][short];
        let found = needed - 1;
        match short {
            0 => buffers.words = &mut buffers.words[..found],
            1 => buffers.fields = &mut buffers.fields[..found],
            2 => buffers.mask = &mut buffers.mask[..found],
            _ => buffers.scratch = &mut buffers.scratch[..found],
        }
        let error = Machine::<Integer<'_>>::new(&image, buffers).unwrap_err();
        assert_eq!(error, Refusal::Room { needed: 4 * needed as u32, found: 4 * found as u32 });
    }
}

#[test]
fn the_ram_of_a_known_shape_is_pinned() {
    // 784-500-500: 57 words of bits twice, 1,784 fields, 392 words of counts, and 69 words for a request: 41 bytes of
    // numbers, 57 words of state, the CRC, and two of stuffing.
    let shape = Shape::new(&[784, 500, 500]).unwrap();
    assert_eq!(workspace_words(&shape), 2 * 57 + 1_784 + 392 + 69);
    // 784-48-24: known and visible pixels, as long as a block of an answer.
    let shape = Shape::new(&[784, 48, 24]).unwrap();
    assert_eq!(ram_bytes(&shape), 4 * (2 * 28 + 856 + 392 + 64));
    // 2-300: the best state is longer than the counts.
    let shape = Shape::new(&[2, 300]).unwrap();
    assert_eq!(workspace_words(&shape), 3 * 11 + 302 + 64);
}

/// What a line may carry: noise, and frames with random edits.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let numbers = (any::<u64>(), any::<u64>(), 0u16..4, 0u16..4, 0usize..16);
    let edited = (0usize..5, numbers, prop::collection::vec((0usize..60, any::<u8>()), 0..3)).prop_map(
        |(kind, (seed, chain, small, other, length), edits)| {
            let bytes = noise(4, seed);
            let (known, visible) = (&bytes[..length], &bytes[..4]);
            let request = match kind {
                0 => Request::Info,
                1 => Request::Sample { seed, chain, sweeps: small },
                2 => Request::Inpaint { seed, chain, restarts: small, sweeps: other, known, visible },
                3 => Request::Marginals { seed, chain, restarts: small, burn_in: 0, samples: other, known, visible },
                _ => Request::Energy { state: known },
            };
            let mut frame = request_frame(seed as u32, request);
            for (at, byte) in edits {
                let at = at % frame.len();
                frame[at] = byte;
            }
            frame
        },
    );
    let noisy = prop::collection::vec(any::<u8>(), 0..200);
    // Every message that a right CRC can carry, too.
    let sealed = prop::collection::vec(any::<u8>(), 0..40).prop_map(|message| framed(&message));
    prop::collection::vec(prop_oneof![edited, noisy, sealed], 0..8).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn any_bytes_leave_a_session_in_step(bytes in line()) {
        let mut held = Held::new(&machine::<i8>(&[20, 5], 1.0, 4));
        let mut session = held.session::<i8>();
        let request = Request::Inpaint { seed: 1, chain: 1, restarts: 2, sweeps: 1, known: &[3; 4], visible: &[1; 4] };
        let good = ask(&mut session, 1, request);
        let ends = bytes.iter().filter(|&&byte| byte == 0).count();
        let answers = feed(&mut session, &bytes);
        prop_assert!(answers.len() <= ends);
        feed(&mut session, &[0]);
        prop_assert_eq!(ask(&mut session, 1, request), good);
    }

    #[test]
    fn any_bytes_to_any_session(bytes in prop::collection::vec(any::<u8>(), 0..60), choice: u8) {
        fuzz::session(&[&[choice], &bytes[..]].concat());
    }

    #[test]
    fn any_bytes_to_a_session_without_a_model(bytes in line(), words in 0usize..80) {
        let mut arena = vec![0; words];
        let mut session = Session::<Dense<'_, f32>>::new(Err(ImageError::Erased), &mut arena);
        for answer in feed(&mut session, &bytes) {
            prop_assert!(failure(&answer).is_some());
        }
    }
}
