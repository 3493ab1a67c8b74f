#![no_std]
#![no_main]
//! Counts what the machine in the weights region costs: instructions of a search sweep, of a Gibbs sweep, of an inpainting, and
//! of each weight that they touch.
//!
//! Run it with `--icount`, where the board's timer counts instructions; the numbers are then the same in every run. The last
//! lines begin with `bench:` and are what `cargo xtask boards` reads.
//!
//! A weight is touched when the unit on one side of it flips: its row or column moves the fields of the other side.

use bitboltz_core::{
    gibbs::Gibbs,
    image::{Image, Stored},
    inpaint::Inpaint,
    rng::stream,
    search::LocalModeSearch,
    session::{MachineBuffers, Workspace},
    state::{Clamp, State},
    transition::Transition as _,
    with_connection,
};
use bitboltz_firmware::{
    arena,
    clock::{Clock, Rate},
    entry, exit,
    exit::SELFTEST,
    model,
    picture::in_left_half,
};

const SEED: u64 = 0;
const NO_ROOM: &str = "the workspace is not of the image's shape";
const NO_MODE: &str = "a search found no local mode";
/// Gibbs sweeps from a local mode.
const SWEEPS: u32 = 20;

#[entry]
fn main() -> ! {
    let image = model::require();
    with_connection!(image.kind(), C => measure::<C<'static>>(&image))
}

fn measure<C: Stored<'static>>(image: &Image<'static>) -> ! {
    let clock = Clock::start();
    let rate = clock.rate();
    let (memory, shape) = (arena(), image.shape());
    model::require_room(image, memory);
    let MachineBuffers { words, fields, mask, scratch } = Workspace::carve(shape, memory).machine;
    let fields = have(NO_ROOM, bytemuck::try_cast_slice_mut(fields));
    let model = have("the image is no model", image.model::<C>());
    let mut state = have(NO_ROOM, State::new(shape, words, fields));
    let none = Clamp::none();

    // A search from random bits.
    let search = LocalModeSearch::default();
    model.randomise(&mut state, &none, &mut stream(SEED, 0));
    let before = state.weights_touched();
    let (report, ticks) = clock.time(|| search.run(&model, &mut state, &none));
    log(rate, "search", have(NO_MODE, report).sweeps, ticks, state.weights_touched() - before);

    // Gibbs sweeps from that mode.
    let (mut rng, before) = (stream(SEED, 1), state.weights_touched());
    let sweep = |_| Gibbs::default().step(&model, &mut state, &none, &mut rng);
    let ((), ticks) = clock.time(|| (0..SWEEPS).for_each(sweep));
    log(rate, "gibbs", SWEEPS, ticks, state.weights_touched() - before);

    // The left half of a mode, restored from the right one.
    model.randomise(&mut state, &none, &mut stream(SEED, 0));
    have(NO_MODE, search.run(&model, &mut state, &none));
    mask.fill(0);
    let (geometry, units) = (image.geometry(), shape.width(0));
    for unit in (0..units).filter(|&unit| !in_left_half(geometry, units, unit)) {
        mask[unit / 32] |= 1 << (unit % 32);
    }
    let clamp = have(NO_ROOM, Clamp::new(shape, mask));
    let (mut rng, before) = (stream(SEED, 1), state.weights_touched());
    let inpaint = Inpaint::default();
    let (report, ticks) = clock.time(|| inpaint.restore(&model, &mut state, scratch, &clamp, &mut rng));
    log(rate, "inpainting", have(NO_MODE, report).sweeps, ticks, state.weights_touched() - before);
    exit(0)
}

/// What is there, or the end of the program with what went wrong. (No `expect`: that would link the formatting of the error.)
fn have<T, E>(what: &str, result: Result<T, E>) -> T {
    result.unwrap_or_else(|_| {
        defmt::error!("bench: {=str}", what);
        exit(SELFTEST)
    })
}

fn log(rate: Option<Rate>, what: &str, sweeps: u32, ticks: u64, weights: u64) {
    match rate.map(|rate| rate.instructions(ticks)) {
        Some(instructions) => defmt::info!(
            "bench: {=str}: {=u32} sweeps, {=u64} instructions, {=u64} weights touched",
            what,
            sweeps,
            instructions,
            weights
        ),
        None => defmt::info!(
            "bench: {=str}: {=u32} sweeps, {=u64} ticks, not counted in instructions here",
            what,
            sweeps,
            ticks
        ),
    }
}
