//! `bitboltz energy`: scores whole states.

use std::{io::Write, path::PathBuf};

use anyhow::ensure;
use bitboltz_core::shape::Shape;

use super::print_json;
use crate::{bits::BitMatrix, chain::ChainBuffer, model_file::ModelFile, npy, with_model};

/// Print the energy of each of many whole states, in full precision, one a line.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "E(x) = - sum_l b_l.x_l - sum_l x_l^T W_l x_(l+1); the lower, the more probable. An integer model's energy \
                  is its exact integer times its scale.\n\nExample:\n  bitboltz energy m.bbz states.npy"
)]
pub(super) struct Args {
    /// Checkpoint (.safetensors) or image (.bbz).
    model: PathBuf,
    /// States as .npy, u8 or bool: one a row, the bits of all layers one after the other, visible first.
    states: PathBuf,
    /// Print one JSON array.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<()> {
    let file = ModelFile::load(&args.model)?;
    let states = npy::read_bits(&args.states)?;
    let shape = file.shape();
    ensure!(
        states.cols() == shape.units(),
        "{}: expected {} columns (layers of {:?} units), found {}",
        args.states.display(),
        shape.units(),
        shape.widths().collect::<Vec<_>>(),
        states.cols()
    );
    let energies: Vec<f64> = with_model!(&file, model => {
        let mut buffer = ChainBuffer::new(&shape);
        (0..states.rows())
            .map(|i| {
                let mut state = buffer.state(&shape);
                pack(&shape, &states, i, state.words_mut());
                model.refresh(&mut state);
                // Never "-0".
                model.real_energy(&state) + 0.0
            })
            .collect()
    });
    if args.json {
        return print_json(out, &energies);
    }
    for energy in energies {
        writeln!(out, "{energy}")?;
    }
    Ok(())
}

/// Packs row `i`, whose layers follow each other without padding, into words where each layer starts on one.
fn pack(shape: &Shape, states: &BitMatrix, i: usize, words: &mut [u32]) {
    for layer in 0..shape.layers() {
        let bits = bitboltz_core::bits::view_mut(&mut words[shape.word_range(layer)], shape.width(layer));
        for (j, unit) in shape.unit_range(layer).enumerate() {
            bits.set(j, states.get(i, unit));
        }
    }
}
