//! `inpaint`: what trained models restore of hidden pixels, beside two baselines.

use bitboltz_core::{image::Geometry, inpaint::Inpaint, posterior::PosteriorMean};
use serde::Serialize;

use super::{
    Outcome, PaperError, Picture, Ready, Repeat, Settings,
    pictures::{grid, images},
    report::{Report, number},
    subject::Subject,
    training::{Course, Pace, train},
};
use crate::{
    bits::BitMatrix,
    dataset::{Images, THRESHOLD},
    eval::restoration::{ByMask, Filled, Puzzle, usual_masks},
    grid::Grid,
    inpainting::Restored,
    model_file::ModelFile,
    train::{TrainConfig, Trainer},
    with_model,
};

/// Data sets whose models are trained here if none are given.
const DATA: [&str; 2] = ["mnist", "fashion-mnist"];
/// Minutes of training of each, unless told otherwise.
const MINUTES: f64 = 10.0;
/// Images of the figure.
const SHOWN: usize = 12;

/// What is run.
#[derive(Clone, Debug, Serialize)]
struct Plan {
    /// Whether it is the small version.
    quick: bool,
    /// Data sets, one for each model.
    data: Vec<String>,
    /// How models are trained, if they are trained here.
    config: Option<TrainConfig>,
    /// When their training ends; `None` where an earlier run says it.
    pace: Option<Pace>,
    /// Test images of each data set, from the first on.
    images: usize,
    /// Searches from random bits, whose lowest mode is shown.
    searches: u32,
    /// How the means are found.
    means: Means,
}

/// The settings of a [`PosteriorMean`].
#[derive(Clone, Copy, Debug, Serialize)]
struct Means {
    /// Chains, each from a mode of its own.
    chains: u32,
    /// Gibbs sweeps of a chain before its first sample.
    burn_in: u32,
    /// Samples of all chains together.
    samples: u16,
}

impl Means {
    fn usual() -> Self {
        let PosteriorMean { restarts, burn_in, samples, .. } = PosteriorMean::default();
        Self { chains: restarts, burn_in, samples }
    }
}

/// A model that was trained here.
#[derive(Clone, Debug, Serialize)]
struct Training {
    /// The data set: what a replay knows it by.
    name: String,
    marks: Vec<u64>,
    updates: u64,
    seconds: f64,
    failed: Option<String>,
}

/// A model on its data set.
#[derive(Clone, Debug, Serialize)]
struct Found {
    data: String,
    /// The file of the model; `None` if it was trained here.
    model: Option<String>,
    layers: Vec<usize>,
    images: usize,
    masks: Vec<ByMask>,
    /// Masks of which the modes restore more than the nearest training image does.
    modes_beat_nearest: usize,
    /// The same of the means.
    means_beat_nearest: usize,
}

/// Everything that was measured.
#[derive(Clone, Debug, Default, Serialize)]
struct Results {
    trainings: Vec<Training>,
    restored: Vec<Found>,
    /// Models and masks that were still to come when the experiment, or the one that it replays, was stopped.
    not_run: Vec<String>,
}

/// What is written as the work goes on.
struct Written {
    report: Report,
    results: Results,
    pictures: Vec<Picture>,
}

/// Finds out whether the experiment can be run.
///
/// # Errors
/// [`PaperError`]: data sets that are not there, models that do not fit them; an earlier run of something else.
pub(super) fn prepare<'a>(settings: &'a Settings<'_>) -> Result<Ready<'a>, PaperError> {
    let trains = settings.models.is_empty();
    let subjects: Vec<Subject> = if trains {
        let data = settings.data.as_ref().map_or_else(|| DATA.map(str::to_owned).to_vec(), |data| vec![data.clone()]);
        data.iter().map(|data| Subject::load(data, 1)).collect::<Result<_, _>>()?
    } else {
        settings.models.iter().map(|(name, file)| of_model(name, file, settings)).collect::<Result<_, _>>()?
    };
    let mut config = TrainConfig::default();
    settings.adapt(&mut config);
    if trains {
        let mut any = false;
        for subject in &subjects {
            Trainer::check(&config, &subject.train, subject.geometry)?;
            any |= settings.known(&subject.data, Course::of(&config))?;
        }
        if !any {
            return Err(PaperError::NothingToReplay);
        }
    }
    let plan = Plan {
        quick: settings.quick,
        data: subjects.iter().map(|subject| subject.data.clone()).collect(),
        config: trains.then_some(config),
        pace: settings.pace(MINUTES).map(Pace::end_only),
        images: if settings.quick { 50 } else { 1000 },
        searches: Inpaint::default().restarts,
        means: Means::usual(),
    };
    Ok(Box::new(move || measure(&plan, &subjects, settings)))
}

fn measure(plan: &Plan, subjects: &[Subject], settings: &Settings<'_>) -> Result<Outcome, PaperError> {
    let report = Report::new("Hidden pixels restored");
    let mut written = Written { report, results: Results::default(), pictures: Vec::new() };
    introduction(&mut written.report, plan);
    match &plan.config {
        Some(config) => {
            for subject in subjects {
                let Subject { data, geometry, train: rows, .. } = subject;
                let pace = settings.pace_of(data, plan.pace.as_ref()).filter(|_| !settings.stopped());
                let trained = pace.map(|pace| {
                    train(data, Course::of(config), rows, *geometry, &pace, settings, &mut |_, _| Ok(Some(())))
                });
                let trained = match trained {
                    None | Some(Err(PaperError::Stopped)) => {
                        written.results.not_run.push(data.clone());
                        continue;
                    }
                    Some(trained) => trained?,
                };
                let training = Training {
                    name: data.clone(),
                    marks: trained.marks,
                    updates: trained.trainer.step(),
                    seconds: trained.trainer.seconds(),
                    failed: trained.failed,
                };
                written.report.section(data);
                written.report.add(training.sentence());
                let worked = training.failed.is_none();
                written.results.trainings.push(training);
                if worked {
                    let model = ModelFile::Checkpoint(Box::new(trained.trainer.checkpoint()));
                    restore(&model, None, subject, plan, settings, &mut written)?;
                }
            }
        }
        None => {
            for (subject, (name, file)) in subjects.iter().zip(&settings.models) {
                written.report.section(&format!("{}: {name}", subject.data));
                restore(file, Some(name), subject, plan, settings, &mut written)?;
            }
        }
    }
    let Written { mut report, results, pictures } = written;
    if results.trainings.is_empty() && results.restored.is_empty() {
        return Err(PaperError::Stopped);
    }
    report.not_run(&results.not_run);
    Ok(Outcome {
        report,
        plots: Vec::new(),
        pictures,
        configuration: serde_json::to_value(plan)?,
        results: serde_json::to_value(&results)?,
        repeat: if plan.config.is_some() { Repeat::of(plan.pace.as_ref()) } else { Repeat::Command },
    })
}

/// The images of a model from a file.
fn of_model(name: &str, file: &ModelFile, settings: &Settings<'_>) -> Result<Subject, PaperError> {
    let refuse = |expected: &str, found: &str| PaperError::Request {
        what: name.to_owned(),
        expected: expected.to_owned(),
        found: found.to_owned(),
    };
    let recorded = file.settings();
    let data = settings.data.clone().or_else(|| recorded?.data_set.clone());
    let data =
        data.ok_or_else(|| refuse("a model that says what it was trained on, or --data", "no record of a data set"))?;
    if file.geometry().units() == 0 {
        return Err(refuse("a model that says how its visible units make up a picture", "one that does not"));
    }
    let threshold = recorded.map_or(THRESHOLD, |settings| settings.threshold);
    Subject::of_model(&data, file.geometry(), threshold, file.shape().width(0))
}

impl Training {
    fn sentence(&self) -> String {
        match &self.failed {
            None => format!("Trained for {} updates, {} s.", self.updates, number(self.seconds)),
            Some(reason) => format!("Training failed after {} updates: {reason}.", self.updates),
        }
    }
}

fn introduction(report: &mut Report, plan: &Plan) {
    let budget = Pace::budget(plan.pace.as_ref());
    let models = match (&plan.config, plan.quick) {
        (None, _) => "The models come from files.".to_owned(),
        (Some(_), false) => format!("The models are trained with the defaults of `bitboltz train`, each {budget}."),
        (Some(config), true) => {
            let hidden: Vec<String> = config.hidden.iter().map(usize::to_string).collect();
            format!("This is the small version: models with hidden layers {}, each trained {budget}.", hidden.join("-"))
        }
    };
    let Means { chains, burn_in, samples } = plan.means;
    report.add(format_args!(
        "{models} Of the first {} test images of each data set a part of the pixels is hidden and restored: by the lowest of \
         {} local modes that the search finds with the known pixels held (modes), by the mean of {samples} Gibbs samples of \
         {chains} chains, each {burn_in} sweeps from a mode of its own, rounded in the tables (means), by the value that most \
         training images have there (majority), and by the training image that differs least in the known pixels (nearest).",
        plan.images, plan.searches
    ));
}

fn restore(
    file: &ModelFile,
    name: Option<&str>,
    subject: &Subject,
    plan: &Plan,
    settings: &Settings<'_>,
    Written { report, results, pictures }: &mut Written,
) -> Result<(), PaperError> {
    let Subject { data, geometry, train, test } = subject;
    let test = test.subset(0..plan.images);
    let masks = usual_masks(*geometry);
    let mut found = Vec::new();
    let number_of = results.restored.len() + 1;
    let progress = settings.stages.begin(&format!("{data}: hidden pixels"), masks.len() as u64);
    for mask in &masks {
        if settings.stopped() {
            results.not_run.push(format!("{data}: {mask}"));
            continue;
        }
        let puzzle = Puzzle::new(mask, *geometry, test.clone(), settings.seed)?;
        let filled = with_model!(file, model => puzzle.fill(&model, train, settings.seed))?;
        let kind = puzzle.mask.split([':', ',']).next().unwrap_or_default();
        pictures.push(figure(format!("{number_of}-{kind}"), &puzzle, &filled, *geometry)?);
        found.push(puzzle.shares(&filled));
        progress(1);
    }
    drop(progress);
    if found.is_empty() {
        return Ok(());
    }
    let better = |of: fn(&ByMask) -> Restored| found.iter().filter(|mask| of(mask).all > mask.nearest.all).count();
    let (modes_beat_nearest, means_beat_nearest) = (better(|mask| mask.modes), better(|mask| mask.means));
    let found = Found {
        data: data.clone(),
        model: name.map(str::to_owned),
        layers: file.shape().widths().collect(),
        images: test.rows(),
        masks: found,
        modes_beat_nearest,
        means_beat_nearest,
    };
    table(report, &found);
    for (picture, by_mask) in pictures[pictures.len() - found.masks.len()..].iter().zip(&found.masks) {
        let caption = format!("{data}, {}: original, masked, modes, means, nearest", by_mask.mask);
        report.picture(&picture.name, &caption);
    }
    results.restored.push(found);
    Ok(())
}

/// Rows of original, masked, modes, means, and nearest.
fn figure(name: String, puzzle: &Puzzle, filled: &Filled, geometry: Geometry) -> Result<Picture, PaperError> {
    let columns = SHOWN.min(puzzle.images.rows());
    let first = |rows: &BitMatrix| images(&rows.subset(0..columns), geometry);
    let (original, width) = (first(&puzzle.images)?, puzzle.images.cols());
    let mut means = first(&filled.rounded())?;
    if geometry.bits == 1 {
        // Grey says more than the rounded bits.
        let rows = means.pixels.chunks_exact_mut(geometry.units()).zip(filled.means.chunks_exact(width));
        let pixels = rows.flat_map(|(pixels, p)| pixels.iter_mut().zip(p));
        pixels.for_each(|(pixel, p)| *pixel = (p * 255.0).round() as u8);
    }
    let mut grid = grid(geometry, columns)?;
    let push = |grid: &mut Grid, rows: &Images| (0..columns).try_for_each(|i| grid.push(rows.image(i)));
    push(&mut grid, &original)?;
    for i in 0..columns {
        grid.push_masked(original.image(i), &puzzle.pixels[i % puzzle.pixels.len()])?;
    }
    for rows in [first(&filled.modes)?, means, first(&filled.nearest)?] {
        push(&mut grid, &rows)?;
    }
    Ok(Picture { name, png: grid.png()? })
}

fn table(report: &mut Report, found: &Found) {
    report.add(format_args!(
        "Of {} masks the model restores more than the nearest training image on {} by modes and on {} by means.",
        found.masks.len(),
        found.modes_beat_nearest,
        found.means_beat_nearest
    ));
    report.add("Share of the hidden units restored right, % of all / of those that are on; by how much of all the means are ahead of the \
         nearest training image, with the standard error over images:");
    let row = |by: &ByMask| {
        let share = |Restored { all, on }: Restored| format!("{} / {}", number(100.0 * all), number(100.0 * on));
        let shares = [by.modes, by.means, by.majority, by.nearest].map(share);
        let [ahead, error] = [by.lead.share, by.lead.standard_error].map(|share| number(100.0 * share));
        [by.mask.clone(), by.hidden_units.to_string()].into_iter().chain(shares).chain([ahead, error]).collect()
    };
    let head = ["hidden", "units", "modes", "means", "majority", "nearest", "means ahead of nearest, points", "±"];
    report.table(&head, &found.masks.iter().map(row).collect::<Vec<_>>());
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    use super::*;
    use crate::stages::Stages;

    /// Stops the experiment after so many steps of a stage.
    struct StopAfter {
        stage: &'static str,
        steps: u64,
        done: AtomicU64,
        stop: AtomicBool,
    }

    impl Stages for StopAfter {
        fn begin(&self, what: &str, _total: u64) -> Box<dyn Fn(u64) + Sync + '_> {
            let mine = what == self.stage;
            Box::new(move |steps| {
                let done = self.done.fetch_add(if mine { steps } else { 0 }, Ordering::Relaxed);
                if mine && done + steps >= self.steps {
                    self.stop.store(true, Ordering::Relaxed);
                }
            })
        }
    }

    fn quick(stage: &'static str, steps: u64) -> Result<Outcome, PaperError> {
        let stages = StopAfter { stage, steps, done: AtomicU64::new(0), stop: AtomicBool::new(false) };
        let data = Some("digits".to_owned());
        let settings = Settings { quick: true, data, stop: &stages.stop, ..Settings::new(&stages) };
        prepare(&settings)?()
    }

    #[test]
    fn what_a_stop_leaves_out_is_listed() {
        assert!(matches!(quick("digits", 5), Err(PaperError::Stopped)));
        let outcome = quick("digits: hidden pixels", 2).unwrap();
        let found = &outcome.results["restored"][0];
        assert_eq!((found["masks"].as_array().unwrap().len(), outcome.pictures.len()), (2, 2));
        let not_run: Vec<&str> =
            outcome.results["not_run"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
        assert_eq!(not_run.len(), 4);
        assert!(outcome.report.text().contains(&format!("was stopped: {}.", not_run.join(", "))));
        assert_eq!(outcome.results["trainings"][0]["updates"], 40);
    }
}
