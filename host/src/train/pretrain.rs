//! A start that is learnt one connection after the other: the classical way to train a deep Boltzmann machine
//! (Salakhutdinov, Hinton, AISTATS 2009, section 3.1), for comparison with training from random weights.
//!
//! Each connection is a restricted Boltzmann machine, trained by CD-1 on what the one below makes of the data: a sample of
//! its hidden units for each row, drawn once. In the deep machine a hidden layer has two neighbours, and in the stack only
//! one, so that this one counts twice:
//!
//! | machine | hidden units see | visible units see | its part of the deep machine |
//! |---|---|---|---|
//! | lowest | 2 W | W | W |
//! | between | W | W | W / 2 |
//! | highest | W | 2 W | W |
//! | the only one | W | W | W |
//!
//! A hidden layer's log odds in the deep machine are then the mean of those that the machines below and above it give it;
//! so its biases are the mean of both machines' too.
//!
//! Chains run on float weights here, whatever the deep machine's run on. Nothing is saved before the first update of the
//! deep machine: who stops the pretraining begins it again.

use std::{ops::ControlFlow, time::Instant};

use bitboltz_core::{
    conditional::Block,
    fixed::Scale,
    image::Geometry,
    rng::{GOLDEN, mix},
    state::clamp_layers,
    weights::WeightKind,
};

use super::{
    config::{Budget, TrainConfig},
    optimiser::Schedule,
    seeds::{Purpose, stream_for},
    trainer::{TrainError, Trainer, UpdateReport},
};
use crate::{
    batch::{ChainWeights, Chains, Clamping, in_blocks},
    bits::BitMatrix,
    checkpoint::Checkpoint,
    estimator::Estimator,
    parameters::Parameters,
};

/// Updates of each restricted machine, unless told otherwise.
pub const UPDATES: u64 = 2_000;

/// What a run begins with that was pretrained.
#[derive(Clone, Debug)]
pub struct Start {
    /// The stack as a deep machine.
    pub parameters: Parameters,
    /// What its first gradient is centered by, one vector for each layer; empty without centering.
    pub offsets: Vec<Vec<f32>>,
    /// Wall time that it took: it counts as time of the run.
    pub seconds: f64,
}

/// Trains a stack for a run with these settings, with so many updates of each machine. `updated` hears of each update, and
/// may stop the work: then there is no start.
///
/// # Errors
/// Settings or data that cannot be trained on; [`TrainError::Pretrain`].
pub fn greedy(
    config: &TrainConfig,
    updates: u64,
    data: &BitMatrix,
    geometry: Geometry,
    updated: &mut dyn FnMut(&UpdateReport) -> ControlFlow<()>,
) -> Result<Option<Start>, TrainError> {
    Trainer::check(config, data, geometry)?;
    let begin = Instant::now();
    let count = config.hidden.len();
    let mut machines = Vec::new();
    let mut offsets = Vec::new();
    let mut below = data.clone();
    for machine in 0..count {
        let named = |source| TrainError::Pretrain { machine: machine + 1, source: Box::new(source) };
        let factors = factors(machine, count);
        let mut trainer = Trainer::scaled(settings(config, machine, updates), below, factors).map_err(named)?;
        for _ in 0..updates {
            if updated(&trainer.update().map_err(named)?).is_break() {
                return Ok(None);
            }
        }
        let Checkpoint { parameters, training } = trainer.checkpoint();
        below = if machine + 1 < count {
            hidden_samples(&parameters, factors[0], trainer.data(), trainer.config().seed)
        } else {
            BitMatrix::zeros(0, 0)
        };
        // The lowest machine's visible layer is that of the deep one; that of another is a hidden layer that is there already.
        let known = usize::from(machine > 0);
        offsets.extend(training.into_iter().flat_map(|training| training.offsets.into_iter().skip(known)));
        machines.push(parameters);
    }
    let parameters = compose(&machines, geometry);
    Ok(Some(Start { parameters, offsets, seconds: begin.elapsed().as_secs_f64() }))
}

/// What the hidden and the visible units of a machine of a stack see of the weights.
fn factors(machine: usize, count: usize) -> [f32; 2] {
    match (machine, count) {
        (_, 1) => [1.0, 1.0],
        (0, _) => [2.0, 1.0],
        _ if machine + 1 == count => [1.0, 2.0],
        _ => [1.0, 1.0],
    }
}

/// The settings of a machine of the stack of a run, with so many updates. A rate that falls to zero over the run falls to
/// zero over these.
fn settings(config: &TrainConfig, machine: usize, updates: u64) -> TrainConfig {
    let schedule = match config.schedule {
        Schedule::Sqrt => Schedule::Sqrt,
        Schedule::Cooldown { .. } => Schedule::Cooldown { steps: updates },
    };
    TrainConfig {
        data_set: None,
        hidden: vec![config.hidden[machine]],
        estimator: Estimator::Cd { k: 1 },
        clamped_estimator: None,
        chain_weights: WeightKind::F32,
        bias_from_data: config.bias_from_data && machine == 0,
        pretrain: None,
        seed: mix(config.seed.wrapping_add(GOLDEN.wrapping_mul(machine as u64 + 1))),
        schedule,
        budget: Budget { steps: Some(updates), minutes: None },
        ..config.clone()
    }
}

/// A sample of the hidden units for each row of visible ones, which they see `factor` times.
fn hidden_samples(parameters: &Parameters, factor: f32, data: &BitMatrix, seed: u64) -> BitMatrix {
    let shape = *parameters.shape();
    let matrix: Vec<f32> = parameters.weights()[0].iter().map(|weight| factor * weight).collect();
    let mut weights = ChainWeights::zeros(&shape);
    weights.set(std::iter::once((matrix.as_slice(), 0)), parameters.biases(), Scale::ONE);
    let mut mask = vec![0; shape.words()];
    clamp_layers(&shape, &mut mask, |layer| layer == 0);
    let blocks = in_blocks(
        data.rows(),
        || Chains::new(&shape),
        |chains, range| {
            let row = |chain: usize| data.row(range.start + chain);
            let streams = range.clone().map(|row| stream_for(seed, Purpose::Pretraining, 0, row as u64));
            chains.reset(&weights, streams, Some(&row), Clamping::Same(&mask));
            let all: Vec<u32> = (0..range.len() as u32).collect();
            chains.gibbs(&weights, Block::Odd, &all);
            let hidden = |chain| chains.words(chain)[shape.word_range(1)].to_vec();
            (0..range.len()).flat_map(hidden).collect::<Vec<u32>>()
        },
    );
    BitMatrix::from_words(data.rows(), shape.width(1), blocks.concat()).expect("states without padding")
}

/// The deep machine of a stack.
fn compose(machines: &[Parameters], geometry: Geometry) -> Parameters {
    let count = machines.len();
    let weights = machines.iter().enumerate().map(|(machine, parameters)| {
        let factor = if (1..count - 1).contains(&machine) { 0.5 } else { 1.0 };
        parameters.weights()[0].iter().map(|weight| factor * weight).collect()
    });
    let biases = (0..=count).map(|layer| {
        let below = layer.checked_sub(1).map(|machine| &machines[machine].biases()[1]);
        let above = machines.get(layer).map(|machine| &machine.biases()[0]);
        match (below, above) {
            (Some(below), Some(above)) => below.iter().zip(above).map(|(b, a)| 0.5 * (b + a)).collect(),
            (Some(one), None) | (None, Some(one)) => one.clone(),
            (None, None) => Vec::new(),
        }
    });
    Parameters::of_shape(weights.collect(), biases.collect(), geometry)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        dataset::{self, Encoding, Split},
        eval::random::random_parameters,
        train::{
            config::{CenteringOffsets, Init, Pretrain},
            rows::bit_means,
        },
    };

    fn go(_: &UpdateReport) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn data() -> BitMatrix {
        BitMatrix::from_words(4, 6, vec![0b111, 0b111_000, 0b101_010, 0b111]).unwrap()
    }

    #[test]
    fn one_hidden_layer_is_plain_training() {
        let config = TrainConfig { hidden: vec![5], batch: 10, ..TrainConfig::default() };
        let model = TrainConfig { centering_offsets: CenteringOffsets::Model, ..config.clone() };
        let falling = TrainConfig {
            schedule: Schedule::Cooldown { steps: 9 },
            budget: Budget { steps: Some(9), minutes: None },
            ..config.clone()
        };
        let starts = [config, model, falling].map(|config| {
            let start = greedy(&config, 30, &data(), Geometry::default(), &mut go).unwrap().unwrap();
            let mut plain = Trainer::new(settings(&config, 0, 30), data(), Geometry::default()).unwrap();
            (0..30).for_each(|_| _ = plain.update().unwrap());
            assert_eq!(&start.parameters, plain.parameters());
            assert_eq!(start.offsets, plain.checkpoint().training.unwrap().offsets);
            start
        });
        assert!(starts[1..].iter().all(|other| other.parameters != starts[0].parameters));
    }

    /// The offsets of a deep machine are those of the machine that each of its layers was learnt in first.
    #[test]
    fn offsets_follow_the_means_that_they_are_named_after() {
        let data = BitMatrix::from_words(2, 6, vec![0b000_111, 0b000_111]).unwrap();
        for (centering_offsets, near) in [(CenteringOffsets::Data, true), (CenteringOffsets::Model, false)] {
            let config = TrainConfig {
                hidden: vec![5, 4, 3],
                batch: 10,
                // So small that the model's means stay at a half.
                learning_rate: 1e-6,
                init: Init::Normal { std: 0.0 },
                centering: Some(0.1),
                centering_offsets,
                ..TrainConfig::default()
            };
            let start = greedy(&config, 100, &data, Geometry::default(), &mut go).unwrap().unwrap();
            assert!(start.offsets.iter().map(Vec::len).eq([6, 5, 4, 3]));
            let far = start.offsets[0].iter().zip(bit_means(&data)).map(|(offset, mean)| (offset - mean).abs());
            assert!(far.clone().all(|far| (far < 0.01) == near), "{centering_offsets:?} {:?}", start.offsets[0]);
        }
    }

    #[test]
    fn machines_are_put_together() {
        let machine = |weights: &[f32], visible: &[f32], hidden: &[f32]| {
            let biases = vec![visible.to_vec(), hidden.to_vec()];
            Parameters::new(vec![weights.to_vec()], biases, Geometry::default()).unwrap()
        };
        let lowest = machine(&[1.0, 2.0, 3.0, 4.0], &[0.1, 0.2], &[1.0, 2.0]);
        let between = machine(&[5.0, 6.0], &[3.0, 5.0], &[7.0]);
        let highest = machine(&[8.0], &[9.0], &[-1.0]);
        let geometry = Geometry { width: 2, height: 1, channels: 1, bits: 1 };
        let deep = compose(&[lowest.clone(), between, highest.clone()], geometry);
        assert_eq!(deep.weights(), [vec![1.0, 2.0, 3.0, 4.0], vec![2.5, 3.0], vec![8.0]]);
        assert_eq!(deep.biases(), [vec![0.1, 0.2], vec![2.0, 3.5], vec![8.0], vec![-1.0]]);
        assert_eq!(deep.geometry(), geometry);
        assert_eq!(compose(std::slice::from_ref(&lowest), Geometry::default()), lowest);
        let two = compose(&[lowest.clone(), machine(&[5.0, 6.0], &[3.0, 5.0], &[7.0])], geometry);
        assert_eq!(two.weights(), [vec![1.0, 2.0, 3.0, 4.0], vec![5.0, 6.0]]);
        assert_eq!(two.biases()[1..], [vec![2.0, 3.5], vec![7.0]]);

        assert_eq!([0, 1, 2, 3].map(|machine| factors(machine, 4)), [[2.0, 1.0], [1.0; 2], [1.0; 2], [1.0, 2.0]]);
        assert_eq!((factors(0, 2), factors(1, 2), factors(0, 1)), ([2.0, 1.0], [1.0, 2.0], [1.0; 2]));
    }

    /// Means of many samples, against σ of the doubled field.
    #[test]
    fn samples_see_the_multiple() {
        let parameters = random_parameters(&[40, 33], 0.3, 0.5, 2).unwrap();
        let row = [0xDEAD_BEEF, 0x5A];
        let count = 4000;
        let data = BitMatrix::from_words(count, 40, row.repeat(count)).unwrap();
        let samples = hidden_samples(&parameters, 2.0, &data, 7);
        assert_eq!((samples.rows(), samples.cols()), (count, 33));
        for (unit, &mean) in bit_means(&samples).iter().enumerate() {
            let on = (0..40).filter(|&i| row[i / 32] >> (i % 32) & 1 == 1);
            let field =
                parameters.biases()[1][unit] + 2.0 * on.map(|i| parameters.weights()[0][i * 33 + unit]).sum::<f32>();
            let p = 1.0 / (1.0 + (-field).exp());
            // Five standard deviations, of 33 units.
            let allowed = 5.0 * (p * (1.0 - p) / count as f32).sqrt() + 1e-3;
            assert!((mean - p).abs() < allowed, "{unit}: {mean} {p}");
        }
    }

    #[test]
    fn digits_are_reconstructed_better_from_the_start() {
        let images = dataset::load("digits", Split::Train).unwrap();
        let digits = Encoding { bits: 1, threshold: 127 }.encode(&images).unwrap().subset(0..1000);
        let random = TrainConfig { hidden: vec![64, 32], batch: 50, seed: 1, ..TrainConfig::default() };
        let pretrain = Some(Pretrain::Greedy { updates: 150 });
        let error = |config: TrainConfig| {
            let mut trainer = Trainer::new(config, digits.clone(), Geometry::default()).unwrap();
            assert!(trainer.step() == 0);
            trainer.update().unwrap().positive.visible_error
        };
        let [random, pretrained] = [random.clone(), TrainConfig { pretrain, ..random }].map(error);
        // All pixels off are wrong in 13 %.
        assert!(random > 0.3 && pretrained < 0.13, "{random} {pretrained}");
    }

    #[test]
    fn it_may_be_stopped_and_its_errors_name_the_machine() {
        let config = TrainConfig { hidden: vec![5, 4], batch: 10, ..TrainConfig::default() };
        let mut heard = 0;
        let mut stop = |_: &UpdateReport| {
            heard += 1;
            if heard == 12 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        assert!(greedy(&config, 10, &data(), Geometry::default(), &mut stop).unwrap().is_none());
        assert_eq!(heard, 12);
        let config = TrainConfig { learning_rate: 1e39, ..config };
        let error = greedy(&config, 100, &data(), Geometry::default(), &mut go).unwrap_err();
        assert!(matches!(error, TrainError::Pretrain { machine: 1, .. }), "{error}");
        assert!(error.to_string().contains("diverged"), "{error}");
    }
}
