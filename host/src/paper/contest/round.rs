//! Arms on one data set: trained one after the other, and judged at every mark.

use serde::Serialize;

use super::{
    Arm,
    plan::{Effort, Efforts, Plan},
};
use crate::{
    bits::BitMatrix,
    dataset::Mask,
    estimator::Estimator,
    eval::{
        judge::{Judge, Quality},
        likelihood::{self, Likelihood},
        restoration::Puzzle,
    },
    inpainting::Restored,
    paper::{
        PaperError, Settings,
        subject::Subject,
        training::{Look, Pace, Snapshot, train},
    },
    parameters::Parameters,
    sampling::local_modes,
    stages::Quiet,
    train::{TrainConfig, Trainer},
};

/// Pictures of each kind that are kept of a mark.
const SHOWN: usize = 100;
/// A generator learns if its distance is below this share of the ceiling's.
pub(super) const LEARNT: f64 = 0.2;

/// A data set, and how it is judged.
pub(super) struct Round {
    pub(super) subject: Subject,
    /// The first one's figures are those that plots show.
    pub(super) judges: Vec<Judge>,
    /// Test images without their left halves.
    pub(super) puzzle: Option<Puzzle>,
}

/// What a judge says of a model.
#[derive(Clone, Debug, Serialize)]
pub struct Judged {
    /// The features.
    pub features: String,
    /// Of modes: random bits, then local mode search.
    pub modes: Quality,
    /// Of samples: the same chains after a Gibbs sweep.
    pub samples: Quality,
}

/// A model at a mark.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// How its training stands.
    #[serde(flatten)]
    pub snapshot: Snapshot,
    /// By each judge.
    pub judged: Vec<Judged>,
    /// Share of the hidden left half that the lowest of several modes restores.
    pub restored: Option<Restored>,
    /// With the effort on the way, at the last mark too.
    pub likelihood: Option<Likelihood>,
}

/// All of an arm.
#[derive(Clone, Debug, Serialize)]
pub struct Found {
    /// The data set and the label: what a replay knows it by.
    pub name: String,
    /// The arm.
    pub label: &'static str,
    /// What it is.
    pub what: &'static str,
    /// The data set.
    pub data: String,
    /// How it was trained.
    pub config: TrainConfig,
    /// The estimator of both phases up to the first mark, if it was another.
    pub warm_up: Option<Estimator>,
    /// Layer widths.
    pub layers: Vec<usize>,
    /// Updates at which it was stopped; the last one may have failed.
    pub marks: Vec<u64>,
    /// Updates done in the end.
    pub updates: u64,
    /// Wall time of these; in a replay that of the earlier run.
    pub seconds: f64,
    /// Why it failed, if it did.
    pub failed: Option<String>,
    /// Whether it was stopped, before its last mark or before the likelihood in the end. Then it compares with no other.
    pub stopped: bool,
    /// At each mark that was judged.
    pub snapshots: Vec<Row>,
    /// By each judge, of the chains of the last mark after the plan's Gibbs sweeps, unless it failed or was stopped.
    pub wandered: Vec<Quality>,
    /// Why these could not be judged.
    pub not_wandered: Option<String>,
    /// In the end, with the effort for that, unless it failed or was stopped.
    pub likelihood: Option<Likelihood>,
    /// Whether the distance of its modes or of its samples was below the plan's share of the ceiling's at the last mark.
    pub learns: bool,
}

impl Found {
    /// Whether it came to its end, and compares with others that did.
    pub fn finished(&self) -> bool {
        self.failed.is_none() && !self.stopped
    }

    /// The last mark that was judged.
    pub fn last(&self) -> Option<&Row> {
        self.snapshots.last()
    }
}

/// Pictures of a model at a mark, as rows of bits: modes, from the same random bits each time, and samples.
pub(super) type Seen = [BitMatrix; 2];

/// Pictures of an arm.
#[derive(Debug)]
pub(super) struct Shown {
    /// At each mark that was judged.
    pub(super) marks: Vec<Seen>,
    /// The chains of the last mark after the plan's Gibbs sweeps, if these were judged.
    pub(super) wandered: Option<BitMatrix>,
}

impl Round {
    /// Judges the real images and the noise; refuses what cannot be judged.
    pub(super) fn new(
        subject: Subject,
        judges: Vec<Judge>,
        restored: usize,
        settings: &Settings<'_>,
    ) -> Result<Self, PaperError> {
        let puzzle = (restored > 0).then(|| {
            let images = subject.test.subset(0..restored);
            Puzzle::new(&Mask::HalfLeft, subject.geometry, images, settings.seed)
        });
        Ok(Self { puzzle: puzzle.transpose()?, subject, judges })
    }

    /// Trains an arm and judges it: what was found, and the pictures of each mark that was judged.
    pub(super) fn run(
        &self,
        name: String,
        arm: &Arm,
        pace: &Pace,
        plan: &Plan,
        settings: &Settings<'_>,
    ) -> Result<(Found, Shown), PaperError> {
        let efforts = plan.likelihood;
        let mut look = |trainer: &Trainer, snapshot: &Snapshot| self.look(&name, trainer, snapshot, efforts, settings);
        let Subject { data, geometry, train: images, .. } = &self.subject;
        let trained = train(&name, arm.course(), images, *geometry, pace, settings, &mut look)?;
        if let Some(failed) = &trained.failed {
            settings.stages.note(&format!("{name}: failed: {failed}"));
        }
        let (mut snapshots, seen): (Vec<Row>, Vec<Seen>) = trained.looks.into_iter().map(|(_, look)| look).unzip();
        // The clock is that of the run that is repeated: on this machine the same updates take another time.
        let clock = |updates: u64, seconds: f64| match &settings.replay {
            Some(replay) => replay.seconds(&name, updates).unwrap_or(f64::NAN),
            None => seconds,
        };
        for Row { snapshot, .. } in &mut snapshots {
            snapshot.seconds = clock(snapshot.updates, snapshot.seconds);
        }
        let parameters = trained.trainer.parameters();
        let mut stopped = trained.stopped || settings.replay.as_ref().is_some_and(|earlier| earlier.was_stopped(&name));
        let worked = trained.failed.is_none();
        let wandered = (worked && !stopped).then(|| self.wandered(&name, parameters, plan.sweeps, settings));
        stopped |= worked && settings.stopped();
        let (wandered, far, not_wandered) = match wandered.filter(|_| !stopped) {
            None => (Vec::new(), None, None),
            Some(Ok((found, far))) => (found, Some(far), None),
            Some(Err(reason)) => (Vec::new(), None, Some(reason)),
        };
        let effort = efforts.filter(|_| worked && !stopped).map(|efforts| efforts.at_the_end);
        stopped |= effort.is_some() && settings.stopped();
        let likelihood = effort.filter(|_| !stopped).map(|effort| self.likelihood(parameters, &effort, settings));
        // Updates after the last mark of a stopped run show in nothing.
        let end = snapshots.last().filter(|_| stopped).map(|row: &Row| (row.snapshot.updates, row.snapshot.seconds));
        let steps = trained.trainer.step();
        let (updates, seconds) = end.unwrap_or((steps, clock(steps, trained.trainer.seconds())));
        let ceiling = self.judges[0].ceiling.frechet;
        let near = |row: &Row| row.judged[0].modes.frechet.min(row.judged[0].samples.frechet) < LEARNT * ceiling;
        let found = Found {
            label: arm.label,
            what: arm.what,
            data: data.clone(),
            config: arm.config.clone(),
            warm_up: arm.warm_up,
            layers: parameters.shape().widths().collect(),
            marks: trained.marks,
            updates,
            seconds,
            learns: snapshots.last().is_some_and(near),
            failed: trained.failed,
            stopped,
            snapshots,
            wandered,
            not_wandered,
            likelihood,
            name,
        };
        Ok((found, Shown { marks: seen, wandered: far }))
    }

    /// What the judges say of chains that long Gibbs sampling has brought nearer to the model's distribution.
    fn wandered(
        &self,
        name: &str,
        parameters: &Parameters,
        sweeps: u32,
        settings: &Settings<'_>,
    ) -> Result<(Vec<Quality>, BitMatrix), String> {
        let model = parameters.dbm().map_err(|error| error.to_string())?;
        let count = self.count();
        let drawn = local_modes(&model, count, sweeps, settings.seed).map_err(|error| error.to_string())?.visible;
        let quality =
            |judge: &Judge| judge.quality(&drawn.subset(0..judge.count()), &Quiet).map_err(|error| error.to_string());
        let found: Vec<Quality> = self.judges.iter().map(quality).collect::<Result<_, _>>()?;
        if let Some(Quality { frechet, .. }) = found.first() {
            settings.stages.note(&format!("{name}: after {sweeps} sweeps: Fréchet distance {frechet:.2}"));
        }
        Ok((found, drawn.subset(0..SHOWN)))
    }

    /// How many pictures are made at once: for every judge, and to be shown.
    fn count(&self) -> usize {
        self.judges.iter().map(Judge::count).max().unwrap_or(0).max(SHOWN)
    }

    /// log Z and the bound on log p(v).
    fn likelihood(&self, parameters: &Parameters, effort: &Effort, settings: &Settings<'_>) -> Likelihood {
        let Subject { train, test, .. } = &self.subject;
        let effort_of_all = likelihood::Effort {
            betas: effort.betas,
            chains: effort.chains,
            // No row's hidden units are annealed.
            clamped_rows: 0,
            clamped_betas: 1,
            clamped_chains: 2,
            reverse_chains: effort.reverse_chains,
            seed: settings.seed,
        };
        likelihood::measure(parameters, train, &test.subset(0..effort.rows), &effort_of_all, settings.stages)
    }

    /// Judges a model; `None` if it was stopped meanwhile.
    fn look(
        &self,
        name: &str,
        trainer: &Trainer,
        snapshot: &Snapshot,
        efforts: Option<Efforts>,
        settings: &Settings<'_>,
    ) -> Look<(Row, Seen)> {
        let text = |error: &dyn std::fmt::Display| format!("update {}: {error}", snapshot.updates);
        let model = trainer.parameters().dbm().map_err(|error| text(&error))?;
        let drawn = local_modes(&model, self.count(), 1, settings.seed).map_err(|error| text(&error))?;
        let mut judged = Vec::new();
        for judge in &self.judges {
            if settings.stopped() {
                return Ok(None);
            }
            let quality =
                |rows: &BitMatrix| judge.quality(&rows.subset(0..judge.count()), &Quiet).map_err(|error| text(&error));
            let (modes, samples) = (quality(&drawn.modes)?, quality(&drawn.visible)?);
            judged.push(Judged { features: judge.extractor().name(), modes, samples });
        }
        if settings.stopped() {
            return Ok(None);
        }
        let restored = self.puzzle.as_ref().map(|puzzle| {
            let modes = puzzle.modes(&model, settings.seed).map_err(|error| text(&error))?;
            Ok::<_, String>(puzzle.share(&modes))
        });
        let restored = restored.transpose()?;
        if let Some(Judged { modes, samples, .. }) = judged.first() {
            settings.stages.note(&format!(
                "{name}: {} updates, {:.1} s: Fréchet distance of modes {:.2}, of samples {:.2}",
                snapshot.updates, snapshot.seconds, modes.frechet, samples.frechet
            ));
        }
        if settings.stopped() {
            return Ok(None);
        }
        let likelihood = efforts.map(|efforts| self.likelihood(trainer.parameters(), &efforts.on_the_way, settings));
        let seen = [&drawn.modes, &drawn.visible].map(|rows| rows.subset(0..SHOWN));
        Ok(Some((Row { snapshot: *snapshot, judged, restored, likelihood }, seen)))
    }
}
