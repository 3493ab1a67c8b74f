//! Any bytes as a flash image: opened or refused; what opens is a model that runs.
#![no_main]

use bitboltz_core::{
    gibbs::Gibbs,
    image::{CRC32, Image},
    rng::stream,
    search::LocalModeSearch,
    state::{Clamp, State},
    transition::Transition as _,
    weights::WeightKind,
    with_weight,
};
use libfuzzer_sys::fuzz_target;

// Small models only: a large one runs too long to be fuzzed.
const MOST_UNITS: usize = 4096;

/// Opens the bytes at an aligned address. With `sealed`, the length and the CRC are made right first, or the fuzzer
/// would never come past them.
fn open_and_run(data: &[u8], sealed: bool) {
    let mut words = vec![0u32; data.len().div_ceil(4)];
    let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut words);
    bytes[..data.len()].copy_from_slice(data);
    let bytes = &mut bytes[..data.len()];
    if sealed && bytes.len() >= 12 {
        bytes[..6].copy_from_slice(b"\x89BBZ\x01\x00");
        let length = bytes.len() as u32;
        bytes[8..12].copy_from_slice(&length.to_le_bytes());
        if let Some((body, crc)) = bytes.split_last_chunk_mut::<4>() {
            *crc = CRC32.checksum(body).to_le_bytes();
        }
    }
    let Ok(image) = Image::open(bytes) else { return };
    assert!(image.geometry().units() <= image.shape().width(0));
    with_weight!(image.kind(), W => {
        let model = image.dbm::<W>().expect("checked when it was opened");
        let shape = *model.shape();
        if shape.units() > MOST_UNITS {
            return;
        }
        let (mut bits, mut fields) = (vec![0; shape.words()], vec![Default::default(); shape.units()]);
        let mut state = State::new(&shape, &mut bits, &mut fields).expect("the shape's own sizes");
        let mut rng = stream(1, 1);
        model.randomise(&mut state, &Clamp::none(), &mut rng);
        let search = LocalModeSearch { cap: 50, ..LocalModeSearch::default() };
        // Floats near the end of their range may never settle.
        let _ = search.run(&model, &mut state, &Clamp::none());
        Gibbs::default().step(&model, &mut state, &Clamp::none(), &mut rng);
        // The fields were kept with every flip: they are those of the bits, exactly where numbers are integers.
        let kept = model.energy(&state);
        model.refresh(&mut state);
        if image.kind() != WeightKind::F32 {
            assert!(kept == model.energy(&state));
        }
    });
}

fuzz_target!(|data: &[u8]| {
    open_and_run(data, false);
    open_and_run(data, true);
});
