//! Every kernel against the portable one: all shapes of rows, places in memory, extreme weights, none or all flipped.

extern crate std;

use std::{fs, path::Path, println, vec, vec::Vec};

use rand_core::Rng as _;

use super::*;
use crate::rng::stream;

const WIDTHS: [u8; 16] = [1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 31, 33, 64, 67];

/// Smallest, largest, and any weights.
const EXTREMES: [Option<u8>; 3] = [Some(0x80), Some(0x7F), None];
/// No unit flips; all go on; all go off; half, few, all flip either way.
const SHARES: [u8; 6] = [0, 8 + 9 * 8, 8, 4 + 9 * 4, 1 + 9 * 4, 8 + 9 * 4];

#[test]
fn every_kernel_equals_the_portable_one() {
    let mut rng = stream(1, 0);
    let mut shapes: Vec<(u8, u8)> = WIDTHS.iter().flat_map(|&lower| WIDTHS.map(|upper| (lower, upper))).collect();
    let (mut extremes, mut shares) = (&EXTREMES[..], &SHARES[..]);
    if cfg!(miri) {
        // It is slow, and looks at memory and not at sums.
        shapes = vec![(1, 1), (5, 17), (17, 8), (33, 3), (3, 33)];
        (extremes, shares) = (&EXTREMES[2..], &SHARES[5..]);
    }
    for (lower, upper) in shapes {
        for kind in 0..4 {
            for &extreme in extremes {
                for &flipped in shares {
                    let mut noise = |length: usize| (0..length).map(|_| rng.next_u32() as u8).collect::<Vec<u8>>();
                    let fields = if flipped == 8 { noise(1)[0] } else { u8::MAX };
                    let header = [kind, noise(1)[0], lower - 1, upper - 1, noise(1)[0], fields, flipped];
                    let weights = 4 * usize::from(lower) * usize::from(upper);
                    let weights = extreme.map_or_else(|| noise(weights), |byte| vec![byte; weights]);
                    fuzz::run(&[&header, &weights[..], &noise(400)].concat());
                }
            }
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "reads files")]
fn what_a_fuzzer_found_to_matter_is_run_again() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus/kernels");
    let mut seen = 0;
    for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        // A panic says the rest, but not which file.
        println!("{}", path.display());
        fuzz::run(&fs::read(&path).unwrap());
        seen += 1;
    }
    assert!(seen > 3);
}

#[test]
fn fields_beyond_the_matrix_are_left_alone_and_all_if_a_unit_is() {
    let items = [1i8; 12];
    let mut fields = [0; 6];
    for beyond in [3, 65_535] {
        let mut flips = Flips::default();
        assert!(flips.push(0, true) && flips.push(beyond, false));
        move_upper::<i8>(Matrix { items: &items, stride: 4, shift: 0 }, &flips, &mut fields);
        move_lower::<i8>(Matrix { items: &items, stride: 3, shift: 0 }, &flips, &mut fields);
    }
    assert_eq!(fields, [0; 6]);
    let mut flips = Flips::default();
    assert!(flips.push(2, true));
    for stride in [0, 13] {
        let matrix = Matrix { items: &items, stride, shift: 0 };
        move_upper::<i8>(matrix, &flips, &mut fields);
        move_lower::<i8>(matrix, &flips, &mut fields);
    }
    assert_eq!(fields, [0; 6]);
    let matrix = Matrix { items: &items, stride: 4, shift: 0 };
    move_upper::<i8>(matrix, &flips, &mut fields);
    assert_eq!(fields, [1, 1, 1, 1, 0, 0]);
    move_lower::<i8>(matrix, &flips, &mut fields);
    assert_eq!(fields, [2, 2, 2, 1, 0, 0]);
}

#[test]
fn the_device_s_own_check_passes() {
    assert_eq!(check(), Ok(()));
}
