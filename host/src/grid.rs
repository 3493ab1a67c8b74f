//! Pictures of many images: tiles in rows and columns, as PNG.
//!
//! Small images are enlarged by a whole factor, so that a pixel stays a square. Tiles of a group, such as original,
//! masked, restored, stand closer to each other than groups do.

use std::io;
use std::path::{Path, PathBuf};

use crate::atomic;

/// Between tiles: neither ink nor paper.
const GAP_COLOUR: [u8; 3] = [128, 128, 128];
/// Hidden pixels: a blue-grey that no grey image holds.
const HIDDEN_COLOUR: [u8; 3] = [92, 124, 168];
/// Tiles are enlarged until their longer side has so many pixels.
const TILE_SIDE: usize = 56;
/// Pixels between tiles.
const GAP: usize = 2;
/// Pixels between groups of several tiles.
const GROUP_GAP: usize = 8;
/// The most bytes of a picture.
const MAX_BYTES: usize = 1 << 30;

/// Why a grid could not be made or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GridError {
    /// Tiles have at least one pixel and 1 or 3 channels.
    #[error("tiles: expected at least 1 × 1 pixels of 1 or 3 channels, found {width} × {height} × {channels}")]
    Shape {
        /// Pixels in a row.
        width: usize,
        /// Rows of a tile.
        height: usize,
        /// Values of a pixel.
        channels: usize,
    },
    /// A tile, or its mask, is not of the grid's size.
    #[error("tile {tile}: expected {expected} {what}, found {found}")]
    Length {
        /// Which tile, from 0.
        tile: usize,
        /// Bytes, or mask values.
        what: &'static str,
        /// As many as the grid's tiles have.
        expected: usize,
        /// As many as were given.
        found: usize,
    },
    /// There is nothing to show.
    #[error("grid: expected at least one tile, found none")]
    Empty,
    /// More than a picture should have.
    #[error("grid: expected a picture of at most {} MiB, found {width} × {height} pixels", MAX_BYTES >> 20)]
    TooLarge {
        /// Pixels in a row of the picture.
        width: usize,
        /// Rows of the picture.
        height: usize,
    },
    /// The file system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Tiles of one size. Fill it with [`Grid::push`], then [`Grid::write`] it.
#[derive(Debug, Clone)]
pub struct Grid {
    width: usize,
    height: usize,
    channels: usize,
    group: usize,
    /// Groups in a row; as many as make the picture nearly square if `None`.
    across: Option<usize>,
    scale: usize,
    /// Red, green, blue.
    tiles: Vec<Vec<[u8; 3]>>,
    colour: bool,
}

/// A picture, row by row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// 1 (grey), or 3 if any tile has a colour or a hidden pixel.
    pub channels: usize,
    /// Height × width × channels bytes.
    pub pixels: Vec<u8>,
}

impl Grid {
    /// An empty grid for tiles of this size.
    ///
    /// # Errors
    ///
    /// [`GridError::Shape`].
    pub fn new(width: usize, height: usize, channels: usize) -> Result<Self, GridError> {
        let size = width.checked_mul(height).and_then(|size| size.checked_mul(channels));
        if size.is_none_or(|size| size == 0) || !matches!(channels, 1 | 3) {
            return Err(GridError::Shape { width, height, channels });
        }
        Ok(Self {
            width,
            height,
            channels,
            group: 1,
            across: None,
            scale: TILE_SIDE.div_ceil(width.max(height)),
            tiles: Vec::new(),
            colour: channels == 3,
        })
    }

    /// So many tiles belong together and stay in one row.
    #[must_use]
    pub fn group(mut self, tiles: usize) -> Self {
        self.group = tiles.max(1);
        self
    }

    /// So many groups in a row. Otherwise as many as make the picture nearly square.
    #[must_use]
    pub fn across(mut self, groups: usize) -> Self {
        self.across = Some(groups.max(1));
        self
    }

    /// Enlarges by this factor. Otherwise it makes the longer side of a tile at least 56 pixels.
    #[cfg(test)]
    pub(crate) fn scale(mut self, factor: usize) -> Self {
        self.scale = factor.max(1);
        self
    }

    /// The number of tiles.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tiles.len()
    }

    /// Whether there are no tiles.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tiles.is_empty()
    }

    /// Adds a tile of height × width × channels bytes.
    ///
    /// # Errors
    ///
    /// [`GridError::Length`].
    pub fn push(&mut self, pixels: &[u8]) -> Result<(), GridError> {
        self.check("bytes", self.width * self.height * self.channels, pixels.len())?;
        let tile = match self.channels {
            3 => pixels.as_chunks::<3>().0.to_vec(),
            _ => pixels.iter().map(|&grey| [grey; 3]).collect(),
        };
        self.tiles.push(tile);
        Ok(())
    }

    /// Adds a tile whose hidden pixels (one value a pixel, row by row) are shown in a blue-grey of their own.
    ///
    /// # Errors
    ///
    /// [`GridError::Length`].
    pub fn push_masked(&mut self, pixels: &[u8], hidden: &[bool]) -> Result<(), GridError> {
        self.check("mask values", self.width * self.height, hidden.len())?;
        self.push(pixels)?;
        if let Some(tile) = self.tiles.last_mut() {
            for (pixel, _) in tile.iter_mut().zip(hidden).filter(|(_, hidden)| **hidden) {
                *pixel = HIDDEN_COLOUR;
            }
        }
        self.colour |= hidden.contains(&true);
        Ok(())
    }

    fn check(&self, what: &'static str, expected: usize, found: usize) -> Result<(), GridError> {
        if expected == found {
            return Ok(());
        }
        Err(GridError::Length { tile: self.tiles.len(), what, expected, found })
    }

    /// The picture.
    ///
    /// # Errors
    ///
    /// [`GridError::Empty`] or [`GridError::TooLarge`].
    pub fn render(&self) -> Result<Picture, GridError> {
        if self.tiles.is_empty() {
            return Err(GridError::Empty);
        }
        let groups = self.tiles.len().div_ceil(self.group);
        let across = self.across.unwrap_or_else(|| self.near_square(groups)).min(groups);
        let (tile_w, tile_h) = (self.width.saturating_mul(self.scale), self.height.saturating_mul(self.scale));
        // Saturating: what is too large is refused below.
        let group_w = (tile_w.saturating_add(GAP)).saturating_mul(self.group).saturating_sub(GAP);
        let gap = if self.group > 1 { GROUP_GAP } else { GAP };
        let width = group_w.saturating_add(gap).saturating_mul(across).saturating_sub(gap).saturating_add(GAP * 2);
        let height = tile_h.saturating_add(GAP).saturating_mul(groups.div_ceil(across)).saturating_add(GAP);
        if width.saturating_mul(height).saturating_mul(3) > MAX_BYTES {
            return Err(GridError::TooLarge { width, height });
        }
        let mut canvas = vec![GAP_COLOUR; width * height];
        for (i, tile) in self.tiles.iter().enumerate() {
            let (group, member) = (i / self.group, i % self.group);
            let left = GAP + group % across * (group_w + gap) + member * (tile_w + GAP);
            let top = GAP + group / across * (tile_h + GAP);
            for y in 0..tile_h {
                let row = &tile[y / self.scale * self.width..][..self.width];
                let start = (top + y) * width + left;
                let line = &mut canvas[start..start + tile_w];
                for (cells, &pixel) in line.chunks_mut(self.scale).zip(row) {
                    cells.fill(pixel);
                }
            }
        }
        let (channels, pixels) =
            if self.colour { (3, canvas.into_flattened()) } else { (1, canvas.iter().map(|pixel| pixel[0]).collect()) };
        Ok(Picture { width, height, channels, pixels })
    }

    fn near_square(&self, groups: usize) -> usize {
        let ratio = self.height as f64 / (self.width as f64 * self.group as f64);
        ((groups as f64 * ratio).sqrt().round() as usize).max(1)
    }

    /// The picture as PNG.
    ///
    /// # Errors
    ///
    /// As [`Grid::render`].
    pub fn png(&self) -> Result<Vec<u8>, GridError> {
        let mut bytes = Vec::new();
        encode(&self.render()?, &mut bytes).expect("memory can be written");
        Ok(bytes)
    }

    /// Writes the picture as PNG: whole, or not at all.
    ///
    /// # Errors
    ///
    /// As [`Grid::render`], and [`GridError::Io`].
    pub fn write(&self, path: &Path) -> Result<(), GridError> {
        let picture = self.render()?;
        atomic::write(path, |out| encode(&picture, out)).map_err(|source| GridError::Io { path: path.into(), source })
    }
}

fn encode(picture: &Picture, out: impl io::Write) -> io::Result<()> {
    // Both fit: the picture is below 2^30 bytes.
    let mut encoder = png::Encoder::new(out, picture.width as u32, picture.height as u32);
    encoder.set_color(if picture.channels == 3 { png::ColorType::Rgb } else { png::ColorType::Grayscale });
    encoder.set_compression(png::Compression::High);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&picture.pixels)?;
    writer.finish()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(count: u8) -> Grid {
        let mut grid = Grid::new(2, 1, 1).unwrap().scale(1);
        for i in 0..count {
            grid.push(&[i, 255 - i]).unwrap();
        }
        grid
    }

    #[test]
    fn tiles_stand_in_rows() {
        let picture = filled(6).render().unwrap();
        assert_eq!((picture.width, picture.height, picture.channels), (10, 11, 1));
        let g = 128;
        assert_eq!(picture.pixels[..20], [g; 20]);
        assert_eq!(picture.pixels[20..30], [g, g, 0, 255, g, g, 1, 254, g, g]);
        assert_eq!(picture.pixels[50..60], [g, g, 2, 253, g, g, 3, 252, g, g]);
    }

    #[test]
    fn small_tiles_are_enlarged_and_the_grid_is_near_square() {
        let mut grid = Grid::new(28, 28, 1).unwrap();
        for _ in 0..100 {
            grid.push(&[7; 784]).unwrap();
        }
        let picture = grid.render().unwrap();
        assert_eq!((picture.width, picture.height), (582, 582));
        let mut one = Grid::new(3, 2, 1).unwrap();
        one.push(&[1, 2, 3, 4, 5, 6]).unwrap();
        let picture = one.render().unwrap();
        assert_eq!((picture.width, picture.height), (3 * 19 + 4, 2 * 19 + 4));
        let at = |x: usize, y: usize| picture.pixels[(2 + y) * picture.width + 2 + x];
        assert_eq!([at(0, 0), at(18, 18), at(19, 18), at(56, 37)], [1, 1, 2, 6]);
        assert_eq!(Grid::new(100, 60, 3).unwrap().scale, 1);
    }

    #[test]
    fn groups_stay_together_and_masks_are_tinted() {
        let mut grid = Grid::new(1, 4, 1).unwrap().scale(1).group(2);
        grid.push(&[10; 4]).unwrap();
        grid.push_masked(&[10; 4], &[true; 4]).unwrap();
        grid.push(&[20; 4]).unwrap();
        grid.push_masked(&[20; 4], &[false; 4]).unwrap();
        let picture = grid.render().unwrap();
        // 2 + (1 2 1) + 8 + (1 2 1) + 2
        assert_eq!((picture.width, picture.height, picture.channels), (20, 8, 3));
        let at = |x: usize| &picture.pixels[(2 * 20 + x) * 3..][..3];
        assert_eq!([at(2), at(5), at(14), at(17)], [&[10; 3], &HIDDEN_COLOUR, &[20; 3], &[20; 3]]);
        assert_eq!([at(3), at(6), at(13), at(18)], [&GAP_COLOUR; 4]);
    }

    #[test]
    fn groups_stand_where_they_are_told() {
        let rows = filled(6).group(3).across(1).render().unwrap();
        // Two rows of three tiles.
        assert_eq!((rows.width, rows.height), (2 + 3 * 2 + 2 * 2 + 2, 2 + 2 * (1 + 2)));
        let row = filled(4).across(9).render().unwrap();
        assert_eq!((row.width, row.height), (2 + 4 * (2 + 2), 1 + 2 * 2));
    }

    #[test]
    fn what_was_written_reads_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("grid.png");
        for mut grid in [filled(5), Grid::new(1, 2, 3).unwrap()] {
            if grid.is_empty() {
                grid.push(&[1, 2, 3, 4, 5, 6]).unwrap();
            }
            grid.write(&path).unwrap();
            let file = io::BufReader::new(std::fs::File::open(&path).unwrap());
            let mut reader = png::Decoder::new(file).read_info().unwrap();
            let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
            reader.next_frame(&mut pixels).unwrap();
            assert_eq!(pixels, grid.render().unwrap().pixels);
            assert_eq!(std::fs::read(&path).unwrap(), grid.png().unwrap());
        }
    }

    #[test]
    fn what_cannot_be_shown_is_an_error() {
        assert!(matches!(Grid::new(0, 1, 1), Err(GridError::Shape { .. })));
        assert!(matches!(Grid::new(1, 1, 2), Err(GridError::Shape { .. })));
        assert!(matches!(Grid::new(usize::MAX, 2, 1), Err(GridError::Shape { .. })));
        let mut grid = Grid::new(2, 2, 1).unwrap();
        assert!(matches!(grid.render(), Err(GridError::Empty)));
        let error = grid.push(&[1, 2, 3]).unwrap_err().to_string();
        assert_eq!(error, "tile 0: expected 4 bytes, found 3");
        assert!(grid.push_masked(&[1; 4], &[true; 3]).is_err());
        assert!(grid.is_empty());
        grid.push(&[1; 4]).unwrap();
        let huge = grid.clone().scale(usize::MAX).group(usize::MAX);
        assert!(matches!(huge.render(), Err(GridError::TooLarge { .. })));
        assert!(grid.write(Path::new("no/such/folder/g.png")).is_err());
    }
}
