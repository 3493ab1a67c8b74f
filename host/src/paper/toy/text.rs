//! The report of `toy`, and its plots.

use super::{Plan, Results, SCALES, map, small, widths};
use crate::paper::{
    plot::{Axis, Plot, Point, Series},
    report::{Report, maybe, number},
};

/// The report and the plots that it shows.
pub(super) fn write(plan: &Plan, results: &Results) -> (Report, Vec<Plot>) {
    let mut report = Report::new("Random machines: local mode search and meeting times against the size");
    introduction(&mut report, results);
    search(&mut report, results);
    meetings(&mut report, results);
    enumerated(&mut report, plan, results);
    chosen(&mut report, &results.choices);
    let title = "Which estimator meets, from 6 units to 2,000";
    let text = "One random machine of each size and scale. In the clamped phase the visible units hold what the machine's \
                own generator shows (random bits, local mode, one Gibbs sweep). The estimate is that of the mean number of \
                units that are on: of the visible layer in the free phase, of the first hidden one in the clamped phase. It \
                is that of the pairs that met: where some were capped it is biased, and its standard error says nothing of that.";
    mapped(&mut report, title, text, &results.map);
    if !results.trained.is_empty() {
        let text = "The same for models from files. What the clamped phase holds is again what the model's own generator \
                    shows: no data set is needed.";
        mapped(&mut report, "Trained models", text, &results.trained);
        for map::Proposals { machine, log_ratio } in &results.proposals {
            report.add(format_args!(
                "{machine}: the log acceptance ratio of a uniform proposal from the paper's start is {} on average and {} at best of {}.",
                number(log_ratio.mean),
                number(log_ratio.max),
                log_ratio.count
            ));
        }
    }
    let mut plots = vec![search_plot(results), share_plot(results), ratio_plot(results), tau_plot(results)];
    plots.extend(bias_plot(results));
    (report, plots)
}

fn introduction(report: &mut Report, results: &Results) {
    report.add(
        "Deep Boltzmann machines with three layers of n units each, weights from N(0, s²), no biases. T is the number of \
         sweeps of local mode search from uniform random bits, the sweep in which nothing flips any more included. τ is the \
         step at which a coupled pair meets (y₀ = x₀, lag 1). A pair that had not met at its cap counts with the cap, so \
         such a mean is a lower bound; how many did is in the tables.",
    );
    let mut found = Vec::new();
    for slope in &results.slopes {
        found.push(format!(
            "At s = {} the exponent of T against n is {} ± {} over all widths, {} over the larger half.",
            slope.scale,
            number(slope.all.slope),
            number(slope.all.standard_error),
            number(slope.upper.slope)
        ));
    }
    let (slope, error) = (results.slope_t, results.slope_t_error);
    found.push(match () {
        () if slope + 2.0 * error < 1.0 => "T grows more slowly than linearly with the width: this claim of the paper holds here.".into(),
        () => "That T grows more slowly than linearly with the width, as the paper claims, does not follow from these figures.".into(),
    });
    found.push(match results.p_tau_1_above_95_from {
        Some(width) => format!(
            "P(τ = 1) of the paper's estimator (local mode, one Gibbs sweep, coupled Metropolis-Hastings) at s = 1 is above \
             0.95 from n = {width} on."
        ),
        None => "P(τ = 1) of the paper's estimator at s = 1 is not above 0.95 at the largest width.".into(),
    });
    if let Some(row) = results.widths.iter().rfind(|row| row.scale == SCALES[0].name) {
        found.push(format!(
            "The reason is in the acceptance ratio. At n = {} its logarithm is {} on average and {} at best of {} proposals: \
             τ = 1 there means that the first proposal was rejected, not that the chains had mixed.",
            row.width,
            number(row.log_ratio.mean),
            number(row.log_ratio.max),
            row.log_ratio.count
        ));
    }
    report.add(found.join(" "));
}

fn search(report: &mut Report, results: &Results) {
    report.section("Sweeps of local mode search");
    report.plot(
        "search",
        "Sweeps T of local mode search against the width; bars: one standard deviation over chains and machines",
    );
    report.add(
        "Without biases a mode does not change when all weights are multiplied by the same number, so T has the same \
         distribution at every scale; the scales differ by chance alone, and so check each other.",
    );
    let head = ["n", "s", "machines", "searches", "mean T", "standard error", "sd", "median", "99 %", "largest"];
    let row = |row: &widths::Row| {
        let t = &row.t;
        let numbers = [t.mean, t.standard_error, t.sd, t.median, t.q99, t.max].map(number);
        [row.width.to_string(), row.scale.to_owned(), row.models.to_string(), t.count.to_string()]
            .into_iter()
            .chain(numbers)
            .collect()
    };
    report.table(&head, &results.widths.iter().map(row).collect::<Vec<_>>());
    let head = ["s", "slope, all widths", "standard error", "slope, larger half", "standard error"];
    let row = |slope: &super::Slope| {
        let numbers = [slope.all.slope, slope.all.standard_error, slope.upper.slope, slope.upper.standard_error];
        [slope.scale.to_owned()].into_iter().chain(numbers.map(number)).collect()
    };
    report.table(&head, &results.slopes.iter().map(row).collect::<Vec<_>>());
    report.add(
        "The errors are those of the residuals around the line, and no bounds: where the exponent of the larger half is another, \
         the curve bends, and that one is the better guess for wider machines. The searches of one machine share its weights.",
    );
}

fn meetings(report: &mut Report, results: &Results) {
    report.section("Meeting times against the width");
    report.plot("p-tau-1", "Share of pairs that meet at the first step; bars: 95 % intervals");
    report.plot("tau", "Median meeting time at each scale; bars: first to third quartile. A curve ends where half of the pairs had not met at the cap");
    report.plot(
        "acceptance",
        "Minus the log acceptance ratio of a uniform proposal from the paper's start; bars: one standard deviation",
    );
    let head = [
        "n",
        "s",
        "log ratio",
        "best",
        "ucd-lmi: P(τ = 1)",
        "mean τ",
        "capped",
        "ucd-mh: P(τ = 1)",
        "median τ",
        "mean τ",
        "capped",
        "ucd-lmi-gibbs: median τ",
        "99 %",
        "capped",
        "ucd-gibbs: median τ",
        "99 %",
        "capped",
    ];
    let capped = |tau: &widths::Tau| match tau.cap_hits {
        0 => "0".to_owned(),
        hits => format!("{hits} of {} at {}", tau.pairs, tau.cap),
    };
    let row = |row: &widths::Row| {
        let (lmi, mh, near, far) = (&row.ucd_lmi, &row.ucd_mh, &row.ucd_lmi_gibbs, &row.ucd_gibbs);
        vec![
            row.width.to_string(),
            row.scale.to_owned(),
            number(row.log_ratio.mean),
            number(row.log_ratio.max),
            number(lmi.p_tau_1.share),
            number(lmi.tau.mean),
            capped(lmi),
            number(mh.p_tau_1.share),
            number(mh.tau.median),
            number(mh.tau.mean),
            capped(mh),
            number(near.tau.median),
            number(near.tau.q99),
            capped(near),
            number(far.tau.median),
            number(far.tau.q99),
            capped(far),
        ]
    };
    report.table(&head, &results.widths.iter().map(row).collect::<Vec<_>>());
}

fn enumerated(report: &mut Report, plan: &Plan, results: &Results) {
    report.section("Bias and variance against enumeration");
    let small::Plan { weight_std, models, replicates, cap, .. } = &plan.small;
    report.add(format_args!(
        "The gradient of log p(v) at a random v, on {models} random machine(s) of each size with weights from N(0, {weight_std}²); \
         {replicates} replicates of each estimator. Bias and error are root mean squares over all components: without bias they \
         are alike, and the mean of z² is 1. It can also be small by chance where a rare, long coupling carries the correction \
         and was not seen: then error and variance are too small as well. A pair not met at {cap} steps is left out."
    ));
    if results.enumerated.iter().any(|row| row.units == 9) {
        report.plot("variance", "Variance of a single estimate of the gradient, mean over its components");
    }
    let head = [
        "units",
        "estimator",
        "bias",
        "error",
        "mean z²",
        "largest z",
        "variance",
        "free: P(τ = 1)",
        "mean τ",
        "largest τ",
        "clamped: P(τ = 1)",
        "mean τ",
        "capped",
    ];
    let row = |row: &small::Row| {
        vec![
            row.units.to_string(),
            row.estimator.clone(),
            number(row.bias),
            number(row.error),
            number(row.z_squares),
            number(row.z_largest),
            number(row.variance),
            maybe(row.free.p_tau_1),
            maybe(row.free.mean_tau),
            maybe(row.free.max_tau.map(f64::from)),
            maybe(row.clamped.p_tau_1),
            maybe(row.clamped.mean_tau),
            (row.free.cap_hits + row.clamped.cap_hits).to_string(),
        ]
    };
    report.table(&head, &results.enumerated.iter().map(row).collect::<Vec<_>>());
}

fn chosen(report: &mut Report, choices: &[map::Choice]) {
    report.section("Which estimator to take");
    let mut found = Vec::new();
    for phase in ["clamped", "free"] {
        let of_phase = || choices.iter().filter(move |choice| choice.phase == phase);
        let best: Vec<&map::Cost> = of_phase().filter_map(|choice| choice.best.as_ref()).collect();
        let mut names: Vec<(&str, usize)> = Vec::new();
        for cost in &best {
            match names.iter_mut().find(|(name, _)| *name == cost.estimator) {
                Some((_, count)) => *count += 1,
                None => names.push((&cost.estimator, 1)),
            }
        }
        names.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
        let names: Vec<String> = names.iter().map(|(name, count)| format!("{name} on {count}")).collect();
        found.push(format!(
            "In the {phase} phase all pairs of some estimator that takes Gibbs sweeps met on {} of {} machines; the fewest steps for \
             the same error took {}.",
            best.len(),
            of_phase().count(),
            if names.is_empty() { "none".to_owned() } else { names.join(", ") }
        ));
    }
    report.add(found.join(" "));
    report.add(
        "All estimators are unbiased on any machine; what differs is whether their pairs meet, and what an estimate of some error \
         takes: the variance of one estimate times its steps, which is how many steps bring the standard error of the mean down \
         to one unit (the sweeps of the search before them not counted). What is estimated, and on which machines, is said in \
         the next sections. Left out are estimators with a pair that did not meet, and Metropolis-Hastings alone: from a mode its \
         proposals are rejected, from random bits all but the first ones are, so its pairs meet soon and its estimates vary \
         little, while the rare long couplings that would correct them are not seen. Its rows in the next tables show how far off \
         it then is.",
    );
    let head = [
        "machine",
        "units",
        "phase",
        "best",
        "mean τ",
        "steps",
        "steps of ucd-lmi-gibbs",
        "its pairs that did not meet",
    ];
    let row = |choice: &map::Choice| {
        let best = choice.best.as_ref();
        vec![
            choice.machine.clone(),
            choice.units.to_string(),
            choice.phase.to_owned(),
            best.map_or("–".to_owned(), |cost| cost.estimator.clone()),
            maybe(best.map(|cost| cost.mean_tau)),
            maybe(best.map(|cost| cost.steps)),
            maybe(choice.plain.as_ref().map(|cost| cost.steps)),
            format!("{} of {}", choice.plain_cap_hits, choice.pairs),
        ]
    };
    report.table(&head, &choices.iter().map(row).collect::<Vec<_>>());
}

fn mapped(report: &mut Report, title: &str, text: &str, rows: &[map::Row]) {
    report.section(title);
    report.add(text);
    let head = [
        "machine",
        "units",
        "phase",
        "estimator",
        "P(τ = 1)",
        "mean τ",
        "median",
        "99 %",
        "capped",
        "estimate",
        "standard error",
        "sd of one",
        "steps of one",
    ];
    let row = |row: &map::Row| {
        let capped = match row.cap_hits {
            0 => "0".to_owned(),
            hits => format!("{hits} of {} at {}", row.pairs, row.cap),
        };
        vec![
            row.machine.clone(),
            row.units.to_string(),
            row.phase.to_owned(),
            row.estimator.clone(),
            number(row.p_tau_1.share),
            number(row.tau.mean),
            number(row.tau.median),
            number(row.tau.q99),
            capped,
            maybe(row.estimate.map(|found| found.mean)),
            maybe(row.estimate.map(|found| found.standard_error)),
            maybe(row.estimate.map(|found| found.sd)),
            number(row.mean_steps),
        ]
    };
    report.table(&head, &rows.iter().map(row).collect::<Vec<_>>());
}

/// A series over the widths of one scale.
fn over_widths(
    name: String,
    scale: &str,
    rows: &[widths::Row],
    point: impl Fn(&widths::Row) -> (f64, (f64, f64)),
) -> Series {
    let rows = rows.iter().filter(|row| row.scale == scale);
    let points = rows.map(|row| {
        let (y, bar) = point(row);
        Point { x: row.width as f64, y, bar }
    });
    Series { name, points: points.filter(|point| point.y.is_finite()).collect(), fit: false }
}

/// The median of τ with its quartiles; not a number where half of the pairs or more had not met.
fn median(tau: &widths::Tau) -> (f64, (f64, f64)) {
    let known = 2 * tau.cap_hits < tau.pairs;
    (if known { tau.tau.median } else { f64::NAN }, (tau.tau.q25, tau.tau.q75))
}

const WIDTH: &str = "units n of each of the three layers";

fn search_plot(results: &Results) -> Plot {
    let mut series = Vec::new();
    for slope in &results.slopes {
        let measured = over_widths(format!("weights of s = {}", slope.scale), slope.scale, &results.widths, |row| {
            (row.t.mean, (row.t.mean - row.t.sd, row.t.mean + row.t.sd))
        });
        let ends = [measured.points.first(), measured.points.last()];
        let line = ends.into_iter().flatten().map(|p| {
            let y = slope.all.at(p.x);
            Point { x: p.x, y, bar: (y, y) }
        });
        let name = format!("slope {} ± {}", number(slope.all.slope), number(slope.all.standard_error));
        let fit = Series { name, points: line.collect(), fit: true };
        series.extend([measured, fit]);
    }
    Plot {
        name: "search".to_owned(),
        title: "Local mode search on random machines".to_owned(),
        x: Axis::log(WIDTH),
        y: Axis::log("sweeps T until nothing flips"),
        series,
        levels: Vec::new(),
    }
}

fn share_plot(results: &Results) -> Plot {
    let mut series = Vec::new();
    for scale in SCALES {
        series.push(over_widths(format!("local mode, s = {}", scale.name), scale.name, &results.widths, |row| {
            let share = row.ucd_lmi.p_tau_1;
            (share.share, (share.low, share.high))
        }));
    }
    for scale in SCALES {
        series.push(over_widths(format!("random start, s = {}", scale.name), scale.name, &results.widths, |row| {
            let share = row.ucd_mh.p_tau_1;
            (share.share, (share.low, share.high))
        }));
    }
    Plot {
        name: "p-tau-1".to_owned(),
        title: "Coupled Metropolis-Hastings: share of pairs that meet at once".to_owned(),
        x: Axis::log(WIDTH),
        y: Axis { range: Some((0.0, 1.05)), ..Axis::linear("P(τ = 1)") },
        series,
        levels: Vec::new(),
    }
}

fn ratio_plot(results: &Results) -> Plot {
    let series = SCALES.map(|scale| {
        over_widths(format!("s = {}", scale.name), scale.name, &results.widths, |row| {
            let (y, sd) = (-row.log_ratio.mean, row.log_ratio.sd);
            (y, (y - sd, y + sd))
        })
    });
    Plot {
        name: "acceptance".to_owned(),
        title: "Uniform proposals from local modes".to_owned(),
        x: Axis::log(WIDTH),
        y: Axis::log("−log acceptance ratio (nats)"),
        series: series.to_vec(),
        levels: Vec::new(),
    }
}

fn tau_plot(results: &Results) -> Plot {
    let mut series = Vec::new();
    type Which = fn(&widths::Row) -> &widths::Tau;
    let kinds: [(&str, Which); 2] = [("local mode", |row| &row.ucd_lmi_gibbs), ("random", |row| &row.ucd_gibbs)];
    for (start, which) in kinds {
        for scale in SCALES {
            series.push(over_widths(
                format!("Gibbs, {start}, s = {}", scale.name),
                scale.name,
                &results.widths,
                |row| median(which(row)),
            ));
        }
    }
    series.push(over_widths("ucd-lmi, s = 1".to_owned(), SCALES[0].name, &results.widths, |row| median(&row.ucd_lmi)));
    Plot {
        name: "tau".to_owned(),
        title: "Meeting times on random machines".to_owned(),
        x: Axis::log(WIDTH),
        y: Axis { range: Some((0.8, 100_000.0)), ..Axis::log("median meeting time τ (steps)") },
        series,
        levels: Vec::new(),
    }
}

/// Variances against the number of units, for the estimators that differ most.
fn bias_plot(results: &Results) -> Option<Plot> {
    let names =
        ["cd-1", "ucd-lmi", "ucd-mh", "ucd-gibbs", "ucd-lmi-gibbs", "ucd-lmi-mix-0.1", "ucd-lmi-gibbs, H_{5:50}"];
    let series = names.map(|name| {
        let rows = results.enumerated.iter().filter(|row| row.estimator == name);
        let points = rows.map(|row| Point { x: row.units as f64, y: row.variance, bar: (row.variance, row.variance) });
        Series { name: name.to_owned(), points: points.collect(), fit: false }
    });
    series.iter().any(|series| series.points.len() > 1).then(|| Plot {
        name: "variance".to_owned(),
        title: "Variance of one estimate of the gradient".to_owned(),
        x: Axis::linear("units of all three layers"),
        y: Axis::log("variance, mean over components"),
        series: series.to_vec(),
        levels: Vec::new(),
    })
}
