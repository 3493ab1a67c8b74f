//! The section `frechet`: how far generated images are from real ones.

use std::io::{self, Write};

use serde::Serialize;

use crate::eval::{
    frechet::{FrechetError, Gaussian},
    generated::{Generated, Pictures},
};

/// Squared Fréchet distances to the test images.
#[derive(Serialize)]
pub(super) struct Section {
    modes: f64,
    samples: f64,
    floor: f64,
    ceiling: f64,
}

pub(super) fn measure(all: &Generated) -> Result<Section, FrechetError> {
    let test = Gaussian::fit(&all.test.features)?;
    let distance = |pictures: &Pictures| test.distance(&Gaussian::fit(&pictures.features)?);
    Ok(Section {
        modes: distance(&all.modes)?,
        samples: distance(&all.samples)?,
        floor: distance(&all.floor)?,
        ceiling: distance(&all.ceiling)?,
    })
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
