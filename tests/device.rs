//! `bitboltz device` against `serve` in QEMU: what a user types, and the same files as the native commands write.

use std::{
    fs,
    net::TcpListener,
    path::Path,
    time::{Duration, Instant},
};

use bitboltz::npy;
use bitboltz_core::{
    rng::{Rng as _, stream},
    weights::WeightKind,
};
use bitboltz_tests::{
    command::{self, line},
    firmware,
    images::{self, Encoded as _},
    models::machine,
};
use xtask::qemu::Serial;

/// The committed digits model.
const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/digits-i8.bbz");
/// Its units.
const UNITS: usize = 784 + 128 + 64;
/// Pairs of `device` and native arguments that must write the same file.
const ASKED: &[&str] = &[
    "sample -n 4 --modes --seed 3",
    "sample -n 4 --samples --sweeps 2 --seed 3",
    "inpaint digits --mask half-left -n 3",
    "inpaint digits --mask random:0.5 -n 3 --restarts 2 --sweeps 2 --seed 9",
    "inpaint digits --mask box:4,4,12,12 -n 2 --mean 20 --burn-in 3",
];

/// A free port. QEMU has to listen, as in README.md; nobody else here asks for ports in between.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn a_device_answers_as_the_native_commands_do() {
    let folder = tempfile::tempdir().unwrap();
    let address = format!("127.0.0.1:{}", free_port());
    let serve = firmware::run("serve").image(Path::new(MODEL)).timeout(None).serial(Serial::Listen(address.clone()));
    let _running = serve.start().unwrap_or_else(|error| panic!("{error:#}"));
    let device = |arguments: &str| command::line(folder.path(), &format!("device --port tcp:{address} {arguments}"));

    // QEMU takes a moment until it listens.
    let start = Instant::now();
    let info = loop {
        let outcome = device("info --json");
        if outcome.status.success() {
            break outcome.json();
        }
        assert!(start.elapsed() < Duration::from_secs(60), "{}", outcome.stderr);
    };
    assert_eq!((&info["widths"], &info["weights"]), (&serde_json::json!([784, 128, 64]), &"i8".into()));

    for (at, asked) in ASKED.iter().enumerate() {
        let (theirs, ours) = (format!("device-{at}.npy"), format!("native-{at}.npy"));
        device(&format!("{asked} --npy {theirs}")).ok();
        let (verb, rest) = asked.split_once(' ').unwrap();
        command::line(folder.path(), &format!("{verb} {MODEL} {rest} --npy {ours}")).ok();
        let read = |name: &str| fs::read(folder.path().join(name)).unwrap();
        assert!(read(&theirs) == read(&ours), "{asked}");
    }

    // Energies, to the last digit.
    let mut rng = stream(5, 0);
    let states: Vec<u8> = (0..3 * UNITS).map(|_| (rng.next_u32() & 1) as u8).collect();
    npy::write_u8(&folder.path().join("states.npy"), 3, UNITS, &states).unwrap();
    for json in ["", " --json"] {
        let ours = line(folder.path(), &format!("energy {MODEL} states.npy{json}"));
        assert_eq!(device(&format!("energy states.npy{json}")).ok(), ours.ok());
    }
    npy::write_u8(&folder.path().join("short.npy"), 1, 9, &[1; 9]).unwrap();
    device("energy short.npy").fails(&["short.npy", "976 columns", "found 9"]);

    // What the device is, in words.
    let text = device("info");
    let inspect = line(folder.path(), &format!("inspect {MODEL} --json")).json();
    let crc = format!("CRC {}", inspect["image"]["crc"].as_str().unwrap());
    let ram = format!("{} bytes", inspect["ram_bytes"]);
    for word in ["[784, 128, 64]", "i8 weights", "scale ", &crc, &ram, "protocol version 1"] {
        assert!(text.ok().contains(word), "{word}\n{}", text.stdout);
    }

    let picture = device("inpaint digits --mask half-left -n 2 -o device.png");
    picture.ok();
    assert!(folder.path().join("device.png").is_file());
}

/// Waits until QEMU listens and the device says what is expected of it.
fn reached(device: impl Fn(&str) -> command::Outcome, word: &str) {
    let start = Instant::now();
    loop {
        let outcome = device("info");
        if outcome.stderr.contains(word) {
            return;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "{}", outcome.stderr);
    }
}

#[test]
fn a_device_without_an_image_is_sent_one_and_another_and_answers_from_them() {
    let folder = tempfile::tempdir().unwrap();
    let address = format!("127.0.0.1:{}", free_port());
    let serve = firmware::run("serve").timeout(None).serial(Serial::Listen(address.clone()));
    let _running = serve.start().unwrap_or_else(|error| panic!("{error:#}"));
    let device = |arguments: &str| command::line(folder.path(), &format!("device --port tcp:{address} {arguments}"));
    reached(device, "no model: no image");

    fs::write(folder.path().join("other.bbz"), images::board(WeightKind::I16, 4)).unwrap();
    fs::copy(MODEL, folder.path().join("digits.bbz")).unwrap();
    for (at, image) in ["digits.bbz", "other.bbz", "digits.bbz"].into_iter().enumerate() {
        let crc = line(folder.path(), &format!("inspect {image} --json")).json()["image"]["crc"].clone();
        let crc = crc.as_str().unwrap();
        let sent = device(&format!("update {image}"));
        assert!(sent.ok().contains(&format!("the device answers from CRC {crc}")), "{}", sent.stdout);
        assert_eq!(device("info --json").json()["crc"], *crc);
        let (theirs, ours) = (format!("device-{at}.npy"), format!("native-{at}.npy"));
        device(&format!("sample -n 3 --modes --npy {theirs}")).ok();
        line(folder.path(), &format!("sample {image} -n 3 --modes --npy {ours}")).ok();
        let read = |name: &str| fs::read(folder.path().join(name)).unwrap();
        assert!(read(&theirs) == read(&ours), "{image}");
    }

    // What is no image is not sent at all.
    let mut damaged = fs::read(MODEL).unwrap();
    damaged[1000] ^= 1;
    fs::write(folder.path().join("damaged.bbz"), damaged).unwrap();
    device("update damaged.bbz").fails(&["damaged.bbz", "image damaged"]);
    device("update absent.bbz").fails(&["absent.bbz"]);
    // What does not fit is refused by the device.
    let wide = machine::<i8>(&[4000, 600], 1.0, 1).image();
    assert!(wide.len() > 2 << 20);
    fs::write(folder.path().join("wide.bbz"), wide).unwrap();
    device("update wide.bbz").fails(&["longer than 2097152 bytes"]);
    device("info").ok();
}
