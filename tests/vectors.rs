//! What the committed digits model answers, and the tables that every model answers by: the same in every version, not
//! only on every machine.
//!
//! A change here changes what a seed means on every board. If that is wanted, rewrite the file and say so in the
//! changelog:
//!
//! ```sh
//! BITBOLTZ_BLESS=1 cargo test -p bitboltz-tests --test vectors
//! ```

use std::{env, fs, path::Path};

use bitboltz::{dataset::mask::Mask, image::AlignedBytes};
use bitboltz_core::{
    fixed::{ONE, exp_neg, sigmoid},
    image::CRC32,
    session::{
        message::{Request, Response},
        ram_bytes,
    },
    shape::Shape,
};
use bitboltz_tests::wire;

/// Packed visible units, unit by unit.
fn packed(shape: &Shape, on: impl IntoIterator<Item = bool>) -> Vec<u8> {
    let mut bytes = vec![0; 4 * shape.layer_words(0)];
    on.into_iter().enumerate().for_each(|(unit, on)| bytes[unit / 8] |= u8::from(on) << (unit % 8));
    bytes
}

/// A cross of strokes: something to restore that needs no data set.
fn picture(shape: &Shape) -> Vec<u8> {
    packed(
        shape,
        (0..784).map(|unit| (12..16).contains(&(unit % 28)) && (4..24).contains(&(unit / 28)) || unit / 28 == 13),
    )
}

/// One line for each request, and one for each table.
fn found(bytes: &[u8]) -> String {
    let aligned = AlignedBytes::new(bytes);
    let image = aligned.image().unwrap();
    let shape = *image.shape();
    let visible = &picture(&shape)[..];
    let known =
        |mask: Mask| packed(&shape, mask.hidden_pixels(28, 28, 0, 1).unwrap().into_iter().map(|hidden| !hidden));
    let (half, half_name) = (&known(Mask::HalfLeft)[..], "half-left");
    let (random, random_name) = (&known(Mask::Random(0.5))[..], "random:0.5");
    let every = vec![0xFF; 4 * shape.words()];
    let some: Vec<u8> = (0..every.len()).map(|i| (i * 37) as u8).collect();

    let mut requests = Vec::new();
    for (seed, chain, sweeps) in [(0, 0, 0), (1, 0, 0), (0, 1, 1), (2026, u64::MAX, 5)] {
        let what = if sweeps == 0 { "mode".into() } else { format!("sample sweeps={sweeps}") };
        requests.push((format!("{what} seed={seed} chain={chain}"), Request::Sample { seed, chain, sweeps }));
    }
    for (known, mask) in [(half, half_name), (random, random_name)] {
        for (seed, restarts, sweeps) in [(0, 8, 0), (1, 2, 3)] {
            let request = Request::Inpaint { seed, chain: 0, restarts, sweeps, known, visible };
            requests.push((
                format!("inpaint mask={mask} restarts={restarts} sweeps={sweeps} seed={seed} chain=0"),
                request,
            ));
        }
        let request = Request::Marginals { seed: 0, chain: 1, restarts: 2, burn_in: 3, samples: 50, known, visible };
        requests.push((format!("marginals mask={mask} restarts=2 burn_in=3 samples=50 seed=0 chain=1"), request));
    }
    requests.push(("energy of every unit on".into(), Request::Energy { state: &every }));
    requests.push(("energy of bytes 37·i".into(), Request::Energy { state: &some }));

    let sent: Vec<Vec<u8>> = requests.iter().map(|(_, request)| wire::frame(1, *request)).collect();
    let answered = wire::native(Ok(image), ram_bytes(&shape), &sent);
    let lines = requests.iter().zip(&answered).map(|((name, _), frame)| {
        let answer = wire::answer(frame, |answer| match answer.response {
            Response::State { energy, sweeps, hash, .. } => format!("{energy:?} sweeps={sweeps} state={hash:08x}"),
            Response::Marginals { on, .. } => format!("counts={:08x}", CRC32.checksum(on)),
            Response::Energy(energy) => format!("{energy:?}"),
            other => panic!("{name}: {other:?}"),
        });
        format!("{name}: {answer}\n")
    });
    let header = format!(
        "# CRC-32s and energies in units; how to rewrite this file is said in tests/vectors.rs\nimage: {:08x}\n",
        image.crc()
    );
    [header, lines.collect(), tables()].concat()
}

/// Checksums of both tables over a grid that meets every entry and lies between, little-endian.
fn tables() -> String {
    let grid = || (-24 * ONE..=24 * ONE).step_by(61);
    let sigmoids: Vec<u8> = grid().flat_map(|field| sigmoid(field).to_le_bytes()).collect();
    let exponentials: Vec<u8> =
        grid().filter_map(|d| u32::try_from(d).ok()).flat_map(|d| exp_neg(d).to_le_bytes()).collect();
    format!("table sigmoid: {:08x}\ntable exp_neg: {:08x}\n", CRC32.checksum(&sigmoids), CRC32.checksum(&exponentials))
}

#[test]
fn answers_are_those_of_earlier_versions() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors");
    let found = found(&fs::read(folder.join("digits-i8.bbz")).unwrap());
    let path = folder.join("digits-i8.expected");
    if env::var_os("BITBOLTZ_BLESS").is_some() {
        fs::write(&path, &found).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap();
    for (expected, found) in expected.lines().zip(found.lines()) {
        assert_eq!(found, expected);
    }
    assert_eq!(found, expected);
}
