//! What the fuzz targets do with bytes, for the ordinary tests too. The kernels' body is with them, in the core.
//!
//! - [`image`]: a flash image is refused, or is a model that runs;
//! - [`session`]: a line answers at most once a frame, and the next good request rightly;
//! - [`frames`] writes and reads what is on such a line, [`flash`] simulates what a server writes to.
//!
//! Needs only the core, so that the targets build in a minute.

pub mod flash;
pub mod frames;
mod image;
mod session;

pub use image::{image, open_and_run, reseal};
pub use session::session;
