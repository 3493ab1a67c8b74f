//! What a training run, or other long work, shows: a bar on a terminal, a line now and then elsewhere.

use std::{
    io::IsTerminal as _,
    path::{Path, PathBuf},
    sync::{
        LazyLock, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bitboltz_core::{image::Geometry, search::SearchCapHit};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::{inspect::bars, pictures, say};
use crate::{
    checkpoint::CheckpointError,
    sampling::Samples,
    stages::Stages,
    train::{Budget, UpdateReport, diagnostics::Diagnostics, run::Progress},
};

/// Time between lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// Weight of the newest update in the running means that are shown.
const SMOOTHING: f64 = 0.05;

/// Shows a run on standard error, and writes its sample grids.
pub(super) struct Shown {
    bar: ProgressBar,
    terminal: bool,
    geometry: Geometry,
    /// The folder of the grids; `None` for no grids.
    grids: Option<PathBuf>,
    smooth: Option<Smooth>,
    /// Of the last update that had some.
    diagnostics: Option<Diagnostics>,
    last_line: Instant,
}

/// Running means of what a line shows.
struct Smooth {
    seconds: f64,
    /// Where pairs are coupled.
    tau: Option<f64>,
    sweeps: [f64; 2],
    error: f64,
    /// Meeting times of both phases, in bins of powers of two.
    meeting: Vec<f64>,
}

impl Shown {
    /// A display for a run with this budget, whose model shows pictures of this geometry.
    pub(super) fn new(budget: &Budget, geometry: Geometry, grids: Option<PathBuf>) -> Self {
        let terminal = std::io::stderr().is_terminal();
        // Thousandths of the budget, whichever limit is nearer.
        let bar = if terminal { ProgressBar::new(1000) } else { ProgressBar::hidden() };
        let template =
            if *budget == Budget::default() { "{elapsed_precise} {msg}" } else { "[{bar:24}] {msg} ETA {eta}" };
        bar.set_style(
            ProgressStyle::with_template(template).unwrap_or(ProgressStyle::default_bar()).progress_chars("=> "),
        );
        Self { bar, terminal, geometry, grids, smooth: None, diagnostics: None, last_line: Instant::now() }
    }

    /// Prints a line beside the bar.
    pub(super) fn say(&self, line: &str) {
        if self.terminal {
            self.bar.println(line);
        } else {
            say(line);
        }
    }

    /// Removes the bar.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Smooth {
    /// The histogram of meeting times, if they are not all 1.
    fn meeting_bars(&self) -> String {
        // Bins that have been empty for a while are left out: a single long meeting a hundred updates ago is no news.
        let all: f64 = self.meeting.iter().sum();
        let counts: Vec<usize> = self.meeting.iter().map(|count| (1e4 * count / all) as usize).collect();
        let count = counts.iter().rposition(|&count| count > 0).map_or(0, |last| last + 1);
        if count > 1 { format!(" [{}]", bars(&counts[..count])) } else { String::new() }
    }
}

/// Two histograms as one.
fn sum(a: &[u32], b: &[u32]) -> Vec<f64> {
    let count = |bins: &[u32], at: usize| f64::from(bins.get(at).copied().unwrap_or(0));
    (0..a.len().max(b.len())).map(|at| count(a, at) + count(b, at)).collect()
}

/// What `blend` makes of two histograms.
fn blended(a: &[f64], b: &[f64], blend: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    let count = |bins: &[f64], at: usize| bins.get(at).copied().unwrap_or(0.0);
    (0..a.len().max(b.len())).map(|at| blend(count(a, at), count(b, at))).collect()
}

/// The gap between the phases' energies; the share of the gradient that is noise; units that are dead and saturated.
fn in_brief(found: &Diagnostics) -> String {
    let noise = found.noise().map_or_else(String::new, |noise| format!(" noise {noise:.2}"));
    let units = found.dead.zip(found.saturated).map_or_else(String::new, |(dead, saturated)| {
        format!(" dead {:.1} % saturated {:.1} %", 100.0 * dead, 100.0 * saturated)
    });
    format!(" gap {:+.1}{noise}{units}", found.energy_gap)
}

/// Share of the budget that is spent, 0 without one.
fn spent(budget: &Budget, report: &UpdateReport) -> f64 {
    let steps = budget.steps.map_or(0.0, |steps| report.step as f64 / steps as f64);
    let minutes = budget.minutes.map_or(0.0, |minutes| report.total_seconds / (60.0 * minutes));
    steps.max(minutes)
}

impl Progress for Shown {
    fn updated(&mut self, report: &UpdateReport, budget: &Budget) {
        let now = Smooth {
            seconds: report.seconds,
            tau: [report.positive.mean_tau, report.negative.mean_tau].into_iter().flatten().reduce(f64::max),
            sweeps: [report.positive.search_sweeps, report.negative.search_sweeps],
            error: report.positive.visible_error,
            meeting: sum(report.positive.tau_histogram.bins(), report.negative.tau_histogram.bins()),
        };
        let smooth = match self.smooth.take() {
            None => now,
            Some(old) => {
                let blend = |old: f64, new: f64| old + SMOOTHING * (new - old);
                Smooth {
                    seconds: blend(old.seconds, now.seconds),
                    tau: now.tau.map(|now| old.tau.map_or(now, |old| blend(old, now))).or(old.tau),
                    sweeps: [0, 1].map(|i| blend(old.sweeps[i], now.sweeps[i])),
                    error: blend(old.error, now.error),
                    meeting: blended(&old.meeting, &now.meeting, blend),
                }
            }
        };
        let hits = report.positive.cap_hits + report.negative.cap_hits;
        let unsettled = report.positive.unsettled;
        self.diagnostics = report.diagnostics.or(self.diagnostics);
        let line = format!(
            "update {} {:.1}/s{}{} error {:.2} %{}{}{}",
            report.step,
            1.0 / smooth.seconds,
            smooth.tau.map_or_else(String::new, |tau| format!(" tau {tau:.2}{}", smooth.meeting_bars())),
            // No search takes less than one.
            if smooth.sweeps == [0.0; 2] {
                String::new()
            } else {
                format!(" sweeps {:.1}+{:.1}", smooth.sweeps[0], smooth.sweeps[1])
            },
            100.0 * smooth.error,
            self.diagnostics.as_ref().map_or_else(String::new, in_brief),
            if hits > 0 { format!(" ({hits} chains hit their cap)") } else { String::new() },
            if unsettled > 0 { format!(" ({unsettled} mean fields did not settle)") } else { String::new() }
        );
        self.smooth = Some(smooth);
        if self.terminal {
            self.bar.set_position((1000.0 * spent(budget, report)) as u64);
            self.bar.set_message(line);
        } else if self.last_line.elapsed() >= LINE_EVERY {
            self.last_line = Instant::now();
            say(line);
        }
    }

    fn samples(&mut self, step: u64, modes: Result<&Samples, SearchCapHit>) {
        let Some(folder) = &self.grids else { return };
        let written = modes.map_err(anyhow::Error::from).and_then(|modes| {
            let images = pictures::decode(&modes.visible, self.geometry)?;
            let path = folder.join(format!("modes-{step:07}.png"));
            pictures::write_groups(&path, self.geometry, &[&images])
        });
        // A picture on the way is not worth a run.
        if let Err(error) = written {
            self.say(&format!("warning: no grid at update {step}: {error:#}"));
        }
    }

    fn saved(&mut self, step: u64, path: &Path) {
        self.say(&format!("update {step}: saved {}", path.display()));
    }

    fn save_failed(&mut self, error: &CheckpointError) {
        self.say(&format!("warning: not saved, the run goes on: {error}"));
    }
}

/// The bars of work that goes on at once, a line each.
static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// How far work is of which the amount is known: told from any thread. The bar goes when this is dropped.
pub(super) struct Counted {
    what: String,
    total: u64,
    done: AtomicU64,
    bar: Option<ProgressBar>,
    last_line: Mutex<Instant>,
}

impl Counted {
    /// Nothing is done yet of `total`.
    pub(super) fn new(what: &str, total: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = BARS.add(ProgressBar::new(total));
            let style = ProgressStyle::with_template("{msg} [{bar:24}] {percent} % ETA {eta}");
            bar.set_style(style.unwrap_or(ProgressStyle::default_bar()).progress_chars("=> "));
            bar.set_message(what.to_owned());
            bar
        });
        Self { what: what.to_owned(), total, done: AtomicU64::new(0), bar, last_line: Mutex::new(Instant::now()) }
    }

    /// Prints a line beside the bar.
    fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.println(line),
            None => say(line),
        }
    }

    /// So much more is done.
    pub(super) fn advance(&self, by: u64) {
        if let Some(bar) = &self.bar {
            bar.inc(by);
            return;
        }
        let done = self.done.fetch_add(by, Ordering::Relaxed) + by;
        // Whoever finds it locked leaves the line to the other thread.
        let Ok(mut last) = self.last_line.try_lock() else { return };
        if last.elapsed() >= LINE_EVERY {
            *last = Instant::now();
            say(format_args!("{}: {:.0} %", self.what, 100.0 * done as f64 / self.total.max(1) as f64));
        }
    }
}

/// Updates of which the number is known.
impl Progress for Counted {
    fn updated(&mut self, _report: &UpdateReport, _budget: &Budget) {
        self.advance(1);
    }

    fn saved(&mut self, step: u64, path: &Path) {
        self.say(&format!("{}, update {step} of its layer: saved {}", self.what, path.display()));
    }

    fn save_failed(&mut self, error: &CheckpointError) {
        self.say(&format!("warning: not saved, the run goes on: {error}"));
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// The stages of long work as [`Counted`] shows them.
pub(super) struct Bars;

impl Stages for Bars {
    fn begin(&self, what: &str, total: u64) -> Box<dyn Fn(u64) + Sync + '_> {
        let counted = Counted::new(what, total);
        Box::new(move |done| counted.advance(done))
    }

    fn note(&self, line: &str) {
        BARS.suspend(|| say(line));
    }
}
