//! Flash that the program itself erases and writes: a driver for each kind, for all boards that have it.
//!
//! A board names the driver of its weights region in its memory.x, and what is erased together there (`__weights_nvmc = 4K;`);
//! `build.rs` makes a cfg and the constant `WEIGHTS_PAGE` of it.
//! Every driver is a type `Flash` with `take`, the whole region, and `GRANULARITY`; the core's [`Store`] is all else of its face.
//! The core reads everything back that it has written, so that a driver passes on only what the flash itself says.
//!
//! [`Store`]: bitboltz_core::session::store::Store

#[cfg(weights = "cfi")]
pub mod cfi;
#[cfg(weights = "nvmc")]
pub mod nvmc;

/// Times that a driver asks whether the flash is done. QEMU's flash is at the first time, and an nRF's stops the processor until
/// it is; so the bound only turns a flash that does not answer into an error.
const POLLS: u32 = 1 << 20;

/// Bytes that are to lie at an offset, as words with theirs.
fn words(offset: usize, bytes: &[u8]) -> impl Iterator<Item = (usize, u32)> {
    (offset..).step_by(4).zip(bytes.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word)))
}
