//! Training runs that are killed, interrupted, or have nowhere to write.
#![cfg(unix)]

use std::{
    fs,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use bitboltz::checkpoint::Checkpoint;
use bitboltz_core::rng::{Rng as _, stream};
use bitboltz_tests::command::{Running, TIMEOUT, bitboltz, line, program, small_data};

/// Settings that make quick updates; every update writes a checkpoint.
const TRAIN: &str = "train digits --hidden 12,7 --batch 6 --seed 4 --checkpoint-every 0 --threads 1";

fn start(folder: &Path, arguments: &str) -> Running {
    let mut command = bitboltz(folder);
    command.args(arguments.split_whitespace());
    Running::start(command)
}

/// Waits until something is so, or the run has ended.
fn until(running: &mut Running, what: impl Fn() -> bool) {
    let begin = Instant::now();
    while !what() && !running.ended() {
        assert!(begin.elapsed() < TIMEOUT, "nothing happens");
        thread::sleep(Duration::from_millis(2));
    }
}

fn modified(path: &Path) -> Option<std::time::SystemTime> {
    path.metadata().and_then(|meta| meta.modified()).ok()
}

#[track_caller]
fn steps(path: &Path) -> Vec<u64> {
    let text = fs::read_to_string(path).unwrap();
    let step = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["step"].as_u64().unwrap();
    text.lines().map(step).collect()
}

/// Hidden layer, if it was pretraining, and step of each line.
#[track_caller]
fn marks(path: &Path) -> Vec<(Option<u64>, u64)> {
    let text = fs::read_to_string(path).unwrap();
    let mark = |line: &str| {
        let line = serde_json::from_str::<serde_json::Value>(line).unwrap();
        (line["pretraining"].as_u64(), line["step"].as_u64().unwrap())
    };
    text.lines().map(mark).collect()
}

/// Equal in every bit but for the wall time.
#[track_caller]
fn assert_equal(whole: &Path, parts: &Path) {
    let [whole, parts] = [whole, parts].map(|path| Checkpoint::load(path).unwrap());
    assert_eq!(whole.parameters, parts.parameters);
    let [mut whole, parts] = [whole, parts].map(|checkpoint| checkpoint.training.unwrap());
    whole.seconds = parts.seconds;
    assert_eq!(whole, parts);
}

#[test]
fn a_run_that_is_killed_again_and_again_ends_like_one_that_is_not() {
    const STEPS: u64 = 800;
    let folder = tempfile::tempdir().unwrap();
    kill_again_and_again(folder.path(), "", STEPS);
    assert!(steps(&folder.path().join("parts.jsonl")).into_iter().eq(1..=STEPS));
}

#[test]
fn so_does_one_that_is_killed_while_it_is_being_pretrained() {
    let folder = tempfile::tempdir().unwrap();
    kill_again_and_again(folder.path(), "--pretrain greedy --pretrain-updates 300 --momentum 0.5", 200);
    let layer = |layer| (1..=300).map(move |step| (Some(layer), step));
    let expected = layer(1).chain(layer(2)).chain((1..=200).map(|step| (None, step)));
    assert!(marks(&folder.path().join("parts.jsonl")).into_iter().eq(expected));
}

/// Trains `parts.safetensors` with these settings through kills, and checks that it becomes what a whole run makes.
fn kill_again_and_again(folder: &Path, settings: &str, steps: u64) {
    let [whole, parts] = ["whole.safetensors", "parts.safetensors"].map(|name| folder.join(name));
    line(folder, &format!("{TRAIN} {settings} --steps {steps} -o whole.safetensors")).ok();

    let mut rng = stream(17, 0);
    let mut kills = 0;
    for turn in 0.. {
        assert!(turn < 50, "no progress");
        // A run that was killed before its first checkpoint begins again.
        let arguments = if parts.exists() {
            format!("train digits --checkpoint-every 0 --threads 1 --steps {steps} -o parts.safetensors --resume")
        } else {
            format!("{TRAIN} {settings} --steps {steps} -o parts.safetensors")
        };
        let before = modified(&parts);
        let mut running = start(folder, &arguments);
        // The moments spread over start, updates and writes; the last turn runs to its end.
        if kills < 8 {
            if !rng.next_u32().is_multiple_of(4) {
                until(&mut running, || modified(&parts) != before);
            }
            thread::sleep(Duration::from_micros(u64::from(rng.next_u32() % 40_000)));
            running.kill();
        }
        let outcome = running.wait();
        if outcome.status.code().is_none() {
            kills += 1;
            // Whatever the moment, the file is whole.
            assert!(!parts.exists() || Checkpoint::load(&parts).is_ok());
        } else {
            assert!(outcome.ok().contains(&format!("{steps} updates")), "{}", outcome.stdout);
            break;
        }
    }
    assert!(kills >= 3, "only {kills} kills before the end");
    assert_equal(&whole, &parts);
}

#[test]
fn interrupted_runs_save_and_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let [whole, parts, metrics] =
        ["whole.safetensors", "parts.safetensors", "parts.jsonl"].map(|n| folder.path().join(n));
    let settings = "train digits --hidden 12,7 --batch 6 --seed 4 --threads 1 --average 0.1 --momentum 0.5";
    // No checkpoint on the way: what is saved was saved at the end.
    let mut running = start(folder.path(), &format!("{settings} --steps 100000 -o parts.safetensors"));
    until(&mut running, || fs::read_to_string(&metrics).is_ok_and(|text| text.lines().count() > 5));
    assert!(!parts.exists());
    // What a job scheduler sends; the others press Ctrl-C.
    assert!(Command::new("kill").args(["-TERM", &running.id().to_string()]).status().unwrap().success());
    let outcome = running.wait();
    assert!(outcome.ok().contains("stopped; continue with --resume"), "{}", outcome.stdout);
    assert!(outcome.stderr.contains("stopping after this update"), "{}", outcome.stderr);
    let done = Checkpoint::load(&parts).unwrap().training.unwrap().step;
    assert!(steps(&metrics).into_iter().eq(1..=done));

    // On other data it does not go on, and nothing changes.
    small_data(folder.path());
    let before = fs::read(&parts).unwrap();
    let resume = |rest: &str| line(folder.path(), &format!("train {rest} -o parts.safetensors --resume"));
    resume("data.npy").fails(&["parts.safetensors", "cannot resume", "other data", "4000"]);
    assert_eq!(fs::read(&parts).unwrap(), before);
    assert!(steps(&metrics).into_iter().eq(1..=done));

    resume(&format!("digits --steps {}", done + 7)).ok();
    line(folder.path(), &format!("{settings} --steps {} -o whole.safetensors", done + 7)).ok();
    assert_equal(&whole, &parts);
    assert!(steps(&metrics).into_iter().eq(1..=done + 7));
    // Without limits of its own a resumed run keeps those that it had, and these are reached.
    assert!(resume("digits").ok().contains(&format!("{} updates", done + 7)));
}

#[test]
fn an_interrupted_pretraining_saves_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let settings = "train digits --hidden 12,7 --batch 6 --seed 4 --threads 1 --estimator pcd --lr 0.01 --momentum 0 \
                    --pretrain greedy --pretrain-updates 1500 --steps 5";
    let interrupted_in = |arguments: &str, layer: u64| {
        let mut running = start(folder.path(), arguments);
        until(&mut running, || {
            path("p.jsonl").exists() && marks_so_far(&path("p.jsonl")).any(|mark| mark == Some(layer))
        });
        assert!(Command::new("kill").args(["-INT", &running.id().to_string()]).status().unwrap().success());
        let outcome = running.wait();
        let said = format!("of the pretraining of hidden layer {layer}");
        assert!(
            outcome.ok().contains(&said) && outcome.stdout.contains("continue with --resume"),
            "{}",
            outcome.stdout
        );
    };
    interrupted_in(&format!("{settings} -o p.safetensors"), 1);
    // What there is of the stack is a model.
    let so_far = line(folder.path(), "inspect p.safetensors");
    assert!(
        so_far.ok().contains("being pretrained") && so_far.stdout.contains("layers [784, 12]"),
        "{}",
        so_far.stdout
    );
    line(folder.path(), "sample p.safetensors -n 2 -o s.png").ok();
    interrupted_in("train digits --threads 1 -o p.safetensors --resume", 2);
    assert!(line(folder.path(), "inspect p.safetensors").ok().contains("being pretrained: [1500, "));

    // On other data it does not go on, and nothing changes.
    small_data(folder.path());
    let before = fs::read(path("p.safetensors")).unwrap();
    line(folder.path(), "train data.npy -o p.safetensors --resume").fails(&[
        "p.safetensors",
        "cannot resume",
        "other data",
    ]);
    assert_eq!(fs::read(path("p.safetensors")).unwrap(), before);

    // Other limits are those of the run, which goes on from there.
    let resumed = line(folder.path(), "train digits --threads 1 -o p.safetensors --resume --steps 9");
    assert!(resumed.ok().contains("9 updates") && resumed.stderr.contains("pretrained in"), "{}", resumed.stderr);
    line(folder.path(), &format!("{settings} -o whole.safetensors")).ok();
    line(folder.path(), "train digits --threads 1 -o whole.safetensors --resume --steps 9").ok();
    assert_equal(&path("whole.safetensors"), &path("p.safetensors"));
    assert_eq!(marks(&path("p.jsonl")), marks(&path("whole.jsonl")));
    assert_eq!(marks(&path("p.jsonl")).len(), 2 * 1500 + 9);
}

/// Hidden layer of each whole line of metrics that are being written.
fn marks_so_far(path: &Path) -> impl Iterator<Item = Option<u64>> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let layer = |line: &str| Some(serde_json::from_str::<serde_json::Value>(line).ok()?["pretraining"].as_u64());
    text.lines().filter_map(layer).collect::<Vec<_>>().into_iter()
}

#[test]
fn an_interrupt_after_the_training_of_a_demo_ends_it() {
    let folder = tempfile::tempdir().unwrap();
    // Written between the training and 2,000 inpaintings.
    let picture = folder.path().join("out/samples.png");
    let mut running = start(folder.path(), "demo --steps 1 --threads 1");
    until(&mut running, || picture.exists());
    assert!(Command::new("kill").args(["-INT", &running.id().to_string()]).status().unwrap().success());
    let outcome = running.wait();
    assert_eq!((outcome.status.code(), &*outcome.stdout), (Some(130), ""), "{}", outcome.stderr);
    assert!(!outcome.stderr.contains("stopping after this update"), "{}", outcome.stderr);
}

#[test]
fn where_nothing_can_be_written_the_old_file_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    line(folder.path(), &format!("{TRAIN} --steps 3 -o m.safetensors")).ok();
    let before = fs::read(path("m.safetensors")).unwrap();
    let names = || fs::read_dir(folder.path()).unwrap().count();
    let count = names();
    let resume = "train digits --steps 6 --threads 1 -o m.safetensors --resume";

    // A limit on the size of files acts as a full disk does: the write fails half-way. The signal that comes with it is
    // ignored first, and is then met as it comes.
    for (trap, told) in [("trap '' XFSZ; ", true), ("", false)] {
        let mut command = Command::new("sh");
        let script = format!("{trap}ulimit -f 8; exec \"$0\" {resume} --metrics /dev/null");
        command.args(["-c", &script]).arg(program()).current_dir(folder.path());
        let outcome = Running::start(command).wait();
        if told {
            outcome.fails_late(&["m.safetensors", "File too large"]);
            assert_eq!(names(), count, "a partial file was left");
        } else {
            assert!(!outcome.status.success());
        }
        assert_eq!(fs::read(path("m.safetensors")).unwrap(), before);
    }

    // A checkpoint on the way that cannot be written is told, and the run goes on.
    let mut command = Command::new("sh");
    let script = format!("trap '' XFSZ; ulimit -f 8; exec \"$0\" {resume} --metrics /dev/null --checkpoint-every 0");
    command.args(["-c", &script]).arg(program()).current_dir(folder.path());
    let outcome = Running::start(command).wait();
    outcome.fails_late(&["m.safetensors", "File too large"]);
    assert_eq!(outcome.stderr.matches("not saved, the run goes on").count(), 3, "{}", outcome.stderr);
    assert_eq!(fs::read(path("m.safetensors")).unwrap(), before);

    if Path::new("/dev/full").exists() {
        // Metrics on a full disk: told, and what was trained is saved.
        line(folder.path(), &format!("{resume} --metrics /dev/full")).fails_late(&["/dev/full", "No space left"]);
        assert_eq!(Checkpoint::load(&path("m.safetensors")).unwrap().training.unwrap().step, 4);
        // A device is written to, never replaced.
        line(folder.path(), &format!("{TRAIN} --steps 1 -o /dev/full --metrics /dev/null"))
            .fails_late(&["/dev/full", "No space left"]);
        assert!(!Path::new("/dev/full").is_file());
    }
    line(folder.path(), "train digits --steps 9 -o no/m.safetensors --resume").fails(&["no/m.safetensors"]);
}
