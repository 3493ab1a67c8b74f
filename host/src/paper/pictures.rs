//! Rows of bits as a picture of many images.

use bitboltz_core::image::Geometry;

use super::{PaperError, Picture};
use crate::{
    bits::BitMatrix,
    dataset::{Encoding, Images, labels::narrowed},
    grid::Grid,
};

/// The images that rows of visible units show; label units behind the picture are left out.
///
/// # Errors
/// [`PaperError::Encode`].
pub fn images(rows: &BitMatrix, geometry: Geometry) -> Result<Images, PaperError> {
    let (width, height, channels) = (geometry.width.into(), geometry.height.into(), geometry.channels.into());
    Ok(Encoding::new(geometry.bits)?.decode(&narrowed(rows, geometry.units()), width, height, channels)?)
}

/// An empty picture whose rows have so many images.
///
/// # Errors
/// [`PaperError::Grid`].
pub fn grid(geometry: Geometry, columns: usize) -> Result<Grid, PaperError> {
    Ok(Grid::new(geometry.width.into(), geometry.height.into(), geometry.channels.into())?.across(columns))
}

/// A picture of all rows of some matrices, one after the other, so many in a row.
///
/// # Errors
/// [`PaperError::Encode`], [`PaperError::Grid`].
pub fn of_rows<'a>(
    name: String,
    parts: impl IntoIterator<Item = &'a BitMatrix>,
    geometry: Geometry,
    columns: usize,
) -> Result<Picture, PaperError> {
    let mut grid = grid(geometry, columns)?;
    for rows in parts {
        let images = images(rows, geometry)?;
        for i in 0..images.len() {
            grid.push(images.image(i))?;
        }
    }
    Ok(Picture { name, png: grid.png()? })
}
