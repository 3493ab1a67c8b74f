//! `bitboltz judge`: pictures from anywhere, by the measures of `bitboltz eval`.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use anyhow::{Context as _, ensure};
use serde::Serialize;

use super::{print_json, progress::Bars, train};
use crate::{
    bits::BitMatrix,
    dataset::{self, Images, Split, THRESHOLD},
    eval::{
        judge::{Extractor, Judge, Quality, check},
        nearest::{self, Nearest},
    },
};

/// Compare pictures that any other generator made with the test images of a data set: as `bitboltz eval --only
/// frechet,coverage` compares those of a model, so that the figures can stand side by side.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Figures compare only for the same network, the same number of pictures, bits and threshold.\n\n\
                        Examples:\n  bitboltz judge gan.npy mnist\n  \
                        bitboltz judge folder-of-pictures fashion-mnist --json"
)]
pub(super) struct Args {
    /// The pictures: .npy, IDX, CSV, PNG or a folder of these, as for DATA; more than there are features, and no more than
    /// training images.
    pictures: PathBuf,
    /// A known data set, or a path, with training and test images.
    data: String,
    /// Bits of a pixel, its highest ones.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=8))]
    bits: u8,
    /// With 1 bit, a pixel is on if its grey value is above this.
    #[arg(long, default_value_t = THRESHOLD)]
    threshold: u8,
    /// The network of features: mnist, fashion, or an ONNX file, as in bitboltz eval [default: that of the data set; where there
    /// is none, means of blocks of pixels].
    #[arg(long, value_name = "mnist|fashion|FILE")]
    features: Option<String>,
    /// Seed of which training images, and what noise, the pictures stand beside.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// What was found.
#[derive(Serialize)]
struct Report {
    source: String,
    data: String,
    /// Pictures of each kind.
    count: usize,
    test_count: usize,
    network: String,
    dims: usize,
    pictures: Quality,
    floor: Quality,
    ceiling: Quality,
    /// Of the pictures, to the nearest training images.
    nearest: Nearest,
    /// The same of the test images: what is no copy.
    test_nearest: Nearest,
    test_classes: Option<Vec<f64>>,
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<()> {
    let source = args.pictures.display().to_string();
    let load = |data: &str, split| -> anyhow::Result<Images> { Ok(dataset::load(data, split)?) };
    let (train, test) = (load(&args.data, Split::Train)?, load(&args.data, Split::Test)?);
    let pictures = load(&source, Split::Test)?;
    let size = |images: &Images| [images.width, images.height, images.channels];
    ensure!(
        size(&pictures) == size(&test),
        "{source}: expected pictures of {} as in {}, found {}",
        size(&test).map(|n| n.to_string()).join(" × "),
        args.data,
        size(&pictures).map(|n| n.to_string()).join(" × ")
    );
    // What cannot be judged is refused before all images are encoded.
    let rows = |images: Images| train::encode(&images, args.bits, args.threshold);
    let (_, geometry) = rows(test.subset(0..1))?;
    let extractor = match &args.features {
        Some(source) => Extractor::open(source, geometry)?,
        None => Extractor::of_data(&args.data, geometry)?,
    };
    let count = pictures.len();
    check(extractor.dims(), count, train.len(), test.len()).with_context(|| format!("judging {source}"))?;
    let [(train, _), (test, _), (pictures, _)] = [rows(train)?, rows(test)?, rows(pictures)?];
    ensure!(
        train != test,
        "{}: training and test images are the same; they have to differ, to say how near real images come",
        args.data
    );
    let judge = Judge::new(extractor, geometry, &train, &test, count, args.seed, &Bars)?;
    let nearest = |rows: &BitMatrix| Nearest::new(&nearest::distances(rows, &train));
    let report = Report {
        source,
        data: args.data.clone(),
        count,
        test_count: test.rows(),
        network: judge.extractor().name(),
        dims: judge.extractor().dims(),
        pictures: judge.quality(&pictures, &Bars)?,
        nearest: nearest(&pictures),
        test_nearest: nearest(&test),
        floor: judge.floor.clone(),
        ceiling: judge.ceiling.clone(),
        test_classes: judge.test_classes.clone(),
    };
    if args.json { print_json(out, &report) } else { Ok(report.print(out)?) }
}

impl Report {
    fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(
            out,
            "{}: {} pictures beside {} test images of {}; {} ({} features)",
            self.source, self.count, self.test_count, self.data, self.network, self.dims
        )?;
        writeln!(
            out,
            "{:<10}{:>10}{:>11}{:>10}{:>10}{:>10}",
            "", "Fréchet", "precision", "recall", "coverage", "distinct"
        )?;
        let rows = [("pictures", &self.pictures), ("floor", &self.floor), ("ceiling", &self.ceiling)];
        for (name, Quality { frechet, coverage, distinct, .. }) in rows {
            writeln!(
                out,
                "{name:<10}{frechet:>10.2}{:>11.3}{:>10.3}{:>10.3}{distinct:>10}",
                coverage.precision, coverage.recall, coverage.coverage
            )?;
        }
        writeln!(
            out,
            "nearest training image: {:.1} bits away in the mean, copies {:.2} %; of test images {:.1} bits, {:.2} %",
            self.nearest.mean,
            100.0 * self.nearest.copies,
            self.test_nearest.mean,
            100.0 * self.test_nearest.copies
        )?;
        if self.test_classes.is_some() {
            writeln!(out, "classes that the network sees, %")?;
            for (name, shares) in [("pictures", &self.pictures.classes), ("test", &self.test_classes)] {
                write!(out, "{name:<10}")?;
                shares.iter().flatten().try_for_each(|share| write!(out, "{:>6.1}", 100.0 * share))?;
                writeln!(out)?;
            }
        }
        Ok(())
    }
}
