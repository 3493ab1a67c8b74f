//! The desktop side of bitboltz.

pub mod chain;
pub mod cli;
pub mod estimator;
pub mod eval;
pub mod parameters;
