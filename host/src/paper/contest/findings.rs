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

/// The arm with the least of a figure, among those that have it and came to their end.
fn least<'a>(found: &[&'a Found], figure: impl Fn(&Found) -> Option<f64>) -> Option<(&'a Found, f64)> {
    let worked = found.iter().filter(|arm| arm.finished());
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

/// Distance of the chains after long Gibbs sampling, by the first judge.
pub(super) fn wandered(arm: &Found) -> Option<f64> {
    Some(arm.wandered.first()?.frechet)
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
        let learn = names(&|arm| arm.learns && arm.finished());
        let not = names(&|arm| !arm.learns && arm.finished());
        let list = |names: &[&str]| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        says.push(format!("Of {} arms {} learn ({}).", found.len(), learn.len(), list(&learn)));
        says.push(format!("Not learnt: {}.", list(&not)));
    }
    for arm in found {
        if arm.stopped {
            says.push(format!("{} was stopped after {} updates.", arm.label, arm.updates));
        }
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
    if let (Some((arm, distance)), 2..) = (least(found, wandered), found.len()) {
        says.push(format!("After long Gibbs sampling the lowest distance is {}, of {}.", number(distance), arm.label));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        eval::{
            importance::LogMean,
            judge::Quality,
            likelihood::{Likelihood, LogZ, MeanLogP},
            neighbours::Coverage,
        },
        paper::{
            contest::{
                Bounds,
                differences::{self, Difference},
                round::{Judged, Row},
            },
            training::Snapshot,
        },
        train::TrainConfig,
    };

    fn quality(frechet: f64) -> Quality {
        let coverage = Coverage { precision: 0.5, recall: 0.5, coverage: 0.5 };
        Quality { frechet, coverage, distinct: 9, classes: None }
    }

    fn likelihood(nats: f64) -> Likelihood {
        let mean = LogMean {
            estimate: 1.0,
            standard_error: 0.1,
            effective_sample_size: 5.0,
            mean_log: 1.0,
            sd_log: 0.1,
            min_log: 0.9,
            max_log: 1.1,
        };
        let of = |nats| MeanLogP { nats, bits_per_unit: 1.0, standard_error: 0.1 };
        Likelihood {
            log_z: LogZ { mean, chains: 5, betas: 10, seconds: 0.0 },
            rows: 10,
            exact: false,
            log_p: of(nats),
            unsettled: 0,
            seconds: 0.0,
            clamped: None,
            reverse: None,
            base_rate: of(-200.0),
        }
    }

    /// An arm that came to its end, with distances of modes and of samples.
    fn arm(label: &'static str, modes: f64, samples: f64, nats: Option<f64>) -> Found {
        let (modes, samples) = (quality(modes), quality(samples));
        let phase = PhaseMeans { mean_tau: None, max_tau: None, mean_t: 2.0, cap_hits: 0, chains: 10 };
        Found {
            name: format!("d: {label}"),
            label,
            what: "",
            data: "d".to_owned(),
            config: TrainConfig::default(),
            warm_up: None,
            layers: vec![4, 3],
            marks: vec![40],
            updates: 40,
            seconds: 1.0,
            failed: None,
            stopped: false,
            snapshots: vec![Row {
                snapshot: Snapshot { updates: 40, seconds: 1.0, positive: phase, negative: phase },
                judged: vec![Judged { features: "f".to_owned(), modes, samples }],
                restored: None,
                likelihood: None,
            }],
            wandered: Vec::new(),
            not_wandered: None,
            likelihood: nats.map(likelihood),
            learns: true,
        }
    }

    fn text(found: &[&Found]) -> String {
        let bounds =
            Bounds { features: "f".to_owned(), dims: 4, samples: 9, floor: quality(1.0), ceiling: quality(500.0) };
        let comparison = Comparison {
            data: "d".to_owned(),
            visible: 4,
            train_rows: 9,
            test_rows: 9,
            bounds: vec![bounds],
            restored_majority: None,
            restored_nearest: None,
        };
        let mut report = Report::new("");
        write(&mut report, &comparison, found);
        report.text().to_owned()
    }

    #[test]
    fn an_arm_without_an_end_is_not_the_best() {
        let mut best = arm("a", 1.0, 2.0, Some(-10.0));
        let others = [arm("b", 5.0, 6.0, Some(-100.0)), arm("c", 4.0, 7.0, Some(-150.0))];
        let of = |best: &Found| text(&[best, &others[0], &others[1]]);
        let whole = of(&best);
        assert!(whole.contains("of modes is 1.00, of a") && whole.contains("is −10.0 nats, of a"), "{whole}");
        best.failed = Some("why".to_owned());
        let failed = of(&best);
        assert!(failed.contains("Of 3 arms 2 learn (b, c).") && failed.contains("a failed after 40 updates (why)"));
        (best.failed, best.stopped) = (None, true);
        let stopped = of(&best);
        assert!(stopped.contains("Of 3 arms 2 learn (b, c).") && stopped.contains("a was stopped after 40 updates."));
        for text in [failed, stopped] {
            assert!(text.contains("of modes is 4.00, of c") && text.contains("of samples is 6.00, of b"), "{text}");
            assert!(text.contains("is −100 nats, of b"), "{text}");
        }
    }

    #[test]
    fn the_best_after_long_sampling_may_be_another() {
        let (mut a, mut b) = (arm("a", 1.0, 2.0, None), arm("b", 5.0, 6.0, None));
        assert!(!text(&[&a, &b]).contains("long Gibbs"));
        (a.wandered, b.wandered) = (vec![quality(9.0)], vec![quality(3.0)]);
        assert!(text(&[&a, &b]).contains("After long Gibbs sampling the lowest distance is 3.00, of b."));
    }

    #[test]
    fn orders_are_compared_over_arms_with_both_figures() {
        let (a, b) = (arm("a", 1.0, 2.0, Some(-100.0)), arm("b", 5.0, 6.0, Some(-150.0)));
        assert!(text(&[&a, &b]).contains("the same arm is best"));
        let likelier = arm("c", 9.0, 9.0, Some(-90.0));
        let found = text(&[&a, &b, &likelier]);
        assert!(found.contains("a is best by generated modes and c by likelihood: the two disagree"), "{found}");
        // Nearest of all, but nobody knows how likely.
        let unknown = arm("e", 0.5, 9.0, None);
        let found = text(&[&a, &b, &unknown]);
        assert!(found.contains("of modes is 0.500, of e") && found.contains("the same arm is best"), "{found}");
        let alone = text(&[&a, &unknown]);
        assert!(!alone.contains("same arm") && !alone.contains("disagree"), "{alone}");
    }

    #[test]
    fn tau_is_1_for_every_pair_only_if_every_pair_met() {
        let of = |tau: f64, cap_hits: usize, estimator: &str| {
            let mut found = arm("a", 1.0, 2.0, None);
            found.config.estimator = estimator.parse().unwrap();
            let negative = &mut found.snapshots[0].snapshot.negative;
            (negative.mean_tau, negative.cap_hits) = (Some(tau), cap_hits);
            text(&[&found]).contains("no proposal was accepted")
        };
        assert!(of(1.0, 0, "ucd-lmi") && of(1.0, 0, "ucd-mh"));
        assert!(!of(1.0, 1, "ucd-lmi") && !of(1.01, 0, "ucd-lmi") && !of(1.0, 0, "ucd-lmi-gibbs"));
    }

    #[test]
    fn differences_are_those_of_arms_that_came_to_their_end() {
        let (mut base, mut other) = (arm("ucd-lmi", 10.0, 20.0, Some(-100.0)), arm("seed-1", 9.0, 23.0, Some(-104.0)));
        other.updates = 20;
        let of = |base: &Found, other: &Found| differences::of(&[other, base], "ucd-lmi");
        let expected = Difference {
            data: "d".to_owned(),
            arm: "seed-1",
            reference: "ucd-lmi",
            finished: true,
            modes: Some(-1.0),
            samples: Some(3.0),
            nats: Some(4.0),
            updates: Some(0.5),
        };
        assert_eq!(of(&base, &other), std::slice::from_ref(&expected));
        let report = |differences: &[Difference]| {
            let mut report = Report::new("");
            differences::write(&mut report, "d", differences);
            report.text().to_owned()
        };
        let text = report(std::slice::from_ref(&expected));
        assert!(
            text.contains("Against ucd-lmi") && text.contains("differs by 1.00, that of samples by 3.00"),
            "{text}"
        );
        base.stopped = true;
        let none = Difference { finished: false, modes: None, samples: None, nats: None, updates: None, ..expected };
        assert_eq!(of(&base, &other), std::slice::from_ref(&none));
        base.stopped = false;
        other.failed = Some("why".to_owned());
        assert_eq!(of(&base, &other), std::slice::from_ref(&none));
        assert!(!report(&[none]).contains("Between two seeds"));
        assert!(differences::of(&[&other], "ucd-lmi").is_empty());
    }
}
