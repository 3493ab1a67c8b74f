use bitboltz_core::{
    fixed::{Scale, sigmoid, to_unit},
    rng::{Rng as _, XorShiftRng, stream},
    weights::Field as _,
};

use super::*;
use crate::batch::{
    lists::Lists,
    tile::{Tiles, new_table},
};

fn bytes<T: bytemuck::Pod>(rng: &mut XorShiftRng, count: usize) -> Vec<T> {
    let mut bytes = vec![0; count * size_of::<T>()];
    rng.fill_bytes(&mut bytes);
    bytes.chunks_exact(size_of::<T>()).map(bytemuck::pod_read_unaligned).collect()
}

fn floats(rng: &mut XorShiftRng, count: usize) -> Vec<f32> {
    (0..count).map(|_| (rng.next_u32() as i32 as f32) / 4e8).collect()
}

fn rows_agree<W: TileWeight + std::fmt::Debug>(numbers: fn(&mut XorShiftRng, usize) -> Vec<W>) {
    let mut rng = stream(1, 0);
    for (height, columns, density) in
        [(1_usize, 64, 1), (40, 64, 1), (300, 64, 0), (300, 17, 3), (784, 1, 1), (129, 63, 5)]
    {
        let tile: Vec<[W; TILE]> = (0..height).map(|_| numbers(&mut rng, TILE).try_into().unwrap()).collect();
        let stride = columns;
        let mut pushes = Vec::new();
        let mut expected = vec![W::Field::default(); 7 * stride];
        let words = height.div_ceil(32);
        for chain in [0, 2, 3, 6] {
            let mut word = |mask: bool| {
                let mut word = rng.next_u32();
                (0..density).for_each(|_| word &= rng.next_u32());
                if mask { word & bitboltz_core::bits::word_mask(height, words - 1) } else { word }
            };
            let on: Vec<u32> = (0..words).map(|at| word(at + 1 == words)).collect();
            let off: Vec<u32> = (0..words).map(|at| word(at + 1 == words) & !on[at]).collect();
            pushes.push((chain, on.clone(), off.clone()));
            for column in 0..columns {
                let field = &mut expected[chain * stride + column];
                let weight = |row: usize| tile[row][column].widen(2);
                bitboltz_core::bits::ones(&on).for_each(|row| *field = field.plus(weight(row)));
                bitboltz_core::bits::ones(&off).for_each(|row| *field = field.minus(weight(row)));
            }
        }
        let mut tiles = Tiles::zeros(height, columns);
        let matrix: Vec<W> = tile.iter().flat_map(|row| row[..columns].to_vec()).collect();
        tiles.copy_from(&matrix);
        let run = |isa| {
            let mut fields = vec![W::Field::default(); 7 * stride];
            let mut lists = Lists::new(isa);
            pushes.iter().for_each(|(chain, on, off)| lists.push(*chain, on, off));
            lists.apply(&tiles, 2, &mut new_table::<W>(), &mut fields, stride);
            fields
        };
        let portable = run(Isa::PORTABLE);
        for isa in Isa::available() {
            assert!(run(*isa) == portable, "{} {height} × {columns}", isa.name());
        }
        for (found, expected) in portable.iter().zip(&expected) {
            let difference = found.minus(*expected).to_real(Scale::ONE).abs();
            assert!(difference < 1e-3, "{height} × {columns}: {found:?} {expected:?}");
        }
    }
}

#[test]
fn rows_agree_with_the_definition_on_every_instruction_set() {
    rows_agree::<f32>(floats);
    rows_agree::<i16>(bytes);
    rows_agree::<i8>(bytes);
}

/// Few jobs and many are summed in different ways, to the same bits.
fn tables_change_nothing<W: TileWeight + std::fmt::Debug>(numbers: fn(&mut XorShiftRng, usize) -> Vec<W>) {
    let mut rng = stream(4, 0);
    for (height, columns) in [(1_usize, 64), (7, 33), (32, 31), (61, 64), (64, 5)] {
        let rows: Vec<[W; TILE]> = (0..height).map(|_| numbers(&mut rng, TILE).try_into().unwrap()).collect();
        let mut word = || u64::from_le_bytes(bytes(&mut rng, 8).try_into().unwrap()) & (u64::MAX >> (64 - height));
        let jobs: Vec<WordJob> = (0..61).map(|target| WordJob { target, word: word() }).collect();
        let run = |isa, size: usize| {
            let mut fields = vec![W::Field::default(); 61 * TILE];
            let mut target = Target { fields: &mut fields, stride: TILE, first: 0, columns };
            for jobs in jobs.chunks(size) {
                add_words(isa, &rows, jobs, &mut new_table::<W>(), &mut target, 1);
            }
            fields
        };
        let one = run(Isa::PORTABLE, 1);
        for (job, fields) in jobs.iter().zip(one.chunks(TILE)) {
            for (column, field) in fields.iter().enumerate() {
                let on = (0..height).filter(|row| job.word >> row & 1 == 1 && column < columns);
                let sum = on.fold(W::Field::default(), |sum, row| sum.plus(rows[row][column].widen(1)));
                assert!(field.minus(sum).to_real(Scale::ONE).abs() < 1e-4, "{height} {column}: {field:?} {sum:?}");
            }
        }
        for isa in Isa::available() {
            assert!(run(*isa, 1) == one && run(*isa, 61) == one, "{} {height}", isa.name());
        }
    }
}

#[test]
fn tables_change_nothing_for_any_weight() {
    tables_change_nothing::<f32>(floats);
    tables_change_nothing::<i16>(bytes);
    tables_change_nothing::<i8>(bytes);
}

#[test]
fn bits_are_counted_and_listed_on_every_instruction_set() {
    let mut rng = stream(5, 0);
    for words in [0, 1, 3, 25] {
        let [now, seen, mask]: [Vec<u32>; 3] = std::array::from_fn(|_| bytes(&mut rng, words));
        let bit = |words: &[u32], at: usize| words[at / 32] >> (at % 32) & 1 == 1;
        let places = |on: &dyn Fn(usize) -> bool| (0..32 * words).filter(|&at| on(at)).collect::<Vec<_>>();
        let on = places(&|at| bit(&now, at));
        let flips = places(&|at| bit(&now, at) != bit(&seen, at)).len();
        let free = places(&|at| bit(&now, at) && !bit(&mask, at)).len();
        for &isa in Isa::available() {
            assert_eq!(count_ones(isa, &now) as usize, on.len());
            assert_eq!(changes(isa, &now, &seen, &mask), (flips as u32, free as u32));
            let mut rows = vec![9; 32 * words];
            let count = list_ones(isa, &now, 64, &mut rows);
            assert!(
                rows[..count].iter().map(|&row| usize::from(row)).eq(on.iter().map(|at| 64 + at)),
                "{}",
                isa.name()
            );
        }
    }
}

fn decisions_agree<F: TileField>(numbers: impl Fn(&mut XorShiftRng, usize) -> Vec<F>, scale: Scale) {
    let mut rng = stream(2, 0);
    for words in [1, 2, 5, 25] {
        let fields = numbers(&mut rng, 32 * words + 9);
        let mut draws: Vec<u32> = bytes(&mut rng, 32 * words);
        // Draws at the threshold itself and beside it, and in every third word none that is so near.
        for at in 0..32 * words {
            let threshold = sigmoid(fields[at].to_q16(scale));
            let near = [draws[at], threshold, threshold.wrapping_sub(1)][at % 3];
            let far = [draws[at], threshold.saturating_add(1 << 18), threshold.saturating_sub(1 << 18)][at % 3];
            draws[at] = if at / 32 % 3 == 0 { far } else { near };
        }
        let bit = |at: usize| draws[at] < sigmoid(fields[at].to_q16(scale));
        let pack = |of: &dyn Fn(usize) -> bool| -> Vec<u32> {
            (0..words).map(|w| (0..32).fold(0, |word, k| word | u32::from(of(32 * w + k)) << k)).collect()
        };
        let (sampled, on) = (pack(&bit), pack(&|at| fields[at].is_on()));
        let energies: Vec<_> = Isa::available().iter().map(|&isa| masked_sum(isa, &fields, &on)).collect();
        for (&isa, energy) in Isa::available().iter().zip(&energies) {
            let mut found = vec![0; words];
            samples(isa, &fields, scale, &draws, &mut found);
            assert_eq!(found, sampled, "{}", isa.name());
            modes(isa, &fields, &mut found);
            assert_eq!(found, on, "{}", isa.name());
            let mut averages = vec![0.0; 32 * words];
            means(isa, &fields, scale, &mut averages);
            assert!(averages.iter().zip(&fields).all(|(m, f)| *m == to_unit(sigmoid(f.to_q16(scale)))));
            let sum =
                (0..32 * words).filter(|&at| fields[at].is_on()).map(|at| fields[at].to_real(Scale::ONE)).sum::<f64>();
            assert!((F::energy_to_real(*energy, Scale::ONE) - sum).abs() <= 1e-9 * sum.abs());
            assert_eq!(*energy, energies[0]);
        }
    }
}

#[test]
fn decisions_agree_with_the_core_on_every_instruction_set() {
    decisions_agree::<f32>(floats, Scale::ONE);
    decisions_agree::<f32>(|rng, n| floats(rng, n).iter().map(|x| x * 5.0).collect(), Scale::ONE);
    let special = [0.0, -0.0, f32::MIN_POSITIVE, -f32::MIN_POSITIVE, 1e30, -1e30, 22.9, -22.9, 23.1, -23.1, 32768.0];
    let special = special.into_iter().chain([f32::NAN, 1.5e-5, -1.5e-5, -3.1e-5, 31.999_999, -32.0]);
    let special: Vec<f32> = special.collect();
    let cycle = |_: &mut XorShiftRng, n: usize| special.iter().copied().cycle().take(n).collect();
    decisions_agree::<f32>(cycle, Scale::ONE);
    for bits in [0x3380_0000, 0x3A12_3456, 0x3F80_0000] {
        let scale = Scale::from_bits(bits).unwrap();
        decisions_agree::<i32>(bytes, scale);
        decisions_agree::<i32>(|rng, n| bytes::<i16>(rng, n).into_iter().map(i32::from).collect(), scale);
        let special = |_: &mut XorShiftRng, n: usize| {
            [0, 1, -1, i32::MIN, i32::MAX, 1 << 20, -(1 << 20)].into_iter().cycle().take(n).collect()
        };
        decisions_agree::<i32>(special, scale);
    }
}

/// The bounds behind [`portable::CERTAIN`]: where the table decides and where it need not be asked.
#[test]
fn the_polynomial_is_near_the_table() {
    for step in -3_000_000..3_000_000 {
        let field = step as f32 * 1e-5;
        let near = 1.0 / (1.0 + f64::from(portable::exp_minus(field)));
        let table = f64::from(to_unit(sigmoid(field.to_q16(Scale::ONE))));
        assert!((near - table).abs() < 0.75 * f64::from(portable::CERTAIN), "{field}: {near} {table}");
    }
    assert!(portable::exp_minus(f32::NAN).is_nan() && portable::exp_minus(f32::from_bits(0x7FC0_0001)).is_nan());
    assert!(portable::exp_minus(f32::INFINITY) < 1e-17 && portable::exp_minus(f32::NEG_INFINITY) > 1e17);
}

#[test]
fn pairs_are_counted_on_every_instruction_set() {
    let mut rng = stream(3, 0);
    for (words, count) in [(0, 3), (1, 4), (3, 1), (16, 7)] {
        let rows: Vec<u64> = bytes(&mut rng, words * count);
        let columns: Vec<[u64; TILE]> = (0..words).map(|_| bytes(&mut rng, TILE).try_into().unwrap()).collect();
        for isa in Isa::available() {
            let mut sums = vec![[5.0; TILE]; count];
            count_pairs(*isa, &rows, &columns, &mut sums);
            for (i, sums) in sums.iter().enumerate() {
                for (k, sum) in sums.iter().enumerate() {
                    let row = &rows[i * words..(i + 1) * words];
                    let shared: u32 = row.iter().zip(&columns).map(|(a, b)| (a & b[k]).count_ones()).sum();
                    assert_eq!(*sum, 5.0 + shared as f32, "{}", isa.name());
                }
            }
        }
    }
}

/// The definition in doubles, and the same bits from every instruction set.
#[test]
fn blocks_ascend_alike_on_every_instruction_set() {
    let mut rng = stream(4, 0);
    for count in [1, 5, 64] {
        let mut block =
            || -> Vec<[f32; TILE]> { (0..count).map(|_| floats(&mut rng, TILE).try_into().unwrap()).collect() };
        // Sums of up to 64 products of some hundreds: rounded by less than 0.01.
        let (weights, before, positive, negative, columns) = (block(), block(), block(), block(), block());
        let (row_offsets, row_differences) = (floats(&mut rng, count), floats(&mut rng, count));
        let column_differences: [f32; TILE] = floats(&mut rng, TILE).try_into().unwrap();
        let step = BlockStep {
            positive: &positive,
            negative: &negative,
            factors: [0.5, 0.25],
            row_offsets: &row_offsets,
            row_differences: &row_differences,
            column_offsets: &columns[0],
            column_differences: &column_differences,
            rule: Rule { rate: 0.0, momentum: 0.0, decay: 0.0 },
        };
        // Plain, with weight decay, and with momentum too.
        let rules = [(0.0, None), (0.25, None), (0.25, Some(0.75)), (0.0, Some(0.5))];
        for (decay, momentum) in rules {
            let rule = Rule { rate: 0.125, momentum: momentum.unwrap_or(0.0), decay };
            let step = BlockStep { rule, ..step };
            let mut first = None;
            for isa in Isa::available() {
                let (mut moved, mut velocities) = (weights.clone(), before.clone());
                let (mut rows, mut sums) = (vec![1.0; count], [2.0; TILE]);
                let mut products = Products { rows: &mut rows, columns: &mut sums, largest: 0 };
                ascend(*isa, &mut moved, momentum.map(|_| velocities.as_mut_slice()), &step, &mut products);
                let largest = products.largest;
                let mut expected_columns = [2.0; TILE];
                for i in 0..count {
                    let mut expected_row = 1.0;
                    for k in 0..TILE {
                        let x = f64::from;
                        let gradient = 0.5 * x(positive[i][k])
                            - 0.25 * x(negative[i][k])
                            - x(row_offsets[i]) * x(column_differences[k])
                            - x(row_differences[i]) * x(columns[0][k])
                            - x(decay) * x(weights[i][k]);
                        let kept = momentum.map_or(0.0, |momentum| x(momentum) * x(before[i][k]));
                        assert!((x(moved[i][k]) - x(weights[i][k]) - 0.125 * (kept + gradient)).abs() < 1e-5);
                        let velocity = if momentum.is_some() { kept + gradient } else { x(before[i][k]) };
                        assert!((x(velocities[i][k]) - velocity).abs() < 1e-5);
                        expected_row += gradient * x(columns[0][k]);
                        expected_columns[k] += gradient * x(row_offsets[i]);
                    }
                    assert!((f64::from(rows[i]) - expected_row).abs() < 0.01);
                }
                assert!(sums.iter().zip(&expected_columns).all(|(a, b)| (f64::from(*a) - b).abs() < 0.01));
                assert_eq!(f32::from_bits(largest), moved.iter().flatten().fold(0.0, |m, w| w.abs().max(m)));
                let found = (moved, velocities, rows, sums);
                assert_eq!(*first.get_or_insert_with(|| found.clone()), found, "{}", isa.name());
            }
        }
    }
}

#[test]
fn blocks_are_transposed_on_every_instruction_set() {
    blocks_are_transposed::<i8>(bytes);
    blocks_are_transposed::<i16>(bytes);
    blocks_are_transposed::<f32>(floats);
}

fn blocks_are_transposed<T: Lane + From<i8> + PartialEq + std::fmt::Debug>(
    numbers: fn(&mut XorShiftRng, usize) -> Vec<T>,
) {
    let mut rng = stream(5, 0);
    for (rows, columns) in [(64, 64), (3, 64), (33, 17), (1, 1)] {
        let block: Vec<[T; TILE]> = (0..rows).map(|_| numbers(&mut rng, TILE).try_into().unwrap()).collect();
        for isa in Isa::available() {
            let mut transposed = vec![[T::from(7); TILE]; columns];
            transpose(*isa, &block, &mut transposed);
            for (j, row) in transposed.iter().enumerate() {
                for (i, number) in row.iter().enumerate() {
                    assert_eq!(*number, block.get(i).map_or(T::from(7), |row| row[j]), "{}", isa.name());
                }
            }
        }
    }
}

#[test]
fn sigmoids_are_right_on_every_instruction_set() {
    let mut rng = stream(6, 0);
    let special = [0.0, -0.0, 1e-30, -1e-30, 86.9, -86.9, 87.1, -87.1, 1e30, -1e30, f32::MAX, f32::MIN];
    let fields: Vec<f32> = floats(&mut rng, 5000).into_iter().map(|x| 4.0 * x).chain(special).collect();
    let mut first = None;
    for isa in Isa::available() {
        let mut means = vec![0.0; fields.len()];
        sigmoids(*isa, &fields, &mut means);
        for (&field, &mean) in fields.iter().zip(&means) {
            let exact = 1.0 / (1.0 + (-f64::from(field)).exp());
            assert!((f64::from(mean) - exact).abs() < 1.5e-7, "{} {field}: {mean} {exact}", isa.name());
            // Small means are right relatively too, as far as numbers are normal.
            assert!(!(-80.0..0.0).contains(&field) || (f64::from(mean) / exact - 1.0).abs() < 1e-5, "{field}: {mean}");
        }
        assert_eq!(*first.get_or_insert_with(|| means.clone()), means, "{}", isa.name());
    }
}

#[test]
fn products_are_added_on_every_instruction_set() {
    let mut rng = stream(7, 0);
    for (height, count) in [(64, 4), (1, 1), (63, 3), (17, 9), (5, 0), (0, 2)] {
        let mut block =
            |n: usize| -> Vec<[f32; TILE]> { (0..n).map(|_| floats(&mut rng, TILE).try_into().unwrap()).collect() };
        let (rows, factors, begin) = (block(height), block(count), block(count));
        let mut first = None;
        for isa in Isa::available() {
            let mut sums = begin.clone();
            add_products(*isa, &rows, &factors, &mut sums);
            for (n, sums) in sums.iter().enumerate() {
                for (k, &sum) in sums.iter().enumerate() {
                    let x = f64::from;
                    let products = rows.iter().zip(&factors[n]).map(|(row, &factor)| x(factor) * x(row[k]));
                    let exact = x(begin[n][k]) + products.sum::<f64>();
                    // 64 products of at most 30: rounded by less than 1e-3.
                    assert!((x(sum) - exact).abs() < 1e-3, "{} {height} {n} {k}: {sum} {exact}", isa.name());
                }
            }
            assert_eq!(*first.get_or_insert_with(|| sums.clone()), sums, "{}", isa.name());
        }
    }
}
