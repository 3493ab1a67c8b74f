//! The desktop side of bitboltz.

pub mod chain;
pub mod estimator;
pub mod image;
pub mod parameters;
pub mod quantise;
