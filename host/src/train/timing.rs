//! Where the time of an update goes: a sink that updates write to if they are given one.
//!
//! Without a sink no clock is read. With one, a block of chains reads it a handful of times for each phase.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

use crate::batch::chains::Work;

/// A part of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Streams, data, what clamped units contribute, and random bits.
    Start,
    /// Local mode search.
    Search,
    /// The Gibbs sweep to x_0, the fields of its statistics, and conditional means.
    Gibbs,
    /// The Metropolis-Hastings proposal.
    Proposal,
    /// Chains that run one at a time.
    Single,
    /// Both phases' chains on the thread that waits for them: wall time, where the parts above are threads' time.
    Chains,
    /// Sufficient statistics: wall time.
    Statistics,
    /// The gradient, the step, offsets, and the weights in tiles for the next chains: wall time.
    Update,
}

impl Part {
    /// How many there are.
    const COUNT: usize = Self::Update as usize + 1;
}

/// What updates took since the sink was made.
#[derive(Debug, Default)]
pub struct Timing {
    nanoseconds: [AtomicU64; Part::COUNT],
    flips: AtomicU64,
    rows: AtomicU64,
    bytes: AtomicU64,
}

impl Timing {
    /// Seconds of a part.
    pub fn seconds(&self, part: Part) -> f64 {
        self.nanoseconds[part as usize].load(Ordering::Relaxed) as f64 * 1e-9
    }

    /// What the [engine](crate::batch) did.
    pub fn work(&self) -> Work {
        let [flips, rows, bytes] = [&self.flips, &self.rows, &self.bytes].map(|count| count.load(Ordering::Relaxed));
        Work { flips, rows, bytes }
    }

    /// Adds what a block of chains did.
    pub fn add(&self, work: Work) {
        self.flips.fetch_add(work.flips, Ordering::Relaxed);
        self.rows.fetch_add(work.rows, Ordering::Relaxed);
        self.bytes.fetch_add(work.bytes, Ordering::Relaxed);
    }
}

/// A stopwatch that tells a sink about one part after the other; nothing without a sink.
#[derive(Debug)]
pub struct Laps<'t>(Option<(&'t Timing, Instant)>);

impl<'t> Laps<'t> {
    /// Starts the first part.
    pub fn start(timing: Option<&'t Timing>) -> Self {
        Self(timing.map(|timing| (timing, Instant::now())))
    }

    /// Ends a part and starts the next.
    pub fn end(&mut self, part: Part) {
        if let Some((timing, begin)) = &mut self.0 {
            let now = Instant::now();
            let nanoseconds = now.duration_since(*begin).as_nanos() as u64;
            timing.nanoseconds[part as usize].fetch_add(nanoseconds, Ordering::Relaxed);
            *begin = now;
        }
    }
}
