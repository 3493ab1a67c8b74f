//! Many requests over a line that damages a tenth of all frames, in both directions: every request is answered as over a
//! quiet line, and no answer is taken for that to another request.

use bitboltz::image::AlignedBytes;
use bitboltz_core::{
    connection::Integer,
    rng::{Rng as _, XorShiftRng, stream},
    session::{
        Session,
        frame::{self, Receiver},
        message::{Answer, Failure, Request, Response},
        workspace_words,
    },
};
use bitboltz_tests::{
    firmware::run,
    images::{self, Encoded as _, example},
    wire::{Receive, Served, frame as request_frame, message},
};

/// Tries of one before it counts as lost.
const TRIES: u32 = 20;

fn below(rng: &mut XorShiftRng, n: u32) -> u32 {
    rng.next_u32() % n
}

/// A frame as it arrives: nine in ten whole.
fn damaged(frame: &[u8], rng: &mut XorShiftRng) -> Vec<u8> {
    let mut bytes = frame.to_vec();
    if below(rng, 10) > 0 {
        return bytes;
    }
    let at = below(rng, bytes.len() as u32) as usize;
    match below(rng, 6) {
        0 => bytes[at] ^= 1 << below(rng, 8),
        1 => drop(bytes.remove(at)),
        2 => {
            let noise: Vec<u8> = (0..=below(rng, 40)).map(|_| rng.next_u32() as u8).collect();
            bytes.splice(at..at, noise);
        }
        3 => bytes.truncate(at),
        4 => bytes = [frame, frame].concat(),
        // Longer than any request: the receiver overflows.
        _ => drop(bytes.splice(at..at, vec![0x55; 2_000])),
    }
    bytes
}

fn request<'a>(rng: &mut XorShiftRng, words: &'a [u8]) -> Request<'a> {
    let (seed, chain) = (u64::from(below(rng, 50)), u64::from(below(rng, 50)));
    let (known, visible) = (&words[..4], &words[4..8]);
    match below(rng, 5) {
        0 => Request::Info,
        1 => Request::Sample { seed, chain, sweeps: 1 },
        2 => Request::Inpaint { seed, chain, restarts: 2, sweeps: 0, known, visible },
        3 => Request::Marginals { seed, chain, restarts: 1, burn_in: 1, samples: 5, known, visible },
        _ => Request::Energy { state: words },
    }
}

/// Asks `count` questions of the worked example over the bad line. `device` takes the bytes that arrive there, and returns all
/// frames that it answers them with.
fn soak(count: u32, mut device: impl FnMut(&[u8]) -> Vec<Vec<u8>>) {
    let image = AlignedBytes::new(&example().image());
    let mut quiet = vec![0; workspace_words(image.image().unwrap().shape())];
    let mut reference = Session::<Integer<'_>>::new(image.image(), &mut quiet);
    let mut rng = stream(2026, 5);
    let mut buffer = vec![0; 1024];
    let mut receiver = Receiver::new(&mut buffer);
    let (mut seq, mut again, mut late) = (0, 0, 0);

    for _ in 0..count {
        let state: Vec<u8> = (0..12).map(|_| rng.next_u32() as u8).collect();
        let asked = request(&mut rng, &state);
        let first = seq + 1;
        let mut answered = None;
        for _ in 0..TRIES {
            seq += 1;
            // As the client: a zero ends what came before.
            let mut sent = vec![0];
            sent.extend(damaged(&request_frame(seq, asked), &mut rng));
            let answers = device(&sent);
            // Never more answers than ends of frames.
            assert!(answers.len() <= sent.iter().filter(|&&byte| byte == 0).count());
            let heard: Vec<u8> = answers.iter().flat_map(|frame| damaged(frame, &mut rng)).collect();
            for byte in heard {
                let Some(Ok(message)) = receiver.push(byte) else { continue };
                let Some(Answer { seq: of, response }) = frame::decode(message) else {
                    panic!("a right CRC, no answer")
                };
                match response {
                    Response::Failure(Failure::Damaged | Failure::TooLong { .. }) => assert_eq!(of, 0),
                    _ if of < first => late += 1,
                    _ => {
                        let expected: Vec<u8> =
                            request_frame(of, asked).into_iter().flat_map(|byte| reference.take(byte)).collect();
                        assert_eq!(message, self::message(&expected), "{asked:?}");
                        answered = Some(of);
                    }
                }
            }
            if answered.is_some() {
                break;
            }
            again += 1;
        }
        assert!(answered.is_some(), "{asked:?}");
    }
    println!("{count} requests, {again} sent again, {late} answers too late");
    assert!(again > count / 10, "the line was good: {again}");
}

/// The frames that a session in this process answers with.
fn frames(session: &mut impl Receive, bytes: &[u8]) -> Vec<Vec<u8>> {
    bytes.iter().map(|&byte| session.take(byte)).filter(|frame| !frame.is_empty()).collect()
}

#[test]
fn every_request_is_answered_rightly_over_a_bad_line() {
    let image = AlignedBytes::new(&example().image());
    let mut arena = vec![0; workspace_words(image.image().unwrap().shape())];
    let mut session = Session::<Integer<'_>>::new(image.image(), &mut arena);
    soak(10_000, |bytes| frames(&mut session, bytes));
}

/// `serve` in QEMU behind the bad line. It must say, byte for byte, what a session in this process says to the same damage: so
/// it is known how much to wait for.
fn soak_qemu(count: u32) {
    let bytes = example().image();
    let file = images::file(&bytes);
    let image = AlignedBytes::new(&bytes);
    let mut arena = vec![0; workspace_words(image.image().unwrap().shape())];
    let mut session = Session::<Integer<'_>>::new(image.image(), &mut arena);
    let mut served = Served::start(run("serve").image(file.path()));
    soak(count, |bytes| {
        let expected = frames(&mut session, bytes);
        served.send(bytes);
        let found: Vec<Vec<u8>> = expected.iter().map(|_| served.frame()).collect();
        assert_eq!(found, expected);
        found
    });
    assert!(served.end().is_empty(), "the board says more than the desktop");
}

#[test]
fn so_it_is_by_a_board() {
    soak_qemu(300);
}

/// `cargo nextest run -p bitboltz-tests --test soak --run-ignored all`.
#[test]
#[ignore = "minutes, for what 300 requests have shown"]
fn so_it_is_by_a_board_for_long() {
    soak_qemu(10_000);
}
