//! What the fuzz targets do with bytes, for the ordinary property tests too.

use std::sync::LazyLock;

use bitboltz::image::{AlignedBytes, encode};
use bitboltz_core::{
    connection::Dense,
    gibbs::Gibbs,
    image::{Image, ImageError},
    rng::stream,
    search::LocalModeSearch,
    session::{Session, workspace_words},
    state::Clamp,
    transition::Transition as _,
    weights::{I4, Weight, WeightKind},
    with_weight,
};

use crate::{
    images::{Encoded as _, reseal},
    models::{Rounding, machine},
    wire::{feed, framed},
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

/// Whether a message asks for so much work that an answer would take seconds: counts of its own are 16 bits.
fn is_slow(message: &[u8]) -> bool {
    // Any number above 127 takes more than one byte, so short requests are quick; three-byte counts are not.
    message.windows(3).any(|w| w[0] >= 0x80 && w[1] >= 0x80 && w[2] < 0x80)
}
