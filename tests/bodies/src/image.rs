//! Any bytes as a flash image.

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
/// If an image opens that is no model, that cannot run, or whose kept fields are wrong.
pub fn open_and_run(bytes: &[u8]) -> bool {
    // An image begins at a multiple of 4.
    let mut words = vec![0u32; bytes.len().div_ceil(4)];
    let held = &mut bytemuck::cast_slice_mut(&mut words)[..bytes.len()];
    held.copy_from_slice(bytes);
    let Ok(image) = Image::open(held) else { return false };
    assert!(image.geometry().units() <= image.shape().width(0));
    with_weight!(image.kind(), W => {
        let model = image.dbm::<W>().expect("checked when it was opened");
        let shape = *model.shape();
        if shape.units() > MOST_UNITS {
            return true;
        }
        let (mut words, mut fields) = (vec![0; shape.words()], vec![Default::default(); shape.units()]);
        let mut state = State::new(&shape, &mut words, &mut fields).expect("buffers of this shape");
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

/// Writes the CRC that the bytes before it have.
///
/// # Panics
/// If there is no room for a CRC.
pub fn reseal(image: &mut [u8]) {
    let (body, crc) = image.split_last_chunk_mut::<4>().expect("room for a CRC");
    *crc = CRC32.checksum(body).to_le_bytes();
}
