//! What the fuzz targets once found to matter, run again without a fuzzer. The kernels' inputs are run in the core's own tests.

use std::{fs, path::Path};

use bitboltz::image::AlignedBytes;
use bitboltz_core::weights::I4;
use bitboltz_tests::{
    fuzz,
    images::{Encoded as _, is_the_only_one},
    models::machine,
};

/// Shows every input of a target to it, and returns how many there are.
fn replay(target: &str, run: impl Fn(&[u8])) -> usize {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut seen = 0;
    for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        // A panic says the rest, but not which file.
        println!("{}", path.display());
        run(&fs::read(&path).unwrap());
        seen += 1;
    }
    seen
}

#[test]
fn images() {
    let seen = replay("image", |bytes| {
        fuzz::image(bytes);
        let held = AlignedBytes::new(bytes);
        if let Ok(image) = held.image() {
            assert!(is_the_only_one(&image));
        }
    });
    assert!(seen > 3);
}

#[test]
fn sessions() {
    assert!(replay("session", fuzz::session) > 3);
}

#[test]
fn the_machines_of_the_sessions_are_these() {
    let images = [
        ("i8", machine::<i8>(&[37, 5, 3], 1.0, 1).image()),
        ("i16", machine::<i16>(&[3, 33, 1], 1.0, 1).image()),
        ("i4", machine::<I4>(&[9, 13, 2], 1.0, 1).image()),
        ("f32", machine::<f32>(&[8, 2, 2], 1.0, 1).image()),
    ];
    for (name, image) in images {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("bodies/machines").join(name).with_extension("bbz");
        assert_eq!(fs::read(&path).unwrap(), image, "{}", path.display());
    }
}
