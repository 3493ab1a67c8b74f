//! `bitboltz paper` where models are trained: files, figures, and that they come out the same again.

use std::path::Path;

use bitboltz::dataset::{self, Images, Split};
use bitboltz_tests::command::{Outcome, digits_model, line, png_size, run};
use serde_json::Value;

fn results(folder: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(folder.join("results.json")).unwrap()).unwrap()
}

#[track_caller]
fn number(value: &Value, path: &str) -> f64 {
    value.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("no number {path}: {value}"))
}

/// An experiment in its small version, on the digits that come with the program.
fn quick(folder: &Path, name: &str, rest: &str) -> Outcome {
    let arguments = format!("paper {name} --quick --data digits {rest}");
    run(folder, &arguments.split_whitespace().collect::<Vec<_>>())
}

/// Every file is there and in the report, but for the SVGs' twins and the results; pictures are pictures.
#[track_caller]
fn check_files(folder: &Path, out: &str, outcome: &Outcome) -> String {
    let files: Vec<&str> = outcome.ok().lines().collect();
    let folder = folder.join(out);
    assert_eq!(files.len(), std::fs::read_dir(&folder).unwrap().count(), "nothing else is left");
    let report = std::fs::read_to_string(folder.join("report.md")).unwrap();
    for file in files {
        let name = Path::new(file).file_name().unwrap().to_str().unwrap();
        match name.rsplit_once('.').unwrap().1 {
            "png" => {
                let (width, height) = png_size(&folder.join(name));
                assert!(width > 100 && height > 50 && report.contains(&format!("({name})")), "{name}\n{report}");
            }
            "svg" => assert!(report.contains(&format!("({name})")), "{name}\n{report}"),
            _ => assert!(["report.md", "results.json"].contains(&name), "{name}"),
        }
    }
    report
}

/// Results without what depends on the clock, the command and the machine. What a replay is asked for is not a pace.
fn timeless(folder: &Path, out: &str) -> Value {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields.remove("seconds");
                fields.remove("pace");
                fields.values_mut().for_each(strip);
            }
            Value::Array(values) => values.iter_mut().for_each(strip),
            _ => {}
        }
    }
    let mut found = results(&folder.join(out));
    strip(&mut found);
    let fields = found.as_object_mut().unwrap();
    ["command", "machine"].iter().for_each(|name| assert!(fields.remove(*name).is_some(), "{name}"));
    found
}

/// What every arm of a comparison has.
#[track_caller]
fn check_arms(found: &Value, labels: &[&str]) {
    let arms = found["trainings"].as_array().unwrap();
    assert_eq!(arms.iter().map(|arm| arm["label"].as_str().unwrap()).collect::<Vec<_>>(), labels);
    for arm in arms {
        let marks: Vec<u64> = arm["marks"].as_array().unwrap().iter().map(|mark| mark.as_u64().unwrap()).collect();
        let snapshots = arm["snapshots"].as_array().unwrap();
        if arm["failed"].is_null() {
            assert_eq!((&marks[..], snapshots.len()), (&[3, 5, 10, 20, 40][..], 5), "{arm}");
            assert_eq!(number(arm, "/updates"), 40.0);
        }
        for (row, mark) in snapshots.iter().zip(marks) {
            assert_eq!(row["updates"], mark);
            for kind in ["modes", "samples"] {
                assert!(number(row, &format!("/judged/0/{kind}/frechet")) > 0.0, "{row}");
                assert!((0.0..=1.0).contains(&number(row, &format!("/judged/0/{kind}/recall"))), "{row}");
                assert!((1.0..=250.0).contains(&number(row, &format!("/judged/0/{kind}/distinct"))), "{row}");
            }
            check_sweeps(arm, row);
        }
    }
}

/// Only searches and mean fields take sweeps, and only pairs take a time to meet.
#[track_caller]
fn check_sweeps(arm: &Value, row: &Value) {
    let free = arm.pointer("/config/estimator/name").and_then(Value::as_str).unwrap();
    let clamped = arm.pointer("/config/clamped_estimator/name").and_then(Value::as_str).unwrap_or(free);
    for (phase, name) in [("positive", clamped), ("negative", free)] {
        let searches = name.starts_with("ucd-lmi") || (phase == "positive" && name.starts_with("mean-field"));
        let sweeps = number(row, &format!("/{phase}/mean_T"));
        assert!(if searches { sweeps >= 1.0 } else { sweeps == 0.0 }, "{name}, {phase}: {row}");
        assert_eq!(row[phase]["mean_tau"].is_null(), !name.starts_with("ucd"), "{name}, {phase}: {row}");
        assert!(number(row, &format!("/{phase}/chains")) > 0.0, "{row}");
    }
}

/// What share of the left halves of so many test digits the value of most training digits restores: of all pixels, and of
/// those that are on.
fn majority(images: usize) -> [f64; 2] {
    let [train, test] = [Split::Train, Split::Test].map(|split| dataset::load("digits", split).unwrap());
    let (mut right, mut count) = ([0, 0], [0, 0]);
    for pixel in (0..28 * 28).filter(|pixel| pixel % 28 < 14) {
        let on = |images: &Images, i: usize| images.image(i)[pixel] > 127;
        let most = 2 * (0..train.len()).filter(|&i| on(&train, i)).count() > train.len();
        for i in 0..images {
            let lit = on(&test, i);
            for (kind, counts) in [true, lit].into_iter().enumerate() {
                count[kind] += u64::from(counts);
                right[kind] += u64::from(counts && lit == most);
            }
        }
    }
    [0, 1].map(|kind| right[kind] as f64 / count[kind] as f64)
}

#[test]
fn mnist_compares_estimators_and_a_replay_gives_the_same_figures() {
    let folder = tempfile::tempdir().unwrap();
    let outcome = quick(folder.path(), "mnist", "--out a --seed 3 --threads 1");
    let report = check_files(folder.path(), "a", &outcome);
    let found = results(&folder.path().join("a"));
    let labels = [
        "ucd-lmi",
        "seed-1",
        "ucd-lmi-published",
        "ucd-lmi-clamped-gibbs",
        "cd-1",
        "pcd",
        "mean-field",
        "mean-field-greedy",
        "ucd-lmi-gibbs",
        "ucd-gibbs",
    ];
    check_arms(&found, &labels);
    let bounds = &found["comparisons"][0]["bounds"][0];
    let (floor, ceiling) = (number(bounds, "/floor/frechet"), number(bounds, "/ceiling/frechet"));
    let learnt = number(&found, "/configuration/learnt");
    assert!(floor < 100.0 && ceiling > 300.0, "{bounds}");
    for arm in found["trainings"].as_array().unwrap().iter().filter(|arm| arm["failed"].is_null()) {
        assert!(number(arm, "/likelihood/log_p/nats") < 0.0, "{arm}");
        let last = &arm["snapshots"][4];
        let distance = |kind: &str| number(last, &format!("/judged/0/{kind}/frechet"));
        let near = ["modes", "samples"].into_iter().any(|kind| distance(kind) < learnt * ceiling);
        assert_eq!(arm["learns"], near);
    }
    // The left halves of a hundred digits.
    let baseline = |name: &str, kind: &str| number(&found["comparisons"][0], &format!("/restored_{name}/{kind}"));
    assert_eq!(["all", "on"].map(|kind| baseline("majority", kind)), majority(100));
    assert!(baseline("nearest", "on") > 0.4 && baseline("nearest", "all") > baseline("majority", "all"));
    // What the report says is in the results.
    for arm in found["trainings"].as_array().unwrap() {
        let label = arm["label"].as_str().unwrap();
        match arm["failed"].as_str() {
            Some(reason) => assert!(report.contains(&format!("{label} failed after")) && report.contains(reason)),
            None => assert!(report.contains(&format!("({label}-time.png)")), "{label}\n{report}"),
        }
    }
    assert!(report.contains("floor") && report.contains("ceiling") && report.contains("ceiling"));

    // The command that the report gives, also with two models at once.
    let again = report.split('`').find(|text| text.contains("--replay")).unwrap();
    let replay = line(folder.path(), &format!("{} --threads 2 --jobs 2", again.strip_prefix("bitboltz ").unwrap()));
    assert_eq!(check_files(folder.path(), "a-again", &replay).lines().next(), report.lines().next());
    assert!(timeless(folder.path(), "a-again") == timeless(folder.path(), "a"), "a replay gives other figures");
    for file in ["ucd-lmi-time.png", "pcd-modes.png", "frechet-modes.svg"] {
        let bytes = |out: &str| std::fs::read(folder.path().join(out).join(file)).unwrap();
        assert!(bytes("a") == bytes("a-again"), "{file}");
    }
    // Results of another experiment, and of one that trained nothing.
    let again = |name: &str, file: &str| line(folder.path(), &format!("paper {name} --out c --replay {file}"));
    again("fashion", "a/results.json").fails(&["a/results.json", "results of `fashion`", "`mnist`"]);
    again("mnist", "a/report.md").fails(&["a/report.md", "results.json of an experiment"]);
    again("mnist", "none.json").fails(&["none.json", "No such file"]);
    // Results of a version that trains in another way.
    let mut other = found;
    other["trainings"][0]["config"]["learning_rate"] = 0.5.into();
    std::fs::write(folder.path().join("other.json"), other.to_string()).unwrap();
    again("mnist", "other.json").fails(&["digits: ucd-lmi", "config.learning_rate 0.005", "found 0.5"]);
    assert!(!folder.path().join("c").exists());
}

#[test]
fn ablation_says_what_each_technique_is_worth() {
    let folder = tempfile::tempdir().unwrap();
    let report = check_files(folder.path(), "a", &quick(folder.path(), "ablation", "--out a --threads 1"));
    let found = results(&folder.path().join("a"));
    let labels = [
        "all",
        "seed-1",
        "no-centering",
        "no-marginalisation",
        "normal-init",
        "no-local-mode",
        "no-momentum",
        "published-batch",
        "clamped-gibbs",
        "gibbs",
        "average",
        "centering-model",
        "centering-both",
        "i8-chains",
    ];
    check_arms(&found, &labels);
    assert!(report.contains("What each technique is worth") && report.contains("| no-centering |"), "{report}");
    let differences = found["differences"].as_array().unwrap();
    assert_eq!(differences.iter().map(|other| other["arm"].as_str().unwrap()).collect::<Vec<_>>(), labels[1..]);
    let arm = |label: &str| found["trainings"].as_array().unwrap().iter().find(|arm| arm["label"] == label).unwrap();
    let all = arm("all");
    for difference in differences {
        let other = arm(difference["arm"].as_str().unwrap());
        if !other["failed"].is_null() {
            assert!(difference["finished"] == false && difference["modes"].is_null(), "{difference}");
            continue;
        }
        for kind in ["modes", "samples"] {
            let distance = |arm: &Value| number(arm, &format!("/snapshots/4/judged/0/{kind}/frechet"));
            assert_eq!(number(difference, &format!("/{kind}")), distance(other) - distance(all));
        }
        let nats = |arm: &Value| number(arm, "/likelihood/log_p/nats");
        assert_eq!(number(difference, "/nats"), nats(all) - nats(other));
        // Neither the seed nor any technique leaves everything as it is.
        assert_ne!(number(difference, "/modes"), 0.0, "{difference}");
    }
}

#[test]
fn pixels_of_eight_bits_are_judged_by_blocks_too() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["images8", "cifar10"] {
        check_files(folder.path(), name, &quick(folder.path(), name, &format!("--out {name}")));
        let found = results(&folder.path().join(name));
        check_arms(&found, &["ucd-lmi"]);
        assert_eq!(found["comparisons"][0]["visible"], 6272);
        let bounds = found["comparisons"][0]["bounds"].as_array().unwrap();
        assert_eq!(bounds.iter().map(|bounds| bounds["dims"].as_u64().unwrap()).collect::<Vec<_>>(), [64, 64]);
        assert!(bounds[1]["features"].as_str().unwrap().contains("blocks"));
    }
}

#[test]
fn inpaint_trains_its_models_or_takes_them_from_files() {
    let folder = tempfile::tempdir().unwrap();
    digits_model(folder.path());
    let report = check_files(folder.path(), "a", &quick(folder.path(), "inpaint", "--out a --threads 1"));
    assert!(report.contains("Trained for 40 updates"), "{report}");
    let files =
        check_files(folder.path(), "b", &quick(folder.path(), "inpaint", "--out b --threads 1 --model m.safetensors"));
    assert!(files.contains("m.safetensors") && !files.contains("Trained for"), "{files}");
    for (out, report) in [("a", &report), ("b", &files)] {
        let found = &results(&folder.path().join(out))["restored"][0];
        let masks = found["masks"].as_array().unwrap();
        assert_eq!(masks.len(), 6);
        let mut beaten = [0, 0];
        for mask in masks {
            let all = |kind: &str| number(mask, &format!("/{kind}/all"));
            let beats = ["modes", "means"].map(|kind| u64::from(all(kind) > all("nearest")));
            (0..2).for_each(|kind| beaten[kind] += beats[kind]);
            // The value of most training images is off but for some pixels in the middle.
            assert!(all("majority") > 0.6 && number(mask, "/nearest/on") > number(mask, "/majority/on"), "{mask}");
            // Half of 28 × 28 pixels of 50 images, or a quarter, or about a half.
            assert!((9800.0..=20_500.0).contains(&number(mask, "/hidden_units")), "{mask}");
        }
        assert_eq!(["all", "on"].map(|kind| number(&masks[0]["majority"], &format!("/{kind}"))), majority(50));
        assert_eq!([&found["modes_beat_nearest"], &found["means_beat_nearest"]], [beaten[0], beaten[1]]);
        let sentence = format!("on {} by modes and on {} by means", beaten[0], beaten[1]);
        assert!(report.contains(&sentence), "{sentence}\n{report}");
    }
    // The baselines know nothing of the model.
    let share = |out: &str, kind: &str| results(&folder.path().join(out))["restored"][0]["masks"][0][kind].clone();
    assert_eq!(share("a", "nearest"), share("b", "nearest"));
    assert_ne!(share("a", "modes"), share("b", "modes"));
    // A model that was trained for a moment knows more of digits than random weights do.
    let modes = |out: &str| number(&share(out, "modes"), "/all");
    assert!(modes("a") > modes("b"), "{} {}", modes("a"), modes("b"));
    run(folder.path(), &["paper", "inpaint", "--out", "c", "--replay", "a/results.json", "--threads", "1"]).ok();
    assert!(timeless(folder.path(), "c") == timeless(folder.path(), "a"), "a replay gives other figures");
    line(folder.path(), "paper inpaint --out d --replay b/results.json").fails(&["b/results.json", "m.safetensors"]);
}

#[test]
fn mistakes_are_refused_before_any_training() {
    let folder = tempfile::tempdir().unwrap();
    digits_model(folder.path());
    // The full experiments: the test would not end if one were begun.
    let full = |rest: &str| line(folder.path(), &format!("paper {rest} --out new"));
    for name in ["mnist", "ablation", "inpaint", "images8"] {
        full(name).fails(&["mnist", "expected its files in", "bitboltz data get mnist"]);
    }
    full("mnist --data digits --features none.onnx").fails(&["none.onnx", "No such file"]);
    full("images8 --data nothing").fails(&["nothing", "expected a known data set"]);
    full("inpaint --model m.safetensors").fails(&["m.safetensors", "or --data", "no record"]);
    full("toy --minutes 1").misused(&["--minutes", "toy"]);
    full("mnist --model m.safetensors").misused(&["--model", "mnist"]);
    full("inpaint --features mnist").misused(&["--features", "inpaint"]);
    full("inpaint --jobs 2 --threads 2").misused(&["--jobs", "inpaint"]);
    full("mnist --jobs 2 --threads 1").misused(&["--jobs", "at most 1", "found 2"]);
    full("mnist --minutes 0").misused(&["--minutes", "positive"]);
    full("mnist --minutes 1 --quick").misused(&["--minutes", "--quick"]);
    full("mnist --replay a.json --seed 1").misused(&["--replay", "--seed"]);
    assert!(!folder.path().join("new").exists());
}
