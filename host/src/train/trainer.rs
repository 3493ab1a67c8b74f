//! One update at a time.

use std::{ops::ControlFlow, sync::OnceLock, time::Instant};

use bitboltz_core::{
    image::Geometry,
    shape::{Shape, ShapeError},
};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{
    average::Average,
    config::{ConfigError, Init, TrainConfig},
    diagnostics::{self, Activity, Diagnostics},
    engine::Engine,
    even_major::EvenMajor,
    gradient::Gradient,
    orthogonal::{normals, orthogonal},
    persistent::PersistentChains,
    phase::{PhasePlan, PhaseSummary},
    pretrain::{Pretraining, Start},
    projections::Projections,
    rows::{Batches, Fingerprint, bit_means},
    seeds::{Purpose, stream_for},
    statistics::Moments,
    timing::{Laps, Part, Timing},
};
use crate::{
    bits::BitMatrix,
    checkpoint::{Checkpoint, TrainingState},
    estimator::{Estimator, Phase},
    parameters::Parameters,
    quantise::QuantiseError,
};

/// Why training cannot begin or go on.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A setting that cannot be.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Widths that are no shape.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// No rows to learn from.
    #[error("the data set has no rows")]
    NoData,
    /// The picture has more bits than the rows.
    #[error("the picture has {geometry} bits, the data rows have only {data}")]
    Geometry {
        /// Bits of the picture.
        geometry: usize,
        /// Bits of a row.
        data: usize,
    },
    /// A machine of a pretrained stack could not be trained.
    #[error("pretraining of hidden layer {machine}: {source}")]
    Pretrain {
        /// Its number, the lowest is 1.
        machine: usize,
        /// Why.
        source: Box<TrainError>,
    },
    /// A checkpoint without training state, or one that does not fit its parameters.
    #[error("cannot resume: {0}")]
    Resume(&'static str),
    /// A run was resumed on other data than it began with.
    #[error("cannot resume: the run began on other data ({expected}; found {found})")]
    OtherData {
        /// The run's data.
        expected: Fingerprint,
        /// The data given.
        found: Fingerprint,
    },
    /// Every chain of a phase was left out.
    #[error(
        "step {step}: no chain of the {phase} phase gave an estimate; all {chains} hit their cap: take a larger cap \
         (--cap), or train with ucd-lmi first and resume with this estimator (--resume --estimator), since chains hardly \
         couple under fresh orthogonal weights"
    )]
    NoEstimate {
        /// Step, counted from 1.
        step: u64,
        /// `positive` or `negative`.
        phase: &'static str,
        /// Chains that were run.
        chains: usize,
    },
    /// The weights do not fit the integers that the chains run on.
    #[error("step {step}: {source}")]
    Quantise {
        /// Step, counted from 1.
        step: u64,
        /// Why.
        source: QuantiseError,
    },
    /// The parameters are no longer finite.
    #[error(
        "step {step}: training diverged, a parameter is no longer finite; start again from the last checkpoint with a \
         lower learning rate"
    )]
    Diverged {
        /// Step, counted from 1.
        step: u64,
    },
}

impl TrainError {
    /// Whether it leaves parameters that must be thrown away, be it of the machine or of one of its stack.
    pub fn is_divergence(&self) -> bool {
        match self {
            Self::Diverged { .. } => true,
            Self::Pretrain { source, .. } => source.is_divergence(),
            _ => false,
        }
    }
}

/// What a file of another program lacks.
pub(super) const NO_STATE: TrainError = TrainError::Resume("the checkpoint holds a model, but no training state");

/// What one update did.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct UpdateReport {
    /// Updates done, this one included.
    pub step: u64,
    /// The hidden layer, the lowest is 1, whose machine it was an update of, and counts the updates of, in a
    /// [pretraining](super::pretrain); none in the run itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pretraining: Option<usize>,
    /// Learning rate.
    pub learning_rate: f32,
    /// The clamped phase.
    pub positive: PhaseSummary,
    /// The free phase.
    pub negative: PhaseSummary,
    /// Of every [so manieth](diagnostics::EVERY) update.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diagnostics: Option<Diagnostics>,
    /// Wall time of the update.
    pub seconds: f64,
    /// Wall time of all updates so far, earlier parts of a resumed run included.
    pub total_seconds: f64,
}

/// A training run: parameters, their average and velocity, offsets, persistent chains, and the step.
#[derive(Debug)]
pub struct Trainer {
    config: TrainConfig,
    data: BitMatrix,
    fingerprint: Fingerprint,
    geometry: Geometry,
    biases: Vec<Vec<f32>>,
    /// The average of the parameters, if that is the model.
    average: Option<Average>,
    /// What momentum keeps, if the run has it.
    velocity: Option<EvenMajor>,
    /// The model as somebody asked for it since the last update; the weights live in the engine.
    shown: OnceLock<Parameters>,
    /// What the gradient is centered by, one vector for each layer; empty without centering.
    offsets: Vec<Vec<f32>>,
    /// The free chains of an estimator that keeps them; `None` with others.
    chains: Option<PersistentChains>,
    step: u64,
    seconds: f64,
    work: Work,
}

/// The weights, and everything that can be computed again.
#[derive(Debug)]
struct Work {
    engine: Engine,
    batches: Batches,
    rows: Vec<usize>,
    positive: Moments,
    negative: Moments,
    /// Of this part of the run.
    activity: Activity,
}

impl Work {
    fn new(parameters: &Parameters, config: &TrainConfig, rows: usize) -> Self {
        let shape = parameters.shape();
        Self {
            engine: Engine::new(config.chain_weights, parameters),
            batches: Batches::new(config.seed, rows, config.batch),
            rows: Vec::new(),
            positive: Moments::new(shape),
            negative: Moments::new(shape),
            activity: Activity::default(),
        }
    }

    /// What there is to say of the phases that ran, whose gradient this is, and of the weights and these biases.
    fn diagnose(&self, config: &TrainConfig, gradient: &Gradient<'_>, biases: &[Vec<f32>]) -> Option<Diagnostics> {
        let [positive, negative] = [self.positive.projections()?, self.negative.projections()?];
        let (dead, saturated) = self.activity.shares().unzip();
        let independent = !matches!(config.estimator, Estimator::Cd { .. });
        Some(Diagnostics {
            energy_gap: gradient.energy_gap(&self.engine.even_major(), biases),
            gradient_squared: positive.squared_difference(negative),
            variance_positive: positive.variance(),
            variance_negative: independent.then(|| negative.variance()).flatten(),
            dead,
            saturated,
        })
    }

    /// Both phases of a step on the rows that were drawn for it; their statistics stay in `positive` and `negative`.
    fn phases(
        &mut self,
        config: &TrainConfig,
        data: &BitMatrix,
        biases: &[Vec<f32>],
        chains: &mut Option<PersistentChains>,
        step: u64,
        timing: Option<&Timing>,
    ) -> Result<[PhaseSummary; 2], TrainError> {
        let mut laps = Laps::start(timing);
        self.engine.refresh(biases).map_err(|source| TrainError::Quantise { step: step + 1, source })?;
        laps.end(Part::Update);
        let mut summaries = [PhaseSummary::default(); 2];
        let phases =
            [(Phase::Positive, "positive", &mut self.positive), (Phase::Negative, "negative", &mut self.negative)];
        for (summary, (phase, name, moments)) in summaries.iter_mut().zip(phases) {
            let plan = PhasePlan {
                estimator: config.estimator_of(phase),
                phase,
                marginalise: config.marginalise,
                seed: config.seed,
                step,
                rows: &self.rows,
                timing,
            };
            *summary = self.engine.run(&plan, data, biases, chains.as_mut(), moments);
            if summary.chains == 0 {
                return Err(TrainError::NoEstimate { step: step + 1, phase: name, chains: summary.cap_hits });
            }
        }
        Ok(summaries)
    }
}

impl Trainer {
    /// Whether a new run could begin on these rows.
    ///
    /// # Errors
    /// Settings or data that cannot be trained on.
    pub fn check(config: &TrainConfig, data: &BitMatrix, geometry: Geometry) -> Result<(), TrainError> {
        config.check()?;
        check_data(data)?;
        if geometry.units() > data.cols() {
            return Err(TrainError::Geometry { geometry: geometry.units(), data: data.cols() });
        }
        Shape::new(&widths(config, data))?;
        Ok(())
    }

    /// A new run on these rows, pretrained if the settings say so. `geometry` says how a row makes up a picture; all zero if
    /// it does not. What a row has behind the picture are [label units](crate::dataset::labels).
    ///
    /// # Errors
    /// Settings or data that cannot be trained on; [`TrainError::Pretrain`].
    pub fn new(config: TrainConfig, data: BitMatrix, geometry: Geometry) -> Result<Self, TrainError> {
        let begun = Self::begin(config, data, geometry, &mut |_| ControlFlow::Continue(()))?;
        Ok(begun.expect("nobody stops it"))
    }

    /// [`new`](Self::new), which tells `updated` of each update of the pretraining, if there is one, and is stopped by it:
    /// then there is no run.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn begin(
        config: TrainConfig,
        data: BitMatrix,
        geometry: Geometry,
        updated: &mut dyn FnMut(&UpdateReport) -> ControlFlow<()>,
    ) -> Result<Option<Self>, TrainError> {
        Self::check(&config, &data, geometry)?;
        if config.pretrain.is_some() {
            let mut pretraining = Pretraining::begin(config, data, geometry)?;
            while !pretraining.is_over() {
                if updated(&pretraining.update()?).is_break() {
                    return Ok(None);
                }
            }
            return pretraining.into_trainer().map(Some);
        }
        let widths = widths(&config, &data);
        let parameters = initial_parameters(&config, &widths, &data, geometry)?;
        // Before anything was learnt: the visible means are the data's, and in the model those of units with biases alone;
        // those of the hidden units, whose fields are symmetric, a half. None depends on a chain, so the first gradient is
        // unbiased too.
        let mut offsets = Vec::new();
        if config.centering.is_some() {
            let model = parameters.biases()[0].iter().map(|&bias| (1.0 / (1.0 + libm::exp(-f64::from(bias)))) as f32);
            let means = bit_means(&data).into_iter().zip(model);
            offsets.push(means.map(|(data, model)| config.centering_offsets.of(data, model)).collect());
            offsets.extend(widths[1..].iter().map(|&width| vec![0.5; width]));
        }
        Self::pretrained(config, data, geometry, Start { parameters, offsets, seconds: 0.0 }).map(Some)
    }

    /// A new run of a machine with one hidden layer, whose hidden and visible units see these multiples of the weights:
    /// part of a stack, and no Boltzmann machine if they differ.
    pub(super) fn scaled(config: TrainConfig, data: BitMatrix, factors: [f32; 2]) -> Result<Self, TrainError> {
        let mut trainer = Self::new(config, data, Geometry::default())?;
        trainer.work.engine = Engine::scaled(trainer.parameters(), factors);
        Ok(trainer)
    }

    /// Continues the run of [such](Self::scaled) a machine.
    pub(super) fn resume_scaled(
        checkpoint: Checkpoint,
        data: BitMatrix,
        factors: [f32; 2],
    ) -> Result<Self, TrainError> {
        let mut trainer = Self::resume(checkpoint, data)?;
        trainer.work.engine = Engine::scaled(&trainer.learning(), factors);
        Ok(trainer)
    }

    /// A new run on these rows that begins with what was [pretrained](super::pretrain) for it.
    ///
    /// # Errors
    /// Settings or data that cannot be trained on.
    ///
    /// # Panics
    /// If the start was made for other layers.
    pub fn pretrained(
        config: TrainConfig,
        data: BitMatrix,
        geometry: Geometry,
        start: Start,
    ) -> Result<Self, TrainError> {
        Self::check(&config, &data, geometry)?;
        let Start { parameters, offsets, seconds } = start;
        assert!(parameters.shape().widths().eq(widths(&config, &data)), "a start of other layers");
        let fingerprint = Fingerprint::of(&data);
        let work = Work::new(&parameters, &config, data.rows());
        let chains =
            is_persistent(&config).then(|| PersistentChains::new(parameters.shape(), config.seed, 0, config.batch));
        let biases = parameters.biases().to_vec();
        let average = config.average.map(|age| Average::new(age, &parameters));
        let velocity = has_momentum(&config).then(|| EvenMajor::zeros(parameters.shape()));
        Ok(Self {
            config,
            data,
            fingerprint,
            geometry,
            biases,
            average,
            velocity,
            shown: OnceLock::new(),
            offsets,
            chains,
            step: 0,
            seconds,
            work,
        })
    }

    /// Continues the run of a checkpoint on the same rows: every later update is what it would have been. A run whose
    /// estimator was changed to one that keeps its free chains begins them at random bits, drawn for this step; one that
    /// was changed to another forgets them.
    ///
    /// # Errors
    /// A checkpoint without training state, or of a run that is still being [pretrained](Pretraining::resume); other data
    /// than the run began with.
    pub fn resume(checkpoint: Checkpoint, data: BitMatrix) -> Result<Self, TrainError> {
        let Checkpoint { parameters, training } = checkpoint;
        let TrainingState { config, data: expected, step, seconds, raw, velocity, offsets, chains, stack } =
            training.ok_or(NO_STATE)?;
        if !stack.is_empty() {
            return Err(TrainError::Resume("the run is still being pretrained"));
        }
        config.check()?;
        check_data(&data)?;
        let fingerprint = same(expected, &data)?;
        let widths: Vec<usize> = parameters.shape().widths().collect();
        if widths[0] != data.cols() || widths[1..] != config.hidden {
            return Err(TrainError::Resume("the configuration's layer widths are not those of the tensors"));
        }
        if raw.as_ref().map(Parameters::shape) != config.average.map(|_| parameters.shape()) {
            return Err(TrainError::Resume("the parameters that learn do not fit their average"));
        }
        if velocity.as_ref().map(Parameters::shape) != has_momentum(&config).then_some(parameters.shape()) {
            return Err(TrainError::Resume("the velocities do not fit the parameters"));
        }
        let kept: Vec<usize> = offsets.iter().map(Vec::len).collect();
        if kept != if config.centering.is_some() { widths } else { Vec::new() } {
            return Err(TrainError::Resume("the offsets do not fit the layers"));
        }
        let shape = parameters.shape();
        let fits = |chains: &PersistentChains| (chains.len(), chains.state_words()) == (config.batch, shape.words());
        if chains.as_ref().is_some_and(|chains| !fits(chains)) {
            return Err(TrainError::Resume("the persistent chains do not fit the batch and the layers"));
        }
        let begun = || chains.unwrap_or_else(|| PersistentChains::new(shape, config.seed, step, config.batch));
        let chains = is_persistent(&config).then(begun);
        let average = config.average.map(|age| Average::new(age, &parameters));
        let learning = raw.as_ref().unwrap_or(&parameters);
        let work = Work::new(learning, &config, data.rows());
        let (geometry, biases) = (parameters.geometry(), learning.biases().to_vec());
        Ok(Self {
            config,
            data,
            fingerprint,
            geometry,
            biases,
            average,
            velocity: velocity.as_ref().map(EvenMajor::of),
            shown: OnceLock::new(),
            offsets,
            chains,
            step,
            seconds,
            work,
        })
    }

    /// Draws a batch, runs both phases, and moves the parameters once.
    ///
    /// # Errors
    /// [`TrainError::NoEstimate`] and [`TrainError::Quantise`], with the parameters as they were; [`TrainError::Diverged`],
    /// with parameters that must be thrown away.
    pub fn update(&mut self) -> Result<UpdateReport, TrainError> {
        self.update_timed(None)
    }

    /// [`update`](Self::update), which tells `timing` where its time went. The result is the same.
    ///
    /// # Errors
    /// As [`update`](Self::update).
    pub fn update_timed(&mut self, timing: Option<&Timing>) -> Result<UpdateReport, TrainError> {
        // On one of the threads that share the work: for a thread outside of their pool, each loop would begin and end
        // with a thread that must be woken.
        rayon::scope(|_| self.update_here(timing))
    }

    fn update_here(&mut self, timing: Option<&Timing>) -> Result<UpdateReport, TrainError> {
        let begin = Instant::now();
        let Self { config, data, biases, average, velocity, shown, offsets, chains, step, work, .. } = self;
        work.batches.at(*step, &mut work.rows);
        let diagnosed = step.is_multiple_of(diagnostics::EVERY);
        let projections = diagnosed.then(|| {
            let rng = stream_for(config.seed, Purpose::Diagnostics, *step, 0);
            Projections::new(work.positive.shape(), offsets, rng)
        });
        work.positive.show_to(projections.clone());
        work.negative.show_to(projections);
        let [positive, negative] = work.phases(config, data, biases, chains, *step, timing)?;
        let mut laps = Laps::start(timing);
        let rule = config.rule(*step);
        let gradient = Gradient::new(&work.positive, &work.negative, config.centering.map(|_| offsets.as_slice()));
        work.activity.take(&work.positive.means);
        let diagnostics = diagnosed.then(|| work.diagnose(config, &gradient, biases)).flatten();
        shown.take();
        if !work.engine.ascend(&gradient, biases, velocity.as_mut(), rule) {
            return Err(TrainError::Diverged { step: *step + 1 });
        }
        // After the gradient: it must not depend on its own batch through its offsets.
        if let Some(rate) = config.centering {
            let [positive, negative] = [&work.positive, &work.negative].map(|moments| moments.means.iter().flatten());
            for ((offset, positive), negative) in offsets.iter_mut().flatten().zip(positive).zip(negative) {
                *offset += rate as f32 * (config.centering_offsets.of(*positive, *negative) - *offset);
            }
        }
        *step += 1;
        if let Some(average) = average {
            average.take(*step, &work.engine.even_major(), biases);
        }
        laps.end(Part::Update);
        let seconds = begin.elapsed().as_secs_f64();
        self.seconds += seconds;
        let (step, learning_rate, total_seconds) = (self.step, rule.rate, self.seconds);
        let pretraining = None;
        Ok(UpdateReport { step, pretraining, learning_rate, positive, negative, diagnostics, seconds, total_seconds })
    }

    /// The settings.
    pub fn config(&self) -> &TrainConfig {
        &self.config
    }

    /// The rows that are learnt from.
    pub fn data(&self) -> &BitMatrix {
        &self.data
    }

    /// The same, for another use.
    pub(super) fn into_data(self) -> BitMatrix {
        self.data
    }

    /// Changes how long to train, for a run that goes on beyond its first budget. Nothing else can change: the run would
    /// be another one.
    pub fn set_budget(&mut self, budget: super::config::Budget) {
        self.config.budget = budget;
    }

    /// The model: the parameters, or their average if the run has one. It is put together when somebody asks, and kept
    /// until the next update.
    pub fn parameters(&self) -> &Parameters {
        self.shown.get_or_init(|| self.model())
    }

    fn model(&self) -> Parameters {
        match &self.average {
            Some(average) => average.numbers().to_parameters(self.geometry),
            None => self.learning(),
        }
    }

    /// The parameters that learn.
    fn learning(&self) -> Parameters {
        Parameters::of_shape(self.work.engine.matrices(), self.biases.clone(), self.geometry)
    }

    /// Updates done.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// Wall time of all updates so far, and of the pretraining.
    pub fn seconds(&self) -> f64 {
        self.seconds
    }

    /// Everything that is needed to go on from here.
    pub fn checkpoint(&self) -> Checkpoint {
        let training = TrainingState {
            config: self.config.clone(),
            data: self.fingerprint,
            step: self.step,
            seconds: self.seconds,
            raw: self.average.as_ref().map(|_| self.learning()),
            velocity: self.velocity.as_ref().map(|velocity| velocity.to_parameters(self.geometry)),
            offsets: self.offsets.clone(),
            chains: self.chains.clone(),
            stack: Vec::new(),
        };
        Checkpoint { parameters: self.model(), training: Some(training) }
    }
}

fn is_persistent(config: &TrainConfig) -> bool {
    config.estimator.persistent_sweeps().is_some()
}

fn widths(config: &TrainConfig, data: &BitMatrix) -> Vec<usize> {
    std::iter::once(data.cols()).chain(config.hidden.iter().copied()).collect()
}

fn has_momentum(config: &TrainConfig) -> bool {
    config.momentum > 0.0
}

fn check_data(data: &BitMatrix) -> Result<(), TrainError> {
    if data.rows() == 0 { Err(TrainError::NoData) } else { Ok(()) }
}

/// The fingerprint of rows, which must be what it was.
pub(super) fn same(expected: Fingerprint, data: &BitMatrix) -> Result<Fingerprint, TrainError> {
    let found = Fingerprint::of(data);
    if found == expected { Ok(found) } else { Err(TrainError::OtherData { expected, found }) }
}

fn initial_parameters(
    config: &TrainConfig,
    widths: &[usize],
    data: &BitMatrix,
    geometry: Geometry,
) -> Result<Parameters, TrainError> {
    let mut parameters = Parameters::zeros(widths, geometry)?;
    let (weights, biases) = parameters.tensors_mut();
    for (l, matrix) in weights.iter_mut().enumerate() {
        let mut rng = stream_for(config.seed, Purpose::Weights, l as u64, 0);
        *matrix = match config.init {
            Init::Orthogonal => orthogonal(widths[l], widths[l + 1], &mut rng),
            Init::Normal { std } => normals(widths[l] * widths[l + 1], std, &mut rng),
        };
    }
    if config.bias_from_data {
        // Never beyond ±log(99): a pixel that was never on may still be on in the next image.
        for (bias, mean) in biases[0].iter_mut().zip(bit_means(data)) {
            let mean = f64::from(mean).clamp(0.01, 0.99);
            *bias = libm::log(mean / (1.0 - mean)) as f32;
        }
    }
    Ok(parameters)
}

#[cfg(test)]
mod tests;
