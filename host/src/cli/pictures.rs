//! Rows of visible units as pictures.

use std::path::Path;

use anyhow::ensure;
use bitboltz_core::image::Geometry;

use crate::{
    bits::BitMatrix,
    dataset::{Encoding, Images},
    grid::Grid,
};

/// The pictures that rows of visible units show.
pub(super) fn decode(rows: &BitMatrix, geometry: Geometry) -> anyhow::Result<Images> {
    let units = geometry.units();
    ensure!(units > 0, "the model does not say how its visible units make up a picture; write them with --npy");
    let (width, height, channels) = (geometry.width.into(), geometry.height.into(), geometry.channels.into());
    let encoding = Encoding::new(geometry.bits)?;
    if units == rows.cols() {
        return Ok(encoding.decode(rows, width, height, channels)?);
    }
    let cut = (0..rows.rows()).map(|i| (0..units).map(|j| rows.get(i, j)).collect::<Vec<bool>>());
    Ok(encoding.decode(&BitMatrix::from_rows(units, cut)?, width, height, channels)?)
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
