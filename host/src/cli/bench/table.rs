//! Figures for people.

use std::io::{self, Write};

use super::Growth;
use crate::bench::{
    epoch::Epoch, gibbs::Gibbs, kernels::Kernels, measure::Times, sample::Sample, subject::Settings, update::Update,
};

pub(super) fn update(out: &mut dyn Write, figures: &Update) -> io::Result<()> {
    settings(out, &figures.settings)?;
    times(out, "update", &figures.times)?;
    for (name, seconds) in figures.parts.named() {
        line(out, &format!("  {name}"), &format!("{} ({:.1} %)", time(seconds), 100.0 * seconds / mean(figures)))?;
    }
    line(out, "chains", &format!("{:.0} a second, clamped and free ones", figures.chains_per_second))?;
    line(out, "flips", &format!("{:.3e} a second", figures.flips_per_second))?;
    for (name, phase) in [("clamped", figures.positive), ("free", figures.negative)] {
        let text = format!(
            "{:.2} sweeps a search, mean tau {:.2}, {} cap hits",
            phase.search_sweeps, phase.mean_tau, phase.cap_hits
        );
        line(out, name, &text)?;
    }
    let adds = &figures.row_adds;
    let [rate, l1, l2] =
        [adds.bytes_per_second, adds.ceiling.l1_bytes_per_second, adds.ceiling.l2_bytes_per_second].map(|x| x / 1e9);
    let share = 100.0 * adds.share_of_l1;
    line(
        out,
        "row adds",
        &format!("{rate:.1} GB/s = {share:.0} % of this machine's L1 peak of {l1:.1} (L2: {l2:.1})"),
    )?;
    let product = figures.product;
    let sweeps = figures.times.seconds / product.seconds;
    let text = format!(
        "{:.1} GFLOP/s; one for the batch and every connection {}, the update {sweeps:.1} times as long",
        product.flops / 1e9,
        time(product.seconds)
    );
    line(out, "float product", &text)?;
    memory(out, figures.peak_memory_bytes)?;
    line(out, "checked", figures.checked)
}

/// Seconds of a measured update on average: what the parts add up to.
fn mean(figures: &Update) -> f64 {
    figures.parts.named().into_iter().map(|(_, seconds)| seconds).sum()
}

pub(super) fn growth(out: &mut dyn Write, figures: &Growth) -> io::Result<()> {
    if let Some(row) = figures.rows.first() {
        line(out, "settings", &chains(&row.settings))?;
    }
    writeln!(
        out,
        "{:<24}{:>12}{:>12}{:>10}{:>10}{:>14}{:>14}",
        "layers", "update", "product", "sweeps+", "sweeps-", "row adds", "peak memory"
    )?;
    for row in &figures.rows {
        let layers: Vec<String> = row.settings.layers.iter().map(usize::to_string).collect();
        writeln!(
            out,
            "{:<24}{:>12}{:>12}{:>10.2}{:>10.2}{:>9.1} GB/s{:>14}",
            layers.join("-"),
            time(row.times.seconds),
            time(row.product.seconds),
            row.positive.search_sweeps,
            row.negative.search_sweeps,
            row.row_adds.bytes_per_second / 1e9,
            mebibytes(row.peak_memory_bytes)
        )?;
    }
    let power =
        |exponent: Option<f64>| exponent.map_or("unknown".to_owned(), |exponent| format!("width^{exponent:.2}"));
    let (update, product) = (power(figures.exponents.update), power(figures.exponents.product));
    line(out, "growth", &format!("update {update}, dense float product {product} (least squares in logarithms)"))?;
    line(out, "memory", "the peak of the process until each row, checks of the rows before included")?;
    figures.rows.first().map_or(Ok(()), |row| line(out, "checked", row.checked))
}

pub(super) fn sample(out: &mut dyn Write, figures: &Sample) -> io::Result<()> {
    settings(out, &figures.settings)?;
    times(out, "batch", &figures.times)?;
    line(out, "images", &format!("{:.0} a second", figures.images_per_second))?;
    line(out, "search", &format!("{:.2} sweeps", figures.search_sweeps))?;
    memory(out, figures.peak_memory_bytes)?;
    line(out, "checked", figures.checked)
}

pub(super) fn gibbs(out: &mut dyn Write, figures: &Gibbs) -> io::Result<()> {
    settings(out, &figures.settings)?;
    times(out, "sweep", &figures.times)?;
    line(out, "chain-sweeps", &format!("{:.0} a second", figures.chain_sweeps_per_second))?;
    line(out, "flips", &format!("{:.0} a sweep of one chain", figures.flips_per_chain_sweep))?;
    memory(out, figures.peak_memory_bytes)?;
    line(out, "checked", figures.checked)
}

pub(super) fn epoch(out: &mut dyn Write, figures: &Epoch) -> io::Result<()> {
    settings(out, &figures.settings)?;
    times(out, "epoch", &figures.times)?;
    let Epoch { images, updates, images_per_second, .. } = figures;
    line(out, "images", &format!("{images}, {updates} updates; {images_per_second:.0} a second"))?;
    memory(out, figures.peak_memory_bytes)?;
    line(out, "checked", figures.checked)
}

pub(super) fn kernels(out: &mut dyn Write, figures: &Kernels) -> io::Result<()> {
    writeln!(out, "one thread; the quickest of many calls; share: of the plainest loop over the same bytes in L1")?;
    for ceiling in &figures.row_adds {
        let [f32, i16, i8, bits] = [
            ceiling.f32_bytes_per_second,
            ceiling.i16_bytes_per_second,
            ceiling.i8_bytes_per_second,
            ceiling.counted_bits_per_second,
        ]
        .map(|x| x / 1e9);
        let text = format!("row adds f32 {f32:.1}, i16 {i16:.1}, i8 {i8:.1} GB/s; {bits:.0} Gbit/s counted");
        line(out, ceiling.instruction_set, &text)?;
    }
    writeln!(
        out,
        "{:<12}{:<6}{:<28}{:<10}{:>12}  {:<14}{:>6}",
        "kernel", "of", "size", "set", "ns", "for one", "share"
    )?;
    for figure in &figures.kernels {
        let share = figure.share_of_peak.map_or(String::new(), |share| format!("{:.0} %", 100.0 * share));
        let numbers = figure.numbers.unwrap_or("");
        writeln!(
            out,
            "{:<12}{numbers:<6}{:<28}{:<10}{:>12.3}  {:<14}{share:>6}",
            figure.kernel, figure.size, figure.instruction_set, figure.nanoseconds, figure.unit
        )?;
    }
    line(out, "checked", figures.checked)
}

fn settings(out: &mut dyn Write, settings: &Settings) -> io::Result<()> {
    let layers: Vec<String> = settings.layers.iter().map(usize::to_string).collect();
    line(out, "model", &format!("{}, layers {}", settings.model, layers.join("-")))?;
    line(out, "settings", &chains(settings))
}

fn chains(settings: &Settings) -> String {
    let Settings { batch, chain_weights, seed, .. } = settings;
    let images = settings.images.as_ref().map_or(String::new(), |images| format!(", {images}"));
    let estimator = settings.estimator.as_ref().map_or(String::new(), |estimator| format!(", {estimator}"));
    format!("batch {batch}, chains on {chain_weights}{estimator}{images}, seed {seed}")
}

fn times(out: &mut dyn Write, what: &str, times: &Times) -> io::Result<()> {
    let Times { seconds, quantiles, repeats, cpu_seconds } = times;
    let cpu = cpu_seconds.map_or("unknown".to_owned(), time);
    let text = format!(
        "{} median of {repeats} ({} least, quartiles {} and {}, {} most); CPU {cpu}",
        time(*seconds),
        time(quantiles.min),
        time(quantiles.lower_quartile),
        time(quantiles.upper_quartile),
        time(quantiles.max)
    );
    line(out, what, &text)
}

fn memory(out: &mut dyn Write, bytes: Option<u64>) -> io::Result<()> {
    line(out, "peak memory", &mebibytes(bytes))
}

fn mebibytes(bytes: Option<u64>) -> String {
    bytes.map_or("unknown".to_owned(), |bytes| format!("{:.1} MiB", bytes as f64 / 1_048_576.0))
}

fn line(out: &mut dyn Write, name: &str, text: &str) -> io::Result<()> {
    writeln!(out, "{name:<16}{text}")
}

/// A time in the unit that suits it.
fn time(seconds: f64) -> String {
    match seconds {
        s if s >= 1.0 => format!("{s:.3} s"),
        s if s >= 1e-3 => format!("{:.3} ms", s * 1e3),
        s => format!("{:.1} µs", s * 1e6),
    }
}
