//! The whole test, with one line of totals at its end.
//!
//! The tests run under cargo-nextest where it is installed, else under cargo itself; nextest runs no doc tests, so that those
//! are a part of their own then. Each part's output passes through unchanged; the totals are read from its summary lines.

use crate::setup::starts;
use anyhow::{Context, Result};
use std::fmt;
use std::io::{BufRead, BufReader, IsTerminal, Read, Write};
use std::ops::AddAssign;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::{env, thread};

/// How many tests ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Tests that passed.
    pub passed: u64,
    /// Tests that failed, timed out or did not start; a part that did not even compile counts as one.
    pub failed: u64,
    /// Tests that were left out.
    pub skipped: u64,
}

impl AddAssign for Totals {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        if self.skipped > 0 {
            write!(f, ", {} skipped", self.skipped)?;
        }
        Ok(())
    }
}

/// Whose summary lines a part's output has. A failing test's own output may hold the other's, and counts for nothing.
#[derive(Clone, Copy, Debug)]
enum Runner {
    Nextest,
    Libtest,
}

/// Runs every test of the workspace.
pub fn run() -> Result<Totals> {
    let mut totals = Totals::default();
    if starts("cargo-nextest") {
        totals += part(Runner::Nextest, &["nextest", "run", "--workspace", "--no-fail-fast"])?;
        totals += part(Runner::Libtest, &["test", "--workspace", "--doc", "--no-fail-fast"])?;
    } else {
        totals += part(Runner::Libtest, &["test", "--workspace", "--no-fail-fast"])?;
    }
    Ok(totals)
}

/// Runs one cargo command, lets its output through, and reads its totals.
fn part(runner: Runner, arguments: &[&str]) -> Result<Totals> {
    println!("cargo {}", arguments.join(" "));
    // The cargo that runs this program.
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(crate::root());
    if std::io::stderr().is_terminal() {
        // It writes into a pipe here, and would leave its colours out.
        command.env("CARGO_TERM_COLOR", "always");
    }
    let mut totals = Totals::default();
    let status = tee(&mut command, |line| totals += summary(runner, line))?;
    if !status.success() && totals.failed == 0 {
        totals.failed = 1;
    }
    Ok(totals)
}

/// Runs `command` with both outputs passed on, and shows each line to `see`.
fn tee(command: &mut Command, mut see: impl FnMut(&str)) -> Result<ExitStatus> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cargo does not start")?;
    let (sender, lines) = channel();
    let stdout = child.stdout.take().expect("stdout is piped");
    let stderr = child.stderr.take().expect("stderr is piped");
    let out = pass(stdout, std::io::stdout(), sender.clone());
    let err = pass(stderr, std::io::stderr(), sender);
    for line in lines {
        see(&String::from_utf8_lossy(&line));
    }
    drop((out.join(), err.join()));
    Ok(child.wait()?)
}

fn pass(
    from: impl Read + Send + 'static,
    mut to: impl Write + Send + 'static,
    sender: Sender<Vec<u8>>,
) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        while from.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            // A terminal that is gone must not stop the tests: their totals are still wanted.
            drop(to.write_all(&line).and_then(|()| to.flush()));
            drop(sender.send(std::mem::take(&mut line)));
        }
    })
}

/// What one line of output adds to the totals: nothing, unless it is a summary of `runner`.
fn summary(runner: Runner, line: &str) -> Totals {
    let line = without_colours(line);
    let mut totals = Totals::default();
    let counts = match runner {
        Runner::Nextest => line.trim_start().strip_prefix("Summary [").and_then(|line| line.split_once("run:")),
        // Not indented: what is indented is output of a test that ran a test.
        Runner::Libtest => line.strip_prefix("test result: ").and_then(|line| line.split_once(". ")),
    };
    let Some((_, counts)) = counts else {
        return totals;
    };
    // Nextest adds remarks on a count in brackets: "9 passed (1 slow, 2 flaky)".
    let mut depth = 0;
    let plain = counts.replace(
        |c: char| {
            depth += i32::from(c == '(');
            let inside = depth > 0;
            depth -= i32::from(c == ')');
            inside
        },
        "",
    );
    for count in plain.split([',', ';']) {
        let Some((number, what)) = count.trim().split_once(' ') else {
            continue;
        };
        let Ok(number) = number.parse::<u64>() else {
            continue;
        };
        match what.trim() {
            "passed" => totals.passed += number,
            "failed" | "timed out" | "exec failed" => totals.failed += number,
            "skipped" | "ignored" => totals.skipped += number,
            // "measured", "filtered out"
            _ => {}
        }
    }
    totals
}

/// `text` without the escape sequences of colours.
fn without_colours(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut parts = text.split('\u{1b}');
    plain.push_str(parts.next().unwrap_or_default());
    for part in parts {
        // `[1;32m`: up to the first letter.
        let end = part.find(|c: char| c.is_ascii_alphabetic());
        plain.push_str(end.map_or("", |end| &part[end + 1..]));
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(passed: u64, failed: u64, skipped: u64) -> Totals {
        Totals { passed, failed, skipped }
    }

    #[test]
    fn summaries_of_nextest_are_read() {
        let line = "     Summary [   0.011s] 4 tests run: 4 passed, 0 skipped";
        assert_eq!(summary(Runner::Nextest, line), totals(4, 0, 0));
        let line = "     Summary [  61.2s] 9/12 tests run: 6 passed (1 slow, 1 leaky), 1 failed, 1 timed out, 1 exec failed, 3 skipped";
        assert_eq!(summary(Runner::Nextest, line), totals(6, 3, 3));
        let line = "\u{1b}[32;1m     Summary\u{1b}[0m [   0.011s] \u{1b}[1m1\u{1b}[0m test run: \u{1b}[1m1\u{1b}[0m \u{1b}[32;1mpassed\u{1b}[0m, \u{1b}[1m0\u{1b}[0m skipped";
        assert_eq!(summary(Runner::Nextest, line), totals(1, 0, 0));
    }

    #[test]
    fn summaries_of_libtest_are_read() {
        let line = "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s";
        assert_eq!(summary(Runner::Libtest, line), totals(3, 0, 1));
        let line = "test result: FAILED. 2 passed; 5 failed; 0 ignored; 0 measured; 7 filtered out; finished in 1.00s";
        assert_eq!(summary(Runner::Libtest, line), totals(2, 5, 0));
    }

    #[test]
    fn other_lines_count_nothing() {
        let lines = ["3 passed, 4 failed", "test a_test ... ok", "", "running 2 tests"];
        for line in lines {
            assert_eq!(summary(Runner::Nextest, line), Totals::default(), "{line}");
            assert_eq!(summary(Runner::Libtest, line), Totals::default(), "{line}");
        }
        // Nextest shows the output of a test that failed, which is libtest's, indented.
        let line = "    test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 7 filtered out";
        assert_eq!(summary(Runner::Nextest, line), Totals::default());
        assert_eq!(summary(Runner::Libtest, line), Totals::default());
    }

    #[test]
    fn totals_read_as_one_line() {
        assert_eq!(totals(3, 0, 0).to_string(), "3 passed, 0 failed");
        assert_eq!(totals(3, 1, 2).to_string(), "3 passed, 1 failed, 2 skipped");
    }
}
