//! The weights region, as the core's server writes it.
//!
//! A board whose region is RAM says so in its memory.x (`__weights_ram = 1;`); `build.rs` makes the cfg of that name. Elsewhere
//! the region is flash that this firmware has no driver for: new weights come by a probe.

use bitboltz_core::session::store::Granularity;
#[cfg(not(weights_ram))]
use bitboltz_core::session::store::NoStore;
#[cfg(weights_ram)]
use bitboltz_core::session::store::RamStore;

/// How the region is written.
#[cfg(weights_ram)]
pub(crate) const GRANULARITY: Option<Granularity> = Some(RamStore::GRANULARITY);
/// How the region is written: not at all.
#[cfg(not(weights_ram))]
pub(crate) const GRANULARITY: Option<Granularity> = None;

/// The region. New weights are lost at a reset.
#[cfg(weights_ram)]
#[must_use]
pub fn store() -> RamStore<'static> {
    RamStore(crate::mmio::weights_mut())
}

/// The region.
#[cfg(not(weights_ram))]
#[must_use]
pub fn store() -> NoStore<'static> {
    NoStore(crate::weights())
}
