//! What a comparison found, in sentences.

use bitboltz_core::coupling::Horizon;

use super::{Comparison, round::Found};
use crate::{
    estimator::{Estimator, SecondStart, TransitionPolicy},
    paper::{
        report::{Report, number},
        training::PhaseMeans,
    },
};

/// The arm with the least of a figure, among those that have it and did not fail.
fn least<'a>(found: &[&'a Found], figure: impl Fn(&Found) -> Option<f64>) -> Option<(&'a Found, f64)> {
    let worked = found.iter().filter(|arm| arm.failed.is_none());
    let all = worked.filter_map(|arm| Some((*arm, figure(arm)?))).filter(|(_, figure)| figure.is_finite());
    all.min_by(|a, b| a.1.total_cmp(&b.1))
}

/// Distance of modes at the last mark, by the first judge.
pub(super) fn modes(arm: &Found) -> Option<f64> {
    Some(arm.last()?.judged[0].modes.frechet)
}

/// Distance of samples at the last mark, by the first judge.
pub(super) fn samples(arm: &Found) -> Option<f64> {
    Some(arm.last()?.judged[0].samples.frechet)
}

/// Bound on the mean log p(v) of the test images, in nats.
pub(super) fn log_p(arm: &Found) -> Option<f64> {
    Some(arm.likelihood.as_ref()?.log_p.nats)
}

pub(super) fn write(report: &mut Report, comparison: &Comparison, found: &[&Found]) {
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
        let both: Vec<&Found> =
            found.iter().copied().filter(|arm| modes(arm).is_some() && log_p(arm).is_some()).collect();
        let nearest = least(&both, modes);
        let likeliest = least(&both, |arm| log_p(arm).map(|nats| -nats));
        if let (2.., Some((nearest, _)), Some((likeliest, _))) = (both.len(), nearest, likeliest) {
            says.push(match nearest.label == likeliest.label {
                true => "By likelihood and by generated modes the same arm is best.".to_owned(),
                false => format!(
                    "Of the arms with both figures, {} is best by generated modes and {} by likelihood: the two disagree.",
                    nearest.label, likeliest.label
                ),
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
