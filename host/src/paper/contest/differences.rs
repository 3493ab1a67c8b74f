//! Arms against the one that the others are measured by, at the last mark.

use serde::Serialize;

use super::{
    arms::SEED,
    findings::{log_p, modes, samples},
    round::Found,
};
use crate::paper::report::{Report, maybe, number};

/// How much worse an arm is than the reference: positive numbers speak against it. There are none unless both came to
/// their end.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// The data set.
    pub data: String,
    /// The arm.
    pub arm: &'static str,
    /// What it is measured by.
    pub reference: &'static str,
    /// Whether both the arm and the reference came to their end.
    pub finished: bool,
    /// How much farther away its modes are, in squared Fréchet distance.
    pub modes: Option<f64>,
    /// The same of its samples.
    pub samples: Option<f64>,
    /// By how many nats its bound on the mean log p(v) is lower.
    pub nats: Option<f64>,
    /// Its updates over those of the reference.
    pub updates: Option<f64>,
}

/// Of the arms of a data set; none if the reference is not among them.
pub(super) fn of(found: &[&Found], reference: &str) -> Vec<Difference> {
    let Some(base) = found.iter().find(|arm| arm.label == reference) else { return Vec::new() };
    let others = found.iter().filter(|arm| arm.label != reference);
    let difference = |arm: &&Found| {
        let finished = arm.finished() && base.finished();
        let more = |figure: fn(&Found) -> Option<f64>| if finished { Some(figure(arm)? - figure(base)?) } else { None };
        Difference {
            data: arm.data.clone(),
            arm: arm.label,
            reference: base.label,
            finished,
            modes: more(modes),
            samples: more(samples),
            nats: more(log_p).map(|gain| -gain),
            updates: finished.then(|| arm.updates as f64 / base.updates.max(1) as f64),
        }
    };
    others.map(difference).collect()
}

/// The table of a data set.
pub(super) fn write(report: &mut Report, data: &str, differences: &[Difference]) {
    let of_data: Vec<&Difference> = differences.iter().filter(|difference| difference.data == data).collect();
    let Some(first) = of_data.first() else { return };
    report.add(format_args!(
        "Against {}, at the last mark: how much farther away modes and samples are, and by how many nats the bound on \
         log p(v) is lower. Positive numbers speak against the arm; for one that goes without a technique, this is what the \
         technique is worth.",
        first.reference
    ));
    let row = |difference: &&Difference| {
        let Difference { arm, finished, modes, samples, nats, updates, .. } = difference;
        let label = if *finished { (*arm).to_owned() } else { format!("{arm} (one of the two has no end)") };
        [label].into_iter().chain([*modes, *samples, *nats, *updates].map(maybe)).collect()
    };
    let head = ["arm", "distance of modes", "distance of samples", "nats", "updates, times as many"];
    report.table(&head, &of_data.iter().map(row).collect::<Vec<_>>());
    if let Some(Difference { modes, samples, nats, .. }) =
        of_data.iter().find(|other| other.arm == SEED && other.finished)
    {
        let size = |x: &Option<f64>| x.map_or("–".to_owned(), |x| number(x.abs()));
        report.add(format_args!(
            "Between two seeds of {} the distance of modes differs by {}, that of samples by {}, the bound by {} nats: smaller \
             differences than these mean nothing, and two seeds do not say how much larger ones may be chance.",
            first.reference,
            size(modes),
            size(samples),
            size(nats)
        ));
    }
}
