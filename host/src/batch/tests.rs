//! Chains in batches against the core's chains, one at a time.

use bitboltz_core::{
    conditional::Block,
    connection::Dense,
    fixed::Scale,
    gibbs::Gibbs,
    mh::MetropolisHastings,
    model::DenseDbm,
    rng::{Rng as _, stream},
    search::{LocalModeSearch, SearchCapHit},
    shape::Shape,
    state::Clamp,
    transition::Transition as _,
    weights::Field as _,
};

use super::{ChainWeights, Chains, Clamping, TileWeight, kernels::Isa, testing::parameters};
use crate::{chain::ChainBuffer, quantise::Quantised};

const SHAPES: [&[usize]; 7] =
    [&[1, 1], &[64, 64], &[33, 70], &[40, 31, 65], &[129, 20, 90], &[30, 64, 33, 50], &[7, 5, 9, 3, 70]];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Free,
    Visible,
    Some,
}

/// Random masks of a kind: one for all chains, or one each.
fn masks(shape: &Shape, kind: Kind, count: usize) -> Vec<u32> {
    let mut masks = Vec::new();
    for chain in 0..count as u64 {
        let mut rng = stream(99, chain);
        for layer in 0..shape.layers() {
            for _ in shape.word_range(layer) {
                masks.push(match kind {
                    Kind::Free => 0,
                    Kind::Visible if layer == 0 => u32::MAX,
                    Kind::Visible => 0,
                    Kind::Some => rng.next_u32(),
                });
            }
        }
    }
    masks
}

/// Runs the same steps both ways and compares everything there is, fields within a tolerance.
fn compare<W: TileWeight>(model: &DenseDbm<'_, W>, count: usize, kind: Kind, isa: Isa, tolerance: f64) {
    let shape = *model.shape();
    let weights = ChainWeights::new(model);
    let masks = masks(&shape, kind, count);
    let mut rng = stream(5, 5);
    let words = shape.layer_words(0);
    let mut visible: Vec<u32> = (0..count * words).map(|_| rng.next_u32()).collect();
    for row in visible.chunks_exact_mut(words) {
        row[words - 1] &= bitboltz_core::bits::word_mask(shape.width(0), words - 1);
    }
    let row = |chain: usize| &visible[chain * words..][..words];
    let clamping = match kind {
        Kind::Free => Clamping::Free,
        Kind::Visible => Clamping::Same(&masks),
        Kind::Some => Clamping::Each(&masks),
    };
    let mut chains = Chains::with_isa(&shape, isa);
    chains.reset(&weights, (0..count).map(|chain| stream(3, chain as u64)), Some(&row), clamping);
    let active: Vec<u32> = (0..count as u32).collect();

    // What the batch shows after each step.
    let mut shown: Vec<Vec<Vec<u32>>> = Vec::new();
    let snapshot = |chains: &Chains<W>| (0..count).map(|chain| chains.words(chain).to_vec()).collect::<Vec<_>>();
    chains.randomise(&active);
    shown.push(snapshot(&chains));
    let mut reports = Vec::new();
    chains.search(&weights, &LocalModeSearch::default(), &active, &mut reports);
    shown.push(snapshot(&chains));
    // Only some of the chains go on for a sweep: their streams and fields must stay their own.
    let odd: Vec<u32> = active.iter().copied().filter(|chain| chain % 2 == 1).collect();
    chains.gibbs(&weights, Block::Odd, &odd);
    chains.gibbs(&weights, Block::Even, &active);
    chains.gibbs(&weights, Block::Odd, &active);
    shown.push(snapshot(&chains));
    chains.look(&weights, Block::Odd, &active);
    chains.look(&weights, Block::Even, &active);
    let energies: Vec<_> = (0..count).map(|chain| chains.energy(&weights, chain)).collect();
    let fields: Vec<Vec<W::Field>> = (0..count)
        .map(|chain| (0..shape.layers()).flat_map(|layer| chains.fields(chain, layer).to_vec()).collect())
        .collect();
    let mut accepted = vec![false; count];
    chains.propose(&weights, &active, |chain, yes| accepted[chain] = yes);
    let ends: Vec<u32> = (0..count).map(|chain| chains.draw(chain)).collect();

    let (mut buffer, mut scratch) = (ChainBuffer::new(&shape), ChainBuffer::new(&shape));
    for chain in 0..count {
        let name = format!("{:?} chain {chain} of {count}, {kind:?}, {}", shape, isa.name());
        let mut rng = stream(3, chain as u64);
        let mut state = buffer.state(&shape);
        state.words_mut()[..words].copy_from_slice(row(chain));
        let mask = &masks[chain * shape.words()..][..shape.words()];
        let clamp = Clamp::new(&shape, mask).unwrap();
        model.randomise(&mut state, &clamp, &mut rng);
        assert_eq!(state.words(), shown[0][chain], "{name}");
        let report = LocalModeSearch::default().run(model, &mut state, &clamp);
        assert_eq!((report, state.words()), (reports[chain], shown[1][chain].as_slice()), "{name}");
        if chain % 2 == 1 {
            Gibbs::default().step(model, &mut state, &clamp, &mut rng);
        }
        Gibbs { first: Block::Even }.step(model, &mut state, &clamp, &mut rng);
        Gibbs::default().step(model, &mut state, &clamp, &mut rng);
        assert_eq!(state.words(), shown[2][chain], "{name}");
        for layer in (0..shape.layers()).filter(|&layer| kind != Kind::Visible || layer > 0) {
            for (found, expected) in fields[chain][shape.unit_range(layer)].iter().zip(state.layer_fields(layer)) {
                let difference = found.minus(*expected).to_real(Scale::ONE).abs();
                assert!(difference <= tolerance, "{name} layer {layer}: {found:?} {expected:?}");
            }
        }
        let difference = W::Field::energy_to_real(energies[chain], model.scale()) - model.real_energy(&state);
        assert!(difference.abs() <= tolerance * shape.units() as f64, "{name}: energies differ by {difference}");
        let before = state.words().to_vec();
        MetropolisHastings::new(scratch.state(&shape)).step(model, &mut state, &clamp, &mut rng);
        let moved = state.words() != before;
        // An accepted proposal may be the state that was there.
        assert!(accepted[chain] == moved || accepted[chain], "{name}");
        assert_eq!(rng.next_u32(), ends[chain], "{name}");
    }
}

fn everywhere(check: impl Fn(&[usize], usize, Kind, Isa)) {
    for (at, widths) in SHAPES.into_iter().enumerate() {
        for kind in [Kind::Free, Kind::Visible, Kind::Some] {
            for &isa in Isa::available() {
                check(widths, [1, 3, 17, 64, 200][(at + kind as usize) % 5], kind, isa);
            }
        }
    }
}

#[test]
fn integers_equal_the_core_bit_for_bit() {
    everywhere(|widths, count, kind, isa| {
        let parameters = parameters(widths, count as u64);
        let (bytes, words) = (Quantised::<i8>::new(&parameters).unwrap(), Quantised::<i16>::new(&parameters).unwrap());
        compare(&bytes.dbm().unwrap(), count, kind, isa, 0.0);
        compare(&words.dbm().unwrap(), count, kind, isa, 0.0);
    });
}

#[test]
fn floats_without_rounding_equal_the_core_bit_for_bit() {
    everywhere(|widths, count, kind, isa| {
        compare(&parameters(widths, 7).dbm().unwrap(), count, kind, isa, 0.0);
    });
}

/// Weights whose sums round. Where a field came near enough to its threshold, decisions could differ; the seeds are fixed,
/// and here none does.
#[test]
fn floats_that_round_stay_within_the_tolerance() {
    everywhere(|widths, count, kind, isa| {
        let mut parameters = parameters(widths, 11);
        let (weights, biases) = parameters.tensors_mut();
        weights.iter_mut().chain(biases).flatten().for_each(|number| *number *= 0.773_197);
        compare(&parameters.dbm().unwrap(), count, kind, isa, 1e-4);
    });
}

#[test]
fn shifts_are_kept() {
    let weights: [i8; 6] = [100, -120, 127, -128, 3, 5];
    let dense = [Dense::new(&weights, 2, 3, 0).unwrap(), Dense::new(&weights, 3, 2, 9).unwrap()];
    let scale = Scale::from_bits(0.0002_f32.to_bits()).unwrap();
    let model = DenseDbm::new(dense, &[&[500, -300], &[70_000, 3, -40_000], &[-70_000, 1]], scale).unwrap();
    compare(&model, 40, Kind::Free, Isa::best(), 0.0);
}

#[test]
fn the_cap_of_a_search_is_an_error() {
    let parameters = parameters(&[40, 30, 20], 1);
    let model = parameters.dbm().unwrap();
    let weights = ChainWeights::new(&model);
    let mut chains = Chains::new(model.shape());
    for cap in 0..9 {
        let search = LocalModeSearch { cap, ..LocalModeSearch::default() };
        chains.reset(&weights, (0..30).map(|chain| stream(1, chain)), None, Clamping::Free);
        let active: Vec<u32> = (0..30).collect();
        chains.randomise(&active);
        let mut reports = Vec::new();
        chains.search(&weights, &search, &active, &mut reports);
        let mut buffer = ChainBuffer::new(model.shape());
        for (chain, report) in reports.iter().enumerate() {
            let mut state = buffer.state(model.shape());
            model.randomise(&mut state, &Clamp::none(), &mut stream(1, chain as u64));
            assert_eq!(*report, search.run(&model, &mut state, &Clamp::none()));
            assert_eq!(state.words(), chains.words(chain));
        }
        assert!(cap > 1 || reports.contains(&Err(SearchCapHit { cap })));
    }
}
