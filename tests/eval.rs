//! `bitboltz eval` on machines that can be enumerated, and its mistakes.

use std::path::Path;

use bitboltz::{
    dataset::{self, Encoding, Split},
    eval::exact::{Given, Oracle},
    model_file::ModelFile,
    npy,
    parameters::Parameters,
    with_model,
};
use bitboltz_core::image::Geometry;
use bitboltz_tests::command::{digits_model, line, save, small_data};
use serde_json::Value;

/// 4 × 4 pixels and two hidden layers: 23 units, which enumeration can do.
const WIDTHS: [usize; 3] = [16, 4, 3];
const FAST: &str = "--betas 200 --chains 500 --clamped 4 --clamped-chains 200 --reverse 12 --sweeps 20 --walkers 50";

/// A random machine of these layers as `m.safetensors`, and the data set `data.npy`.
fn folder(widths: &[usize]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    small_data(folder.path());
    let random = bitboltz::eval::random::random_parameters(widths, 0.6, 0.6, 1).unwrap();
    let geometry = Geometry { width: 4, height: 4, channels: 1, bits: 1 };
    let (weights, biases) = (random.weights().to_vec(), random.biases().to_vec());
    save(&folder.path().join("m.safetensors"), Parameters::new(weights, biases, geometry).unwrap());
    folder
}

/// log Z, and log p(v) of the data's rows, by enumeration of a model's file.
fn exact(folder: &Path, model: &str) -> (f64, Vec<f64>) {
    let file = ModelFile::load(&folder.join(model)).unwrap();
    let images = dataset::load(folder.join("data.npy").to_str().unwrap(), Split::Test).unwrap();
    let rows = Encoding::default().encode(&images).unwrap();
    let oracle = with_model!(&file, model => Oracle::new(&model).unwrap());
    let log_z = oracle.log_z(Given::NOTHING);
    let row = |i: usize| oracle.log_z(Given::visible(oracle.shape(), rows.row(i)[0])) - log_z;
    (log_z, (0..rows.rows()).map(row).collect())
}

fn mean(numbers: &[f64]) -> f64 {
    numbers.iter().sum::<f64>() / numbers.len() as f64
}

#[track_caller]
fn number(value: &Value, path: &str) -> f64 {
    value.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("no number {path} in {value}"))
}

#[test]
fn likelihoods_are_those_of_enumeration() {
    let folder = folder(&WIDTHS);
    for kind in ["i8", "i16"] {
        line(folder.path(), &format!("export m.safetensors --weights {kind} -o {kind}.bbz")).ok();
    }
    for model in ["m.safetensors", "i8.bbz", "i16.bbz"] {
        let answer = line(folder.path(), &format!("eval {model} data.npy {FAST} --json")).json();
        let (log_z, log_p) = exact(folder.path(), model);
        let error = number(&answer, "/likelihood/log_z/standard_error");
        assert!(error > 0.0 && error < 0.1, "{answer}");
        assert!((number(&answer, "/likelihood/log_z/estimate") - log_z).abs() < 5.0 * error, "{log_z} {answer}");
        assert!(number(&answer, "/likelihood/log_p/nats") < mean(&log_p) + 5.0 * error, "{answer}");
        let clamped = number(&answer, "/likelihood/clamped/log_p/nats") - mean(&log_p[..4]);
        let annealing = number(&answer, "/likelihood/clamped/annealing_error");
        assert!(clamped.abs() < 5.0 * f64::hypot(error, annealing), "{clamped} {answer}");
        let reverse = &answer["likelihood"]["reverse"];
        let estimate = number(reverse, "/log_z/estimate");
        let mean_logs = number(reverse, "/log_z/mean_log") - number(&answer, "/likelihood/log_z/mean_log");
        assert!((estimate - log_z).abs() < 5.0 * number(reverse, "/log_z/standard_error") + 0.5, "{log_z} {reverse}");
        assert!((number(reverse, "/gap") - mean_logs).abs() < 1e-9, "{reverse}");
        // All of the twelve images, by the bound on log p*(v).
        let (cautious, by_log_z) =
            (number(reverse, "/conservative/log_p/nats"), number(reverse, "/conservative/forward/nats"));
        assert!((by_log_z - number(&answer, "/likelihood/log_p/nats")).abs() < 1e-9, "{answer}");
        assert!((by_log_z - cautious - number(reverse, "/conservative/gap")).abs() < 1e-9, "{reverse}");
        assert!(number(&answer, "/likelihood/clamped/bound/nats") < number(&answer, "/likelihood/clamped/log_p/nats"));
        assert_eq!((&answer["test_rows"], &answer["layers"]), (&12.into(), &serde_json::json!(WIDTHS)));
        assert_eq!(answer["held_out"], false);
    }
}

#[test]
fn with_one_hidden_layer_nothing_is_a_bound() {
    let folder = folder(&[16, 6]);
    let answer = line(folder.path(), &format!("eval m.safetensors data.npy {FAST} --json")).json();
    let (_, log_p) = exact(folder.path(), "m.safetensors");
    let error = number(&answer, "/likelihood/log_z/standard_error");
    assert!((number(&answer, "/likelihood/log_p/nats") - mean(&log_p)).abs() < 5.0 * error, "{answer}");
    assert_eq!((&answer["likelihood"]["exact"], &answer["likelihood"]["clamped"]), (&true.into(), &Value::Null));
    // A model of the means beats a random one.
    assert!(number(&answer, "/likelihood/base_rate/nats") > number(&answer, "/likelihood/log_p/nats"));
    let bits = number(&answer, "/likelihood/base_rate/bits_per_unit");
    assert!(bits > 0.0 && bits <= 1.0, "{bits}");
}

#[test]
fn held_out_images_may_be_another_file() {
    let folder = folder(&WIDTHS);
    let pixels: Vec<u8> = (0..20 * 16).map(|at| u8::from(at % 7 < 3)).collect();
    npy::write_u8(&folder.path().join("more.npy"), 20, 16, &pixels).unwrap();
    let answer = line(folder.path(), &format!("eval m.safetensors data.npy --train more.npy {FAST} --json")).json();
    assert_eq!(
        (&answer["held_out"], &answer["train_rows"], &answer["test_rows"]),
        (&true.into(), &20.into(), &12.into())
    );
    // log Z begins at other means, and is the same; generated images are no longer refused for want of others.
    let (log_z, _) = exact(folder.path(), "m.safetensors");
    let error = number(&answer, "/likelihood/log_z/standard_error");
    assert!((number(&answer, "/likelihood/log_z/estimate") - log_z).abs() < 5.0 * error, "{log_z} {answer}");
    let frechet = |rest: &str| line(folder.path(), &format!("eval m.safetensors data.npy --only frechet {rest}"));
    frechet("").fails(&["data.npy", "the same", "--train"]);
    frechet("--train more.npy").fails(&["features", "found 12"]);
    frechet("--train none.npy").fails(&["none.npy"]);
}

/// A model is asked about pictures made as those were that it learnt.
#[test]
fn grey_values_are_cut_as_in_training() {
    let folder = tempfile::tempdir().unwrap();
    let pixels: Vec<u8> = (0..24 * 16).map(|at| (at * 89 % 256) as u8).collect();
    npy::write_u8(&folder.path().join("grey.npy"), 24, 16, &pixels).unwrap();
    let at = |arguments: &str| line(folder.path(), arguments);
    at("train grey.npy --threshold 60 --hidden 5 --batch 4 --steps 3 -o t.safetensors").ok();
    let eval =
        |rest: &str| timeless(at(&format!("eval t.safetensors grey.npy --only inpainting {rest} --json")).json());
    let usual = eval("");
    assert_eq!(usual, eval("--threshold 60"));
    assert_ne!(usual, eval("--threshold 127"));
    let inpaint = |rest: &str| {
        let answer = timeless(at(&format!("inpaint t.safetensors grey.npy --mask half-left {rest} --json")).json());
        answer["restored"].clone()
    };
    assert_eq!(inpaint(""), inpaint("--threshold 60"));
    // Nor is it to be said again; files that do not say it need it.
    at("train grey.npy --resume --steps 5 -o t.safetensors").ok();
    at("train grey.npy --resume --threshold 60 --steps 6 -o t.safetensors").ok();
    at("train grey.npy --resume --threshold 61 --steps 7 -o t.safetensors").fails(&["other data"]);
}

/// Everything but the times.
fn timeless(mut value: Value) -> Value {
    match &mut value {
        Value::Object(fields) => {
            fields.remove("seconds");
            fields.values_mut().for_each(|field| *field = timeless(field.take()));
        }
        Value::Array(values) => values.iter_mut().for_each(|field| *field = timeless(field.take())),
        _ => {}
    }
    value
}

#[test]
fn sections_are_chosen_and_threads_change_nothing() {
    let folder = folder(&WIDTHS);
    let eval = |rest: &str| timeless(line(folder.path(), &format!("eval m.safetensors data.npy {FAST} {rest}")).json());
    let both = eval("--json --threads 1");
    assert_eq!(both, eval("--json --threads 3"));
    let [likelihood, equilibrium] = ["likelihood", "equilibrium"].map(|name| eval(&format!("--json --only {name}")));
    assert_eq!((&likelihood["likelihood"], &likelihood["equilibrium"]), (&both["likelihood"], &Value::Null));
    assert_eq!((&equilibrium["equilibrium"], &equilibrium["likelihood"]), (&both["equilibrium"], &Value::Null));
    assert_ne!(eval("--json --seed 1")["likelihood"]["log_z"], both["likelihood"]["log_z"]);
    assert_eq!(eval("--json -n 3 --only likelihood")["likelihood"]["rows"], 3);
    let without = FAST.replace("--reverse 12", "--reverse 0");
    let without =
        line(folder.path(), &format!("eval m.safetensors data.npy {without} --json --only likelihood")).json();
    assert_eq!(without["likelihood"]["reverse"], Value::Null);
    assert_eq!(timeless(without)["likelihood"]["log_z"], both["likelihood"]["log_z"]);

    for start in ["from_generator", "from_data"] {
        let points = both["equilibrium"][start].as_array().unwrap();
        assert!(points.iter().map(|point| point["sweeps"].as_u64().unwrap()).eq([0, 1, 10, 20]));
        for path in ["/energy/mean", "/energy/sd", "/visible_on/standard_error", "/hidden_on/mean"] {
            points.iter().for_each(|point| assert!(number(point, path).is_finite()));
        }
    }
    let outcome = line(folder.path(), &format!("eval m.safetensors data.npy {FAST}"));
    for word in [
        "16-4-3 machine",
        "which are the training images too",
        "log Z",
        "backwards",
        "RAISE",
        "lower bound",
        "generator",
    ] {
        assert!(outcome.ok().contains(word), "{word}\n{}", outcome.stdout);
    }
}

#[test]
fn mistakes_are_refused_before_any_work() {
    let folder = folder(&WIDTHS);
    let path = |name: &str| folder.path().join(name);
    // So much work that the test would not end if it were begun.
    let long = "--betas 4000000000 --chains 4000000000 --sweeps 4000000000";
    let eval = |rest: &str| line(folder.path(), &format!("eval {rest} {long}"));
    eval("m.safetensors digits").fails(&["digits", "4 × 4 × 1", "28 × 28 × 1"]);
    eval("m.safetensors mnits").fails(&["mnits", "expected a known data set"]);
    eval("none.safetensors digits").fails(&["none.safetensors", "No such file"]);
    npy::write_u8(&path("none.npy"), 0, 16, &[]).unwrap();
    eval("m.safetensors none.npy").fails(&["none.npy", "at least one image"]);
    let random = bitboltz::eval::random::random_parameters(&[7, 3], 0.6, 0.6, 1).unwrap();
    save(&path("odd.safetensors"), random);
    eval("odd.safetensors data.npy").fails(&["odd.safetensors", "does not say how its visible units"]);
    digits_model(&{
        std::fs::create_dir(path("digits-model")).unwrap();
        path("digits-model")
    });
    eval("digits-model/m.safetensors data.npy").fails(&["data.npy", "28 × 28 × 1", "4 × 4 × 1"]);

    let eval = |rest: &str| line(folder.path(), &format!("eval m.safetensors data.npy {rest}"));
    for (options, word) in [
        ("--chains 0", "--chains"),
        ("--chains 1", "--chains"),
        ("--betas 0", "--betas"),
        ("-n 0", "--count"),
        ("--clamped-chains 1", "--clamped-chains"),
        ("--reverse 1", "--reverse"),
        ("--sweeps 0", "--sweeps"),
        ("--walkers 0", "--walkers"),
        ("--only fid", "--only"),
        ("--threshold 256", "--threshold"),
    ] {
        eval(options).misused(&[word]);
    }
    line(folder.path(), "eval m.safetensors").misused(&["<DATA>"]);
}

/// What any generator made is judged as a model's pictures are: here images of the data set, which are at the floor.
#[test]
fn pictures_from_elsewhere_are_judged() {
    let folder = tempfile::tempdir().unwrap();
    let images = dataset::load("digits", Split::Train).unwrap().subset(0..300);
    npy::write_u8(&folder.path().join("real.npy"), 300, 784, &images.pixels).unwrap();
    let noise: Vec<u8> = (0..300 * 784_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    npy::write_u8(&folder.path().join("noise.npy"), 300, 784, &noise).unwrap();
    let judge = |file: &str| line(folder.path(), &format!("judge {file} digits --json")).json();
    let (real, noise) = (judge("real.npy"), judge("noise.npy"));
    let floor = number(&real, "/floor/frechet");
    assert!(number(&real, "/pictures/frechet") < 2.0 * floor, "{real}");
    assert!(number(&real, "/nearest/copies") == 1.0 && number(&real, "/pictures/distinct") == 300.0, "{real}");
    assert!(number(&noise, "/pictures/frechet") > 10.0 * floor && number(&noise, "/nearest/copies") == 0.0, "{noise}");
    assert!(number(&noise, "/pictures/coverage") < 0.1 && number(&real, "/pictures/coverage") > 0.3);
    let text = line(folder.path(), "judge real.npy digits");
    assert!(
        ["300 pictures beside 1000 test images of digits", "copies 100.00 %"].iter().all(|w| text.ok().contains(w))
    );
    let small = ["small.npy", "expected pictures of 28 × 28 × 1", "found 14 × 14 × 1"];
    for (file, rows, cols, words) in
        [("small.npy", 300, 196, small), ("few.npy", 20, 784, ["few.npy", "more than 64", "found 20"])]
    {
        npy::write_u8(&folder.path().join(file), rows, cols, &images.pixels[..rows * cols]).unwrap();
        line(folder.path(), &format!("judge {file} digits")).fails(&words);
    }
    line(folder.path(), "judge none.npy digits").fails(&["none.npy"]);
    line(folder.path(), "judge real.npy real.npy").fails(&["training and test images are the same"]);
}
