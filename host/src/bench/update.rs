//! `bench update`: one update of training, at weights that stay as they are.

use std::time::Duration;

use bitboltz_core::weights::WeightKind;
use serde::Serialize;

use super::{
    BenchError,
    ceiling::{Product, RowAdds, product, row_adds},
    check,
    machine::peak_memory,
    measure::{Times, measure},
    subject::{Settings, Subject, trainer, ucd_lmi},
};
use crate::train::{
    UpdateReport,
    phase::PhaseSummary,
    timing::{Part, Timing},
};

/// So small that no parameter but a zero changes: every update does all of its work, from the same weights.
const STANDING: f64 = 1e-20;

/// What an update took.
#[derive(Clone, Debug, Serialize)]
pub struct Update {
    /// Of one update.
    #[serde(flatten)]
    pub times: Times,
    /// Of one update on average.
    pub parts: Parts,
    /// Chains of both phases.
    pub chains_per_second: f64,
    /// Units that the chains flipped.
    pub flips_per_second: f64,
    /// The clamped phase.
    pub positive: PhaseFigures,
    /// The free phase.
    pub negative: PhaseFigures,
    /// Rows of weights that the chains added.
    pub row_adds: RowAddFigures,
    /// The dense float product of the same batch and shape: what one sweep of every chain costs with it.
    pub product: Product,
    /// Most memory of the process until here, checks not included.
    pub peak_memory_bytes: Option<u64>,
    /// What was measured.
    pub settings: Settings,
    /// What was compared with what afterwards.
    pub checked: &'static str,
}

/// Wall seconds. Those that threads spend side by side share the wall time of the chains in proportion.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Parts {
    /// Random bits, data, what clamped units contribute.
    pub start: f64,
    /// Local mode search.
    pub search: f64,
    /// The Gibbs sweep to x_0, and conditional means.
    pub gibbs: f64,
    /// The Metropolis-Hastings proposal.
    pub proposal: f64,
    /// Pairs that run on, one at a time.
    pub single: f64,
    /// Sufficient statistics.
    pub statistics: f64,
    /// Gradient, step, and the weights in tiles.
    pub update: f64,
    /// Everything else.
    pub rest: f64,
}

impl Parts {
    /// Their names, in the order in which an update has them.
    pub fn named(&self) -> [(&'static str, f64); 8] {
        let Self { start, search, gibbs, proposal, single, statistics, update, rest } = *self;
        [
            ("start", start),
            ("search", search),
            ("gibbs", gibbs),
            ("proposal", proposal),
            ("single", single),
            ("statistics", statistics),
            ("update", update),
            ("rest", rest),
        ]
    }

    fn of(timing: &Timing, total: f64, updates: usize) -> Self {
        let one = |part| timing.seconds(part) / updates as f64;
        let threads: f64 = [Part::Start, Part::Search, Part::Gibbs, Part::Proposal, Part::Single].map(one).iter().sum();
        let share = |part| if threads > 0.0 { one(Part::Chains) * one(part) / threads } else { 0.0 };
        let (statistics, update) = (one(Part::Statistics), one(Part::Update));
        Self {
            start: share(Part::Start),
            search: share(Part::Search),
            gibbs: share(Part::Gibbs),
            proposal: share(Part::Proposal),
            single: share(Part::Single),
            statistics,
            update,
            rest: total / updates as f64 - one(Part::Chains) - statistics - update,
        }
    }
}

/// Means over all measured updates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct PhaseFigures {
    /// Sweeps of a chain's search.
    pub search_sweeps: f64,
    /// Meeting time.
    pub mean_tau: f64,
    /// Chains that hit their cap, in all updates.
    pub cap_hits: usize,
}

impl PhaseFigures {
    fn of(reports: &[UpdateReport], phase: impl Fn(&UpdateReport) -> PhaseSummary) -> Self {
        let mean = |figure: &dyn Fn(&PhaseSummary) -> f64| {
            reports.iter().map(|report| figure(&phase(report))).sum::<f64>() / reports.len() as f64
        };
        Self {
            search_sweeps: mean(&|phase| phase.search_sweeps),
            mean_tau: mean(&|phase| phase.mean_tau.unwrap_or(0.0)),
            cap_hits: reports.iter().map(|report| phase(report).cap_hits).sum(),
        }
    }
}

/// Bytes of the rows that the engine added, as if each were read, beside what the machine can add.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct RowAddFigures {
    /// Rows of one update, one for each layer that they went to.
    pub rows: f64,
    /// Bytes of these rows.
    pub bytes: f64,
    /// Bytes a second of the time in which chains run.
    pub bytes_per_second: f64,
    /// The machine's ceilings.
    #[serde(flatten)]
    pub ceiling: RowAdds,
    /// Share of the first-level ceiling. Tables of sums read less than they add, so it may be above 1.
    pub share_of_l1: f64,
}

/// Measures updates for about so long, and the machine's ceilings for a part of it.
///
/// # Errors
/// See [`BenchError`].
pub fn update(subject: &Subject, budget: Duration) -> Result<Update, BenchError> {
    let (mut trainer, images) = trainer(subject, ucd_lmi(), Some(STANDING))?;
    let settings = Settings::of(subject, &trainer, images);
    let (warm, timing) = (Timing::default(), Timing::default());
    let mut reports = Vec::new();
    let times = measure(budget, 3, |repeat| {
        let report = trainer.update_timed(Some(if repeat == 0 { &warm } else { &timing }))?;
        if repeat > 0 {
            reports.push(report);
        }
        Ok::<_, BenchError>(())
    })?;
    let peak_memory_bytes = peak_memory();
    let total: f64 = reports.iter().map(|report| report.seconds).sum();
    let parts = Parts::of(&timing, total, reports.len());
    let work = timing.work();
    let one = |count: u64| count as f64 / reports.len() as f64;
    let per_second = one(work.bytes) * reports.len() as f64 / timing.seconds(Part::Chains);
    let slice = budget / 8;
    let ceiling = match trainer.config().chain_weights {
        WeightKind::F32 => row_adds::<f32>(slice),
        WeightKind::I16 => row_adds::<i16>(slice),
        // Nibbles run as bytes.
        WeightKind::I8 | WeightKind::I4 => row_adds::<i8>(slice),
    };
    let product = product(subject.batch, &settings.layers, slice)?;
    let (checkpoint, data) = (trainer.checkpoint(), trainer.data().clone());
    // Its weights may take gigabytes.
    drop(trainer);
    check::update::check(checkpoint, &data)?;
    Ok(Update {
        chains_per_second: 2.0 * subject.batch as f64 / times.seconds,
        flips_per_second: one(work.flips) / times.seconds,
        times,
        parts,
        positive: PhaseFigures::of(&reports, |report| report.positive),
        negative: PhaseFigures::of(&reports, |report| report.negative),
        row_adds: RowAddFigures {
            rows: one(work.rows),
            bytes: one(work.bytes),
            bytes_per_second: per_second,
            ceiling,
            share_of_l1: per_second / ceiling.l1_bytes_per_second,
        },
        product,
        peak_memory_bytes,
        settings,
        checked: "chains with the core's, half-sweep by half-sweep; two updates' weights and biases with plain sums over \
                  states; the product with plain sums",
    })
}
