//! `bitboltz demo`: from data to a model in integers, on the digits that come with the program.

use std::{
    io::Write,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use bitboltz_core::image::Image;
use serde_json::json;

use super::{inpaint, pictures, print_json, say, train};
use crate::{
    agreement::Agreement,
    atomic,
    dataset::{self, Mask, Split},
    eval::restoration::Puzzle,
    image::{self, AlignedBytes},
    inpainting::{majority, nearest, rounded},
    quantise::Quantised,
    sampling::{Samples, local_modes},
    train::{Preset, TrainConfig, Trainer, run::RunOptions},
};

/// Local modes in the grid.
const MODES: usize = 64;
/// Images in the inpainting grid.
const SHOWN: usize = 16;

/// Train on the digits that come with the program, and show what the model can do; about a minute on two cores. The same
/// seed gives the same on every machine.
///
/// Writes into the folder: the checkpoint (demo.safetensors) and its metrics, a grid of local modes and samples
/// (samples.png), images with the left half hidden and restored (inpaint.png), and the model with 8-bit weights for a
/// device (demo.bbz).
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  bitboltz demo\n  bitboltz demo --steps 500 --out small --json")]
pub(super) struct Args {
    /// The folder to write into.
    #[arg(long, default_value = "out", value_name = "DIR")]
    out: PathBuf,
    /// Do so many updates instead of those of the recipe (`train --preset digits`).
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..), value_name = "N")]
    steps: Option<u64>,
    /// Seed of everything random.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Print one JSON object at the end instead of the text.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<()> {
    let start = Instant::now();
    std::fs::create_dir_all(&args.out).with_context(|| args.out.display().to_string())?;
    let path = |name: &str| args.out.join(name);
    let (train_images, test_images) = (dataset::load("digits", Split::Train)?, dataset::load("digits", Split::Test)?);
    let (data, geometry) = train::encode(&train_images, 1, 127)?;
    let (test, _) = train::encode(&test_images, 1, 127)?;

    let recipe = Preset::Digits.config();
    let recipe = match args.steps {
        Some(steps) => recipe.cooldown(steps),
        None => recipe,
    };
    let data_set = Some("digits".to_owned());
    let config = TrainConfig { data_set, seed: args.seed, ..recipe };
    say(format_args!("training on {} digits, layers 784 and {:?}; Ctrl-C ends it early", data.rows(), config.hidden));
    let mut trainer = Trainer::new(config, data.clone(), geometry)?;
    let (checkpoint, metrics) = (path("demo.safetensors"), path("demo.jsonl"));
    let options = RunOptions {
        checkpoint: &checkpoint,
        metrics: Some(&metrics),
        checkpoint_every: Duration::from_secs(30),
        samples_every: None,
        samples: MODES,
        stop: &*train::stop_flag()?,
    };
    let report = train::train(&mut trainer, &options, None)?;
    let parameters = trainer.parameters();
    let model = parameters.dbm()?;

    let Samples { modes, visible: samples, .. } = local_modes(&model, MODES, 1, args.seed)?;
    let pair = [pictures::decode(&modes, geometry)?, pictures::decode(&samples, geometry)?];
    pictures::write_groups(&path("samples.png"), geometry, &[&pair[0], &pair[1]])?;

    // The integer model goes the whole way: to the image's bytes, to the file, and back.
    let quantised = Quantised::<i8>::new(parameters)?;
    let bytes = image::encode(&quantised.dbm()?, geometry)?;
    let image_path = path("demo.bbz");
    atomic::write(&image_path, |file| file.write_all(&bytes)).with_context(|| image_path.display().to_string())?;
    let reloaded = AlignedBytes::new(&std::fs::read(&image_path).with_context(|| image_path.display().to_string())?);
    let image: Image<'_> = reloaded.image().with_context(|| image_path.display().to_string())?;
    let integer = image.dbm::<i8>()?;
    let agreement = Agreement::measure(&model, &integer, &test, args.seed)?;

    let puzzle = Puzzle::new(&Mask::HalfLeft, geometry, test.clone(), args.seed)?;
    let restored = puzzle.modes(&model, args.seed)?;
    let means = |p: &[f32]| puzzle.share(&rounded(p, test.cols()));
    let shares = [
        ("restored_f32", "this model, mean of samples", means(&puzzle.means(&model, args.seed)?)),
        ("restored_i8", "the same with 8-bit weights", means(&puzzle.means(&integer, args.seed)?)),
        ("restored_mode", "this model, lowest local mode", puzzle.share(&restored)),
        ("restored_majority", "per-pixel majority", puzzle.baseline(majority, &data)),
        ("restored_nearest", "nearest neighbour", puzzle.baseline(nearest, &data)),
    ];
    let shown = 0..SHOWN;
    inpaint::write_grid(
        &path("inpaint.png"),
        geometry,
        &test.subset(shown.clone()),
        &puzzle.pixels,
        &pictures::decode(&restored.subset(shown), geometry)?,
    )?;

    let seconds = start.elapsed().as_secs_f64();
    let distinct = modes.distinct_rows();
    if args.json {
        let mut answer = json!({"seconds": seconds, "updates": report.step, "distinct_modes": distinct});
        for (name, _, share) in shares {
            answer[name] = serde_json::to_value(share)?;
        }
        return print_json(out, &answer);
    }
    writeln!(out, "trained: {} updates in {:.0} s", report.step, report.seconds)?;
    writeln!(out, "modes: {distinct} of {MODES} distinct; modes and samples are in {}", path("samples.png").display())?;
    writeln!(
        out,
        "8-bit weights: {} bytes; fields differ by {:.3} (rms), {:.1} % of hidden units agree in the modes of {} digits",
        bytes.len(),
        agreement.field_rms,
        100.0 * agreement.mode_units,
        agreement.vectors
    )?;
    writeln!(out, "left half of {} test digits restored:      all   those on", test.rows())?;
    for (_, what, share) in shares {
        writeln!(out, "  {what:<38} {:5.1} %   {:5.1} %", 100.0 * share.all, 100.0 * share.on)?;
    }
    writeln!(out, "original, hidden, restored are in {}", path("inpaint.png").display())?;
    writeln!(out, "{}, {}: for the other commands, and for a device", checkpoint.display(), image_path.display())?;
    writeln!(out, "all of it in {seconds:.0} s")?;
    Ok(())
}
