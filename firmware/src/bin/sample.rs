#![no_std]
#![no_main]
//! Draws samples from the machine in the weights region and logs them: of each of the first chains its local mode, and a
//! sample one Gibbs sweep away from it.
//!
//! Seed and chains are fixed; a desktop that is asked for the same ones answers with the same hashes.

use bitboltz_core::{
    image::{Image, Stored},
    session::message::{Request, Response},
    with_connection,
};
use bitboltz_firmware::{arena, entry, exit, model, picture};

const SEED: u64 = 0;
const CHAINS: u64 = 4;

#[entry]
fn main() -> ! {
    let image = model::require();
    with_connection!(image.kind(), C => sample::<C<'static>>(&image))
}

fn sample<C: Stored<'static>>(image: &Image<'static>) -> ! {
    let mut machine = model::build::<C>(image, arena()).machine;
    for chain in 0..CHAINS {
        for (sweeps, what) in [(0, "mode"), (1, "sample")] {
            match machine.answer(&Request::Sample { seed: SEED, chain, sweeps }) {
                Response::State { energy, sweeps, hash, visible } => {
                    defmt::info!("seed {=u64}, chain {=u64}", SEED, chain);
                    model::log_state(what, energy, sweeps, hash);
                    picture::draw(image.geometry(), visible, None);
                }
                Response::Failure(failure) => model::fail(failure),
                _ => defmt::unreachable!("a sample is answered with a state"),
            }
        }
    }
    exit(0)
}
