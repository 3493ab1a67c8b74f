//! The section `frechet`: how far generated images are from real ones.

use std::io::{self, Write};

use serde::Serialize;

use super::generated::Generated;

/// Squared Fréchet distances to the test images.
#[derive(Serialize)]
pub(super) struct Section {
    modes: f64,
    samples: f64,
    floor: f64,
    ceiling: f64,
}

impl Section {
    pub(super) fn new(all: &Generated) -> Self {
        let [modes, samples, floor, ceiling] = all.compared().map(|(_, quality)| quality.frechet);
        Self { modes, samples, floor, ceiling }
    }
}

impl super::Section for Section {
    fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "Fréchet distance to the test images")?;
        for (name, distance) in
            [("modes", self.modes), ("samples", self.samples), ("floor", self.floor), ("ceiling", self.ceiling)]
        {
            writeln!(out, "{name:<10}{distance:>10.2}")?;
        }
        Ok(())
    }
}
