//! The report of a comparison, with its tables and pictures.

use bitboltz_core::coupling::Horizon;

use super::{
    Comparison, Contest, Plan, Results, plots,
    round::{Found, LEARNT, Round, STRIP, Shown},
};
use crate::{
    estimator::{Estimator, SecondStart, TransitionPolicy},
    eval::judge::Quality,
    paper::{
        PaperError, Picture,
        pictures::of_rows,
        plot::Plot,
        report::{Report, maybe, number},
        training::{Pace, PhaseMeans},
    },
};

/// Columns of the last picture of an arm.
const COLUMNS: usize = 10;

/// What the files of a data set begin with, if there are several data sets.
pub(super) fn prefix(data: &str, many: bool) -> String {
    let name = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    if many { format!("{}-", data.chars().map(name).collect::<String>()) } else { String::new() }
}

pub(super) fn write(
    contest: &Contest,
    plan: &Plan,
    results: &Results,
    rounds: &[Round],
    shown: &[Shown],
) -> Result<(Report, Vec<Plot>, Vec<Picture>), PaperError> {
    let many = results.comparisons.len() > 1;
    let data = results.comparisons.iter().map(|comparison| comparison.data.as_str()).collect::<Vec<_>>().join(", ");
    let mut report = Report::new(&format!("{}: {data}", contest.title));
    introduction(&mut report, contest, plan, results);
    let (mut all_plots, mut pictures) = (Vec::new(), Vec::new());
    for (comparison, round) in results.comparisons.iter().zip(rounds) {
        let both = results.trainings.iter().zip(shown).filter(|(arm, _)| arm.data == comparison.data);
        let (found, shown): (Vec<&Found>, Vec<&Shown>) = both.unzip();
        if found.is_empty() {
            continue;
        }
        report.section(&format!("{}: what was found", comparison.data));
        findings(&mut report, comparison, &found);
        table(&mut report, comparison, &found);
        if contest.ablation {
            worth(&mut report, &found);
        }
        report.section(&format!("{}: over the time of training", comparison.data));
        for (plot, caption) in plots::of(comparison, &found, plan.pace.as_ref(), many) {
            report.plot(&plot.name, &caption);
            all_plots.push(plot);
        }
        marks(&mut report, &found);
        report.section(&format!("{}: what the models show", comparison.data));
        classes(&mut report, comparison, &found);
        for (arm, shown) in found.iter().zip(shown) {
            pictures.extend(grids(&mut report, arm, shown, round, &prefix(&comparison.data, many))?);
        }
    }
    Ok((report, all_plots, pictures))
}

fn introduction(report: &mut Report, contest: &Contest, plan: &Plan, results: &Results) {
    report.add(contest.introduction);
    let budget = Pace::budget(plan.pace.as_ref());
    let layers = results.trainings.first().map(|arm| arm.layers.iter().map(usize::to_string).collect::<Vec<_>>());
    report.add(format_args!(
        "Each model is trained {budget}, evaluation not counted, and looked at on the way; layers {}, one run each: \
         differences as small as those between seeds mean nothing. Modes are where local mode search from uniform random bits \
         ends, samples are those chains after one Gibbs sweep. The floor are training images, the ceiling pictures of \
         independent bits with the training images' means, as many as there are of each. An arm *learns* if at its last mark \
         the Fréchet distance of its modes or of its samples is below {} of the ceiling's.",
        layers.unwrap_or_default().join("-"),
        LEARNT
    ));
    for comparison in &results.comparisons {
        let bounds = comparison.bounds.iter().map(|bounds| {
            let dims = bounds.dims;
            format!(
                "by {} ({dims} features) floor {}, ceiling {}",
                bounds.features,
                number(bounds.floor.frechet),
                number(bounds.ceiling.frechet)
            )
        });
        report.add(format_args!(
            "{}: {} training images, {} test images, {} visible units; {} pictures of each kind; Fréchet distance to the test \
             images {}.",
            comparison.data,
            comparison.train_rows,
            comparison.test_rows,
            comparison.visible,
            comparison.bounds[0].samples,
            bounds.collect::<Vec<_>>().join("; ")
        ));
    }
    if plan.bits > 1 && results.comparisons.iter().any(|comparison| comparison.bounds.len() > 1) {
        report.add(
            "The networks that come with the program see a pixel as on or off: in their figures only what is above half of the \
             grey levels counts. The means of blocks of pixels see grey values, and no shapes.",
        );
    }
    if !results.not_run.is_empty() {
        report.add(format_args!("**The experiment was stopped. Still to come were: {}.**", results.not_run.join(", ")));
    }
    if results.trainings.iter().map(|arm| arm.label).collect::<std::collections::HashSet<_>>().len() > 1 {
        let rows = plan.arms.iter().map(|arm| {
            let config = &arm.config;
            vec![
                arm.label.to_owned(),
                arm.what.to_owned(),
                config.estimator.to_string(),
                config.batch.to_string(),
                number(config.learning_rate),
                config.centering.map_or("no".to_owned(), number),
                if config.marginalise { "yes" } else { "no" }.to_owned(),
            ]
        });
        let head = ["arm", "what it is", "estimator", "batch", "rate", "centering", "marginalised"];
        report.table(&head, &rows.collect::<Vec<_>>());
    }
}

/// The arm with the least of a figure, among those that have it.
fn least<'a>(found: &[&'a Found], figure: impl Fn(&Found) -> Option<f64>) -> Option<(&'a Found, f64)> {
    let all = found.iter().filter_map(|arm| Some((*arm, figure(arm)?))).filter(|(_, figure)| figure.is_finite());
    all.min_by(|a, b| a.1.total_cmp(&b.1))
}

fn modes(arm: &Found) -> Option<f64> {
    Some(arm.last()?.judged[0].modes.frechet)
}

fn samples(arm: &Found) -> Option<f64> {
    Some(arm.last()?.judged[0].samples.frechet)
}

fn log_p(arm: &Found) -> Option<f64> {
    Some(arm.likelihood.as_ref()?.log_p.nats)
}

fn findings(report: &mut Report, comparison: &Comparison, found: &[&Found]) {
    let mut says = Vec::new();
    let names = |of: &dyn Fn(&Found) -> bool| -> Vec<&str> {
        found.iter().filter(|arm| of(arm)).map(|arm| arm.label).collect()
    };
    if found.len() > 1 {
        let learn = names(&|arm| arm.learns && arm.failed.is_none());
        let not = names(&|arm| !arm.learns && arm.failed.is_none());
        let list = |names: &[&str]| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        says.push(format!("Of {} arms {} learn ({}).", found.len(), learn.len(), list(&learn)));
        says.push(format!("Not learnt: {}.", list(&not)));
    }
    for arm in found {
        if let Some(reason) = &arm.failed {
            let learnt = if arm.learns { "; it had learnt until then" } else { "" };
            says.push(format!("{} failed after {} updates ({reason}){learnt}.", arm.label, arm.updates));
        }
    }
    let bounds = &comparison.bounds[0];
    for (what, figure) in [("modes", modes as fn(&Found) -> Option<f64>), ("samples", samples)] {
        if let Some((arm, distance)) = least(found, figure) {
            says.push(format!(
                "The lowest Fréchet distance of {what} is {}{}, after {} updates (floor {}, ceiling {}).",
                number(distance),
                if found.len() > 1 { format!(", of {}", arm.label) } else { String::new() },
                arm.last().map_or(0, |row| row.snapshot.updates),
                number(bounds.floor.frechet),
                number(bounds.ceiling.frechet)
            ));
        }
    }
    if let Some((arm, loss)) = least(found, |arm| log_p(arm).map(|nats| -nats)) {
        let base = arm.likelihood.as_ref().map_or(f64::NAN, |likelihood| likelihood.base_rate.nats);
        says.push(format!(
            "The highest bound on the mean log p(v) of the test images is {} nats, of {} (independent pixels: {}).",
            number(-loss),
            arm.label,
            number(base)
        ));
        if let Some((best, _)) = least(found, modes).filter(|_| found.len() > 1) {
            says.push(match best.label == arm.label {
                true => "By likelihood and by generated modes the same arm is best.".to_owned(),
                false => format!("By generated modes {} is best: the two disagree.", best.label),
            });
        }
    }
    if let (Some(nearest), Some(majority)) = (comparison.restored_nearest, comparison.restored_majority)
        && let Some((arm, lost)) = least(found, |arm| Some(-arm.last()?.restored?.all))
    {
        says.push(format!(
            "The hidden left half of test images is restored best by {}: {} % of its pixels (nearest training image {} %, \
             majority {} %).",
            arm.label,
            number(-100.0 * lost),
            number(100.0 * nearest.all),
            number(100.0 * majority.all)
        ));
    }
    // Only where a pair meets at once if and only if its first proposal is rejected.
    let rejects = |arm: &Found| {
        let plain = Horizon { cap: 0, ..Horizon::default() };
        let metropolis = matches!(arm.config.estimator,
            Estimator::Ucd { transition: TransitionPolicy::MetropolisHastings, second: SecondStart::Same, horizon, .. }
                if Horizon { cap: 0, ..horizon } == plain);
        let at_once = |phase: &PhaseMeans| phase.mean_tau == Some(1.0) && phase.cap_hits == 0;
        metropolis && arm.last().is_some_and(|row| at_once(&row.snapshot.negative))
    };
    let free = names(&rejects);
    if !free.is_empty() {
        says.push(format!(
            "τ is 1 for every pair of the free phase between the last two marks with {}: no proposal was accepted there, so the \
             correction that makes the estimator unbiased never came in.",
            free.join(", ")
        ));
    }
    report.add(says.join(" "));
}

fn quality(label: &str, quality: &Quality) -> Vec<String> {
    let Quality { coverage, distinct, frechet, .. } = quality;
    let numbers = [*frechet, coverage.precision, coverage.recall, coverage.coverage];
    [label.to_owned()].into_iter().chain(numbers.map(number)).chain([distinct.to_string()]).collect()
}

fn table(report: &mut Report, comparison: &Comparison, found: &[&Found]) {
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
        "bound on log p(v)",
    ];
    let mut rows = Vec::new();
    for arm in found {
        let verdict = match (&arm.failed, arm.learns) {
            (Some(_), _) => "failed",
            (None, true) => "learns",
            (None, false) => "does not learn",
        };
        let restored = arm.last().and_then(|row| row.restored);
        let log_z = arm.likelihood.as_ref().map(|likelihood| likelihood.log_z.mean);
        let figures = [
            modes(arm),
            samples(arm),
            restored.map(|share| 100.0 * share.all),
            restored.map(|share| 100.0 * share.on),
            log_z.map(|mean| mean.estimate),
            log_z.map(|mean| mean.standard_error),
            log_p(arm),
        ];
        let first = [arm.label.to_owned(), verdict.to_owned(), arm.updates.to_string(), number(arm.seconds)];
        rows.push(first.into_iter().chain(figures.map(maybe)).collect());
    }
    let none = String::new;
    let baseline = |label: &str, figures: [Option<f64>; 4], log_p: Option<f64>| {
        let first = [label.to_owned(), none(), none(), none()];
        let last = [none(), none(), log_p.map_or_else(none, number)];
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
    if found.iter().any(|arm| arm.likelihood.is_some()) {
        report.add(
            "log Z by annealed importance sampling, with its standard error; where it is too low, and that is the usual error, \
             the bound is too high.",
        );
    }
    for (judge, bounds) in comparison.bounds.iter().enumerate() {
        report.add(format_args!("By {}:", bounds.features));
        let mut rows = Vec::new();
        for (arm, judged) in found.iter().filter_map(|arm| Some((arm, &arm.last()?.judged[judge]))) {
            rows.push(quality(&format!("{}, modes", arm.label), &judged.modes));
            rows.push(quality(&format!("{}, samples", arm.label), &judged.samples));
        }
        rows.push(quality("floor: training images", &bounds.floor));
        rows.push(quality("ceiling: independent pixels", &bounds.ceiling));
        let head = ["pictures", "Fréchet distance", "precision", "recall", "coverage", "distinct"];
        report.table(&head, &rows);
        report.add(format_args!(
            "{} pictures each. Precision counts the smaller half of the balls around test images: no share reaches 1, not even \
             of real images.",
            bounds.samples
        ));
    }
}

fn worth(report: &mut Report, found: &[&Found]) {
    let Some((all, rest)) = found.split_first() else { return };
    report.section("What each technique is worth");
    report.add(format_args!(
        "Against {}, at the last mark. Positive numbers speak for the technique: how much farther away modes and samples are \
         without it, and by how many nats the bound on log p(v) is lower.",
        all.label
    ));
    let rows = rest.iter().map(|arm| {
        let loss = |figure: fn(&Found) -> Option<f64>| Some(figure(arm)? - figure(all)?);
        let figures = [loss(modes), loss(samples), loss(log_p).map(|gain| -gain)];
        let updates = arm.updates as f64 / all.updates.max(1) as f64;
        [arm.label.to_owned()].into_iter().chain(figures.map(maybe)).chain([number(updates)]).collect()
    });
    let head = ["arm", "distance of modes", "distance of samples", "nats", "updates, times as many"];
    report.table(&head, &rows.collect::<Vec<_>>());
}

fn marks(report: &mut Report, found: &[&Found]) {
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
        "capped, of",
        "chains",
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
        cells.extend(phases.map(|phase| number(phase.mean_t)));
        cells.extend([hits.to_string(), chains.to_string()]);
        rows.push(cells);
    }
    report.add(
        "Every mark. τ, T and the chains that were left out because their pair had not met at the cap are of the updates since \
         the mark before; where many were left out, the mean of τ is of those that met soon.",
    );
    report.table(&head, &rows);
}

fn classes(report: &mut Report, comparison: &Comparison, found: &[&Found]) {
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

fn grids(
    report: &mut Report,
    arm: &Found,
    shown: &Shown,
    round: &Round,
    prefix: &str,
) -> Result<Vec<Picture>, PaperError> {
    let geometry = round.subject.geometry;
    let Some(last) = &shown.last else { return Ok(Vec::new()) };
    let updates: Vec<String> = arm.snapshots.iter().map(|row| row.snapshot.updates.to_string()).collect();
    let time = of_rows(format!("{prefix}{}-time", arm.label), &shown.strips, geometry, STRIP)?;
    report.picture(
        &time.name,
        &format!("{}: the same {STRIP} starts at each mark, after {} updates", arm.label, updates.join(", ")),
    );
    let mut pictures = vec![time];
    for (rows, what) in last.iter().zip(["modes", "samples"]) {
        let picture = of_rows(format!("{prefix}{}-{what}", arm.label), [rows], geometry, COLUMNS)?;
        report.picture(&picture.name, &format!("{}: {what} at the last mark", arm.label));
        pictures.push(picture);
    }
    Ok(pictures)
}
