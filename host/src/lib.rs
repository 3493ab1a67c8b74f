//! The desktop side of bitboltz.

pub mod chain;
pub mod estimator;
pub mod parameters;
