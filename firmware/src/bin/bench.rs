#![no_std]
#![no_main]
//! Counts what the machine in the weights region costs: instructions of a search sweep, of a Gibbs sweep, of an inpainting, and
//! of each weight that they touch.
//!
//! Run it with `--icount`, where the board's timer counts instructions; the numbers are then the same in every run. The last
//! lines begin with `bench:` and are what `cargo xtask boards` reads.
//!
//! A weight is touched when the unit on one side of it flips: its row or column moves the fields of the other side. How many
//! were is counted in runs of their own, over a connection that counts and is not timed.

use bitboltz_core::{
    gibbs::Gibbs,
    image::{CRC32, Image, Stored},
    inpaint::Inpaint,
    model::Dbm,
    rng::stream,
    search::LocalModeSearch,
    session::{Workspace, ram_bytes},
    state::{Clamp, State},
    transition::Transition as _,
    with_connection,
};
use bitboltz_firmware::{arena, clock::Clock, entry, exit, exit::SELFTEST, model, picture::in_left_half};

const SEED: u64 = 0;
/// Gibbs sweeps from a local mode.
const SWEEPS: u32 = 20;

#[entry]
fn main() -> ! {
    let image = model::require();
    with_connection!(image.kind(), C => measure::<C<'static>>(&image))
}

/// Units that differ between two states, each counted with the weights on both its sides.
fn touched<C: Stored<'static>>(model: &Dbm<'_, C>, before: &[u32], after: &[u32]) -> u64 {
    let shape = model.shape();
    let layers = shape.layers();
    let width = |layer: usize| if layer < layers { shape.width(layer) } else { 0 };
    let of_layer = |layer: usize| {
        let words = shape.word_range(layer);
        let flips = before[words.clone()].iter().zip(&after[words]).map(|(a, b)| (a ^ b).count_ones()).sum::<u32>();
        let below = if layer > 0 { width(layer - 1) } else { 0 };
        u64::from(flips) * (below + width(layer + 1)) as u64
    };
    (0..layers).map(of_layer).sum()
}

/// Ends the program: the count does not belong to what was timed.
fn differs() -> ! {
    defmt::error!("bench: the run that counts went another way than the one that was timed");
    exit(SELFTEST)
}

fn measure<C: Stored<'static>>(image: &Image<'static>) -> ! {
    let clock = Clock::start().expect("nothing else takes the peripherals");
    let (memory, shape) = (arena(), image.shape());
    if size_of_val(memory) < ram_bytes(shape) {
        // Refuses with the reason.
        let _ = model::build::<C>(image, memory);
        exit(SELFTEST)
    }
    let buffers = Workspace::carve(shape, memory).machine;
    let (before, mask) = (&mut buffers.scratch[..shape.words()], buffers.mask);
    let fields = bytemuck::try_cast_slice_mut(buffers.fields).expect("words are fields");
    let model = image.model::<C>().expect("the image has been checked");
    let mut state = State::new(shape, buffers.words, fields).expect("the workspace is of this shape");
    let none = Clamp::none();

    // A search from random bits.
    let search = LocalModeSearch::default();
    model.randomise(&mut state, &none, &mut stream(SEED, 0));
    let (report, ticks) = clock.time(|| search.run(&model, &mut state, &none));
    let Ok(report) = report else { differs() };
    let hash = checksum(&state);
    model.randomise(&mut state, &none, &mut stream(SEED, 0));
    let mut weights = 0;
    // A sweep of the search sets every unit once, so the states around it say what flipped.
    let once = LocalModeSearch { cap: 1, ..search };
    for _ in 0..report.sweeps {
        before.copy_from_slice(state.words());
        // That one sweep does not finish the search is no error here.
        let _ = once.run(&model, &mut state, &none);
        weights += touched(&model, before, state.words());
    }
    if hash != checksum(&state) {
        differs()
    }
    log(&clock, "search", report.sweeps, ticks, weights);

    // Gibbs sweeps from that mode.
    let mut rng = stream(SEED, 1);
    let sweep = |state: &mut State<'_, C::Field>, rng: &mut _| Gibbs::default().step(&model, state, &none, rng);
    let ((), ticks) = clock.time(|| (0..SWEEPS).for_each(|_| sweep(&mut state, &mut rng)));
    let hash = checksum(&state);
    model.randomise(&mut state, &none, &mut stream(SEED, 0));
    let _ = search.run(&model, &mut state, &none);
    let (mut rng, mut weights) = (stream(SEED, 1), 0);
    for _ in 0..SWEEPS {
        before.copy_from_slice(state.words());
        sweep(&mut state, &mut rng);
        weights += touched(&model, before, state.words());
    }
    if hash != checksum(&state) {
        differs()
    }
    log(&clock, "gibbs", SWEEPS, ticks, weights);

    // The left half of a mode, restored from the right one.
    model.randomise(&mut state, &none, &mut stream(SEED, 0));
    let _ = search.run(&model, &mut state, &none);
    mask.fill(0);
    let (geometry, units) = (image.geometry(), shape.width(0));
    for unit in (0..units).filter(|&unit| !in_left_half(geometry, units, unit)) {
        mask[unit / 32] |= 1 << (unit % 32);
    }
    let clamp = Clamp::new(shape, mask).expect("the workspace is of this shape");
    let mut rng = stream(SEED, 1);
    let inpaint = Inpaint::default();
    let (report, ticks) = clock.time(|| inpaint.restore(&model, &mut state, before, &clamp, &mut rng));
    let Ok(report) = report else { differs() };
    log(&clock, "inpainting", report.sweeps, ticks, 0);
    exit(0)
}

fn checksum<F: bitboltz_core::weights::Field>(state: &State<'_, F>) -> u32 {
    CRC32.checksum(bytemuck::cast_slice(state.words()))
}

fn log(clock: &Clock, what: &str, sweeps: u32, ticks: u64, weights: u64) {
    match clock.instructions(ticks) {
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
