//! The work of the benches, done again through the core: slowly, and by another way.

pub mod update;
pub mod walk;
