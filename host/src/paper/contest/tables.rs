//! What a comparison found, in tables.

use super::{
    Comparison,
    findings::{log_p, modes, samples},
    plan::Plan,
    round::Found,
};
use crate::{
    eval::judge::Quality,
    paper::report::{Report, maybe, number},
};

fn quality(label: &str, quality: &Quality) -> Vec<String> {
    let Quality { coverage, distinct, frechet, .. } = quality;
    let numbers = [*frechet, coverage.precision, coverage.recall, coverage.coverage];
    [label.to_owned()].into_iter().chain(numbers.map(number)).chain([distinct.to_string()]).collect()
}

/// Figures of the last mark, beside floor, ceiling and baselines.
pub(super) fn last(report: &mut Report, plan: &Plan, comparison: &Comparison, found: &[&Found]) {
    report.add("At the last mark:");
    let head = [
        "arm",
        "verdict",
        "updates",
        "seconds",
        "distance of modes",
        "of samples",
        "left half restored, %",
        "of on, %",
        "log Z",
        "±",
        "chains it is worth",
        "bound on log p(v)",
        "gap of log Z",
        "gap of RAISE",
        "±",
    ];
    let mut rows = Vec::new();
    for arm in found {
        let verdict = match (&arm.failed, arm.stopped, arm.learns) {
            (Some(_), ..) => "failed",
            (None, true, _) => "stopped",
            (None, false, true) => "learns",
            (None, false, false) => "does not learn",
        };
        let restored = arm.last().and_then(|row| row.restored);
        let log_z = arm.likelihood.as_ref().map(|likelihood| likelihood.log_z.mean);
        let reverse = arm.likelihood.as_ref().and_then(|likelihood| likelihood.reverse);
        let figures = [
            modes(arm),
            samples(arm),
            restored.map(|share| 100.0 * share.all),
            restored.map(|share| 100.0 * share.on),
            log_z.map(|mean| mean.estimate),
            log_z.map(|mean| mean.standard_error),
            log_z.map(|mean| mean.effective_sample_size),
            log_p(arm),
            reverse.map(|reverse| reverse.gap),
            reverse.map(|reverse| reverse.conservative.gap),
            reverse.map(|reverse| reverse.conservative.gap_error),
        ];
        let first = [arm.label.to_owned(), verdict.to_owned(), arm.updates.to_string(), number(arm.seconds)];
        rows.push(first.into_iter().chain(figures.map(maybe)).collect());
    }
    let none = String::new;
    let baseline = |label: &str, figures: [Option<f64>; 4], log_p: Option<f64>| {
        let first = [label.to_owned(), none(), none(), none()];
        let last = [none(), none(), none(), log_p.map_or_else(none, number), none(), none(), none()];
        first.into_iter().chain(figures.map(|figure| figure.map_or_else(none, number))).chain(last).collect::<Vec<_>>()
    };
    let bounds = &comparison.bounds[0];
    let base_rate = found.iter().find_map(|arm| Some(arm.likelihood.as_ref()?.base_rate.nats));
    for (label, quality, log_p) in
        [("floor: training images", &bounds.floor, None), ("ceiling: independent pixels", &bounds.ceiling, base_rate)]
    {
        rows.push(baseline(label, [Some(quality.frechet), Some(quality.frechet), None, None], log_p));
    }
    for (label, restored) in
        [("nearest training image", comparison.restored_nearest), ("majority", comparison.restored_majority)]
    {
        if let Some(share) = restored {
            rows.push(baseline(label, [None, None, Some(100.0 * share.all), Some(100.0 * share.on)], None));
        }
    }
    report.table(&head, &rows);
    if let Some(likelihood) = found.iter().find_map(|arm| arm.likelihood.as_ref()) {
        report.add(format_args!(
            "log Z by annealed importance sampling of {} chains, with its standard error and the number of equally weighted \
             chains that the estimate is worth. Where that is near 1, a single chain decides, and the standard error means nothing. Where \
             log Z is too low, and that is the usual error, the bound is too high.",
            likelihood.log_z.chains
        ));
    }
    let reverse = found.iter().find_map(|arm| arm.likelihood.as_ref()?.reverse);
    if let Some(reverse) = reverse {
        report.add(format_args!(
            "The gap of log Z is by how much it is higher by annealing backwards, from chains {} Gibbs sweeps from training images; \
             that of RAISE, with its standard error, how far its bound on the log p(v) of the annealing as a generator is below the \
             bound by log Z, on the same {} test images. Both are near 0 where log Z can be trusted. A negative one says that what \
             the backward chains began at is not the model's distribution.",
            reverse.sweeps, reverse.conservative.rows
        ));
    }
    for (arm, reason) in found.iter().filter_map(|arm| Some((arm, arm.not_wandered.as_ref()?))) {
        report.add(format_args!("{}, after {} sweeps: {reason}.", arm.label, plan.sweeps));
    }
    for (judge, bounds) in comparison.bounds.iter().enumerate() {
        report.add(format_args!("By {}:", bounds.features));
        let mut rows = Vec::new();
        for (arm, judged) in found.iter().filter_map(|arm| Some((arm, &arm.last()?.judged[judge]))) {
            rows.push(quality(&format!("{}, modes", arm.label), &judged.modes));
            rows.push(quality(&format!("{}, samples", arm.label), &judged.samples));
            let wandered = arm.wandered.get(judge);
            rows.extend(wandered.map(|found| quality(&format!("{}, after {} sweeps", arm.label, plan.sweeps), found)));
        }
        rows.push(quality("floor: training images", &bounds.floor));
        rows.push(quality("ceiling: independent pixels", &bounds.ceiling));
        let head = ["pictures", "Fréchet distance", "precision", "recall", "coverage", "distinct"];
        report.table(&head, &rows);
        report.add(format_args!(
            "{} pictures each. Precision counts the smaller half of the balls around test images, so that real images have \
             {}; a generator that repeats a few clear pictures can have more. Recall counts balls around the generated \
             pictures, which are wide where these are strange. Neither says much without coverage, the share of test images \
             with a picture in their own ball, and without the distance.",
            bounds.samples,
            number(bounds.floor.coverage.precision)
        ));
    }
}

/// Figures of every mark.
pub(super) fn marks(report: &mut Report, found: &[&Found]) {
    let head = [
        "arm",
        "updates",
        "seconds",
        "modes",
        "samples",
        "recall of modes",
        "distinct modes",
        "left half restored, %",
        "bound on log p(v)",
        "τ clamped",
        "τ free",
        "T clamped",
        "T free",
        "left out, of",
        "chains of both phases",
    ];
    let mut rows = Vec::new();
    for (arm, row) in found.iter().flat_map(|arm| arm.snapshots.iter().map(move |row| (arm, row))) {
        let (judged, phases) = (&row.judged[0], [&row.snapshot.positive, &row.snapshot.negative]);
        let hits: usize = phases.iter().map(|phase| phase.cap_hits).sum();
        let chains: usize = phases.iter().map(|phase| phase.chains + phase.cap_hits).sum();
        let mut cells = vec![arm.label.to_owned(), row.snapshot.updates.to_string(), number(row.snapshot.seconds)];
        let coverage = judged.modes.coverage;
        cells.extend([judged.modes.frechet, judged.samples.frechet, coverage.recall].map(number));
        cells.push(judged.modes.distinct.to_string());
        cells.push(maybe(row.restored.map(|share| 100.0 * share.all)));
        cells.push(maybe(row.likelihood.as_ref().map(|found| found.log_p.nats)));
        cells.extend(phases.map(|phase| maybe(phase.mean_tau)));
        // There is no search without sweeps.
        cells.extend(phases.map(|phase| maybe(Some(phase.mean_t).filter(|&sweeps| sweeps > 0.0))));
        cells.extend([hits.to_string(), chains.to_string()]);
        rows.push(cells);
    }
    report.add(
        "Every mark. τ, the sweeps T of searches (with `mean-field`, in the clamped phase, of mean fields) and the chains that \
         were left out because their pair had not met at its cap, or their \
         search had found no mode at its own, are of the updates since \
         the mark before; where many were left out, the mean of τ is of those that met soon.",
    );
    report.table(&head, &rows);
}

/// What classes the pictures of the last mark are of, where the network sees classes.
pub(super) fn classes(report: &mut Report, comparison: &Comparison, found: &[&Found]) {
    let Some(real) = &comparison.bounds[0].floor.classes else { return };
    let count = real.len();
    report.add("Classes that the network sees, %:");
    let cells = |label: String, shares: &Option<Vec<f64>>| {
        let shares = shares.iter().flatten().map(|share| format!("{:.1}", 100.0 * share));
        [label].into_iter().chain(shares).chain(std::iter::repeat("0.0".to_owned())).take(count + 1).collect::<Vec<_>>()
    };
    let mut rows = Vec::new();
    for (arm, judged) in found.iter().filter_map(|arm| Some((arm, &arm.last()?.judged[0]))) {
        rows.push(cells(format!("{}, modes", arm.label), &judged.modes.classes));
        rows.push(cells(format!("{}, samples", arm.label), &judged.samples.classes));
    }
    rows.push(cells("floor: training images".to_owned(), &comparison.bounds[0].floor.classes));
    let head = ["pictures".to_owned()].into_iter().chain((0..count).map(|class| class.to_string()));
    report.table(&head.collect::<Vec<_>>(), &rows);
}
