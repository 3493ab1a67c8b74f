//! What the fuzz targets do with bytes, for the ordinary property tests too.

use std::sync::LazyLock;

use bitboltz::image::{AlignedBytes, encode};
use bitboltz_core::{
    connection::{Connection as _, Dense},
    gibbs::Gibbs,
    image::{Image, ImageError},
    kernels::{self, Flips, Matrix},
    rng::stream,
    search::LocalModeSearch,
    session::{
        Server, Session,
        frame::decode,
        message::{Answer, Request, Response},
        slots,
        store::{Granularity, Store as _},
        workspace_words,
    },
    state::Clamp,
    transition::Transition as _,
    weights::{Field as _, I4, Weight, WeightKind},
    with_weight,
};

use crate::{
    flash::Flash,
    images::{Encoded as _, reseal},
    models::{Rounding, machine},
    wire::{feed, frame, framed},
};

/// Larger models run too long to be fuzzed.
const MOST_UNITS: usize = 4096;

/// Any bytes as a flash image, as they are and then with what every image has: magic, version, length and CRC, or
/// nothing random would come past them. Returns whether either opened.
///
/// # Panics
/// If a promise is broken; see [`open_and_run`].
pub fn image(data: &[u8]) -> bool {
    let plain = open_and_run(data);
    let mut sealed = data.to_vec();
    if sealed.len() >= 12 {
        sealed[..6].copy_from_slice(b"\x89BBZ\x01\x00");
        let length = sealed.len() as u32;
        sealed[8..12].copy_from_slice(&length.to_le_bytes());
        reseal(&mut sealed);
    }
    plain | open_and_run(&sealed)
}

/// Opens bytes; if they are an image, runs it. Returns whether they are.
///
/// # Panics
/// If an image opens that is no model, that cannot run, whose kept fields are wrong, or that is not the only encoding of
/// its model.
pub fn open_and_run(bytes: &[u8]) -> bool {
    let held = AlignedBytes::new(bytes);
    let Ok(image) = held.image() else { return false };
    assert!(image.geometry().units() <= image.shape().width(0));
    with_weight!(image.kind(), W => {
        let model = image.dbm::<W>().expect("checked when it was opened");
        assert_eq!(encode(&model, image.geometry()).expect("it was one"), image.bytes());
        let shape = *model.shape();
        if shape.units() > MOST_UNITS {
            return true;
        }
        let mut buffer = bitboltz::chain::ChainBuffer::new(&shape);
        let mut state = buffer.state(&shape);
        let mut rng = stream(1, 1);
        model.randomise(&mut state, &Clamp::none(), &mut rng);
        let search = LocalModeSearch { cap: 50, ..LocalModeSearch::default() };
        // Floats near the end of their range may never settle; that is an error, no panic.
        let _ = search.run(&model, &mut state, &Clamp::none());
        Gibbs::default().step(&model, &mut state, &Clamp::none(), &mut rng);
        // The fields were kept with every flip: they are those of the bits, exactly where numbers are integers.
        let kept = model.energy(&state);
        model.refresh(&mut state);
        assert!(kept == model.energy(&state) || image.kind() == WeightKind::F32);
    });
    true
}

/// Any bytes as a matrix, flips and fields: the kernels of this build move the fields as the portable ones do, and a dense
/// connection as its weights say, one flip after the other.
///
/// The first six bytes are the weight type, the shift, the widths of the two layers, the place in memory, and how many fields
/// there are; weights, fields and flips are taken from the others, over and over.
///
/// # Panics
/// If that does not hold.
pub fn kernels(data: &[u8]) {
    let Some((&[kind, shift, lower, upper, place, fields], rest)) = data.split_first_chunk() else { return };
    if rest.is_empty() {
        return;
    }
    let bytes = rest.iter().copied().cycle();
    let shift = u32::from(shift);
    let [lower, upper, place, fields] = [lower, upper, place, fields].map(usize::from);
    let case = Case { lower: 1 + lower % 80, upper: 1 + upper % 80, place: place % 4, fields };
    match kind % 4 {
        0 => moves::<I4>(&case, shift % 16, bytes),
        1 => moves::<i8>(&case, shift % 16, bytes),
        // Sums of 32 weights, and a field, stay within 32 bits, as every image guarantees.
        2 => moves::<i16>(&case, shift % 10, bytes),
        _ => moves::<f32>(&case, 0, bytes),
    }
}

/// What the kernels are tried on.
#[derive(Debug)]
struct Case {
    lower: usize,
    upper: usize,
    /// Items before the matrix, so that it begins at any address.
    place: usize,
    /// Fields, as many as a layer has unless fewer.
    fields: usize,
}

fn moves<W: Weight>(case: &Case, shift: u32, mut bytes: impl Iterator<Item = u8>) {
    let &Case { lower, upper, place, fields } = case;
    let mut word = || u32::from_le_bytes([(); 4].map(|()| bytes.next().expect("without end")));
    let stride = upper.div_ceil(W::PER_PACKED);
    let items = lower * stride;
    let mut words = vec![0; ((place + items) * size_of::<W::Packed>()).div_ceil(4)];
    words.fill_with(&mut word);
    let all: &[W::Packed] = bytemuck::cast_slice(&words);
    let items = &all[place..place + items];
    // An image bounds its fields: no sum overflows.
    let field = |word: u32| if W::KIND == WeightKind::F32 { word } else { (word as i32 >> 2) as u32 };
    let mut start = vec![0; lower.max(upper)];
    start.fill_with(|| field(word()));
    let mut flips = |width: usize| {
        let mut flips = Flips::default();
        for unit in 0..width {
            let choice = bytes.next().expect("without end") % 4;
            if choice < 2 && !flips.push(unit, choice == 0) {
                break;
            }
        }
        flips
    };
    let (below, above) = (flips(lower), flips(upper));

    let matrix = Matrix { items, stride, shift };
    let dense = Dense::<W>::from_packed(items, lower, upper, shift).expect("as many items as it takes");
    type Move<'a, F> = &'a dyn Fn(&mut [F]);
    let check = |what: &str, fields: usize, moves: [Move<'_, W::Field>; 2]| {
        let [found, expected] = moves.map(|run| {
            let mut words = start.clone();
            run(&mut bytemuck::cast_slice_mut(&mut words)[..fields]);
            words
        });
        let is_nan = |bits: u32| W::KIND == WeightKind::F32 && f32::from_bits(bits).is_nan();
        // Which NaN comes of a sum is not specified.
        let same = found.iter().zip(&expected).all(|(&a, &b)| a == b || is_nan(a) && is_nan(b));
        assert!(same, "{what}, {} << {shift}, {case:?}, {below:?}, {above:?}: {found:?}, {expected:?}", W::KIND);
    };
    // Also more fields than a row has, and fewer.
    let [few, many] = [fields.min(lower), fields.min(start.len())];
    check(
        "kernel up",
        many,
        [&|fields| kernels::move_upper::<W>(matrix, &below, fields), &|fields| {
            kernels::portable::move_upper::<W>(matrix, &below, fields);
        }],
    );
    check(
        "kernel down",
        many,
        [&|fields| kernels::move_lower::<W>(matrix, &above, fields), &|fields| {
            kernels::portable::move_lower::<W>(matrix, &above, fields);
        }],
    );
    let shifted = |field: &mut W::Field, weight: W::Field, on| {
        *field = if on { field.plus(weight) } else { field.minus(weight) };
    };
    check(
        "connection up",
        upper,
        [&|fields| dense.move_upper(&below, fields), &|fields| {
            for (i, on) in below.ascending() {
                (0..upper).for_each(|j| shifted(&mut fields[j], dense.weight(i, j), on));
            }
        }],
    );
    check(
        "connection down",
        few,
        [&|fields| dense.move_lower(&above, fields), &|fields| {
            for (j, on) in above.ascending() {
                (0..few).for_each(|i| shifted(&mut fields[i], dense.weight(i, j), on));
            }
        }],
    );
}

fn small<W: Rounding>(widths: &[usize]) -> AlignedBytes {
    AlignedBytes::new(&machine::<W>(widths, 1.0, 1).image())
}

static I8: LazyLock<AlignedBytes> = LazyLock::new(|| small::<i8>(&[37, 5, 3]));
static I16: LazyLock<AlignedBytes> = LazyLock::new(|| small::<i16>(&[3, 33, 1]));
static NIBBLES: LazyLock<AlignedBytes> = LazyLock::new(|| small::<I4>(&[9, 13, 2]));
static F32: LazyLock<AlignedBytes> = LazyLock::new(|| small::<f32>(&[8, 2, 2]));

/// Any bytes on the line of a session: at most one answer a frame, and the next good request gets its one right answer.
///
/// The first byte chooses the model and the room. The rest is sent as it is, and then again as the message of a frame
/// with a right CRC, which noise would never hit.
///
/// # Panics
/// If that does not hold.
pub fn session(data: &[u8]) {
    let Some((&choice, data)) = data.split_first() else { return };
    let room = |bytes: &AlignedBytes| workspace_words(bytes.image().expect("a good image").shape());
    match choice % 8 {
        2 => answers::<I4>(NIBBLES.image(), room(&NIBBLES), data),
        0..3 => answers::<i8>(I8.image(), room(&I8), data),
        3 => answers::<i16>(I16.image(), room(&I16), data),
        4 => answers::<f32>(F32.image(), room(&F32), data),
        5 => answers::<i8>(I8.image(), usize::from(choice), data),
        6 => answers::<i16>(I8.image(), 64, data),
        7 if choice >= 128 => updates(data),
        _ => answers::<i8>(Err(ImageError::Erased), usize::from(choice / 8), data),
    }
}

fn answers<W: Weight>(image: Result<Image<'_>, ImageError>, words: usize, data: &[u8]) {
    let mut arena = vec![0xAAAA_AAAA; words];
    let mut session = Session::<Dense<'_, W>>::new(image, &mut arena);
    let sample = framed(&[1, 1, 5, 6, 2]);
    let before = feed(&mut session, &sample);
    assert!(before.len() == 1 || words < 64);

    let frames = data.iter().filter(|&&byte| byte == 0).count();
    assert!(feed(&mut session, data).len() <= frames);
    feed(&mut session, &[0]);
    if !is_slow(data) {
        assert!(feed(&mut session, &framed(data)).len() <= 1);
    }
    assert_eq!(feed(&mut session, &sample), before);
}

/// Messages to a server over flash: each is a length and so many bytes, framed rightly. Whatever they do, one whole image answers
/// or none, and an update works afterwards.
fn updates(data: &[u8]) {
    let image = I8.bytes();
    let mut flash = Flash::new(1024, Granularity { erase: 256, write: 4 });
    flash.program(image);
    let mut arena = vec![0xAAAA_AAAA; 512];
    let mut server = Server::new(flash, &mut arena);
    let mut rest = data;
    while let Some((&length, after)) = rest.split_first() {
        let (message, after) = after.split_at(after.len().min(length.into()));
        rest = after;
        if !is_slow(message) {
            assert_eq!(feed(&mut server, &framed(message)).len(), 1);
        }
        let found = slots::open(server.store().region(), server.store().granularity());
        // The other way round it need not be: an image without a record is none before it is committed, and one at a start.
        if let Ok(ours) = server.image() {
            assert_eq!(found.map(|found| found.crc()), Ok(ours.crc()));
        }
    }
    let crc = I8.image().expect("a good image").crc();
    let mut ask = |request| feed(&mut server, &frame(1, request)).concat();
    let begin = ask(Request::Update { length: image.len() as u32, crc });
    let Some(Answer { response: Response::Ready { offset, .. }, .. }) = decode(&begin) else { panic!("{begin:?}") };
    let mut offset = offset as usize;
    while offset < image.len() {
        let bytes = &image[offset..image.len().min(offset + 64)];
        let stored = ask(Request::Chunk { offset: offset as u32, bytes });
        let Some(Answer { response: Response::Stored { offset: next }, .. }) = decode(&stored) else {
            panic!("{stored:?}")
        };
        offset = next as usize;
    }
    let committed = ask(Request::Commit);
    // Chunks of an update that was broken off may have been anything.
    let sound = matches!(decode(&begin), Some(Answer { response: Response::Ready { offset: 0, .. }, .. }));
    let done = matches!(decode(&committed), Some(Answer { response: Response::Committed, .. }));
    assert!(done || !sound, "{committed:?}");
}

/// Whether a message asks for so much work that an answer would take seconds: counts of its own are 16 bits.
fn is_slow(message: &[u8]) -> bool {
    // Any number above 127 takes more than one byte, so short requests are quick; three-byte counts are not.
    message.windows(3).any(|w| w[0] >= 0x80 && w[1] >= 0x80 && w[2] < 0x80)
}
