//! How many random words each step draws, and what it does with them.
//!
//! The numbers depend on the shape alone, so two programs that walk the same steps stay on the same stream.

use bitboltz::{
    chain::ChainBuffer,
    eval::exact::{Oracle, read_code, write_code},
};
use bitboltz_core::{
    conditional::{Block, sample_block},
    fixed::sigmoid,
    model::DenseDbm,
    rng::Rng as _,
    search::LocalModeSearch,
    start::{LocalModeStart, RandomStart, Start as _},
    state::{Clamp, State, clamp_layers},
    transition::Transition as _,
    weights::{Field as _, Weight},
};
use bitboltz_tests::{
    models::{Rounding, machine},
    rngs::{Counting, Script},
    transitions::{ALL, Kind},
};

/// Layers of 33, 32 and 1 units: 66 units in 4 words.
const WIDTHS: [usize; 3] = [33, 32, 1];
const UNITS: u64 = 66;
const WORDS: u64 = 4;

/// The name of a step, and a run of it that returns the words it drew.
fn draws<W: Rounding>(clamp: &Clamp<'_>) -> Vec<(&'static str, u64)> {
    let tensors = machine::<W>(&WIDTHS, 0.5, 1);
    let model = tensors.dbm().unwrap();
    let shape = model.shape();
    let [mut a, mut b, mut c] = [0; 3].map(|_| ChainBuffer::new(shape));
    let (mut x, mut y) = (a.state(shape), b.state(shape));
    model.refresh(&mut x);
    model.randomise(&mut y, clamp, &mut Counting::new(9));
    let mut found = Vec::new();
    let mut count = |name, run: &mut dyn FnMut(&mut Counting)| {
        let mut rng = Counting::new(1);
        run(&mut rng);
        found.push((name, rng.draws));
    };

    count("random bits", &mut |rng| model.randomise(&mut x, clamp, rng));
    count("search", &mut |_| _ = LocalModeSearch::default().run(&model, &mut x, clamp).unwrap());
    count("random start", &mut |rng| _ = RandomStart.start(&model, &mut x, clamp, rng).unwrap());
    count("local mode", &mut |rng| {
        let mode = LocalModeStart { sweeps: 0, ..LocalModeStart::default() };
        mode.start(&model, &mut x, clamp, rng).unwrap();
    });
    count("local mode start", &mut |rng| _ = LocalModeStart::default().start(&model, &mut x, clamp, rng).unwrap());
    for (kind, [one, two]) in ALL.into_iter().zip([
        ["gibbs odd", "gibbs odd pair"],
        ["gibbs even", "gibbs even pair"],
        ["metropolis-hastings", "metropolis-hastings pair"],
        ["mixture", "mixture pair"],
    ]) {
        let mut transition = kind.with(shape, &mut c);
        count(one, &mut |rng| transition.step(&model, &mut x, clamp, rng));
        count(two, &mut |rng| transition.step_pair(&model, &mut x, &mut y, clamp, rng));
    }
    found
}

#[test]
fn draws_depend_on_the_shape_alone() {
    let tensors = machine::<i8>(&WIDTHS, 0.5, 1);
    let model = tensors.dbm().unwrap();
    let expected = [
        ("random bits", WORDS),
        ("search", 0),
        ("random start", WORDS),
        ("local mode", WORDS),
        ("local mode start", WORDS + UNITS),
        ("gibbs odd", UNITS),
        ("gibbs odd pair", UNITS),
        ("gibbs even", UNITS),
        ("gibbs even pair", UNITS),
        ("metropolis-hastings", WORDS + 1),
        ("metropolis-hastings pair", WORDS + 1),
        ("mixture", 1 + UNITS),
        ("mixture pair", 1 + UNITS),
    ];
    let mut mask = vec![0; model.shape().words()];
    for clamped in [None, Some(0), Some(1), Some(2)] {
        clamp_layers(model.shape(), &mut mask, |layer| Some(layer) == clamped);
        let clamp = Clamp::new(model.shape(), &mask).unwrap();
        assert_eq!(draws::<f32>(&clamp), expected, "f32, layer {clamped:?} clamped");
        assert_eq!(draws::<i16>(&clamp), expected, "i16, layer {clamped:?} clamped");
        assert_eq!(draws::<i8>(&clamp), expected, "i8, layer {clamped:?} clamped");
    }
}

fn step<W: Weight>(model: &DenseDbm<'_, W>, kind: Kind, x: &mut State<'_, W::Field>, clamp: &Clamp<'_>, words: &[u32]) {
    let mut buffer = ChainBuffer::new(model.shape());
    kind.with(model.shape(), &mut buffer).step(model, x, clamp, &mut Script::new(words));
}

#[test]
fn gibbs_turns_a_unit_on_when_the_draw_is_below_its_probability() {
    let tensors = machine::<i8>(&[3, 2, 2], 1.0, 3);
    let model = tensors.dbm().unwrap();
    let mut buffer = ChainBuffer::new(model.shape());
    let mut x = buffer.state(model.shape());
    for kind in [Kind::GibbsOdd, Kind::GibbsEven] {
        step(&model, kind, &mut x, &Clamp::none(), &[0]);
        assert_eq!(x.words(), [0b111, 0b11, 0b11], "0 is below every probability");
        step(&model, kind, &mut x, &Clamp::none(), &[u32::MAX]);
        assert_eq!(x.words(), [0, 0, 0], "the largest draw is below none");
    }
    // Block by block, layers and units ascending: the odd layer (2 units), then layers 0 (3 units) and 2 (2 units).
    step(&model, Kind::GibbsOdd, &mut x, &Clamp::none(), &[0, u32::MAX, u32::MAX, 0, u32::MAX, u32::MAX, 0]);
    assert_eq!(x.words(), [0b010, 0b01, 0b10]);
    // A clamped unit draws too, and stays.
    let clamp = Clamp::new(model.shape(), &[0, 0b11, 0]).unwrap();
    step(&model, Kind::GibbsOdd, &mut x, &clamp, &[u32::MAX, u32::MAX, 0, u32::MAX, 0, u32::MAX]);
    assert_eq!(x.words(), [0b101, 0b01, 0]);
}

#[test]
fn metropolis_hastings_takes_what_falls_and_rejects_what_rises() {
    let tensors = machine::<i8>(&[3, 2, 2], 1.0, 3);
    let model = tensors.dbm().unwrap();
    let mut buffer = ChainBuffer::new(model.shape());
    let mut x = buffer.state(model.shape());
    model.refresh(&mut x);
    let mut energies = Vec::new();
    for code in 0..128u32 {
        let proposal = [code & 7, code >> 3 & 3, code >> 5];
        let before = (x.words().to_vec(), model.energy(&x));
        // The words of the proposal have bits beyond the layers: they must not matter.
        let words: Vec<u32> = proposal.iter().map(|bits| bits | 0xFFFF_FF00).chain([u32::MAX]).collect();
        step(&model, Kind::MetropolisHastings, &mut x, &Clamp::none(), &words);
        if x.words() == proposal {
            assert!(model.energy(&x) <= before.1, "the largest draw accepts no rise");
        } else {
            assert_eq!(x.words(), before.0);
        }
        energies.push(model.energy(&x));
    }
    // All states were proposed, so the last one is the lowest.
    assert!(energies.is_sorted_by(|a, b| a >= b));
    let lowest = *energies.last().unwrap();
    step(&model, Kind::MetropolisHastings, &mut x, &Clamp::none(), &[0]);
    assert!(x.words() == [0, 0, 0] && model.energy(&x) > lowest, "the smallest draw accepts a rise that can happen");
}

#[test]
fn the_mixture_is_one_of_its_two_steps_by_the_first_draw() {
    // Where Metropolis-Hastings draws more words than Gibbs (7 units in 7 layers), and where it draws fewer.
    for widths in [&[1; 7][..], &[3, 2, 2]] {
        let tensors = machine::<i8>(widths, 1.0, 3);
        let model = tensors.dbm().unwrap();
        let shape = *model.shape();
        let after = |kind: Kind, words: &[u32]| {
            let mut buffer = ChainBuffer::new(&shape);
            let mut x = buffer.state(&shape);
            model.refresh(&mut x);
            step(&model, kind, &mut x, &Clamp::none(), words);
            x.words().to_vec()
        };
        let length = (shape.words() + 1).max(shape.units());
        for seed in 0..100 {
            let mut rng = Counting::new(seed);
            let words: Vec<u32> = (0..length).map(|_| rng.next_u32()).collect();
            for (coin, kind, used) in [
                (0, Kind::MetropolisHastings, shape.words() + 1),
                ((1 << 31) - 1, Kind::MetropolisHastings, shape.words() + 1),
                (1 << 31, Kind::GibbsOdd, shape.units()),
                (u32::MAX, Kind::GibbsOdd, shape.units()),
            ] {
                let with_coin: Vec<u32> = [coin].into_iter().chain(words.iter().copied()).collect();
                assert_eq!(after(Kind::Mixture, &with_coin), after(kind, &words[..used]), "{widths:?} coin {coin}");
            }
        }
    }
}

#[test]
fn random_bits_leave_clamped_units_alone() {
    let tensors = machine::<i8>(&WIDTHS, 0.5, 1);
    let model = tensors.dbm().unwrap();
    let mut buffer = ChainBuffer::new(model.shape());
    let mut x = buffer.state(model.shape());
    let clamp = Clamp::new(model.shape(), &[0xFF00, 1, 0, 1]).unwrap();
    model.randomise(&mut x, &clamp, &mut Script::new(&[u32::MAX]));
    assert_eq!(x.words(), [0xFFFF_00FF, 0, u32::MAX, 0], "all free units on, no bit beyond a layer");
}

/// Together with the means, which `exactness.rs` compares with enumeration, this pins the sampled distribution exactly.
#[test]
fn gibbs_thresholds_are_the_conditional_means() {
    let tensors = machine::<i8>(&[3, 4, 2], 1.0, 3);
    let model = tensors.dbm().unwrap();
    let shape = *model.shape();
    let mut buffer = ChainBuffer::new(&shape);
    let mut x = buffer.state(&shape);
    for code in 0..32 {
        write_code((code & 7) | (code >> 3) << 7, &mut x);
        model.refresh(&mut x);
        // The odd layer given the others: 4 units.
        let thresholds: Vec<u32> = x.layer_fields(1).iter().map(|a| sigmoid(a.to_q16(model.scale()))).collect();
        let below: Vec<u32> = thresholds.iter().map(|threshold| threshold - 1).collect();
        sample_block(&model, &mut x, Block::Odd, &Clamp::none(), &mut Script::new(&below));
        assert_eq!(x.layer_words(1), [0b1111]);
        sample_block(&model, &mut x, Block::Odd, &Clamp::none(), &mut Script::new(&thresholds));
        assert_eq!(x.layer_words(1), [0]);
    }
}

#[test]
fn metropolis_hastings_thresholds_are_the_ratios_of_probabilities() {
    /// Relative error of the table of exponentials, 3·10⁻⁵, and of a rise rounded to 2⁻¹⁶, with room to spare.
    const ERROR: f64 = 1e-4;
    let tensors = machine::<i8>(&[3, 2, 2], 1.0, 3);
    let model = tensors.dbm().unwrap();
    let shape = *model.shape();
    let oracle = Oracle::new(&model).unwrap();
    let mut buffer = ChainBuffer::new(&shape);
    let mut x = buffer.state(&shape);
    for (from, to) in (0..128).flat_map(|from| (0..128).map(move |to| (from, to))) {
        let ratio = (oracle.energy(from) - oracle.energy(to)).exp() * 4_294_967_296.0;
        // Below, the unit of a draw matters more than the errors.
        if from == to || !(1e5..4.2e9).contains(&ratio) {
            continue;
        }
        for (draw, accepted) in [(ratio * (1.0 - ERROR), true), (ratio * (1.0 + ERROR), false)] {
            write_code(from, &mut x);
            model.refresh(&mut x);
            let proposal = [to & 7, to >> 3 & 3, to >> 5, draw as u32];
            step(&model, Kind::MetropolisHastings, &mut x, &Clamp::none(), &proposal);
            assert_eq!(read_code(&x), if accepted { to } else { from }, "{from:b} → {to:b}, draw {draw}");
        }
    }
}
