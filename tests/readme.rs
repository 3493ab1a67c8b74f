//! The examples of README.md, run as they stand there but for less work.

use std::{fs, path::Path, process::Command};

use bitboltz_tests::command::{Running, isolate, run, xtask};

/// Lines that the test below does not run: those that need QEMU, which `parity` and `device` cover, and those that need a
/// downloaded data set. A line that is added to README.md has to be run here, or be covered elsewhere and named here.
const ELSEWHERE: &[&str] = &[
    "cargo xtask test",
    "cargo xtask qemu inpaint --image m.bbz",
    "cargo xtask qemu serve --image m.bbz --serial tcp:127.0.0.1:5555",
    "bitboltz device --port tcp:127.0.0.1:5555 inpaint digits --mask half-left -o device.png",
    "bitboltz data get mnist",
    "bitboltz train mnist --preset mnist -o mnist.safetensors",
    "bitboltz train fashion-mnist --preset fashion-mnist -o fashion.safetensors",
    // Run by `experiments`.
    "bitboltz paper mnist --quick --data digits --out estimators",
];

/// The command lines of README.md's shell blocks, in order, without comments.
fn lines() -> Vec<String> {
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap();
    let mut lines = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        if line.starts_with("```") {
            inside = line == "```sh";
        } else if inside {
            let command = line.split(" #").next().unwrap_or_default().trim();
            if !command.is_empty() && !command.starts_with('#') {
                lines.push(command.to_owned());
            }
        }
    }
    lines
}

/// Whether a line needs more than the program.
fn is_elsewhere(line: &str) -> bool {
    line.starts_with("cargo xtask ") || line.starts_with("bitboltz device ") || line.contains("mnist")
}

/// The program's arguments on a line, changed so that it is soon done.
fn arguments(line: &str) -> Vec<String> {
    let rest = line.strip_prefix("bitboltz ").or_else(|| line.strip_prefix("cargo run --release -- "));
    let words = rest.unwrap_or_else(|| panic!("README.md: `{line}`: no test knows how to run it")).split_whitespace();
    let mut arguments: Vec<String> = words.map(str::to_owned).collect();
    for at in 0..arguments.len() {
        match &*arguments[at] {
            "--minutes" => {
                arguments.splice(at..at + 2, ["--steps".to_owned(), "2".to_owned()]);
            }
            "--replicates" => arguments[at + 1] = "100".to_owned(),
            _ => {}
        }
    }
    if arguments[0] == "demo" {
        arguments.extend(["--steps".to_owned(), "2".to_owned()]);
    }
    arguments
}

#[test]
fn every_example_runs() {
    let folder = tempfile::tempdir().unwrap();
    let mut ran = 0;
    for line in lines().iter().filter(|line| !is_elsewhere(line)) {
        let arguments = arguments(line);
        let outcome = run(folder.path(), &arguments);
        assert!(!outcome.ok().is_empty(), "{line}: says nothing");
        let output = arguments.iter().position(|argument| argument == "-o").map(|at| &arguments[at + 1]);
        assert!(output.is_none_or(|file| folder.path().join(file).is_file()), "{line}: no {output:?}");
        ran += 1;
    }
    assert!(ran >= 8, "only {ran} examples");
    // What the text says that the demo writes.
    for file in ["samples.png", "inpaint.png", "demo.safetensors", "demo.bbz"] {
        assert!(folder.path().join("out").join(file).is_file(), "{file}");
    }
}

#[test]
fn no_other_example_is_untested() {
    let lines = lines();
    let elsewhere: Vec<&str> = lines.iter().map(String::as_str).filter(|line| is_elsewhere(line)).collect();
    assert_eq!(elsewhere, ELSEWHERE);
}

#[test]
fn the_other_examples_are_at_least_understood() {
    let folder = tempfile::tempdir().unwrap();
    for line in lines().iter().filter(|line| is_elsewhere(line)) {
        // Arguments are read up to `--help`, and the first that is wrong is an error.
        let outcome = match line.strip_prefix("cargo xtask ") {
            Some(rest) => {
                let mut command = Command::new(xtask());
                command.args(rest.split_whitespace()).arg("--help");
                isolate(&mut command, folder.path());
                let bin = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../firmware/src/bin"));
                if let Some(program) = rest.strip_prefix("qemu ").and_then(|rest| rest.split(' ').next()) {
                    assert!(bin.join(format!("{program}.rs")).is_file(), "{line}: no program {program}");
                }
                Running::start(command).wait()
            }
            None => run(folder.path(), &[arguments(line), vec!["--help".to_owned()]].concat()),
        };
        assert!(outcome.ok().contains("Usage: "), "{line}");
    }
}
