//! What a model and an estimator are worth, measured.
//!
//! - [`layout`]: where each parameter lies in a flat vector (the order of a checkpoint);
//! - [`exact`]: enumeration of small machines, the oracle of every test;
//! - [`statistics`]: the energy's derivatives, plain or with conditional means, and centering;
//! - [`replicates`]: an estimator over many independent runs;
//! - [`random`]: random machines and data vectors to try all this on.

pub mod exact;
pub mod features;
pub mod frechet;
pub mod layout;
pub mod nearest;
pub mod neighbours;
pub mod pixels;
pub mod random;
pub mod replicates;
pub mod statistics;
