//! Computes the tables of `src/fixed.rs` with libm, so that no device ever evaluates an exponential.

use std::fmt::Write as _;
use std::{env, fs, path::Path};

fn table(name: &str, of: &str, doc: &str, values: &[u32]) -> String {
    let mut text = format!("/// {doc}\nstatic {name}: [{of}; {}] = [", values.len());
    for value in values {
        write!(text, "{value},").expect("writing to a String cannot fail");
    }
    text + "];\n"
}

/// What `src/kernels` must know of the processor, and the compiler does not say in a stable way.
fn processor() {
    println!(
        "cargo::rustc-check-cfg=cfg(arm_dsp)\ncargo::rustc-check-cfg=cfg(thumb1)\ncargo::rustc-check-cfg=cfg(cortex_m)"
    );
    // Set by cargo-fuzz.
    println!("cargo::rustc-check-cfg=cfg(fuzzing)");
    println!("cargo::rerun-if-env-changed=CARGO_ENCODED_RUSTFLAGS");
    let target = env::var("TARGET").unwrap_or_default();
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    // Every Armv7E-M has the DSP extension. An Armv8-M may have it, which is said by naming the processor.
    let named = ["cortex-m33", "cortex-m35p", "cortex-m55", "cortex-m85", "+dsp"];
    let v8m = target.starts_with("thumbv8m.main") && named.iter().any(|name| flags.contains(name));
    if target.starts_with("thumbv7em") || v8m {
        println!("cargo::rustc-cfg=arm_dsp");
    }
    // Other Arm processors may read the 32-bit instruction set, which these loops are not of.
    if ["thumbv6m", "thumbv7m", "thumbv7em", "thumbv8m"].iter().any(|name| target.starts_with(name)) {
        println!("cargo::rustc-cfg=cortex_m");
    }
    if target.starts_with("thumbv6m") || target.starts_with("thumbv8m.base") {
        println!("cargo::rustc-cfg=thumb1");
    }
}

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    processor();
    let two32 = libm::exp2(32.0);
    let tail: Vec<u32> =
        (0..=22 * 32 + 32).map(|i| libm::round(two32 / (1.0 + libm::exp(f64::from(i) / 32.0))) as u32).collect();
    let (wide, narrow) = tail.split_at(tail.partition_point(|&value| value > u32::from(u16::MAX)));
    let exp2: Vec<u32> = (0..=64).map(|i| libm::round(libm::exp2(31.0 - f64::from(i) / 64.0)) as u32).collect();
    let text =
        table("TAIL_WIDE", "u32", "σ(−i/32) in units of 2⁻³², i = 0, 1, …, while it needs more than 16 bits.", wide)
            + &table(
                "TAIL_NARROW",
                "u16",
                "The same from there on, down to below half a unit; the last two are 0.",
                narrow,
            )
            + &table("EXP2_NEG", "u32", "2^(−i/64) in units of 2⁻³¹, i = 0 ..= 64.", &exp2);
    let out = env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    fs::write(Path::new(&out).join("tables.rs"), text).expect("OUT_DIR is writable");
}
