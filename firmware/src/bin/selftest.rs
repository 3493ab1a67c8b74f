#![no_std]
#![no_main]
//! Checks the board and what lies on it: the image, the arithmetic and the kernels that every answer rests on, and that the
//! machine answers the same question twice in the same way. Prints what the program took of stack and arena.
//!
//! Ends with 0, with 103 without a usable image, or with 105 and the reason.

use bitboltz_core::{
    fixed::{ONE, exp_neg, sigmoid},
    gibbs::Gibbs,
    image::{CRC32, Image, Stored},
    kernels,
    rng::{Rng as _, stream},
    session::{
        Workspace,
        message::{Request, Response},
        ram_bytes,
    },
    start::{LocalModeStart, Start as _},
    state::{Clamp, State},
    transition::Transition as _,
    weights::{AnyEnergy, Field as _},
    with_connection,
};
use bitboltz_firmware::{
    arena, entry, exit,
    exit::SELFTEST,
    model::{self, Model},
    stack,
};

const SEED: u64 = 0;
const RESTARTS: u16 = 2;

#[entry]
fn main() -> ! {
    stack::paint();
    arithmetic();
    let image = model::require();
    with_connection!(image.kind(), C => machine::<C<'static>>(&image))
}

/// Ends the program, unless two numbers are the same.
fn require(what: &str, expected: u32, found: u32) {
    if expected != found {
        defmt::error!("selftest: {=str} is {=u32:#x}, expected {=u32:#x}", what, found, expected);
        exit(SELFTEST);
    }
}

/// Known answers of what has no state: the checksum, the random numbers, and the tables. The core's tests pin the same ones.
fn arithmetic() {
    require("the CRC-32 of 123456789", 0xCBF4_3926, CRC32.checksum(b"123456789"));
    let mut rng = stream(2026, 0);
    let mut crc = CRC32.digest();
    for _ in 0..256 {
        crc.update(&rng.next_u32().to_le_bytes());
    }
    require("the CRC-32 of 256 random words", RANDOM, crc.finalize());
    let (mut crc, mut field) = (CRC32.digest(), -24 * ONE);
    while field <= 24 * ONE {
        crc.update(&sigmoid(field).to_le_bytes());
        crc.update(&exp_neg(field.unsigned_abs()).to_le_bytes());
        field += 6_101;
    }
    require("the CRC-32 of the tables", TABLES, crc.finalize());
    require("the sigmoid of 0", 1 << 31, sigmoid(0));
    defmt::info!("arithmetic: as it should be");
    if let Err(mismatch) = kernels::check() {
        defmt::error!("selftest: not as the portable kernel: {}", mismatch);
        exit(SELFTEST);
    }
    defmt::info!("kernels: as the portable ones");
}

/// The CRC-32 of the first 256 words of `stream(2026, 0)`, little-endian.
const RANDOM: u32 = 0xFB89_1C29;
/// The CRC-32 of sigmoid and exponential on a grid.
const TABLES: u32 = 0xA345_69CB;

/// The energy that the fields give, kept up to date through a search and some sweeps, must be the one of fields that are
/// computed anew from the bits. (With floats the two differ by rounding, and are not compared.)
fn energies<C: Stored<'static>>(image: &Image<'static>, memory: &mut [u32]) {
    let shape = image.shape();
    model::require_room(image, memory);
    let buffers = Workspace::carve(shape, memory).machine;
    let fields = bytemuck::try_cast_slice_mut(buffers.fields).ok();
    let state = fields.and_then(|fields| State::new(shape, buffers.words, fields).ok());
    let (Some(mut state), Ok(model)) = (state, image.model::<C>()) else {
        defmt::error!("selftest: the workspace is not of the image's shape");
        exit(SELFTEST)
    };
    let (clamp, mut rng) = (Clamp::none(), stream(SEED, 2));
    if LocalModeStart::default().start(&model, &mut state, &clamp, &mut rng).is_err() {
        defmt::error!("selftest: a search found no local mode");
        exit(SELFTEST);
    }
    let mut gibbs = Gibbs::default();
    for _ in 0..3 {
        gibbs.step(&model, &mut state, &clamp, &mut rng);
    }
    let kept = C::Field::any_energy(model.energy(&state));
    model.refresh(&mut state);
    let anew = C::Field::any_energy(model.energy(&state));
    if let (AnyEnergy::Units(kept), AnyEnergy::Units(anew)) = (kept, anew)
        && kept != anew
    {
        defmt::error!("selftest: the energy is {=i64} by the fields that were kept, {=i64} computed anew", kept, anew);
        exit(SELFTEST);
    }
    defmt::info!("energies: kept and computed anew are the same");
}

fn machine<C: Stored<'static>>(image: &Image<'static>) -> ! {
    let memory = arena();
    let room = size_of_val(memory);
    energies::<C>(image, memory);
    let Model { mut machine, scratch } = model::build::<C>(image, memory);
    let bytes = 4 * image.shape().layer_words(0);

    // Twice the same question: whatever was left in the buffers must not matter.
    let mut hashes = [0; 2];
    for hash in &mut hashes {
        match machine.answer(&Request::Sample { seed: SEED, chain: 0, sweeps: 1 }) {
            Response::State { energy, sweeps, hash: found, visible } => {
                model::log_state("sample", energy, sweeps, found);
                scratch[..bytes].copy_from_slice(visible);
                *hash = found;
            }
            Response::Failure(failure) => model::fail(failure),
            _ => defmt::unreachable!("a sample is answered with a state"),
        }
    }
    require("the hash of the second sample", hashes[0], hashes[1]);

    // The lowest mode given the left half of that picture, twice.
    let (visible, rest) = scratch.split_at_mut(bytes);
    let known = &mut rest[..bytes];
    known.iter_mut().enumerate().for_each(|(index, byte)| *byte = if index < bytes / 2 { 0xFF } else { 0 });
    let request = Request::Inpaint { seed: SEED, chain: 1, restarts: RESTARTS, sweeps: 1, known, visible };
    let mut hashes = [0; 2];
    for hash in &mut hashes {
        match machine.answer(&request) {
            Response::State { energy, sweeps, hash: found, visible: restored } => {
                model::log_state("restored", energy, sweeps, found);
                for index in 0..bytes / 2 {
                    require("a known part of the picture", visible[index].into(), restored[index].into());
                }
                *hash = found;
            }
            Response::Failure(failure) => model::fail(failure),
            _ => defmt::unreachable!("an inpainting is answered with a state"),
        }
    }
    require("the hash of the second picture", hashes[0], hashes[1]);

    let (bottom, top) = stack::bounds();
    defmt::info!("stack: {=usize} of {=usize} bytes used", stack::high_water(), top - bottom);
    defmt::info!("arena: {=usize} of {=usize} bytes used", ram_bytes(image.shape()), room);
    exit(0)
}
