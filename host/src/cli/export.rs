//! `bitboltz export`: a checkpoint to a flash image.

use std::{io::Write, path::PathBuf};

use anyhow::{Context as _, ensure};
use bitboltz_core::{
    fixed::Scale,
    image::image_bytes,
    model::DenseDbm,
    session::ram_bytes,
    weights::{I4, WeightKind},
};
use clap::{ValueEnum, builder::PossibleValuesParser};
use serde_json::json;

use super::{Usage, check_outputs, one_line, pictures, print_json};
use crate::{
    agreement::Agreement,
    atomic,
    batch::TileWeight,
    bits::BitMatrix,
    boards::{BOARDS, Board},
    checkpoint::Checkpoint,
    dataset::{
        self, Mask, Split,
        labels::{label_units, with_labels},
    },
    eval::restoration::Puzzle,
    flash::{Destination, FlashError, FlashFormat},
    image,
    parameters::Parameters,
    quantise::{IntegerWeight, Quantised},
};

/// Data vectors that the error report compares on.
const COMPARED: usize = 500;
/// Of these, the pictures that are restored.
const RESTORED: usize = 200;

/// Write a model for a device's flash, with integer weights.
///
/// The output's name says in which file: .hex (Intel HEX) or .uf2, which say where in flash the model goes and need --board
/// or --address, else the image as it is (.bbz).
///
/// Prints what rounding did to fields, energies, conditionals and local modes, what is restored of pictures whose left half
/// is hidden, and the flash and the exact RAM that the model takes. With --board a model that does not fit is refused, and
/// nothing is written.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  bitboltz export m.safetensors -o m.bbz --board mps2-an386\n  \
                        bitboltz export m.safetensors --weights i4 --calibrate mnist -o m4.bbz\n  \
                        bitboltz export m.safetensors --weights i16 --address 0x100000 -o m16.hex")]
pub(super) struct Args {
    /// Checkpoint (.safetensors).
    model: PathBuf,
    /// Weight type.
    #[arg(long, value_enum, default_value_t = Kind::I8)]
    weights: Kind,
    /// The file to write (.bbz, .hex, .uf2).
    #[arg(short, long)]
    output: PathBuf,
    /// Refuse a model that does not fit this board; write .hex and .uf2 for its weights' region.
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(BOARDS.iter().map(|b| b.name)))]
    board: Option<String>,
    /// Address of the model in flash, for .hex and .uf2 (0x100000, 1048576).
    #[arg(long, conflicts_with = "board", value_parser = address)]
    address: Option<u64>,
    /// Choose the integers' steps, and correct the biases, so that the model behaves as the float one does on 256 images from
    /// all over these data: a known data set (its training images) or a path. Not for a model that was trained with chains of the same integer
    /// type, whose integers are those of an export without.
    #[arg(long, value_name = "DATA")]
    calibrate: Option<String>,
    /// Data on which the error is measured, by 500 images from all over it: a known data set (its test images) or a path.
    /// Without it, the data that the
    /// model was trained on as its checkpoint names it, where it is here and fits, else uniform random bits.
    #[arg(long)]
    data: Option<String>,
    /// A pixel is on if its grey value is above this (models of 1 bit a pixel) [default: as in the model's training; 127 where
    /// the file does not say].
    #[arg(long)]
    threshold: Option<u8>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

fn address(text: &str) -> Result<u64, String> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let address = digits.map_or_else(|| text.parse().ok(), |digits| u64::from_str_radix(digits, 16).ok());
    address.ok_or_else(|| "expected a number, in hexadecimal with 0x before it".to_owned())
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    /// 4-bit integers.
    I4,
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
        Kind::I4 => WeightKind::I4,
        Kind::I8 => WeightKind::I8,
        Kind::I16 => WeightKind::I16,
        Kind::F32 => WeightKind::F32,
    };
    if kind == WeightKind::F32 && args.calibrate.is_some() {
        return Err(Usage("--calibrate: expected integer --weights, f32 are not rounded".to_owned()).into());
    }
    let name = || args.model.display().to_string();
    let (flash, ram) = (image_bytes(parameters.shape(), kind), ram_bytes(parameters.shape()) as u64);
    if let Some(board) = board {
        board.check(flash, ram).with_context(name)?;
    }
    let format = FlashFormat::of(&args.output);
    let destination = destination(args, board, format)?;
    let subject = Subject::new(args, &checkpoint)?;
    let (bytes, scale, found) = match args.weights {
        Kind::I4 => subject.integer::<I4>().with_context(name)?,
        Kind::I8 => subject.integer::<i8>().with_context(name)?,
        Kind::I16 => subject.integer::<i16>().with_context(name)?,
        Kind::F32 => {
            let model = parameters.dbm().with_context(name)?;
            (image::encode(&model, parameters.geometry()).with_context(name)?, Scale::ONE, None)
        }
    };
    ensure!(bytes.len() as u64 == flash, "the image has {} bytes, {flash} were announced", bytes.len());
    let output = || args.output.display().to_string();
    let file_bytes = format.encode(&bytes, destination).with_context(output)?;
    atomic::write(&args.output, |file| file.write_all(&file_bytes)).with_context(output)?;
    let crc = u32::from_le_bytes(*bytes.last_chunk().expect("an image ends in its CRC"));
    if args.json {
        let board = board.map(|board| board.name);
        let address = destination.filter(|_| format != FlashFormat::Image).map(|destination| destination.address);
        return print_json(
            out,
            &json!({"output": args.output, "weights": kind.name(), "flash_bytes": flash, "ram_bytes": ram,
                    "scale": scale.to_f32(), "crc": format!("{crc:08x}"), "board": board, "address": address,
                    "data": subject.source, "calibrated_on": args.calibrate,
                    "agreement": found.as_ref().map(|found| found.after.agreement),
                    "uncalibrated": found.as_ref().and_then(|found| found.before.as_ref()).map(|one| one.agreement),
                    "restored": found.as_ref().and_then(Found::restored)}),
        );
    }
    writeln!(out, "{}: {} weights, scale {:e}, CRC {crc:08x}", args.output.display(), kind, scale.to_f32())?;
    if let (Some(destination), true) = (destination, format != FlashFormat::Image) {
        writeln!(out, "for address {:#x}", destination.address)?;
    }
    if let Some(found) = found {
        found.print(out, &subject.source)?;
    }
    print_needs(out, flash, ram, board)
}

/// Where a file with addresses sends the image.
fn destination(args: &Args, board: Option<&Board>, format: FlashFormat) -> anyhow::Result<Option<Destination>> {
    let misuse = |text: String| Err(Usage(text).into());
    match (format, board, args.address) {
        (FlashFormat::Image, _, Some(_)) => {
            misuse("--address: expected an output that ends in .hex or .uf2; an image says no address".to_owned())
        }
        (FlashFormat::Uf2, Some(Board { name, uf2_family: None, .. }), _) => {
            misuse(format!("--output: expected .bbz or .hex, {name} has no bootloader that takes .uf2"))
        }
        (FlashFormat::Hex | FlashFormat::Uf2, None, None) => {
            misuse(format!("--output: {}", FlashError::NoAddress(format)))
        }
        (_, Some(board), _) => Ok(Some(Destination { address: board.address, uf2_family: board.uf2_family })),
        (_, None, address) => Ok(address.map(|address| Destination { address, uf2_family: None })),
    }
}

fn print_needs(out: &mut dyn Write, flash: u64, ram: u64, board: Option<&Board>) -> anyhow::Result<()> {
    writeln!(out, "needs {flash} bytes of flash for the image, {ram} bytes of RAM besides the stack")?;
    if let Some(board) = board {
        writeln!(out, "fits {} ({}): {} of flash, {} of RAM", board.name, board.what, board.flash, board.ram)?;
    }
    Ok(())
}

/// What is exported, and what it is compared on.
struct Subject<'c> {
    parameters: &'c Parameters,
    rows: BitMatrix,
    source: String,
    calibration: Option<BitMatrix>,
    /// Pictures with their left half hidden, if the rows are pictures.
    puzzle: Option<Puzzle>,
}

/// How integers compare with the floats.
struct Compared {
    agreement: Agreement,
    /// Share of the hidden pixels that it restores.
    restored: Option<f64>,
}

struct Found {
    float_restored: Option<f64>,
    /// Without calibration, if there was one.
    before: Option<Compared>,
    after: Compared,
}

impl<'c> Subject<'c> {
    fn new(args: &Args, checkpoint: &'c Checkpoint) -> anyhow::Result<Self> {
        let parameters = &checkpoint.parameters;
        let calibration = args.calibrate.as_ref().map(|name| bits(args, name, Split::Train, checkpoint)).transpose()?;
        let (rows, source, real) = data(args, checkpoint)?;
        let geometry = parameters.geometry();
        let puzzle = (real && geometry.units() > 0)
            .then(|| Puzzle::new(&Mask::HalfLeft, geometry, rows.spread(RESTORED), 0))
            .transpose()?;
        Ok(Self { parameters, rows, source, calibration, puzzle })
    }

    fn integer<W: IntegerWeight>(&self) -> anyhow::Result<(Vec<u8>, Scale, Option<Found>)> {
        let float = self.parameters.dbm()?;
        let plain = Quantised::<W>::new(self.parameters)?;
        let (before, quantised) = match &self.calibration {
            None => (None, plain),
            Some(rows) => (Some(self.compare(&float, &plain)?), Quantised::calibrated(self.parameters, rows)?),
        };
        let float_restored = self.restored(&float)?;
        let found = Found { float_restored, before, after: self.compare(&float, &quantised)? };
        Ok((quantised.image()?, quantised.tensors().scale, Some(found)))
    }

    fn compare<W: IntegerWeight>(
        &self,
        float: &DenseDbm<'_, f32>,
        quantised: &Quantised<W>,
    ) -> anyhow::Result<Compared> {
        let model = quantised.dbm()?;
        let agreement = Agreement::measure(float, &model, &self.rows, 0)?;
        Ok(Compared { agreement, restored: self.restored(&model)? })
    }

    fn restored<W: TileWeight>(&self, model: &DenseDbm<'_, W>) -> anyhow::Result<Option<f64>> {
        let share = |puzzle: &Puzzle| Ok(puzzle.share(&puzzle.modes(model, 0)?).all);
        self.puzzle.as_ref().map(share).transpose()
    }
}

impl Found {
    fn restored(&self) -> Option<serde_json::Value> {
        let before = self.before.as_ref().and_then(|before| before.restored);
        self.float_restored
            .map(|float| json!({"float": float, "integers": self.after.restored, "uncalibrated": before}))
    }

    fn print(&self, out: &mut dyn Write, source: &str) -> anyhow::Result<()> {
        let a = &self.after.agreement;
        writeln!(out, "rounding, on {} vectors of {source}:", a.vectors)?;
        writeln!(out, "  fields    differ by {:.5} (rms), {:.5} at most", a.field_rms, a.field_max)?;
        writeln!(out, "  energies  differ by {:.4} (rms), of {:.1}", a.energy_rms, a.energy_scale)?;
        let line = |a: &Agreement| {
            format!(
                "{:.2} % of hidden units; {:.1} % of the modes in all of them; probabilities differ by {:.5}",
                100.0 * a.mode_units,
                100.0 * a.modes,
                a.conditionals
            )
        };
        writeln!(out, "  modes     agree in {}", line(a))?;
        if let Some(before) = &self.before {
            writeln!(out, "  without calibration in {}", line(&before.agreement))?;
        }
        if let (Some(float), Some(after)) = (self.float_restored, self.after.restored) {
            write!(out, "half left restored: {:.2} % by the floats, {:.2} %", 100.0 * float, 100.0 * after)?;
            if let Some(before) = self.before.as_ref().and_then(|before| before.restored) {
                writeln!(out, " by the integers, {:.2} % by those without calibration", 100.0 * before)?;
            } else {
                writeln!(out, " by the integers")?;
            }
        }
        Ok(())
    }
}

/// Rows of visible bits to compare on, what they are, and whether they are data.
fn data(args: &Args, checkpoint: &Checkpoint) -> anyhow::Result<(BitMatrix, String, bool)> {
    let parameters = &checkpoint.parameters;
    if let Some(name) = &args.data {
        return Ok((bits(args, name, Split::Test, checkpoint)?.spread(COMPARED), name.clone(), true));
    }
    let why = match checkpoint.training.as_ref().and_then(|training| training.config.data_set.as_ref()) {
        None => "the checkpoint names no data set".to_owned(),
        Some(name) => match bits(args, name, Split::Test, checkpoint) {
            Ok(bits) => return Ok((bits.spread(COMPARED), name.clone(), true)),
            Err(error) => format!("not of {name}: {}", one_line(&error)),
        },
    };
    let visible = parameters.shape().width(0);
    let mut rng = bitboltz_core::rng::stream(0, 0);
    let random = (0..COMPARED)
        .map(|_| (0..visible).map(|_| bitboltz_core::rng::Rng::next_u32(&mut rng) >> 31 == 1).collect::<Vec<bool>>());
    Ok((BitMatrix::from_rows(visible, random)?, format!("uniform random bits ({why})"), false))
}

/// Images of a split of a data set as rows of visible bits.
fn bits(args: &Args, name: &str, split: Split, checkpoint: &Checkpoint) -> anyhow::Result<BitMatrix> {
    let parameters = &checkpoint.parameters;
    let settings = checkpoint.training.as_ref().map(|training| &training.config);
    let (geometry, threshold) = (parameters.geometry(), pictures::threshold(args.threshold, settings));
    let images = dataset::load(name, split)?;
    let pictures = pictures::encode(&args.model.display(), geometry, name, &images, threshold)?;
    let labels = label_units(parameters.shape().width(0), geometry);
    Ok(if labels.is_empty() { pictures } else { with_labels(&pictures, &images, labels.len())? })
}
