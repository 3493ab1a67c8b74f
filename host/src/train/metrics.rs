//! The figures of every update as JSON lines: one [`UpdateReport`] a line.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, LineWriter, Read as _, Seek as _, SeekFrom, Write as _},
    path::Path,
};

use serde::Deserialize;

use super::trainer::UpdateReport;

/// How far a run has come, in the order of its updates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// No update of any kind.
    Begin,
    /// In its pretraining.
    Pretraining {
        /// The hidden layer whose machine is being learnt; the lowest is 1.
        layer: usize,
        /// Updates of this machine.
        step: u64,
    },
    /// In the run itself.
    Run {
        /// Updates done.
        step: u64,
    },
}

impl Mark {
    /// Updates of the machine that is being learnt.
    pub const fn step(self) -> u64 {
        match self {
            Self::Begin => 0,
            Self::Pretraining { step, .. } | Self::Run { step } => step,
        }
    }
}

/// A metrics file that is being appended to. Every line is written when it is complete, so that other programs can
/// follow the file.
#[derive(Debug)]
pub struct MetricsFile {
    out: LineWriter<File>,
    /// How much of what the file held is kept, until the first line is appended.
    keep: Option<u64>,
}

impl MetricsFile {
    /// Opens the file for a run that has come to `mark`: what was recorded after that, or was cut off in the middle of a
    /// line when a run was killed, is removed with the first line that is appended, and the rest is kept.
    ///
    /// # Errors
    /// Those of the file system; a file that holds anything but metrics, which is left as it is.
    pub fn open(path: &Path, mark: Mark) -> io::Result<Self> {
        if path.metadata().is_ok_and(|meta| !meta.is_file() && !meta.is_dir()) {
            // `/dev/null`, a pipe: there is nothing to keep, nor to cut.
            return Ok(Self { out: LineWriter::new(File::options().write(true).open(path)?), keep: None });
        }
        let mut file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
        refuse_others(&file)?;
        file.rewind()?;
        let keep = length_up_to(&file, mark)?;
        Ok(Self { out: LineWriter::new(file), keep: Some(keep) })
    }

    /// Appends a line.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn append(&mut self, report: &UpdateReport) -> io::Result<()> {
        if let Some(keep) = self.keep.take() {
            let mut file = self.out.get_ref();
            file.set_len(keep)?;
            file.seek(SeekFrom::Start(keep))?;
        }
        serde_json::to_writer(&mut self.out, report)?;
        self.out.write_all(b"\n")
    }
}

fn refuse_others(file: &File) -> io::Result<()> {
    if is_empty_or_metrics(file)? {
        return Ok(());
    }
    let reason = "expected metrics (JSON lines with `step`), found something else, which is left as it is";
    Err(io::Error::new(io::ErrorKind::InvalidData, reason))
}

/// Whether a file holds metrics: its first line is one of ours, or was one before it was cut off.
///
/// # Errors
/// Those of the file system.
pub fn holds_metrics(path: &Path) -> io::Result<bool> {
    let file = File::open(path)?;
    Ok(file.metadata()?.len() > 0 && is_empty_or_metrics(&file)?)
}

fn is_empty_or_metrics(file: &File) -> io::Result<bool> {
    let mut line = Vec::new();
    // No line of ours is nearly as long, and a file without line ends may be of any size.
    BufReader::new(file).take(1 << 16).read_until(b'\n', &mut line)?;
    let ours = line.starts_with(START) || START.starts_with(&line);
    let whole = line.last() == Some(&b'\n');
    Ok(ours && (!whole || serde_json::from_slice::<Line>(&line).is_ok()))
}

/// What every line begins with.
const START: &[u8] = b"{\"step\":";

/// As much of a line as is needed to continue a file.
#[derive(Deserialize)]
struct Line {
    step: u64,
    pretraining: Option<usize>,
}

impl Line {
    fn mark(&self) -> Mark {
        match (self.step, self.pretraining) {
            (step, Some(layer)) => Mark::Pretraining { layer, step },
            (step, None) => Mark::Run { step },
        }
    }
}

/// Bytes of the whole lines at the front that were recorded up to `mark`.
fn length_up_to(file: &File, mark: Mark) -> io::Result<u64> {
    let (mut reader, mut line, mut length) = (BufReader::new(file), Vec::new(), 0);
    loop {
        line.clear();
        let bytes = reader.read_until(b'\n', &mut line)?;
        let whole = line.last() == Some(&b'\n');
        match serde_json::from_slice::<Line>(&line) {
            Ok(found) if whole && found.mark() <= mark => length += bytes as u64,
            _ => return Ok(length),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::phase::PhaseSummary;

    fn report(step: u64) -> UpdateReport {
        UpdateReport {
            step,
            pretraining: None,
            learning_rate: 0.5,
            positive: PhaseSummary { mean_tau: Some(1.5), max_tau: Some(3), ..PhaseSummary::default() },
            negative: PhaseSummary::default(),
            diagnostics: None,
            seconds: 0.25,
            total_seconds: 1.0,
        }
    }

    #[test]
    fn a_resumed_run_continues_after_its_step() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut file = MetricsFile::open(&path, Mark::Begin).unwrap();
        (1..=5).for_each(|step| file.append(&report(step)).unwrap());
        drop(file);
        // A line that was cut off.
        let mut text = std::fs::read_to_string(&path).unwrap();
        text.push_str("{\"step\":6,\"lear");
        std::fs::write(&path, &text).unwrap();

        for resumed in [5, 3] {
            let mut file = MetricsFile::open(&path, Mark::Run { step: resumed }).unwrap();
            file.append(&report(100)).unwrap();
            drop(file);
            let text = std::fs::read_to_string(&path).unwrap();
            let steps = text.lines().map(|line| serde_json::from_str::<UpdateReport>(line).unwrap().step);
            assert!(steps.eq((1..=resumed).chain([100])), "{text}");
        }
        // A new run empties the file when it has something to write.
        let before = std::fs::read(&path).unwrap();
        let mut file = MetricsFile::open(&path, Mark::Begin).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), before);
        file.append(&report(1)).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 1);
        std::fs::write(&path, "").unwrap();
        assert!(!holds_metrics(&path).unwrap());
    }

    #[test]
    fn lines_of_a_pretraining_come_before_those_of_its_run() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let lines = [(Some(1), 1), (Some(1), 2), (Some(2), 1), (Some(2), 2), (None, 1), (None, 2)];
        let kept = |mark: Mark| {
            let mut file = MetricsFile::open(&path, Mark::Begin).unwrap();
            for (pretraining, step) in lines {
                file.append(&UpdateReport { pretraining, ..report(step) }).unwrap();
            }
            drop(file);
            MetricsFile::open(&path, mark).unwrap().append(&report(9)).unwrap();
            std::fs::read_to_string(&path).unwrap().lines().count() - 1
        };
        assert_eq!(kept(Mark::Begin), 0);
        assert_eq!(kept(Mark::Pretraining { layer: 1, step: 1 }), 1);
        assert_eq!(kept(Mark::Pretraining { layer: 2, step: 0 }), 2);
        assert_eq!(kept(Mark::Pretraining { layer: 2, step: 1 }), 3);
        assert_eq!(kept(Mark::Run { step: 0 }), 4);
        assert_eq!(kept(Mark::Run { step: 1 }), 5);
    }

    /// A line that version 0.1 wrote before there were histograms and diagnostics.
    #[test]
    fn lines_of_older_runs_can_be_read_and_continued() {
        let phase = r#"{"chains":25,"cap_hits":0,"mean_tau":1.0,"max_tau":1,"search_sweeps":3.5,"visible_error":0.25}"#;
        let line = format!(
            r#"{{"step":1,"learning_rate":0.05,"positive":{phase},"negative":{phase},"seconds":0.5,"total_seconds":0.5}}"#
        );
        let read: UpdateReport = serde_json::from_str(&line).unwrap();
        assert_eq!(
            (read.positive.max_tau, read.positive.tau_histogram, read.diagnostics),
            (Some(1), Default::default(), None)
        );
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        std::fs::write(&path, format!("{line}\n")).unwrap();
        MetricsFile::open(&path, Mark::Run { step: 1 }).unwrap().append(&report(2)).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let steps = text.lines().map(|line| serde_json::from_str::<UpdateReport>(line).unwrap().step);
        assert!(steps.eq([1, 2]), "{text}");
    }

    #[test]
    fn a_file_of_anything_else_is_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.txt");
        for text in ["notes\n", "\n", "[1]", "{\"steps\":1}\n", "{\"step\":\"one\"}\n", "1,2\n3,4\n"] {
            std::fs::write(&path, text).unwrap();
            for mark in [Mark::Begin, Mark::Run { step: 3 }] {
                assert_eq!(MetricsFile::open(&path, mark).unwrap_err().kind(), io::ErrorKind::InvalidData, "{text:?}");
                assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
            }
            assert!(!holds_metrics(&path).unwrap());
        }
        // A first line that was cut off is ours.
        for text in ["{\"st", "{\"step\":1,\"learn"] {
            std::fs::write(&path, text).unwrap();
            assert!(holds_metrics(&path).unwrap());
            MetricsFile::open(&path, Mark::Run { step: 3 }).unwrap().append(&report(4)).unwrap();
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(text.as_bytes().starts_with(START) && text.lines().count() == 1, "{text}");
        }
    }
}
