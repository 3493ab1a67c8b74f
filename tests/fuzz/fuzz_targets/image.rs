//! Any bytes as a flash image: opened or refused; what opens is a model that runs.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| { bitboltz_fuzz_bodies::image(data); });
