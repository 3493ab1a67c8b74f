//! Inpainting of many images at once, what share of the hidden units came back, and two baselines.

use std::ops::Range;

use bitboltz_core::{
    bits::{count_ones, ones, view},
    conditional::Block,
    connection::Dense,
    image::Geometry,
    inpaint::Inpaint,
    model::{DenseDbm, Energy},
    posterior::PosteriorMean,
    rng::stream,
    search::SearchCapHit,
};
use rayon::prelude::*;
use serde::Serialize;

use crate::{
    batch::{ChainWeights, Chains, Clamping, TileWeight, in_blocks},
    bits::BitMatrix,
    dataset::{Mask, MaskError},
};

/// Restores every image: row i of `hidden` marks the visible units of row i of `images` that are to be filled in.
/// Chain i draws from `stream(seed, i)`, so the result does not depend on the number of threads, and a device that is
/// asked for chain i answers the same.
///
/// # Errors
/// [`SearchCapHit`], if the search of any image hit its cap.
///
/// # Panics
/// If the matrices are not of the same size, or their columns are not the model's visible units.
pub fn restore<W: TileWeight>(
    model: &DenseDbm<'_, W>,
    images: &BitMatrix,
    hidden: &BitMatrix,
    inpaint: &Inpaint,
    seed: u64,
) -> Result<BitMatrix, SearchCapHit> {
    let visible = model.shape().word_range(0);
    let rows = each(model, images, hidden, seed, |chains, weights| {
        lowest_modes(chains, weights, inpaint)?;
        let words = (0..chains.len()).flat_map(|chain| &chains.words(chain)[visible.clone()]);
        Ok(words.copied().collect::<Vec<u32>>())
    })?;
    Ok(BitMatrix::from_words(images.rows(), images.cols(), rows.concat()).expect("visible layers are packed rows"))
}

/// P(unit on | known units) of every image, by [`PosteriorMean`]. Row by row, `images.cols()` probabilities each. Chain i
/// draws from `stream(seed, i)`, as for [`restore`].
///
/// # Errors
/// [`SearchCapHit`].
///
/// # Panics
/// As [`restore`].
pub fn marginals<W: TileWeight>(
    model: &DenseDbm<'_, W>,
    images: &BitMatrix,
    hidden: &BitMatrix,
    mean: &PosteriorMean,
    seed: u64,
) -> Result<Vec<f32>, SearchCapHit> {
    let (visible, width) = (model.shape().word_range(0), images.cols());
    let rows = each(model, images, hidden, seed, |chains, weights| {
        let active: Vec<u32> = (0..chains.len() as u32).collect();
        let mut on = vec![0_u16; chains.len() * width];
        let mut reports = Vec::new();
        for samples in mean.shares() {
            chains.randomise(&active);
            chains.search(weights, &mean.search, &active, &mut reports);
            reports.iter().try_for_each(|report| report.map(|_| ()))?;
            (0..mean.burn_in).for_each(|_| chains.gibbs(weights, Block::Odd, &active));
            for _ in 0..samples {
                chains.gibbs(weights, Block::Odd, &active);
                for (chain, on) in on.chunks_exact_mut(width).enumerate() {
                    ones(&chains.words(chain)[visible.clone()]).for_each(|unit| on[unit] += 1);
                }
            }
        }
        Ok(on.iter().map(|&count| f32::from(count) / f32::from(mean.samples.max(1))).collect::<Vec<f32>>())
    })?;
    Ok(rows.concat())
}

/// Bits of probabilities, `cols` each row: on from a half.
///
/// # Panics
/// If they are no whole number of rows.
pub fn rounded(probabilities: &[f32], cols: usize) -> BitMatrix {
    let on: Vec<u8> = probabilities.iter().map(|&p| u8::from(p >= 0.5)).collect();
    BitMatrix::from_u8(on.len() / cols, cols, &on).expect("rows of bits")
}

/// Clamps what is known of the images of each block and lets `work` run the chains.
fn each<W: TileWeight, T: Send>(
    model: &DenseDbm<'_, W>,
    images: &BitMatrix,
    hidden: &BitMatrix,
    seed: u64,
    work: impl Fn(&mut Chains<W>, &ChainWeights<W>) -> Result<T, SearchCapHit> + Sync + Send,
) -> Result<Vec<T>, SearchCapHit> {
    let shape = *model.shape();
    assert_eq!((images.rows(), images.cols()), (hidden.rows(), hidden.cols()), "one mask row for each image");
    assert_eq!(images.cols(), shape.width(0), "images have the model's visible units");
    let weights = ChainWeights::new(model);
    let blocks = in_blocks(
        images.rows(),
        || Chains::new(&shape),
        |chains, range| {
            clamp_known(chains, &weights, images, hidden, range, seed);
            work(chains, &weights)
        },
    );
    blocks.into_iter().collect()
}

/// Gives `chains` the images of a range, all that is not hidden clamped; chain i draws from [`stream`]`(seed, i)`.
pub(crate) fn clamp_known<W: TileWeight>(
    chains: &mut Chains<W>,
    weights: &ChainWeights<W>,
    images: &BitMatrix,
    hidden: &BitMatrix,
    range: Range<usize>,
    seed: u64,
) {
    let shape = *weights.shape();
    let mut masks = vec![0; range.len() * shape.words()];
    for (mask, image) in masks.chunks_exact_mut(shape.words()).zip(range.clone()) {
        let known = mask[shape.word_range(0)].iter_mut().zip(hidden.row(image));
        known.for_each(|(known, hidden)| *known = !hidden);
    }
    let first = range.start;
    let streams = range.map(|image| stream(seed, image as u64));
    chains.reset(weights, streams, Some(&|chain| images.row(first + chain)), Clamping::Each(&masks));
}

/// Hidden pixels (one mask for all of the images, or one for each) and the hidden units of each image's picture.
///
/// # Errors
/// [`MaskError`].
pub fn hide(
    mask: &Mask,
    geometry: Geometry,
    images: usize,
    seed: u64,
) -> Result<(Vec<Vec<bool>>, BitMatrix), MaskError> {
    let (width, height, channels) = (geometry.width.into(), geometry.height.into(), geometry.channels.into());
    let kinds = if mask.varies() { images } else { 1 };
    let mut pixels = Vec::new();
    let mut units = Vec::new();
    for i in 0..kinds {
        pixels.push(mask.hidden_pixels(width, height, i, seed)?);
        units.push(mask.hidden(width, height, channels, geometry.bits, i, seed)?);
    }
    let rows = (0..images).map(|i| &units[i % kinds]);
    Ok((pixels, BitMatrix::from_rows(geometry.units(), rows).expect("a value for each unit of the picture")))
}

/// The lowest mode that each chain has come to.
struct Best<E> {
    energy: Option<E>,
    words: Vec<u32>,
}

/// [`Inpaint::restore`] for all chains side by side.
fn lowest_modes<W: TileWeight>(
    chains: &mut Chains<W>,
    weights: &ChainWeights<W>,
    inpaint: &Inpaint,
) -> Result<(), SearchCapHit> {
    let active: Vec<u32> = (0..chains.len() as u32).collect();
    let mut best: Vec<Best<Energy<Dense<'_, W>>>> =
        active.iter().map(|_| Best { energy: None, words: Vec::new() }).collect();
    let mut reports = Vec::new();
    let mut descend = |chains: &mut Chains<W>, best: &mut [Best<_>]| {
        chains.search(weights, &inpaint.search, &active, &mut reports);
        reports.iter().try_for_each(|report| report.map(|_| ()))?;
        chains.look(weights, Block::Odd, &active);
        for (chain, best) in best.iter_mut().enumerate() {
            let energy = chains.energy(weights, chain);
            if !best.energy.is_some_and(|lowest| lowest <= energy) {
                best.energy = Some(energy);
                best.words.clear();
                best.words.extend_from_slice(chains.words(chain));
            }
        }
        Ok(())
    };
    let recall = |chains: &mut Chains<W>, best: &[Best<_>]| {
        best.iter().enumerate().for_each(|(chain, best)| chains.words_mut(chain).copy_from_slice(&best.words));
    };
    for _ in 0..inpaint.restarts.max(1) {
        chains.randomise(&active);
        descend(chains, &mut best)?;
    }
    recall(chains, &best);
    for _ in 0..inpaint.sweeps {
        chains.gibbs(weights, Block::Odd, &active);
        descend(chains, &mut best)?;
    }
    recall(chains, &best);
    Ok(())
}

/// Share of hidden units restored correctly.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Restored {
    /// Of all hidden units.
    pub all: f64,
    /// Of those that are on in the original.
    pub on: f64,
}

impl Restored {
    /// Compares restored images with the originals where `hidden` is on. NaN for a share of nothing.
    ///
    /// # Panics
    /// If the matrices are not of the same size.
    pub fn new(originals: &BitMatrix, restored: &BitMatrix, hidden: &BitMatrix) -> Self {
        let (mut right, mut total, mut right_on, mut total_on) = (0, 0, 0, 0);
        for i in 0..originals.rows() {
            for ((original, restored), hidden) in originals.row(i).iter().zip(restored.row(i)).zip(hidden.row(i)) {
                let same = !(original ^ restored) & hidden;
                right += u64::from(same.count_ones());
                total += u64::from(hidden.count_ones());
                right_on += u64::from((same & original).count_ones());
                total_on += u64::from((hidden & original).count_ones());
            }
        }
        Self { all: right as f64 / total as f64, on: right_on as f64 / total_on as f64 }
    }
}

/// How far one restoration is ahead of another on the same images.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Lead {
    /// Share of the hidden units that the one restores right, minus the other's.
    pub share: f64,
    /// Its standard error, were the images a sample; of one image it is no number.
    pub standard_error: f64,
}

impl Lead {
    /// Of `one` over `other` where `hidden` is on. What is compared are images, since the pixels of one are not independent:
    /// the share is a ratio of sums over them, and so is its error.
    ///
    /// # Panics
    /// If the matrices are not of the same size.
    pub fn new(originals: &BitMatrix, one: &BitMatrix, other: &BitMatrix, hidden: &BitMatrix) -> Self {
        for rows in [one, other, hidden] {
            assert_eq!((rows.rows(), rows.cols()), (originals.rows(), originals.cols()), "matrices of the same size");
        }
        let of_image = |i: usize| {
            let words = originals.row(i).iter().zip(hidden.row(i)).zip(one.row(i).iter().zip(other.row(i)));
            let counts = words.map(|((original, hidden), (one, other))| {
                let wrong = |restored: &u32| i64::from(((original ^ restored) & hidden).count_ones());
                (wrong(other) - wrong(one), i64::from(hidden.count_ones()))
            });
            let (ahead, total) = counts.fold((0, 0), |(a, b), (x, y)| (a + x, b + y));
            (ahead as f64, total as f64)
        };
        let images: Vec<(f64, f64)> = (0..originals.rows()).map(of_image).collect();
        let (ahead, total) = images.iter().fold((0.0, 0.0), |(a, b), (x, y)| (a + x, b + y));
        let share = ahead / total;
        let squares: f64 = images.iter().map(|(ahead, total)| (ahead - share * total).powi(2)).sum();
        let count = images.len() as f64;
        let error = (squares * count / (count - 1.0)).sqrt() / total;
        Self { share, standard_error: if images.len() < 2 { f64::NAN } else { error } }
    }
}

/// Baseline: every hidden unit takes the value that most training images have there (ties go to 1).
pub fn majority(train: &BitMatrix, images: &BitMatrix, hidden: &BitMatrix) -> BitMatrix {
    let mut counts = vec![0; train.cols()];
    for i in 0..train.rows() {
        view(train.row(i), train.cols()).iter_ones().for_each(|unit| counts[unit] += 1);
    }
    let usual: Vec<bool> = counts.iter().map(|&on| 2 * on >= train.rows()).collect();
    let usual = BitMatrix::from_rows(train.cols(), [usual]).expect("one row of the right length");
    fill(images, hidden, |_| usual.row(0))
}

/// Baseline: the hidden units of the training image that differs least in the known ones (the first of equals).
pub fn nearest(train: &BitMatrix, images: &BitMatrix, hidden: &BitMatrix) -> BitMatrix {
    let neighbours: Vec<usize> = (0..images.rows())
        .into_par_iter()
        .map(|i| {
            let distance = |j: usize| -> u32 {
                let words = images.row(i).iter().zip(hidden.row(i)).zip(train.row(j));
                words.map(|((image, hidden), other)| ((image ^ other) & !hidden).count_ones()).sum()
            };
            (0..train.rows()).min_by_key(|&j| distance(j)).expect("a training set is not empty")
        })
        .collect();
    fill(images, hidden, |i| train.row(neighbours[i]))
}

fn fill<'a>(images: &BitMatrix, hidden: &BitMatrix, source: impl Fn(usize) -> &'a [u32]) -> BitMatrix {
    let words = (0..images.rows()).flat_map(|i| {
        let row = images.row(i).iter().zip(hidden.row(i)).zip(source(i));
        row.map(|((image, hidden), other)| image & !hidden | other & hidden)
    });
    BitMatrix::from_words(images.rows(), images.cols(), words.collect()).expect("rows of the same size")
}

/// Number of hidden units in all images.
pub fn hidden_units(hidden: &BitMatrix) -> u64 {
    count_ones(hidden.words()).into()
}

#[cfg(test)]
mod tests {
    use bitboltz_core::{rng::Rng as _, state::Clamp};

    use super::*;
    use crate::{batch::testing::parameters, chain::ChainBuffer, quantise::Quantised};

    fn matrix(rows: &[&[u8]]) -> BitMatrix {
        BitMatrix::from_u8(rows.len(), rows[0].len(), &rows.concat()).unwrap()
    }

    #[test]
    fn shares_count_hidden_units_only() {
        let originals = matrix(&[&[1, 1, 0, 0]]);
        let restored = matrix(&[&[0, 1, 0, 1]]);
        let hidden = matrix(&[&[0, 1, 1, 1]]);
        let share = Restored::new(&originals, &restored, &hidden);
        assert_eq!(share, Restored { all: 2.0 / 3.0, on: 1.0 });
        assert_eq!(hidden_units(&hidden), 3);
    }

    #[test]
    fn a_lead_is_over_images() {
        let originals = matrix(&[&[1, 1, 0, 0], &[0, 0, 1, 1], &[1, 0, 1, 0]]);
        let hidden = matrix(&[&[0, 1, 1, 1], &[0, 1, 1, 1], &[0, 1, 1, 1]]);
        let one = matrix(&[&[0, 1, 0, 0], &[1, 1, 1, 1], &[1, 0, 1, 0]]);
        let other = matrix(&[&[1, 0, 1, 0], &[0, 0, 1, 1], &[1, 1, 1, 0]]);
        // Wrong where hidden: 0, 1, 0 and 2, 0, 1. Ahead by 2, −1 and 1 of three units each.
        let Lead { share, standard_error } = Lead::new(&originals, &one, &other, &hidden);
        assert!((share - 2.0 / 9.0).abs() < 1e-12);
        // The standard error of the mean of 2/3, −1/3 and 1/3.
        let spread = [2.0, -1.0, 1.0].map(|x: f64| (x / 3.0 - share).powi(2)).iter().sum::<f64>();
        assert!((standard_error - (spread / 2.0 / 3.0).sqrt()).abs() < 1e-12);
        let alone = Lead::new(&originals.subset(0..1), &one.subset(0..1), &other.subset(0..1), &hidden.subset(0..1));
        assert!((alone.share - 2.0 / 3.0).abs() < 1e-12 && alone.standard_error.is_nan());
    }

    #[test]
    fn baselines_touch_hidden_units_only() {
        let train = matrix(&[&[1, 1, 0, 0], &[1, 0, 1, 0], &[0, 0, 1, 0]]);
        let images = matrix(&[&[0, 1, 0, 1], &[0, 0, 1, 1]]);
        let hidden = matrix(&[&[1, 0, 0, 0], &[1, 0, 0, 1]]);
        assert_eq!(majority(&train, &images, &hidden), matrix(&[&[1, 1, 0, 1], &[1, 0, 1, 0]]));
        assert_eq!(nearest(&train, &images, &hidden), matrix(&[&[1, 1, 0, 1], &[1, 0, 1, 0]]));
    }

    /// Every image through the core, one chain at a time; weights whose sums are exact.
    fn equals_core<W: TileWeight>(model: &DenseDbm<'_, W>) {
        let shape = *model.shape();
        let mut rng = stream(4, 0);
        let mut random = || {
            let words = (0..70).flat_map(|_| [rng.next_u32(), rng.next_u32() & 0xFFF]).collect();
            BitMatrix::from_words(70, 44, words).unwrap()
        };
        let (images, hidden) = (random(), random());
        let inpaint = Inpaint { restarts: 3, sweeps: 2, ..Inpaint::default() };
        let restored = restore(model, &images, &hidden, &inpaint, 6).unwrap();
        let mean = PosteriorMean { restarts: 3, burn_in: 2, samples: 7, ..PosteriorMean::default() };
        let shares = marginals(model, &images, &hidden, &mean, 6).unwrap();
        let (mut buffer, mut best) = (ChainBuffer::new(&shape), vec![0; shape.words()]);
        for image in 0..70 {
            let mut state = buffer.state(&shape);
            let mut mask = vec![0; shape.words()];
            state.words_mut()[..2].copy_from_slice(images.row(image));
            mask.iter_mut().zip(hidden.row(image)).for_each(|(known, hidden)| *known = !hidden);
            let clamp = Clamp::new(&shape, &mask).unwrap();
            let mut rng = stream(6, image as u64);
            inpaint.restore(model, &mut state, &mut best, &clamp, &mut rng).unwrap();
            assert_eq!(restored.row(image), state.layer_words(0));
            let mut on = [0; 44];
            mean.count(model, &mut state, &clamp, &mut on, &mut stream(6, image as u64)).unwrap();
            assert!(shares[image * 44..].iter().zip(on).all(|(share, on)| *share == f32::from(on) / 7.0));
        }
    }

    #[test]
    fn images_are_restored_as_the_core_does() {
        let parameters = parameters(&[44, 33, 21], 9);
        equals_core(&parameters.dbm().unwrap());
        equals_core(&Quantised::<i8>::new(&parameters).unwrap().dbm().unwrap());
        equals_core(&Quantised::<i16>::new(&parameters).unwrap().dbm().unwrap());
    }
}
