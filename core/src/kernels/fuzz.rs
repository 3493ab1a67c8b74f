//! Any bytes as a matrix, flips and fields: what the fuzz target `kernels` does with them, and this crate's own tests.
//!
//! Only in test builds and under the fuzzer.

extern crate std;

use std::{vec, vec::Vec};

use super::{Flips, Matrix, move_lower, move_upper, portable};
use crate::{
    bits::ones,
    connection::{Connection as _, Dense, MAX_SHIFT},
    weights::{Field as _, I4, Weight, WeightKind},
};

/// Bytes before those that weights, fields and flips are taken from.
pub const HEADER: usize = 7;

/// The kernels of this build move the fields as the portable ones do, and a dense connection as its weights say, one flip after
/// the other. Sums wrap alike where they leave 32 bits.
///
/// The header's bytes are the weight type, the shift, the widths of the two layers, the place in memory, how many fields there
/// are, and the share of units that flip. Weights, fields and flips are taken from the rest, over and over.
///
/// # Panics
/// If that does not hold.
pub fn run(data: &[u8]) {
    let Some((&[kind, shift, lower, upper, place, fields, flipped], rest)) = data.split_first_chunk::<HEADER>() else {
        return;
    };
    if rest.is_empty() {
        return;
    }
    let case = Case {
        lower: 1 + usize::from(lower) % 80,
        upper: 1 + usize::from(upper) % 80,
        shift: u32::from(shift) % (MAX_SHIFT + 1),
        place: usize::from(place) % 4,
        fields: fields.into(),
        flipped: flipped % 9,
        on: flipped / 9 % 9,
    };
    let bytes = rest.iter().copied().cycle();
    match kind % 4 {
        0 => moves::<I4>(&case, bytes),
        1 => moves::<i8>(&case, bytes),
        2 => moves::<i16>(&case, bytes),
        _ => moves::<f32>(&case, bytes),
    }
}

/// What the kernels are tried on.
#[derive(Debug)]
struct Case {
    lower: usize,
    upper: usize,
    shift: u32,
    /// Items before the matrix, so that it begins at any address.
    place: usize,
    /// Fields, as many as a layer has unless fewer.
    fields: usize,
    /// Eighths of the units that flip, and of these that go on.
    flipped: u8,
    on: u8,
}

fn moves<W: Weight>(case: &Case, mut bytes: impl Iterator<Item = u8>) {
    let &Case { lower, upper, shift, place, fields, flipped, on } = case;
    let mut words = |length: usize| -> Vec<u32> {
        let word = |_| u32::from_le_bytes([(); 4].map(|()| bytes.next().expect("without end")));
        (0..length).map(word).collect()
    };
    let stride = upper.div_ceil(W::PER_PACKED);
    let length = lower * stride;
    let stored = words(((place + length) * size_of::<W::Packed>()).div_ceil(4));
    let start = words(lower.max(upper));
    let items = &bytemuck::cast_slice(&stored)[place..place + length];
    let mut flips = |width: usize| {
        let mut flips = Flips::default();
        for unit in 0..width {
            let byte = bytes.next().expect("without end");
            if byte % 8 < flipped && !flips.push(unit, byte / 8 % 8 < on) {
                break;
            }
        }
        flips
    };
    let (below, above) = (flips(lower), flips(upper));
    let mut bits = |width: usize| {
        let mut bits = vec![0; width.div_ceil(32)];
        for unit in 0..width {
            bits[unit / 32] |= u32::from(bytes.next().expect("without end") & 1) << (unit % 32);
        }
        bits
    };
    // Of more units than one set of flips holds.
    let (lower_bits, upper_bits) = (bits(lower), bits(upper));

    type Move<'a, F> = &'a dyn Fn(&mut [F]);
    let check = |what: &str, fields: usize, moves: [Move<'_, W::Field>; 2]| {
        let [found, expected] = moves.map(|run| {
            let mut words = start.clone();
            run(&mut bytemuck::cast_slice_mut(&mut words)[..fields]);
            words
        });
        let is_nan = |bits: u32| W::KIND == WeightKind::F32 && f32::from_bits(bits).is_nan();
        // Which NaN comes of a sum is not specified.
        let same = found.iter().zip(&expected).all(|(&a, &b)| a == b || is_nan(a) && is_nan(b));
        assert!(same, "{what}, {}, {case:?}, {below:?}, {above:?}: {found:?}, {expected:?}", W::KIND);
    };

    // Also more fields than a row has, and fewer.
    let [few, many] = [fields.min(lower), fields.min(start.len())];
    let matrix = Matrix { items, stride, shift };
    check(
        "kernel up",
        many,
        [&|fields| move_upper::<W>(matrix, &below, fields), &|fields| {
            portable::move_upper::<W>(matrix, &below, fields);
        }],
    );
    check(
        "kernel down",
        many,
        [&|fields| move_lower::<W>(matrix, &above, fields), &|fields| {
            portable::move_lower::<W>(matrix, &above, fields);
        }],
    );
    let dense = Dense::<W>::from_packed(items, lower, upper, shift).expect("as many items as it takes");
    let shifted = |field: &mut W::Field, weight: W::Field, on| {
        *field = if on { field.plus(weight) } else { field.minus(weight) };
    };
    check(
        "connection up",
        upper,
        [&|fields| dense.move_upper(&below, fields), &|fields| {
            for (i, on) in below.ascending() {
                (0..upper).for_each(|j| shifted(&mut fields[j], dense.weight(i, j), on));
            }
        }],
    );
    check(
        "connection down",
        few,
        [&|fields| dense.move_lower(&above, fields), &|fields| {
            for (j, on) in above.ascending() {
                (0..few).for_each(|i| shifted(&mut fields[i], dense.weight(i, j), on));
            }
        }],
    );

    check(
        "all bits up",
        upper,
        [&|fields| dense.add_to_upper(&lower_bits, fields), &|fields| {
            for i in ones(&lower_bits) {
                (0..upper).for_each(|j| fields[j] = fields[j].plus(dense.weight(i, j)));
            }
        }],
    );
    check(
        "all bits down",
        few,
        [&|fields| dense.add_to_lower(&upper_bits, fields), &|fields| {
            for (i, field) in fields.iter_mut().enumerate() {
                *field = field.plus(ones(&upper_bits).fold(W::Field::default(), |sum, j| sum.plus(dense.weight(i, j))));
            }
        }],
    );
}
