//! The desktop side of bitboltz.

pub mod parameters;
