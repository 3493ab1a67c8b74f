//! What every command says to the mistakes that are most likely: exit code 1 and one clear line for what failed, 2 for
//! arguments that make no sense; and what `--help` teaches.

use std::{fs, io, net::TcpListener, path::Path, process::Stdio};

use bitboltz::{
    npy,
    parameters::Parameters,
    train::{CenteringOffsets, Init, Schedule, TrainConfig, config::CAP},
};
use bitboltz_core::image::Geometry;
use bitboltz_tests::command::{bitboltz, digits_model, line, run, save, small_data};

/// A folder with a checkpoint `m.safetensors`, its image `m.bbz`, damaged ones `cut.*`, and a small data set.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    digits_model(folder.path());
    small_data(folder.path());
    line(folder.path(), "export m.safetensors -o m.bbz").ok();
    for kind in ["safetensors", "bbz"] {
        let bytes = fs::read(path(&format!("m.{kind}"))).unwrap();
        fs::write(path(&format!("cut.{kind}")), &bytes[..bytes.len() - 10]).unwrap();
    }
    fs::write(path("text.txt"), "no model, and no image").unwrap();
    folder
}

fn names(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

const MODELS: [&str; 6] = [
    "sample {}",
    "inpaint {} digits --mask half-left",
    "energy {} data.npy",
    "eval {} digits",
    "inspect {}",
    "export {} -o x.bbz",
];

#[test]
fn damaged_and_missing_models_are_named() {
    let folder = folder();
    for command in MODELS.into_iter().chain(["exact {}"]) {
        let with = |model: &str| line(folder.path(), &command.replace("{}", model));
        with("none.safetensors").fails(&["none.safetensors", "No such file"]);
        with("cut.safetensors").fails(&["cut.safetensors", "damaged"]);
        with("text.txt").fails(&["text.txt", "not a safetensors file"]);
        with(".").fails(&[".: "]);
        if command.starts_with("export") {
            with("m.bbz").fails(&["m.bbz", "expected a checkpoint", "found a device image"]);
        } else {
            with("cut.bbz").fails(&["cut.bbz", "expected", "found"]);
        }
    }
    assert!(!folder.path().join("x.bbz").exists());
}

#[test]
fn outputs_that_cannot_be_are_refused_before_any_work() {
    let folder = folder();
    let before = names(folder.path());
    for command in [
        "train data.npy -o {}",
        "train data.npy -o t.safetensors --metrics {}",
        "sample m.bbz -o {}",
        "sample m.bbz --npy {}",
        "inpaint m.bbz digits --mask half-left -o {}",
        "inpaint m.bbz digits --mask half-left --npy {}",
        "export m.safetensors -o {}",
        "device --port tcp:127.0.0.1:1 sample -o {}",
        "device --port tcp:127.0.0.1:1 inpaint digits --mask half-left --npy {}",
    ] {
        let with = |path: &str| line(folder.path(), &command.replace("{}", path));
        with("no/such/file").fails(&["no/such/file", "the folder no/such does not exist"]);
        with(".").fails(&[".: expected a file's name, found a folder"]);
    }
    line(folder.path(), "demo --out text.txt").fails(&["text.txt"]);
    assert_eq!(names(folder.path()), before);
}

#[test]
fn a_model_is_not_overwritten_by_what_is_made_from_it() {
    let folder = folder();
    let before = fs::read(folder.path().join("m.safetensors")).unwrap();
    for command in
        ["export m.safetensors -o", "sample m.safetensors --modes -n 1 --npy", "sample m.safetensors -n 1 -o"]
    {
        line(folder.path(), &format!("{command} ./m.safetensors")).misused(&["m.safetensors"]);
    }
    line(folder.path(), "inpaint m.bbz digits --mask half-left -n 1 -o m.bbz").misused(&["m.bbz"]);
    line(folder.path(), "sample m.bbz -n 1 -o x --npy x").misused(&["x"]);
    line(folder.path(), "train data.npy -o data.npy").misused(&["data.npy"]);
    line(folder.path(), "train data.npy -o t --metrics t").misused(&["t: "]);
    assert_eq!(fs::read(folder.path().join("m.safetensors")).unwrap(), before);
}

#[test]
fn demo() {
    let folder = tempfile::tempdir().unwrap();
    line(folder.path(), "demo --steps 0").misused(&["--steps"]);
    line(folder.path(), "demo digits").misused(&["digits"]);
    assert_eq!(names(folder.path()), [""; 0]);
}

#[test]
fn data() {
    let folder = tempfile::tempdir().unwrap();
    line(folder.path(), "data get nmist").fails(&["nmist", "digits", "mnist"]);
    line(folder.path(), "data get").misused(&["<NAME>"]);
    line(folder.path(), "data mnist").misused(&["mnist"]);
}

#[test]
fn train() {
    let folder = folder();
    let train = |rest: &str| line(folder.path(), &format!("train {rest}"));
    train("mnits -o t.safetensors").fails(&["mnits", "digits", "expected a known data set"]);
    train("mnist -o t.safetensors").fails(&["mnist", "bitboltz data get mnist"]);
    train("text.txt -o t.safetensors").fails(&["text.txt", "expected", "found"]);
    train("data.npy").misused(&["--output"]);
    train("data.npy -o t.safetensors --steps -1").misused(&["-1"]);
    train("data.npy -o t.safetensors --schedule cooldown --minutes 1").misused(&["cooldown", "--steps"]);
    train("data.npy -o t.safetensors --hidden 4x4").misused(&["--hidden", "4x4"]);
    for (options, words) in [
        ("--hidden 0", "--hidden"),
        ("--hidden 70000", "--hidden"),
        ("--batch 0", "--batch"),
        ("--lr 0", "--lr"),
        ("--gamma=-1", "--gamma"),
        ("--schedule cosine", "--schedule"),
        ("--momentum 1", "--momentum"),
        ("--weight-decay=-1", "--weight-decay"),
        ("--centering 2", "--centering"),
        ("--centering-offsets none", "--centering-offsets"),
        ("--centering 0 --centering-offsets model", "--centering above 0"),
        ("--average 0.6", "--average"),
        ("--init normal:-1", "--init"),
        ("--k 3 --m 2", "--k, --m, --lag"),
        ("--estimator sgd", "--estimator"),
        ("--minutes 0", "--minutes"),
        ("--bits 9", "--bits"),
        ("--estimator cd-1 --cap 9", "--cap: cd-1 couples no chains"),
        ("--estimator pcd --y0 same", "--cap: pcd couples no chains"),
        ("--estimator cd-2 --k 1", "--k, "),
        ("--estimator cd-2 --m 1", "--m, "),
        ("--estimator cd-2 --lag 2", "--lag, "),
        ("--estimator cd-2 --y0 same", "--y0, "),
        ("--y0 other", "independent"),
        ("--estimator ucd-mix-1", "0 < P < 1"),
        ("--clamped-estimator pcd", "--clamped-estimator: expected"),
        ("--clamped-estimator mean-field-2", "--clamped-estimator: expected mean-field without K"),
        ("--estimator mean-field --clamped-estimator cd-1", "none beside mean-field"),
        ("--estimator mean-field-0", "K ≥ 1"),
        ("--pretrain layers", "greedy"),
        ("--pretrain-updates 9", "--pretrain"),
        ("--pretrain greedy --pretrain-updates 0", "--pretrain-updates"),
        ("--estimator pcd --clamped-estimator cd-2 --k 1", "pcd couples no chains, and cd-2 neither"),
    ] {
        train(&format!("data.npy -o t.safetensors --steps 1 {options}")).misused(&[words]);
    }
    train("data.npy -o m.safetensors --resume --lr 1").misused(&["--resume", "--lr"]);
    train("data.npy -o t.safetensors --resume").fails(&["t.safetensors", "No such file"]);
    train("digits -o m.safetensors --resume").fails(&["m.safetensors", "no training state"]);
    assert!(!folder.path().join("t.safetensors").exists() && !folder.path().join("t.jsonl").exists());
    train("data.npy -o t.safetensors --hidden 4 --steps 500 --lr 1e38")
        .fails_late(&["diverged", "lower learning rate"]);
    // Pairs that can't meet; and metrics that would replace something else.
    train("data.npy -o n.safetensors --hidden 4 --lag 2 --cap 1").fails_late(&["no chain", "--cap", "ucd-lmi first"]);
    assert!(!folder.path().join("n.safetensors").exists());
    train("data.npy -o u.safetensors --hidden 4 --steps 2 --metrics text.txt")
        .fails_late(&["text.txt: expected metrics"]);
    train("data.npy -o u.safetensors --hidden 4 --steps 2").ok();
    train("data.npy -o u.safetensors --steps 9 --metrics text.txt --resume")
        .fails_late(&["text.txt: expected metrics", "left as it is"]);
    assert_eq!(fs::read_to_string(folder.path().join("text.txt")).unwrap(), "no model, and no image");
    train("data.npy -o u.safetensors --steps 9 --resume --estimator cd-1 --cap 9").misused(&["--cap"]);
    train("data.npy -o u.safetensors --steps 9 --resume --k 2 --m 1").misused(&["--k, --m, --lag"]);
}

#[test]
fn sample() {
    let folder = folder();
    let no_picture = Parameters::zeros(&[7, 3], Geometry::default()).unwrap();
    save(&folder.path().join("seven.safetensors"), no_picture);
    line(folder.path(), "sample seven.safetensors -o x.png").fails(&["seven.safetensors", "picture", "--npy"]);
    line(folder.path(), "sample m.bbz -n 0").misused(&["0", "--count"]);
    line(folder.path(), "sample m.bbz --modes --samples").misused(&["--modes", "--samples"]);
    line(folder.path(), "sample").misused(&["<MODEL>"]);
    line(folder.path(), "sample m.bbz --threads 0").misused(&["--threads"]);
}

#[test]
fn inpaint() {
    let folder = folder();
    let inpaint = |rest: &str| line(folder.path(), &format!("inpaint m.bbz {rest}"));
    inpaint("digits").misused(&["--mask"]);
    inpaint("digits --mask left").misused(&["left", "half-left", "box:"]);
    inpaint("digits --mask random:2").misused(&["2", "from 0 to 1"]);
    inpaint("digits --mask box:20,20,20,20").fails(&["box:20,20,20,20", "28 × 28"]);
    inpaint("digits --mask none.png").fails(&["none.png"]);
    inpaint("digits --mask half-left --burn-in 3").misused(&["--mean"]);
    inpaint("none --mask half-left").fails(&["none", "expected a known data set"]);
    inpaint("data.npy --mask half-left").fails(&["data.npy", "28 × 28", "4 × 4"]);
    npy::write_u8(&folder.path().join("mask.npy"), 4, 4, &[1; 16]).unwrap();
    inpaint("digits --mask mask.npy").fails(&["mask.npy", "28 × 28", "[4, 4]"]);
}

#[test]
fn energy() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name);
    line(folder.path(), "energy m.bbz data.npy").fails(&["data.npy", "817 columns", "found 16"]);
    let mut states = vec![0; 817];
    states[5] = 2;
    npy::write_u8(&path("two.npy"), 1, 817, &states).unwrap();
    line(folder.path(), "energy m.bbz two.npy").fails(&["two.npy", "column 5", "found 2"]);
    npy::write_f32(&path("floats.npy"), 1, 817, &[0.0; 817]).unwrap();
    line(folder.path(), "energy m.bbz floats.npy").fails(&["floats.npy", "uint8", "float32"]);
    line(folder.path(), "energy m.bbz none.npy").fails(&["none.npy"]);
    line(folder.path(), "energy m.bbz").misused(&["<STATES>"]);
}

#[test]
fn exact() {
    let folder = folder();
    line(folder.path(), "exact m.safetensors").fails(&["m.safetensors", "817 units", "24"]);
    line(folder.path(), "exact m.bbz").fails(&["m.bbz", "817 units", "24"]);
    line(folder.path(), "exact m.bbz --weights i8").misused(&["--weights", "[MODEL]"]);
    line(folder.path(), "exact").misused(&["--layers"]);
    line(folder.path(), "exact --layers 3,3 --visible 10").misused(&["--visible", "3 digits", "`10`"]);
    line(folder.path(), "exact --layers 3,3 --estimators lmi").misused(&["lmi", "ucd-lmi"]);
    line(folder.path(), "exact --layers 3,3 --estimators cd-1,pcd-2").misused(&["pcd-2", "last update"]);
    line(folder.path(), "exact --layers 3,3 --estimators mean-field").misused(&["mean-field", "last update"]);
    line(folder.path(), "exact --layers 3").misused(&["--layers"]);
    line(folder.path(), "exact --layers 3,3 --replicates 0").misused(&["--replicates"]);
}

#[test]
fn export() {
    let folder = folder();
    let large = Parameters::zeros(&[2000, 1100], Geometry::default()).unwrap();
    save(&folder.path().join("large.safetensors"), large);
    let export = |rest: &str| line(folder.path(), &format!("export {rest} -o x.bbz"));
    export("large.safetensors --board mps2-an386").fails(&["mps2-an386", "bytes of flash", "the board has 2097152"]);
    export("m.safetensors --address 0x100").misused(&["--address", ".hex"]);
    export("m.safetensors --weights f32 --calibrate digits").misused(&["--calibrate", "f32"]);
    export("m.safetensors --calibrate data.npy").fails(&["data.npy", "28 × 28", "4 × 4"]);
    let file = |rest: &str| line(folder.path(), &format!("export m.safetensors {rest}"));
    file("-o x.hex").misused(&[".hex", "--board or --address"]);
    file("-o x.uf2 --board mps2-an386").misused(&["mps2-an386", ".uf2"]);
    file("-o x.uf2 --address 0x84").fails(&["x.uf2", "0x84", "256"]);
    file("-o x.hex --address 12g").misused(&["--address", "0x"]);
    file("-o x.hex --address 0xfffffffc").fails(&["x.hex", "0xfffffffc", "32 bits"]);
    assert!(!folder.path().join("x.hex").exists() && !folder.path().join("x.uf2").exists());
    export("m.safetensors --board an386").misused(&["an386", "mps2-an386"]);
    export("m.safetensors --weights i2").misused(&["i2", "i4", "i8", "i16", "f32"]);
    export("m.safetensors --data data.npy").fails(&["data.npy", "28 × 28", "4 × 4"]);
    let mut huge = Parameters::zeros(&[4, 2], Geometry::default()).unwrap();
    huge.tensors_mut().0[0][0] = 1e6;
    save(&folder.path().join("huge.safetensors"), huge);
    export("huge.safetensors").fails(&["huge.safetensors", "1000000", "127"]);
    line(folder.path(), "export m.safetensors").misused(&["--output"]);
    assert!(!folder.path().join("x.bbz").exists());
}

#[test]
fn device() {
    let folder = folder();
    line(folder.path(), "device info").misused(&["--port"]);
    line(folder.path(), "device --port tcp:5555 info").misused(&["tcp:5555", "tcp:HOST:PORT"]);
    line(folder.path(), "device --port tcp:127.0.0.1:5555").misused(&["Usage: bitboltz device"]);
    line(folder.path(), "device --port none/tty info").fails(&["none/tty"]);
    // A port that was free a moment ago, and one where nobody answers.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = format!("tcp:{}", listener.local_addr().unwrap());
    let options = format!("device --timeout 1 --port {port}");
    line(folder.path(), &format!("{options} info")).fails(&[&port, "no answer within 1 s", "`serve`"]);
    drop(listener);
    line(folder.path(), &format!("{options} sample")).fails(&[&port, "refused"]);
}

#[test]
fn a_mistyped_command_is_told_the_right_one() {
    let folder = tempfile::tempdir().unwrap();
    line(folder.path(), "sampel m").misused(&["sampel", "'sample'"]);
    let none: [&str; 0] = [];
    assert_eq!(run(folder.path(), &none).status.code(), Some(2));
    assert!(line(folder.path(), "--version").ok().starts_with("bitboltz "));
}

/// Every command, and the options that its help must name.
const OPTIONS: &[(&str, &str)] = &[
    ("demo", "--out --steps --seed --json --threads"),
    ("data", "get --json"),
    ("data get", "<NAME>"),
    (
        "train",
        "<DATA> --output --resume --hidden --bits --preset --estimator --clamped-estimator --k --m --lag --y0 --cap --batch \
         --lr --schedule --gamma --momentum --weight-decay --centering --centering-offsets --average --marginalise \
         --chain-weights --init --labels --bias-from-data --pretrain --pretrain-updates --seed --steps --minutes \
         --threshold --checkpoint-every --metrics --grids --grid-every --json --threads",
    ),
    ("sample", "<MODEL> --count --modes --samples --sweeps --seed --output --npy --json"),
    (
        "inpaint",
        "<MODEL> <IMAGES> --mask --count --threshold --restarts --sweeps --mean --burn-in --seed --output --npy --json",
    ),
    ("energy", "<MODEL> <STATES> --json"),
    (
        "exact",
        "[MODEL] --layers --weight-std --bias-std --weights --visible --estimators --k --m --lag --y0 --cap \
         --replicates --seed --json",
    ),
    ("export", "<MODEL> --weights --output --board --address --calibrate --data --threshold --json mps2-an386"),
    ("inspect", "<FILE> --json"),
    ("bench", "update sample gibbs rbm-epoch kernels --threads"),
    ("bench update", "--model --layers --images --batch --chain-weights --seconds --seed --json"),
    ("bench sample", "--model --layers --batch --chain-weights --seconds --seed --json"),
    ("bench gibbs", "--model --layers --batch --chain-weights --seconds --seed --json"),
    ("bench rbm-epoch", "--model --layers --images --batch --chain-weights --seconds --seed --json"),
    ("bench kernels", "--seconds --seed --json --threads"),
    ("device", "--port --baud --timeout info sample inpaint energy"),
    ("device info", "--json"),
    ("device energy", "<STATES> --json"),
    ("device sample", "--count --modes --samples --sweeps --seed --output --npy --json"),
    ("device inpaint", "<IMAGES> --mask --count --restarts --mean --seed --output --npy --json"),
];

/// Whether a line of help begins an option.
fn is_option(line: &str) -> bool {
    line.starts_with("  ") && line.trim_start().starts_with('-') && !line.trim_start().starts_with("- ")
}

#[test]
fn help_teaches() {
    let folder = tempfile::tempdir().unwrap();
    let overview = line(folder.path(), "--help");
    for (command, options) in OPTIONS {
        let outcome = line(folder.path(), &format!("{command} --help"));
        let help = outcome.ok();
        let first = help.lines().next().unwrap();
        assert!(first.len() > 20, "{command}: says nothing first: {first:?}");
        assert!(help.contains(&format!("Usage: bitboltz {}", command.split(' ').next().unwrap())), "{help}");
        for option in options.split_whitespace() {
            assert!(help.contains(option), "{command}: no {option}\n{help}");
        }
        // Every option is explained, on its line or on the next.
        let lines: Vec<&str> = help.lines().collect();
        for (at, text) in lines.iter().enumerate().filter(|(_, text)| is_option(text)) {
            let same = text.trim_start().split_once("  ").is_some_and(|(_, said)| said.trim().len() > 3);
            let next = lines.get(at + 1).is_some_and(|said| said.starts_with("          ") && said.trim().len() > 3);
            assert!(same || next, "{command}: unexplained {text:?}");
        }
        if !command.contains(' ') {
            assert!(overview.ok().contains(&format!("  {command} ")), "{}", overview.stdout);
        }
    }
    assert!(overview.stdout.contains("bitboltz demo"));
    // Defaults that depend on --preset are told in words, and must be the true ones.
    let train = line(folder.path(), "train --help").stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    let TrainConfig { hidden, batch, learning_rate, gamma, centering, marginalise, estimator, init, .. } =
        TrainConfig::default();
    assert_eq!((&hidden[..], init), (&[500, 500][..], Init::Orthogonal));
    let TrainConfig { schedule, momentum, weight_decay, average, centering_offsets, chain_weights, .. } =
        TrainConfig::default();
    assert_eq!((schedule, centering_offsets), (Schedule::Sqrt, CenteringOffsets::Data));
    for (option, default) in [
        ("--hidden", "500,500".to_owned()),
        ("--batch", batch.to_string()),
        ("--lr", learning_rate.to_string()),
        ("--schedule", "sqrt".to_owned()),
        ("--gamma", gamma.to_string()),
        ("--momentum", momentum.to_string()),
        ("--weight-decay", weight_decay.to_string()),
        ("--average", average.unwrap_or(0.0).to_string()),
        ("--centering-offsets", "data".to_owned()),
        ("--chain-weights", chain_weights.name().to_owned()),
        ("--centering", centering.unwrap().to_string()),
        ("--marginalise", marginalise.to_string()),
        ("--estimator", estimator.to_string()),
        ("--init", "orthogonal".to_owned()),
        ("--cap", CAP.to_string()),
        ("--y0", "same".to_owned()),
    ] {
        let (_, after) = train.split_once(&format!(" {option} <")).unwrap();
        let (_, told) = after.split_once("[default: ").unwrap();
        assert!(told.starts_with(&format!("{default}]")), "{option}: {told:.20}");
    }
}

#[test]
fn a_closed_pipe_is_no_error() {
    let folder = folder();
    let no_one = || {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        Stdio::from(writer)
    };
    let mut large = vec![0; 817 * 300];
    large[3] = 1;
    npy::write_u8(&folder.path().join("states.npy"), 300, 817, &large).unwrap();
    for command in [
        "--help",
        "data",
        "data --json",
        "train data.npy --hidden 4 --batch 4 --steps 2 -o t.safetensors",
        "sample m.bbz -n 2 -o s.png",
        "sample m.bbz -n 2 --json",
        "inpaint m.bbz digits --mask half-left -n 2 -o i.png",
        "energy m.bbz states.npy",
        "exact --layers 2,2 --replicates 20",
        "exact --layers 2,2 --replicates 20 --json",
        "export m.safetensors -o e.bbz",
        "inspect m.safetensors",
    ] {
        let arguments: Vec<&str> = command.split(' ').collect();
        let output = bitboltz(folder.path()).args(&arguments).stdout(no_one()).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{command}");
        assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"), "{command}");
        // Nor is one that progress went into.
        let mut unheard = bitboltz(folder.path());
        unheard.args(&arguments).stdout(Stdio::null()).stderr(no_one());
        assert_eq!(unheard.status().unwrap().code(), Some(0), "{command}, standard error");
    }
    for file in ["t.safetensors", "s.png", "i.png", "e.bbz"] {
        assert!(folder.path().join(file).exists(), "{file}");
    }
    // Failures keep their exit code.
    let status = bitboltz(folder.path()).args(["inspect", "none"]).stderr(no_one()).status();
    assert_eq!(status.unwrap().code(), Some(1));
}

#[test]
fn bench() {
    let folder = folder();
    let bench = |rest: &str| line(folder.path(), &format!("bench {rest}"));
    bench("train").misused(&["subcommand", "train"]);
    for what in ["update", "sample", "gibbs", "rbm-epoch"] {
        let with = |rest: &str| bench(&format!("{what} {rest}"));
        with("--batch 0").misused(&["--batch"]);
        with("--layers 5").misused(&["--layers", "2"]);
        with("--layers 5,0").misused(&["--layers"]);
        with("--layers 5,x").misused(&["--layers", "expected widths"]);
        with("--layers 5,4 --model m.safetensors").misused(&["--layers", "--model"]);
        with("--chain-weights i2").misused(&["--chain-weights", "f32, i16, i8 or i4"]);
        with("--seconds 0").misused(&["--seconds", "positive"]);
        with("--seconds 1e300").misused(&["--seconds"]);
        with("--model none.safetensors").fails(&["none.safetensors", "No such file"]);
        with("--model cut.safetensors").fails(&["cut.safetensors", "damaged"]);
    }
    for what in ["update", "rbm-epoch"] {
        let with = |rest: &str| bench(&format!("{what} {rest}"));
        with("--model m.bbz").fails(&["m.bbz", "expected a checkpoint"]);
        with("--layers 5,4 --images nothing").fails(&["nothing", "expected a known data set"]);
        with("--layers 17,4 --images data.npy").fails(&["17 visible units", "16 values", "data.npy"]);
    }
    bench("update --model m.safetensors --images data.npy").fails(&["m.safetensors: 784 visible units", "16 values"]);
    bench("sample --model m.bbz --chain-weights i16").fails(&["m.bbz", "i8"]);
    bench("rbm-epoch --layers 5,4,3").misused(&["--layers", "two widths"]);
    bench("rbm-epoch --layers 5,4 --layers 5,4").misused(&["--layers", "only one"]);
    bench("rbm-epoch --model m.safetensors").fails(&["m.safetensors", "expected 2 layers", "found 3"]);
}
