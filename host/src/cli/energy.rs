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
    #[command(flatten)]
    options: Options,
}

/// What to score: the same natively and on a device.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// States as .npy, u8 or bool: one a row, the bits of all layers one after the other, visible first.
    states: PathBuf,
    /// Print one JSON array.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<()> {
    let file = ModelFile::load(&args.model)?;
    let shape = file.shape();
    args.options.run(&shape, out, |states| {
        with_model!(&file, model => {
            let mut buffer = ChainBuffer::new(&shape);
            let energies = states.map(|words| {
                let mut state = buffer.state(&shape);
                state.words_mut().copy_from_slice(&words);
                model.refresh(&mut state);
                Ok(model.real_energy(&state))
            });
            energies.collect()
        })
    })
}

impl Options {
    /// Scores the states by `energies` of their words, as the core packs them, and prints.
    pub(super) fn run(
        &self,
        shape: &Shape,
        out: &mut dyn Write,
        energies: impl FnOnce(&mut dyn Iterator<Item = Vec<u32>>) -> anyhow::Result<Vec<f64>>,
    ) -> anyhow::Result<()> {
        let states = npy::read_bits(&self.states)?;
        ensure!(
            states.cols() == shape.units(),
            "{}: expected {} columns (layers of {:?} units), found {}",
            self.states.display(),
            shape.units(),
            shape.widths().collect::<Vec<_>>(),
            states.cols()
        );
        let mut energies = energies(&mut (0..states.rows()).map(|i| packed(shape, &states, i)))?;
        // Never "-0".
        energies.iter_mut().for_each(|energy| *energy += 0.0);
        if self.json {
            return print_json(out, &energies);
        }
        for energy in energies {
            writeln!(out, "{energy}")?;
        }
        Ok(())
    }
}

/// Row `i`, whose layers follow each other without padding, as words where each layer starts on one.
fn packed(shape: &Shape, states: &BitMatrix, i: usize) -> Vec<u32> {
    let mut words = vec![0; shape.words()];
    for layer in 0..shape.layers() {
        let bits = bitboltz_core::bits::view_mut(&mut words[shape.word_range(layer)], shape.width(layer));
        for (j, unit) in shape.unit_range(layer).enumerate() {
            bits.set(j, states.get(i, unit));
        }
    }
    words
}
