//! What `frechet` and `coverage` share: generated pictures, and the network that looks at them.

use std::{
    io::{self, Write},
    time::Instant,
};

use anyhow::ensure;
use serde::Serialize;

use super::Subject;
use crate::{
    bits::BitMatrix,
    dataset::labels::narrowed,
    eval::judge::{Extractor, Judge, Quality, check},
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
    /// Gibbs sweeps from a mode to its sample: 1 is what ucd-lmi trains; a model of persistent chains may need many.
    #[arg(long, default_value_t = 1, value_name = "N")]
    sample_sweeps: u32,
    /// The network of features: mnist or fashion, which come with the program (for digits and mnist, and for
    /// fashion-mnist, unless told otherwise), or an ONNX file; for other images, unless given, the means of blocks of pixels.
    #[arg(long, value_name = "mnist|fashion|FILE")]
    features: Option<String>,
}

/// Who looks at the pictures, and a number that suits them.
pub(super) struct Plan {
    extractor: Extractor,
    samples: usize,
    sweeps: u32,
}

/// What a model generated, as bits without labels, and what was found of it.
pub(super) struct Generated {
    pub(super) judge: Judge,
    pub(super) modes: (BitMatrix, Quality),
    pub(super) samples: (BitMatrix, Quality),
}

impl Generated {
    /// Everything that is compared with the test images, with its name.
    pub(super) fn compared(&self) -> [(&'static str, &Quality); 4] {
        [
            ("modes", &self.modes.1),
            ("samples", &self.samples.1),
            ("floor", &self.judge.floor),
            ("ceiling", &self.judge.ceiling),
        ]
    }
}

/// What was compared.
#[derive(Serialize)]
pub(super) struct Section {
    network: String,
    dims: usize,
    /// Modes, samples, training images and pictures of independent pixels: so many of each.
    count: usize,
    test_count: usize,
    /// Gibbs sweeps from modes to samples.
    sweeps: u32,
    /// Wall time of generating them, of the network, and of the comparison.
    seconds: f64,
}

impl Options {
    /// Whether any was given.
    pub(super) fn is_given(&self) -> bool {
        self.samples.is_some() || self.features.is_some() || self.sample_sweeps != 1
    }

    /// Opens the network, and refuses what cannot be compared.
    pub(super) fn plan(&self, subject: &Subject) -> anyhow::Result<Plan> {
        ensure!(
            subject.held_out,
            "{}: training and test images are the same; they have to differ, to say how near real images come (--train names \
             other training images)",
            subject.data
        );
        let geometry = subject.file.geometry();
        let extractor = match &self.features {
            Some(source) => Extractor::open(source, geometry)?,
            None => Extractor::of_data(&subject.data, geometry)?,
        };
        let train = subject.train.rows();
        let samples = self.samples.map_or(SAMPLES.min(train), |samples| samples as usize);
        check(extractor.dims(), samples, train, subject.test.rows())?;
        Ok(Plan { extractor, samples, sweeps: self.sample_sweeps })
    }
}

impl Plan {
    /// Generates, and looks at everything.
    pub(super) fn run(self, subject: &Subject, stages: &dyn Stages) -> anyhow::Result<(Section, Generated)> {
        let start = Instant::now();
        let (count, seed, geometry) = (self.samples, subject.seed, subject.file.geometry());
        let drawn = with_model!(&subject.file, model => local_modes(&model, count, self.sweeps, seed))?;
        let judge = Judge::new(self.extractor, geometry, &subject.train, &subject.test, count, seed, stages)?;
        let looked_at = |rows: &BitMatrix| -> anyhow::Result<(BitMatrix, Quality)> {
            Ok((narrowed(rows, geometry.units()).into_owned(), judge.quality(rows, stages)?))
        };
        let (modes, samples) = (looked_at(&drawn.modes)?, looked_at(&drawn.visible)?);
        let section = Section {
            network: judge.extractor().name(),
            dims: judge.extractor().dims(),
            count,
            test_count: subject.test.rows(),
            sweeps: self.sweeps,
            seconds: start.elapsed().as_secs_f64(),
        };
        Ok((section, Generated { judge, modes, samples }))
    }
}

impl super::Section for Section {
    fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(
            out,
            "{} pictures each, against {} test images; {} features of {}; {:.1} s",
            self.count, self.test_count, self.dims, self.network, self.seconds
        )?;
        let further =
            if self.sweeps == 1 { "a Gibbs sweep".to_owned() } else { format!("{} Gibbs sweeps", self.sweeps) };
        writeln!(out, "modes: from random bits by search; samples: {further} further")?;
        writeln!(out, "floor: training images; ceiling: independent pixels with their means")
    }
}
