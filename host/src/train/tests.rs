//! Whole updates on models small enough to enumerate.

use bitboltz_core::{
    coupling::Horizon,
    image::Geometry,
    rng::{Rng as _, stream},
    weights::WeightKind,
};

use super::{
    Budget, CenteringOffsets, Pretrain, Schedule, TrainConfig, TrainError, Trainer, diagnostics,
    orthogonal::normals,
    persistent::PersistentChains,
    phase::{PhaseBuffers, PhasePlan},
    projections::Projections,
    statistics::Moments,
};
use crate::{
    batch::ChainWeights,
    bits::BitMatrix,
    checkpoint::Checkpoint,
    estimator::{Estimator, Phase, SecondStart, StartPolicy, TransitionPolicy},
    parameters::Parameters,
};

/// Three patterns of six bits, one of them twice as often.
fn data() -> BitMatrix {
    BitMatrix::from_words(4, 6, vec![0b111, 0b111_000, 0b101_010, 0b111]).unwrap()
}

fn small(estimator: Estimator) -> TrainConfig {
    TrainConfig {
        hidden: vec![4, 3],
        estimator,
        batch: 40,
        learning_rate: 0.05,
        momentum: 0.0,
        seed: 3,
        ..TrainConfig::default()
    }
}

/// All means, then all pairs.
pub(super) fn averages(moments: &Moments) -> Vec<f32> {
    let pairs = (1..moments.shape().layers()).flat_map(|l| moments.pairs(l - 1));
    moments.means.iter().flatten().copied().chain(pairs).collect()
}

pub(super) fn bits(index: usize, widths: &[usize]) -> Vec<Vec<f64>> {
    let mut at = index;
    let mut next = || {
        let bit = at & 1;
        at >>= 1;
        bit as f64
    };
    widths.iter().map(|&width| (0..width).map(|_| next()).collect()).collect()
}

/// −E of every state, from the definition; a state's number holds its bits, visible ones lowest.
pub(super) fn scores(parameters: &Parameters) -> Vec<f64> {
    let widths: Vec<usize> = parameters.shape().widths().collect();
    (0..1 << parameters.shape().units())
        .map(|index| {
            let x = bits(index, &widths);
            let mut score = 0.0;
            for (l, bias) in parameters.biases().iter().enumerate() {
                for i in 0..widths[l] {
                    score += f64::from(bias[i]) * x[l][i];
                    for j in 0..x.get(l + 1).map_or(0, Vec::len) {
                        score += f64::from(parameters.weights()[l][i * widths[l + 1] + j]) * x[l][i] * x[l + 1][j];
                    }
                }
            }
            score
        })
        .collect()
}

/// Mean log-likelihood of the data, by enumeration.
fn log_likelihood(parameters: &Parameters, data: &BitMatrix) -> f64 {
    let scores = scores(parameters);
    let mask = (1 << data.cols()) - 1;
    let log_sum = |keep: &dyn Fn(usize) -> bool| {
        let kept = scores.iter().enumerate().filter(|(index, _)| keep(*index));
        kept.map(|(_, score)| score.exp()).sum::<f64>().ln()
    };
    let rows = (0..data.rows()).map(|i| data.row(i));
    let sum: f64 = rows.map(|row| log_sum(&|index| index & mask == row[0] as usize)).sum();
    sum / data.rows() as f64 - log_sum(&|_| true)
}

#[test]
fn every_setting_improves_the_exact_likelihood() {
    let ucd = Estimator::ucd;
    let lmi_gibbs = ucd(StartPolicy::LocalMode, TransitionPolicy::Gibbs);
    let mean_field = Estimator::MeanField { k: 1 };
    let base = small(Estimator::UCD_LMI);
    for config in [
        base.clone(),
        TrainConfig { centering: None, ..base.clone() },
        TrainConfig { centering_offsets: CenteringOffsets::Model, ..base.clone() },
        TrainConfig { centering_offsets: CenteringOffsets::Both, bias_from_data: true, ..base.clone() },
        TrainConfig { marginalise: false, ..base.clone() },
        TrainConfig { hidden: vec![5], ..base.clone() },
        TrainConfig { hidden: vec![3, 3, 2], ..base.clone() },
        TrainConfig { bias_from_data: true, ..base.clone() },
        TrainConfig { average: Some(0.1), ..base.clone() },
        TrainConfig { momentum: 0.5, weight_decay: 1e-4, ..base.clone() },
        TrainConfig {
            schedule: Schedule::Cooldown { steps: 400 },
            budget: Budget { steps: Some(400), minutes: None },
            learning_rate: 0.1,
            ..base.clone()
        },
        TrainConfig { chain_weights: WeightKind::I16, ..base.clone() },
        TrainConfig { chain_weights: WeightKind::I8, marginalise: false, ..base.clone() },
        small(lmi_gibbs),
        small(lmi_gibbs.with_horizon(Horizon { k: 1, m: 3, ..Horizon::default() })),
        small(ucd(StartPolicy::Random, TransitionPolicy::Gibbs)),
        small("ucd-lmi-mix-0.5".parse().unwrap()),
        TrainConfig { clamped_estimator: Some(lmi_gibbs), ..base.clone() },
        TrainConfig { clamped_estimator: Some(lmi_gibbs), ..small(Estimator::Pcd { k: 1 }) },
        small(Estimator::Cd { k: 1 }),
        small(Estimator::Pcd { k: 1 }),
        TrainConfig { hidden: vec![5], ..small(Estimator::Pcd { k: 3 }) },
        small(mean_field),
        TrainConfig { hidden: vec![5], ..small(mean_field) },
        TrainConfig { hidden: vec![3, 3, 2, 2], centering: None, ..small(Estimator::MeanField { k: 3 }) },
        TrainConfig { chain_weights: WeightKind::I16, ..small(mean_field) },
        TrainConfig { chain_weights: WeightKind::I8, marginalise: false, ..small(mean_field) },
        TrainConfig { clamped_estimator: Some(mean_field), ..base.clone() },
        TrainConfig { pretrain: Some(Pretrain::Greedy { updates: 20 }), ..small(mean_field) },
        TrainConfig {
            schedule: Schedule::Cooldown { steps: 400 },
            budget: Budget { steps: Some(400), minutes: None },
            pretrain: Some(Pretrain::Greedy { updates: 20 }),
            centering_offsets: CenteringOffsets::Model,
            learning_rate: 0.1,
            ..small(lmi_gibbs)
        },
        TrainConfig {
            batch: 40,
            learning_rate: 0.05,
            // With a cap that no chain of this machine hits.
            estimator: Estimator::UCD_LMI,
            ..TrainConfig { hidden: vec![4, 3], ..TrainConfig::paper_defaults() }
        },
    ] {
        let mut trainer = Trainer::new(config.clone(), data(), Geometry::default()).unwrap();
        let before = log_likelihood(trainer.parameters(), &data());
        for step in 1..=400 {
            let report = trainer.update().unwrap();
            assert_eq!(report.step, step);
            assert_eq!((report.positive.chains, report.negative.cap_hits), (config.batch, 0));
        }
        let after = log_likelihood(trainer.parameters(), &data());
        // The best possible is minus the data's entropy, −1.04; six free bits have −4.16.
        assert!(after > before + 0.8, "{config:?}: {before} to {after}");
    }
}

#[test]
fn a_resumed_run_continues_bit_for_bit() {
    let lmi_gibbs = Estimator::ucd(StartPolicy::LocalMode, TransitionPolicy::Gibbs);
    for config in [
        small(Estimator::UCD_LMI),
        TrainConfig { centering: None, ..small(Estimator::UCD_LMI) },
        TrainConfig { centering_offsets: CenteringOffsets::Both, ..small(Estimator::UCD_LMI) },
        small(lmi_gibbs),
        small("ucd-lmi-mix-0.25".parse().unwrap()),
        TrainConfig { clamped_estimator: Some(lmi_gibbs), ..small(Estimator::Pcd { k: 1 }) },
        small(Estimator::Cd { k: 2 }),
        small(Estimator::Pcd { k: 1 }),
        TrainConfig { hidden: vec![40], ..small(Estimator::Pcd { k: 2 }) },
        TrainConfig { average: Some(0.2), ..small(Estimator::UCD_LMI) },
        TrainConfig { momentum: 0.75, weight_decay: 1e-3, ..small(Estimator::UCD_LMI) },
        TrainConfig { momentum: 0.5, chain_weights: WeightKind::I16, ..small(Estimator::UCD_LMI) },
        TrainConfig { average: Some(0.5), chain_weights: WeightKind::I8, ..small(Estimator::UCD_LMI) },
        small(Estimator::MeanField { k: 2 }),
        TrainConfig { pretrain: Some(Pretrain::Greedy { updates: 3 }), ..small(Estimator::MeanField { k: 1 }) },
        TrainConfig { chain_weights: WeightKind::I8, ..small(Estimator::MeanField { k: 1 }) },
    ] {
        let mut whole = Trainer::new(config.clone(), data(), Geometry::default()).unwrap();
        (0..6).for_each(|_| _ = whole.update().unwrap());
        let mut first = Trainer::new(config, data(), Geometry::default()).unwrap();
        (0..3).for_each(|_| _ = first.update().unwrap());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.safetensors");
        first.checkpoint().save(&path).unwrap();
        let mut resumed = Trainer::resume(Checkpoint::load(&path).unwrap(), data()).unwrap();
        (0..3).for_each(|_| _ = resumed.update().unwrap());
        let bytes = |trainer: &Trainer| {
            let mut checkpoint = trainer.checkpoint();
            checkpoint.training.as_mut().unwrap().seconds = 0.0;
            checkpoint.to_bytes(&path).unwrap()
        };
        assert_eq!(bytes(&whole), bytes(&resumed));
    }
}

/// The model is the average of the parameters that a run without one has after each update: the average changes nothing
/// of how they learn.
#[test]
fn the_model_is_the_average_of_parameters_that_learn_as_without_it() {
    for chain_weights in [WeightKind::F32, WeightKind::I16] {
        let config = TrainConfig { chain_weights, ..small(Estimator::UCD_LMI) };
        let mut plain = Trainer::new(config.clone(), data(), Geometry::default()).unwrap();
        let averaged = TrainConfig { average: Some(0.25), ..config };
        let mut averaged = Trainer::new(averaged, data(), Geometry::default()).unwrap();
        let mut sums = vec![0.0; 6 * 4 + 4 * 3 + 13];
        for t in 1..=12 {
            plain.update().unwrap();
            averaged.update().unwrap();
            assert_eq!(averaged.checkpoint().learning(), plain.parameters());
            let numbers = |parameters: &Parameters| -> Vec<f32> {
                parameters.weights().iter().chain(parameters.biases()).flatten().copied().collect()
            };
            // Weights that grow as the cube of the step, as long as every update counts.
            let share = |t: i32| f64::from(t).powi(3);
            for (sum, number) in sums.iter_mut().zip(numbers(plain.parameters())) {
                *sum += f64::from(number) * (share(t) - share(t - 1));
            }
            for (sum, found) in sums.iter().zip(numbers(averaged.parameters())) {
                assert!((sum / share(t) - f64::from(found)).abs() < 1e-6, "{t}: {} {found}", sum / share(t));
            }
        }
    }
}

/// Whatever the offsets, a step is the same linear map of the plain gradient, with those from before the step; and they
/// follow the means that they are named after.
#[test]
fn every_kind_of_offsets_centers_the_same_gradient() {
    let plain = TrainConfig { centering: None, gamma: 0.0, learning_rate: 0.5, ..small(Estimator::UCD_LMI) };
    let rate = 0.25;
    let of = |centering_offsets| TrainConfig { centering: Some(rate), centering_offsets, ..plain.clone() };
    let moved = |before: &Parameters, after: &Parameters| -> Parameters {
        let difference = |a: &[Vec<f32>], b: &[Vec<f32>]| -> Vec<Vec<f32>> {
            a.iter().zip(b).map(|(a, b)| a.iter().zip(b).map(|(a, b)| 2.0 * (b - a)).collect()).collect()
        };
        let weights = difference(before.weights(), after.weights());
        Parameters::new(weights, difference(before.biases(), after.biases()), Geometry::default()).unwrap()
    };
    let mut followed = Vec::new();
    for kind in [CenteringOffsets::Data, CenteringOffsets::Model, CenteringOffsets::Both] {
        let mut centered = Trainer::new(of(kind), data(), Geometry::default()).unwrap();
        for step in 0..4 {
            let before = centered.checkpoint();
            // The same chains, since they depend on parameters, seed and step alone; and the plain step.
            let mut other = before.clone();
            let training = other.training.as_mut().unwrap();
            (training.config, training.offsets) = (plain.clone(), Vec::new());
            let mut other = Trainer::resume(other, data()).unwrap();
            other.update().unwrap();
            centered.update().unwrap();
            let (found, plain) =
                (moved(&before.parameters, centered.parameters()), moved(&before.parameters, other.parameters()));
            let mu = &before.training.as_ref().unwrap().offsets;
            let mut biases = plain.biases().to_vec();
            let widths: Vec<usize> = plain.shape().widths().collect();
            for l in 0..2 {
                for (i, j) in (0..widths[l]).flat_map(|i| (0..widths[l + 1]).map(move |j| (i, j))) {
                    let (at, db) = (i * widths[l + 1] + j, plain.biases());
                    let expected = plain.weights()[l][at] - mu[l][i] * db[l + 1][j] - db[l][i] * mu[l + 1][j];
                    assert!((found.weights()[l][at] - expected).abs() < 1e-5);
                    biases[l][i] -= expected * mu[l + 1][j];
                    biases[l + 1][j] -= expected * mu[l][i];
                }
            }
            for (found, expected) in found.biases().iter().flatten().zip(biases.iter().flatten()) {
                assert!((found - expected).abs() < 1e-5);
            }
            if step == 0 {
                let after = centered.checkpoint().training.unwrap().offsets;
                let mean = |(a, b): (&f32, &f32)| a + (b - a) / rate as f32;
                let means: Vec<f32> = mu.iter().flatten().zip(after.iter().flatten()).map(mean).collect();
                followed.push((means, plain.biases().concat(), mu[0].clone()));
            }
        }
    }
    // At the first step all have the same chains: the means that are followed differ by ⟨x⟩₊ − ⟨x⟩₋, the plain bias step.
    let [data, model, both] = &followed[..] else { panic!() };
    for (at, difference) in data.1.iter().enumerate() {
        assert!((data.0[at] - model.0[at] - difference).abs() < 1e-5);
        assert!((both.0[at] - 0.5 * (data.0[at] + model.0[at])).abs() < 1e-5);
    }
    assert!(data.1.iter().any(|difference| difference.abs() > 0.01));
    assert_eq!(model.2, [0.5; 6]);
}

/// Each phase is that of its own estimator.
#[test]
fn the_clamped_phase_may_have_another_estimator() {
    let names = ["ucd-lmi", "ucd-lmi-gibbs", "ucd-gibbs", "ucd-lmi-mix-0.3", "cd-3", "pcd", "mean-field"];
    let first = |free: &str, clamped: Option<&str>| {
        let clamped_estimator = clamped.map(|name| name.parse().unwrap());
        let config = TrainConfig { clamped_estimator, ..small(free.parse().unwrap()) };
        Trainer::new(config, data(), Geometry::default()).unwrap().update().unwrap()
    };
    let alone = names.map(|name| first(name, None));
    for (free, of_free) in names.iter().zip(&alone) {
        for (clamped, of_clamped) in names.iter().zip(&alone).filter(|(name, _)| **name != "pcd") {
            if *free == "mean-field" {
                continue;
            }
            let found = first(free, Some(clamped));
            assert_eq!((found.positive, found.negative), (of_clamped.positive, of_free.negative), "{free} {clamped}");
        }
    }
    assert!(alone.windows(2).all(|two| two[0].positive != two[1].positive));
    assert!(alone[..6].windows(2).all(|two| two[0].negative != two[1].negative));
}

/// Persistent chains belong to a run of their estimator: one that is changed to it begins them, one that is changed from
/// it forgets them.
#[test]
fn persistent_chains_come_and_go_with_their_estimator() {
    let change = |trainer: &Trainer, estimator| {
        let mut checkpoint = trainer.checkpoint();
        checkpoint.training.as_mut().unwrap().config.estimator = estimator;
        Trainer::resume(checkpoint, data()).unwrap()
    };
    let chains = |trainer: &Trainer| trainer.checkpoint().training.unwrap().chains;
    let mut lmi = Trainer::new(small(Estimator::UCD_LMI), data(), Geometry::default()).unwrap();
    (0..3).for_each(|_| _ = lmi.update().unwrap());
    assert_eq!(chains(&lmi), None);
    let mut pcd = change(&lmi, Estimator::Pcd { k: 1 });
    let shape = *pcd.parameters().shape();
    assert_eq!(chains(&pcd), Some(PersistentChains::new(&shape, 3, 3, 40)));
    pcd.update().unwrap();
    let moved = chains(&pcd);
    assert_ne!(moved, Some(PersistentChains::new(&shape, 3, 3, 40)));
    assert_eq!(chains(&change(&pcd, Estimator::Pcd { k: 5 })), moved);
    assert_eq!(chains(&change(&pcd, Estimator::MeanField { k: 1 })), moved);
    assert_eq!(chains(&change(&pcd, Estimator::Cd { k: 1 })), None);

    let mut other = pcd.checkpoint();
    other.training.as_mut().unwrap().config.batch = 41;
    let error = Trainer::resume(other, data()).unwrap_err();
    assert_eq!(error, TrainError::Resume("the persistent chains do not fit the batch and the layers"));
}

#[test]
fn threads_do_not_change_the_result() {
    // Wide enough for several tasks in every loop, and for two waves of chains.
    let mut rng = stream(1, 1);
    let rows = (0..90).flat_map(|_| [rng.next_u32(), rng.next_u32() & 0xFF]).collect();
    let data = BitMatrix::from_words(90, 40, rows).unwrap();
    let config = TrainConfig { hidden: vec![70, 50, 33], batch: 90, ..TrainConfig::default() };
    let bits = TrainConfig { marginalise: false, chain_weights: WeightKind::I8, ..config.clone() };
    let train = |config: &TrainConfig, threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut trainer = Trainer::new(config.clone(), data.clone(), Geometry::default()).unwrap();
            (0..4).for_each(|_| _ = trainer.update().unwrap());
            trainer.checkpoint().parameters
        })
    };
    let with = |name: &str| TrainConfig { estimator: name.parse().unwrap(), ..config.clone() };
    for config in
        [with("cd-1"), with("pcd"), with("mean-field"), with("ucd-lmi-gibbs"), with("ucd-lmi-mix-0.9"), config, bits]
    {
        let one = train(&config, 1);
        assert_eq!(one, train(&config, 2));
        assert_eq!(one, train(&config, 5));
    }
}

/// The statistics of both phases, as bits and as conditional means, have the exact expectation: the test of
/// marginalisation, of waves, and of leaving the offsets out of the batch.
#[test]
fn statistics_are_unbiased() {
    let widths = [3, 3, 3];
    let mut rng = stream(11, 0);
    let weights = vec![normals(9, 1.0, &mut rng), normals(9, 1.0, &mut rng)];
    let biases = (0..3).map(|_| normals(3, 1.0, &mut rng)).collect();
    let parameters = Parameters::new(weights, biases, Geometry::default()).unwrap();
    let model = parameters.dbm().unwrap();
    let weights = ChainWeights::new(&model);
    let scores = scores(&parameters);
    let visible = BitMatrix::from_words(1, 3, vec![0b101]).unwrap();
    for (estimator, phase, marginalise) in [
        (Estimator::UCD_LMI, Phase::Negative, true),
        (Estimator::UCD_LMI, Phase::Negative, false),
        (Estimator::UCD_LMI, Phase::Positive, true),
        (Estimator::ucd(StartPolicy::LocalMode, TransitionPolicy::Gibbs), Phase::Negative, true),
        ("ucd-mix-0.3".parse().unwrap(), Phase::Negative, true),
        ("ucd-lmi-mix-0.5".parse().unwrap(), Phase::Positive, false),
    ] {
        let mut exact = vec![0.0; 9 + 18];
        let mut z = 0.0;
        for (index, score) in scores.iter().enumerate() {
            if phase == Phase::Positive && index & 7 != 0b101 {
                continue;
            }
            let (x, p) = (bits(index, &widths), score.exp());
            z += p;
            let means = x.iter().flatten().copied();
            let pairs = (0..2).flat_map(|l| {
                // Even-major: rows of layer 0, then rows of layer 2.
                let (even, odd) = (&x[2 * l], &x[1]);
                even.iter().flat_map(move |a| odd.iter().map(move |b| a * b))
            });
            exact.iter_mut().zip(means.chain(pairs)).for_each(|(sum, value)| *sum += p * value);
        }
        let (batches, rows) = (60, [0; 500]);
        let (mut buffers, mut moments) = (PhaseBuffers::new(model.shape()), Moments::new(model.shape()));
        let mut sums = vec![(0.0, 0.0); exact.len()];
        for step in 0..batches {
            let plan = PhasePlan { estimator, phase, marginalise, seed: 5, step, rows: &rows, timing: None };
            let summary = buffers.run(&weights, &plan, &visible, None, &mut moments);
            assert_eq!((summary.chains, summary.cap_hits), (500, 0));
            for (sum, value) in sums.iter_mut().zip(averages(&moments)) {
                sum.0 += f64::from(value);
                sum.1 += f64::from(value).powi(2);
            }
        }
        let n = batches as f64;
        for (at, ((sum, squares), exact)) in sums.into_iter().zip(exact).enumerate() {
            let mean = sum / n;
            let standard_error = ((squares / n - mean * mean).max(0.0) / (n - 1.0)).sqrt();
            // 27 numbers × 6 settings: 5 standard errors of t with 59 degrees would be passed by chance once in 1,000
            // runs of the test; the seeds are fixed. The table of the sigmoid is off by up to 1.3e-5.
            let allowed = 5.0 * standard_error + 2e-5;
            assert!((mean - exact / z).abs() < allowed, "{estimator} {phase:?} {at}: {mean} {} {allowed}", exact / z);
        }
    }
}

/// The variance that a batch tells of itself, from the spread of its chains, is that of batches: whatever an estimator's
/// chains show.
#[test]
fn the_variance_over_chains_is_that_of_batches() {
    let lmi_gibbs = Estimator::ucd(StartPolicy::LocalMode, TransitionPolicy::Gibbs);
    let mut rng = stream(12, 0);
    let weights = vec![normals(9, 1.0, &mut rng), normals(9, 1.0, &mut rng)];
    let biases = (0..3).map(|_| normals(3, 1.0, &mut rng)).collect();
    let parameters = Parameters::new(weights, biases, Geometry::default()).unwrap();
    let weights = ChainWeights::new(&parameters.dbm().unwrap());
    let shape = *parameters.shape();
    let visible = BitMatrix::from_words(1, 3, vec![0b101]).unwrap();
    for (estimator, marginalise) in [
        (Estimator::UCD_LMI, true),
        (Estimator::UCD_LMI, false),
        (lmi_gibbs.with_horizon(Horizon { k: 1, m: 3, ..Horizon::default() }), true),
        (Estimator::Cd { k: 1 }, false),
    ] {
        let (batches, rows) = (1500, [0; 20]);
        let (mut buffers, mut moments) = (PhaseBuffers::new(&shape), Moments::new(&shape));
        let (mut pairs, mut told) = (Vec::new(), 0.0);
        for step in 0..batches {
            let phase = Phase::Negative;
            let plan = PhasePlan { estimator, phase, marginalise, seed: 6, step, rows: &rows, timing: None };
            moments.show_to(Some(Projections::new(&shape, &[], stream(step, 1))));
            let summary = buffers.run(&weights, &plan, &visible, None, &mut moments);
            assert_eq!((summary.chains, summary.cap_hits), (20, 0));
            told += moments.projections().unwrap().variance().unwrap() / batches as f64;
            pairs.push((1..3).flat_map(|l| moments.pairs(l - 1)).map(f64::from).collect::<Vec<_>>());
        }
        let n = batches as f64;
        let means: Vec<f64> = (0..18).map(|at| pairs.iter().map(|pairs| pairs[at]).sum::<f64>() / n).collect();
        let distance = |pairs: &Vec<f64>| pairs.iter().zip(&means).map(|(x, m)| (x - m).powi(2)).sum::<f64>();
        let distances: Vec<f64> = pairs.iter().map(distance).collect();
        let variance = distances.iter().sum::<f64>() / (n - 1.0);
        let error = (distances.iter().map(|d| (d - variance).powi(2)).sum::<f64>() / n / n).sqrt();
        // What the batches tell is the mean of as many numbers that spread no more; four numbers.
        let allowed = 4.5 * std::f64::consts::SQRT_2 * error;
        assert!(
            (told - variance).abs() < allowed && allowed < 0.4 * variance,
            "{estimator}: {told} {variance} {allowed}"
        );
    }
}

#[test]
fn every_so_manieth_update_is_diagnosed() {
    let config = TrainConfig { centering: None, ..small("ucd-lmi-gibbs".parse().unwrap()) };
    let mut trainer = Trainer::new(config, data(), Geometry::default()).unwrap();
    for step in 1..=2 * diagnostics::EVERY + 1 {
        let before = trainer.parameters().clone();
        let report = trainer.update().unwrap();
        for phase in [report.positive, report.negative] {
            assert_eq!(phase.tau_histogram.bins().iter().sum::<u32>(), 40);
            assert_eq!(phase.tau_histogram.bins().len() as u32, phase.max_tau.unwrap().ilog2() + 1);
        }
        let Some(found) = report.diagnostics else {
            assert_ne!(step % diagnostics::EVERY, 1);
            continue;
        };
        assert_eq!(step % diagnostics::EVERY, 1);
        // The step is the rate times the gradient, whose product with the parameters is minus the gap.
        let numbers = |parameters: &Parameters| -> Vec<f64> {
            let all = parameters.weights().iter().chain(parameters.biases());
            all.flatten().map(|&x| f64::from(x)).collect()
        };
        let moved = numbers(&before).into_iter().zip(numbers(trainer.parameters()));
        let gap = -moved.map(|(a, b)| a * (b - a)).sum::<f64>() / f64::from(report.learning_rate);
        assert!((found.energy_gap - gap).abs() < 1e-3 && gap != 0.0, "{} {gap}", found.energy_gap);
        assert!(found.noise().unwrap() > 0.0);
        // The first batches tell nothing of the hidden units' shares.
        assert_eq!(found.dead.is_some(), step == 2 * diagnostics::EVERY + 1, "{step}");
        assert!(found.dead.zip(found.saturated).is_none_or(|(dead, saturated)| dead + saturated < 1.0));
    }
}

/// The two phases of CD-K share their rows: the parts of their noise do not add up, so none is told. Those of mean fields
/// and chains do.
#[test]
fn noise_is_told_where_the_phases_are_independent() {
    for (name, told) in [("cd-1", false), ("cd-3", false), ("pcd", true), ("mean-field", true), ("ucd-lmi", true)] {
        for hidden in [vec![5], vec![4, 3], vec![3, 3, 2]] {
            let config = TrainConfig { hidden, ..small(name.parse().unwrap()) };
            let mut trainer = Trainer::new(config, data(), Geometry::default()).unwrap();
            let found = trainer.update().unwrap().diagnostics.unwrap();
            assert!(found.variance_positive.is_some_and(|variance| variance > 0.0), "{name}");
            assert_eq!((found.variance_negative.is_some(), found.noise().is_some()), (told, told), "{name}");
        }
    }
}

#[test]
fn chains_that_do_not_meet_are_counted_and_left_out() {
    let horizon = |cap| Horizon { cap, ..Horizon::default() };
    let estimator = Estimator::ucd(StartPolicy::Random, TransitionPolicy::Gibbs).with_second(SecondStart::Independent);
    let mut trainer = Trainer::new(small(estimator.with_horizon(horizon(2))), data(), Geometry::default()).unwrap();
    let report = trainer.update().unwrap();
    assert_eq!(report.negative.chains + report.negative.cap_hits, 40);
    assert!(report.negative.chains > 0 && report.negative.cap_hits > 0, "{report:?}");
    assert!(report.negative.max_tau.unwrap() <= 2);

    let mut trainer = Trainer::new(small(estimator.with_horizon(horizon(0))), data(), Geometry::default()).unwrap();
    let before = trainer.checkpoint();
    let error = trainer.update().unwrap_err();
    assert_eq!(error, TrainError::NoEstimate { step: 1, phase: "positive", chains: 40 });
    assert_eq!(trainer.checkpoint(), before);
}

#[test]
fn what_cannot_be_trained_or_resumed_is_refused() {
    let config = small(Estimator::UCD_LMI);
    let new =
        |config: TrainConfig, data: BitMatrix, geometry| Trainer::new(config, data, geometry).map(|_| ()).unwrap_err();
    let none = Geometry::default();
    assert_eq!(new(config.clone(), BitMatrix::zeros(0, 6), none), TrainError::NoData);
    let picture = Geometry { width: 4, height: 2, channels: 1, bits: 1 };
    assert_eq!(new(config.clone(), data(), picture), TrainError::Geometry { geometry: 8, data: 6 });
    assert!(matches!(new(TrainConfig { batch: 0, ..config.clone() }, data(), none), TrainError::Config(_)));
    assert!(matches!(new(TrainConfig { hidden: vec![1; 9], ..config.clone() }, data(), none), TrainError::Shape(_)));

    let checkpoint = Trainer::new(config, data(), none).unwrap().checkpoint();
    let resume = |checkpoint: Checkpoint, data: BitMatrix| Trainer::resume(checkpoint, data).map(|_| ()).unwrap_err();
    let mut others = data();
    others.set(2, 0, true);
    assert!(matches!(resume(checkpoint.clone(), others), TrainError::OtherData { .. }));
    assert!(matches!(resume(Checkpoint { training: None, ..checkpoint.clone() }, data()), TrainError::Resume(_)));
    let mut short = checkpoint.clone();
    short.training.as_mut().unwrap().offsets.pop();
    assert!(matches!(resume(short, data()), TrainError::Resume(_)));
    let mut unaveraged = checkpoint.clone();
    unaveraged.training.as_mut().unwrap().config.average = Some(0.1);
    assert!(matches!(resume(unaveraged, data()), TrainError::Resume(_)));
    let mut still = checkpoint.clone();
    still.training.as_mut().unwrap().config.momentum = 0.5;
    assert!(matches!(resume(still, data()), TrainError::Resume(_)));
    let mut wider = checkpoint;
    wider.training.as_mut().unwrap().config.hidden = vec![4, 4];
    assert!(matches!(resume(wider, data()), TrainError::Resume(_)));
}
