//! Training: float parameters, updated from chains of the core's model.
//!
//! | file | holds |
//! |---|---|
//! | [`config`] | every setting, as it is recorded in checkpoints |
//! | [`preset`] | settings by name |
//! | [`trainer`] | one update: batch → phases → gradient → parameters |
//! | [`run`] | many updates: budget, checkpoints, metrics, stop |
//! | [`engine`] | the weights, and what chains read: floats, or integers of them |
//! | [`phase`] | the chains of a phase, in parallel |
//! | [`persistent`] | chains that go on from update to update |
//! | [`pretrain`] | a start learnt layer by layer |
//! | [`statistics`] | ⟨x⟩ and ⟨x xᵀ⟩ of weighted states |
//! | [`gradient`] | the plain and the centered gradient; ascent |
//! | [`optimiser`] | the schedule; the rule of a step |
//! | [`average`] | the average of the parameters, which is the model if a run has one |
//! | [`even_major`] | what lies along with the weights |
//! | [`orthogonal`] | initial weights |
//! | [`rows`] | what is needed of a data set; its order |
//! | [`seeds`] | which random stream does what |
//! | [`timing`] | where the time of an update goes |
//! | [`metrics`] | the run's figures as JSON lines |
//! | [`meeting`] | histograms of meeting times |
//! | [`diagnostics`] | energy gap, noise of the gradient, dead and saturated units, now and then |
//! | [`projections`] | the chains' spread along random directions |
//!
//! An update is a function of (configuration, data, step, parameters, their average and velocity, offsets, persistent
//! chains) alone, whatever the number of threads: that is all a checkpoint needs for a run to continue bit for bit. While a
//! run is being pretrained, it needs that of each machine of the stack.

pub mod average;
pub mod config;
pub mod diagnostics;
pub mod engine;
pub mod even_major;
pub mod gradient;
pub mod meeting;
pub mod metrics;
pub mod optimiser;
pub mod orthogonal;
pub mod persistent;
pub mod phase;
pub mod preset;
pub mod pretrain;
pub mod projections;
pub mod rows;
pub mod run;
pub mod seeds;
pub mod statistics;
pub mod timing;
pub mod trainer;

pub use config::{Budget, CenteringOffsets, Init, Pretrain, TrainConfig};
pub use optimiser::Schedule;
pub use preset::Preset;
pub use pretrain::Pretraining;
pub use trainer::{TrainError, Trainer, UpdateReport};

#[cfg(test)]
mod tests;
