//! Any bytes on the line of a session: never a panic, and the next good request gets its one right answer.
//!
//! The first byte chooses the model and the room. The rest is sent as it is, and then again as the message of a frame
//! with a right CRC, which noise would never hit.
#![no_main]

use std::sync::LazyLock;

use bitboltz_core::{
    image::{CRC32, Image, ImageError},
    session::{Session, workspace_words},
    weights::Weight,
};
use libfuzzer_sys::fuzz_target;

/// A small image: header fields, then zeros for biases and some pattern for weights.
fn image(kind: u8, bytes_per_weight: usize, widths: [u8; 3]) -> Vec<u32> {
    let [a, b, c] = widths.map(usize::from);
    let mut bytes = b"\x89BBZ\x01\x00".to_vec();
    bytes.extend([kind, 3, 0, 0, 0, 0, 0, 0, 0x80, 0x3D, 0, 0, 0, 0, 0, 0, 0, 0]);
    widths.iter().for_each(|&width| bytes.extend([width, 0, 0, 0]));
    bytes.extend([0, 1, 0, 0]);
    bytes.resize(bytes.len() + 4 * (a + b + c), 0);
    for weights in [a * b, b * c] {
        // High bytes of 0x3F and less: finite floats.
        bytes.extend((0..weights * bytes_per_weight).map(|i| (i * 37 % 0x40) as u8));
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    let length = bytes.len() as u32 + 4;
    bytes[8..12].copy_from_slice(&length.to_le_bytes());
    let crc = CRC32.checksum(&bytes);
    bytes.extend(crc.to_le_bytes());
    let mut words = vec![0; bytes.len() / 4];
    bytemuck::cast_slice_mut(&mut words).copy_from_slice(&bytes);
    words
}

static I8: LazyLock<Vec<u32>> = LazyLock::new(|| image(1, 1, [37, 5, 3]));
static I16: LazyLock<Vec<u32>> = LazyLock::new(|| image(2, 2, [3, 33, 1]));
static F32: LazyLock<Vec<u32>> = LazyLock::new(|| image(0, 4, [8, 2, 2]));

fn cobs(message: &[u8]) -> Vec<u8> {
    let mut body = message.to_vec();
    body.extend(CRC32.checksum(message).to_le_bytes());
    let mut frame = vec![0; body.len() + body.len() / 254 + 3];
    // A code counts the bytes up to the next zero, itself included, and 255 stands for 254 bytes and no zero.
    let (mut code, mut at) = (0, 1);
    for byte in body {
        if byte == 0 {
            frame[code] = (at - code) as u8;
            (code, at) = (at, at + 1);
        } else {
            frame[at] = byte;
            at += 1;
            if at - code == 255 {
                frame[code] = 255;
                (code, at) = (at, at + 1);
            }
        }
    }
    frame[code] = (at - code) as u8;
    frame.truncate(at);
    frame.push(0);
    frame
}

/// Whether a message asks for so much work that an answer would take seconds: counts of its own are 16 bits.
fn is_slow(message: &[u8]) -> bool {
    // Any number above 127 takes more than one byte, so short requests are quick; three-byte counts are not.
    message.windows(3).any(|w| w[0] >= 0x80 && w[1] >= 0x80 && w[2] < 0x80)
}

fn run<W: Weight>(image: Result<Image<'_>, ImageError>, words: usize, data: &[u8]) {
    let mut arena = vec![0xAAAA_AAAA; words];
    let mut session = Session::<W>::new(image, &mut arena);
    let answers = |session: &mut Session<'_, W>, bytes: &[u8]| -> Vec<Vec<u8>> {
        bytes.iter().filter_map(|&byte| session.receive(byte).map(<[u8]>::to_vec)).collect()
    };
    let sample = cobs(&[1, 1, 5, 6, 2]);
    let before = answers(&mut session, &sample);
    assert!(before.len() == 1 || words < 64);

    let frames = data.iter().filter(|&&byte| byte == 0).count();
    assert!(answers(&mut session, data).len() <= frames);
    answers(&mut session, &[0]);
    if !is_slow(data) {
        assert!(answers(&mut session, &cobs(data)).len() <= 1);
    }
    assert_eq!(answers(&mut session, &sample), before);
}

fuzz_target!(|data: &[u8]| {
    let Some((&choice, data)) = data.split_first() else { return };
    let open = |words: &'static [u32]| Image::open(bytemuck::cast_slice(words));
    let room = |words: &'static [u32]| workspace_words(open(words).expect("a good image").shape());
    match choice % 8 {
        0..3 => run::<i8>(open(&I8), room(&I8), data),
        3 => run::<i16>(open(&I16), room(&I16), data),
        4 => run::<f32>(open(&F32), room(&F32), data),
        5 => run::<i8>(open(&I8), usize::from(choice), data),
        6 => run::<i16>(open(&I8), 64, data),
        _ => run::<i8>(Err(ImageError::Erased), usize::from(choice / 8), data),
    }
});
