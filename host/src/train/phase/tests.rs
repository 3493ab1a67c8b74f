//! Blocks of chains against the core's estimator, one chain at a time; and persistent chains against enumeration.

use bitboltz_core::{
    bits::word_mask,
    image::Geometry,
    rng::{Rng as _, stream},
    state::Clamp,
};

use super::*;
use crate::{
    batch::testing::parameters,
    chain::PairBuffer,
    parameters::Parameters,
    quantise::{IntegerWeight, Quantised},
    train::{
        orthogonal::normals,
        statistics::ChainRecord,
        tests::{averages, bits, scores},
    },
};

/// What the chains of a phase give, one after the other through the core.
struct Expected {
    moments: Moments,
    chains: usize,
    cap_hits: usize,
    sweeps: u32,
    taus: Vec<u32>,
    /// The last state that each chain showed.
    states: Vec<u32>,
}

fn one_by_one<W: TileWeight>(
    weights: &ChainWeights<W>,
    plan: &PhasePlan<'_>,
    data: &BitMatrix,
    persistent: Option<&PersistentChains>,
) -> Expected {
    let model = weights.dbm().unwrap();
    let shape = *model.shape();
    let (mut pair, mut records) = (PairBuffer::new(&shape), Vec::new());
    let mask = if plan.phase == Phase::Positive { visible_mask(&shape) } else { vec![0; shape.words()] };
    let clamp = Clamp::new(&shape, &mask).unwrap();
    let purpose = if plan.phase == Phase::Positive { Purpose::Positive } else { Purpose::Negative };
    let mut moments = Moments::new(&shape);
    let (mut cap_hits, mut sweeps, mut taus, mut states) = (0, 0, Vec::new(), Vec::new());
    for (chain, &row) in plan.rows.iter().enumerate() {
        let mut rng = stream_for(plan.seed, purpose, plan.step, chain as u64);
        let visible = match persistent {
            Some(chains) if plan.phase == Phase::Negative => &chains.words()[chain * shape.words()..][..shape.words()],
            _ => data.row(row),
        };
        let (mut record, mut state) = (ChainRecord::default(), Vec::new());
        let report = plan.estimator.run(&model, plan.phase, visible, &clamp, &mut pair, &mut rng, |x, weight| {
            record.push(&model, x, weight as f32, plan.marginalise);
            state = x.words().to_vec();
        });
        match report {
            Ok(report) => {
                sweeps += report.search_sweeps;
                taus.extend(report.tau);
                states.extend(state);
            }
            Err(_) => {
                cap_hits += 1;
                record.clear();
            }
        }
        records.push(record);
    }
    records.chunks(wave::WAVE).for_each(|records| moments.add(records));
    let chains = records.len() - cap_hits;
    moments.finish(chains);
    Expected { moments, chains, cap_hits, sweeps, taus, states }
}

/// Random rows of this width.
fn rows(count: usize, width: usize) -> BitMatrix {
    let mut rng = stream(8, 0);
    let words = width.div_ceil(WORD_BITS);
    let mut random = |at: usize| rng.next_u32() & word_mask(width, at % words);
    BitMatrix::from_words(count, width, (0..count * words).map(&mut random).collect()).unwrap()
}

/// Both phases of two updates, both ways. Sums of bits are exact, so they are equal, and those of coupled chains are made
/// in the same order; the conditional means of others are summed in another order. Returns the meeting times and the
/// pairs that did not meet.
fn compare<W: IntegerWeight>(
    parameters: &Parameters,
    estimator: Estimator,
    count: usize,
    marginalise: bool,
) -> (Vec<u32>, usize) {
    let coupled = matches!(estimator, Estimator::Ucd { transition: TransitionPolicy::Gibbs, .. });
    let mut met = (Vec::new(), 0);
    let quantised = Quantised::<W>::new(parameters).unwrap();
    let model = quantised.dbm().unwrap();
    let (shape, weights) = (*model.shape(), ChainWeights::new(&model));
    let data = rows(count, shape.width(0));
    let rows: Vec<usize> = (0..count).rev().collect();
    let (mut buffers, mut found) = (PhaseBuffers::new(&shape), Moments::new(&shape));
    let mut persistent = matches!(estimator, Estimator::Pcd { .. }).then(|| PersistentChains::new(&shape, 1, 9, count));
    for step in 9..11 {
        for phase in [Phase::Positive, Phase::Negative] {
            let name = format!("{estimator} {phase:?} {shape:?} {marginalise}");
            let plan = PhasePlan { estimator, phase, marginalise, seed: 1, step, rows: &rows, timing: None };
            let expected = one_by_one(&weights, &plan, &data, persistent.as_ref());
            let summary = buffers.run(&weights, &plan, &data, persistent.as_mut(), &mut found);
            assert_eq!((summary.chains, summary.cap_hits), (expected.chains, expected.cap_hits), "{name}");
            let mean = |sum: u32| f64::from(sum) / expected.chains.max(1) as f64;
            assert_eq!(summary.search_sweeps, mean(expected.sweeps), "{name}");
            assert_eq!(summary.max_tau, expected.taus.iter().max().copied(), "{name}");
            assert_eq!(summary.mean_tau, summary.max_tau.map(|_| mean(expected.taus.iter().sum())), "{name}");
            if let (Some(chains), Phase::Negative) = (&persistent, phase) {
                assert_eq!(chains.words(), expected.states, "{name}");
            }
            for (found, expected) in averages(&found).into_iter().zip(averages(&expected.moments)) {
                let near = |allowed| (found - expected).abs() < allowed;
                let close = if marginalise && !coupled { near(1e-5) } else { found == expected };
                assert!(close, "{name}: {found} {expected}");
            }
            met.0.extend(expected.taus);
            met.1 += expected.cap_hits;
        }
    }
    met
}

/// A model where proposals of Metropolis-Hastings are never accepted, and ones where they often are; of one, two and three
/// hidden layers.
const SHAPES: [&[usize]; 4] = [&[45, 40, 33], &[3, 2, 2], &[4, 3], &[20, 37, 9, 33]];

#[test]
fn first_states_are_those_of_the_core() {
    for widths in SHAPES {
        for marginalise in [false, true] {
            compare::<i16>(&parameters(widths, 5), Estimator::UCD_LMI, 70, marginalise);
        }
    }
}

#[test]
fn sweeps_are_those_of_the_core() {
    for widths in SHAPES {
        for marginalise in [false, true] {
            for name in ["cd-1", "cd-3", "pcd", "pcd-3"] {
                compare::<i16>(&parameters(widths, 5), name.parse().unwrap(), 70, marginalise);
                compare::<i8>(&parameters(widths, 6), name.parse().unwrap(), 1100, marginalise);
            }
        }
    }
}

#[test]
fn coupled_gibbs_chains_are_those_of_the_core() {
    let horizon = |k, m, lag, cap| Horizon { k, m, lag, cap };
    let mut times = Vec::new();
    for (at, widths) in SHAPES.into_iter().enumerate() {
        let (mut met, mut missed) = (Vec::new(), 0);
        for (n, horizon) in [
            horizon(0, 0, 1, 400),
            horizon(2, 7, 1, 400),
            horizon(0, 4, 3, 400),
            horizon(5, 5, 2, 400),
            horizon(1, 2, 7, 400),
            horizon(0, 0, 1, 2),
        ]
        .into_iter()
        .enumerate()
        {
            for start in [StartPolicy::LocalMode, StartPolicy::Random] {
                for second in [SecondStart::Same, SecondStart::Independent] {
                    let estimator = Estimator::ucd(start, TransitionPolicy::Gibbs);
                    let estimator = estimator.with_second(second).with_horizon(horizon);
                    // More than a wave, and a part of one.
                    let (count, marginalise) = ([70, 9][(n + at) % 2], n % 2 == 0);
                    let (taus, caps) = if start == StartPolicy::Random {
                        compare::<i8>(&parameters(widths, 6), estimator, count, marginalise)
                    } else {
                        compare::<i16>(&parameters(widths, 5), estimator, count, marginalise)
                    };
                    met.extend(taus);
                    missed += caps;
                }
            }
        }
        assert!(!met.is_empty() && missed > 0, "{widths:?}: nothing to compare");
        times.extend(met);
    }
    assert!(times.len() > 1000 && times.iter().max() > Some(&30));
}

/// Weights that round: fields differ in their last bits, and with these seeds no decision does.
#[test]
fn coupled_gibbs_chains_of_floats_are_close() {
    let mut parameters = parameters(&[45, 40, 33], 5);
    let (matrices, biases) = parameters.tensors_mut();
    matrices.iter_mut().chain(biases).flatten().for_each(|number| *number *= 0.773_197);
    let model = parameters.dbm().unwrap();
    let (shape, weights) = (*model.shape(), ChainWeights::new(&model));
    let (data, rows) = (rows(70, 45), (0..70).collect::<Vec<_>>());
    let estimator = Estimator::ucd(StartPolicy::LocalMode, TransitionPolicy::Gibbs);
    let estimator = estimator.with_horizon(Horizon { k: 1, m: 3, lag: 1, cap: 1000 });
    for phase in [Phase::Positive, Phase::Negative] {
        let plan = PhasePlan { estimator, phase, marginalise: true, seed: 1, step: 2, rows: &rows, timing: None };
        let expected = one_by_one(&weights, &plan, &data, None);
        let mut found = Moments::new(&shape);
        let summary = PhaseBuffers::new(&shape).run(&weights, &plan, &data, None, &mut found);
        assert_eq!((summary.chains, summary.max_tau), (expected.chains, expected.taus.iter().max().copied()));
        for (found, expected) in averages(&found).into_iter().zip(averages(&expected.moments)) {
            assert!((found - expected).abs() < 1e-4, "{phase:?}: {found} {expected}");
        }
    }
}

/// Persistent chains leave the model's distribution as it is, so that under fixed weights their averages become the
/// expectations, which enumeration gives.
#[test]
fn persistent_chains_have_the_models_averages() {
    const RUNS: u64 = 60;
    for (widths, k) in [(&[3, 3, 3][..], 1), (&[4, 5], 1), (&[3, 2, 2, 2], 2)] {
        let mut rng = stream(12, 0);
        let weights = widths.windows(2).map(|pair| normals(pair[0] * pair[1], 1.0, &mut rng)).collect();
        let biases = widths.iter().map(|&width| normals(width, 1.0, &mut rng)).collect();
        let parameters = Parameters::new(weights, biases, Geometry::default()).unwrap();
        let model = parameters.dbm().unwrap();
        let (shape, weights) = (*model.shape(), ChainWeights::new(&model));

        // The order of `averages`: unit means, then pairs, even layer first.
        let (mut exact, mut z) = (Vec::new(), 0.0);
        for (index, score) in scores(&parameters).iter().enumerate() {
            let x = bits(index, widths);
            let pairs = (1..widths.len()).flat_map(|l| {
                let (even, odd) = if l % 2 == 1 { (&x[l - 1], &x[l]) } else { (&x[l], &x[l - 1]) };
                even.iter().flat_map(move |&even| odd.iter().map(move |&odd| even * odd))
            });
            let values: Vec<f64> = x.iter().flatten().copied().chain(pairs).collect();
            exact.resize(values.len(), 0.0);
            exact.iter_mut().zip(values).for_each(|(sum, value)| *sum += score.exp() * value);
            z += score.exp();
        }

        let (data, rows) = (rows(1, widths[0]), [0; 50]);
        let (mut buffers, mut moments) = (PhaseBuffers::new(&shape), Moments::new(&shape));
        let mut sums = vec![(0.0, 0.0); exact.len()];
        for seed in 0..RUNS {
            let mut chains = PersistentChains::new(&shape, seed, 0, rows.len());
            let mut means = vec![0.0; exact.len()];
            // Far longer than these small machines remember.
            let (burn_in, steps) = (100, 50);
            for step in 0..burn_in + steps {
                let (estimator, phase) = (Estimator::Pcd { k }, Phase::Negative);
                let plan =
                    PhasePlan { estimator, phase, marginalise: seed % 2 == 0, seed, step, rows: &rows, timing: None };
                buffers.run(&weights, &plan, &data, Some(&mut chains), &mut moments);
                if step >= burn_in {
                    means.iter_mut().zip(averages(&moments)).for_each(|(mean, x)| *mean += f64::from(x) / steps as f64);
                }
            }
            for (sum, mean) in sums.iter_mut().zip(means) {
                *sum = (sum.0 + mean, sum.1 + mean * mean);
            }
        }
        let n = RUNS as f64;
        for (at, ((sum, squares), exact)) in sums.into_iter().zip(exact).enumerate() {
            let mean = sum / n;
            let standard_error = ((squares / n - mean * mean).max(0.0) / (n - 1.0)).sqrt();
            // As in `statistics_are_unbiased`: the runs are independent, the seeds fixed.
            let allowed = 5.0 * standard_error + 2e-5;
            assert!((mean - exact / z).abs() < allowed, "{widths:?} {at}: {mean} {} {allowed}", exact / z);
        }
    }
}
