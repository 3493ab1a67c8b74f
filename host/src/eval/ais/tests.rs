//! Annealing against enumeration.

use super::*;
use crate::{
    eval::{
        exact::{Given, Oracle},
        importance::LogMean,
        random::random_parameters,
        real::real_parameters,
    },
    quantise::Quantised,
};

/// One to three hidden layers; wide and narrow even blocks, so that each block is kept in some.
const SHAPES: [&[usize]; 6] = [&[6, 5], &[3, 8], &[5, 4, 3], &[2, 7, 3], &[4, 3, 3, 2], &[2, 5, 2, 5]];

fn quiet(_: u64) {}

/// |z| beyond this has a chance below 10⁻⁴ in any of the tests here, were z normal.
const LARGEST: f64 = 5.5;

#[track_caller]
fn check(z: &[f64]) {
    assert!(z.iter().all(|z| z.abs() < LARGEST), "{z:?}");
    // Σz² of n normals is n ± √(2n); an error that is too large shows below, one that is too small above.
    let (n, squares) = (z.len() as f64, z.iter().map(|z| z * z).sum::<f64>());
    assert!((squares - n).abs() < 4.5 * (2.0 * n).sqrt(), "{squares} of {n}: {z:?}");
    let mean = z.iter().sum::<f64>() / n;
    assert!(mean.abs() < 4.5 / n.sqrt(), "mean {mean}");
}

/// Standard errors between the estimate and log Z, for these steps and a base that has little to do with the model.
fn z_of_log_z(parameters: &Parameters, steps: usize, seed: u64) -> f64 {
    let exact = Oracle::new(&parameters.dbm().unwrap()).unwrap().log_z(Given::NOTHING);
    let visible: Vec<f64> = (0..parameters.shape().width(0)).map(|i| 0.4 * i as f64 - 0.8).collect();
    let logs = log_z_weights(parameters, &visible, &Schedule::linear(steps), 1_500, seed, &quiet);
    let found = LogMean::new(&logs);
    // Not by a hair's breadth because there is no spread.
    assert!(found.effective_sample_size > 100.0 && found.standard_error > 1e-4, "{found:?}");
    (found.estimate - exact) / found.standard_error
}

#[test]
fn log_z_is_that_of_enumeration() {
    let mut z = Vec::new();
    for widths in SHAPES {
        for seed in 1..5 {
            let parameters = random_parameters(widths, 1.0, 0.7, seed).unwrap();
            z.extend([3, 40].map(|steps| z_of_log_z(&parameters, steps, seed + 10)));
        }
    }
    check(&z);
}

#[test]
fn log_z_of_integer_models_is_that_of_their_real_weights() {
    let mut z = Vec::new();
    for widths in SHAPES {
        for seed in 1..4 {
            let parameters = random_parameters(widths, 1.0, 0.7, seed).unwrap();
            let integers = Quantised::<i8>::new(&parameters).unwrap();
            let integers = integers.dbm().unwrap();
            let real = real_parameters(&integers, parameters.geometry()).unwrap();
            let [exact, of_real] = [Oracle::new(&integers), Oracle::new(&real.dbm().unwrap())]
                .map(|oracle| oracle.unwrap().log_z(Given::NOTHING));
            assert!((exact - of_real).abs() < 1e-5);
            z.push(z_of_log_z(&real, 30, seed));
        }
    }
    check(&z);
}

#[test]
fn given_visible_units_it_is_that_of_enumeration_too() {
    let mut z = Vec::new();
    for widths in [&[5, 4, 3][..], &[3, 6, 4], &[4, 3, 6], &[3, 3, 4, 2], &[2, 4, 3, 5]] {
        for seed in 1..4 {
            let parameters = random_parameters(widths, 1.2, 0.7, seed).unwrap();
            let shape = parameters.shape();
            let oracle = Oracle::new(&parameters.dbm().unwrap()).unwrap();
            let codes = [0, 1, (1 << shape.width(0)) - 1];
            let rows = BitMatrix::from_words(3, shape.width(0), codes.to_vec()).unwrap();
            let bases: Vec<Vec<f64>> = (0..3).map(|i| vec![0.3 - 0.2 * f64::from(i); shape.units()]).collect();
            let base = |i: usize| &bases[i][..];
            let logs = log_p_star_weights(&parameters, &rows, &base, &Schedule::linear(10), 1_000, seed, &quiet);
            for (logs, code) in logs.chunks(1_000).zip(codes) {
                let exact = oracle.log_z(Given::visible(shape, code));
                let found = LogMean::new(logs);
                z.push((found.estimate - exact) / found.standard_error);
            }
        }
    }
    check(&z);
}

#[test]
fn a_single_hidden_layer_given_the_visible_one_is_summed_out() {
    let parameters = random_parameters(&[5, 6], 1.0, 0.7, 1).unwrap();
    let oracle = Oracle::new(&parameters.dbm().unwrap()).unwrap();
    let rows = BitMatrix::from_words(1, 5, vec![0b10110]).unwrap();
    let base = vec![0.2; 11];
    let logs = log_p_star_weights(&parameters, &rows, &|_| &base, &Schedule::linear(7), 3, 1, &quiet);
    let exact = oracle.log_z(Given::visible(parameters.shape(), 0b10110));
    assert!(logs.iter().all(|log| (log - exact).abs() < 1e-5), "{logs:?}, exactly {exact}");
}

#[test]
fn without_weights_and_from_the_right_biases_every_weight_is_exact() {
    let parameters = random_parameters(&[7, 4, 3], 0.0, 0.0, 1).unwrap();
    let logs = log_z_weights(&parameters, &[0.0; 7], &Schedule::linear(3), 5, 1, &quiet);
    assert!(logs.iter().all(|log| (log - 14.0 * 2.0_f64.ln()).abs() < 1e-12));
}

/// Long enough to come by a refresh, wide enough for several words and blocks.
#[test]
fn threads_and_other_chains_change_nothing() {
    let parameters = random_parameters(&[70, 40, 33], 0.2, 0.2, 3).unwrap();
    let run = |threads: usize, chains: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| log_z_weights(&parameters, &[0.0; 70], &Schedule::linear(300), chains, 5, &quiet))
    };
    let one = run(1, 20);
    assert_eq!(one, run(3, 20));
    assert_eq!(one[..4], run(1, 4));
    assert!(one[0] != one[1]);
}

#[test]
fn progress_counts_every_step_of_every_chain() {
    use std::sync::atomic::{AtomicU64, Ordering};
    let parameters = random_parameters(&[4, 3], 1.0, 0.0, 1).unwrap();
    let done = AtomicU64::new(0);
    let count = |steps| {
        done.fetch_add(steps, Ordering::Relaxed);
    };
    log_z_weights(&parameters, &[0.0; 4], &Schedule::linear(9), 11, 1, &count);
    assert_eq!(done.into_inner(), 99);
}

/// Words of exact samples of a machine.
fn exact_samples(oracle: &Oracle, count: usize, seed: u64) -> Vec<Vec<u32>> {
    let (shape, all) = (*oracle.shape(), oracle.distribution(Given::NOTHING));
    let mut rng = stream(seed, u64::MAX);
    let words = |code: u32| {
        let layer = |l| {
            let units = shape.unit_range(l);
            (code >> units.start) & ((1 << units.len()) - 1)
        };
        (0..shape.layers()).map(layer).collect()
    };
    (0..count).map(|_| words(all.codes()[all.sample(&mut rng)])).collect()
}

#[test]
fn backwards_from_exact_samples_log_z_is_that_of_enumeration() {
    let mut z = Vec::new();
    for widths in SHAPES {
        for seed in 1..5 {
            let parameters = random_parameters(widths, 1.0, 0.7, seed).unwrap();
            let oracle = Oracle::new(&parameters.dbm().unwrap()).unwrap();
            let exact = oracle.log_z(Given::NOTHING);
            let starts = exact_samples(&oracle, 1_500, seed);
            let visible: Vec<f64> = (0..widths[0]).map(|i| 0.4 * i as f64 - 0.8).collect();
            // Sweeps of the machine leave exact samples what they are.
            z.extend([(3, 0), (40, 0), (3, 7)].map(|(steps, sweeps)| {
                let schedule = Schedule::linear(steps);
                let logs = log_inverse_z_weights(&parameters, &visible, &starts, sweeps, &schedule, seed + 20, &quiet);
                let found = LogMean::new(&logs).of_reciprocals();
                assert!(found.effective_sample_size > 100.0 && found.standard_error > 1e-4, "{found:?}");
                (found.estimate - exact) / found.standard_error
            }));
        }
    }
    check(&z);
}

/// The means of the log weights bound log Z from both sides, and with few temperatures they are well apart.
#[test]
fn both_directions_hold_log_z_between_them() {
    for widths in [&[6, 5][..], &[5, 4, 3], &[4, 3, 3, 2]] {
        let parameters = random_parameters(widths, 1.5, 0.7, 2).unwrap();
        let oracle = Oracle::new(&parameters.dbm().unwrap()).unwrap();
        let exact = oracle.log_z(Given::NOTHING);
        let (base, schedule) = (vec![0.0; widths[0]], Schedule::linear(2));
        let forward = LogMean::new(&log_z_weights(&parameters, &base, &schedule, 2_000, 1, &quiet));
        let starts = exact_samples(&oracle, 2_000, 3);
        let logs = log_inverse_z_weights(&parameters, &base, &starts, 0, &schedule, 4, &quiet);
        let backward = LogMean::new(&logs).of_reciprocals();
        let error = |found: &LogMean| found.sd_log / 2_000_f64.sqrt();
        assert!(forward.mean_log + 5.0 * error(&forward) < exact, "{forward:?}, exactly {exact}");
        assert!(backward.mean_log - 5.0 * error(&backward) > exact, "{backward:?}, exactly {exact}");
        assert!(forward.mean_log < forward.estimate && backward.estimate < backward.mean_log);
    }
}

#[test]
fn backwards_threads_and_other_chains_change_nothing() {
    let parameters = random_parameters(&[70, 40, 33], 0.2, 0.2, 3).unwrap();
    let starts: Vec<Vec<u32>> = (0..20).map(|i| vec![i * 7_919, i, 0, i * i, 1, !i, 0]).collect();
    let run = |threads: usize, chains: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let schedule = Schedule::linear(300);
        let logs = || log_inverse_z_weights(&parameters, &[0.0; 70], &starts[..chains], 9, &schedule, 5, &quiet);
        pool.install(logs)
    };
    let one = run(1, 20);
    assert_eq!(one, run(3, 20));
    assert_eq!(one[..4], run(1, 4));
    assert!(one[0] != one[1]);
}
