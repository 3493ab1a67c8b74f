//! The weights of a run, which learn, and the chains that read them: as they are, or integers rounded from them at each
//! update.
//!
//! With integers (those that an export of the weights has, by [`quantise`](crate::quantise)) the gradient is that of the
//! model that will be deployed, taken at the float weights, which learn (the straight-through estimate); and the chains are
//! quicker, since a row of weights is a half or a quarter as long.
//!
//! Weights live in tiles alone. With floats the chains' own two orientations are the weights; with integers the floats
//! have one more, a row for each even unit, as statistics have.

mod scaled;

use bitboltz_core::{
    fixed::Scale,
    weights::{I4, WeightKind},
};

use self::scaled::Scaled;
use super::{
    even_major::{self, EvenMajor},
    gradient::{Gradient, Orientations},
    optimiser::Rule,
    persistent::PersistentChains,
    phase::{PhaseBuffers, PhasePlan, PhaseSummary, mean_field},
    statistics::Moments,
};
use crate::{
    batch::{ChainWeights, TileWeight, blocks::map_both, tile::Tiles},
    bits::BitMatrix,
    estimator::{Estimator, Phase},
    parameters::Parameters,
    quantise::{IntegerWeight, Magnitudes, PART, QuantiseError, Rounding},
};

/// Weights and buffers of one weight type.
#[derive(Debug)]
pub struct Runner<W: TileWeight> {
    weights: ChainWeights<W>,
    phase: PhaseBuffers<W>,
}

impl<W: TileWeight> Runner<W> {
    fn new(parameters: &Parameters) -> Self {
        let shape = parameters.shape();
        Self { weights: ChainWeights::zeros(shape), phase: PhaseBuffers::new(shape) }
    }
}

/// Float weights that learn, and integers of them for the chains.
#[derive(Debug)]
pub struct Rounded<W: IntegerWeight> {
    /// Even-major.
    floats: Vec<Tiles<f32>>,
    /// The largest magnitude in each.
    largest: Vec<f32>,
    runner: Runner<W::Held>,
    /// The floats as mean fields read them, if there are any.
    for_means: Option<ChainWeights<f32>>,
}

impl<W: IntegerWeight> Rounded<W> {
    fn new(parameters: &Parameters) -> Self {
        let largest = parameters.weights().iter().map(|matrix| crate::quantise::largest(matrix)).collect();
        Self { floats: even_major::tiles(parameters), largest, runner: Runner::new(parameters), for_means: None }
    }

    fn round(&mut self, biases: &[Vec<f32>]) -> Result<(), QuantiseError> {
        let floats = self.largest.iter().zip(&self.floats);
        let magnitudes: Vec<Magnitudes> =
            floats.map(|(&largest, floats)| Magnitudes::new::<W>(largest, floats.parts(PART))).collect();
        let rounding = Rounding::new::<W>(&magnitudes, biases)?;
        let weights = &mut self.runner.weights;
        weights.set_rounding(&rounding.shifts, &rounding.biases, rounding.scale);
        for (l, ((same, transposed), floats)) in weights.even_odd_mut().zip(&self.floats).enumerate() {
            map_both(floats, same, transposed, rounding.weight::<W>(l));
        }
        Ok(())
    }

    /// The floats in both orientations, and these biases.
    fn for_means(&mut self, biases: &[Vec<f32>]) -> &ChainWeights<f32> {
        let weights = self.for_means.get_or_insert_with(|| ChainWeights::zeros(self.runner.weights.shape()));
        for ((same, transposed), floats) in weights.even_odd_mut().zip(&self.floats) {
            map_both(floats, same, transposed, |weight| weight);
        }
        weights.set_rounding(&vec![0; biases.len() - 1], biases, Scale::ONE);
        weights
    }
}

/// Chains on one of the weight types.
#[derive(Debug)]
pub enum Engine {
    /// On the float weights themselves.
    F32(Runner<f32>),
    /// On 16-bit integers.
    I16(Rounded<i16>),
    /// On 8-bit integers.
    I8(Rounded<i8>),
    /// On 4-bit integers, each in a byte.
    I4(Rounded<I4>),
    /// On multiples of the float weights.
    Scaled(Scaled),
}

impl Engine {
    /// An engine with these weights; [`refresh`](Self::refresh) makes them and the biases ready for the chains.
    pub fn new(kind: WeightKind, parameters: &Parameters) -> Self {
        match kind {
            WeightKind::F32 => {
                let mut runner = Runner::new(parameters);
                let matrices = parameters.weights().iter().map(|matrix| (matrix.as_slice(), 0));
                runner.weights.set(matrices, parameters.biases(), Scale::ONE);
                Self::F32(runner)
            }
            WeightKind::I16 => Self::I16(Rounded::new(parameters)),
            WeightKind::I8 => Self::I8(Rounded::new(parameters)),
            WeightKind::I4 => Self::I4(Rounded::new(parameters)),
        }
    }

    /// An engine of a machine with one hidden layer, whose hidden and visible units see these multiples of the weights.
    ///
    /// # Panics
    /// If there are more layers.
    pub fn scaled(parameters: &Parameters, factors: [f32; 2]) -> Self {
        Self::Scaled(Scaled::new(parameters, factors))
    }

    /// Gives the chains the weights and these biases as they are now. All must be finite.
    ///
    /// # Errors
    /// Weights that are too large for the integers.
    pub fn refresh(&mut self, biases: &[Vec<f32>]) -> Result<(), QuantiseError> {
        match self {
            Self::F32(runner) => {
                runner.weights.set_rounding(&vec![0; biases.len() - 1], biases, Scale::ONE);
                Ok(())
            }
            Self::I16(rounded) => rounded.round(biases),
            Self::I8(rounded) => rounded.round(biases),
            Self::I4(rounded) => rounded.round(biases),
            Self::Scaled(scaled) => {
                scaled.refresh(biases);
                Ok(())
            }
        }
    }

    /// Runs a phase: see [`PhaseBuffers::run`]. The biases are those of the last [`refresh`](Self::refresh).
    pub fn run(
        &mut self,
        plan: &PhasePlan<'_>,
        data: &BitMatrix,
        biases: &[Vec<f32>],
        chains: Option<&mut PersistentChains>,
        moments: &mut Moments,
    ) -> PhaseSummary {
        if plan.phase == Phase::Positive && matches!(plan.estimator, Estimator::MeanField { .. }) {
            let weights = match self {
                Self::F32(runner) => &runner.weights,
                Self::I16(rounded) => rounded.for_means(biases),
                Self::I8(rounded) => rounded.for_means(biases),
                Self::I4(rounded) => rounded.for_means(biases),
                Self::Scaled(scaled) => &scaled.runner.weights,
            };
            return mean_field::run(weights, plan, data, moments);
        }
        match self {
            Self::F32(runner) => runner.phase.run(&runner.weights, plan, data, chains, moments),
            Self::I16(Rounded { runner, .. }) => runner.phase.run(&runner.weights, plan, data, chains, moments),
            Self::I8(Rounded { runner, .. }) => runner.phase.run(&runner.weights, plan, data, chains, moments),
            Self::I4(Rounded { runner, .. }) => runner.phase.run(&runner.weights, plan, data, chains, moments),
            Self::Scaled(Scaled { runner, .. }) => runner.phase.run(&runner.weights, plan, data, chains, moments),
        }
    }

    /// Moves the weights and these biases: see [`Gradient::ascend`]. Returns whether all of them are still finite.
    pub fn ascend(
        &mut self,
        gradient: &Gradient<'_>,
        biases: &mut [Vec<f32>],
        velocity: Option<&mut EvenMajor>,
        rule: Rule,
    ) -> bool {
        let largest = gradient.ascend(self.orientations_mut(), biases, velocity, rule);
        let finite = largest.iter().all(|largest| largest.is_finite());
        match self {
            Self::F32(_) | Self::Scaled(_) => {}
            // What the next rounding scales by.
            Self::I16(rounded) => rounded.largest = largest,
            Self::I8(rounded) => rounded.largest = largest,
            Self::I4(rounded) => rounded.largest = largest,
        }
        finite && biases.iter().flatten().all(|b| b.is_finite())
    }

    /// The float weights that learn, transposed as well where the chains read them as they are.
    fn orientations_mut(&mut self) -> Vec<Orientations<'_>> {
        let alone = |even_major| Orientations { even_major, odd_major: None };
        match self {
            Self::F32(runner) => {
                let both = |(even_major, odd_major)| Orientations { even_major, odd_major: Some(odd_major) };
                runner.weights.even_odd_mut().map(both).collect()
            }
            Self::I16(rounded) => rounded.floats.iter_mut().map(alone).collect(),
            Self::I8(rounded) => rounded.floats.iter_mut().map(alone).collect(),
            Self::I4(rounded) => rounded.floats.iter_mut().map(alone).collect(),
            Self::Scaled(scaled) => vec![alone(&mut scaled.floats)],
        }
    }

    /// The float weights, even-major.
    pub fn even_major(&self) -> Vec<&Tiles<f32>> {
        match self {
            Self::F32(Runner { weights, .. }) => {
                let connections = 0..weights.shape().layers() - 1;
                connections.map(|l| if l.is_multiple_of(2) { weights.up(l) } else { weights.down(l) }).collect()
            }
            Self::I16(rounded) => rounded.floats.iter().collect(),
            Self::I8(rounded) => rounded.floats.iter().collect(),
            Self::I4(rounded) => rounded.floats.iter().collect(),
            Self::Scaled(scaled) => vec![&scaled.floats],
        }
    }

    /// The float weights in the core's layout.
    pub fn matrices(&self) -> Vec<Vec<f32>> {
        even_major::matrices(self.even_major().into_iter())
    }
}

#[cfg(test)]
impl<W: IntegerWeight> Rounded<W> {
    /// What the chains read.
    pub fn chain_weights(&self) -> &ChainWeights<W::Held> {
        &self.runner.weights
    }
}
