//! Inpainting on machines that can be enumerated: the lowest energy, and the posterior mean.

use bitboltz::{
    chain::ChainBuffer,
    eval::exact::{Oracle, read_code},
};
use bitboltz_core::{inpaint::Inpaint, posterior::PosteriorMean, rng::stream, search::LocalModeSearch, state::Clamp};
use bitboltz_tests::{
    models::{Held, Rounding, SMALL, machine},
    significance::bonferroni_z,
    tolerance,
};

fn restores_the_lowest_energy<W: Rounding>() {
    for widths in SMALL {
        for seed in 0..4 {
            let tensors = machine::<W>(widths, 1.5, seed);
            let model = tensors.dbm().unwrap();
            let (shape, oracle) = (model.shape(), Oracle::new(&model).unwrap());
            let mut buffer = ChainBuffer::new(shape);
            let mut state = buffer.state(shape);
            let mut best = vec![0; shape.words()];
            for held in Held::all(shape) {
                let lowest = oracle.lowest(held.given).1;
                // Restarts alone, and few restarts with many refinements.
                for inpaint in [
                    Inpaint { restarts: 300, ..Inpaint::default() },
                    Inpaint { restarts: 0, sweeps: 1000, ..Inpaint::default() },
                ] {
                    held.apply(&mut state);
                    model.refresh(&mut state);
                    let mut rng = stream(seed, 0);
                    let report = inpaint.restore(&model, &mut state, &mut best, &held.clamp(), &mut rng).unwrap();
                    let code = read_code(&state);
                    assert_eq!((code ^ held.given.values) & held.given.mask, 0, "a known unit changed");
                    let found = oracle.energy(code);
                    assert!((found - lowest).abs() < tolerance::energy(W::KIND), "{inpaint:?}: {found}, not {lowest}");
                    assert_eq!(report.energy, model.energy(&state));
                    assert!(report.sweeps >= 300);
                }
            }
        }
    }
}

#[test]
fn restores_the_lowest_energy_with_f32() {
    restores_the_lowest_energy::<f32>();
}

#[test]
fn restores_the_lowest_energy_with_i16() {
    restores_the_lowest_energy::<i16>();
}

#[test]
fn restores_the_lowest_energy_with_i8() {
    restores_the_lowest_energy::<i8>();
}

#[test]
fn more_restarts_are_never_worse() {
    let tensors = machine::<i8>(&[40, 31, 65], 1.0, 2);
    let model = tensors.dbm().unwrap();
    let mut buffer = ChainBuffer::new(model.shape());
    let mut state = buffer.state(model.shape());
    let mut best = vec![0; model.shape().words()];
    let energies: Vec<i64> = (1..30)
        .map(|restarts| {
            let inpaint = Inpaint { restarts, ..Inpaint::default() };
            inpaint.restore(&model, &mut state, &mut best, &Clamp::none(), &mut stream(1, 0)).unwrap().energy
        })
        .collect();
    assert!(energies.is_sorted_by(|a, b| a >= b), "{energies:?}");
    assert!(energies.first() > energies.last(), "there is more than one mode");
}

#[test]
fn a_search_that_hits_its_cap_is_an_error() {
    let tensors = machine::<i8>(&[3, 3], 1.0, 1);
    let model = tensors.dbm().unwrap();
    let mut buffer = ChainBuffer::new(model.shape());
    let mut state = buffer.state(model.shape());
    let inpaint = Inpaint { search: LocalModeSearch { cap: 1, ..LocalModeSearch::default() }, ..Inpaint::default() };
    let error = inpaint.restore(&model, &mut state, &mut [0; 2], &Clamp::none(), &mut stream(1, 0)).unwrap_err();
    assert_eq!(error.cap, 1);
}

fn posterior_means_are_the_enumerated_ones<W: Rounding>() {
    /// Samples of one run depend on each other: the error is taken from independent runs.
    const CHAINS: u64 = 200;
    const SAMPLES: u16 = 100;
    let bound = bonferroni_z(SMALL.len() * 4 * 4 * 3);
    // A burn-in of 50 sweeps forgets the start on machines this small.
    let means = PosteriorMean { restarts: 2, burn_in: 50, samples: SAMPLES, ..PosteriorMean::default() };
    for (index, widths) in SMALL.iter().enumerate() {
        let tensors = machine::<W>(widths, 0.8, index as u64);
        let model = tensors.dbm().unwrap();
        let (shape, oracle) = (model.shape(), Oracle::new(&model).unwrap());
        let mut buffer = ChainBuffer::new(shape);
        let mut state = buffer.state(shape);
        for held in Held::all(shape) {
            let exact = oracle.expectations(held.given).statistics;
            let exact = &exact[oracle.layout().biases(0)];
            let (mut sum, mut squares) = (vec![0.0; exact.len()], vec![0.0; exact.len()]);
            for chain in 0..CHAINS {
                held.apply(&mut state);
                let mut on = vec![0; exact.len()];
                means.count(&model, &mut state, &held.clamp(), &mut on, &mut stream(13, chain)).unwrap();
                for (unit, on) in on.into_iter().enumerate() {
                    let mean = f64::from(on) / f64::from(SAMPLES);
                    sum[unit] += mean;
                    squares[unit] += mean * mean;
                }
            }
            for (unit, &exact) in exact.iter().enumerate() {
                let n = CHAINS as f64;
                let mean = sum[unit] / n;
                let error = ((squares[unit] / n - mean * mean).max(0.0) / (n - 1.0)).sqrt();
                if held.given.mask >> unit & 1 == 1 {
                    assert_eq!((mean, mean), (exact, f64::from(held.given.values >> unit & 1)));
                } else {
                    assert!((mean - exact).abs() < bound * error, "{mean} ± {error}, exactly {exact}");
                }
            }
        }
    }
}

#[test]
fn posterior_means_are_the_enumerated_ones_with_f32() {
    posterior_means_are_the_enumerated_ones::<f32>();
}

#[test]
fn posterior_means_are_the_enumerated_ones_with_i16() {
    posterior_means_are_the_enumerated_ones::<i16>();
}

#[test]
fn posterior_means_are_the_enumerated_ones_with_i8() {
    posterior_means_are_the_enumerated_ones::<i8>();
}
