//! The clamped phase of the classical deep Boltzmann machine (Salakhutdinov, Hinton 2009): the mean field of each data
//! vector in place of samples of its hidden units.
//!
//! Its statistics are products of means, v μ₁ᵀ and μ_l μ_{l+1}ᵀ: the gradient of the variational bound, whose bias as an
//! estimate of the likelihood's gradient is what the bound leaves out. With one hidden layer it is exact. It takes the
//! float weights, whatever the chains run on.

use super::{PhasePlan, PhaseSummary, Totals, blocks::LOOK, differences};
use crate::{
    batch::{
        ChainWeights, TILE, in_blocks,
        kernels::Isa,
        mean_field::{FixedPoint, MeanFields, add_products},
        tile::Tiles,
    },
    bits::BitMatrix,
    estimator::PhaseReport,
    train::{
        statistics::Moments,
        timing::{Laps, Part},
    },
};

/// When the means of training have come to rest.
pub const UNTIL: FixedPoint = FixedPoint { tolerance: 1e-3, cap: 50 };

/// Finds the mean field of each row of the plan, and averages their statistics into `moments`. Where means have not come
/// to rest at the cap they count as they are, and are [counted](PhaseSummary::unsettled).
pub fn run(weights: &ChainWeights<f32>, plan: &PhasePlan<'_>, data: &BitMatrix, moments: &mut Moments) -> PhaseSummary {
    run_until(&UNTIL, weights, plan, data, moments)
}

fn run_until(
    until: &FixedPoint,
    weights: &ChainWeights<f32>,
    plan: &PhasePlan<'_>,
    data: &BitMatrix,
    moments: &mut Moments,
) -> PhaseSummary {
    let (shape, count) = (*weights.shape(), plan.rows.len());
    let visible: Vec<&[u32]> = plan.rows.iter().map(|&row| data.row(row)).collect();
    let mut laps = Laps::start(plan.timing);
    let blocks = in_blocks(
        count,
        || (),
        |(), range| {
            // Which rows are looked at must not depend on the blocks.
            let looked: Vec<usize> = range.clone().filter(|row| row % LOOK == 0).map(|row| row - range.start).collect();
            let visible = &visible[range];
            let found = MeanFields::find(weights, visible.len(), |vector| visible[vector], until);
            let wrong = visible_errors(weights, visible, &found, &looked);
            (found, wrong)
        },
    );
    laps.end(Part::Chains);
    let mut values: Vec<Tiles<f32>> = shape.widths().map(|width| Tiles::zeros(count, width)).collect();
    let mut total = Totals::default();
    let mut place = 0;
    for (found, wrong) in blocks {
        let mut wrong = wrong.into_iter();
        for vector in 0..found.len() {
            values
                .iter_mut()
                .enumerate()
                .skip(1)
                .for_each(|(layer, values)| found.copy_means(vector, layer, values, place));
            let report = PhaseReport { search_sweeps: found.sweeps(vector), tau: None };
            total.add(Some(report), if place % LOOK == 0 { wrong.next() } else { None });
            total.unsettled += usize::from(!found.converged(vector));
            place += 1;
        }
    }
    moments.clear();
    moments.add_values(&visible, &values);
    moments.finish(count);
    laps.end(Part::Statistics);
    total.summary(shape.width(0))
}

/// For some vectors, how many visible bits are not the mode of their conditional given the means above.
fn visible_errors(weights: &ChainWeights<f32>, visible: &[&[u32]], found: &MeanFields, looked: &[usize]) -> Vec<u32> {
    let (shape, isa) = (weights.shape(), Isa::best());
    let mut means = Tiles::zeros(looked.len(), shape.width(1));
    looked.iter().enumerate().for_each(|(place, &vector)| found.copy_means(vector, 1, &mut means, place));
    let mut wrong = vec![0; looked.len()];
    for (tile, bias) in weights.bias(0).as_chunks::<TILE>().0.iter().enumerate() {
        let mut fields = vec![*bias; looked.len()];
        add_products(isa, weights, (1, 0), tile, &means, &mut fields);
        let units = tile * TILE..shape.width(0).min((tile + 1) * TILE);
        for ((wrong, fields), &vector) in wrong.iter_mut().zip(&fields).zip(looked) {
            let words = &visible[vector][units.start / 32..units.end.div_ceil(32)];
            *wrong += differences(words, &fields[..units.len()]);
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use bitboltz_core::rng::{Rng as _, stream};

    use super::*;
    use crate::{
        estimator::{Estimator, Phase},
        eval::{self, random::random_parameters},
        train::{statistics::even_odd, tests::averages},
    };

    /// Means and products of means, from the fixed point that the evaluation finds.
    #[test]
    fn statistics_are_those_of_the_mean_fields() {
        for widths in [&[5, 4][..], &[40, 7, 3], &[70, 66, 65, 9], &[4, 3, 3, 2, 2]] {
            let parameters = random_parameters(widths, 0.3, 0.5, 7).unwrap();
            let weights = ChainWeights::new(&parameters.dbm().unwrap());
            let (mut rng, words) = (stream(5, 0), widths[0].div_ceil(32));
            let mask = |at: usize| bitboltz_core::bits::word_mask(widths[0], at % words);
            let data = (0..30 * words).map(|at| rng.next_u32() & mask(at)).collect();
            let data = BitMatrix::from_words(30, widths[0], data).unwrap();
            let rows: Vec<usize> = (0..75).map(|n| n * 7 % 30).collect();
            let (estimator, phase) = (Estimator::MeanField { k: 1 }, Phase::Positive);
            let plan = PhasePlan { estimator, phase, marginalise: true, seed: 0, step: 0, rows: &rows, timing: None };
            let mut moments = Moments::new(parameters.shape());
            let summary = run(&weights, &plan, &data, &mut moments);

            let found = eval::mean_field::MeanFields::new(&parameters).each(&data, &UNTIL, |found| found, &|_| ());
            let mean = |a: f64| 1.0 / (1.0 + (-a).exp());
            let mut exact = Vec::new();
            let mut values: Vec<Vec<Vec<f64>>> = Vec::new();
            for (row, found) in found.iter().enumerate() {
                let mut fields = found.fields.as_slice();
                let mut layers = Vec::new();
                for (layer, &width) in widths.iter().enumerate() {
                    let (now, later) = fields.split_at(width);
                    let bit = |unit: usize| f64::from(u8::from(data.get(row, unit)));
                    let value = |(unit, &field): (usize, &f64)| if layer == 0 { bit(unit) } else { mean(field) };
                    layers.push(now.iter().enumerate().map(value).collect::<Vec<_>>());
                    fields = later;
                }
                values.push(layers);
            }
            for &row in &rows {
                let x = &values[row];
                let pairs = (1..widths.len()).flat_map(|l| {
                    let (even, odd) = even_odd(l - 1);
                    x[even].iter().flat_map(move |a| x[odd].iter().map(move |b| a * b))
                });
                let one: Vec<f64> = x.iter().flatten().copied().chain(pairs).collect();
                exact.resize(one.len(), 0.0);
                exact.iter_mut().zip(one).for_each(|(sum, x)| *sum += x / rows.len() as f64);
            }
            for (found, exact) in averages(&moments).into_iter().zip(exact) {
                assert!((f64::from(found) - exact).abs() < 1e-5, "{widths:?}: {found} {exact}");
            }

            assert_eq!((summary.chains, summary.cap_hits, summary.max_tau), (75, 0, None));
            assert_eq!(summary.unsettled, 0);
            let sweeps = rows.iter().map(|&row| f64::from(found[row].sweeps)).sum::<f64>() / 75.0;
            assert!((summary.search_sweeps - sweeps).abs() < 1e-9);
        }
    }

    /// Those that have not come to rest at the cap are counted, and all of them with one sweep here.
    #[test]
    fn mean_fields_that_do_not_settle_are_counted() {
        let parameters = random_parameters(&[12, 9, 5], 0.5, 0.5, 7).unwrap();
        let weights = ChainWeights::new(&parameters.dbm().unwrap());
        let mut rng = stream(5, 0);
        let data = BitMatrix::from_words(40, 12, (0..40).map(|_| rng.next_u32() & 0xFFF).collect()).unwrap();
        let rows: Vec<usize> = (0..40).collect();
        let (estimator, phase) = (Estimator::MeanField { k: 1 }, Phase::Positive);
        let plan = PhasePlan { estimator, phase, marginalise: true, seed: 0, step: 0, rows: &rows, timing: None };
        let mut found = Vec::new();
        for cap in 1..=UNTIL.cap {
            let until = FixedPoint { cap, ..UNTIL };
            let summary = run_until(&until, &weights, &plan, &data, &mut Moments::new(parameters.shape()));
            let fields = eval::mean_field::MeanFields::new(&parameters).each(&data, &until, |found| found, &|_| ());
            let moving = fields.iter().filter(|found| !found.converged).count();
            assert_eq!((summary.chains, summary.unsettled), (40, moving), "{cap}");
            found.push(moving);
        }
        assert!(found[0] == 40 && found.last() == Some(&0) && found.iter().any(|n| (1..40).contains(n)), "{found:?}");
    }

    /// The visible error by the definition.
    #[test]
    fn the_visible_error_is_that_of_the_means() {
        let widths = [70, 9, 5];
        let parameters = random_parameters(&widths, 0.5, 0.5, 7).unwrap();
        let weights = ChainWeights::new(&parameters.dbm().unwrap());
        let mut rng = stream(5, 0);
        let data: Vec<[u32; 3]> = (0..6).map(|_| [rng.next_u32(), rng.next_u32(), rng.next_u32() & 63]).collect();
        let visible: Vec<&[u32]> = data.iter().map(|row| row.as_slice()).collect();
        let found = MeanFields::find(&weights, 6, |n| visible[n], &UNTIL);
        let wrong = visible_errors(&weights, &visible, &found, &[1, 5, 2]);
        assert_eq!(wrong.len(), 3);
        for (wrong, vector) in wrong.iter().zip([1, 5, 2]) {
            let means: Vec<f32> = found.means(vector, 1).collect();
            let is_wrong = |unit: &usize| {
                let row = &parameters.weights()[0][unit * 9..(unit + 1) * 9];
                let field = parameters.biases()[0][*unit] + row.iter().zip(&means).map(|(w, m)| w * m).sum::<f32>();
                (field >= 0.0) != (data[vector][unit / 32] >> (unit % 32) & 1 == 1)
            };
            assert_eq!(*wrong as usize, (0..70).filter(is_wrong).count());
        }
    }
}
