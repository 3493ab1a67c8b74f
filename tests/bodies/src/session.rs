//! Any bytes on the line of a session.

use bitboltz_core::{
    connection::Dense,
    image::{Image, ImageError},
    session::{
        Server, Session,
        frame::decode,
        message::{Answer, Call, Request, Response},
        slots,
        store::{Granularity, Store as _},
        workspace_words,
    },
    weights::{I4, Weight},
};

use crate::{
    flash::Flash,
    frames::{feed, frame, framed},
};

/// An image, at an address that is a multiple of 4.
#[repr(align(4))]
struct Aligned<T: ?Sized>(T);

impl Aligned<[u8]> {
    fn image(&self) -> Image<'_> {
        Image::open(&self.0).expect("a good image")
    }
}

// Small random machines; `tests/corpora.rs` makes them.
static I8: &Aligned<[u8]> = &Aligned(*include_bytes!("../machines/i8.bbz"));
static I16: &Aligned<[u8]> = &Aligned(*include_bytes!("../machines/i16.bbz"));
static NIBBLES: &Aligned<[u8]> = &Aligned(*include_bytes!("../machines/i4.bbz"));
static F32: &Aligned<[u8]> = &Aligned(*include_bytes!("../machines/f32.bbz"));

/// Any bytes on the line of a session: at most one answer a frame, and the next good request gets its one right answer.
///
/// The first byte chooses the model and the room. The rest is sent as it is, and then again as the message of a frame
/// with a right CRC, which noise would never hit.
///
/// # Panics
/// If that does not hold.
pub fn session(data: &[u8]) {
    let Some((&choice, data)) = data.split_first() else { return };
    let room = |image: Image<'_>| workspace_words(image.shape());
    match choice % 8 {
        0 | 1 => answers::<i8>(Ok(I8.image()), room(I8.image()), data),
        2 => answers::<I4>(Ok(NIBBLES.image()), room(NIBBLES.image()), data),
        3 => answers::<i16>(Ok(I16.image()), room(I16.image()), data),
        4 => answers::<f32>(Ok(F32.image()), room(F32.image()), data),
        5 => answers::<i8>(Ok(I8.image()), usize::from(choice), data),
        6 => answers::<i16>(Ok(I8.image()), 64, data),
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
    let image = &I8.0;
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
    let crc = I8.image().crc();
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

/// Whether a message asks for so much work that an answer would take seconds: counts are 16 bits, and are multiplied.
fn is_slow(message: &[u8]) -> bool {
    let sweeps = match decode::<Call<'_>>(message).map(|call| call.request) {
        Some(Request::Sample { sweeps, .. }) => u32::from(sweeps),
        Some(Request::Inpaint { restarts, sweeps, .. }) => u32::from(restarts) + u32::from(sweeps),
        Some(Request::Marginals { restarts, burn_in, samples, .. }) => {
            u32::from(restarts.min(samples).max(1)) * (1 + u32::from(burn_in)) + u32::from(samples)
        }
        _ => 0,
    };
    sweeps > 1_000
}
