//! `bitboltz eval`: generated images beside real ones, and what it refuses before any work.

use std::fs;

use bitboltz::{npy, parameters::Parameters};
use bitboltz_core::image::Geometry;
use bitboltz_tests::command::{digits_model, line, save, small_data};
use serde_json::Value;

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("no number: {value}"))
}

#[test]
fn figures_come_with_floor_and_ceiling_and_do_not_depend_on_threads() {
    let folder = tempfile::tempdir().unwrap();
    digits_model(folder.path());
    let command = "eval m.safetensors digits --only frechet,coverage --samples 300 -n 300 --seed 2";
    let answer = line(folder.path(), &format!("{command} --threads 1 --json")).json();
    let shared = &answer["generated"];
    assert_eq!((&shared["count"], &shared["test_count"], &shared["dims"]), (&300.into(), &300.into(), &64.into()));
    let distance = |name: &str| number(&answer["frechet"][name]);
    // A random model is no better than noise.
    assert!(distance("floor") < 60.0 && distance("modes") > 300.0 && distance("samples") > 300.0, "{answer}");
    assert!(distance("ceiling") > 300.0);
    let coverage = &answer["coverage"];
    for name in ["modes", "samples", "floor", "ceiling"] {
        for figure in ["precision", "recall", "coverage"] {
            assert!((0.0..=1.0).contains(&number(&coverage[name][figure])), "{name} {figure}: {answer}");
        }
        let shares = coverage[name]["classes"].as_array().unwrap();
        assert!((shares.iter().map(number).sum::<f64>() - 1.0).abs() < 1e-9);
        assert_eq!(coverage[name]["nearest"].is_null(), name == "floor" || name == "ceiling");
    }
    assert!(number(&coverage["floor"]["recall"]) > 0.6 && number(&coverage["ceiling"]["recall"]) < 0.1, "{answer}");
    // Test digits are nearer to training digits than a random model's are, and no copies.
    let test = &coverage["test_nearest"];
    assert!(number(&test["mean"]) < number(&coverage["samples"]["nearest"]["mean"]));
    assert!(number(&test["copies"]) < 0.01);
    let again = line(folder.path(), &format!("{command} --threads 2 --json")).json();
    assert_eq!(again["frechet"], answer["frechet"]);
    for name in ["modes", "samples", "floor", "ceiling", "test_nearest", "test_classes"] {
        assert_eq!(again["coverage"][name], coverage[name]);
    }
    // Longer chains begin at the same modes.
    let longer = command.replace("frechet,coverage", "frechet --sample-sweeps 3 --json");
    let longer = line(folder.path(), &longer).json();
    assert_eq!((&longer["generated"]["sweeps"], &shared["sweeps"]), (&3.into(), &1.into()));
    assert_eq!(longer["frechet"]["modes"], answer["frechet"]["modes"]);
    assert_ne!(longer["frechet"]["samples"], answer["frechet"]["samples"]);
    let text = line(folder.path(), command);
    for word in ["Fréchet distance", "floor", "ceiling", "recall", "nearest training image", "classes"] {
        assert!(text.ok().contains(word), "{word}\n{}", text.stdout);
    }
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    digits_model(folder.path());
    let eval = |options: &str| line(folder.path(), &format!("eval m.safetensors {options}"));
    eval("digits --only frechet --features none.onnx").fails(&["none.onnx", "No such file"]);
    fs::write(folder.path().join("text.onnx"), "no network").unwrap();
    eval("digits --only coverage --features text.onnx").fails(&["text.onnx"]);
    eval("digits --samples 64").fails(&["samples", "64 features"]);
    eval("digits --only frechet -n 20").fails(&["test images", "64 features", "found 20"]);
    eval("digits --samples 4001").fails(&["4001 samples", "found 4000"]);
    let help = line(folder.path(), "eval --help");
    assert!(help.ok().contains("floor") && help.stdout.contains("Inception-v3"), "{}", help.stdout);

    // Images of another size, which the embedded network does not take, and which have no splits.
    small_data(folder.path());
    let geometry = Geometry { width: 4, height: 4, channels: 1, bits: 1 };
    save(&folder.path().join("s.safetensors"), Parameters::zeros(&[16, 3], geometry).unwrap());
    let outcome = line(folder.path(), "eval s.safetensors data.npy --only frechet");
    outcome.fails(&["data.npy", "training and test images are the same"]);
    let pixels: Vec<u8> = (0..2 * 784).map(|at| u8::from(at % 3 == 0)).collect();
    npy::write_u8(&folder.path().join("same.npy"), 2, 784, &pixels).unwrap();
    eval("same.npy --features mnist --only coverage").fails(&["same.npy", "training and test images are the same"]);
}
