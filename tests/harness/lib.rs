//! What the tests share.

pub mod models;
pub mod phases;
pub mod rngs;
pub mod significance;
pub mod tolerance;
pub mod transitions;
