//! Label units from data to device: trained, kept by files, told by clamped inference, and their mistakes.

use std::{fmt::Write as _, fs, path::Path};

use bitboltz::{
    checkpoint::Checkpoint,
    dataset::{
        self, Encoding, Split,
        labels::{classes_of, widened, with_labels},
    },
    inpainting::marginals,
    model_file::ModelFile,
    with_model,
};
use bitboltz_core::{
    connection::Dense,
    posterior::PosteriorMean,
    rng::{Rng as _, stream},
    session::{
        Session, frame,
        message::{Answer, Request, Response},
        workspace_words,
    },
};
use bitboltz_tests::{
    command::{line, small_data},
    wire::{feed, frame as request_frame},
};
use serde_json::Value;

const CLASSES: usize = 3;
const IMAGES: usize = 60;

/// 4 × 4 pixels of three classes as `NAME.csv`: a bar in one of three rows, two pixels of noise, labels first.
fn labelled(folder: &Path, name: &str, label: impl Fn(usize) -> usize) {
    let mut text = String::from("label");
    (0..16).for_each(|pixel| write!(text, ",p{pixel}").unwrap());
    let mut rng = stream(5, 0);
    for image in 0..IMAGES {
        let mut pixels = [0; 16];
        pixels[image % CLASSES * 4..][..4].fill(255);
        (0..2).for_each(|_| pixels[rng.next_u32() as usize % 16] ^= 255);
        write!(text, "\n{}", label(image)).unwrap();
        pixels.iter().for_each(|pixel| write!(text, ",{pixel}").unwrap());
    }
    fs::write(folder.join(name), text).unwrap();
}

/// The data `data.csv` and `m.safetensors`, trained on them with their labels.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    labelled(folder.path(), "data.csv", |image| image % CLASSES);
    line(folder.path(), "train data.csv --labels --hidden 12,6 --steps 600 --batch 20 -o m.safetensors").ok();
    folder
}

fn number(value: &Value, path: &str) -> f64 {
    value.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("no number {path} in {value}"))
}

#[test]
fn a_model_learns_labels_and_tells_them() {
    let folder = folder();
    let at = folder.path();
    line(at, "export m.safetensors --weights i8 -o m.bbz").ok();
    for model in ["m.safetensors", "m.bbz"] {
        let inspected = line(at, &format!("inspect {model} --json")).json();
        assert_eq!((&inspected["label_units"], &inspected["widths"][0]), (&3.into(), &19.into()), "{inspected}");
        let only = "--only inpainting,classification --mask half-left --mask random:0.25";
        let answer = line(at, &format!("eval {model} data.csv {only} --json")).json();
        let found = &answer["classification"];
        // Guessing is wrong in two thirds.
        for path in ["/whole/error", "/by_bound/error", "/masked/0/error", "/masked/1/error"] {
            assert!(number(found, path) < 0.2, "{path}: {answer}");
        }
        assert_eq!((&found["masked"][1]["mask"], &found["classes"]), (&"random:0.25".into(), &3.into()));
        assert_eq!(number(found, "/whole/images"), IMAGES as f64);
        let confusion: Vec<u64> = (0..CLASSES)
            .map(|class| found["whole"]["confusion"][class].as_array().unwrap().iter().filter_map(Value::as_u64).sum())
            .collect();
        assert_eq!(confusion, [20; CLASSES]);
        let inpainting = &answer["inpainting"]["masks"][0];
        // Eight pixels of each image: label units do not count.
        assert_eq!((&inpainting["mask"], number(inpainting, "/hidden_units")), (&"half-left".into(), 480.0));
        assert!(number(inpainting, "/means/on") > number(inpainting, "/majority/on"), "{answer}");
        for method in ["modes", "means", "majority", "nearest"] {
            assert!((0.5..=1.0).contains(&number(inpainting, &format!("/{method}/all"))), "{answer}");
        }
        let text = line(at, &format!("eval {model} data.csv {only}"));
        ["3 classes by label units", "half-left", "nearest", "true class (row)"]
            .iter()
            .for_each(|word| assert!(text.ok().contains(word), "{word}\n{}", text.stdout));
    }
    // Every section takes such a model, and asks for what fits it.
    let fast = "--betas 50 --chains 10 --clamped 2 --sweeps 5 --walkers 5 --json";
    let all = line(at, &format!("eval m.safetensors data.csv {fast}")).json();
    assert_eq!(all["inpainting"]["masks"].as_array().unwrap().len(), 6);
    assert_eq!(all["classification"]["masked"][0]["mask"], "half-left");
    assert!(number(&all, "/likelihood/log_p/nats").is_finite());
}

#[test]
fn threads_change_nothing() {
    let folder = folder();
    let tables = |threads: usize| {
        let only = "--only inpainting,classification --json";
        let answer = line(folder.path(), &format!("eval m.safetensors data.csv {only} --threads {threads}")).json();
        let confusion = |found: &Value| found["confusion"].clone();
        let found = &answer["classification"];
        [confusion(&found["whole"]), confusion(&found["masked"][0]), answer["inpainting"]["masks"].clone()]
    };
    assert_eq!(tables(1), tables(3));
}

#[test]
fn a_run_with_labels_is_resumed_with_them() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    labelled(at, "data.csv", |image| image % CLASSES);
    let train = |rest: &str| line(at, &format!("train data.csv --batch 5 {rest}")).ok().to_owned();
    train("--labels --hidden 5 --steps 40 -o whole.safetensors --grids grids --grid-every 20");
    // Pictures without their labels.
    assert!(at.join("grids").read_dir().unwrap().count() > 0);
    line(at, "train data.csv --batch 5 --labels --hidden 5 --steps 15 -o part.safetensors").ok();
    line(at, "train data.csv --resume --steps 40 -o part.safetensors").ok();
    let [whole, part] =
        ["whole", "part"].map(|name| Checkpoint::load(&at.join(name).with_extension("safetensors")).unwrap());
    assert_eq!(whole.parameters, part.parameters);
    assert_eq!(whole.parameters.shape().width(0), 16 + CLASSES);
}

/// The device's way: an image, a session, the picture clamped, the label units free.
#[test]
fn a_device_reads_the_label() {
    const SEED: u64 = 3;
    let folder = folder();
    let at = folder.path();
    line(at, "export m.safetensors --weights i8 -o m.bbz").ok();
    let file = ModelFile::load(&at.join("m.bbz")).unwrap();
    let images = dataset::load(at.join("data.csv").to_str().unwrap(), Split::Test).unwrap();
    let pictures = Encoding::default().encode(&images).unwrap();
    let rows = widened(&pictures, CLASSES, false).unwrap();
    let free = widened(&bitboltz::bits::BitMatrix::zeros(IMAGES, 16), CLASSES, true).unwrap();
    let mean = PosteriorMean { restarts: 4, burn_in: 5, samples: 40, ..PosteriorMean::default() };
    let shares = with_model!(&file, model => marginals(&model, &rows, &free, &mean, SEED)).unwrap();

    let image = file.image().expect("an image");
    let mut arena = vec![0; workspace_words(image.shape())];
    let mut session: Session<'_, Dense<'_, i8>> = Session::new(Ok(image), &mut arena);
    let mut right = 0;
    let truth = classes_of(&with_labels(&pictures, &images, CLASSES).unwrap(), 16..19);
    for (chain, truth) in truth.into_iter().enumerate() {
        let known = 0xFFFF_u32.to_le_bytes();
        let visible = rows.row(chain)[0].to_le_bytes();
        let request = Request::Marginals {
            seed: SEED,
            chain: chain as u64,
            restarts: 4,
            burn_in: 5,
            samples: 40,
            known: &known,
            visible: &visible,
        };
        let answer = feed(&mut session, &request_frame(chain as u32 + 1, request)).remove(0);
        let answer: Answer<'_> = frame::decode(&answer).expect("an answer");
        let Response::Marginals { on, .. } = answer.response else { panic!("{:?}", answer.response) };
        let on: Vec<u16> = on.as_chunks::<2>().0.iter().map(|&bytes| u16::from_le_bytes(bytes)).collect();
        // The pixels as they were, and the label units as natively.
        (0..16).for_each(|pixel| assert_eq!(on[pixel], 40 * u16::from(rows.get(chain, pixel))));
        let native = &shares[chain * 19..][..19];
        assert!(on.iter().zip(native).all(|(&on, share)| f32::from(on) / 40.0 == *share), "{on:?} {native:?}");
        let found = (0..CLASSES).max_by_key(|class| on[16 + class]);
        right += usize::from(found == truth);
    }
    assert!(right > IMAGES * 4 / 5, "{right}");
    // As the command says it.
    let command =
        format!("inpaint m.bbz data.csv --mask random:0 --mean 40 --burn-in 5 --restarts 4 -n {IMAGES} --seed {SEED}");
    let answer = line(at, &format!("{command} --json -o grid.png")).json();
    assert!(number(&answer, "/right_labels") > IMAGES as f64 * 0.8, "{answer}");
    assert_eq!(number(&answer, "/hidden_units"), 0.0);
    assert!(line(at, &command).ok().contains("labels: "));
}

#[test]
fn a_label_is_held_while_pictures_are_drawn() {
    let folder = folder();
    let at = folder.path();
    for class in 0..CLASSES {
        let drawn = format!("sample m.safetensors --class {class} -n 50 --sweeps 30 --npy {class}.npy -o {class}.png");
        line(at, &drawn).ok();
        let bits = fs::read(at.join(format!("{class}.npy"))).unwrap();
        let rows = &bits[bits.len() - 50 * 19..];
        let share = |unit: usize| rows.chunks(19).map(|row| f64::from(row[unit])).sum::<f64>() / 50.0;
        (0..CLASSES).for_each(|other| assert_eq!(share(16 + other), f64::from(u8::from(class == other))));
        // Its own bar more than those of the other classes.
        let bar = |of: usize| (0..4).map(|x| share(4 * of + x)).sum::<f64>();
        (0..CLASSES)
            .filter(|&other| other != class)
            .for_each(|other| assert!(bar(class) > bar(other) + 0.5, "{class}"));
    }
}

#[test]
fn mistakes() {
    let folder = folder();
    let at = folder.path();
    small_data(at);
    let fails = |arguments: &str, words: &[&str]| line(at, arguments).fails(words);
    fails("train data.npy --labels -o n.safetensors", &["data.npy", "expected a label for each image, found none"]);
    labelled(at, "one.csv", |_| 2);
    fails("train one.csv --labels -o n.safetensors", &["one.csv", "at least 2 classes"]);
    line(at, "train data.csv --labels --resume -o m.safetensors").misused(&["--labels", "--resume"]);
    assert!(!at.join("n.safetensors").exists());

    // A model without labels.
    line(at, "train data.csv --hidden 3 --steps 2 -o plain.safetensors").ok();
    fails(
        "eval plain.safetensors data.csv --only classification",
        &["plain.safetensors", "no label units", "--labels"],
    );
    fails("sample plain.safetensors --class 0", &["plain.safetensors", "--class 0", "no label units"]);
    let fast = "--betas 5 --chains 2 --clamped 0 --sweeps 1 --walkers 2 --json";
    let all = line(at, &format!("eval plain.safetensors data.csv {fast}")).json();
    assert_eq!((all.get("classification"), all["inpainting"]["images"].as_u64()), (None, Some(IMAGES as u64)));

    // Classes that are not the model's, and none; before any work.
    labelled(at, "more.csv", |image| image % CLASSES + usize::from(image == 7));
    labelled(at, "four.csv", |image| image % 4);
    let long = "--betas 4000000000 --chains 4000000000";
    fails(&format!("eval m.safetensors four.csv {long}"), &["four.csv", "image 3", "label below 3", "found 3"]);
    fails(&format!("eval m.safetensors data.npy {long}"), &["data.npy", "expected a label for each image"]);
    fails("inpaint m.safetensors four.csv --mask half-left", &["four.csv", "label below 3"]);
    fails("train four.csv --resume --steps 700 -o m.safetensors", &["four.csv", "label below 3"]);
    fails("train more.csv --resume --steps 700 -o m.safetensors", &["other data"]);
    fails("sample m.safetensors --class 3", &["--class 3", "classes 0 to 2"]);
    fails(
        &format!("eval m.safetensors data.csv {long} --only inpainting --mask box:0,0,5,5"),
        &["box:0,0,5,5", "4 × 4"],
    );
    fails(&format!("eval m.safetensors data.csv {long} --only inpainting --mask none.png"), &["none.png"]);
    line(at, "eval m.safetensors data.csv --mask left").misused(&["--mask"]);
    line(at, "eval m.safetensors data.csv --label-sweeps 0").misused(&["--label-sweeps"]);
    // Pictures without labels are restored all the same.
    line(at, "inpaint m.safetensors data.npy --mask half-left").ok();
}
