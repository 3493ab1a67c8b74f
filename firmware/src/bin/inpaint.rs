#![no_std]
#![no_main]
//! Completes a half-hidden picture with the machine in the weights region.
//!
//! There is no data set here: the picture is a local mode of the machine itself, drawn from chain 0. Its left half is hidden
//! and restored with the random numbers of chain 1. Every run does the same work, so that its cost can be compared.

use bitboltz_core::{
    image::{Image, Stored},
    session::message::{Request, Response},
    with_connection,
};
use bitboltz_firmware::{
    arena,
    clock::Clock,
    entry, exit, model,
    picture::{self, in_left_half, is_on},
};

const SEED: u64 = 0;
/// Searches, as many as the core's `Inpaint::default()`.
const RESTARTS: u16 = 8;

#[entry]
fn main() -> ! {
    let image = model::require();
    with_connection!(image.kind(), C => inpaint::<C<'static>>(&image))
}

fn inpaint<C: Stored<'static>>(image: &Image<'static>) -> ! {
    let clock = Clock::start();
    let model::Model { mut machine, scratch } = model::build::<C>(image, arena());
    let (geometry, units) = (image.geometry(), image.shape().width(0));
    let bytes = 4 * image.shape().layer_words(0);
    let [original, known] = two(scratch, bytes);

    match machine.answer(&Request::Sample { seed: SEED, chain: 0, sweeps: 0 }) {
        Response::State { energy, sweeps, hash, visible } => {
            model::log_state("original", energy, sweeps, hash);
            original.iter_mut().zip(visible).for_each(|(original, &byte)| *original = byte);
        }
        Response::Failure(failure) => model::fail(failure),
        _ => defmt::unreachable!("a sample is answered with a state"),
    }
    picture::draw(geometry, original, None);

    known.fill(0);
    for unit in (0..units).filter(|&unit| !in_left_half(geometry, units, unit)) {
        if let Some(byte) = known.get_mut(unit / 8) {
            *byte |= 1 << (unit % 8);
        }
    }
    defmt::info!("known");
    picture::draw(geometry, original, Some(known));

    let request = Request::Inpaint { seed: SEED, chain: 1, restarts: RESTARTS, sweeps: 0, known, visible: original };
    let (response, ticks) = clock.time(|| machine.answer(&request));
    match response {
        Response::State { energy, sweeps, hash, visible } => {
            model::log_state("restored", energy, sweeps, hash);
            picture::draw(geometry, visible, None);
            let (mut hidden, mut right) = (0, 0);
            for unit in (0..units).filter(|&unit| !is_on(known, unit)) {
                hidden += 1;
                right += u32::from(is_on(visible, unit) == is_on(original, unit));
            }
            defmt::info!("{=u32} of {=u32} hidden units as in the original", right, hidden);
        }
        Response::Failure(failure) => model::fail(failure),
        _ => defmt::unreachable!("an inpainting is answered with a state"),
    }
    defmt::info!("took {=u64} ticks", ticks);
    exit(0)
}

/// Two parts of so many bytes, which are there. (No index that panics: its message would be linked with its formatting.)
fn two(scratch: &mut [u8], bytes: usize) -> [&mut [u8]; 2] {
    let (first, rest) = scratch.split_at_mut_checked(bytes).unwrap_or_default();
    [first, rest.get_mut(..bytes).unwrap_or_default()]
}
