//! Every kernel against the portable one: all shapes of rows, places in memory, extreme weights, none or all flipped.

extern crate std;

use std::{vec, vec::Vec};

use rand_core::Rng as _;

use super::*;
use crate::{
    rng::{XorShiftRng, stream},
    weights::I4,
};

const WIDTHS: [usize; 16] = [1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 31, 33, 64, 67];

/// Up to [`MOST`] ascending units below `width`, each taken with probability `share`/8, on with probability `on`/8.
fn flips(width: usize, share: u32, on: u32, rng: &mut XorShiftRng) -> Flips {
    let mut flips = Flips::default();
    for unit in 0..width {
        if rng.next_u32() >> 29 < share && !flips.push(unit, rng.next_u32() >> 29 < on) {
            break;
        }
    }
    flips
}

fn compare<W: Weight<Field = i32>>(seed: u64) {
    let mut rng = stream(seed, 0);
    for lower in WIDTHS {
        for upper in WIDTHS {
            let stride = upper.div_ceil(W::PER_PACKED);
            // One item more, to begin at an odd address.
            let mut words = vec![0u32; (lower * stride + 1) * size_of::<W::Packed>() / 4 + 1];
            let extreme = rng.next_u32() >> 30;
            words.iter_mut().for_each(|word| {
                *word = match extreme {
                    0 => 0x8080_8080,
                    1 => 0x7F7F_7F7F,
                    _ => rng.next_u32(),
                };
            });
            let all: &[W::Packed] = bytemuck::cast_slice(&words);
            for first in 0..2 {
                let matrix = Matrix { items: &all[first..first + lower * stride], stride, shift: rng.next_u32() >> 29 };
                for (share, on) in [(0, 4), (8, 8), (8, 0), (4, 4), (1, 4), (8, 4)] {
                    let (below, above) = (flips(lower, share, on, &mut rng), flips(upper, share, on, &mut rng));
                    let mut found: Vec<i32> = (0..lower.max(upper)).map(|_| rng.next_u32() as i32 >> 4).collect();
                    let mut expected = found.clone();
                    move_upper::<W>(matrix, &below, &mut found[..upper]);
                    portable::move_upper::<W>(matrix, &below, &mut expected[..upper]);
                    assert_eq!(found, expected, "{} up, {lower} × {upper}, at {first}, {below:?}", W::KIND);
                    move_lower::<W>(matrix, &above, &mut found[..lower]);
                    portable::move_lower::<W>(matrix, &above, &mut expected[..lower]);
                    assert_eq!(found, expected, "{} down, {lower} × {upper}, at {first}, {above:?}", W::KIND);
                }
            }
        }
    }
}

#[test]
fn every_kernel_equals_the_portable_one() {
    for seed in 0..if cfg!(miri) { 1 } else { 4 } {
        compare::<I4>(seed);
        compare::<i8>(seed);
        compare::<i16>(seed);
    }
}

#[test]
fn units_and_fields_beyond_the_matrix_are_left_alone() {
    let mut flips = Flips::default();
    assert!(flips.push(0, true) && flips.push(9, false) && flips.push(65_535, true));
    let items = [1i8; 12];
    let matrix = Matrix { items: &items, stride: 4, shift: 0 };
    let mut fields = [0; 6];
    move_upper::<i8>(matrix, &flips, &mut fields);
    assert_eq!(fields, [1, 1, 1, 1, 0, 0]);
    move_lower::<i8>(matrix, &flips, &mut fields);
    assert_eq!(fields, [1, 1, 1, 1, 0, 0]);
    let mut flips = Flips::default();
    assert!(flips.push(3, true));
    move_lower::<i8>(matrix, &flips, &mut fields);
    assert_eq!(fields, [2, 2, 2, 1, 0, 0]);
    for stride in [0, 13] {
        let matrix = Matrix { items: &items, stride, shift: 0 };
        move_upper::<i8>(matrix, &flips, &mut fields);
        move_lower::<i8>(matrix, &flips, &mut fields);
    }
    assert_eq!(fields, [2, 2, 2, 1, 0, 0]);
}

#[test]
fn the_device_s_own_check_passes() {
    assert_eq!(check(), Ok(()));
}
