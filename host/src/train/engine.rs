//! The weights that the chains of a run read: the parameters, or integers rounded from them at each update.
//!
//! With integers the gradient is that of the model that will be deployed, taken at the float weights, which learn (the
//! straight-through estimate); and the chains are quicker, since a row of weights is a half or a quarter as long.

use bitboltz_core::{fixed::Scale, weights::WeightKind};

use super::{
    persistent::PersistentChains,
    phase::{PhaseBuffers, PhasePlan, PhaseSummary},
    statistics::Moments,
};
use crate::{
    batch::{ChainWeights, TileWeight},
    bits::BitMatrix,
    parameters::Parameters,
    quantise::{IntegerWeight, QuantiseError, Quantised},
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

impl<W: IntegerWeight> Runner<W> {
    fn quantise(&mut self, parameters: &Parameters) -> Result<(), QuantiseError> {
        self.weights.copy_from(&Quantised::<W>::new(parameters)?.dbm()?);
        Ok(())
    }
}

/// Chains on one of the weight types.
#[derive(Debug)]
pub enum Engine {
    /// On the parameters themselves.
    F32(Runner<f32>),
    /// On 16-bit integers.
    I16(Runner<i16>),
    /// On 8-bit integers.
    I8(Runner<i8>),
}

impl Engine {
    /// An engine for parameters of this shape; [`refresh`](Self::refresh) gives it weights.
    pub fn new(kind: WeightKind, parameters: &Parameters) -> Self {
        match kind {
            WeightKind::F32 => Self::F32(Runner::new(parameters)),
            WeightKind::I16 => Self::I16(Runner::new(parameters)),
            WeightKind::I8 => Self::I8(Runner::new(parameters)),
        }
    }

    /// Takes the parameters as they are now. They must be finite.
    ///
    /// # Errors
    /// Weights that are too large for the integers.
    pub fn refresh(&mut self, parameters: &Parameters) -> Result<(), QuantiseError> {
        match self {
            Self::F32(runner) => {
                let matrices = parameters.weights().iter().map(|matrix| (matrix.as_slice(), 0));
                runner.weights.set(matrices, parameters.biases(), Scale::ONE);
                Ok(())
            }
            Self::I16(runner) => runner.quantise(parameters),
            Self::I8(runner) => runner.quantise(parameters),
        }
    }

    /// Runs a phase: see [`PhaseBuffers::run`].
    pub fn run(
        &mut self,
        plan: &PhasePlan<'_>,
        data: &BitMatrix,
        chains: Option<&mut PersistentChains>,
        moments: &mut Moments,
    ) -> PhaseSummary {
        match self {
            Self::F32(runner) => runner.phase.run(&runner.weights, plan, data, chains, moments),
            Self::I16(runner) => runner.phase.run(&runner.weights, plan, data, chains, moments),
            Self::I8(runner) => runner.phase.run(&runner.weights, plan, data, chains, moments),
        }
    }
}
