//! What integers are off by, against the floats that they were rounded from: the bounds of `core/DESIGN.md`.

use bitboltz::{
    chain::ChainBuffer,
    eval::random::random_parameters,
    parameters::Parameters,
    quantise::{IntegerWeight, Quantised},
};
use bitboltz_core::{bits::count_ones, conditional::mean_layer, rng::stream, state::Clamp, weights::Field as _};
use bitboltz_tests::{
    models::{SMALL, WIDE},
    tolerance,
};

/// Small machines, wide ones, and one whose matrices differ so much that one is shifted by several bits.
fn machines() -> Vec<Parameters> {
    let shapes = SMALL.iter().copied().chain(WIDE.iter().copied()).chain([&[300, 100, 50][..]]);
    let mut machines = Vec::new();
    for (seed, widths) in shapes.enumerate() {
        for std in [0.05, 0.3, 1.0] {
            let mut parameters = random_parameters(widths, std, 2.0 * std, seed as u64).unwrap();
            machines.push(parameters.clone());
            parameters.tensors_mut().0[0].iter_mut().for_each(|w| *w *= 20.0);
            machines.push(parameters);
        }
    }
    machines
}

/// Fields, energies and conditionals of random states, each within its bound. Returns the largest share of a bound that
/// a field was off by, and the largest shift.
fn within_bounds<W: IntegerWeight>() -> (f64, u32) {
    let (mut share, mut shift) = (0.0f64, 0);
    for (seed, parameters) in machines().iter().enumerate() {
        let exact = parameters.dbm().unwrap();
        let quantised = Quantised::<W>::new(parameters).unwrap();
        let model = quantised.dbm().unwrap();
        let shape = *model.shape();
        // Twice half a unit, and what one weight of each matrix counts of it.
        let unit = f64::from(model.scale().to_f32());
        let worth: Vec<f64> = model.connections().iter().map(|c| f64::from(1 << c.shift())).collect();
        shift = model.connections().iter().fold(shift, |shift, c| shift.max(c.shift()));
        let (mut floats, mut integers) = (ChainBuffer::new(&shape), ChainBuffer::new(&shape));
        let (mut floats, mut integers) = (floats.state(&shape), integers.state(&shape));
        let mut rng = stream(seed as u64, 0);
        for _ in 0..20 {
            exact.randomise(&mut floats, &Clamp::none(), &mut rng);
            exact.refresh(&mut floats);
            integers.words_mut().copy_from_slice(floats.words());
            model.refresh(&mut integers);
            let on: Vec<f64> = (0..shape.layers()).map(|l| f64::from(count_ones(floats.layer_words(l)))).collect();
            for l in 0..shape.layers() {
                // Units that are off add no error; all on is the bound that depends on the model alone.
                let below = if l > 0 { worth[l - 1] * on[l - 1] } else { 0.0 };
                let above = if l + 1 < shape.layers() { worth[l] * on[l + 1] } else { 0.0 };
                let bound = 0.5 * unit * (1.0 + below + above);
                let [mut expected, mut found] = [0; 2].map(|_| vec![0.0f32; shape.width(l)]);
                mean_layer(&exact, &floats, l, &mut expected);
                mean_layer(&model, &integers, l, &mut found);
                for unit in 0..shape.width(l) {
                    let float = floats.layer_fields(l)[unit].to_real(exact.scale());
                    let off = (integers.layer_fields(l)[unit].to_real(model.scale()) - float).abs();
                    // What the floats themselves round away.
                    let slack = 1e-5 * (1.0 + float.abs());
                    assert!(off <= bound + slack, "{} layer {l} unit {unit}: {off} > {bound}", W::KIND);
                    share = share.max(off / (bound + slack));
                    let p = f64::from(expected[unit] - found[unit]).abs();
                    assert!(p <= 0.25 * (off + slack) + 2.0 * tolerance::PROBABILITY, "{p}: field off by {off}");
                }
            }
            let pairs: f64 = (0..worth.len()).map(|l| worth[l] * on[l] * on[l + 1]).sum();
            let bound = 0.5 * unit * (on.iter().sum::<f64>() + pairs);
            let float = exact.real_energy(&floats);
            let off = (model.real_energy(&integers) - float).abs();
            assert!(off <= bound + 1e-5 * (1.0 + float.abs()), "{}: energy off by {off} > {bound}", W::KIND);
        }
    }
    (share, shift)
}

#[test]
fn i8_is_within_its_bounds() {
    let (share, shift) = within_bounds::<i8>();
    // The bounds are reached, nearly: a unit with few neighbours on has little to average.
    assert!(share > 0.8, "{share}");
    assert!(shift >= 4, "{shift}");
}

#[test]
fn i16_is_within_its_bounds() {
    let (share, shift) = within_bounds::<i16>();
    assert!(share > 0.5, "{share}");
    assert!(shift >= 4, "{shift}");
}
