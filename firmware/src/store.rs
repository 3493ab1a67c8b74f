//! The weights region, as the core's server writes it.
//!
//! A board says in its memory.x how: `__weights_ram = 1;`, or the name of one of the drivers of [`flash`](crate::flash) in its
//! place; `build.rs` makes the cfg `weights` of it. Elsewhere the region is flash that this firmware has no driver for: new
//! weights come by a probe.

use bitboltz_core::session::store::Granularity;

#[cfg(weights = "cfi")]
use crate::flash::cfi::Flash;
#[cfg(weights = "nvmc")]
use crate::flash::nvmc::Flash;
#[cfg(not(weights_writable))]
use bitboltz_core::session::store::NoStore;
#[cfg(weights = "ram")]
use bitboltz_core::session::store::RamStore;

/// How the region is written.
#[cfg(weights_flash)]
pub(crate) const GRANULARITY: Option<Granularity> = Some(Flash::GRANULARITY);
/// How the region is written.
#[cfg(weights = "ram")]
pub(crate) const GRANULARITY: Option<Granularity> = Some(RamStore::GRANULARITY);
/// How the region is written: not at all.
#[cfg(not(weights_writable))]
pub(crate) const GRANULARITY: Option<Granularity> = None;

/// The region. New weights stay.
#[cfg(weights_flash)]
#[must_use]
pub fn store() -> Flash {
    Flash::take()
}

/// The region. New weights are lost at a reset.
#[cfg(weights = "ram")]
#[must_use]
pub fn store() -> RamStore<'static> {
    RamStore(crate::mmio::weights_mut())
}

/// The region.
#[cfg(not(weights_writable))]
#[must_use]
pub fn store() -> NoStore<'static> {
    NoStore(crate::weights())
}
