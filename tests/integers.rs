//! Integer models run without a float unit, and the core on processors that have next to nothing.

use bitboltz_tests::firmware::board;
use xtask::{build::build_test, elf, setup::TEST_TARGETS, toolchain::Toolchain};

/// Whether a symbol is a routine that computes with floats on a processor that cannot. Conversions count.
fn is_float_routine(name: &str) -> bool {
    let arm = name.strip_prefix("__aeabi_").is_some_and(|rest| {
        let conversion =
            ["i2f", "i2d", "ui2f", "ui2d", "l2f", "l2d", "ul2f", "ul2d", "cfcmp", "cdcmp", "cfrcmp", "cdrcmp", "h2f"];
        rest.starts_with('f')
            || rest.starts_with('d') && !rest.starts_with("div")
            || conversion.iter().any(|c| rest.starts_with(c))
    });
    let types = ["sf", "df"];
    arm || name.starts_with("__")
        && types.iter().any(|t| {
            // __addsf3, __ltdf2, __fixsfsi, __floatsidf, __extendsfdf2
            let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
            stem.ends_with(t) || stem.starts_with(&format!("__fix{t}")) || stem.starts_with(&format!("__fixuns{t}"))
        })
}

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
        assert!(is_float_routine(name), "{name}");
    }
    for name in
        ["__aeabi_memcpy4", "__aeabi_uldivmod", "__aeabi_idiv", "__aeabi_lmul", "main", "__aeabi_llsl", "__muldi3"]
    {
        assert!(!is_float_routine(name), "{name}");
    }
}

#[test]
fn a_session_of_8_bits_computes_with_no_float() {
    let elf = build_test(board(), "thumbv7em-none-eabi", "integers").unwrap_or_else(|error| panic!("{error:#}"));
    let symbols = elf::symbols(&elf).unwrap();
    assert!(symbols.iter().any(|name| name.starts_with("__aeabi_mem")), "the symbols are there");
    let floats: Vec<&String> = symbols.iter().filter(|name| is_float_routine(name)).collect();
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
