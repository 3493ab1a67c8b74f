//! Chains of the engine, half-sweep by half-sweep beside the core's.
//!
//! Each half-sweep of the core starts from the engine's state before, with fields summed anew from its bits. With integer
//! weights the two must then agree to the bit. With floats their fields are sums in another order: they must agree within
//! [`TOLERANCE`], and a bit may differ only if its decision was that close.

use bitboltz_core::{
    conditional::{Block, mode_block, sample_block},
    fixed::sigmoid,
    gibbs::Gibbs,
    model::DenseDbm,
    rng::{Rng as _, XorShiftRng, stream},
    search::LocalModeSearch,
    shape::Shape,
    start::{LocalModeStart, Start as _},
    state::{Clamp, State},
    transition::Transition as _,
    weights::Field as _,
};

use crate::{
    batch::{ChainWeights, Chains, Clamping, TileWeight, chains::Decide},
    bench::{BenchError, ensure},
    bits::BitMatrix,
    chain::{ChainBuffer, visible_mask},
};

/// How far fields of the engine may be from the core's with float weights, for layers of up to 1,024 units; in wider ones
/// as many times more rows are added and rounded. (The engine's own tests ask for 1e-4 with fields up to about 10.)
pub const TOLERANCE: f64 = 1e-3;

/// Chains that are walked.
pub const CHAINS: usize = 4;

/// Chains 0.. from uniform random bits to their modes and `sweeps` Gibbs sweeps on, with [`stream`]`(seed, chain)`: free,
/// or with the visible layer clamped to rows of `data`. Checks each half-sweep, each chain's mode, and the energies at
/// the end; and gives the final states' words.
///
/// # Errors
/// [`BenchError::Wrong`] with the first that differs.
pub fn walk<W: TileWeight>(
    model: &DenseDbm<'_, W>,
    weights: &ChainWeights<W>,
    data: Option<&BitMatrix>,
    sweeps: usize,
    seed: u64,
) -> Result<Vec<Vec<u32>>, BenchError> {
    let shape = *model.shape();
    let mask = visible_mask(&shape);
    let row = |chain: usize| data.map_or(&[][..], |data| data.row(chain % data.rows()));
    let (clamping, clamp) = match data {
        Some(_) => (Clamping::Same(&mask), Clamp::new(&shape, &mask).expect("the mask has the shape's words")),
        None => (Clamping::Free, Clamp::none()),
    };
    let new = || {
        let mut chains = Chains::new(&shape);
        let streams = (0..CHAINS).map(|chain| stream(seed, chain as u64));
        chains.reset(weights, streams, data.map(|_| &row as &dyn Fn(usize) -> _), clamping);
        chains
    };
    let active: Vec<u32> = (0..CHAINS as u32).collect();
    let mut pair = Pair { model, weights, clamp, chains: new(), rngs: Vec::new(), buffer: ChainBuffer::new(&shape) };
    pair.chains.randomise(&active);
    for chain in 0..CHAINS {
        let (mut buffer, mut rng) = (ChainBuffer::new(&shape), stream(seed, chain as u64));
        let mut state = buffer.state(&shape);
        if let Some(data) = data {
            state.words_mut()[..shape.layer_words(0)].copy_from_slice(data.row(chain % data.rows()));
        }
        model.randomise(&mut state, &pair.clamp, &mut rng);
        ensure(state.words() == pair.chains.words(chain), || {
            format!("chain {chain}: other random bits than the core's")
        })?;
        pair.rngs.push(rng);
    }
    // To the modes. The search's own cap ends a search that does not.
    let LocalModeSearch { first, cap } = LocalModeSearch::default();
    let mut at_rest = 0;
    for half in 0..2 * u64::from(cap) {
        let block = if half % 2 == 0 { first } else { first.other() };
        pair.half(block, Decide::Mode, &active)?;
        let moved = active.iter().any(|&chain| pair.chains.flips(chain as usize) > 0);
        at_rest = if moved { 0 } else { at_rest + 1 };
        if at_rest == 2 {
            break;
        }
    }
    ensure(at_rest == 2, || format!("no mode within {cap} sweeps"))?;
    let mut whole = new();
    whole.randomise(&active);
    let mut reports = Vec::new();
    whole.search(weights, &LocalModeSearch::default(), &active, &mut reports);
    for (chain, report) in reports.into_iter().enumerate() {
        report?;
        // Half-sweeps that change nothing may differ in number, not in where they end.
        ensure(whole.words(chain) == pair.chains.words(chain), || format!("chain {chain}: the search ends elsewhere"))?;
    }
    for _ in 0..sweeps {
        for block in [Block::Odd, Block::Even] {
            pair.half(block, Decide::Sample, &active)?;
        }
        whole.gibbs(weights, Block::Odd, &active);
    }
    pair.energies(&active)?;
    let words: Vec<Vec<u32>> = (0..CHAINS).map(|chain| pair.chains.words(chain).to_vec()).collect();
    for (chain, words) in words.iter().enumerate() {
        ensure(whole.words(chain) == words, || format!("chain {chain}: sweeps end elsewhere"))?;
    }
    if tolerance::<W>(&shape) == 0.0 {
        one_by_one(model, &pair.clamp, &row, sweeps, seed, &words)?;
    }
    Ok(words)
}

/// The core's own walk, from the start to the end without the engine: for weights whose sums are exact.
fn one_by_one<'d, W: TileWeight>(
    model: &DenseDbm<'_, W>,
    clamp: &Clamp<'_>,
    row: &dyn Fn(usize) -> &'d [u32],
    sweeps: usize,
    seed: u64,
    expected: &[Vec<u32>],
) -> Result<(), BenchError> {
    let mut buffer = ChainBuffer::new(model.shape());
    for (chain, words) in expected.iter().enumerate() {
        let (mut state, mut rng) = (buffer.state(model.shape()), stream(seed, chain as u64));
        let visible = row(chain);
        state.words_mut()[..visible.len()].copy_from_slice(visible);
        LocalModeStart { sweeps: 0, ..LocalModeStart::default() }.start(model, &mut state, clamp, &mut rng)?;
        (0..sweeps).for_each(|_| Gibbs::default().step(model, &mut state, clamp, &mut rng));
        ensure(state.words() == words, || format!("chain {chain}: the core alone ends elsewhere"))?;
    }
    Ok(())
}

/// How far a field of this type may be off.
pub(super) fn tolerance<W: TileWeight>(shape: &Shape) -> f64 {
    let widest = shape.widths().max().unwrap_or(0) as f64;
    if W::KIND == bitboltz_core::weights::WeightKind::F32 { TOLERANCE * (widest / 1024.0).max(1.0) } else { 0.0 }
}

/// The engine's chains, and what the core needs to take the same steps.
struct Pair<'p, 'm, W: TileWeight> {
    model: &'p DenseDbm<'m, W>,
    weights: &'p ChainWeights<W>,
    clamp: Clamp<'p>,
    chains: Chains<W>,
    rngs: Vec<XorShiftRng>,
    buffer: ChainBuffer<W::Field>,
}

impl<W: TileWeight> Pair<'_, '_, W> {
    /// One half-sweep on both sides.
    fn half(&mut self, block: Block, decide: Decide, active: &[u32]) -> Result<(), BenchError> {
        let Self { model, weights, clamp, chains, rngs, buffer } = self;
        let shape = *model.shape();
        let before: Vec<Vec<u32>> = active.iter().map(|&chain| chains.words(chain as usize).to_vec()).collect();
        chains.update(weights, block, decide, active);
        for (&chain, before) in active.iter().zip(before) {
            let chain = chain as usize;
            let mut state = buffer.state(&shape);
            state.words_mut().copy_from_slice(&before);
            model.refresh(&mut state);
            for layer in block.layers(shape.layers()).filter(|layer| !is_clamped(clamp, &shape, *layer)) {
                for (at, (found, expected)) in
                    chains.fields(chain, layer).iter().zip(state.layer_fields(layer)).enumerate()
                {
                    let difference = found.minus(*expected).to_real(model.scale()).abs();
                    ensure(difference <= tolerance::<W>(&shape), || {
                        format!("chain {chain}: the field of unit {at} of layer {layer} is off by {difference}")
                    })?;
                }
            }
            // How close each decision was, in units of the field.
            let mut draws = rngs[chain].clone();
            let margins: Vec<Vec<f64>> = block
                .layers(shape.layers())
                .map(|layer| {
                    state.layer_fields(layer).iter().map(|field| margin(*field, decide, &mut draws, model)).collect()
                })
                .collect();
            match decide {
                Decide::Mode => mode_block(model, &mut state, block, clamp),
                Decide::Sample => sample_block(model, &mut state, block, clamp, &mut rngs[chain]),
            };
            for (layer, margins) in block.layers(shape.layers()).zip(margins) {
                let range = shape.word_range(layer);
                let differ = chains.words(chain)[range.clone()].iter().zip(&state.words()[range]).map(|(a, b)| a ^ b);
                for unit in bitboltz_core::bits::ones(&differ.collect::<Vec<_>>()) {
                    let close = margins.get(unit).is_some_and(|margin| *margin < tolerance::<W>(&shape));
                    ensure(close, || format!("chain {chain}: unit {unit} of layer {layer} decided otherwise"))?;
                }
            }
        }
        Ok(())
    }

    /// Energies from fields against the core's.
    fn energies(&mut self, active: &[u32]) -> Result<(), BenchError> {
        let Self { model, weights, chains, buffer, .. } = self;
        chains.look(weights, Block::Odd, active);
        for chain in active.iter().map(|&chain| chain as usize) {
            let mut state: State<'_, W::Field> = buffer.state(model.shape());
            state.words_mut().copy_from_slice(chains.words(chain));
            model.refresh(&mut state);
            let found = W::Field::energy_to_real(chains.energy(weights, chain), model.scale());
            let expected = model.real_energy(&state);
            let tolerance = tolerance::<W>(model.shape()) * model.shape().units() as f64;
            ensure((found - expected).abs() <= tolerance, || {
                format!("chain {chain}: an energy of {found}, expected {expected}")
            })?;
        }
        Ok(())
    }
}

fn is_clamped(clamp: &Clamp<'_>, shape: &bitboltz_core::shape::Shape, layer: usize) -> bool {
    shape.word_range(layer).all(|at| clamp.word(at) != 0)
}

/// How far a field is from where its decision changes. The slope of the sigmoid is at most a quarter.
fn margin<W: TileWeight>(field: W::Field, decide: Decide, draws: &mut XorShiftRng, model: &DenseDbm<'_, W>) -> f64 {
    match decide {
        Decide::Mode => field.to_real(model.scale()).abs(),
        Decide::Sample => {
            let threshold = f64::from(sigmoid(field.to_q16(model.scale())));
            4.0 * (threshold - f64::from(draws.next_u32())).abs() / 4_294_967_296.0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{batch::testing::parameters, quantise::Quantised};

    #[test]
    fn the_engine_walks_with_the_core_and_other_weights_are_noticed() {
        let (right, other) = (parameters(&[70, 33, 20], 1), parameters(&[70, 33, 20], 2));
        let mut data = BitMatrix::zeros(3, 70);
        (0..70).for_each(|column| data.set(column % 3, column, true));
        for data in [None, Some(&data)] {
            let model = right.dbm().unwrap();
            walk(&model, &ChainWeights::new(&model), data, 5, 1).unwrap();
            let wrong = walk(&model, &ChainWeights::new(&other.dbm().unwrap()), data, 5, 1);
            assert!(matches!(wrong, Err(BenchError::Wrong(..))));
            let quantised = Quantised::<i8>::new(&right).unwrap();
            let model = quantised.dbm().unwrap();
            walk(&model, &ChainWeights::new(&model), data, 5, 1).unwrap();
            // The last bit of one weight.
            let mut tensors = crate::tensors::Tensors::of(&model, right.geometry());
            tensors.weights[0].iter_mut().step_by(5).for_each(|weight| *weight ^= 1);
            let wrong = walk(&model, &ChainWeights::new(&tensors.dbm().unwrap()), data, 5, 1);
            assert!(matches!(wrong, Err(BenchError::Wrong(..))));
        }
    }
}
