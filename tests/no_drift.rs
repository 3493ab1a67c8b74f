//! No transition moves the distribution that it is meant to leave alone.
//!
//! States are drawn exactly from the enumerated p, moved some steps, and compared with p by a chi-square test: a test
//! of the transition alone, however slowly it mixes.

use bitboltz::{
    chain::PairBuffer,
    eval::exact::{Distribution, Oracle, read_code, write_code},
};
use bitboltz_core::{
    model::DenseDbm,
    rng::{Rng, stream},
    transition::Transition as _,
};
use bitboltz_tests::{
    models::{Held, Rounding, SMALL, machine},
    significance::{ChiSquare, FALSE_ALARM},
    transitions::{ALL, Kind},
};

/// Weights from N(0, 1): fields of several units, and neighbours that matter.
const STD: f64 = 1.0;
const DRAWS: u32 = 40_000;
const STEPS: u32 = 2;
/// Of a single one of the some 800 chi-square tests in this file.
const REJECT: f64 = FALSE_ALARM / 1000.0;

/// Draws from p, moves pairs (x, y) by `STEPS` coupled steps, and tests both ends against p. y starts at x, or is drawn
/// by itself.
fn drift<W: Rounding>(model: &DenseDbm<'_, W>, held: &Held, kind: Kind, apart: bool, seed: u64) -> [ChiSquare; 2] {
    let distribution = Oracle::new(model).unwrap().distribution(held.given);
    let place = places(&distribution);
    let shape = model.shape();
    let mut buffers = PairBuffer::new(shape);
    let (mut x, mut y) = (buffers.x.state(shape), buffers.y.state(shape));
    let mut transition = kind.with(shape, &mut buffers.proposal);
    let (clamp, mut rng) = (held.clamp(), stream(seed, kind as u64));
    let mut counts = [0; 2].map(|_| vec![0u64; distribution.codes().len()]);
    for _ in 0..DRAWS {
        write_code(distribution.codes()[distribution.sample(&mut rng)], &mut x);
        model.refresh(&mut x);
        y.copy_from(&x);
        if apart {
            write_code(distribution.codes()[distribution.sample(&mut rng)], &mut y);
            model.refresh(&mut y);
        }
        for _ in 0..STEPS {
            transition.step_pair(model, &mut x, &mut y, &clamp, &mut rng);
            assert!(apart || x.words() == y.words(), "equal chains must stay equal");
        }
        for (count, state) in counts.iter_mut().zip([&x, &y]) {
            // Panics for a state that does not agree with the clamp.
            count[place[read_code(state) as usize]] += 1;
        }
    }
    counts.map(|counts| ChiSquare::fit(&counts, distribution.probabilities()))
}

/// Index of each code in a distribution; beyond the end for codes that it does not hold.
fn places(distribution: &Distribution) -> Vec<usize> {
    let mut places = vec![usize::MAX; distribution.codes().iter().max().map_or(0, |&max| max as usize + 1)];
    distribution.codes().iter().enumerate().for_each(|(at, &code)| places[code as usize] = at);
    places
}

fn nothing_drifts<W: Rounding>() {
    for (index, widths) in SMALL.iter().enumerate() {
        let tensors = machine::<W>(widths, STD, index as u64);
        let model = tensors.dbm().unwrap();
        for held in Held::all(model.shape()) {
            for kind in ALL {
                for apart in [false, true] {
                    for found in drift(&model, &held, kind, apart, 5) {
                        assert!(found.p > REJECT, "{widths:?} {kind:?} {:?}: {found:?}", held.given);
                    }
                }
            }
        }
    }
}

#[test]
fn no_transition_drifts_with_f32() {
    nothing_drifts::<f32>();
}

#[test]
fn no_transition_drifts_with_i16() {
    nothing_drifts::<i16>();
}

#[test]
fn no_transition_drifts_with_i8() {
    nothing_drifts::<i8>();
}

#[test]
fn wrong_transitions_are_rejected() {
    for (index, widths) in SMALL.iter().enumerate() {
        let tensors = machine::<i8>(widths, STD, index as u64);
        let model = tensors.dbm().unwrap();
        for kind in [Kind::Synchronous, Kind::AcceptAll] {
            let [found, _] = drift(&model, &Held::all(model.shape())[0], kind, false, 5);
            println!("{widths:?} {kind:?}: {found:?}");
            assert!(found.p < REJECT, "{widths:?} {kind:?} was not rejected: {found:?}");
        }
    }
}

/// From any two states, each chain of `step_pair` moves as `step` alone does.
fn pairs_move_as_single_chains<W: Rounding>() {
    for (index, widths) in SMALL.iter().enumerate() {
        let tensors = machine::<W>(widths, STD, index as u64);
        let model = tensors.dbm().unwrap();
        let shape = model.shape();
        let mut buffers = PairBuffer::new(shape);
        let (mut x, mut y) = (buffers.x.state(shape), buffers.y.state(shape));
        for held in Held::all(shape) {
            for kind in ALL {
                let mut transition = kind.with(shape, &mut buffers.proposal);
                let (mut rng, mut apart, clamp) = (stream(7, 1), stream(7, 2), held.clamp());
                let starts = [rng.next_u32(), rng.next_u32()];
                let mut counts = [[0; 2]; 2].map(|pair| pair.map(|_: u8| vec![0u64; 1 << shape.units()]));
                for _ in 0..DRAWS {
                    for (rng, together) in [(&mut rng, true), (&mut apart, false)] {
                        for (&code, state) in starts.iter().zip([&mut x, &mut y]) {
                            write_code(code, state);
                            held.apply(state);
                            model.refresh(state);
                        }
                        if together {
                            transition.step_pair(&model, &mut x, &mut y, &clamp, rng);
                        } else {
                            transition.step(&model, &mut x, &clamp, rng);
                            transition.step(&model, &mut y, &clamp, rng);
                        }
                        for (chain, state) in [&x, &y].into_iter().enumerate() {
                            counts[usize::from(together)][chain][read_code(state) as usize] += 1;
                        }
                    }
                }
                let [alone, together] = &counts;
                for (chain, (alone, together)) in alone.iter().zip(together).enumerate() {
                    let found = ChiSquare::two_samples(alone, together);
                    assert!(found.p > REJECT, "{widths:?} {kind:?} chain {chain}: {found:?}");
                }
            }
        }
    }
}

#[test]
fn pairs_move_as_single_chains_with_f32() {
    pairs_move_as_single_chains::<f32>();
}

#[test]
fn pairs_move_as_single_chains_with_i8() {
    pairs_move_as_single_chains::<i8>();
}
