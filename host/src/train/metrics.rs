//! The figures of every update as JSON lines: one [`UpdateReport`] a line.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, LineWriter, Seek as _, SeekFrom, Write as _},
    path::Path,
};

use serde::Deserialize;

use super::trainer::UpdateReport;

/// A metrics file that is being appended to. Every line is written when it is complete, so that other programs can
/// follow the file.
#[derive(Debug)]
pub struct MetricsFile {
    out: LineWriter<File>,
}

impl MetricsFile {
    /// Opens the file for a run that is at `step`: what was recorded after that step, or was cut off in the middle of a
    /// line when a run was killed, is removed, and the rest is kept. Step 0 begins an empty file.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn open(path: &Path, step: u64) -> io::Result<Self> {
        if path.metadata().is_ok_and(|meta| !meta.is_file() && !meta.is_dir()) {
            // `/dev/null`, a pipe: there is nothing to keep, nor to cut.
            return Ok(Self { out: LineWriter::new(File::options().write(true).open(path)?) });
        }
        let mut file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
        let keep = length_up_to(&file, step)?;
        file.set_len(keep)?;
        file.seek(SeekFrom::Start(keep))?;
        Ok(Self { out: LineWriter::new(file) })
    }

    /// Appends a line.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn append(&mut self, report: &UpdateReport) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, report)?;
        self.out.write_all(b"\n")
    }
}

/// Bytes of the whole lines at the front whose step is at most `step`.
fn length_up_to(file: &File, step: u64) -> io::Result<u64> {
    #[derive(Deserialize)]
    struct Line {
        step: u64,
    }
    let (mut reader, mut line, mut length) = (BufReader::new(file), Vec::new(), 0);
    loop {
        line.clear();
        let bytes = reader.read_until(b'\n', &mut line)?;
        let whole = line.last() == Some(&b'\n');
        match serde_json::from_slice::<Line>(&line) {
            Ok(found) if whole && found.step <= step => length += bytes as u64,
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
            learning_rate: 0.5,
            positive: PhaseSummary { mean_tau: Some(1.5), max_tau: Some(3), ..PhaseSummary::default() },
            negative: PhaseSummary::default(),
            seconds: 0.25,
            total_seconds: 1.0,
        }
    }

    #[test]
    fn a_resumed_run_continues_after_its_step() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut file = MetricsFile::open(&path, 0).unwrap();
        (1..=5).for_each(|step| file.append(&report(step)).unwrap());
        drop(file);
        // A line that was cut off.
        let mut text = std::fs::read_to_string(&path).unwrap();
        text.push_str("{\"step\":6,\"lear");
        std::fs::write(&path, &text).unwrap();

        for resumed in [5, 3] {
            let mut file = MetricsFile::open(&path, resumed).unwrap();
            file.append(&report(100)).unwrap();
            drop(file);
            let text = std::fs::read_to_string(&path).unwrap();
            let steps = text.lines().map(|line| serde_json::from_str::<UpdateReport>(line).unwrap().step);
            assert!(steps.eq((1..=resumed).chain([100])), "{text}");
        }
        MetricsFile::open(&path, 0).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 0);
    }
}
