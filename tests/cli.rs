//! What every command does when it is used as it should be.

use std::{fs, path::Path};

use bitboltz::{
    chain::ChainBuffer,
    checkpoint::Checkpoint,
    dataset::{self, Encoding, Split},
    estimator::{Estimator, SecondStart, StartPolicy, TransitionPolicy},
    image::AlignedBytes,
    npy::{self, Values},
    parameters::Parameters,
    train::{Budget, CenteringOffsets, Preset, Pretrain, Schedule, config::CAP},
};
use bitboltz_core::{
    coupling::Horizon,
    image::Geometry,
    inpaint::Inpaint,
    rng::stream,
    start::{LocalModeStart, Start as _},
    state::Clamp,
    weights::I4,
};
use bitboltz_tests::command::{digits_model, line, png_size, save, small_data};
use serde_json::Value;

/// Whether a JSON object has these keys, and no null behind them.
#[track_caller]
fn has(object: &Value, keys: &[&str]) {
    for key in keys {
        assert!(!object[key].is_null(), "no {key} in {object}");
    }
}

/// Shape and values of a `.npy` file of bytes.
#[track_caller]
fn bits(path: &Path) -> (Vec<usize>, Vec<u8>) {
    let array = npy::read(path).unwrap();
    let Values::U8(values) = array.values else { panic!("{}: expected u8", path.display()) };
    (array.shape, values)
}

#[test]
fn demo_writes_everything_and_answers_in_json() {
    let folder = tempfile::tempdir().unwrap();
    let answer = line(folder.path(), "demo --steps 3 --out shown --seed 1 --json").json();
    has(&answer, &["seconds", "updates", "distinct_modes"]);
    assert_eq!(answer["updates"], 3);
    assert!(answer["distinct_modes"].as_u64().unwrap() <= 64);
    for name in ["restored_f32", "restored_i8", "restored_mode", "restored_majority", "restored_nearest"] {
        for share in ["all", "on"] {
            let share = answer[name][share].as_f64().unwrap_or_else(|| panic!("{name}.{share}: {answer}"));
            assert!((0.0..=1.0).contains(&share), "{name}: {share}");
        }
    }
    // The baselines depend on the data alone.
    assert!(answer["restored_nearest"]["on"].as_f64() > answer["restored_majority"]["on"].as_f64());
    let shown = folder.path().join("shown");
    assert_eq!(png_size(&shown.join("samples.png")), (728, 640));
    assert_eq!(png_size(&shown.join("inpaint.png")), (356, 466));
    assert_eq!(fs::read_to_string(shown.join("demo.jsonl")).unwrap().lines().count(), 3);
    line(&shown, "inspect demo.safetensors").ok();
    line(&shown, "inspect demo.bbz").ok();
    assert_eq!(line(&shown, "export demo.safetensors -o again.bbz --json").json()["data"], "digits");
}

#[test]
fn data_lists_what_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let outcome = line(folder.path(), "data");
    for word in ["digits", "found: in the program itself", "mnist", "not found; looked in", "bitboltz data get mnist"] {
        assert!(outcome.ok().contains(word), "{word}\n{}", outcome.stdout);
    }
    let list = line(folder.path(), "data --json").json();
    let list = list.as_array().unwrap();
    assert_eq!(list[0]["found"], "embedded");
    list.iter().for_each(|row| has(row, &["name", "what", "train", "test", "licence"]));
    let mnist = list.iter().find(|row| row["name"] == "mnist").unwrap();
    has(mnist, &["looked_in", "how"]);
}

#[test]
fn train_writes_a_checkpoint_metrics_and_grids() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    small_data(folder.path());
    let settings = "train data.npy --hidden 6,5 --batch 4 --steps 8 --seed 3";
    let outcome = line(folder.path(), &format!("{settings} -o a.safetensors --threads 1 --grids g --grid-every 4"));
    assert!(outcome.ok().contains("a.safetensors: 8 updates") && outcome.stdout.contains("done"), "{}", outcome.stdout);
    for grid in ["g/modes-0000004.png", "g/modes-0000008.png"] {
        assert_eq!(png_size(&path(grid)), (466, 466));
    }
    let metrics = fs::read_to_string(path("a.jsonl")).unwrap();
    let metrics: Vec<Value> = metrics.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(metrics.iter().map(|line| line["step"].as_u64().unwrap()).eq(1..=8));
    metrics.iter().for_each(|line| has(line, &["learning_rate", "positive", "negative", "seconds", "total_seconds"]));
    // Those of dead and saturated units come later.
    let figures = ["energy_gap", "gradient_squared", "variance_positive", "variance_negative"];
    has(&metrics[0]["diagnostics"], &figures);
    let met: u64 =
        metrics[0]["negative"]["tau_histogram"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).sum();
    assert_eq!(met, metrics[0]["negative"]["chains"]);

    let other = format!("{settings} -o b.safetensors --threads 2 --metrics b.txt --json");
    let answer = line(folder.path(), &other).json();
    has(&answer, &["seconds", "cap_hits"]);
    assert_eq!((&answer["updates"], &answer["ended"]), (&8.into(), &"budget".into()));
    assert_eq!((&answer["output"], &answer["metrics"]), (&"b.safetensors".into(), &"b.txt".into()));
    let [a, b] = ["a.safetensors", "b.safetensors"].map(|name| Checkpoint::load(&path(name)).unwrap());
    assert_eq!(a.parameters, b.parameters);
    assert_eq!(a.training.as_ref().unwrap().offsets, b.training.unwrap().offsets);
    assert_eq!(a.parameters.geometry(), Geometry { width: 4, height: 4, channels: 1, bits: 1 });
}

/// Chains that are left out are told of at the end, not only while they are.
#[test]
fn chains_that_hit_their_cap_are_counted_in_the_end() {
    let folder = tempfile::tempdir().unwrap();
    small_data(folder.path());
    let run = "train data.npy --hidden 4,3 --batch 12 --steps 3 --seed 1 --estimator ucd-lmi-gibbs --cap 4";
    let hits = line(folder.path(), &format!("{run} -o a.safetensors --json")).json()["cap_hits"].as_u64().unwrap();
    assert!(hits > 0);
    let told = line(folder.path(), &format!("{run} -o b.safetensors"));
    told.ok();
    assert!(
        told.stderr.contains(&format!("warning: {hits} chains hit their cap and were left out")),
        "{}",
        told.stderr
    );
    let none = line(folder.path(), "train data.npy --hidden 4 --steps 3 -o c.safetensors");
    none.ok();
    assert!(!none.stderr.contains("cap"), "{}", none.stderr);
}

#[test]
fn train_takes_every_setting() {
    let folder = tempfile::tempdir().unwrap();
    small_data(folder.path());
    let published = "train data.npy --preset published --hidden 4 --batch 4 --steps 2 -o p.safetensors";
    line(folder.path(), published).ok();
    let config = Checkpoint::load(&folder.path().join("p.safetensors")).unwrap().training.unwrap().config;
    assert_eq!((config.learning_rate, config.gamma, config.centering, config.batch), (0.01, 0.001, None, 4));
    let all = "train data.npy --hidden 4,4,4 --bits 2 --threshold 9 --estimator ucd-lmi-gibbs --k 1 --m 2 --lag 2 \
               --y0 independent --cap 500 --batch 3 --lr 0.1 --gamma 0.01 --centering 0.1 --marginalise false --init normal:0.01 \
               --bias-from-data --seed 7 --minutes 1 --steps 2 --checkpoint-every 0 --momentum 0.5 --weight-decay 0.001 \
               --centering-offsets both --average 0.2 -o o.safetensors";
    line(folder.path(), all).ok();
    let checkpoint = Checkpoint::load(&folder.path().join("o.safetensors")).unwrap();
    assert!(checkpoint.parameters.shape().widths().eq([32, 4, 4, 4]));
    let config = checkpoint.training.unwrap().config;
    assert_eq!((config.data_set.as_deref(), config.threshold), (Some("data.npy"), 9));
    assert_eq!((config.momentum, config.weight_decay, config.average), (0.5, 0.001, Some(0.2)));
    assert_eq!(config.centering_offsets, CenteringOffsets::Both);
    let horizon = Horizon { k: 1, m: 2, lag: 2, cap: 500 };
    let (start, transition) = (StartPolicy::LocalMode, TransitionPolicy::Gibbs);
    assert_eq!(config.estimator, Estimator::Ucd { start, transition, second: SecondStart::Independent, horizon });

    // A rate that has fallen to zero is the end of the run.
    line(folder.path(), "train data.npy --hidden 4 --schedule cooldown --steps 2 -o l.safetensors").ok();
    line(folder.path(), "train data.npy -o l.safetensors --resume --steps 3").misused(&[
        "--steps",
        "at most 2, ",
        "schedule",
    ]);
    // Minutes may end it earlier, and no later.
    line(
        folder.path(),
        "train data.npy --hidden 4 --schedule cooldown --steps 400 --minutes 0.000001 -o l.safetensors",
    )
    .ok();
    let state = || Checkpoint::load(&folder.path().join("l.safetensors")).unwrap().training.unwrap();
    assert!(state().step < 400);
    line(folder.path(), "train data.npy -o l.safetensors --resume --minutes 1").ok();
    let (schedule, budget) = (Schedule::Cooldown { steps: 400 }, Budget { steps: Some(400), minutes: Some(1.0) });
    assert_eq!((state().step, state().config.schedule, state().config.budget), (400, schedule, budget));

    line(folder.path(), "train data.npy --hidden 4 --estimator cd-2 --steps 2 -o c.safetensors").ok();
    // A run that was resumed with another estimator: it is the checkpoint's from there on.
    let estimator = |rest: &str| {
        let steps = Checkpoint::load(&folder.path().join("c.safetensors")).unwrap().training.unwrap().step + 1;
        line(folder.path(), &format!("train data.npy -o c.safetensors --resume --steps {steps} {rest}")).ok();
        let training = Checkpoint::load(&folder.path().join("c.safetensors")).unwrap().training.unwrap();
        assert_eq!(training.step, steps);
        training.config.estimator
    };
    let expected = |name: &str, horizon| name.parse::<Estimator>().unwrap().with_horizon(horizon);
    let horizon = Horizon { k: 0, m: 0, lag: 1, cap: CAP };
    assert_eq!(estimator(""), Estimator::Cd { k: 2 });
    assert_eq!(estimator("--estimator ucd-lmi"), expected("ucd-lmi", horizon));
    let horizon = Horizon { k: 2, m: 2, lag: 1, cap: 700 };
    assert_eq!(estimator("--k 2 --cap 700"), expected("ucd-lmi", horizon));
    let second = SecondStart::Independent;
    let gibbs = expected("ucd-lmi-gibbs", horizon).with_second(second);
    assert_eq!(estimator("--estimator ucd-lmi-gibbs --y0 independent"), gibbs);
    assert_eq!(estimator(""), gibbs);
    // Another one for the clamped phase; it is kept too, and goes when it is the same again.
    let clamped =
        || Checkpoint::load(&folder.path().join("c.safetensors")).unwrap().training.unwrap().config.clamped_estimator;
    let mixture = expected("ucd-lmi-mix-0.5", horizon).with_second(second);
    assert_eq!((estimator("--clamped-estimator ucd-lmi-mix-0.5"), clamped()), (gibbs, Some(mixture)));
    let horizon = Horizon { cap: 900, ..horizon };
    let mixture = mixture.with_horizon(horizon);
    assert_eq!((estimator("--cap 900 --estimator cd-1"), clamped()), (Estimator::Cd { k: 1 }, Some(mixture)));
    assert_eq!((estimator("--clamped-estimator cd-1"), clamped()), (Estimator::Cd { k: 1 }, None));
}

/// The rate of a recipe falls to zero at its end; where options keep it from that, they say so.
#[test]
fn presets_fall_as_they_say() {
    let folder = tempfile::tempdir().unwrap();
    small_data(folder.path());
    let end = |steps| Schedule::Cooldown { steps };
    for preset in Preset::ALL {
        let recipe = preset.config().schedule != Schedule::Sqrt;
        for (options, schedule, told) in [
            ("--steps 2", end(2), false),
            ("--steps 2 --minutes 1", end(2), false),
            ("--minutes 0.000001", Schedule::Sqrt, true),
            ("--steps 2 --gamma 0.5", end(2), false),
            ("--steps 2 --schedule sqrt", Schedule::Sqrt, false),
            ("--steps 2 --schedule sqrt --gamma 0.5", Schedule::Sqrt, false),
        ] {
            let options = format!("--preset {} --hidden 4 --batch 4 {options}", preset.name());
            let outcome = line(folder.path(), &format!("train data.npy {options} -o {}.safetensors", preset.name()));
            outcome.ok();
            let path = folder.path().join(format!("{}.safetensors", preset.name()));
            let checkpoint = Checkpoint::load(&path).unwrap();
            assert_eq!(checkpoint.parameters.geometry().bits, preset.bits());
            let config = checkpoint.training.unwrap().config;
            assert_eq!(config.schedule, if recipe { schedule } else { Schedule::Sqrt }, "{options}");
            let gamma = if options.contains("gamma") { 0.5 } else { preset.config().gamma };
            assert_eq!(config.gamma, gamma, "{options}");
            let said = outcome.stderr.contains("not fall to zero as in the preset");
            assert_eq!(said, told && recipe, "{options}: {}", outcome.stderr);
        }
    }
}

#[test]
fn train_can_begin_layer_by_layer() {
    let folder = tempfile::tempdir().unwrap();
    small_data(folder.path());
    let train = "train data.npy --hidden 4,3 --batch 4 --estimator mean-field-2 --steps 2";
    let greedy = "--pretrain greedy --pretrain-updates 7";
    let outcome = line(folder.path(), &format!("{train} {greedy} -o p.safetensors"));
    outcome.ok();
    assert!(outcome.stderr.contains("pretrained in"), "{}", outcome.stderr);
    line(folder.path(), &format!("{train} -o m.safetensors")).ok();
    let [pretrained, plain] =
        ["p", "m"].map(|name| Checkpoint::load(&folder.path().join(format!("{name}.safetensors"))).unwrap());
    assert_ne!(pretrained.parameters, plain.parameters);
    let [pretrained, plain] = [pretrained, plain].map(|checkpoint| checkpoint.training.unwrap());
    assert_eq!((pretrained.step, plain.step, plain.config.pretrain), (2, 2, None));
    assert_eq!(pretrained.config.pretrain, Some(Pretrain::Greedy { updates: 7 }));
    // With a rate that falls to zero, as presets have it, each machine's falls too.
    let preset = "train data.npy --preset digits --hidden 4,3 --batch 4 --steps 2";
    line(folder.path(), &format!("{preset} {greedy} -o r.safetensors")).ok();
    let config = Checkpoint::load(&folder.path().join("r.safetensors")).unwrap().training.unwrap().config;
    assert_eq!(config.schedule, Schedule::Cooldown { steps: 2 });
    // It goes on, and what it began with is not learnt again.
    let resumed = line(folder.path(), "train data.npy --resume --steps 3 -o p.safetensors");
    resumed.ok();
    assert!(!resumed.stderr.contains("pretrained"), "{}", resumed.stderr);
    // What would be refused after the work is refused before it.
    fs::write(folder.path().join("notes.txt"), "no metrics").unwrap();
    let other = line(folder.path(), &format!("{train} {greedy} -o q.safetensors --metrics notes.txt"));
    assert!(!other.stderr.contains("pretrained in"), "{}", other.stderr);
    other.fails_late(&["notes.txt: expected metrics", "left as it is"]);
}

#[test]
fn a_new_run_keeps_what_an_old_one_wrote() {
    let folder = tempfile::tempdir().unwrap();
    let read = |name: &str| fs::read(folder.path().join(name)).ok();
    small_data(folder.path());
    let train = |rest: &str| line(folder.path(), &format!("train data.npy --hidden 4 --batch 4 {rest}"));
    let first = train("--steps 3 -o m.safetensors");
    assert!(!first.ok().is_empty() && !first.stderr.contains(".old"), "{}", first.stderr);
    let (model, metrics) = (read("m.safetensors"), read("m.jsonl"));
    // A run that fails at its first update leaves them as they were.
    train("--steps 3 -o m.safetensors --lag 2 --cap 1").fails_late(&["no chain"]);
    assert_eq!((read("m.safetensors"), read("m.jsonl")), (model.clone(), metrics.clone()));
    let second = train("--steps 2 --seed 5 -o m.safetensors");
    second.ok();
    for kept in ["kept as m.safetensors.old", "kept as m.jsonl.old"] {
        assert!(second.stderr.contains(kept), "{}", second.stderr);
    }
    assert_eq!((read("m.safetensors.old"), read("m.jsonl.old")), (model, metrics));
    assert!(read("m.safetensors") != read("m.safetensors.old"));
    // What goes on replaces nothing, and what is no checkpoint is not kept.
    let before = read("m.safetensors.old");
    line(folder.path(), "train data.npy --steps 4 -o m.safetensors --resume").ok();
    assert_eq!(read("m.safetensors.old"), before);
    fs::write(folder.path().join("text"), "no checkpoint").unwrap();
    train("--steps 1 -o text --metrics /dev/null").ok();
    assert!(read("text.old").is_none() && Checkpoint::load(&folder.path().join("text")).is_ok());
}

#[test]
fn sample_draws_modes_and_samples() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    digits_model(folder.path());
    line(folder.path(), "export m.safetensors -o m.bbz").ok();
    let outcome = line(folder.path(), "sample m.safetensors -n 4 -o both.png --npy samples.npy");
    assert!(outcome.ok().contains("modes: 4 in ") && outcome.stdout.contains("samples: 4 in "), "{}", outcome.stdout);
    assert_eq!(png_size(&path("both.png")), (118, 234));

    let answer = line(folder.path(), "sample m.safetensors -n 4 --modes -o modes.png --npy modes.npy --json").json();
    has(&answer, &["modes", "seed"]);
    assert!(answer["samples"].is_null() && answer["modes"]["count"] == 4);
    has(&answer["modes"], &["distinct", "seconds"]);
    assert_eq!(png_size(&path("modes.png")), (118, 118));
    let answer = line(folder.path(), "sample m.safetensors -n 4 --samples --npy only.npy --json").json();
    assert!(answer["modes"].is_null() && answer["samples"]["count"] == 4);

    let [modes, samples, only] = ["modes.npy", "samples.npy", "only.npy"].map(|name| bits(&path(name)));
    assert_eq!(modes.0, [4, 784]);
    assert!(modes.1.iter().all(|&bit| bit <= 1));
    // Without --modes or --samples the file holds the samples.
    assert_eq!(samples, only);
    assert_ne!(modes, only);

    for threads in [1, 2] {
        let options = format!("sample m.bbz -n 40 --seed 5 --threads {threads} --npy {threads}.npy");
        line(folder.path(), &options).ok();
    }
    assert_eq!(fs::read(path("1.npy")).unwrap(), fs::read(path("2.npy")).unwrap());
    line(folder.path(), "sample m.bbz -n 40 --seed 6 --npy 3.npy").ok();
    assert_ne!(fs::read(path("1.npy")).unwrap(), fs::read(path("3.npy")).unwrap());
}

#[test]
fn inpaint_restores_what_every_mask_hides() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    digits_model(folder.path());
    line(folder.path(), "export m.safetensors -o m.bbz").ok();
    npy::write_u8(&path("mask.npy"), 28, 28, &[[1; 28], [0; 28]].concat().repeat(14)).unwrap();
    for (mask, hidden) in [
        ("half-left", 392),
        ("half-bottom", 392),
        ("box:1,2,3,4", 12),
        ("random:0", 0),
        ("random:1", 784),
        ("mask.npy", 392),
    ] {
        for model in ["m.safetensors", "m.bbz"] {
            let answer = line(folder.path(), &format!("inpaint {model} digits --mask {mask} -n 3 --json")).json();
            assert_eq!((&answer["images"], &answer["hidden_units"]), (&3.into(), &(3 * hidden).into()), "{mask}");
            has(&answer, &["mask", "seconds", "seed"]);
            // Of nothing there is no share; the box is in a corner, where no pixel is on.
            assert_eq!(answer["restored"]["all"].is_null(), hidden == 0, "{mask}: {answer}");
            assert_eq!(answer["restored"]["on"].is_null(), hidden < 100, "{mask}: {answer}");
        }
    }

    // In words, too, there is no share of nothing.
    let outcome = line(folder.path(), "inpaint m.bbz digits --mask random:0 -n 3");
    assert!(outcome.ok().starts_with("3 images: nothing was hidden; in "), "{}", outcome.stdout);
    let outcome = line(folder.path(), "inpaint m.bbz digits --mask box:1,2,3,4 -n 3");
    assert!(outcome.ok().contains("none of them on in the original") && !outcome.stdout.contains("NaN"));

    let outcome = line(folder.path(), "inpaint m.bbz digits --mask half-left -n 3 -o grid.png --npy restored.npy");
    assert!(outcome.ok().contains("restored") && outcome.stdout.contains('%'), "{}", outcome.stdout);
    assert_eq!(png_size(&path("grid.png")), (176, 176));
    let (shape, restored) = bits(&path("restored.npy"));
    assert_eq!(shape, [3, 784]);
    // Known pixels are the image's own: hiding nothing gives them all.
    line(folder.path(), "inpaint m.bbz digits --mask random:0 -n 3 --npy original.npy").ok();
    let (_, original) = bits(&path("original.npy"));
    let right = |bits: &[u8]| -> Vec<u8> { bits.chunks(28).flat_map(|row| row[14..].to_vec()).collect() };
    assert_eq!(right(&restored), right(&original));
    assert_ne!(restored, original);

    line(folder.path(), "inpaint m.bbz digits --mask half-left -n 2 --mean 5 --burn-in 2 --npy mean.npy -o mean.png")
        .ok();
    let mean = npy::read(&path("mean.npy")).unwrap();
    let Values::F32(values) = mean.values else { panic!("expected f32") };
    assert_eq!(mean.shape, [2, 784]);
    assert!(values.iter().all(|p| (0.0..=1.0).contains(p)));
}

/// Three layers whose numbers are multiples of 1/64 and 1/128, but for one bias of a tenth.
fn tiny() -> Parameters {
    let weights = vec![vec![1.0, -0.5, 0.25, 127.0 / 64.0, -1.5, 0.75], vec![0.5, -127.0 / 128.0]];
    let biases = vec![vec![0.125, -0.25, 0.5], vec![1.0, 0.1], vec![0.375]];
    Parameters::new(weights, biases, Geometry::default()).unwrap()
}

#[test]
fn energy_is_the_sum_that_the_definition_says() {
    let folder = tempfile::tempdir().unwrap();
    save(&folder.path().join("tiny.safetensors"), tiny());
    // The bits of all layers, visible first.
    let states = [[1, 0, 1, 1, 0, 1], [0, 0, 0, 0, 1, 0], [0; 6]].concat();
    npy::write_u8(&folder.path().join("states.npy"), 3, 6, &states).unwrap();

    // By hand, for the first: biases 0.125 + 0.5 + 1 + 0.375, weights 1 − 1.5 + 0.5; the second is its bias, and the
    // `f32` next to a tenth comes out in all its digits.
    let outcome = line(folder.path(), "energy tiny.safetensors states.npy");
    assert_eq!(outcome.ok(), "-2\n-0.10000000149011612\n0\n");
    let answer = line(folder.path(), "energy tiny.safetensors states.npy --json").json();
    assert_eq!(answer, serde_json::json!([-2.0, -0.10000000149011612, 0.0]));

    // 8 bits: the scale is 1/128, which all numbers are multiples of but the tenth, which becomes 13/128.
    for (weights, tenth) in [("i8", 13.0 / 128.0), ("i16", 0.1), ("f32", f64::from(0.1_f32))] {
        line(folder.path(), &format!("export tiny.safetensors --weights {weights} -o {weights}.bbz")).ok();
        let outcome = line(folder.path(), &format!("energy {weights}.bbz states.npy"));
        let found: Vec<f64> = outcome.ok().lines().map(|line| line.parse().unwrap()).collect();
        if weights == "i16" {
            assert!((found[0] + 2.0).abs() < 2e-4 && (found[1] + tenth).abs() < 2e-5, "{found:?}");
        } else {
            assert_eq!(found, [-2.0, -tenth, 0.0], "{weights}");
        }
    }
}

#[test]
fn exact_compares_every_estimator() {
    let folder = tempfile::tempdir().unwrap();
    let all = "exact --layers 3,3,3 --weight-std 1 --replicates 200 --k 1 --m 2 --lag 2 --y0 independent --json";
    let answer = line(folder.path(), all).json();
    has(&answer, &["log_z", "exact", "visible", "parameters", "log_likelihood"]);
    assert_eq!(answer["exact"].as_array().unwrap().len(), 9 + 9 + 9);
    for name in ["cd-1", "cd-10", "ucd-gibbs", "ucd-lmi", "ucd-lmi-gibbs"] {
        let found = &answer["estimators"][name];
        assert_eq!(
            (found["mean"].as_array().unwrap().len(), found["se"].as_array().unwrap().len()),
            (27, 27),
            "{name}"
        );
        has(found, &["bias", "z", "cap_hits"]);
        if name.starts_with("ucd") {
            has(found, &["tau_mean", "p_tau_1", "tau_quantiles", "tau_max"]);
        }
    }

    // A checkpoint, whose log Z is known by hand: without weights every unit counts for itself.
    let biases = vec![vec![0.0, 1.0], vec![-1.0]];
    let parameters = Parameters::new(vec![vec![0.0; 2]], biases, Geometry::default()).unwrap();
    save(&folder.path().join("free.safetensors"), parameters);
    let one = "exact free.safetensors --visible 10 --replicates 100 --estimators ucd-lmi --json";
    let answer = line(folder.path(), one).json();
    let by_hand = 2.0_f64.ln() + (1.0 + 1.0_f64.exp()).ln() + (1.0 + (-1.0_f64).exp()).ln();
    assert!((answer["log_z"].as_f64().unwrap() - by_hand).abs() < 1e-9);
    // The integers that were exported, and their machine.
    line(folder.path(), "export free.safetensors -o free.bbz").ok();
    let image = line(folder.path(), &one.replace("safetensors", "bbz")).json();
    assert_eq!(image["weights"], "i8");
    assert!((image["log_z"].as_f64().unwrap() - by_hand).abs() < 0.02);
    let unit = line(folder.path(), "inspect free.bbz --json").json()["image"]["scale"].as_f64().unwrap();
    let exact = |b: f64| (1.0 + ((b / unit).round() * unit).exp()).ln();
    assert!((image["log_z"].as_f64().unwrap() - exact(0.0) - exact(1.0) - exact(-1.0)).abs() < 1e-9);
    // d log p(v) / d bias.0 = v − σ(b), for v = 10.
    assert!((answer["exact"][2].as_f64().unwrap() - 0.5).abs() < 1e-9);
    let table = line(folder.path(), "exact --layers 2,2 --replicates 50 --weights i8");
    assert!(table.ok().contains("log Z") && table.stdout.contains("ucd-lmi-gibbs"), "{}", table.stdout);
}

/// Files for flash programs hold the image's bytes at the address, and nothing else.
#[test]
fn export_writes_files_for_flash_programs() {
    let folder = tempfile::tempdir().unwrap();
    digits_model(folder.path());
    let export = |rest: &str| line(folder.path(), &format!("export m.safetensors --weights i4 {rest}"));
    export("-o m.bbz").ok();
    let image = fs::read(folder.path().join("m.bbz")).unwrap();
    assert_eq!(export("--board mps2-an386 -o m.hex --json").json()["address"], 0x0020_0000);
    let text = fs::read_to_string(folder.path().join("m.hex")).unwrap();
    let data = text.lines().filter(|line| line.len() > 11 && &line[7..9] == "00");
    let digits: String = data.map(|line| &line[9..line.len() - 2]).collect();
    let byte = |at: usize| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap();
    assert!(text.starts_with(":020000040020DA\n") && text.ends_with(":00000001FF\n"));
    assert!((0..digits.len() / 2).map(byte).eq(image.iter().copied()));
    assert!(export("--address 0x10100000 -o m.uf2").ok().contains("for address 0x10100000"));
    let blocks = fs::read(folder.path().join("m.uf2")).unwrap();
    assert_eq!(blocks.len(), 512 * image.len().div_ceil(256));
    assert_eq!(blocks[12..16], 0x1010_0000_u32.to_le_bytes());
    let payload: Vec<u8> = blocks.chunks(512).flat_map(|block| &block[32..288]).copied().collect();
    assert_eq!(payload[..image.len()], image);
}

/// The float model, its integers, and what calibration changes of them.
#[test]
fn export_calibrates_on_data() {
    let folder = tempfile::tempdir().unwrap();
    digits_model(folder.path());
    let export = "export m.safetensors --weights i4 --data digits -o m.bbz --json";
    let plain = line(folder.path(), export).json();
    let calibrated = line(folder.path(), &format!("{export} --calibrate digits")).json();
    assert_eq!((&plain["calibrated_on"], &calibrated["calibrated_on"]), (&Value::Null, &"digits".into()));
    assert_eq!(calibrated["uncalibrated"], plain["agreement"]);
    assert_eq!(calibrated["restored"]["uncalibrated"], plain["restored"]["integers"]);
    assert_eq!(calibrated["restored"]["float"], plain["restored"]["float"]);
    let off = |export: &Value| export["agreement"]["conditionals"].as_f64().unwrap();
    assert!(off(&calibrated) < off(&plain), "{calibrated}");
}

/// What commands do with an image of nibbles is what the core does with it, one chain after the other.
#[test]
fn images_of_nibbles_are_run_as_the_core_runs_them() {
    let folder = tempfile::tempdir().unwrap();
    digits_model(folder.path());
    let at = |name: &str| folder.path().join(name);
    line(folder.path(), "export m.safetensors --weights i4 -o m.bbz").ok();
    line(folder.path(), "sample m.bbz -n 20 --sweeps 3 --seed 5 --npy samples.npy").ok();
    line(folder.path(), "inpaint m.bbz digits --mask half-left -n 12 --seed 6 --npy restored.npy").ok();
    let bytes = AlignedBytes::new(&fs::read(at("m.bbz")).unwrap());
    let model = bytes.image().unwrap().dbm::<I4>().unwrap();
    let shape = *model.shape();
    let [samples, restored] = ["samples.npy", "restored.npy"].map(|name| npy::read_bits(&at(name)).unwrap());
    let (mut buffer, mut best) = (ChainBuffer::new(&shape), vec![0; shape.words()]);
    for chain in 0..20 {
        let mut state = buffer.state(&shape);
        let start = LocalModeStart { sweeps: 3, ..LocalModeStart::default() };
        start.start(&model, &mut state, &Clamp::none(), &mut stream(5, chain as u64)).unwrap();
        assert_eq!(samples.row(chain), state.layer_words(0), "sample {chain}");
    }
    let images = dataset::load("digits", Split::Test).unwrap().subset(0..12);
    let images = Encoding { bits: 1, threshold: 127 }.encode(&images).unwrap();
    let mut mask = vec![0; shape.words()];
    (0..784).filter(|pixel| pixel % 28 >= 14).for_each(|pixel| mask[pixel / 32] |= 1 << (pixel % 32));
    for chain in 0..12 {
        let mut state = buffer.state(&shape);
        let known = shape.word_range(0);
        state.words_mut()[known.clone()].copy_from_slice(images.row(chain));
        let clamp = Clamp::new(&shape, &mask).unwrap();
        Inpaint::default().restore(&model, &mut state, &mut best, &clamp, &mut stream(6, chain as u64)).unwrap();
        assert_eq!(restored.row(chain), state.layer_words(0), "image {chain}");
    }
}

#[test]
fn export_says_what_rounding_did_and_inspect_what_the_files_hold() {
    let folder = tempfile::tempdir().unwrap();
    digits_model(folder.path());
    let outcome = line(folder.path(), "export m.safetensors --weights i8 -o m.bbz --board mps2-an386");
    for word in
        ["m.bbz: i8 weights", "fields", "energies", "modes", "bytes of flash", "bytes of RAM", "fits mps2-an386"]
    {
        assert!(outcome.ok().contains(word), "{word}\n{}", outcome.stdout);
    }
    for weights in ["i4", "i8", "i16", "f32"] {
        let export = format!("export m.safetensors --weights {weights} -o {weights}.bbz --data digits --json");
        let export = line(folder.path(), &export).json();
        has(&export, &["flash_bytes", "ram_bytes", "scale", "crc"]);
        let size = fs::metadata(folder.path().join(format!("{weights}.bbz"))).unwrap().len();
        assert_eq!((&export["flash_bytes"], &export["data"]), (&size.into(), &"digits".into()));
        assert_eq!(export["agreement"].is_null(), weights == "f32");

        let inspect = line(folder.path(), &format!("inspect {weights}.bbz --json")).json();
        assert_eq!((&inspect["weights"], &inspect["image"]["crc"]), (&weights.into(), &export["crc"]));
        assert_eq!((&inspect["image_bytes"], &inspect["ram_bytes"]), (&size.into(), &export["ram_bytes"]));
        assert_eq!(inspect["widths"], serde_json::json!([784, 24, 9]));
        assert_eq!(inspect["picture"], serde_json::json!({"width": 28, "height": 28, "channels": 1, "bits": 1}));
    }
    // Without --data it is what the model was trained on, and not what happens to be of its size.
    let export = line(folder.path(), "export m.safetensors -o m.bbz --json").json();
    assert_eq!(export["data"], "uniform random bits (the checkpoint names no data set)");
    // The same model gives the same bytes.
    assert_eq!(fs::read(folder.path().join("m.bbz")).unwrap(), fs::read(folder.path().join("i8.bbz")).unwrap());
    let outcome = line(folder.path(), "inspect i8.bbz");
    assert!(outcome.ok().contains("i8.bbz: image") && outcome.stdout.contains("CRC"), "{}", outcome.stdout);

    small_data(folder.path());
    line(folder.path(), "train data.npy --hidden 6 --batch 4 --steps 2 -o t.safetensors").ok();
    let outcome = line(folder.path(), "export t.safetensors -o t.bbz");
    assert!(outcome.ok().contains("on 12 vectors of data.npy:"), "{}", outcome.stdout);
    fs::remove_file(folder.path().join("data.npy")).unwrap();
    let outcome = line(folder.path(), "export t.safetensors -o t.bbz");
    assert!(outcome.ok().contains("uniform random bits (not of data.npy: data.npy: "), "{}", outcome.stdout);
    let outcome = line(folder.path(), "inspect t.safetensors");
    for word in ["t.safetensors: checkpoint", "4 × 4", "trained: 2 updates", "weight.0", "bias.1", "learning_rate"] {
        assert!(outcome.ok().contains(word), "{word}\n{}", outcome.stdout);
    }
    let inspect = line(folder.path(), "inspect t.safetensors --json").json();
    has(&inspect["training"], &["step", "seconds", "config", "data"]);
    assert_eq!(inspect["tensors"][0]["shape"], serde_json::json!([6, 16]));
    has(&inspect["tensors"][0], &["min", "max", "mean", "std", "histogram"]);
}

/// What every answer of `bench` has.
#[track_caller]
fn bench(folder: &Path, arguments: &str) -> Value {
    let answer = line(folder, &format!("bench {arguments} --seconds 0.01 --json")).json();
    has(&answer, &["bench", "version", "checked"]);
    has(&answer["machine"], &["cpu", "platform", "instruction_set", "threads"]);
    answer
}

#[test]
fn bench_measures_and_checks_every_work() {
    let folder = tempfile::tempdir().unwrap();
    for kind in ["f32", "i16", "i8"] {
        let chains = format!("--batch 7 --chain-weights {kind} --seed 2 --threads 2");
        let update = bench(folder.path(), &format!("update --layers 40,20,30 {chains}"));
        has(&update, &["chains_per_second", "flips_per_second", "positive", "negative", "product"]);
        has(&update["row_adds"], &["bytes_per_second", "l1_bytes_per_second", "l2_bytes_per_second", "share_of_l1"]);
        let parts = ["search", "gibbs", "proposal", "statistics", "update", "start", "single", "rest"];
        has(&update["parts"], &parts);
        let sample = bench(folder.path(), &format!("sample --layers 40,20,30 {chains}"));
        has(&sample, &["images_per_second", "search_sweeps"]);
        let gibbs = bench(folder.path(), &format!("gibbs --layers 40,20,30 {chains}"));
        has(&gibbs, &["chain_sweeps_per_second", "flips_per_chain_sweep"]);
        for answer in [update, sample, gibbs] {
            assert!(answer["seconds"].as_f64().unwrap() > 0.0 && answer["repeats"].as_u64().unwrap() >= 3);
            has(&answer["quantiles"], &["min", "lower_quartile", "upper_quartile", "max"]);
            let settings = &answer["settings"];
            assert_eq!((&settings["batch"], &settings["seed"]), (&7.into(), &2.into()));
            assert_eq!((&settings["chain_weights"], &answer["machine"]["threads"]), (&kind.into(), &2.into()));
            assert_eq!(settings["layers"], serde_json::json!([40, 20, 30]));
        }
    }
    // On data of one's own, which has no width of its own but the model's.
    small_data(folder.path());
    let epoch = bench(folder.path(), "rbm-epoch --layers 16,9 --images data.npy --batch 5");
    assert_eq!((&epoch["images"], &epoch["updates"]), (&12.into(), &3.into()));
    assert_eq!((&epoch["settings"]["estimator"], &epoch["settings"]["images"]), (&"pcd".into(), &"data.npy".into()));
    let planes = bench(folder.path(), "update --layers 32,5 --images data.npy --batch 3");
    assert_eq!(planes["settings"]["images"], "data.npy");
    let kernels = bench(folder.path(), "kernels");
    for figure in kernels["kernels"].as_array().unwrap() {
        has(figure, &["kernel", "size", "instruction_set", "unit", "nanoseconds"]);
    }
    assert!(kernels["seconds"].as_f64().unwrap() > 0.0);
}

#[test]
fn bench_takes_models_and_several_widths() {
    let folder = tempfile::tempdir().unwrap();
    digits_model(folder.path());
    line(folder.path(), "export m.safetensors -o m.bbz").ok();
    let update = bench(folder.path(), "update --model m.safetensors --batch 3");
    assert_eq!(
        (&update["settings"]["model"], &update["settings"]["images"]),
        (&"m.safetensors".into(), &"digits".into())
    );
    let sample = bench(folder.path(), "sample --model m.bbz --batch 3");
    assert_eq!(sample["settings"]["chain_weights"], "i8");
    bench(folder.path(), "gibbs --model m.safetensors --chain-weights i16 --batch 3");

    let growth = bench_rows(folder.path(), "update --layers 10,10 --layers 20,20 --layers 40,40 --batch 4");
    let rows = growth["rows"].as_array().unwrap();
    assert!(rows.len() == 3 && rows.iter().all(|row| row["seconds"].as_f64().unwrap() > 0.0));
    has(&growth["exponents"], &["update", "product"]);

    // For people: the same, in lines.
    let text = line(folder.path(), "bench update --layers 40,20 --batch 4 --seconds 0.01");
    for word in ["median of", "search", "row adds", "% of this machine's L1 peak", "float product", "checked"] {
        assert!(text.ok().contains(word), "{word}\n{}", text.stdout);
    }
    let text = line(folder.path(), "bench update --layers 10,10 --layers 20,20 --batch 4 --seconds 0.01");
    assert!(text.ok().contains("width^"), "{}", text.stdout);
    for what in ["sample --layers 8,4", "gibbs --layers 8,4", "rbm-epoch --layers 8,4", "kernels"] {
        assert!(line(folder.path(), &format!("bench {what} --seconds 0.01")).ok().contains("checked"));
    }
}

fn bench_rows(folder: &Path, arguments: &str) -> Value {
    line(folder, &format!("bench {arguments} --seconds 0.01 --json")).json()
}
