//! `bitboltz paper`: files, figures, and what it refuses.

use std::path::Path;

use bitboltz_tests::command::{Outcome, digits_model, line, run};
use serde_json::Value;

fn results(folder: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(folder.join("results.json")).unwrap()).unwrap()
}

#[track_caller]
fn number(value: &Value, path: &str) -> f64 {
    value.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("no number {path}"))
}

/// `bitboltz paper toy --quick`.
fn toy(folder: &Path, rest: &[&str]) -> Outcome {
    run(folder, &[&["paper", "toy", "--quick"][..], rest].concat())
}

#[test]
fn toy_writes_a_report_with_its_plots_and_figures() {
    let folder = tempfile::tempdir().unwrap();
    digits_model(folder.path());
    let answer = toy(folder.path(), &["--out", "new/toy", "--seed", "3", "--model", "m.safetensors"]);
    let out = folder.path().join("new/toy");
    let files: Vec<&str> = answer.ok().lines().collect();
    assert!(files.iter().all(|file| folder.path().join(file).is_file()), "{files:?}");
    assert_eq!(files.len(), std::fs::read_dir(&out).unwrap().count(), "nothing else is left");

    let report = std::fs::read_to_string(out.join("report.md")).unwrap();
    for word in ["Trained models", "m.safetensors", "--quick --out new/toy --seed 3", "ucd-lmi-mix-0.1", "P(τ = 1)"] {
        assert!(report.contains(word), "{word}\n{report}");
    }
    let plots: Vec<&str> =
        report.lines().filter_map(|line| line.strip_prefix("![")?.split_once("](")?.1.strip_suffix(")")).collect();
    assert!(plots.contains(&"search.png") && plots.contains(&"tau.png") && plots.len() >= 4, "{plots:?}");
    for plot in &plots {
        assert!(std::fs::read(out.join(plot)).unwrap().starts_with(b"\x89PNG"), "{plot}");
        let svg = std::fs::read_to_string(out.join(plot).with_extension("svg")).unwrap();
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"), "{plot}");
    }

    let found = results(&out);
    assert_eq!((&found["experiment"], &found["seed"], &found["quick"]), (&"toy".into(), &3.into(), &true.into()));
    assert!(found["command"].as_str().unwrap().starts_with("bitboltz paper toy --quick"));
    assert!(number(&found, "/machine/threads") >= 1.0 && number(&found, "/seconds") > 0.0);
    assert!(number(&found, "/slope_T").is_finite() && number(&found, "/slope_T_standard_error") > 0.0);
    let widths = found["widths"].as_array().unwrap();
    assert_eq!(
        widths.iter().take(5).map(|row| row["width"].as_u64().unwrap()).collect::<Vec<_>>(),
        [10, 20, 50, 100, 200]
    );
    for row in widths {
        assert!((0.0..=1.0).contains(&number(row, "/p_tau_1")) && number(row, "/mean_tau") >= 1.0, "{row}");
        assert!(number(row, "/mean_T") >= 1.0 && number(row, "/T/q25") <= number(row, "/T/q75"), "{row}");
    }
    let trained = found["trained"].as_array().unwrap();
    assert!(trained.iter().all(|row| row["machine"] == "m.safetensors") && !trained.is_empty());
    // The figure of the report is that of the file.
    let slope = format!("exponent of T against n is {:.3}", number(&found, "/slope_T"));
    assert!(report.contains(&slope), "{slope}\n{report}");
}

#[test]
fn the_same_seed_gives_the_same_files_but_for_the_time() {
    let folder = tempfile::tempdir().unwrap();
    let timeless = |out: &str| {
        let mut found = results(&folder.path().join(out));
        let fields = found.as_object_mut().unwrap();
        ["command", "machine", "seconds"].iter().for_each(|name| assert!(fields.remove(*name).is_some(), "{name}"));
        let plots = ["search.png", "search.svg"].map(|name| std::fs::read(folder.path().join(out).join(name)).unwrap());
        (found, plots)
    };
    toy(folder.path(), &["--out", "a", "--threads", "1"]).ok();
    let first = timeless("a");
    // Over its own earlier files, on other threads.
    toy(folder.path(), &["--out", "a", "--threads", "3"]).ok();
    assert!(timeless("a") == first);
    toy(folder.path(), &["--out", "b", "--seed", "1"]).ok();
    assert!(timeless("b").0["widths"] != first.0["widths"]);
}

#[test]
fn mistakes_are_refused_before_any_work() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    // The full experiment: the test would not end if it were begun.
    let full = |rest: &str| line(folder.path(), &format!("paper toy {rest}"));
    std::fs::create_dir(path("mine")).unwrap();
    std::fs::write(path("mine/thesis.tex"), "mine").unwrap();
    full("--out mine").fails(&["mine", "expected an empty folder", "thesis.tex"]);
    assert_eq!(std::fs::read_dir(path("mine")).unwrap().count(), 1);
    full("--out mine/thesis.tex").fails(&["thesis.tex"]);
    full("--out new --model none.safetensors").fails(&["none.safetensors", "No such file"]);
    assert!(!path("new").exists(), "nothing is made before the models are read");
    full("").misused(&["--out"]);
    line(folder.path(), "paper toys --out new").misused(&["toys", "toy"]);
}
