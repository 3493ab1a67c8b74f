//! Repeats of one piece of work, and what they took.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::machine::cpu_seconds;

/// Wall times of repeats.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Times {
    /// Median wall seconds of one repeat.
    pub seconds: f64,
    /// More of their distribution.
    pub quantiles: Quantiles,
    /// How many there were, the first one, which only warms up, not counted.
    pub repeats: usize,
    /// CPU seconds of one repeat on average, all threads added up; `None` where the system does not say.
    pub cpu_seconds: Option<f64>,
}

/// Quantiles of wall seconds, interpolated between the sorted repeats.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Quantiles {
    /// The quickest.
    pub min: f64,
    /// A quarter was quicker.
    pub lower_quartile: f64,
    /// A quarter was slower.
    pub upper_quartile: f64,
    /// The slowest.
    pub max: f64,
}

/// Repeats `work` for about so long, but at least `least` times, after once to warm up. `work` gets the number of its
/// repeat: 0 is the one to warm up.
///
/// # Errors
/// The first of `work`.
pub fn measure<E>(budget: Duration, least: usize, mut work: impl FnMut(usize) -> Result<(), E>) -> Result<Times, E> {
    work(0)?;
    let (begin, cpu) = (Instant::now(), cpu_seconds());
    let mut seconds = Vec::new();
    while seconds.len() < least.max(1) || begin.elapsed() < budget {
        let start = Instant::now();
        work(seconds.len() + 1)?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    let cpu = cpu.zip(cpu_seconds()).map(|(before, after)| (after - before) / seconds.len() as f64);
    Ok(Times::of(seconds, cpu))
}

/// The quickest of some milliseconds of repeats, in seconds for one call: what a loop can do when nothing disturbs it.
pub fn best(budget: Duration, mut work: impl FnMut()) -> f64 {
    work();
    // As many calls as a clock can tell from none.
    let mut calls = 1_u32;
    loop {
        let start = Instant::now();
        (0..calls).for_each(|_| work());
        if start.elapsed() > Duration::from_micros(50) || calls > 1 << 20 {
            break;
        }
        calls *= 2;
    }
    let (begin, mut best) = (Instant::now(), f64::INFINITY);
    loop {
        let start = Instant::now();
        (0..calls).for_each(|_| work());
        best = best.min(start.elapsed().as_secs_f64() / f64::from(calls));
        if begin.elapsed() >= budget {
            return best;
        }
    }
}

impl Times {
    fn of(mut seconds: Vec<f64>, cpu_seconds: Option<f64>) -> Self {
        seconds.sort_by(f64::total_cmp);
        let at = |share: f64| quantile(&seconds, share);
        let quantiles = Quantiles { min: at(0.0), lower_quartile: at(0.25), upper_quartile: at(0.75), max: at(1.0) };
        Self { seconds: at(0.5), quantiles, repeats: seconds.len(), cpu_seconds }
    }
}

/// A quantile of sorted numbers, of which there is at least one.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let at = share * (sorted.len() - 1) as f64;
    let (low, high) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    low + (high - low) * at.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_sorted_numbers() {
        let times = Times::of(vec![4.0, 1.0, 2.0, 3.0], None);
        assert_eq!((times.seconds, times.repeats), (2.5, 4));
        let Quantiles { min, lower_quartile, upper_quartile, max } = times.quantiles;
        assert_eq!((min, lower_quartile, upper_quartile, max), (1.0, 1.75, 3.25, 4.0));
        assert_eq!(Times::of(vec![7.0], None).seconds, 7.0);
    }

    #[test]
    fn work_is_repeated_at_least_so_often_and_its_error_ends_it() {
        let mut seen = Vec::new();
        let times = measure(Duration::ZERO, 3, |repeat| {
            seen.push(repeat);
            Ok::<_, ()>(())
        });
        assert_eq!((times.unwrap().repeats, seen), (3, vec![0, 1, 2, 3]));
        assert_eq!(measure(Duration::ZERO, 3, |repeat| if repeat == 2 { Err(9) } else { Ok(()) }), Err(9));
    }
}
