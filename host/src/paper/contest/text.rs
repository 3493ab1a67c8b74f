//! The report of a comparison, with its tables and pictures.

use super::{
    Contest, Plan, Results, differences, findings, plots,
    round::{Found, Round, Shown},
    tables,
};
use crate::{
    bits::BitMatrix,
    paper::{
        PaperError, Picture,
        pictures::of_rows,
        plot::Plot,
        report::{Report, number},
        training::Pace,
    },
    train::Pretrain,
};

/// Modes of a mark in the picture over the time of training.
const STRIP: usize = 12;
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
    seen: &[Shown],
) -> Result<(Report, Vec<Plot>, Vec<Picture>), PaperError> {
    let many = results.comparisons.len() > 1;
    let data = results.comparisons.iter().map(|comparison| comparison.data.as_str()).collect::<Vec<_>>().join(", ");
    let mut report = Report::new(&format!("{}: {data}", contest.title));
    introduction(&mut report, contest, plan, results);
    arms_table(&mut report, contest, plan, results);
    let (mut all_plots, mut pictures) = (Vec::new(), Vec::new());
    for (comparison, round) in results.comparisons.iter().zip(rounds) {
        let both = results.trainings.iter().zip(seen).filter(|(arm, _)| arm.data == comparison.data);
        let (found, seen): (Vec<&Found>, Vec<&Shown>) = both.unzip();
        if found.is_empty() {
            continue;
        }
        report.section(&format!("{}: what was found", comparison.data));
        findings::write(&mut report, comparison, &found);
        tables::last(&mut report, plan, comparison, &found);
        differences::write(&mut report, &comparison.data, &results.differences);
        report.section(&format!("{}: over the time of training", comparison.data));
        let plots = plots::of(comparison, &found, plan.by_clock, many);
        for (plot, caption) in plots.shown {
            report.plot(&plot.name, &caption);
            all_plots.push(plot);
        }
        plots.flat.iter().for_each(|text| report.add(text));
        tables::marks(&mut report, &found);
        report.section(&format!("{}: what the models show", comparison.data));
        tables::classes(&mut report, comparison, &found);
        for (arm, seen) in found.iter().zip(seen) {
            pictures.extend(grids(&mut report, arm, seen, plan, round, &prefix(&comparison.data, many))?);
        }
    }
    Ok((report, all_plots, pictures))
}

fn introduction(report: &mut Report, contest: &Contest, plan: &Plan, results: &Results) {
    report.add(contest.introduction);
    if plan.quick {
        report.add(
            "**This is the small version: smaller layers and batches, fewer updates, chains and pictures than the text says. It \
             shows that everything works, and nothing else.**",
        );
    }
    let budget = Pace::budget(plan.pace.as_ref());
    let layers = results.trainings.first().map(|arm| arm.layers.iter().map(usize::to_string).collect::<Vec<_>>());
    report.add(format_args!(
        "Each model is trained {budget}, evaluation not counted, and looked at on the way; layers {}. Modes are where local mode search from uniform random bits \
         ends, samples are those chains after one Gibbs sweep, as `ucd-lmi` trains them; arms that learn from other chains may do better \
         by longer ones, so in the end all are judged once more after {} sweeps. The floor are training images, the ceiling pictures of \
         independent bits with the training images' means, as many as there are of each. An arm *learns* if at its last mark \
         the Fréchet distance of its modes or of its samples is below {} of the ceiling's.",
        layers.unwrap_or_default().join("-"),
        plan.sweeps,
        plan.learnt
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
    if plan.bits > 1 && plan.own_network && results.comparisons.iter().any(|comparison| comparison.bounds.len() > 1) {
        report.add(
            "The networks that come with the program see a pixel as on or off: in their figures only what is above half of the \
             grey levels counts. The means of blocks of pixels see grey values, and no shapes.",
        );
    }
    report.not_run(&results.not_run);
    if !results.not_judged.is_empty() {
        report.add(format_args!("**Not judged: {}.**", results.not_judged.join("; ")));
    }
}

/// What the arms are, and whom they were tuned for.
fn arms_table(report: &mut Report, contest: &Contest, plan: &Plan, results: &Results) {
    if plan.arms.len() < 2 {
        return;
    }
    report.add(format_args!(
        "Rate, γ, momentum, batch and the rest were tuned for {} alone, and every other arm has them too unless the table says \
         otherwise: an arm may do better with its own.",
        contest.reference
    ));
    let yes = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
    let run: Vec<_> =
        plan.arms.iter().filter(|arm| results.trainings.iter().any(|found| found.label == arm.label)).collect();
    let rows = run.iter().map(|arm| {
        let config = &arm.config;
        vec![
            arm.label.to_owned(),
            arm.what.to_owned(),
            config.estimator.to_string(),
            config.clamped_estimator.map_or("the same".to_owned(), |estimator| estimator.to_string()),
            config.batch.to_string(),
            number(config.learning_rate),
            number(config.gamma),
            number(config.momentum),
            config.centering.map_or("no".to_owned(), number),
            yes(config.marginalise),
            match config.pretrain {
                Some(Pretrain::Greedy { updates }) => format!("{updates} updates a layer"),
                None => "no".to_owned(),
            },
            config.seed.to_string(),
        ]
    });
    let head = [
        "arm",
        "what it is",
        "estimator",
        "clamped phase",
        "batch",
        "rate",
        "γ",
        "momentum",
        "centering",
        "marginalised",
        "pretraining",
        "seed",
    ];
    report.table(&head, &rows.collect::<Vec<_>>());
}

fn grids(
    report: &mut Report,
    arm: &Found,
    seen: &Shown,
    plan: &Plan,
    round: &Round,
    prefix: &str,
) -> Result<Vec<Picture>, PaperError> {
    let geometry = round.subject.geometry;
    let Some(last) = seen.marks.last() else { return Ok(Vec::new()) };
    let updates: Vec<String> = arm.snapshots.iter().map(|row| row.snapshot.updates.to_string()).collect();
    let strips: Vec<BitMatrix> = seen.marks.iter().map(|[modes, _]| modes.subset(0..STRIP)).collect();
    let time = of_rows(format!("{prefix}{}-time", arm.label), &strips, geometry, STRIP)?;
    report.picture(
        &time.name,
        &format!("{}: the same {STRIP} starts at each mark, after {} updates", arm.label, updates.join(", ")),
    );
    let mut pictures = vec![time];
    let [modes, samples] = last;
    let long = format!("the same chains after {} Gibbs sweeps", plan.sweeps);
    let last = [("modes", "modes", Some(modes)), ("samples", "samples", Some(samples))];
    for (name, what, rows) in last.into_iter().chain([("long", long.as_str(), seen.wandered.as_ref())]) {
        let Some(rows) = rows else { continue };
        let picture = of_rows(format!("{prefix}{}-{name}", arm.label), [rows], geometry, COLUMNS)?;
        report.picture(&picture.name, &format!("{}: {what} at the last mark", arm.label));
        pictures.push(picture);
    }
    Ok(pictures)
}
