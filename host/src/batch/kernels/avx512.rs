//! The portable kernels, compiled for AVX-512 with population counts of vectors (Ice Lake, Zen 4 and later).

use bitboltz_core::fixed::Scale;

use super::{Target, portable};
use crate::batch::{
    lists::{Job, WordJob},
    streams::{LANES, Stream},
    tile::{TILE, Table, TileField, TileWeight},
};

/// Whether this machine has all that the functions below need.
pub(super) fn available() -> bool {
    super::avx2::available()
        && is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512vpopcntdq")
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq,bmi1,bmi2,popcnt,lzcnt")]
pub(super) fn add_rows<W: TileWeight>(
    tile: &[[W; TILE]],
    jobs: &[Job],
    rows: &[u16],
    target: &mut Target<'_, W::Field>,
    shift: u32,
) {
    portable::add_rows(tile, jobs, rows, target, shift);
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq,bmi1,bmi2,popcnt,lzcnt")]
pub(super) fn modes<F: TileField>(fields: &[F], words: &mut [u32]) {
    portable::modes(fields, words);
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq,bmi1,bmi2,popcnt,lzcnt")]
pub(super) fn samples<F: TileField>(fields: &[F], scale: Scale, draws: &[u32], words: &mut [u32]) {
    portable::samples(fields, scale, draws, words);
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq,bmi1,bmi2,popcnt,lzcnt")]
pub(super) fn means<F: TileField>(fields: &[F], scale: Scale, means: &mut [f32]) {
    portable::means(fields, scale, means);
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq,bmi1,bmi2,popcnt,lzcnt")]
pub(super) fn masked_sum<F: TileField>(fields: &[F], words: &[u32]) -> F::Energy {
    portable::masked_sum(fields, words)
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq,bmi1,bmi2,popcnt,lzcnt")]
pub(super) fn count_pairs(row: &[u64], columns: &[[u64; TILE]], counts: &mut [u64; TILE]) {
    portable::count_pairs(row, columns, counts);
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq,bmi1,bmi2,popcnt,lzcnt")]
pub(super) fn draws(streams: &mut [Stream; LANES], count: usize, out: &mut [u32], stride: usize) {
    portable::draws(streams, count, out, stride);
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq,bmi1,bmi2,popcnt,lzcnt")]
pub(super) fn add_words<W: TileWeight>(
    rows: &[[W; TILE]],
    jobs: &[WordJob],
    table: &mut Table<W>,
    target: &mut Target<'_, W::Field>,
    shift: u32,
) {
    portable::add_words(rows, jobs, table, target, shift);
}
