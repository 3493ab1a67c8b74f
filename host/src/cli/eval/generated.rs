//! What `frechet` and `coverage` share: generated pictures, and the network that looks at them.

use std::{
    io::{self, Write},
    path::PathBuf,
    str::FromStr,
    time::Instant,
};

use anyhow::{Context as _, ensure};
use serde::Serialize;

use super::Subject;
use crate::{
    dataset::labels::narrowed,
    eval::{
        features::{Embedded, Features},
        generated::{Generated, check},
    },
    sampling::local_modes,
    stages::Stages,
    with_model,
};

/// Samples unless told otherwise, if there are as many training images.
const SAMPLES: usize = 10_000;

/// How many pictures, and who looks at them.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// Modes, and samples, that are compared with the test images; 10,000 unless given, or one for each training image
    /// where there are fewer.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    samples: Option<u32>,
    /// The network of features: mnist or fashion, which come with the program (for digits and mnist, and for
    /// fashion-mnist, unless told otherwise), or an ONNX file.
    #[arg(long, value_name = "mnist|fashion|FILE")]
    features: Option<Source>,
}

/// Where a network comes from.
#[derive(Clone, Debug)]
enum Source {
    Embedded(Embedded),
    File(PathBuf),
}

impl FromStr for Source {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Embedded::of_name(text).map_or_else(|| Self::File(text.into()), Self::Embedded))
    }
}

/// A network that was opened, and a number that suits it.
pub(super) struct Plan {
    network: Features,
    samples: usize,
}

/// What was compared.
#[derive(Serialize)]
pub(super) struct Section {
    network: String,
    dims: usize,
    /// Modes, samples, training images and pictures of independent pixels: so many of each.
    count: usize,
    test_count: usize,
    /// Wall time of generating them and of the network.
    seconds: f64,
}

impl Options {
    /// Whether any was given.
    pub(super) fn is_given(&self) -> bool {
        self.samples.is_some() || self.features.is_some()
    }

    /// Opens the network, and refuses what cannot be compared.
    pub(super) fn plan(&self, subject: &Subject) -> anyhow::Result<Plan> {
        ensure!(
            subject.held_out,
            "{}: training and test images are the same; they have to differ, to say how near real images come",
            subject.data
        );
        let source = match &self.features {
            Some(source) => source.clone(),
            None => Embedded::of_data(&subject.data).map(Source::Embedded).with_context(|| {
                format!("{}: no network comes with the program for these images; give one by --features", subject.data)
            })?,
        };
        let geometry = subject.file.geometry();
        let network = match source {
            Source::Embedded(network) => Features::embedded(network, geometry)?,
            Source::File(path) => Features::open(&path, geometry)?,
        };
        let train = subject.train.rows();
        let samples = self.samples.map_or(SAMPLES.min(train), |samples| samples as usize);
        check(network.dims(), samples, train, subject.test.rows())?;
        Ok(Plan { network, samples })
    }
}

impl Plan {
    /// Generates, and looks at everything.
    pub(super) fn run(&self, subject: &Subject, stages: &dyn Stages) -> anyhow::Result<(Section, Generated)> {
        let start = Instant::now();
        let (count, seed) = (self.samples, subject.seed);
        let drawn = with_model!(&subject.file, model => local_modes(&model, count, 1, seed))?;
        let (network, geometry) = (&self.network, subject.file.geometry());
        // Without the labels.
        let pictures = |rows| narrowed(rows, geometry.units());
        let generated = [&drawn.modes, &drawn.visible].map(|rows| pictures(rows).into_owned());
        let (train, test) = (pictures(&subject.train), pictures(&subject.test));
        let all = Generated::new(network, geometry, generated, &train, &test, seed, stages)?;
        let section = Section {
            network: network.name().into(),
            dims: network.dims(),
            count,
            test_count: subject.test.rows(),
            seconds: start.elapsed().as_secs_f64(),
        };
        Ok((section, all))
    }
}

impl super::Section for Section {
    fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(
            out,
            "{} pictures each, against {} test images; {} features of {}; {:.1} s",
            self.count, self.test_count, self.dims, self.network, self.seconds
        )?;
        writeln!(out, "modes: from random bits by search; samples: a Gibbs sweep further")?;
        writeln!(out, "floor: training images; ceiling: independent pixels with their means")
    }
}
