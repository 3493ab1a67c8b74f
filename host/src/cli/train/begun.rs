//! Where a run begins: at the machine, or at the stack of its pretraining.

use bitboltz_core::image::Geometry;

use crate::{
    bits::BitMatrix,
    checkpoint::Checkpoint,
    cli::{progress::Counted, say},
    train::{
        Pretraining, TrainConfig, TrainError, Trainer,
        metrics::Mark,
        run::{Ending, RunOptions, RunReport, run},
    },
};

/// What is trained first: the machine, or the stack that it will begin with.
pub(super) enum Begun {
    Run(Box<Trainer>),
    Stack(Box<Pretraining>),
}

impl Begun {
    pub(super) fn new(config: TrainConfig, data: BitMatrix, geometry: Geometry) -> Result<Self, TrainError> {
        match config.pretrain {
            Some(_) => Ok(Self::Stack(Box::new(Pretraining::begin(config, data, geometry)?))),
            None => Ok(Self::Run(Box::new(Trainer::new(config, data, geometry)?))),
        }
    }

    pub(super) fn resume(checkpoint: Checkpoint, data: BitMatrix) -> Result<Self, TrainError> {
        match &checkpoint.training {
            Some(training) if !training.stack.is_empty() => {
                Ok(Self::Stack(Box::new(Pretraining::resume(checkpoint, data)?)))
            }
            _ => Ok(Self::Run(Box::new(Trainer::resume(checkpoint, data)?))),
        }
    }

    pub(super) fn config(&self) -> &TrainConfig {
        match self {
            Self::Run(trainer) => trainer.config(),
            Self::Stack(pretraining) => pretraining.config(),
        }
    }
}

/// How a pretraining ended.
pub(super) enum Pretrained {
    Run(Box<Trainer>),
    /// In the machine of this hidden layer.
    Stopped(RunReport, usize),
}

/// Runs a pretraining with a display on standard error.
pub(super) fn pretrain(mut pretraining: Box<Pretraining>, options: &RunOptions<'_>) -> anyhow::Result<Pretrained> {
    let mut shown = Counted::new("pretraining", pretraining.left());
    let report = run(&mut *pretraining, options, &mut shown)?;
    drop(shown);
    if let (Ending::Stopped, Mark::Pretraining { layer, .. }) = (report.ending, pretraining.mark()) {
        return Ok(Pretrained::Stopped(report, layer));
    }
    say(format_args!("pretrained in {:.1} s", pretraining.seconds()));
    Ok(Pretrained::Run(Box::new(pretraining.into_trainer()?)))
}
