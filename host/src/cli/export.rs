//! `bitboltz export`: a checkpoint to a flash image.

use std::{io::Write, path::PathBuf};

use anyhow::{Context as _, ensure};
use bitboltz_core::{
    fixed::Scale,
    image::{Geometry, image_bytes},
    model::DenseDbm,
    session::ram_bytes,
    weights::{Weight, WeightKind},
};
use clap::{ValueEnum, builder::PossibleValuesParser};
use serde_json::json;

use super::{check_outputs, one_line, pictures, print_json};
use crate::{
    agreement::Agreement,
    atomic,
    bits::BitMatrix,
    boards::{BOARDS, Board},
    checkpoint::Checkpoint,
    dataset::{
        self, Split,
        labels::{label_units, with_labels},
    },
    image,
    parameters::Parameters,
    quantise::{IntegerWeight, Quantised},
};

/// Data vectors that the error report compares on.
const COMPARED: usize = 500;

/// Write a model as an image for a device's flash, with integer weights.
///
/// Prints what rounding did to fields, energies and local modes, and the flash and the exact RAM that the model takes.
/// With --board a model that does not fit is refused, and nothing is written.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  bitboltz export m.safetensors -o m.bbz --board mps2-an386\n  \
                        bitboltz export m.safetensors --weights i16 --data mnist -o m16.bbz")]
pub(super) struct Args {
    /// Checkpoint (.safetensors).
    model: PathBuf,
    /// Weight type.
    #[arg(long, value_enum, default_value_t = Kind::I8)]
    weights: Kind,
    /// The image to write (.bbz).
    #[arg(short, long)]
    output: PathBuf,
    /// Refuse a model that does not fit this board.
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(BOARDS.iter().map(|b| b.name)))]
    board: Option<String>,
    /// Data on which the error is measured: a known data set (its test images) or a path. Without it, the data that the
    /// model was trained on as its checkpoint names it, where it is here and fits, else uniform random bits.
    #[arg(long)]
    data: Option<String>,
    /// A pixel is on if its grey value is above this.
    #[arg(long, default_value_t = 127)]
    threshold: u8,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    /// 8-bit integers.
    I8,
    /// 16-bit integers.
    I16,
    /// 32-bit floats, for devices with an FPU.
    F32,
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<()> {
    check_outputs(&[&args.model], [args.output.as_path()])?;
    // The argument parser lets no other names through.
    let board = args.board.as_deref().and_then(|name| BOARDS.iter().find(|board| board.name == name));
    let checkpoint = Checkpoint::load(&args.model)?;
    let parameters = &checkpoint.parameters;
    let kind = match args.weights {
        Kind::I8 => WeightKind::I8,
        Kind::I16 => WeightKind::I16,
        Kind::F32 => WeightKind::F32,
    };
    let name = || args.model.display().to_string();
    let (flash, ram) = (image_bytes(parameters.shape(), kind), ram_bytes(parameters.shape()) as u64);
    if let Some(board) = board {
        board.check(flash, ram).with_context(name)?;
    }
    let (rows, source) = data(args, &checkpoint)?;
    let (bytes, scale, agreement) = match args.weights {
        Kind::I8 => integer::<i8>(parameters, &rows).with_context(name)?,
        Kind::I16 => integer::<i16>(parameters, &rows).with_context(name)?,
        Kind::F32 => (encode(&parameters.dbm()?, parameters.geometry()).with_context(name)?, Scale::ONE, None),
    };
    ensure!(bytes.len() as u64 == flash, "the image has {} bytes, {flash} were announced", bytes.len());
    atomic::write(&args.output, |file| file.write_all(&bytes)).with_context(|| args.output.display().to_string())?;
    let crc = u32::from_le_bytes(*bytes.last_chunk().expect("an image ends in its CRC"));
    if args.json {
        let board = board.map(|board| board.name);
        return print_json(
            out,
            &json!({"output": args.output, "weights": kind.name(), "flash_bytes": flash, "ram_bytes": ram,
                    "scale": scale.to_f32(), "crc": format!("{crc:08x}"), "board": board, "data": source,
                    "agreement": agreement}),
        );
    }
    writeln!(out, "{}: {} weights, scale {:e}, CRC {crc:08x}", args.output.display(), kind, scale.to_f32())?;
    if let Some(a) = agreement {
        writeln!(out, "rounding, on {} vectors of {source}:", a.vectors)?;
        writeln!(out, "  fields    differ by {:.5} (rms), {:.5} at most", a.field_rms, a.field_max)?;
        writeln!(out, "  energies  differ by {:.4} (rms), of {:.1}", a.energy_rms, a.energy_scale)?;
        writeln!(
            out,
            "  modes     agree in {:.2} % of hidden units; {:.1} % of the modes in all of them",
            100.0 * a.mode_units,
            100.0 * a.modes
        )?;
    }
    print_needs(out, flash, ram, board)
}

fn print_needs(out: &mut dyn Write, flash: u64, ram: u64, board: Option<&Board>) -> anyhow::Result<()> {
    writeln!(out, "needs {flash} bytes of flash for the image, {ram} bytes of RAM besides the stack")?;
    if let Some(board) = board {
        writeln!(out, "fits {} ({}): {} of flash, {} of RAM", board.name, board.what, board.flash, board.ram)?;
    }
    Ok(())
}

fn integer<W: IntegerWeight>(
    parameters: &Parameters,
    rows: &BitMatrix,
) -> anyhow::Result<(Vec<u8>, Scale, Option<Agreement>)> {
    let quantised = Quantised::<W>::new(parameters)?;
    let model = quantised.dbm()?;
    let agreement = Agreement::measure(&parameters.dbm()?, &model, rows, 0)?;
    Ok((encode(&model, quantised.geometry())?, model.scale(), Some(agreement)))
}

fn encode<W: Weight>(model: &DenseDbm<'_, W>, geometry: Geometry) -> anyhow::Result<Vec<u8>> {
    Ok(image::encode(model, geometry)?)
}

/// Rows of visible bits to compare on, and what they are.
fn data(args: &Args, checkpoint: &Checkpoint) -> anyhow::Result<(BitMatrix, String)> {
    let parameters = &checkpoint.parameters;
    if let Some(name) = &args.data {
        return Ok((test_bits(args, name, parameters)?, name.clone()));
    }
    let why = match checkpoint.training.as_ref().and_then(|training| training.config.data_set.as_ref()) {
        None => "the checkpoint names no data set".to_owned(),
        Some(name) => match test_bits(args, name, parameters) {
            Ok(bits) => return Ok((bits, name.clone())),
            Err(error) => format!("not of {name}: {}", one_line(&error)),
        },
    };
    let visible = parameters.shape().width(0);
    let mut rng = bitboltz_core::rng::stream(0, 0);
    let random = (0..COMPARED)
        .map(|_| (0..visible).map(|_| bitboltz_core::rng::Rng::next_u32(&mut rng) >> 31 == 1).collect::<Vec<bool>>());
    Ok((BitMatrix::from_rows(visible, random)?, format!("uniform random bits ({why})")))
}

/// The first test images of a data set as rows of visible bits.
fn test_bits(args: &Args, name: &str, parameters: &Parameters) -> anyhow::Result<BitMatrix> {
    let geometry = parameters.geometry();
    let images = dataset::load(name, Split::Test)?.subset(0..COMPARED);
    let pictures = pictures::encode(&args.model.display(), geometry, name, &images, args.threshold)?;
    let labels = label_units(parameters.shape().width(0), geometry);
    Ok(if labels.is_empty() { pictures } else { with_labels(&pictures, &images, labels.len())? })
}
