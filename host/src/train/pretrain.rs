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
//! Chains run on float weights here, whatever the deep machine's run on. A checkpoint holds the machines so far, and as its
//! model the deep machine that they make; a pretraining that goes on from it is what it would have been.

use std::time::Instant;

use bitboltz_core::{
    conditional::Block,
    fixed::Scale,
    image::Geometry,
    rng::{GOLDEN, mix},
    weights::WeightKind,
};

use super::{
    config::{Budget, Pretrain, TrainConfig},
    metrics::Mark,
    optimiser::Schedule,
    rows::Fingerprint,
    seeds::{Purpose, stream_for},
    trainer::{NO_STATE, TrainError, Trainer, UpdateReport, same},
};
use crate::{
    batch::{ChainWeights, Chains, Clamping, in_blocks},
    bits::BitMatrix,
    chain::visible_mask,
    checkpoint::{Checkpoint, TrainingState},
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

/// A stack that is being learnt for a run, a machine after the other.
#[derive(Debug)]
pub struct Pretraining {
    config: TrainConfig,
    data: BitMatrix,
    fingerprint: Fingerprint,
    geometry: Geometry,
    /// Updates of each machine.
    updates: u64,
    /// The machines that have been learnt, lowest first.
    learnt: Vec<Checkpoint>,
    /// The one above them, if it is not the highest.
    learning: Option<Trainer>,
    seconds: f64,
}

impl Pretraining {
    /// Begins one for a run with these settings.
    ///
    /// # Errors
    /// Settings or data that cannot be trained on; [`TrainError::Pretrain`].
    ///
    /// # Panics
    /// If the settings have no pretraining.
    pub fn begin(config: TrainConfig, data: BitMatrix, geometry: Geometry) -> Result<Self, TrainError> {
        Trainer::check(&config, &data, geometry)?;
        let Some(Pretrain::Greedy { updates }) = config.pretrain else { panic!("settings with a pretraining") };
        let fingerprint = Fingerprint::of(&data);
        let (learnt, learning) = (Vec::new(), None);
        let mut begun = Self { config, data, fingerprint, geometry, updates, learnt, learning, seconds: 0.0 };
        begun.begin_machine(begun.data.clone())?;
        Ok(begun)
    }

    /// Continues that of a checkpoint on the same rows: every later update is what it would have been.
    ///
    /// # Errors
    /// A checkpoint of a run that is not being pretrained; other data than it began with.
    pub fn resume(checkpoint: Checkpoint, data: BitMatrix) -> Result<Self, TrainError> {
        let Checkpoint { parameters, training } = checkpoint;
        let TrainingState { config, data: expected, seconds, stack, .. } = training.ok_or(NO_STATE)?;
        if config.pretrain.is_none() || stack.is_empty() {
            return Err(TrainError::Resume("the run is not being pretrained"));
        }
        config.check()?;
        same(expected, &data)?;
        let mut resumed = Self::begin(config, data, parameters.geometry())?;
        for machine in stack {
            resumed.take(machine)?;
        }
        Ok(Self { seconds, ..resumed })
    }

    /// Takes a machine as it was left in place of the one that has just begun.
    fn take(&mut self, machine: Checkpoint) -> Result<(), TrainError> {
        let begun =
            self.learning.take().ok_or(TrainError::Resume("its stack has more machines than the run layers"))?;
        if machine.training.as_ref().map(|training| &training.config) != Some(begun.config()) {
            return Err(TrainError::Resume("a machine of its stack has other settings than the run"));
        }
        let factors = factors(self.learnt.len(), self.config.hidden.len());
        let resumed = Trainer::resume_scaled(machine, begun.into_data(), factors);
        self.learning = Some(resumed.map_err(|source| self.named(source))?);
        self.go_on()
    }

    /// Whether all machines have been learnt.
    pub fn is_over(&self) -> bool {
        self.learning.is_none()
    }

    /// One update of the machine that is being learnt; after its last one the next begins.
    ///
    /// # Errors
    /// [`TrainError::Pretrain`].
    ///
    /// # Panics
    /// If it is over.
    pub fn update(&mut self) -> Result<UpdateReport, TrainError> {
        let begin = Instant::now();
        let machine = self.learnt.len();
        let updated = self.learning.as_mut().expect("a pretraining that is not over").update();
        let report = updated.map_err(|source| self.named(source))?;
        self.go_on()?;
        self.seconds += begin.elapsed().as_secs_f64();
        Ok(UpdateReport { pretraining: Some(machine + 1), total_seconds: self.seconds, ..report })
    }

    /// Begins the next machine, if this one has been learnt.
    fn go_on(&mut self) -> Result<(), TrainError> {
        let updates = self.updates;
        let Some(trainer) = self.learning.take_if(|trainer| trainer.step() >= updates) else { return Ok(()) };
        let [up, _] = factors(self.learnt.len(), self.config.hidden.len());
        let checkpoint = trainer.checkpoint();
        let below = (self.learnt.len() + 1 < self.config.hidden.len())
            .then(|| hidden_samples(&checkpoint.parameters, up, trainer.data(), trainer.config().seed));
        self.learnt.push(checkpoint);
        below.map_or(Ok(()), |below| self.begin_machine(below))
    }

    fn begin_machine(&mut self, below: BitMatrix) -> Result<(), TrainError> {
        let machine = self.learnt.len();
        let factors = factors(machine, self.config.hidden.len());
        let begun = Trainer::scaled(settings(&self.config, machine, self.updates), below, factors);
        self.learning = Some(begun.map_err(|source| self.named(source))?);
        Ok(())
    }

    /// An error of the machine that is being learnt.
    fn named(&self, source: TrainError) -> TrainError {
        TrainError::Pretrain { machine: self.learnt.len() + 1, source: Box::new(source) }
    }

    /// The settings of the run.
    pub fn config(&self) -> &TrainConfig {
        &self.config
    }

    /// How far it has come.
    pub fn mark(&self) -> Mark {
        match &self.learning {
            Some(trainer) => Mark::Pretraining { layer: self.learnt.len() + 1, step: trainer.step() },
            None => Mark::Pretraining { layer: self.learnt.len(), step: self.updates },
        }
    }

    /// Updates of each machine.
    pub fn updates(&self) -> u64 {
        self.updates
    }

    /// Updates that are left, of all machines.
    pub fn left(&self) -> u64 {
        let done = self.learnt.len() as u64 * self.updates + self.learning.as_ref().map_or(0, Trainer::step);
        self.config.hidden.len() as u64 * self.updates - done
    }

    /// Wall time of all updates so far.
    pub fn seconds(&self) -> f64 {
        self.seconds
    }

    /// Everything that is needed to go on from here.
    pub fn checkpoint(&self) -> Checkpoint {
        let mut stack = self.learnt.clone();
        stack.extend(self.learning.as_ref().map(Trainer::checkpoint));
        let machines: Vec<Parameters> = stack.iter().map(|machine| machine.parameters.clone()).collect();
        let training = TrainingState {
            config: self.config.clone(),
            data: self.fingerprint,
            step: 0,
            seconds: self.seconds,
            raw: None,
            velocity: None,
            offsets: Vec::new(),
            chains: None,
            stack,
        };
        Checkpoint { parameters: compose(&machines, self.geometry), training: Some(training) }
    }

    /// The run that begins with what was learnt.
    ///
    /// # Errors
    /// As [`Trainer::pretrained`].
    ///
    /// # Panics
    /// If it is not over.
    pub fn into_trainer(self) -> Result<Trainer, TrainError> {
        assert!(self.is_over(), "machines to be learnt");
        let start = self.start();
        Trainer::pretrained(self.config, self.data, self.geometry, start)
    }

    fn start(&self) -> Start {
        let machines: Vec<Parameters> = self.learnt.iter().map(|machine| machine.parameters.clone()).collect();
        let mut offsets = Vec::new();
        for (machine, checkpoint) in self.learnt.iter().enumerate() {
            // The lowest machine's visible layer is that of the deep one; that of another is a hidden layer that is there
            // already.
            let known = usize::from(machine > 0);
            offsets
                .extend(checkpoint.training.iter().flat_map(|training| training.offsets.iter().skip(known).cloned()));
        }
        Start { parameters: compose(&machines, self.geometry), offsets, seconds: self.seconds }
    }
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
    let mask = visible_mask(&shape);
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
            config::{CenteringOffsets, Init},
            rows::bit_means,
        },
    };

    /// What a run with these settings begins with, after so many updates of each machine.
    fn greedy(config: &TrainConfig, updates: u64, data: &BitMatrix) -> Result<Start, TrainError> {
        let config = TrainConfig { pretrain: Some(Pretrain::Greedy { updates }), ..config.clone() };
        let mut pretraining = Pretraining::begin(config, data.clone(), Geometry::default())?;
        while !pretraining.is_over() {
            pretraining.update()?;
        }
        Ok(pretraining.start())
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
            let start = greedy(&config, 30, &data()).unwrap();
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
            let start = greedy(&config, 100, &data).unwrap();
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
    fn errors_name_the_machine() {
        let config = TrainConfig { hidden: vec![5, 4], batch: 10, learning_rate: 1e39, ..TrainConfig::default() };
        let error = greedy(&config, 100, &data()).unwrap_err();
        assert!(matches!(error, TrainError::Pretrain { machine: 1, .. }), "{error}");
        assert!(error.to_string().contains("diverged"), "{error}");
    }

    /// Wherever it is stopped, it goes on as if it had not been, and so does the run that begins with it.
    #[test]
    fn a_resumed_pretraining_continues_bit_for_bit() {
        const UPDATES: u64 = 4;
        let config = TrainConfig {
            hidden: vec![5, 4, 3],
            batch: 10,
            pretrain: Some(Pretrain::Greedy { updates: UPDATES }),
            ..TrainConfig::default()
        };
        let average = TrainConfig { average: Some(0.2), centering: None, momentum: 0.0, ..config.clone() };
        let persistent = TrainConfig { estimator: Estimator::Pcd { k: 1 }, hidden: vec![5], ..config.clone() };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.safetensors");
        let bytes = |mut checkpoint: Checkpoint| {
            let training = checkpoint.training.as_mut().unwrap();
            training.seconds = 0.0;
            training.stack.iter_mut().for_each(|machine| machine.training.as_mut().unwrap().seconds = 0.0);
            checkpoint.to_bytes(&path).unwrap()
        };
        for config in [config, average, persistent] {
            let layers = config.hidden.len() as u64;
            let mut whole = Pretraining::begin(config.clone(), data(), Geometry::default()).unwrap();
            let mut parts = Pretraining::begin(config, data(), Geometry::default()).unwrap();
            for done in 0..=layers * UPDATES {
                assert_eq!(whole.left(), layers * UPDATES - done);
                parts.checkpoint().save(&path).unwrap();
                let loaded = Checkpoint::load(&path).unwrap();
                assert_eq!(loaded, parts.checkpoint());
                assert!(matches!(Trainer::resume(loaded.clone(), data()), Err(TrainError::Resume(_))));
                parts = Pretraining::resume(loaded, data()).unwrap();
                assert_eq!((bytes(whole.checkpoint()), whole.mark()), (bytes(parts.checkpoint()), parts.mark()));
                assert_eq!(whole.is_over(), parts.is_over());
                if !whole.is_over() {
                    let [report, other] = [&mut whole, &mut parts].map(|pretraining| pretraining.update().unwrap());
                    assert_eq!((report.positive, report.negative), (other.positive, other.negative));
                    let layer = Some((done / UPDATES) as usize + 1);
                    assert_eq!((report.pretraining, report.step), (layer, done % UPDATES + 1));
                }
            }
            let [mut whole, mut parts] = [whole, parts].map(|over| over.into_trainer().unwrap());
            (0..3).for_each(|_| assert_eq!(whole.update().unwrap().positive, parts.update().unwrap().positive));
            assert_eq!(bytes(whole.checkpoint()), bytes(parts.checkpoint()));
        }
    }

    #[test]
    fn a_stack_of_something_else_is_not_resumed() {
        let pretrain = Some(Pretrain::Greedy { updates: 2 });
        let config = TrainConfig { hidden: vec![5, 4], batch: 10, pretrain, ..TrainConfig::default() };
        let mut pretraining = Pretraining::begin(config, data(), Geometry::default()).unwrap();
        (0..3).for_each(|_| _ = pretraining.update().unwrap());
        let refused = |change: fn(&mut TrainingState), data: BitMatrix| {
            let mut checkpoint = pretraining.checkpoint();
            change(checkpoint.training.as_mut().unwrap());
            Pretraining::resume(checkpoint, data).unwrap_err().to_string()
        };
        assert!(refused(|_| (), BitMatrix::zeros(4, 6)).contains("other data"));
        assert!(refused(|state| state.stack.clear(), data()).contains("not being pretrained"));
        assert!(refused(|state| state.config.batch = 9, data()).contains("other settings"));
        let second = |state: &mut TrainingState| state.stack[1].parameters = state.stack[0].parameters.clone();
        assert!(refused(second, data()).contains("hidden layer 2: cannot resume"));
        let bare = Checkpoint { training: None, ..pretraining.checkpoint() };
        assert_eq!(Pretraining::resume(bare, data()).unwrap_err(), NO_STATE);
    }
}
