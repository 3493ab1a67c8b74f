//! Long work of several stages, and who is told of it.

/// Shows work as it is done.
pub trait Stages {
    /// Begins a stage with so much to do; what it gives is told how much was done, from any thread.
    fn begin(&self, what: &str, total: u64) -> Box<dyn Fn(u64) + Sync + '_>;

    /// Shows a line between stages. Nothing, unless it is overridden.
    fn note(&self, line: &str) {
        let _ = line;
    }
}

/// Shows nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quiet;

impl Stages for Quiet {
    fn begin(&self, _what: &str, _total: u64) -> Box<dyn Fn(u64) + Sync + '_> {
        Box::new(|_| {})
    }
}
