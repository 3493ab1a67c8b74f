//! The portable kernels, compiled for AVX2, as every x86-64 machine since about 2015 has it.

compiled_for!("avx2,bmi1,bmi2,popcnt,lzcnt");

/// Whether this machine has all that the functions below need.
pub(super) fn available() -> bool {
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
        && is_x86_feature_detected!("popcnt")
        && is_x86_feature_detected!("lzcnt")
}
