//! `bitboltz device`: the same questions, to a board or to QEMU.

use std::{
    io::{IsTerminal as _, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail};
use bitboltz_core::{bits::word_mask, fixed::Scale, session::message::Request};
use serde_json::json;

use super::{
    energy,
    inpaint::{self, Restorer},
    print_json, sample,
};
use crate::{
    bits::BitMatrix,
    device::{Client, Port},
    image::AlignedBytes,
};

/// Ask a device that runs the `serve` program: what its model is, samples, inpainting, energies.
///
/// The answers equal those of the native commands on the same image, bit for bit.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  bitboltz device --port tcp:127.0.0.1:5555 info\n  \
                        bitboltz device --port /dev/ttyACM0 inpaint digits --mask half-left -o grid.png")]
pub(super) struct Args {
    /// A serial port (/dev/ttyACM0, COM3), or tcp:HOST:PORT.
    #[arg(long)]
    port: Port,
    /// Bits a second of a serial port.
    #[arg(long, default_value_t = 115_200)]
    baud: u32,
    /// Seconds to wait for an answer.
    #[arg(long, default_value_t = 30, value_name = "SECONDS", value_parser = clap::value_parser!(u16).range(1..))]
    timeout: u16,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// What the device's model is.
    Info {
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Generate images on the device.
    Sample(sample::Options),
    /// Hide a part of images and restore it on the device.
    Inpaint(inpaint::Options),
    /// Print the energy of each of many whole states, one a line, as the device computes it.
    Energy(energy::Options),
    /// Send a new image in place of the device's.
    ///
    /// The device checks it before it takes it, and keeps its old one until then where it has room for both. An update that was
    /// broken off goes on where it was when the same command is given again.
    Update {
        /// The image (.bbz).
        image: PathBuf,
    },
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<()> {
    match &args.verb {
        Verb::Sample(options) => options.check(&[])?,
        Verb::Inpaint(options) => options.check(&[])?,
        Verb::Update { image } => return update(args, image, out),
        Verb::Info { .. } | Verb::Energy(_) => {}
    }
    let mut client = Client::connect(&args.port, args.baud, Duration::from_secs(args.timeout.into()))?;
    let (info, shape) = client.info()?;
    let visible = shape.width(0);
    match &args.verb {
        Verb::Info { json } => {
            let widths: Vec<usize> = shape.widths().collect();
            let scale = f32::from_bits(info.scale);
            if *json {
                let g = info.geometry;
                return print_json(
                    out,
                    &json!({"widths": widths, "weights": info.kind.name(), "scale": scale,
                            "picture": {"width": g.width, "height": g.height, "channels": g.channels, "bits": g.bits},
                            "crc": format!("{:08x}", info.crc), "ram_bytes": info.ram, "protocol": info.protocol}),
                );
            }
            writeln!(out, "layers {widths:?}, {} weights, scale {scale:e}, CRC {:08x}", info.kind, info.crc)?;
            writeln!(out, "RAM of the session {} bytes, protocol version {}", info.ram, info.protocol)?;
            Ok(())
        }
        // Above: it needs no model on the device.
        Verb::Update { .. } => Ok(()),
        Verb::Energy(options) => {
            let Some(scale) = Scale::from_bits(info.scale) else {
                bail!("{}: the device states an impossible scale, {:e}", args.port, f32::from_bits(info.scale))
            };
            options.run(&shape, out, |states| states.map(|words| Ok(client.energy(&words)?.to_real(scale))).collect())
        }
        Verb::Sample(options) => options.run(&args.port, info.geometry, out, |count, sweeps, seed| {
            let mut words = Vec::new();
            for chain in 0..count as u64 {
                words.extend(client.state(&Request::Sample { seed, chain, sweeps })?.visible);
            }
            Ok(BitMatrix::from_words(count, visible, words)?)
        }),
        Verb::Inpaint(options) => {
            let restorer = Restorer { name: &args.port, visible, geometry: info.geometry, settings: None };
            options.run(&restorer, out, |images, hidden, plan| {
                let (mut words, mut probabilities) = (Vec::new(), Vec::new());
                for i in 0..images.rows() {
                    let known = hidden.row(i).iter().enumerate().map(|(at, hidden)| !hidden & word_mask(visible, at));
                    let known = bytes(known);
                    let image = bytes(images.row(i).iter().copied());
                    let (seed, chain, restarts) = (plan.seed, i as u64, plan.restarts);
                    match plan.mean {
                        None => {
                            let sweeps = plan.sweeps;
                            let request =
                                Request::Inpaint { seed, chain, restarts, sweeps, known: &known, visible: &image };
                            words.extend(client.state(&request)?.visible);
                        }
                        Some((burn_in, samples)) => {
                            let (known, visible) = (&known[..], &image[..]);
                            let request =
                                Request::Marginals { seed, chain, restarts, burn_in, samples, known, visible };
                            probabilities.extend(client.marginals(&request)?);
                        }
                    }
                }
                Ok(match plan.mean {
                    None => inpaint::Answer::Bits(BitMatrix::from_words(images.rows(), visible, words)?),
                    Some(_) => inpaint::Answer::Probabilities(probabilities),
                })
            })
        }
    }
}

/// Connections that an update is tried over.
const CONNECTIONS: u32 = 5;

fn update(args: &Args, path: &Path, out: &mut dyn Write) -> anyhow::Result<()> {
    let name = || path.display().to_string();
    let image = AlignedBytes::new(&std::fs::read(path).with_context(name)?);
    let bytes = image.image().with_context(name)?.bytes();
    let progress = Progress::new(bytes.len());
    let mut had = 0;
    let mut connection = 1;
    let info = loop {
        let mut reached = 0;
        let tried =
            Client::connect(&args.port, args.baud, Duration::from_secs(args.timeout.into())).and_then(|mut client| {
                client.update(bytes, |offset| {
                    reached = offset;
                    progress.show(offset);
                })
            });
        match tried {
            Ok(info) => break info,
            Err(error) if error.is_line() && connection < CONNECTIONS => {
                // One that came forward counts from the start again.
                connection = if reached > had { 1 } else { connection + 1 };
                had = had.max(reached);
                std::thread::sleep(Duration::from_secs(1));
            }
            Err(error) => {
                progress.end();
                // After anything but a lost line there is nothing to go on with.
                let resumable = error.is_line() && reached > 0;
                let error = anyhow::Error::from(error);
                return Err(if resumable {
                    let length = bytes.len();
                    error.context(format!(
                        "{reached} of {length} bytes are on the device; the same command goes on from there"
                    ))
                } else {
                    error
                });
            }
        }
    };
    progress.end();
    writeln!(out, "{}: {} bytes sent, the device answers from CRC {:08x}", args.port, bytes.len(), info.crc)?;
    Ok(())
}

/// Bytes sent, on standard error where that is a terminal.
struct Progress {
    length: usize,
    shown: bool,
}

impl Progress {
    fn new(length: usize) -> Self {
        Self { length, shown: std::io::stderr().is_terminal() }
    }

    fn show(&self, offset: usize) {
        if self.shown {
            eprint!("\r{offset} of {} bytes", self.length);
        }
    }

    fn end(&self) {
        if self.shown {
            eprintln!();
        }
    }
}

fn bytes(words: impl Iterator<Item = u32>) -> Vec<u8> {
    words.flat_map(u32::to_le_bytes).collect()
}
