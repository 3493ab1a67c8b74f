//! Train deep Boltzmann machines on a desktop and export them for microcontrollers.
//!
//! Layers of this crate, each needing only those before it:
//! - [`atomic`]: files that are whole or not there;
//! - [`bits`]: many binary vectors, packed;
//! - [`npy`], [`grid`]: arrays for NumPy, and pictures;
//! - [`dataset`]: images in, bits out, and masks over them.

pub mod agreement;
pub mod atomic;
pub mod bits;
pub mod boards;
pub mod chain;
pub mod checkpoint;
pub mod cli;
pub mod dataset;
pub mod device;
pub mod dual;
pub mod estimator;
pub mod eval;
pub mod grid;
pub mod image;
pub mod inpainting;
pub mod model_file;
pub mod npy;
pub mod parameters;
pub mod quantise;
mod random;
pub mod sampling;
pub mod tensors;
pub mod train;
