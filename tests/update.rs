//! New weights over the line: refused images, and a power cut at every byte of an update.

use bitboltz_core::{
    image::{Image, ImageError},
    session::{
        Server, frame,
        message::{Answer, Failure, Refusal, Request, Response, UpdateError},
        slots,
        store::{Granularity, NoStore, RamStore, Store, StoreError},
    },
    weights::WeightKind,
};
use bitboltz_tests::{
    flash::Flash,
    images::{Encoded as _, board, example},
    models::machine,
    wire::{Receive as _, feed, frame as request_frame},
};

/// Words for every model here.
const ARENA: usize = 1024;

/// The one answer to a request, as its sequence number and what `see` makes of it.
fn ask<S: Store, T>(server: &mut Server<'_, S>, request: Request<'_>, see: impl FnOnce(Response<'_>) -> T) -> T {
    let answers = feed(server, &request_frame(7, request));
    assert_eq!(answers.len(), 1, "{request:?}");
    let Answer { seq, response } = frame::decode(&answers[0]).expect("an answer");
    assert_eq!(seq, 7);
    see(response)
}

fn error(response: Response<'_>) -> Option<UpdateError> {
    match response {
        Response::Failure(Failure::Update(error)) => Some(error),
        _ => None,
    }
}

fn crc(image: &[u8]) -> u32 {
    u32::from_le_bytes(*image.last_chunk().unwrap())
}

/// CRC of the image that answers, or why there is none.
fn running<S: Store>(server: &mut Server<'_, S>) -> Result<u32, Failure> {
    ask(server, Request::Info, |response| match response {
        Response::Info(info) => Ok(info.crc),
        Response::Failure(failure) => Err(failure),
        other => panic!("{other:?}"),
    })
}

/// Sends an image as a host does. Ends at the first failure.
fn update<S: Store>(server: &mut Server<'_, S>, image: &[u8], longest: usize) -> Result<(), UpdateError> {
    fn failed<T>(response: Response<'_>) -> Result<T, UpdateError> {
        Err(error(response).unwrap_or_else(|| panic!("{response:?}")))
    }
    let begin = Request::Update { length: image.len() as u32, crc: crc(image) };
    let (chunk, mut offset) = ask(server, begin, |response| match response {
        Response::Ready { chunk, offset } => Ok((longest.min(chunk as usize), offset as usize)),
        other => failed(other),
    })?;
    assert!(chunk >= 16 && chunk.is_multiple_of(16), "{chunk}");
    while offset < image.len() {
        let bytes = &image[offset..image.len().min(offset + chunk)];
        let next = ask(server, Request::Chunk { offset: offset as u32, bytes }, |response| match response {
            Response::Stored { offset } => Ok(offset as usize),
            other => failed(other),
        })?;
        assert!(next > offset);
        offset = next;
    }
    ask(server, Request::Commit, |response| match response {
        Response::Committed => Ok(()),
        other => failed(other),
    })
}

/// Two different images of the worked example's size.
fn pair() -> (Vec<u8>, Vec<u8>) {
    let old = example().image();
    let new = machine::<i8>(&[3, 2, 1], 1.0, 9).image();
    assert!(crc(&old) != crc(&new));
    (old, new)
}

#[test]
fn every_flipped_bit_is_refused_with_a_reason_and_an_update_heals() {
    let (good, new) = pair();
    for bit in 0..8 * good.len() {
        let mut words = [u32::MAX; 256];
        let region: &mut [u8] = bytemuck::cast_slice_mut(&mut words);
        region[..good.len()].copy_from_slice(&good);
        region[bit / 8] ^= 1 << (bit % 8);
        let why = Image::open(region).unwrap_err();
        let mut arena = [0; ARENA];
        let mut server = Server::new(RamStore(&mut words), &mut arena);
        let refusal = Refusal::Image(why);
        assert_eq!(server.image().unwrap_err(), refusal);
        let sample = Request::Sample { seed: 1, chain: 1, sweeps: 1 };
        for request in [Request::Info, sample] {
            let no_model = Response::Failure(Failure::NoModel(refusal));
            ask(&mut server, request, |response| assert_eq!(response, no_model, "bit {bit}"));
        }
        assert_eq!(update(&mut server, &new, 1024), Ok(()), "bit {bit}");
        assert_eq!(running(&mut server), Ok(crc(&new)));
        ask(&mut server, sample, |response| assert!(matches!(response, Response::State { .. })));
    }
}

/// How memories are erased and written.
fn memories() -> [(usize, Granularity); 4] {
    [
        (1024, Granularity { erase: 256, write: 4 }),
        // A slot is one page, and a record's bytes a unit.
        (512, Granularity { erase: 256, write: 16 }),
        (512, Granularity { erase: 64, write: 1 }),
        // One slot.
        (256, Granularity { erase: 256, write: 4 }),
    ]
}

/// What a device that is started over this flash answers from, and that nothing else is said.
fn boots(flash: &Flash) -> Result<u32, Failure> {
    let mut arena = [0; ARENA];
    let mut server = Server::new(flash.clone(), &mut arena);
    let found = running(&mut server);
    assert_eq!(slots::open(flash.region(), flash.granularity()).map(|image| image.crc()).ok(), found.ok());
    found
}

#[test]
fn a_power_cut_at_any_byte_leaves_the_old_image_or_the_new_one_or_says_that_there_is_none() {
    let (old, new) = pair();
    let mut cuts = 0;
    for (bytes, granularity) in memories() {
        let two = bytes >= 2 * granularity.erase;
        let mut flash = Flash::new(bytes, granularity);
        flash.program(&old);
        // There and back, so that either slot is the one in use, with and without a record.
        for (from, to) in [(&old, &new), (&new, &old), (&old, &new), (&new, &old)] {
            let mut arena = [0; ARENA];
            let mut whole = flash.clone();
            whole.used = 0;
            let mut server = Server::new(&mut whole, &mut arena);
            assert_eq!(update(&mut server, to, 32), Ok(()));
            assert_eq!(running(&mut server), Ok(crc(to)));
            let needed = whole.used;
            assert_eq!(boots(&whole), Ok(crc(to)));

            let mut seen = [0; 3];
            for power in 0..needed {
                let mut cut = flash.clone();
                (cut.power, cut.used) = (power, 0);
                let mut arena = [0; ARENA];
                let stopped = update(&mut Server::new(&mut cut, &mut arena), to, 32);
                assert!(matches!(stopped, Err(UpdateError::Store { .. })), "{power}: {stopped:?}");
                let state = match boots(&cut) {
                    Ok(found) if found == crc(from) => 0,
                    Ok(found) if found == crc(to) => 1,
                    Ok(other) => panic!("{power}: {other:08x}"),
                    Err(Failure::NoModel(Refusal::Image(_))) => 2,
                    Err(other) => panic!("{power}: {other}"),
                };
                seen[state] += 1;
                // With two slots the old one stays until the last byte.
                assert!(!two || state == 0, "{power} of {needed}: {state}");
                // Whatever there is now, another update works.
                (cut.power, cut.used) = (usize::MAX, 0);
                let mut arena = [0; ARENA];
                let mut server = Server::new(&mut cut, &mut arena);
                assert_eq!(update(&mut server, to, 1024), Ok(()), "{power}");
                assert_eq!(running(&mut server), Ok(crc(to)));
                assert_eq!(boots(&cut), Ok(crc(to)));
                cuts += 1;
            }
            assert!(two || seen[2] > 0);
            flash = whole;
            flash.power = usize::MAX;
        }
    }
    assert!(cuts > 2_000, "{cuts}");
}

#[test]
fn an_image_longer_than_a_slot_takes_the_whole_region_whenever_the_power_goes() {
    let granularity = Granularity { erase: 64, write: 4 };
    let (short, other) = pair();
    let long = machine::<i8>(&[12, 12], 1.0, 3).image();
    let mut flash = Flash::new(384, granularity);
    assert!(long.len() > 384 / 2 - 16 && long.len() <= 384);
    flash.program(&short);
    // The second slot is the newer; then the long one over both; then a short one over the long one.
    let mut arena = [0; ARENA];
    assert_eq!(update(&mut Server::new(&mut flash, &mut arena), &other, 1024), Ok(()));
    for (from, to) in [(&other, &long), (&long, &short)] {
        let mut whole = flash.clone();
        whole.used = 0;
        assert_eq!(update(&mut Server::new(&mut whole, &mut arena), to, 1024), Ok(()));
        assert_eq!(boots(&whole), Ok(crc(to)));
        for power in 0..whole.used {
            let mut cut = flash.clone();
            (cut.power, cut.used) = (power, 0);
            let stopped = update(&mut Server::new(&mut cut, &mut arena), to, 64);
            assert!(stopped.is_err(), "{power}");
            match boots(&cut) {
                Ok(found) => assert!(found == crc(from) || found == crc(to), "{power}: {found:08x}"),
                Err(Failure::NoModel(Refusal::Image(_))) => {}
                Err(other) => panic!("{power}: {other}"),
            }
        }
        flash = whole;
    }
    let long = vec![0; 388];
    let refused = update(&mut Server::new(&mut flash, &mut arena), &long, 64);
    assert_eq!(refused, Err(UpdateError::TooLong { room: 384 }));
    assert_eq!(boots(&flash), Ok(crc(&short)));
}

#[test]
fn an_update_goes_on_where_it_was_and_questions_in_between_are_answered_by_the_old_image() {
    let (old, new) = pair();
    let mut flash = Flash::new(1024, Granularity { erase: 256, write: 4 });
    flash.program(&old);
    let mut arena = [0; ARENA];
    let mut server = Server::new(flash, &mut arena);
    let (length, other) = (new.len() as u32, crc(&new));
    let begin = Request::Update { length, crc: other };
    let chunk = |at: usize, to: usize| Request::Chunk { offset: at as u32, bytes: &new[at..to] };
    let sample = request_frame(1, Request::Sample { seed: 3, chain: 1, sweeps: 2 });
    let before = feed(&mut server, &sample);

    for request in [chunk(0, 16), Request::Commit] {
        assert_eq!(ask(&mut server, request, error), Some(UpdateError::NotBegun));
    }
    ask(&mut server, begin, |r| assert!(matches!(r, Response::Ready { offset: 0, .. })));
    let stored = |server: &mut Server<'_, Flash>, request| {
        ask(server, request, |response| match response {
            Response::Stored { offset } => offset,
            other => panic!("{other:?}"),
        })
    };
    assert_eq!(stored(&mut server, chunk(0, 16)), 16);
    assert_eq!(feed(&mut server, &sample), before);
    // Sent twice, from elsewhere, or nothing.
    for request in [chunk(0, 16), chunk(32, 48), chunk(8, 24), chunk(16, 16)] {
        assert_eq!(stored(&mut server, request), 16);
    }
    // Whole units are taken, the rest is to be sent again.
    assert_eq!(stored(&mut server, chunk(16, 27)), 24);
    let incomplete = UpdateError::Incomplete { expected: length, found: 24 };
    assert_eq!(ask(&mut server, Request::Commit, error), Some(incomplete));
    ask(&mut server, begin, |r| assert!(matches!(r, Response::Ready { offset: 24, .. })));
    // Noise changes nothing.
    feed(&mut server, &[1, 2, 3, 0]);
    assert_eq!(update(&mut server, &new, 16), Ok(()));
    assert_eq!(running(&mut server), Ok(other));
    assert!(feed(&mut server, &sample) != before);
    assert_eq!(ask(&mut server, Request::Commit, error), Some(UpdateError::NotBegun));
}

#[test]
fn what_is_no_image_for_this_device_does_not_replace_the_old_one() {
    let (old, new) = pair();
    let mut damaged = new.clone();
    damaged[50] ^= 1;
    let mut flash = Flash::new(8192, Granularity { erase: 256, write: 8 });
    flash.program(&old);
    let mut arena = [0; ARENA];
    let large = machine::<i8>(&[1500, 1], 1.0, 3).image();
    let refused = [
        (damaged, Refusal::Image(ImageError::Crc { expected: crc(&new), found: 0 })),
        (vec![0xFF; 64], Refusal::Image(ImageError::Erased)),
        (vec![7; 63], Refusal::Image(ImageError::Magic { found: [7; 4] })),
    ];
    for (bytes, why) in refused {
        let found = update(&mut Server::new(&mut flash, &mut arena), &bytes, 1024);
        match (found, why) {
            (
                Err(UpdateError::Refused(Refusal::Image(ImageError::Crc { expected, .. }))),
                Refusal::Image(ImageError::Crc { expected: right, .. }),
            ) => assert_eq!(expected, right),
            (found, why) => assert_eq!(found, Err(UpdateError::Refused(why))),
        }
        assert_eq!(boots(&flash), Ok(crc(&old)));
    }
    assert!(large.len() < 8192);
    let found = update(&mut Server::new(&mut flash, &mut arena), &large, 1024);
    match found {
        Err(UpdateError::Refused(Refusal::Room { needed, found })) => assert!(needed > found && found == 4 * 1024),
        other => panic!("{other:?}"),
    }
    // The CRC announced is the one that counts.
    let mut server = Server::new(flash, &mut arena);
    let begin = Request::Update { length: new.len() as u32, crc: 5 };
    ask(&mut server, begin, |r| assert!(matches!(r, Response::Ready { offset: 0, .. })));
    for (at, bytes) in new.chunks(16).enumerate() {
        let request = Request::Chunk { offset: 16 * at as u32, bytes };
        ask(&mut server, request, |r| assert!(matches!(r, Response::Stored { .. })));
    }
    let wrong = ImageError::Crc { expected: 5, found: crc(&new) };
    assert_eq!(ask(&mut server, Request::Commit, error), Some(UpdateError::Refused(Refusal::Image(wrong))));
}

#[test]
fn weights_that_are_not_writable_stay() {
    let image = bitboltz::image::AlignedBytes::new(&board(WeightKind::I8, 1));
    let mut arena = vec![0; 4096];
    let mut server = Server::new(NoStore(image.bytes()), &mut arena);
    let right = image.image().unwrap().crc();
    assert_eq!(running(&mut server), Ok(right));
    for request in [Request::Update { length: 1, crc: 1 }, Request::Chunk { offset: 0, bytes: &[] }, Request::Commit] {
        assert_eq!(ask(&mut server, request, error), Some(UpdateError::NotWritable));
    }
    assert_eq!(running(&mut server), Ok(right));
}

#[test]
fn no_arena_is_too_small_to_be_safe() {
    let (old, new) = pair();
    for words in 0..200 {
        let mut flash = Flash::new(1024, Granularity { erase: 256, write: 4 });
        flash.program(&old);
        let mut arena = vec![0; words];
        let mut server = Server::new(flash, &mut arena);
        for byte in request_frame(1, Request::Info) {
            assert!(words >= 64 || server.take(byte).is_empty());
        }
        if server.image().is_ok() {
            assert_eq!(update(&mut server, &new, 1024), Ok(()));
        }
    }
}

#[test]
fn a_refused_image_on_empty_memory_is_not_taken_for_a_programmers() {
    let (_, new) = pair();
    // With two slots, and with room for one image only.
    for bytes in [8192, 2 * 256] {
        let mut flash = Flash::new(bytes, Granularity { erase: 256, write: 8 });
        let mut arena = [0; ARENA];
        let mut server = Server::new(&mut flash, &mut arena);
        let begin = Request::Update { length: new.len() as u32, crc: 5 };
        ask(&mut server, begin, |r| assert!(matches!(r, Response::Ready { offset: 0, .. }), "{r:?}"));
        for (at, bytes) in new.chunks(16).enumerate() {
            let request = Request::Chunk { offset: 16 * at as u32, bytes };
            ask(&mut server, request, |r| assert!(matches!(r, Response::Stored { .. })));
        }
        let wrong = ImageError::Crc { expected: 5, found: crc(&new) };
        assert_eq!(ask(&mut server, Request::Commit, error), Some(UpdateError::Refused(Refusal::Image(wrong))));
        assert_eq!(running(&mut server), Err(Failure::NoModel(Refusal::Image(ImageError::Erased))));
        assert_eq!(update(&mut server, &new, 1024), Ok(()));
        assert_eq!(running(&mut server), Ok(crc(&new)));
    }
}

/// Flash whose write number `left` fails half way, and all others work.
struct FailsOnce {
    flash: Flash,
    left: usize,
}

impl Store for FailsOnce {
    fn region(&self) -> &[u8] {
        self.flash.region()
    }

    fn granularity(&self) -> Option<Granularity> {
        self.flash.granularity()
    }

    fn erase(&mut self, offset: usize) -> Result<(), StoreError> {
        self.flash.erase(offset)
    }

    fn write(&mut self, offset: usize, bytes: &[u8]) -> Result<(), StoreError> {
        self.left = self.left.wrapping_sub(1);
        if self.left != 0 {
            return self.flash.write(offset, bytes);
        }
        // It panics where something is written twice.
        self.flash.write(offset, &bytes[..8])?;
        Err(StoreError)
    }
}

#[test]
fn an_update_whose_write_failed_begins_anew() {
    let (old, new) = pair();
    for left in [1, 2, 3] {
        let mut flash = Flash::new(8192, Granularity { erase: 256, write: 8 });
        flash.program(&old);
        let mut arena = [0; ARENA];
        let mut server = Server::new(FailsOnce { flash, left }, &mut arena);
        assert!(matches!(update(&mut server, &new, 16), Err(UpdateError::Store { .. })), "{left}");
        assert_eq!(running(&mut server), Ok(crc(&old)));
        assert_eq!(update(&mut server, &new, 16), Ok(()), "{left}");
        assert_eq!(running(&mut server), Ok(crc(&new)));
    }
}
