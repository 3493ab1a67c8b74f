//! Integer models run without a float unit, and the core on processors that have next to nothing.

use bitboltz_tests::firmware::board;
use xtask::{build::build_test, elf, setup::TEST_TARGETS, toolchain::Toolchain};

#[test]
fn float_routines_are_known_by_their_names() {
    for name in [
        "__aeabi_fadd",
        "__aeabi_dmul",
        "__aeabi_i2f",
        "__aeabi_f2iz",
        "__aeabi_fcmplt",
        "__addsf3",
        "__ltdf2",
        "__fixsfsi",
        "__fixunsdfdi",
        "__floatsidf",
        "__aeabi_d2f",
    ] {
        assert!(elf::is_float_routine(name), "{name}");
    }
    for name in
        ["__aeabi_memcpy4", "__aeabi_uldivmod", "__aeabi_idiv", "__aeabi_lmul", "main", "__aeabi_llsl", "__muldi3"]
    {
        assert!(!elf::is_float_routine(name), "{name}");
    }
}

#[test]
fn a_session_of_8_bits_computes_with_no_float() {
    let elf = build_test(board(), "thumbv7em-none-eabi", "integers").unwrap_or_else(|error| panic!("{error:#}"));
    let symbols = elf::symbols(&elf).unwrap();
    assert!(symbols.iter().any(|name| name.starts_with("__aeabi_mem")), "the symbols are there");
    let floats: Vec<&String> = symbols.iter().filter(|name| elf::is_float_routine(name)).collect();
    assert!(floats.is_empty(), "{floats:?}");
}

#[test]
fn the_core_builds_for_the_smallest_cores() {
    // No float unit, and no atomic read-modify-write.
    let target = TEST_TARGETS[0];
    for features in ["", "defmt"] {
        let toolchain = Toolchain::require(target).unwrap_or_else(|error| panic!("{error:#}"));
        // Cargo runs in the firmware's folder.
        let status = toolchain
            .cargo()
            .args(["build", "--quiet", "--manifest-path", "../Cargo.toml", "--package", "bitboltz-core"])
            .args(["--no-default-features", "--features", features, "--target", target])
            .status();
        assert!(status.unwrap().success(), "{target}, features `{features}`");
    }
}
