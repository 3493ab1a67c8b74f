//! Inpainting of many images at once, what share of the hidden units came back, and two baselines.

use bitboltz_core::{
    bits::{count_ones, view},
    connection::Connection,
    inpaint::{Inpaint, posterior_mean},
    model::Dbm,
    rng::stream,
    search::SearchCapHit,
    state::{Clamp, State},
};
use rayon::prelude::*;
use serde::Serialize;

use crate::{bits::BitMatrix, chain::ChainBuffer};

/// Restores every image: row i of `hidden` marks the visible units of row i of `images` that are to be filled in.
/// Chain i draws from `stream(seed, i)`, so the result does not depend on the number of threads, and a device that is
/// asked for chain i answers the same.
///
/// # Errors
/// [`SearchCapHit`], if the search of any image hit its cap.
///
/// # Panics
/// If the matrices are not of the same size, or their columns are not the model's visible units.
pub fn restore<C: Connection + Sync>(
    model: &Dbm<'_, C>,
    images: &BitMatrix,
    hidden: &BitMatrix,
    inpaint: &Inpaint,
    seed: u64,
) -> Result<BitMatrix, SearchCapHit> {
    let rows = each(model, images, hidden, |state, best, clamp, chain| {
        inpaint.restore(model, state, best, clamp, &mut stream(seed, chain))?;
        Ok(state.layer_words(0).to_vec())
    })?;
    Ok(BitMatrix::from_words(images.rows(), images.cols(), rows.concat()).expect("visible layers are packed rows"))
}

/// P(unit on | known units) of every image: an inpainting, then the mean of `samples` Gibbs samples after `burn_in`
/// sweeps. Row by row, `images.cols()` probabilities each.
///
/// # Errors
/// [`SearchCapHit`].
///
/// # Panics
/// As [`restore`].
pub fn marginals<C: Connection + Sync>(
    model: &Dbm<'_, C>,
    images: &BitMatrix,
    hidden: &BitMatrix,
    inpaint: &Inpaint,
    (burn_in, samples): (u16, u16),
    seed: u64,
) -> Result<Vec<f32>, SearchCapHit> {
    let rows = each(model, images, hidden, |state, best, clamp, chain| {
        let mut rng = stream(seed, chain);
        inpaint.restore(model, state, best, clamp, &mut rng)?;
        let mut on = vec![0u16; images.cols()];
        posterior_mean(model, state, clamp, burn_in.into(), samples, &mut on, &mut rng);
        Ok(on.iter().map(|&count| f32::from(count) / f32::from(samples.max(1))).collect::<Vec<f32>>())
    })?;
    Ok(rows.concat())
}

/// Runs `answer` on a state that holds image i, under a clamp of what is known of it, for all i in parallel.
fn each<C, T>(
    model: &Dbm<'_, C>,
    images: &BitMatrix,
    hidden: &BitMatrix,
    answer: impl Fn(&mut State<'_, C::Field>, &mut [u32], &Clamp<'_>, u64) -> Result<T, SearchCapHit> + Sync,
) -> Result<Vec<T>, SearchCapHit>
where
    C: Connection + Sync,
    T: Send,
{
    let shape = model.shape();
    assert_eq!((images.rows(), images.cols()), (hidden.rows(), hidden.cols()), "one mask row for each image");
    assert_eq!(images.cols(), shape.width(0), "images have the model's visible units");
    let buffers = || (ChainBuffer::new(shape), vec![0; shape.words()], vec![0; shape.words()]);
    (0..images.rows())
        .into_par_iter()
        .map_init(buffers, |(chain, best, mask), i| {
            let mut state = chain.state(shape);
            let visible = shape.word_range(0);
            state.words_mut()[visible.clone()].copy_from_slice(images.row(i));
            mask.fill(0);
            for (known, hidden) in mask[visible].iter_mut().zip(hidden.row(i)) {
                *known = !hidden;
            }
            let clamp = Clamp::new(shape, mask).expect("the mask has the shape's words");
            answer(&mut state, best, &clamp, i as u64)
        })
        .collect()
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
    use super::*;

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
    fn baselines_touch_hidden_units_only() {
        let train = matrix(&[&[1, 1, 0, 0], &[1, 0, 1, 0], &[0, 0, 1, 0]]);
        let images = matrix(&[&[0, 1, 0, 1], &[0, 0, 1, 1]]);
        let hidden = matrix(&[&[1, 0, 0, 0], &[1, 0, 0, 1]]);
        assert_eq!(majority(&train, &images, &hidden), matrix(&[&[1, 1, 0, 1], &[1, 0, 1, 0]]));
        assert_eq!(nearest(&train, &images, &hidden), matrix(&[&[1, 1, 0, 1], &[1, 0, 1, 0]]));
    }
}
