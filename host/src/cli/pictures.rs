//! Rows of visible units as pictures, and pictures as rows.

use std::{fmt, path::Path};

use anyhow::ensure;
use bitboltz_core::image::Geometry;

use crate::{
    bits::BitMatrix,
    dataset::{Encoding, Images, THRESHOLD, labels::narrowed},
    grid::Grid,
    train::TrainConfig,
};

/// The pictures that rows of visible units show.
pub(super) fn decode(rows: &BitMatrix, geometry: Geometry) -> anyhow::Result<Images> {
    let units = geometry.units();
    ensure!(units > 0, "the model does not say how its visible units make up a picture; write them with --npy");
    let (width, height, channels) = (geometry.width.into(), geometry.height.into(), geometry.channels.into());
    let encoding = Encoding::new(geometry.bits)?;
    Ok(encoding.decode(&narrowed(rows, units), width, height, channels)?)
}

/// The images called `data` as rows of the visible units that make up the picture of what is called `model`; label units
/// are not among them.
pub(super) fn encode(
    model: &dyn fmt::Display,
    geometry: Geometry,
    data: &str,
    images: &Images,
    threshold: u8,
) -> anyhow::Result<BitMatrix> {
    ensure!(geometry.units() > 0, "{model}: the model does not say how its visible units make up a picture");
    let found = [images.width, images.height, images.channels];
    let expected = [geometry.width.into(), geometry.height.into(), geometry.channels.into()];
    ensure!(
        found == expected,
        "{data}: the model takes images of {}, found {}",
        expected.map(|n: usize| n.to_string()).join(" × "),
        found.map(|n| n.to_string()).join(" × ")
    );
    ensure!(!images.is_empty(), "{data}: no images");
    Ok(Encoding { bits: geometry.bits, threshold }.encode(images)?)
}

/// The grey value above which a pixel is on: what was asked for, else as in the model's training.
pub(super) fn threshold(asked: Option<u8>, settings: Option<&TrainConfig>) -> u8 {
    asked.or(settings.map(|settings| settings.threshold)).unwrap_or(THRESHOLD)
}

/// An empty grid of such pictures.
pub(super) fn grid(geometry: Geometry) -> anyhow::Result<Grid> {
    Ok(Grid::new(geometry.width.into(), geometry.height.into(), geometry.channels.into())?)
}

/// Writes pictures side by side in groups: one tile of each column for every row.
pub(super) fn write_groups(path: &Path, geometry: Geometry, columns: &[&Images]) -> anyhow::Result<()> {
    let mut grid = grid(geometry)?.group(columns.len());
    for i in 0..columns[0].len() {
        for column in columns {
            grid.push(column.image(i))?;
        }
    }
    Ok(grid.write(path)?)
}
