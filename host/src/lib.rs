//! The desktop side of bitboltz.

pub mod chain;
pub mod checkpoint;
pub mod dual;
pub mod estimator;
pub mod parameters;
pub mod sampling;
pub mod train;
