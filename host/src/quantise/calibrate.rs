//! Steps and biases with which the integers behave as the floats do, on data.
//!
//! On each data row the float model's hidden units are brought to a local mode. There, each unit of each layer has a field
//! a, and a field a + Δ with rounded weights. A unit behaves alike as far as
//!
//! - its conditional does: |σ(a + Δ) − σ(a)| is the probability that its sample differs with the same random number;
//! - its mode does: whether a + Δ has the sign of a.
//!
//! The loss is the sum of both, averaged over units and rows: how often a unit differs after a sweep and after a step of
//! the search. Δ is linear in what rounding takes from the weights, so each matrix's part of it is computed once for each
//! step that is tried. Whatever the steps, the mean of Δ over the rows is taken off the unit's bias: what is the same in
//! every state is no error that has to be.

use bitboltz_core::{
    bits::ones,
    fixed::{Scale, sigmoid},
    rng::stream,
    search::SearchCapHit,
    shape::Shape,
    start::{LocalModeStart, Start as _},
    state::Clamp,
    weights::Field as _,
};
use rayon::prelude::*;
use thiserror::Error;

use super::{
    IntegerWeight, QuantiseError, Quantised, largest, rounded,
    steps::{IN_OCTAVE, Steps, octave},
};
use crate::{
    batch::ChainWeights,
    bits::BitMatrix,
    chain::{ChainBuffer, visible_mask},
    parameters::Parameters,
};

/// Most rows that are looked at: a few hundred states of every unit say enough of 40 steps to choose from.
const ROWS: usize = 256;

/// Why nothing was calibrated.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum CalibrateError {
    /// There is nothing to compare on.
    #[error("no rows to calibrate on")]
    NoRows,
    /// Rows of another width than the model's.
    #[error("calibration rows of {found} bits: expected {expected}, the visible units of the model")]
    Width {
        /// Visible units.
        expected: usize,
        /// Bits of a row.
        found: usize,
    },
    /// A search of the float model found no mode.
    #[error(transparent)]
    Search(#[from] SearchCapHit),
    /// The integers cannot be.
    #[error(transparent)]
    Quantise(#[from] QuantiseError),
}

impl<W: IntegerWeight> Quantised<W> {
    /// Rounds with the steps with which units behave most alike in states that the first rows of visible bits lead to, and
    /// corrects the biases by what the fields are off by in the mean. The same rows always give the same integers.
    ///
    /// # Errors
    /// [`CalibrateError`].
    pub fn calibrated(parameters: &Parameters, rows: &BitMatrix) -> Result<Self, CalibrateError> {
        let (expected, found) = (parameters.shape().width(0), rows.cols());
        if expected != found {
            return Err(CalibrateError::Width { expected, found });
        }
        if rows.rows() == 0 {
            return Err(CalibrateError::NoRows);
        }
        let states = States::new(parameters, &rows.spread(ROWS))?;
        let tried: Vec<Vec<Choice>> = parameters
            .weights()
            .iter()
            .enumerate()
            .map(|(l, matrix)| states.choices::<W>(parameters.shape(), l, matrix))
            .collect();
        let best = (0..IN_OCTAVE)
            .into_par_iter()
            .map(|part| states.descend(&tried, part))
            .collect::<Vec<_>>()
            .into_iter()
            .reduce(|best, next| if next.loss < best.loss { next } else { best })
            .expect("an octave has parts");
        let steps = best.chosen.iter().map(|choice| choice.map_or(0.0, |choice| choice.step)).collect();
        let shape = parameters.shape();
        let mut biases = parameters.biases().to_vec();
        for choice in best.chosen.into_iter().flatten() {
            for (layer, means) in [(choice.lower, &choice.means[0]), (choice.lower + 1, &choice.means[1])] {
                debug_assert_eq!(means.len(), shape.width(layer));
                biases[layer].iter_mut().zip(means).for_each(|(bias, mean)| *bias -= mean);
            }
        }
        Ok(Self::of_steps(parameters, &Steps::with_fine_unit(steps), &biases)?)
    }
}

/// States of the float model, and its fields in them.
struct States {
    count: usize,
    /// For each layer, for each row, the units that are on.
    on: Vec<Vec<Vec<usize>>>,
    /// For each layer, row by row, the fields.
    fields: Vec<Vec<f32>>,
    /// For each layer, row by row, the conditionals in units of 2⁻³².
    conditionals: Vec<Vec<u32>>,
}

/// A step that a matrix may have.
struct Choice {
    /// The lower layer.
    lower: usize,
    step: f32,
    /// Which part of an octave it is.
    part: u32,
    /// Row by row, what the fields of the lower and of the upper layer are off by, less its mean over the rows.
    errors: [Vec<f32>; 2],
    /// These means.
    means: [Vec<f32>; 2],
}

/// A step for each matrix that has weights.
struct Found<'c> {
    loss: f64,
    chosen: Vec<Option<&'c Choice>>,
}

impl States {
    fn new(parameters: &Parameters, rows: &BitMatrix) -> Result<Self, SearchCapHit> {
        let dbm = parameters.dbm().expect("finite parameters");
        let weights = ChainWeights::new(&dbm);
        let model = weights.dbm().expect("a model's weights");
        let shape = *model.shape();
        let mask = visible_mask(&shape);
        let clamp = Clamp::new(&shape, &mask).expect("the mask has the shape's words");
        let mode = LocalModeStart { sweeps: 0, ..LocalModeStart::default() };
        let found: Vec<_> = (0..rows.rows())
            .into_par_iter()
            .map(|i| {
                let mut buffer = ChainBuffer::new(&shape);
                let mut state = buffer.state(&shape);
                state.words_mut()[shape.word_range(0)].copy_from_slice(rows.row(i));
                mode.start(&model, &mut state, &clamp, &mut stream(0, i as u64))?;
                // What flips left of the fields.
                model.refresh(&mut state);
                let on = (0..shape.layers()).map(|layer| ones(state.layer_words(layer)).collect::<Vec<_>>());
                let fields = (0..shape.layers()).map(|layer| state.layer_fields(layer).to_vec());
                Ok((on.collect::<Vec<_>>(), fields.collect::<Vec<_>>()))
            })
            .collect::<Result<_, SearchCapHit>>()?;
        let layers = shape.layers();
        let mut states = Self {
            count: found.len(),
            on: vec![Vec::new(); layers],
            fields: vec![Vec::new(); layers],
            conditionals: Vec::new(),
        };
        for (on, fields) in found {
            states.on.iter_mut().zip(on).for_each(|(layer, units)| layer.push(units));
            states.fields.iter_mut().zip(fields).for_each(|(layer, fields)| layer.extend(fields));
        }
        states.conditionals = states.fields.iter().map(|f| f.iter().map(|&a| conditional(a)).collect()).collect();
        Ok(states)
    }

    /// Every step that may serve matrix `l`, with what it does to the fields.
    fn choices<W: IntegerWeight>(&self, shape: &Shape, l: usize, matrix: &[f32]) -> Vec<Choice> {
        let widths = [shape.width(l), shape.width(l + 1)];
        let steps = (0..IN_OCTAVE).flat_map(|part| octave(largest(matrix), part, W::MAX).map(move |step| (part, step)));
        let steps: Vec<(u32, f32)> = steps.collect();
        let choice = |&(part, step): &(u32, f32)| {
            // The transpose too: both directions then add rows.
            let mut up = vec![0.0; matrix.len()];
            let mut down = vec![0.0; matrix.len()];
            for (i, row) in matrix.chunks_exact(widths[1]).enumerate() {
                for (j, &weight) in row.iter().enumerate() {
                    let error = rounded(weight / step, W::MAX) * step - weight;
                    up[i * widths[1] + j] = error;
                    down[j * widths[0] + i] = error;
                }
            }
            let (lower, lower_means) = self.sums(l + 1, &down, widths[0]);
            let (upper, upper_means) = self.sums(l, &up, widths[1]);
            Choice { lower: l, step, part, errors: [lower, upper], means: [lower_means, upper_means] }
        };
        steps.par_iter().map(choice).collect()
    }

    /// Row by row the sums of the matrix' rows of units of a layer that are on, less their mean over the rows; and that mean.
    fn sums(&self, layer: usize, matrix: &[f32], width: usize) -> (Vec<f32>, Vec<f32>) {
        let mut sums = vec![0.0_f32; self.count * width];
        for (sums, on) in sums.chunks_exact_mut(width).zip(&self.on[layer]) {
            for &unit in on {
                let row = &matrix[unit * width..(unit + 1) * width];
                sums.iter_mut().zip(row).for_each(|(sum, error)| *sum += error);
            }
        }
        let mut means = vec![0.0_f32; width];
        for row in sums.chunks_exact(width) {
            means.iter_mut().zip(row).for_each(|(mean, sum)| *mean += sum);
        }
        means.iter_mut().for_each(|mean| *mean /= self.count as f32);
        for row in sums.chunks_exact_mut(width) {
            row.iter_mut().zip(&means).for_each(|(sum, mean)| *sum -= mean);
        }
        (sums, means)
    }

    /// The best steps that all are this part of an octave, by changing one matrix's at a time until none gets better.
    fn descend<'c>(&self, tried: &'c [Vec<Choice>], part: u32) -> Found<'c> {
        let of_part: Vec<Vec<&Choice>> =
            tried.iter().map(|choices| choices.iter().filter(|choice| choice.part == part).collect()).collect();
        let mut chosen: Vec<Option<&Choice>> = of_part.iter().map(|choices| choices.first().copied()).collect();
        let mut loss = self.loss(&chosen);
        loop {
            let before = loss;
            for (l, choices) in of_part.iter().enumerate() {
                for &choice in choices {
                    let kept = chosen[l].replace(choice);
                    let changed = self.loss(&chosen);
                    if changed < loss {
                        loss = changed;
                    } else {
                        chosen[l] = kept;
                    }
                }
            }
            if loss >= before {
                return Found { loss, chosen };
            }
        }
    }

    fn loss(&self, chosen: &[Option<&Choice>]) -> f64 {
        let mut differences = 0_u64;
        let mut signs = 0_u64;
        let mut units = 0;
        for (layer, (fields, conditionals)) in self.fields.iter().zip(&self.conditionals).enumerate() {
            let from_above = chosen.get(layer).copied().flatten().map(|choice| &choice.errors[0][..]);
            let below = layer.checked_sub(1).and_then(|l| chosen[l]);
            let parts: Vec<&[f32]> = from_above.into_iter().chain(below.map(|choice| &choice.errors[1][..])).collect();
            units += fields.len();
            for (at, (&field, &p)) in fields.iter().zip(conditionals).enumerate() {
                let off = field + parts.iter().map(|part| part[at]).sum::<f32>();
                differences += u64::from(conditional(off).abs_diff(p));
                signs += u64::from(off.is_on() != field.is_on());
            }
        }
        (differences as f64 / 2_f64.powi(32) + signs as f64) / units as f64
    }
}

/// P(on) as devices take it.
fn conditional(field: f32) -> u32 {
    sigmoid(field.to_q16(Scale::ONE))
}

#[cfg(test)]
mod tests {
    use bitboltz_core::{image::Geometry, weights::I4};

    use super::*;
    use crate::{
        agreement::Agreement,
        dataset::{self, Encoding, Split},
        eval::random::random_parameters,
        train::{Init, TrainConfig, Trainer},
    };

    /// A small machine that has learnt digits a little, and rows to calibrate and to measure on.
    fn learnt() -> (Parameters, BitMatrix, BitMatrix) {
        let bits =
            |split| Encoding { bits: 1, threshold: 127 }.encode(&dataset::load("digits", split).unwrap()).unwrap();
        let (train, test) = (bits(Split::Train), bits(Split::Test).subset(0..200));
        let config = TrainConfig { hidden: vec![40, 20], init: Init::Normal { std: 0.05 }, ..TrainConfig::default() };
        let mut trainer = Trainer::new(config, train.clone(), Geometry::default()).unwrap();
        for _ in 0..300 {
            trainer.update().unwrap();
        }
        (trainer.parameters().clone(), train, test)
    }

    #[test]
    fn a_calibrated_model_behaves_more_alike_on_rows_it_has_not_seen() {
        let (parameters, train, test) = learnt();
        let float = parameters.dbm().unwrap();
        let [plain, calibrated] =
            [Quantised::<I4>::new(&parameters).unwrap(), Quantised::<I4>::calibrated(&parameters, &train).unwrap()]
                .map(|quantised| Agreement::measure(&float, &quantised.dbm().unwrap(), &test, 0).unwrap());
        assert!(calibrated.conditionals < plain.conditionals, "{calibrated:?} {plain:?}");
        assert!(calibrated.mode_units >= plain.mode_units, "{calibrated:?} {plain:?}");
        let again = Quantised::<I4>::calibrated(&parameters, &train).unwrap();
        assert_eq!(again, Quantised::<I4>::calibrated(&parameters, &train).unwrap());
    }

    #[test]
    fn means_of_fields_are_those_of_the_floats() {
        let (parameters, train, _) = learnt();
        let quantised = Quantised::<I4>::calibrated(&parameters, &train).unwrap();
        let states = States::new(&parameters, &train.spread(ROWS)).unwrap();
        let integers = quantised.dbm().unwrap();
        let shape = *integers.shape();
        let unit = f64::from(integers.scale().to_f32());
        let mut buffer = ChainBuffer::new(&shape);
        let mut state = buffer.state(&shape);
        let mut sums = vec![0.0; shape.units()];
        for row in 0..states.count {
            for layer in 0..shape.layers() {
                let words = shape.word_range(layer);
                let words = &mut state.words_mut()[words];
                words.fill(0);
                states.on[layer][row].iter().for_each(|unit| words[unit / 32] |= 1 << (unit % 32));
            }
            integers.refresh(&mut state);
            let floats = (0..shape.layers()).flat_map(|layer| {
                let width = shape.width(layer);
                &states.fields[layer][row * width..(row + 1) * width]
            });
            for ((sum, integer), float) in sums.iter_mut().zip(state.fields()).zip(floats) {
                *sum += integer.to_real(integers.scale()) - f64::from(*float);
            }
        }
        for sum in sums {
            let mean: f64 = sum / states.count as f64;
            assert!(mean.abs() <= 0.5 * unit + 1e-4, "{mean} of unit {unit}");
        }
    }

    #[test]
    fn what_cannot_be_calibrated_on_is_named() {
        let parameters = random_parameters(&[5, 3], 1.0, 1.0, 1).unwrap();
        let error = |rows: usize, cols: usize| {
            Quantised::<i8>::calibrated(&parameters, &BitMatrix::zeros(rows, cols)).unwrap_err()
        };
        assert_eq!(error(2, 6), CalibrateError::Width { expected: 5, found: 6 });
        assert_eq!(error(0, 5), CalibrateError::NoRows);
        let zeros = Parameters::zeros(&[5, 3], Geometry::default()).unwrap();
        assert!(Quantised::<I4>::calibrated(&zeros, &BitMatrix::zeros(2, 5)).is_ok());
    }
}
