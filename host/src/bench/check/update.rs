//! One update of training, number by number.
//!
//! The states of every chain are found again with the engine, which [`walk`](super::walk) holds against the core. From
//! them some of the gradient's numbers follow by the definition, as sums in `f64` over states; a trainer's own update,
//! at rate 1, must move the parameters by just these. Twice in a row, so that the second one's chains must have run on
//! what the first one wrote.

use bitboltz_core::{
    bits::ones,
    conditional::{Block, mean_layer},
    model::DenseDbm,
    rng::{Rng as _, stream},
    search::LocalModeSearch,
    shape::Shape,
    state::Clamp,
};

use crate::{
    batch::{ChainWeights, Chains, Clamping, TileWeight, in_blocks},
    bench::{BenchError, ensure, subject::with_chain_model},
    bits::BitMatrix,
    chain::{PairBuffer, visible_mask},
    checkpoint::{Checkpoint, TrainingState},
    estimator::{Estimator, Phase, posterior_sweeps},
    parameters::Parameters,
    train::{
        Schedule, Trainer,
        rows::Batches,
        seeds::{Purpose, stream_for},
    },
};

use super::walk::walk;

/// Weights whose gradient is summed.
const WEIGHTS: usize = 500;
/// Biases of each layer whose gradient is summed: a row of weights' each.
const BIASES: usize = 3;
/// How far a parameter may be from where it should be: sums of 32-bit floats, and a parameter's own rounding. Where pairs
/// run on, their states' weights, 1 and −1, add up to an estimate from sums that are larger than it by far; so much more.
const TOLERANCE: f64 = 2e-5;
/// How far a bias may be off for each unit of the magnitudes that its step is a sum of: a centered step adds a product for
/// each unit of the neighbouring layers, which cancel, in 32-bit floats.
const SUM_TOLERANCE: f64 = 4e-6;

/// Checks the next two updates of a run that uses the paper's estimator with H_0, or persistent contrastive divergence,
/// whose chains must also end where the engine's do.
///
/// # Errors
/// [`BenchError::Wrong`] with the first number that is not what it should be.
pub fn check(mut checkpoint: Checkpoint, data: &BitMatrix) -> Result<(), BenchError> {
    if let Some(training) = &mut checkpoint.training {
        training.config.learning_rate = 1.0;
        (training.config.schedule, training.config.gamma) = (Schedule::Sqrt, 0.0);
        // The plain step is checked; the rest is what it was before.
        (training.config.momentum, training.config.weight_decay) = (0.0, 0.0);
        training.velocity = None;
    }
    let mut trainer = Trainer::resume(checkpoint, data.clone())?;
    for _ in 0..2 {
        let before = trainer.checkpoint();
        trainer.update()?;
        let parameters = before.learning();
        with_chain_model!(parameters, trainer.config().chain_weights, model => one(&model, &before, data, &trainer))?;
    }
    Ok(())
}

/// The update from `before` to where the trainer is now.
fn one<W: TileWeight>(
    model: &DenseDbm<'_, W>,
    before: &Checkpoint,
    data: &BitMatrix,
    trainer: &Trainer,
) -> Result<(), BenchError> {
    let training = before.training.as_ref().expect("a trainer's checkpoint has its state");
    let (config, step) = (&training.config, training.step);
    let weights = ChainWeights::new(model);
    walk(model, &weights, None, 1, config.seed)?;
    walk(model, &weights, Some(data), 1, config.seed)?;
    let mut rows = Vec::new();
    Batches::new(config.seed, data.rows(), config.batch).at(step, &mut rows);
    let phases = [Phase::Positive, Phase::Negative].map(|phase| Shown::of(&weights, training, phase, data, &rows));
    if let Some(chains) = trainer.checkpoint().training.and_then(|training| training.chains) {
        let expected = phases[1].states.iter().flat_map(|state| &state.words);
        ensure(chains.words().iter().eq(expected), || "persistent chains end elsewhere".to_owned())?;
    }
    let gradient = Gradient { shape: *model.shape(), phases, offsets: &training.offsets };
    compare(&gradient, before.learning(), trainer.checkpoint().learning(), config.seed)
}

fn compare(gradient: &Gradient<'_>, before: &Parameters, after: &Parameters, seed: u64) -> Result<(), BenchError> {
    let shape = gradient.shape;
    let close = |name: &dyn Fn() -> String, (step, slack): (f64, f64), before: f32, after: f32| {
        let expected = f64::from(before) + step;
        let tolerance = TOLERANCE * expected.abs().max(gradient.mass()) + slack;
        ensure((f64::from(after) - expected).abs() <= tolerance, || {
            format!("{} is {after} after an update, expected {expected}", name())
        })
    };
    let mut rng = stream(seed, 0);
    let mut below = |count: usize| ((u64::from(rng.next_u32()) * count as u64) >> 32) as usize;
    for _ in 0..WEIGHTS {
        let l = below(shape.layers() - 1);
        let (i, j) = (below(shape.width(l)), below(shape.width(l + 1)));
        let at = i * shape.width(l + 1) + j;
        let name = || format!("weight {i}, {j} of connection {l}");
        close(&name, (gradient.weight(l, i, j), 0.0), before.weights()[l][at], after.weights()[l][at])?;
    }
    for layer in 0..shape.layers() {
        for _ in 0..BIASES {
            let i = below(shape.width(layer));
            let name = || format!("bias {i} of layer {layer}");
            close(&name, gradient.bias(layer, i), before.biases()[layer][i], after.biases()[layer][i])?;
        }
    }
    Ok(())
}

/// The gradient by its definition: see [`gradient`](crate::train::gradient).
struct Gradient<'o> {
    shape: Shape,
    /// Positive, negative.
    phases: [Shown; 2],
    /// Empty without centering.
    offsets: &'o [Vec<f32>],
}

impl Gradient<'_> {
    /// Δm of a unit.
    fn mean(&self, layer: usize, i: usize) -> f64 {
        let [positive, negative] = self.phases.each_ref().map(|phase| phase.mean(&self.shape, layer, i));
        positive - negative
    }

    /// Magnitude of the weights of all states that a chain shows, on average; 1 where each shows one.
    fn mass(&self) -> f64 {
        let mass = |phase: &Shown| {
            phase.states.iter().map(|state| f64::from(state.weight.abs())).sum::<f64>() / phase.chains as f64
        };
        self.phases.iter().map(mass).fold(1.0, f64::max)
    }

    fn offset(&self, layer: usize, i: usize) -> f64 {
        self.offsets.get(layer).map_or(0.0, |offsets| f64::from(offsets[i]))
    }

    /// ΔW of connection `l` between unit `i` below and unit `j` above.
    fn weight(&self, l: usize, i: usize, j: usize) -> f64 {
        let [positive, negative] = self.phases.each_ref().map(|phase| phase.pair(&self.shape, l, i, j));
        positive - negative - self.offset(l, i) * self.mean(l + 1, j) - self.mean(l, i) * self.offset(l + 1, j)
    }

    /// Δb of a unit, and how far it may be off in 32-bit floats beside [`TOLERANCE`]: by [`SUM_TOLERANCE`], and because the
    /// rounding of the unit's own mean is in the step of each of its weights, and adds up with their offsets.
    fn bias(&self, layer: usize, i: usize) -> (f64, f64) {
        let (mut step, mut summed, mut squares) = (self.mean(layer, i), 0.0, 0.0);
        if self.offsets.is_empty() {
            return (step, 0.0);
        }
        let above = (layer + 1 < self.shape.layers()).then_some((layer, layer + 1));
        let below = layer.checked_sub(1).map(|below| (below, below));
        for (l, other) in above.into_iter().chain(below) {
            for j in 0..self.shape.width(other) {
                let weight = if l == layer { self.weight(l, i, j) } else { self.weight(l, j, i) };
                let offset = self.offset(other, j);
                step -= weight * offset;
                summed += (weight * offset).abs();
                squares += offset * offset;
            }
        }
        // A mean of n numbers up to 1, added one by one: each addition may be off by half a unit in the last of 24 bits
        // of a sum up to n. Four standard errors and more.
        let states = self.phases.iter().map(|phase| phase.states.len()).max().unwrap_or(0);
        let mean = (states as f64).sqrt() * 2.0_f64.powi(-23) * self.mass();
        (step, SUM_TOLERANCE * summed + mean * squares)
    }
}

/// The weighted states that the chains of a phase show.
#[derive(Default)]
struct Shown {
    /// Chains that gave an estimate.
    chains: usize,
    states: Vec<ShownState>,
}

struct ShownState {
    weight: f32,
    words: Vec<u32>,
    /// Weight × value of each odd unit, layers ascending.
    odd: Vec<f32>,
}

impl Shown {
    /// The start and the proposal of each chain in the engine; the rest of a pair that goes on, in the core.
    fn of<W: TileWeight>(
        weights: &ChainWeights<W>,
        training: &TrainingState,
        phase: Phase,
        data: &BitMatrix,
        rows: &[usize],
    ) -> Self {
        let (shape, config, step) = (*weights.shape(), &training.config, training.step);
        let mask = if phase == Phase::Positive { visible_mask(&shape) } else { vec![0; shape.words()] };
        let purpose = if phase == Phase::Positive { Purpose::Positive } else { Purpose::Negative };
        let streams = |chain: usize| stream_for(config.seed, purpose, step, chain as u64);
        let row = |chain: usize| data.row(rows[chain]);
        let model = weights.dbm().expect("a model's weights");
        let blocks = in_blocks(
            rows.len(),
            || (Chains::<W>::new(&shape), PairBuffer::new(&shape)),
            |(chains, pair), range| {
                let first = range.start;
                let here = |chain: usize| row(first + chain);
                let visible = (phase == Phase::Positive).then_some(&here as &dyn Fn(usize) -> _);
                chains.reset(weights, range.clone().map(streams), visible, Clamping::Same(&mask));
                let all: Vec<u32> = (0..range.len() as u32).collect();
                let mut active = all;
                match config.estimator {
                    Estimator::Pcd { k } => {
                        let sweeps = if phase == Phase::Positive {
                            chains.randomise(&active);
                            posterior_sweeps(&shape, k)
                        } else {
                            let kept = training.chains.as_ref().expect("a run of persistent chains has some");
                            for (chain, state) in range.zip(kept.words()[first * shape.words()..].chunks(shape.words()))
                            {
                                chains.words_mut(chain - first).copy_from_slice(state);
                            }
                            k
                        };
                        (0..sweeps).for_each(|_| chains.gibbs(weights, Block::Odd, &active));
                    }
                    _ => {
                        chains.randomise(&active);
                        let mut reports = Vec::new();
                        chains.search(weights, &LocalModeSearch::default(), &active, &mut reports);
                        active.retain(|&chain| reports[chain as usize].is_ok());
                        chains.gibbs(weights, Block::Odd, &active);
                    }
                }
                chains.look(weights, Block::Odd, &active);
                let mut found: Vec<Vec<ShownState>> = Vec::new();
                for &chain in &active {
                    let words = chains.words(chain as usize).to_vec();
                    let mut odd = Vec::new();
                    for layer in Block::Odd.layers(shape.layers()) {
                        let mut values = vec![0.0; shape.width(layer)];
                        if config.marginalise {
                            chains.means(weights, chain as usize, layer, &mut values);
                        } else {
                            ones(&words[shape.word_range(layer)]).for_each(|unit| values[unit] = 1.0);
                        }
                        odd.extend(values);
                    }
                    found.push(vec![ShownState { weight: 1.0, words, odd }]);
                }
                let mut accepted = Vec::new();
                if !matches!(config.estimator, Estimator::Pcd { .. }) {
                    chains.propose(weights, &active, |chain, yes| accepted.extend(yes.then_some(chain)));
                }
                for chain in accepted {
                    let at = active.iter().position(|&c| c as usize == chain).expect("an active chain");
                    let clamp = Clamp::new(&shape, &mask).expect("the mask has the shape's words");
                    let mut rng = streams(first + chain);
                    let mut states = Vec::new();
                    let run =
                        config.estimator.run(&model, phase, here(chain), &clamp, pair, &mut rng, |state, weight| {
                            let (weight, words) = (weight as f32, state.words().to_vec());
                            let mut odd = Vec::new();
                            for layer in Block::Odd.layers(shape.layers()) {
                                let mut values = vec![0.0; shape.width(layer)];
                                if config.marginalise {
                                    mean_layer(&model, state, layer, &mut values);
                                } else {
                                    ones(&words[shape.word_range(layer)]).for_each(|unit| values[unit] = 1.0);
                                }
                                odd.extend(values.iter().map(|value| value * weight));
                            }
                            states.push(ShownState { weight, words, odd });
                        });
                    found[at] = if run.is_ok() { states } else { Vec::new() };
                }
                found
            },
        );
        let mut shown = Self::default();
        // What shows nothing has hit its cap.
        for states in blocks.into_iter().flatten().filter(|states| !states.is_empty()) {
            shown.chains += 1;
            shown.states.extend(states);
        }
        shown
    }

    /// The average of weight × value of a unit, and of `times` of the same state.
    fn average(&self, shape: &Shape, layer: usize, i: usize, times: impl Fn(&ShownState) -> bool) -> f64 {
        let values = self.states.iter().filter(|state| times(state)).map(|state| {
            if layer.is_multiple_of(2) {
                return if bit(state, shape, layer, i) { f64::from(state.weight) } else { 0.0 };
            }
            let before: usize = (1..layer).step_by(2).map(|odd| shape.width(odd)).sum();
            f64::from(state.odd[before + i])
        });
        values.sum::<f64>() / self.chains as f64
    }

    fn mean(&self, shape: &Shape, layer: usize, i: usize) -> f64 {
        self.average(shape, layer, i, |_| true)
    }

    /// ⟨x_i x_j⟩ of connection `l`.
    fn pair(&self, shape: &Shape, l: usize, i: usize, j: usize) -> f64 {
        let ((even, at), (odd, unit)) = if l.is_multiple_of(2) { ((l, i), (l + 1, j)) } else { ((l + 1, j), (l, i)) };
        self.average(shape, odd, unit, |state| bit(state, shape, even, at))
    }
}

fn bit(state: &ShownState, shape: &Shape, layer: usize, unit: usize) -> bool {
    state.words[shape.word_range(layer)][unit / 32] >> (unit % 32) & 1 == 1
}

#[cfg(test)]
mod tests {
    use bitboltz_core::weights::WeightKind;

    use super::*;
    use crate::bench::subject::{Source, Subject, trainer, ucd_lmi};

    #[test]
    fn updates_of_persistent_chains_are_right() {
        let pcd = |name: &str| name.parse::<Estimator>().unwrap();
        for (widths, name, kind) in [
            (&[70, 40][..], "pcd", WeightKind::F32),
            (&[9, 40], "pcd", WeightKind::I8),
            (&[20, 9, 30], "pcd-3", WeightKind::I16),
        ] {
            let subject = Subject {
                source: Source::Layers(widths.to_vec()),
                images: None,
                batch: 300,
                chain_weights: Some(kind),
                seed: 3,
            };
            let mut trainer = trainer(&subject, pcd(name), None).unwrap().0;
            (0..3).for_each(|_| _ = trainer.update().unwrap());
            check(trainer.checkpoint(), trainer.data()).unwrap();
            let mut other = trainer.checkpoint();
            other.training.as_mut().unwrap().config.estimator = ucd_lmi();
            check(other, trainer.data()).unwrap();
        }
    }

    /// Small enough that proposals are accepted, and the statistics are sums of many weighted states.
    #[test]
    fn updates_are_right_and_wrong_ones_are_noticed() {
        for (widths, kind) in
            [(&[6, 4][..], WeightKind::F32), (&[5, 3, 4], WeightKind::I16), (&[40, 9, 30, 7], WeightKind::I8)]
        {
            let subject = Subject {
                source: Source::Layers(widths.to_vec()),
                images: None,
                batch: 20,
                chain_weights: Some(kind),
                seed: 3,
            };
            let (data, _) = crate::bench::subject::images(&subject, widths[0]).unwrap();
            let trainer = trainer(&subject, ucd_lmi(), None).unwrap().0;
            for (centering, marginalise) in [(None, false), (Some(0.1), true)] {
                let mut checkpoint = trainer.checkpoint();
                let training = checkpoint.training.as_mut().unwrap();
                training.config.centering = centering;
                training.config.marginalise = marginalise;
                if centering.is_none() {
                    training.offsets.clear();
                }
                check(checkpoint, &data).unwrap();
            }
            let gradient = Gradient { shape: *trainer.parameters().shape(), phases: Default::default(), offsets: &[] };
            // No states average to not a number, which is never close to anything.
            let wrong = compare(&gradient, trainer.parameters(), trainer.parameters(), 1);
            assert!(matches!(wrong, Err(BenchError::Wrong(..))));
        }
    }
}
