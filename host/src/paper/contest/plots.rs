//! Curves over the time of training.

use super::{
    Comparison,
    round::{Found, Judged, Row},
    text::prefix,
};
use crate::paper::{
    plot::{Axis, Plot, Point, Series},
    report::number,
    training::PhaseMeans,
};

/// A figure of a model at a mark; not a number where there is none.
type Figure<'a> = &'a dyn Fn(&Row) -> f64;

/// How far below independent pixels the axis of likelihoods reaches, in what the best model is above them: some arms are
/// tens of thousands of nats away, and beside these all others would be one line.
const BELOW: f64 = 0.5;

/// A standard error of log Z that rests on fewer equally weighted chains says nothing.
const WORTH: f64 = 5.0;

/// The plots of a data set.
pub(super) struct Plots {
    /// Each with what it shows.
    pub(super) shown: Vec<(Plot, String)>,
    /// What is said in place of plots that would be flat lines.
    pub(super) flat: Option<String>,
}

/// All plots of a data set.
pub(super) fn of(comparison: &Comparison, found: &[&Found], by_clock: bool, many: bool) -> Plots {
    let x = |row: &Row| if by_clock { row.snapshot.seconds / 60.0 } else { row.snapshot.updates as f64 };
    let axis = Axis::log(if by_clock { "training (minutes)" } else { "training (updates)" });
    let series = |name: String, arm: &Found, figure: Figure<'_>| {
        let point = |row: &Row| {
            let y = figure(row);
            Point { x: x(row), y, bar: (y, y) }
        };
        Series { name, points: arm.snapshots.iter().map(point).collect(), fit: false }
    };
    let each = |figure: Figure<'_>| -> Vec<Series> {
        found.iter().map(|arm| series(arm.label.to_owned(), arm, figure)).collect()
    };
    let prefix = prefix(&comparison.data, many);
    let mut plots = Vec::new();
    let mut plot = |name: String, title: String, y: Axis, series: Vec<Series>, levels, caption: String| {
        // What no arm has is no plot. An arm that has none of it stays, so that the others keep their colours.
        let shown = |point: &Point| point.y.is_finite() && (!y.log || point.y > 0.0);
        if series.iter().flat_map(|series| &series.points).any(shown) {
            plots.push((Plot { name: format!("{prefix}{name}"), title, x: axis.clone(), y, series, levels }, caption));
        }
    };
    for (judge, bounds) in comparison.bounds.iter().enumerate() {
        let file = |what: &str| if judge == 0 { format!("frechet-{what}") } else { format!("frechet-blocks-{what}") };
        type Which = fn(&Judged) -> f64;
        let kinds: [(&str, Which); 2] =
            [("modes", |judged| judged.modes.frechet), ("samples", |judged| judged.samples.frechet)];
        for (what, figure) in kinds {
            let levels = vec![
                ("ceiling: independent pixels".to_owned(), bounds.ceiling.frechet),
                ("floor: training images".to_owned(), bounds.floor.frechet),
            ];
            plot(
                file(what),
                format!("{}: distance of {what} to test images", comparison.data),
                Axis::log(&format!("Fréchet distance of {what}")),
                each(&|row| figure(&row.judged[judge])),
                levels,
                format!(
                    "Squared Fréchet distance of {} {what} to the test images, by {}",
                    bounds.samples, bounds.features
                ),
            );
        }
    }
    plot(
        "recall".to_owned(),
        format!("{}: what modes reach", comparison.data),
        Axis { range: Some((0.0, 1.0)), ..Axis::linear("recall of modes") },
        each(&|row| row.judged[0].modes.coverage.recall),
        vec![("floor: training images".to_owned(), comparison.bounds[0].floor.coverage.recall)],
        "Share of the test images that lie in the neighbourhood of a mode".to_owned(),
    );
    let first = found.iter().flat_map(|arm| &arm.snapshots).find_map(|row| row.likelihood.as_ref());
    if let Some(first) = first {
        let base = first.base_rate.nats;
        let mut curves = each(&|row| row.likelihood.as_ref().map_or(f64::NAN, |found| found.log_p.nats));
        for (series, arm) in curves.iter_mut().zip(found) {
            for (point, row) in series.points.iter_mut().zip(&arm.snapshots) {
                let mean = row.likelihood.as_ref().map(|found| found.log_z.mean);
                let error =
                    mean.filter(|mean| mean.effective_sample_size >= WORTH).map_or(0.0, |mean| mean.standard_error);
                point.bar = (point.y - error, point.y + error);
            }
        }
        let (range, below) = cut(&mut curves, base);
        plot(
            "likelihood".to_owned(),
            format!("{}: bound on the likelihood of test images", comparison.data),
            Axis { range, ..Axis::linear("bound on mean log p(v) (nats)") },
            curves,
            vec![("independent pixels".to_owned(), base)],
            format!(
                "Bound on the mean log p(v) of {} test images; log Z by {} chains of {} temperatures, fewer than in the table; bars: its \
                 standard error, where it is worth {WORTH} chains or more.{below}",
                first.rows, first.log_z.chains, first.log_z.betas
            ),
        );
    }
    type Phase = fn(&Row) -> &PhaseMeans;
    let phases: [(&str, Phase); 2] =
        [("clamped", |row| &row.snapshot.positive), ("free", |row| &row.snapshot.negative)];
    let mut flat = Vec::new();
    for (name, phase) in phases {
        let taus = each(&|row| phase(row).mean_tau.unwrap_or(f64::NAN));
        if is_flat_at_1(&taus) {
            flat.push(format!("of the {name} phase"));
            continue;
        }
        plot(
            format!("tau-{name}"),
            format!("{}: meeting times of the {name} phase", comparison.data),
            Axis::log("mean τ (steps)"),
            taus,
            Vec::new(),
            format!(
                "Mean meeting time τ of the {name} phase, of the pairs that met, over the updates since the mark before"
            ),
        );
    }
    plot(
        "search".to_owned(),
        format!("{}: local mode search of the free phase", comparison.data),
        Axis::linear("mean T (sweeps)"),
        each(&|row| if row.snapshot.negative.mean_t > 0.0 { row.snapshot.negative.mean_t } else { f64::NAN }),
        Vec::new(),
        "Mean sweeps T of local mode search in the free phase, over the updates since the mark before".to_owned(),
    );
    let flat = (!flat.is_empty()).then(|| {
        let phases = flat.join(" and ");
        format!("Mean τ {phases} is 1 at every mark: all pairs that met did so at their first step. It is not plotted.")
    });
    Plots { shown: plots, flat }
}

/// Takes away the points that are too far [below](BELOW) `base`, and says which; then the axis has a range.
fn cut(curves: &mut [Series], base: f64) -> (Option<(f64, f64)>, String) {
    let numbers = || curves.iter().flat_map(|series| &series.points).map(|point| point.y).filter(|y| y.is_finite());
    let best = numbers().fold(base, f64::max);
    let lowest = base - BELOW * (best - base);
    let mut told = Vec::new();
    for Series { name, points, .. } in curves.iter_mut().filter(|_| best > base) {
        let low: Vec<&mut Point> = points.iter_mut().filter(|point| point.y < lowest).collect();
        if !low.is_empty() {
            let least = low.iter().map(|point| point.y).fold(f64::INFINITY, f64::min);
            told.push(format!("{name} ({}, down to {})", low.len(), number(least)));
            low.into_iter().for_each(|point| (point.y, point.bar) = (f64::NAN, (f64::NAN, f64::NAN)));
        }
    }
    if told.is_empty() {
        return (None, String::new());
    }
    for point in curves.iter_mut().flat_map(|series| &mut series.points).filter(|point| point.y.is_finite()) {
        point.bar.0 = point.bar.0.max(lowest);
    }
    let room = 0.05 * (best - lowest);
    (Some((lowest, best + room)), format!(" Marks below the axis: {}", told.join(", ")))
}

/// Whether there are numbers, and all of them are 1.
fn is_flat_at_1(series: &[Series]) -> bool {
    let mut numbers = series.iter().flat_map(|series| &series.points).map(|point| point.y).filter(|y| y.is_finite());
    numbers.next() == Some(1.0) && numbers.all(|y| y == 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_far_below_the_others_is_told_and_not_drawn() {
        let series = |name: &str, numbers: &[f64]| Series {
            name: name.to_owned(),
            points: numbers.iter().map(|&y| Point { x: 1.0, y, bar: (y - 90.0, y + 1.0) }).collect(),
            fit: false,
        };
        let mut curves = [series("a", &[-300.0, -120.0]), series("b", &[-67000.0, -500.0])];
        // The best is 80 above independent pixels: the axis goes down to −240.
        let (range, told) = cut(&mut curves, -200.0);
        assert_eq!(told, " Marks below the axis: a (1, down to −300), b (2, down to −67000)");
        assert_eq!(range, Some((-240.0, -114.0)));
        let shown: Vec<bool> = curves.iter().flat_map(|c| &c.points).map(|point| point.y.is_finite()).collect();
        assert_eq!(shown, [false, true, false, false]);
        assert_eq!(curves[0].points[1].bar, (-210.0, -119.0));
        // Where none is better than independent pixels, all are shown.
        let mut bad = [series("a", &[-300.0, -900.0])];
        assert_eq!(cut(&mut bad, -200.0), (None, String::new()));
        assert!(bad[0].points.iter().all(|point| point.y.is_finite()));
        assert!(curves[1].points.iter().all(|point| point.bar.0.is_nan() && point.bar.1.is_nan()));
    }

    #[test]
    fn lines_at_1_are_flat_whatever_is_missing() {
        let series = |numbers: &[f64]| Series {
            name: String::new(),
            points: numbers.iter().map(|&y| Point { x: 1.0, y, bar: (y, y) }).collect(),
            fit: false,
        };
        let missing = f64::NAN;
        assert!(is_flat_at_1(&[series(&[missing]), series(&[1.0, missing, 1.0])]));
        for others in
            [&[series(&[missing]), series(&[])][..], &[series(&[1.0]), series(&[1.0, 1.5])], &[series(&[2.0])]]
        {
            assert!(!is_flat_at_1(others));
        }
    }
}
