//! Features of images for which there is no network: the means of their blocks of pixels.
//!
//! A network sees shapes; these see only where an image is light, dark and coloured. A generator can be close by them and
//! still show nothing that a person recognises, so their distances say less, and compare only with each other.

use bitboltz_core::image::Geometry;
use rayon::prelude::*;

use super::features::FeatureSet;
use crate::dataset::Images;

/// Blocks in a row and in a column, where there are as many pixels.
const SIDE: usize = 8;

/// The mean of each block and channel, in grey levels from 0 to 255: an image cut into 8 × 8 blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockMeans {
    width: usize,
    height: usize,
    channels: usize,
}

impl BlockMeans {
    /// For pictures of a geometry (its bits do not matter).
    #[must_use]
    pub fn new(geometry: Geometry) -> Self {
        let Geometry { width, height, channels, .. } = geometry;
        Self { width: width.into(), height: height.into(), channels: channels.into() }
    }

    /// Blocks in a row and in a column.
    #[must_use]
    pub fn sides(&self) -> (usize, usize) {
        (self.width.min(SIDE), self.height.min(SIDE))
    }

    /// The number of features.
    #[must_use]
    pub fn dims(&self) -> usize {
        let (across, down) = self.sides();
        across * down * self.channels
    }

    /// The features of every image.
    ///
    /// # Panics
    /// If the images are of another size.
    #[must_use]
    pub fn run(&self, images: &Images) -> FeatureSet {
        let Self { width, height, channels } = *self;
        assert_eq!(
            (images.width, images.height, images.channels),
            (width, height, channels),
            "images of the same size"
        );
        let (across, down) = self.sides();
        // Of pixel (x, y): how many blocks have begun before it, but for its own.
        let block = |x: usize, y: usize| (y * down / height) * across + x * across / width;
        let mut sizes = vec![0_u32; across * down];
        (0..height).for_each(|y| (0..width).for_each(|x| sizes[block(x, y)] += 1));
        let rows = images.pixels.par_chunks_exact(images.image_len()).flat_map_iter(|image| {
            let mut sums = vec![0_u32; self.dims()];
            for (pixel, values) in image.chunks_exact(channels).enumerate() {
                let first = block(pixel % width, pixel / width) * channels;
                for (sum, &value) in sums[first..].iter_mut().zip(values) {
                    *sum += u32::from(value);
                }
            }
            let means = sums.iter().enumerate().map(|(i, &sum)| sum as f32 / sizes[i / channels] as f32);
            means.collect::<Vec<_>>()
        });
        FeatureSet::new(self.dims(), rows.collect(), None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images(width: usize, height: usize, channels: usize, pixels: Vec<u8>) -> Images {
        Images { name: "x".into(), width, height, channels, pixels, labels: None }
    }

    #[test]
    fn means_are_of_blocks_and_channels() {
        let geometry = Geometry { width: 16, height: 1, channels: 3, bits: 8 };
        let means = BlockMeans::new(geometry);
        assert_eq!((means.sides(), means.dims()), ((8, 1), 24));
        // Red is the column, green twice the column, blue the image.
        let pixel = |image: u8, x: u8| [x, 2 * x, image];
        let pixels = (0..2).flat_map(|image| (0..16).flat_map(move |x| pixel(image, x))).collect();
        let found = means.run(&images(16, 1, 3, pixels));
        let expected: Vec<f32> = (0..2)
            .flat_map(|image| (0..8).flat_map(move |b| [2.0 * b as f32 + 0.5, 4.0 * b as f32 + 1.0, image as f32]))
            .collect();
        assert_eq!(found.values(), expected);
    }

    #[test]
    fn every_pixel_counts_once_and_small_images_are_their_own_features() {
        let geometry = Geometry { width: 9, height: 11, channels: 1, bits: 1 };
        let means = BlockMeans::new(geometry);
        let one = |at: usize| means.run(&images(9, 11, 1, (0..99).map(|i| if i == at { 255 } else { 0 }).collect()));
        for at in 0..99 {
            assert_eq!(one(at).values().iter().filter(|&&mean| mean > 0.0).count(), 1);
        }
        let small = BlockMeans::new(Geometry { width: 2, height: 2, channels: 1, bits: 1 });
        assert_eq!(small.run(&images(2, 2, 1, vec![1, 2, 3, 4])).values(), [1.0, 2.0, 3.0, 4.0]);
    }
}
