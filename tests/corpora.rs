//! What the fuzz targets once found to matter, run again without a fuzzer.

use std::{fs, path::Path};

use bitboltz_tests::fuzz;
use proptest::prelude::*;

/// Shows every seed of a target to it, and returns how many there are.
fn replay(target: &str, run: impl Fn(&[u8])) -> usize {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
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
    assert!(replay("image", |bytes| _ = fuzz::image(bytes)) >= 3);
}

#[test]
fn sessions() {
    assert!(replay("session", fuzz::session) > 3);
}

#[test]
fn kernels() {
    assert!(replay("kernels", fuzz::kernels) > 3);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Bytes without a fuzzer.
    #[test]
    fn kernels_move_any_fields_as_the_portable_ones(bytes in prop::collection::vec(any::<u8>(), 7..200)) {
        fuzz::kernels(&bytes);
    }
}
