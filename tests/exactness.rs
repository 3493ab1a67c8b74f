//! Energies, fields, conditionals and log Z of the core against enumeration, for every weight type and depth.

use bitboltz::{
    chain::ChainBuffer,
    eval::exact::{Given, Oracle, read_code, write_code},
};
use bitboltz_core::{
    conditional::{Block, mean_layer, mode_block, sample_block},
    model::DenseDbm,
    rng::{Rng, stream},
    state::State,
    weights::{Field as _, Weight, WeightKind},
};
use bitboltz_tests::{
    models::{Held, Rounding, SMALL, WIDE, machine},
    significance::bonferroni_z,
    tolerance,
};

const SEEDS: [u64; 3] = [1, 2, 3];

/// Shows `check` every small machine of a weight type, with its oracle and a state to use.
fn each_machine<W: Rounding>(check: impl Fn(&DenseDbm<'_, W>, &Oracle, &mut State<'_, W::Field>)) {
    for widths in SMALL {
        for seed in SEEDS {
            let tensors = machine::<W>(widths, 1.0, seed);
            let model = tensors.dbm().unwrap();
            let mut buffer = ChainBuffer::new(model.shape());
            check(&model, &Oracle::new(&model).unwrap(), &mut buffer.state(model.shape()));
        }
    }
}

/// Runs a check for every weight type.
macro_rules! every_weight {
    ($($test:ident => $check:ident;)*) => {$(
        #[test]
        fn $test() {
            $check::<f32>();
            $check::<i16>();
            $check::<i8>();
            $check::<bitboltz_core::weights::I4>();
        }
    )*};
}

every_weight! {
    energy_is_that_of_the_definition => energy;
    fields_after_flips_are_fresh_ones => flips;
    fields_of_wide_machines_after_flips_are_fresh_ones => wide_flips;
    conditional_means_and_modes => means_and_modes;
    block_samples_follow_their_conditional => samples;
    free_energy_sums_the_hidden_layer_out => free_energy;
}

fn energy<W: Rounding>() {
    each_machine::<W>(|model, oracle, state| {
        for code in 0..1 << oracle.units() {
            write_code(code, state);
            model.refresh(state);
            assert_eq!(read_code(state), code);
            let exact = oracle.energy(code);
            for found in [model.real_energy(state), model.direct_energy(state)] {
                assert!((found - exact).abs() < tolerance::energy(W::KIND), "{code:b}: {found}, exactly {exact}");
            }
        }
    });
}

/// Words of random bits, set word by word in random places.
fn scramble<W: Weight>(
    model: &DenseDbm<'_, W>,
    state: &mut State<'_, W::Field>,
    words: u32,
    rng: &mut impl Rng,
) -> u32 {
    let shape = *model.shape();
    let mut flips = 0;
    for _ in 0..words {
        let layer = rng.next_u32() as usize % shape.layers();
        let index = rng.next_u32() as usize % shape.layer_words(layer);
        flips += model.set_word(state, layer, index, rng.next_u32());
    }
    flips
}

fn flips<W: Rounding>() {
    each_machine::<W>(|model, oracle, state| {
        model.refresh(state);
        let flips = scramble(model, state, 100, &mut stream(4, 0));
        assert!(flips > 100);
        let code = read_code(state);
        for (unit, field) in state.fields().iter().enumerate() {
            let exact = oracle.field(code, unit);
            let found = field.to_real(model.scale());
            assert!((found - exact).abs() < tolerance::fields(W::KIND, flips), "{unit}: {found}, exactly {exact}");
        }
    });
}

fn wide_flips<W: Rounding>() {
    for widths in WIDE {
        let tensors = machine::<W>(widths, 0.3, 1);
        let model = tensors.dbm().unwrap();
        let [mut kept, mut fresh] = [0; 2].map(|_| ChainBuffer::new(model.shape()));
        let (mut kept, mut fresh) = (kept.state(model.shape()), fresh.state(model.shape()));
        model.refresh(&mut kept);
        let flips = scramble(&model, &mut kept, 50, &mut stream(4, 0));
        fresh.words_mut().copy_from_slice(kept.words());
        model.refresh(&mut fresh);
        for (a, b) in kept.fields().iter().zip(fresh.fields()) {
            let difference = (a.to_real(model.scale()) - b.to_real(model.scale())).abs();
            // Integers are equal, not merely close.
            assert!(
                a == b || W::KIND == WeightKind::F32 && difference < tolerance::fields(W::KIND, flips),
                "{a:?} {b:?}"
            );
        }
        let difference = (model.real_energy(&kept) - model.direct_energy(&fresh)).abs();
        // Some hundred fields make an energy.
        assert!(difference < 200.0 * tolerance::fields(W::KIND, flips), "{difference}");
    }
}

fn means_and_modes<W: Rounding>() {
    each_machine::<W>(|model, oracle, state| {
        let shape = *model.shape();
        let mut means = vec![0.0; shape.units()];
        for held in Held::all(&shape) {
            for code in 0..1 << oracle.units() {
                write_code(code, state);
                held.apply(state);
                model.refresh(state);
                let code = read_code(state);
                for block in [Block::Even, Block::Odd] {
                    for l in block.layers(shape.layers()) {
                        let units = shape.unit_range(l);
                        mean_layer(model, state, l, &mut means[units.clone()]);
                        for unit in units {
                            let (found, exact) = (f64::from(means[unit]), oracle.conditional(code, unit));
                            assert!((found - exact).abs() < tolerance::PROBABILITY, "{unit}: {found}, exactly {exact}");
                        }
                    }
                    mode_block(model, state, block, &held.clamp());
                    let mode = read_code(state);
                    for unit in block.layers(shape.layers()).flat_map(|l| shape.unit_range(l)) {
                        let (on, p) = (mode >> unit & 1 == 1, oracle.conditional(code, unit));
                        if held.given.mask >> unit & 1 == 1 {
                            assert_eq!(on, held.given.values >> unit & 1 == 1, "a clamped unit moved");
                        } else {
                            assert!(on == (p >= 0.5) || (p - 0.5).abs() < tolerance::PROBABILITY);
                        }
                    }
                    write_code(code, state);
                    model.refresh(state);
                }
            }
        }
    });
}

fn samples<W: Rounding>() {
    const DRAWS: u32 = 2000;
    let bound = bonferroni_z(SMALL.len() * SEEDS.len() * 4 * 9 * 3);
    each_machine::<W>(|model, oracle, state| {
        let shape = *model.shape();
        let mut rng = stream(11, 0);
        for held in Held::all(&shape) {
            for block in [Block::Even, Block::Odd] {
                let clamp = held.clamp();
                model.randomise(state, &clamp, &mut rng);
                held.apply(state);
                model.refresh(state);
                let code = read_code(state);
                let mut on = vec![0u32; shape.units()];
                for _ in 0..DRAWS {
                    sample_block(model, state, block, &clamp, &mut rng);
                    let code = read_code(state);
                    on.iter_mut().enumerate().for_each(|(unit, on)| *on += code >> unit & 1);
                }
                let members: Vec<usize> = block.layers(shape.layers()).flat_map(|l| shape.unit_range(l)).collect();
                for (unit, &on) in on.iter().enumerate() {
                    if !members.contains(&unit) || held.given.mask >> unit & 1 == 1 {
                        assert_eq!(on, DRAWS * (code >> unit & 1), "unit {unit} should not have moved");
                        continue;
                    }
                    let p = oracle.conditional(code, unit);
                    let z = (f64::from(on) / f64::from(DRAWS) - p) / (p * (1.0 - p) / f64::from(DRAWS)).sqrt();
                    assert!(z.abs() < bound, "unit {unit}: z = {z}, bound {bound}");
                }
            }
        }
    });
}

fn free_energy<W: Rounding>() {
    each_machine::<W>(|model, oracle, state| {
        let shape = *model.shape();
        let mut z = 0.0;
        for visible in 0..1 << shape.width(0) {
            write_code(visible, state);
            model.refresh(state);
            let Some(found) = model.free_energy(state) else {
                assert!(shape.layers() > 2, "a machine with one hidden layer has a free energy");
                return;
            };
            let exact = -oracle.log_z(Given::visible(&shape, visible));
            assert!((found - exact).abs() < tolerance::energy(W::KIND), "{found}, exactly {exact}");
            z += (-found).exp();
        }
        assert!((z.ln() - oracle.log_z(Given::NOTHING)).abs() < tolerance::energy(W::KIND));
    });
}
