//! From the weights region to a machine that answers, or to the reason why there is none.

use crate::exit::{NO_MODEL, REQUEST, exit};
use crate::store::GRANULARITY;
use crate::weights;
use bitboltz_core::{
    connection::Connection,
    image::{Image, ImageError, Stored, VERSION},
    session::{
        Machine, Workspace,
        message::{Failure, Refusal},
        ram_bytes, slots,
    },
    weights::AnyEnergy,
};

/// Checks the image in the weights region, and logs what it is.
///
/// # Errors
/// The core's reason why it is refused. Log it with [`log_refusal`].
pub fn open() -> Result<Image<'static>, ImageError> {
    let image = slots::open(weights(), GRANULARITY)?;
    log_image(&image);
    Ok(image)
}

/// Logs what an image is.
pub fn log_image(image: &Image<'_>) {
    let shape = image.shape();
    let mut widths = [0; bitboltz_core::shape::MAX_LAYERS];
    for (named, width) in widths.iter_mut().zip(shape.widths()) {
        // At most 65,536.
        *named = width as u32;
    }
    defmt::info!(
        "image: layers {=[?]}, {=u64} weights of {=str}, scale {=f32}, {=usize} bytes, CRC {=u32:08x}, needs {=usize} bytes of RAM",
        widths.get(..shape.layers()).unwrap_or_default(),
        shape.weights(),
        image.kind().name(),
        image.scale().to_f32(),
        image.bytes().len(),
        image.crc(),
        ram_bytes(shape)
    );
}

/// Opens the image, or ends the program with [`NO_MODEL`] and the reason.
#[must_use]
pub fn require() -> Image<'static> {
    open().unwrap_or_else(|error| refuse(&Refusal::Image(error)))
}

/// What a program has to work with.
pub struct Model<C: Connection> {
    /// Answers requests.
    pub machine: Machine<'static, C>,
    /// Memory of at least two visible layers, which a session would use for frames.
    pub scratch: &'static mut [u8],
}

/// Makes a machine of an image, or ends the program with [`NO_MODEL`] and the reason. `arena` is as large as a session
/// needs it, so that what runs here runs in `serve` too.
#[must_use]
pub fn build<C: Stored<'static>>(image: &Image<'static>, arena: &'static mut [u32]) -> Model<C> {
    require_room(image, arena);
    let Workspace { machine, receive } = Workspace::carve(image.shape(), arena);
    let machine = Machine::new(image, machine).unwrap_or_else(|refusal| refuse(&refusal));
    Model { machine, scratch: receive }
}

/// Ends the program with [`NO_MODEL`] and the reason, unless `arena` is as large as a session over the image needs it.
pub fn require_room(image: &Image<'_>, arena: &[u32]) {
    let found = size_of_val(arena);
    if found < ram_bytes(image.shape()) {
        refuse(&room(image, found));
    }
}

fn room(image: &Image<'_>, found: usize) -> Refusal {
    Refusal::Room { needed: ram_bytes(image.shape()) as u32, found: found as u32 }
}

fn refuse(refusal: &Refusal) -> ! {
    log_refusal(refusal);
    exit(NO_MODEL)
}

/// Logs why there is no model, and what to do.
pub fn log_refusal(refusal: &Refusal) {
    // The strings are the log's, not the flash's.
    match *refusal {
        Refusal::Image(ImageError::Erased) => {
            defmt::error!("no image: the weights region is erased or empty; load one");
        }
        Refusal::Image(ImageError::Magic { found }) => {
            defmt::error!("no image: the weights region begins with {=[u8]:02x}; is it the right file?", found);
        }
        Refusal::Image(ImageError::Version { found }) => {
            defmt::error!(
                "image refused: its version is {=u16}, this program reads {=u16}; export it again",
                found,
                VERSION
            );
        }
        Refusal::Image(ImageError::Crc { expected, found }) => {
            defmt::error!(
                "image refused: damaged or cut short; its CRC is {=u32:08x}, that of its bytes is {=u32:08x}; load it again",
                expected,
                found
            );
        }
        Refusal::Image(ImageError::TooShort { expected, found }) => {
            defmt::error!(
                "image refused: it has {=u64} bytes, the weights region only {=usize}; export a smaller one",
                expected,
                found
            );
        }
        Refusal::Image(error) => defmt::error!("image refused: {}", error),
        Refusal::Room { needed, found } => {
            defmt::error!(
                "image refused: it needs {=u32} bytes of RAM, the board has {=u32}; export a smaller one",
                needed,
                found
            );
        }
        ref other => defmt::error!("no model: {}", other),
    }
}

/// Ends the program with [`REQUEST`] and the reason.
pub fn fail(failure: Failure) -> ! {
    defmt::error!("request failed: {}", failure);
    exit(REQUEST)
}

/// Logs the energy, the sweeps and the hash of a state.
pub fn log_state(what: &str, energy: AnyEnergy, sweeps: u32, hash: u32) {
    match energy {
        AnyEnergy::Units(units) => {
            defmt::info!("{=str}: energy {=i64} units, {=u32} sweeps, hash {=u32:08x}", what, units, sweeps, hash);
        }
        // The bits go out as they are: no float is computed here.
        AnyEnergy::Real(bits) => {
            let energy = f64::from_bits(bits);
            defmt::info!("{=str}: energy {=f64}, {=u32} sweeps, hash {=u32:08x}", what, energy, sweeps, hash);
        }
    }
}
