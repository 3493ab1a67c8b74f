//! The messages of a session, byte by byte: postcard numbers variants by their order, so to move one is to change the
//! protocol.

use bitboltz_core::{
    image::{Geometry, ImageError},
    model::{ModelError, Tensor},
    session::{
        frame::{self, frame_bytes},
        message::{
            Answer, Call, Failure, Info, PROTOCOL, Refusal, Request, Response, UpdateError, message_bytes,
            request_bytes,
        },
    },
    shape::{Shape, ShapeError},
    weights::{AnyEnergy, WeightKind},
};
use bitboltz_tests::wire::{self, frame as request_frame, message};

fn encoded(answer: &Answer<'_>) -> Vec<u8> {
    message(&wire::encoded(answer))
}

#[test]
fn exact_bytes_of_a_frame() {
    // Message 1, 0; its CRC-32, 0x58C223BE, little-endian; the stuffing; the zero at the end.
    assert_eq!(request_frame(1, Request::Info), [2, 1, 5, 0xBE, 0x23, 0xC2, 0x58, 0]);
}

#[test]
fn exact_bytes_of_requests() {
    let (known, visible) = (&[5, 0, 0, 0][..], &[4, 0, 0, 1][..]);
    let calls = [
        (Request::Info, &[9, 0][..]),
        // 300 takes two bytes of seven bits, the lower first.
        (Request::Sample { seed: 300, chain: 1, sweeps: 2 }, &[9, 1, 0xAC, 2, 1, 2]),
        (
            Request::Inpaint { seed: 1, chain: 2, restarts: 3, sweeps: 4, known, visible },
            &[9, 2, 1, 2, 3, 4, 4, 5, 0, 0, 0, 4, 4, 0, 0, 1],
        ),
        (
            Request::Marginals { seed: 1, chain: 2, restarts: 3, burn_in: 4, samples: 5, known, visible },
            &[9, 3, 1, 2, 3, 4, 5, 4, 5, 0, 0, 0, 4, 4, 0, 0, 1],
        ),
        (Request::Energy { state: known }, &[9, 4, 4, 5, 0, 0, 0]),
        (Request::Update { length: 300, crc: 2 }, &[9, 5, 0xAC, 2, 2]),
        (Request::Chunk { offset: 128, bytes: &[7, 0, 9] }, &[9, 6, 0x80, 1, 3, 7, 0, 9]),
        (Request::Commit, &[9, 7]),
    ];
    for (request, bytes) in calls {
        assert_eq!(message(&request_frame(9, request)), bytes, "{request:?}");
        assert_eq!(frame::decode(bytes), Some(Call { seq: 9, request }));
        // Nothing may follow, and nothing may be missing.
        assert_eq!(frame::decode::<Call<'_>>(&[bytes, &[0]].concat()), None);
        assert_eq!(frame::decode::<Call<'_>>(&bytes[..bytes.len() - 1]), None);
    }
    assert_eq!(frame::decode::<Call<'_>>(&[9, 8]), None);
}

#[test]
fn exact_bytes_of_answers() {
    let info = Info {
        protocol: PROTOCOL,
        kind: WeightKind::I16,
        widths: [784, 500, 3, 0, 0, 0, 0, 0],
        geometry: Geometry { width: 28, height: 27, channels: 3, bits: 8 },
        scale: 0x3D80_0000,
        crc: 1,
        ram: 200,
    };
    let state = Response::State { energy: AnyEnergy::Units(-3), sweeps: 2, hash: 1, visible: &[7, 0, 0, 0] };
    let update = |error| Response::Failure(Failure::Update(error));
    let answers = [
        (
            Response::Info(info),
            &[0, 1, 2, 0x90, 6, 0xF4, 3, 3, 0, 0, 0, 0, 0, 28, 27, 3, 8, 0x80, 0x80, 0x80, 0xEC, 3, 1, 0xC8, 1][..],
        ),
        // Signed numbers are zigzag: 0, −1, 1, −2, …
        (state, &[1, 0, 5, 2, 1, 4, 7, 0, 0, 0]),
        (Response::Marginals { samples: 2, on: &[1, 0, 2, 0] }, &[2, 2, 4, 1, 0, 2, 0]),
        (Response::Energy(AnyEnergy::Units(1)), &[3, 0, 2]),
        (Response::Energy(AnyEnergy::Real(3)), &[3, 1, 3]),
        (Response::Failure(Failure::Damaged), &[4, 0]),
        (Response::Failure(Failure::TooLong { limit: 128 }), &[4, 1, 0x80, 1]),
        (Response::Failure(Failure::Request), &[4, 2]),
        (Response::Failure(Failure::Length { expected: 8, found: 7 }), &[4, 3, 8, 7]),
        (Response::Failure(Failure::SearchCap { cap: 9 }), &[4, 4, 9]),
        (Response::Failure(Failure::NoModel(Refusal::Room { needed: 2, found: 1 })), &[4, 5, 1, 2, 1]),
        (update(UpdateError::NotWritable), &[4, 6, 0]),
        (update(UpdateError::TooLong { room: 3 }), &[4, 6, 1, 3]),
        (update(UpdateError::NotBegun), &[4, 6, 2]),
        (update(UpdateError::Incomplete { expected: 200, found: 4 }), &[4, 6, 3, 0xC8, 1, 4]),
        (update(UpdateError::Refused(Refusal::Image(ImageError::Misaligned))), &[4, 6, 4, 0, 1]),
        (update(UpdateError::Store { offset: 4 }), &[4, 6, 5, 4]),
        (Response::Ready { chunk: 224, offset: 0 }, &[5, 0xE0, 1, 0]),
        (Response::Stored { offset: 224 }, &[6, 0xE0, 1]),
        (Response::Committed, &[7]),
    ];
    for (response, bytes) in answers {
        let answer = Answer { seq: 6, response };
        let bytes = [&[6], bytes].concat();
        assert_eq!(encoded(&answer), bytes, "{response:?}");
        assert_eq!(frame::decode(&bytes), Some(answer));
    }
}

#[test]
fn exact_bytes_of_refusals() {
    use ImageError as E;
    let tensor = Tensor::Bias(2);
    let errors = [
        (E::TooShort { expected: 24, found: 7 }, &[0, 24, 7][..]),
        (E::Misaligned, &[1]),
        (E::Erased, &[2]),
        (E::Magic { found: [1, 2, 3, 4] }, &[3, 1, 2, 3, 4]),
        (E::Version { found: 2 }, &[4, 2]),
        (E::Length { expected: 52, found: 51 }, &[5, 52, 51]),
        (E::Crc { expected: 1, found: 2 }, &[6, 1, 2]),
        (E::Kind { code: 3 }, &[7, 3]),
        (E::Shape(ShapeError::Layers { found: 1 }), &[8, 0, 1]),
        (E::Shape(ShapeError::Width { layer: 1, found: 0 }), &[8, 1, 1, 0]),
        (E::Geometry { units: 4, visible: 3 }, &[9, 4, 3]),
        (E::Scale { bits: 5 }, &[10, 5]),
        (E::Shift { connection: 1, found: 16 }, &[11, 1, 16]),
        (E::Reserved { offset: 22 }, &[12, 22]),
        (E::Model(ModelError::Shape(ShapeError::Layers { found: 1 })), &[13, 0, 0, 1]),
        (E::Model(ModelError::Biases { expected: 3, found: 2 }), &[13, 1, 3, 2]),
        (
            E::Model(ModelError::Weights { tensor: Tensor::Weight(1), expected: [2, 3], found: [4, 5] }),
            &[13, 2, 0, 1, 2, 3, 4, 5],
        ),
        (E::Model(ModelError::NotFinite { tensor }), &[13, 3, 1, 2]),
        (E::Model(ModelError::Overflow { layer: 1, bound: 2 }), &[13, 4, 1, 2]),
        (E::WrongKind { expected: WeightKind::I4, found: WeightKind::I8 }, &[14, 3, 1]),
        (E::Floats, &[16]),
    ];
    for (error, bytes) in errors {
        let answer = Answer { seq: 1, response: Response::Failure(Failure::NoModel(Refusal::Image(error))) };
        let bytes = [&[1, 4, 5, 0], bytes].concat();
        assert_eq!(encoded(&answer), bytes, "{error:?}");
        assert_eq!(frame::decode(&bytes), Some(answer));
    }
}

#[test]
fn the_longest_messages_fit_what_message_bytes_promises() {
    const MAX: u32 = u32::MAX;
    for widths in [&[1, 1][..], &[33, 1], &[784, 500, 500], &[65_536, 1], &[1, 65_536]] {
        let shape = Shape::new(widths).unwrap();
        let limit = message_bytes(&shape);
        let (ones, visible, on) =
            (vec![255; 4 * shape.words()], vec![255; 4 * shape.layer_words(0)], vec![255; 2 * shape.width(0)]);
        let (seed, chain, restarts, samples, visible) = (u64::MAX, u64::MAX, u16::MAX, u16::MAX, &visible[..]);
        for request in [
            Request::Inpaint { seed, chain, restarts, sweeps: samples, known: visible, visible },
            Request::Marginals { seed, chain, restarts, burn_in: samples, samples, known: visible, visible },
            Request::Energy { state: &ones },
        ] {
            let frame = request_frame(MAX, request);
            assert!(message(&frame).len() <= request_bytes(&shape), "{widths:?} {request:?}");
            assert!(frame.len() <= frame_bytes(request_bytes(&shape)));
        }
        let geometry = Geometry { width: u16::MAX, height: u16::MAX, channels: u8::MAX, bits: u8::MAX };
        let kind = WeightKind::I16;
        let info = Info { protocol: u16::MAX, kind, widths: [MAX; 8], geometry, scale: MAX, crc: MAX, ram: MAX };
        for response in [
            Response::Info(info),
            Response::State { energy: AnyEnergy::Units(i64::MIN), sweeps: MAX, hash: MAX, visible },
            Response::Marginals { samples, on: &on },
        ] {
            assert!(encoded(&Answer { seq: MAX, response }).len() <= limit, "{widths:?} {response:?}");
        }
    }
}

#[test]
fn failures_are_readable() {
    let room = Failure::NoModel(Refusal::Room { needed: 4096, found: 256 });
    let texts = [
        (Failure::Damaged, "the request was damaged on the way"),
        (Failure::TooLong { limit: 128 }, "the request is longer than 128 bytes"),
        (Failure::Request, "the request is none of this protocol version"),
        (Failure::Length { expected: 8, found: 7 }, "a state of 8 bytes was expected, 7 found"),
        (Failure::SearchCap { cap: 9 }, "no local mode after 9 sweeps"),
        (room, "no model: the model needs 4096 bytes of RAM, there are 256"),
        (Failure::NoModel(Refusal::Image(ImageError::Erased)), "no model: no image: the flash is erased"),
        (Failure::Update(UpdateError::NotBegun), "no new weights: no update was begun"),
        (
            Failure::Update(UpdateError::Incomplete { expected: 9, found: 4 }),
            "no new weights: the update is not at its end: expected 9 bytes, 4 written so far",
        ),
    ];
    for (failure, text) in texts {
        assert_eq!(failure.to_string(), text);
    }
}
