//! Local mode search: it falls, it ends at a mode, ties go to 1, and clamped units stay.

use bitboltz::{
    chain::ChainBuffer,
    eval::exact::{Oracle, read_code},
    parameters::Parameters,
};
use bitboltz_core::{
    conditional::{Block, mode_block},
    image::Geometry,
    model::DenseDbm,
    rng::{Rng, stream},
    search::{LocalModeSearch, SearchCapHit},
    state::{Clamp, State},
    weights::WeightKind,
};
use bitboltz_tests::models::{Held, Rounding, SMALL, WIDE, machine};

const BOTH: [Block; 2] = [Block::Odd, Block::Even];

/// Random starts, with random clamps, of machines of every size.
fn each_start<W: Rounding>(mut check: impl FnMut(&DenseDbm<'_, W>, &mut State<'_, W::Field>, &Clamp<'_>)) {
    let mut rng = stream(6, 0);
    for (widths, std) in SMALL.iter().map(|widths| (widths, 1.0)).chain(WIDE.iter().map(|widths| (widths, 0.3))) {
        for seed in 0..5 {
            let tensors = machine::<W>(widths, std, seed);
            let model = tensors.dbm().unwrap();
            let shape = model.shape();
            let mut buffer = ChainBuffer::new(shape);
            let mut state = buffer.state(shape);
            for clamped in 0..20 {
                // From nothing clamped, over about a quarter of the units, to all.
                let mask: Vec<u32> = (0..shape.words())
                    .map(|_| match clamped {
                        0 => 0,
                        1 => u32::MAX,
                        _ => rng.next_u32() & rng.next_u32(),
                    })
                    .collect();
                model.randomise(&mut state, &Clamp::none(), &mut rng);
                check(&model, &mut state, &Clamp::new(shape, &mask).unwrap());
            }
        }
    }
}

fn falls_to_a_mode<W: Rounding>() {
    each_start::<W>(|model, state, clamp| {
        let start = state.words().to_vec();
        for first in BOTH {
            state.words_mut().copy_from_slice(&start);
            model.refresh(state);
            // The search, one half sweep after the other. Energies of floats have rounding errors.
            let slack = if W::KIND == WeightKind::F32 { 1e-3 } else { 0.0 };
            let (mut energy, mut flips, mut halves) = (model.real_energy(state), 0, Vec::new());
            let mut block = first;
            while halves.len() < 2 || halves.last() != Some(&0) {
                halves.push(mode_block(model, state, block, clamp));
                flips += u64::from(*halves.last().unwrap());
                let next = model.real_energy(state);
                assert!(next <= energy + slack, "the energy rose from {energy} to {next}");
                energy = next;
                block = block.other();
            }
            let mode = state.words().to_vec();

            state.words_mut().copy_from_slice(&start);
            model.refresh(state);
            let search = LocalModeSearch { first, ..LocalModeSearch::default() };
            let report = search.run(model, state, clamp).unwrap();
            assert_eq!((state.words(), report.flips), (&mode[..], flips));
            assert_eq!(report.sweeps as usize, halves.len().div_ceil(2));
            for block in BOTH {
                assert_eq!(mode_block(model, state, block, clamp), 0, "{block:?} layers are not at their mode");
            }
            for (at, (before, after)) in start.iter().zip(state.words()).enumerate() {
                assert_eq!((before ^ after) & clamp.word(at), 0, "a clamped unit moved");
            }

            // The same again from where it came: nothing is left to do.
            assert_eq!(search.run(model, state, clamp).unwrap().flips, 0);
            // One sweep fewer is not enough to know that nothing flips.
            state.words_mut().copy_from_slice(&start);
            model.refresh(state);
            let cap = report.sweeps - 1;
            assert_eq!(LocalModeSearch { first, cap }.run(model, state, clamp), Err(SearchCapHit { cap }));
        }
    });
}

#[test]
fn falls_to_a_mode_with_f32() {
    falls_to_a_mode::<f32>();
}

#[test]
fn falls_to_a_mode_with_i16() {
    falls_to_a_mode::<i16>();
}

#[test]
fn falls_to_a_mode_with_i8() {
    falls_to_a_mode::<i8>();
}

#[test]
fn modes_are_those_of_the_enumerated_energy() {
    for widths in SMALL {
        let tensors = machine::<i8>(widths, 1.0, 8);
        let model = tensors.dbm().unwrap();
        let (shape, oracle) = (model.shape(), Oracle::new(&model).unwrap());
        let mut buffer = ChainBuffer::new(shape);
        let mut state = buffer.state(shape);
        let mut rng = stream(1, 0);
        for held in Held::all(shape) {
            for _ in 0..20 {
                model.randomise(&mut state, &Clamp::none(), &mut rng);
                held.apply(&mut state);
                model.refresh(&mut state);
                LocalModeSearch::default().run(&model, &mut state, &held.clamp()).unwrap();
                let code = read_code(&state);
                for unit in (0..oracle.units()).filter(|unit| held.given.mask >> unit & 1 == 0) {
                    let flipped = oracle.energy(code ^ 1 << unit);
                    assert!(
                        flipped >= oracle.energy(code) - 1e-9,
                        "flipping unit {unit} of {code:b} lowers the energy"
                    );
                }
            }
        }
    }
}

#[test]
fn ties_go_to_1() {
    let zero = Parameters::zeros(&[5, 3, 2], Geometry::default()).unwrap();
    let model = zero.dbm().unwrap();
    let mut buffer = ChainBuffer::new(model.shape());
    for first in BOTH {
        let mut state = buffer.state(model.shape());
        model.refresh(&mut state);
        let report = LocalModeSearch { first, cap: 2 }.run(&model, &mut state, &Clamp::none()).unwrap();
        assert_eq!(state.words(), [0b11111, 0b111, 0b11]);
        assert_eq!((report.flips, report.sweeps), (10, 2));
    }
}

#[test]
fn no_sweeps_find_no_mode() {
    let zero = Parameters::zeros(&[2, 2], Geometry::default()).unwrap();
    let model = zero.dbm().unwrap();
    let mut buffer = ChainBuffer::new(model.shape());
    let mut state = buffer.state(model.shape());
    model.refresh(&mut state);
    let found = LocalModeSearch { first: Block::Odd, cap: 0 }.run(&model, &mut state, &Clamp::none());
    assert_eq!(found, Err(SearchCapHit { cap: 0 }));
    assert_eq!(state.words(), [0, 0]);
}

#[test]
fn wide_weights_do_not_overflow() {
    // Weights of −2²⁸ and biases of almost 2²⁹: bounds of 2³⁰ on the fields, which just pass the model's check.
    let (weights, biases) = (vec![i16::MIN; 2 * 2], [[i32::MAX / 4; 2]; 2]);
    let dense = bitboltz_core::connection::Dense::new(&weights, 2, 2, 13).unwrap();
    let scale = bitboltz_core::fixed::Scale::from_bits((1.0f32 / 65_536.0).to_bits()).unwrap();
    let model = DenseDbm::new([dense], &[&biases[0], &biases[1]], scale).unwrap();
    let mut buffer = ChainBuffer::new(model.shape());
    let mut state = buffer.state(model.shape());
    model.refresh(&mut state);
    LocalModeSearch::default().run(&model, &mut state, &Clamp::none()).unwrap();
    assert_eq!(state.words(), [0, 0b11], "the odd layer goes on, and leaves the other a field of −1");
}
