//! Any bytes as a matrix, flips and fields: every kernel moves the fields as the portable one.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bitboltz_core::kernels::fuzz::run(data));
