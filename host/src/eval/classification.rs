//! Classes of pictures by label units: what the model says of them when the pixels that are known are clamped.
//!
//! Two ways. [`label_means`] runs chains from random bits and averages the conditional means of the label units: it is what
//! a device can do, and works with pixels hidden. [`label_bounds`] clamps each label in turn and compares
//! log p*(v, label), which is exact with one hidden layer and else bounded from below by a
//! [mean field](super::mean_field).

use std::ops::Range;

use bitboltz_core::{
    conditional::Block,
    model::DenseDbm,
    search::{LocalModeSearch, SearchCapHit},
};
use serde::Serialize;

use super::mean_field::{FixedPoint, MeanFields};
use crate::{
    batch::{ChainWeights, Chains, TileWeight, in_blocks},
    bits::BitMatrix,
    inpainting::clamp_known,
    parameters::Parameters,
};

/// How much to spend on an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// Local mode searches from random bits.
    pub searches: u16,
    /// Gibbs sweeps from each of the modes; the label units' means after each sweep count.
    pub sweeps: u16,
}

/// The mean over searches and sweeps of P(label unit on | hidden layers), for each image `labels.len()` numbers.
///
/// Row i of `hidden` marks the visible units of row i of `images` that are not known; the label units must be among them.
/// Chain i draws from `stream(seed, i)`, so the result does not depend on the number of threads.
///
/// # Errors
/// [`SearchCapHit`], if the search of any image hit its cap.
///
/// # Panics
/// If the matrices are not of the same size, or their columns are not the model's visible units.
pub fn label_means<W: TileWeight>(
    model: &DenseDbm<'_, W>,
    images: &BitMatrix,
    hidden: &BitMatrix,
    labels: Range<usize>,
    effort: Effort,
    seed: u64,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Vec<f32>, SearchCapHit> {
    let shape = *model.shape();
    assert_eq!((images.rows(), images.cols()), (hidden.rows(), hidden.cols()), "one mask row for each image");
    assert_eq!(images.cols(), shape.width(0), "images have the model's visible units");
    let weights = ChainWeights::new(model);
    let blocks = in_blocks(
        images.rows(),
        || (Chains::new(&shape), vec![0.0; shape.width(0)]),
        |(chains, means), range| {
            let count = range.len();
            clamp_known(chains, &weights, images, hidden, range, seed);
            let active: Vec<u32> = (0..count as u32).collect();
            let mut reports = Vec::new();
            let mut sums = vec![0.0; count * labels.len()];
            for _ in 0..effort.searches {
                chains.randomise(&active);
                chains.search(&weights, &LocalModeSearch::default(), &active, &mut reports);
                reports.iter().try_for_each(|report| report.map(|_| ()))?;
                for _ in 0..effort.sweeps {
                    // The even block last: the visible fields are those of the new odd layers.
                    chains.gibbs(&weights, Block::Odd, &active);
                    for (chain, sums) in sums.chunks_exact_mut(labels.len()).enumerate() {
                        chains.means(&weights, chain, 0, means);
                        sums.iter_mut().zip(&means[labels.clone()]).for_each(|(sum, mean)| *sum += mean);
                    }
                }
            }
            let states = f32::from(effort.searches) * f32::from(effort.sweeps);
            sums.iter_mut().for_each(|sum| *sum /= states);
            progress(count as u64);
            Ok(sums)
        },
    );
    Ok(blocks.into_iter().collect::<Result<Vec<_>, _>>()?.concat())
}

/// log p*(v, label) of each image for each of its labels, `labels.len()` numbers each, all pixels known: exact with one
/// hidden layer, else a lower bound.
///
/// # Panics
/// If the columns of `images` are not the model's visible units.
pub fn label_bounds(
    parameters: &Parameters,
    images: &BitMatrix,
    labels: Range<usize>,
    progress: &(dyn Fn(u64) + Sync),
) -> Vec<f64> {
    let mut rows = BitMatrix::zeros(images.rows() * labels.len(), images.cols());
    for row in 0..rows.rows() {
        let (image, label) = (row / labels.len(), row % labels.len());
        (0..labels.start).filter(|&unit| images.get(image, unit)).for_each(|unit| rows.set(row, unit, true));
        rows.set(row, labels.start + label, true);
    }
    MeanFields::new(parameters).each(&rows, &FixedPoint::default(), |found| found.bound, progress)
}

/// Where the largest of some scores is, the first of equals; `None` without scores.
pub fn likeliest<T: PartialOrd>(scores: &[T]) -> Option<usize> {
    (0..scores.len()).reduce(|best, next| if scores[next] > scores[best] { next } else { best })
}

/// How many images were told right.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Classified {
    /// Images.
    pub images: usize,
    /// Share of them whose class was told wrong.
    pub error: f64,
    /// Its binomial standard error, √(error (1 − error) / images).
    pub standard_error: f64,
    /// Images of each class (row) by the class that they were taken for (column).
    pub confusion: Vec<Vec<u64>>,
}

impl Classified {
    /// Takes each image for the class of its largest score; `scores` holds as many for each image as there are classes.
    ///
    /// # Panics
    /// If there are no classes, not that many scores, or larger classes.
    pub fn new<T: PartialOrd>(classes: &[usize], count: usize, scores: &[T]) -> Self {
        assert_eq!(scores.len(), classes.len() * count, "a score for each class of each image");
        let mut confusion = vec![vec![0; count]; count];
        for (&class, scores) in classes.iter().zip(scores.chunks_exact(count)) {
            confusion[class][likeliest(scores).expect("there are classes")] += 1;
        }
        let right: u64 = (0..count).map(|class| confusion[class][class]).sum();
        let error = 1.0 - right as f64 / classes.len() as f64;
        let standard_error = (error * (1.0 - error) / classes.len() as f64).sqrt();
        Self { images: classes.len(), error, standard_error, confusion }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        batch::testing::parameters,
        dataset::labels::widened,
        eval::{
            exact::{Given, Oracle},
            random::random_parameters,
        },
        quantise::Quantised,
    };

    fn quiet(_: u64) {}

    #[test]
    fn errors_are_counted_by_class() {
        let scores = [0.1, 0.8, 0.3, 0.9, 0.2, 0.9, 0.0, 0.0, 0.0, 0.1, 0.2, 0.3];
        let found = Classified::new(&[1, 2, 0, 2], 3, &scores);
        assert_eq!(found.confusion, [[1, 0, 0], [0, 1, 0], [1, 0, 1]]);
        assert_eq!((found.images, found.error, found.standard_error), (4, 0.25, (0.25 * 0.75 / 4.0_f64).sqrt()));
        assert_eq!(likeliest::<f32>(&[]), None);
    }

    /// Every picture of 4 pixels, with 3 label units behind.
    fn pictures() -> BitMatrix {
        widened(&BitMatrix::from_words(16, 4, (0..16).collect()).unwrap(), 3, false).unwrap()
    }

    #[test]
    fn bounds_are_exact_with_one_hidden_layer_and_below_with_two() {
        for widths in [&[7, 5][..], &[7, 4, 3]] {
            let parameters = random_parameters(widths, 1.0, 0.7, 3).unwrap();
            let oracle = Oracle::new(&parameters.dbm().unwrap()).unwrap();
            let bounds = label_bounds(&parameters, &pictures(), 4..7, &quiet);
            for (at, bound) in bounds.into_iter().enumerate() {
                let (picture, label) = (at as u32 / 3, at % 3);
                let exact = oracle.log_z(Given::visible(oracle.shape(), picture | 1 << (4 + label)));
                // Rounding of fields in f32.
                assert!(bound < exact + 1e-5 && (widths.len() > 2 || bound > exact - 1e-5), "{bound}, exactly {exact}");
            }
        }
    }

    /// P(label unit on | known pixels) by enumeration, for known and for half-hidden pictures.
    #[test]
    fn means_are_those_of_enumeration() {
        const COPIES: usize = 100;
        const SWEEPS: u16 = 500;
        let parameters = random_parameters(&[7, 4, 3], 0.8, 0.7, 5).unwrap();
        let model = parameters.dbm().unwrap();
        let oracle = Oracle::new(&model).unwrap();
        for known in [0b1111_u32, 0b0011] {
            let words = (0..COPIES).flat_map(|_| 0..16).collect();
            let images = BitMatrix::from_words(16 * COPIES, 7, words).unwrap();
            let hidden = BitMatrix::from_words(16 * COPIES, 7, vec![!known & 0x7F; 16 * COPIES]).unwrap();
            let effort = Effort { searches: 1, sweeps: SWEEPS };
            let means = label_means(&model, &images, &hidden, 4..7, effort, 9, &quiet).unwrap();
            for picture in 0..16_u32 {
                let given = Given { mask: known, values: picture & known };
                let exact = &oracle.expectations(given).statistics;
                for (label, at) in oracle.layout().biases(0).skip(4).enumerate() {
                    let of_copy = |copy: usize| f64::from(means[(16 * copy + picture as usize) * 3 + label]);
                    let mean = (0..COPIES).map(of_copy).sum::<f64>() / COPIES as f64;
                    let variance = (0..COPIES).map(|copy| (of_copy(copy) - mean).powi(2)).sum::<f64>();
                    let error = (variance / (COPIES * (COPIES - 1)) as f64).sqrt();
                    // For 96 comparisons; and the few sweeps that remember the start.
                    let bound = 5.0 * error + 2.0 / f64::from(SWEEPS);
                    assert!((mean - exact[at]).abs() < bound, "{mean} ± {error}, exactly {}", exact[at]);
                }
            }
        }
    }

    #[test]
    fn threads_change_nothing_and_every_weight_type_answers() {
        let parameters = parameters(&[44, 33, 21], 9);
        let images = widened(
            &BitMatrix::from_words(70, 32, (0..70_u32).map(|i| i.wrapping_mul(0x9E37_79B1)).collect()).unwrap(),
            12,
            false,
        );
        let images = images.unwrap();
        let hidden = widened(&BitMatrix::zeros(70, 32), 12, true).unwrap();
        let effort = Effort { searches: 2, sweeps: 3 };
        let of = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let quantised = Quantised::<i8>::new(&parameters).unwrap();
            let model = quantised.dbm().unwrap();
            pool.install(|| label_means(&model, &images, &hidden, 32..44, effort, 1, &quiet)).unwrap()
        };
        let one = of(1);
        assert_eq!(one, of(3));
        assert!(one.iter().all(|mean| (0.0..=1.0).contains(mean)) && one.len() == 70 * 12);
    }
}
