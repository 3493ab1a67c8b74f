//! What the whole-system tests share.
//!
//! - [`images`] builds small models, their images, and talks to sessions over them.

pub mod images;
