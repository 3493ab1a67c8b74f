//! Any bytes on the line of a session: never a panic, and the next good request gets its one right answer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bitboltz_fuzz_bodies::session(data));
