//! Hidden pixels filled in by a model and by two baselines, and what share of them came back.

use bitboltz_core::{
    image::Geometry, inpaint::Inpaint, model::DenseDbm, posterior::PosteriorMean, search::SearchCapHit,
};
use serde::Serialize;
use thiserror::Error;

use crate::{
    batch::TileWeight,
    bits::{BitMatrix, BitsError},
    dataset::{
        Mask, MaskError,
        labels::{label_units, widened},
    },
    inpainting::{Lead, Restored, hidden_units, hide, majority, marginals, nearest, restore, rounded},
};

/// Why nothing was restored.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RestorationError {
    /// The mask does not fit the pictures.
    #[error(transparent)]
    Mask(#[from] MaskError),
    /// A search found no mode.
    #[error(transparent)]
    Search(#[from] SearchCapHit),
    /// The rows would not fit in memory.
    #[error(transparent)]
    TooLarge(#[from] BitsError),
}

/// Images with a part hidden.
#[derive(Debug, Clone)]
pub struct Puzzle {
    /// The mask.
    pub mask: String,
    /// Hidden pixels: one mask for all of the images, or one for each.
    pub pixels: Vec<Vec<bool>>,
    /// Rows of visible units, label units behind the picture included.
    pub images: BitMatrix,
    /// What is to be found: the hidden units of the picture, and all label units.
    free: BitMatrix,
    /// What counts: without the label units.
    hidden: BitMatrix,
}

/// The images with their hidden units filled in.
#[derive(Debug, Clone)]
pub struct Filled {
    /// The lowest of several local modes.
    pub modes: BitMatrix,
    /// P(on | known pixels), row by row, by [`PosteriorMean::default`].
    pub means: Vec<f32>,
    /// The value of most training images.
    pub majority: BitMatrix,
    /// The training image that differs least in the known pixels.
    pub nearest: BitMatrix,
}

/// Shares of the hidden units that were restored right.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ByMask {
    /// The mask.
    pub mask: String,
    /// In all images.
    pub hidden_units: u64,
    /// Of [`Filled::modes`].
    pub modes: Restored,
    /// Of [`Filled::means`], rounded.
    pub means: Restored,
    /// Of [`Filled::majority`].
    pub majority: Restored,
    /// Of [`Filled::nearest`].
    pub nearest: Restored,
    /// The means over the nearest training image.
    pub lead: Lead,
}

/// The halves, a box of half the sides in the middle, and half of the pixels.
#[must_use]
pub fn usual_masks(geometry: Geometry) -> Vec<Mask> {
    let (width, height) = (usize::from(geometry.width), usize::from(geometry.height));
    let (w, h) = (width.div_ceil(2), height.div_ceil(2));
    let middle = Mask::Box { x: (width - w) / 2, y: (height - h) / 2, w, h };
    vec![Mask::HalfLeft, Mask::HalfRight, Mask::HalfTop, Mask::HalfBottom, middle, Mask::Random(0.5)]
}

impl Filled {
    /// [`means`](Self::means), on from a half.
    #[must_use]
    pub fn rounded(&self) -> BitMatrix {
        rounded(&self.means, self.modes.cols())
    }
}

impl Puzzle {
    /// Hides a part of images, whose rows show pictures of this geometry, perhaps with label units behind them: these are
    /// not known either, and do not count.
    ///
    /// # Errors
    /// [`RestorationError::Mask`], [`RestorationError::TooLarge`].
    pub fn new(mask: &Mask, geometry: Geometry, images: BitMatrix, seed: u64) -> Result<Self, RestorationError> {
        let labels = label_units(images.cols(), geometry).len();
        let (pixels, hidden) = hide(mask, geometry, images.rows(), seed)?;
        let (free, hidden) = (widened(&hidden, labels, true)?, widened(&hidden, labels, false)?);
        Ok(Self { mask: mask.to_string(), pixels, images, free, hidden })
    }

    /// Only the modes.
    ///
    /// # Errors
    /// [`RestorationError::Search`].
    pub fn modes<W: TileWeight>(&self, model: &DenseDbm<'_, W>, seed: u64) -> Result<BitMatrix, RestorationError> {
        Ok(restore(model, &self.images, &self.free, &Inpaint::default(), seed)?)
    }

    /// Only the means, as [`Filled::means`].
    ///
    /// # Errors
    /// [`RestorationError::Search`].
    pub fn means<W: TileWeight>(&self, model: &DenseDbm<'_, W>, seed: u64) -> Result<Vec<f32>, RestorationError> {
        Ok(marginals(model, &self.images, &self.free, &PosteriorMean::default(), seed)?)
    }

    /// What a baseline ([`majority`] or [`nearest`]) restores of it.
    #[must_use]
    pub fn baseline(&self, fill: fn(&BitMatrix, &BitMatrix, &BitMatrix) -> BitMatrix, train: &BitMatrix) -> Restored {
        self.share(&fill(train, &self.images, &self.free))
    }

    /// By everything.
    ///
    /// # Errors
    /// [`RestorationError::Search`].
    pub fn fill<W: TileWeight>(
        &self,
        model: &DenseDbm<'_, W>,
        train: &BitMatrix,
        seed: u64,
    ) -> Result<Filled, RestorationError> {
        let Self { images, free, .. } = self;
        Ok(Filled {
            modes: self.modes(model, seed)?,
            means: self.means(model, seed)?,
            majority: majority(train, images, free),
            nearest: nearest(train, images, free),
        })
    }

    /// What share of the hidden units is right.
    #[must_use]
    pub fn share(&self, restored: &BitMatrix) -> Restored {
        Restored::new(&self.images, restored, &self.hidden)
    }

    /// The shares of everything.
    #[must_use]
    pub fn shares(&self, filled: &Filled) -> ByMask {
        let means = filled.rounded();
        ByMask {
            mask: self.mask.clone(),
            hidden_units: hidden_units(&self.hidden),
            modes: self.share(&filled.modes),
            means: self.share(&means),
            majority: self.share(&filled.majority),
            nearest: self.share(&filled.nearest),
            lead: Lead::new(&self.images, &means, &filled.nearest, &self.hidden),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::Parameters;

    /// A machine whose biases alone say what is on: it restores that, whatever is known; labels do not count.
    #[test]
    fn shares_are_of_the_hidden_pixels() {
        let geometry = Geometry { width: 4, height: 2, channels: 1, bits: 1 };
        let mut parameters = Parameters::zeros(&[10, 2], geometry).unwrap();
        for (unit, bias) in parameters.tensors_mut().1[0].iter_mut().enumerate() {
            *bias = if unit % 2 == 0 { 30.0 } else { -30.0 };
        }
        // Left half of 4 × 2 pixels: units 0, 1, 4, 5. The last two units are labels.
        let images = BitMatrix::from_u8(1, 10, &[1, 1, 0, 0, 1, 0, 1, 1, 0, 1]).unwrap();
        let train = BitMatrix::from_u8(2, 10, &[0, 1, 0, 0, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 1, 0]).unwrap();
        let puzzle = Puzzle::new(&Mask::HalfLeft, geometry, images, 0).unwrap();
        let filled = puzzle.fill(&parameters.dbm().unwrap(), &train, 1).unwrap();
        assert_eq!(filled.modes.to_u8(), [1, 0, 0, 0, 1, 0, 1, 1, 1, 0]);
        let found = puzzle.shares(&filled);
        assert_eq!((found.mask.as_str(), found.hidden_units), ("half-left", 4));
        // On in the original: 0, 1, 4. Restored: 0, 4. The first training image is the nearer one.
        assert_eq!(found.modes, Restored { all: 0.75, on: 2.0 / 3.0 });
        assert_eq!(found.means, found.modes);
        assert_eq!(found.nearest, Restored { all: 0.5, on: 1.0 / 3.0 });
        assert_eq!(found.majority, found.nearest);
        assert!(found.lead.share == 0.25 && found.lead.standard_error.is_nan());
    }

    #[test]
    fn masks_suit_the_pictures() {
        let geometry = Geometry { width: 5, height: 3, channels: 1, bits: 1 };
        let masks = usual_masks(geometry);
        assert_eq!(masks[4], Mask::Box { x: 1, y: 0, w: 3, h: 2 });
        for mask in masks {
            Puzzle::new(&mask, geometry, BitMatrix::zeros(2, 15), 3).unwrap();
        }
    }
}
