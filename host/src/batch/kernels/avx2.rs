//! The portable kernels, compiled for AVX2, as every x86-64 machine since about 2015 has it.

use bitboltz_core::fixed::Scale;

use super::{Target, portable};
use crate::batch::{
    lists::{Job, WordJob},
    streams::{LANES, Stream},
    tile::{TILE, Table, TileField, TileWeight},
};

/// Whether this machine has all that the functions below need.
pub(super) fn available() -> bool {
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
        && is_x86_feature_detected!("popcnt")
        && is_x86_feature_detected!("lzcnt")
}

#[target_feature(enable = "avx2,bmi1,bmi2,popcnt,lzcnt")]
pub(super) fn add_rows<W: TileWeight>(
    tile: &[[W; TILE]],
    jobs: &[Job],
    rows: &[u16],
    target: &mut Target<'_, W::Field>,
    shift: u32,
) {
    portable::add_rows(tile, jobs, rows, target, shift);
}

#[target_feature(enable = "avx2,bmi1,bmi2,popcnt,lzcnt")]
pub(super) fn modes<F: TileField>(fields: &[F], words: &mut [u32]) {
    portable::modes(fields, words);
}

#[target_feature(enable = "avx2,bmi1,bmi2,popcnt,lzcnt")]
pub(super) fn samples<F: TileField>(fields: &[F], scale: Scale, draws: &[u32], words: &mut [u32]) {
    portable::samples(fields, scale, draws, words);
}

#[target_feature(enable = "avx2,bmi1,bmi2,popcnt,lzcnt")]
pub(super) fn means<F: TileField>(fields: &[F], scale: Scale, means: &mut [f32]) {
    portable::means(fields, scale, means);
}

#[target_feature(enable = "avx2,bmi1,bmi2,popcnt,lzcnt")]
pub(super) fn masked_sum<F: TileField>(fields: &[F], words: &[u32]) -> F::Energy {
    portable::masked_sum(fields, words)
}

#[target_feature(enable = "avx2,bmi1,bmi2,popcnt,lzcnt")]
pub(super) fn count_pairs(row: &[u64], columns: &[[u64; TILE]], counts: &mut [u64; TILE]) {
    portable::count_pairs(row, columns, counts);
}

#[target_feature(enable = "avx2,bmi1,bmi2,popcnt,lzcnt")]
pub(super) fn draws(streams: &mut [Stream; LANES], count: usize, out: &mut [u32], stride: usize) {
    portable::draws(streams, count, out, stride);
}

#[target_feature(enable = "avx2,bmi1,bmi2,popcnt,lzcnt")]
pub(super) fn add_words<W: TileWeight>(
    rows: &[[W; TILE]],
    jobs: &[WordJob],
    table: &mut Table<W>,
    target: &mut Target<'_, W::Field>,
    shift: u32,
) {
    portable::add_words(rows, jobs, table, target, shift);
}
