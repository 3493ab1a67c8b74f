//! Annealed importance sampling (Neal 2001; for Boltzmann machines: Salakhutdinov, Murray 2008): log Z of a machine, or
//! of its hidden layers given visible units.
//!
//! Between independent units with biases a⁰ (β = 0) and the machine (β = 1) lie machines whose fields are
//! (1 − β) a⁰ + β a. Each chain begins with an exact sample at β = 0 and is moved by a block Gibbs sweep at each β; its
//! weight gains p*_β(x) / p*_β′(x) as β′ rises to β. The weights' mean is an unbiased estimate of Z / Z⁰, and Z⁰ is known.
//!
//! Of the two blocks only one is a chain's state; the other is summed out of p*_β, whose factors are then 1 + exp(a_β).
//! This lessens the variance of the weights (Rao-Blackwell), and the more so the more units are summed out: the block
//! with fewer free units is kept.
//!
//! Fields are those of [`Chains`], without β: they are linear in the state, so any β is applied when they are read.
//! Everything else is in `f64`. A chain depends on its seed and number only, not on threads or on other chains.
//!
//! Backwards (the reverse chain of bidirectional Monte Carlo: Grosse, Ghahramani, Adams 2015): block Gibbs sweeps are
//! reversible, so a chain that begins at a state of the machine and cools from β = 1 to 0 walks the same path the other
//! way round, and has the reciprocal weight. From an exact sample that is an unbiased estimate of 1 / Z.

use bitboltz_core::{
    bits::{WORD_BITS, ones},
    conditional::Block,
    rng::{Rng as _, XorShiftRng, stream},
};

use super::softplus::SoftplusSum;
use crate::{
    batch::{ChainWeights, Chains, Clamping, in_blocks},
    bits::BitMatrix,
    chain::visible_mask,
    parameters::Parameters,
};

/// Sweeps between two times that fields are computed afresh, so that the rounding of their updates cannot add up.
const REFRESH: usize = 256;

/// Inverse temperatures from 0 to 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule(Vec<f64>);

impl Schedule {
    /// `steps` equal steps. On a trained 784-500-500 machine the log weights spread less with these than with steps that
    /// shrink towards 1 (Salakhutdinov, Murray 2008).
    ///
    /// # Panics
    /// If there are none.
    pub fn linear(steps: usize) -> Self {
        assert!(steps > 0, "from 0 to 1 it takes a step");
        Self((0..=steps).map(|t| t as f64 / steps as f64).collect())
    }
}

/// Told how many steps of how many chains were done since the last call (their product), from any thread.
pub type Progress<'p> = &'p (dyn Fn(u64) + Sync);

/// Log weights of `chains` independent chains; the log of the mean of their exponentials estimates log Z (see
/// [`LogMean`](super::importance::LogMean)). Chain i draws from `stream(seed, i)`.
///
/// At β = 0 the visible units have the biases `visible`, the hidden ones none.
///
/// # Panics
/// If `visible` is not as long as the visible layer.
pub fn log_z_weights(
    parameters: &Parameters,
    visible: &[f64],
    schedule: &Schedule,
    chains: usize,
    seed: u64,
    progress: Progress<'_>,
) -> Vec<f64> {
    let base = base_of(parameters, visible);
    let path = Path::new(parameters, schedule.0.clone(), false);
    path.run(chains, &|_| &base, Begin::Base, &|chain| stream(seed, chain as u64), progress)
}

/// Log weights of chains that walk the path of [`log_z_weights`] the other way round, one from each of `starts` (the words
/// of all layers), after so many Gibbs `sweeps` of the machine itself; chain i draws from `stream(seed, i)`.
///
/// The mean of their exponentials estimates 1 / Z without bias if the starts are exact samples of the machine; then minus
/// its log is, in expectation, above log Z (Jensen's inequality), as that of [`log_z_weights`] is below. From any other
/// start it is no bound.
///
/// # Panics
/// If `visible` is not as long as the visible layer, or a start has too few words.
pub fn log_inverse_z_weights(
    parameters: &Parameters,
    visible: &[f64],
    starts: &[Vec<u32>],
    sweeps: usize,
    schedule: &Schedule,
    seed: u64,
    progress: Progress<'_>,
) -> Vec<f64> {
    let base = base_of(parameters, visible);
    // A step from 1 to 1 weighs nothing and is a sweep of the machine.
    let betas = std::iter::repeat_n(1.0, sweeps).chain(schedule.0.iter().rev().copied()).collect();
    let path = Path::new(parameters, betas, false);
    let begin = |chain: usize| &starts[chain][..];
    path.run(starts.len(), &|_| &base, Begin::State(&begin), &|chain| stream(seed, chain as u64), progress)
}

/// The biases at β = 0 of all units: these of the visible ones, none of the hidden ones.
fn base_of(parameters: &Parameters, visible: &[f64]) -> Vec<f64> {
    let shape = parameters.shape();
    assert_eq!(visible.len(), shape.width(0), "a bias for each visible unit");
    let mut base = visible.to_vec();
    base.resize(shape.units(), 0.0);
    base
}

/// Log weights of chains of the hidden layers given rows of visible units: `chains` for each row, one row after the
/// other. The log of the mean of a row's exponentials estimates log p*(v) = log Σ_h exp(−E(v, h)).
/// Chain c of row i draws from `stream(seed, i · chains + c)`.
///
/// At β = 0 the units have the biases `base(i)`, those of all layers one after the other; those of the visible layer do
/// not matter. Log odds of a mean-field solution are a good beginning.
///
/// # Panics
/// If rows or biases are shorter than the machine.
pub fn log_p_star_weights<'b>(
    parameters: &Parameters,
    rows: &BitMatrix,
    base: &(dyn Fn(usize) -> &'b [f64] + Sync),
    schedule: &Schedule,
    chains: usize,
    seed: u64,
    progress: Progress<'_>,
) -> Vec<f64> {
    let path = Path::new(parameters, schedule.0.clone(), true);
    let streams = |chain: usize| stream(seed, chain as u64);
    let visible = |chain: usize| rows.row(chain / chains);
    path.run(rows.rows() * chains, &|chain| base(chain / chains), Begin::Clamped(&visible), &streams, progress)
}

/// Where chains begin, by their number.
#[derive(Clone, Copy)]
enum Begin<'f, 's> {
    /// At samples at β = 0.
    Base,
    /// The same, with these visible units clamped.
    Clamped(&'f (dyn Fn(usize) -> &'s [u32] + Sync)),
    /// At these states of the machine: the path ends at β = 0.
    State(&'f (dyn Fn(usize) -> &'s [u32] + Sync)),
}

/// What all chains share.
struct Path<'p> {
    parameters: &'p Parameters,
    weights: ChainWeights<f32>,
    /// Inverse temperatures, in the order in which they are come by.
    betas: Vec<f64>,
    clamped: bool,
    /// The block that is a chain's state.
    kept: Block,
}

impl<'p> Path<'p> {
    fn new(parameters: &'p Parameters, betas: Vec<f64>, clamped: bool) -> Self {
        let shape = parameters.shape();
        let free = |block: Block| -> usize {
            block.layers(shape.layers()).filter(|&l| l > 0 || !clamped).map(|l| shape.width(l)).sum()
        };
        let kept = if free(Block::Even) < free(Block::Odd) { Block::Even } else { Block::Odd };
        let weights = ChainWeights::new(&parameters.dbm().expect("parameters are finite"));
        Self { parameters, weights, betas, clamped, kept }
    }

    /// The free layers of a block.
    fn layers(&self, block: Block) -> impl Iterator<Item = usize> + use<> {
        let clamped = self.clamped;
        block.layers(self.parameters.shape().layers()).filter(move |&layer| layer > 0 || !clamped)
    }

    fn run<'b>(
        &self,
        count: usize,
        base: &(dyn Fn(usize) -> &'b [f64] + Sync),
        begin: Begin<'_, 'b>,
        streams: &(dyn Fn(usize) -> XorShiftRng + Sync),
        progress: Progress<'_>,
    ) -> Vec<f64> {
        let shape = self.parameters.shape();
        let mask = if self.clamped { visible_mask(shape) } else { vec![0; shape.words()] };
        let blocks = in_blocks(
            count,
            || Chains::<f32>::new(shape),
            |chains, range| {
                let first = range.start;
                // The chains' own streams are not used: a sample takes an f64 of the field here.
                let unused = range.clone().map(|_| stream(0, 0));
                match begin {
                    Begin::Clamped(visible) => {
                        let row = |chain: usize| visible(first + chain);
                        chains.reset(&self.weights, unused, Some(&row), Clamping::Same(&mask));
                    }
                    _ => chains.reset(&self.weights, unused, None, Clamping::Same(&mask)),
                }
                let anneal = range.map(|chain| {
                    let start = if let Begin::State(start) = begin { Some(start(chain)) } else { None };
                    Anneal::new(self, streams(chain), base(chain), start)
                });
                self.anneal(chains, anneal.collect(), progress)
            },
        );
        blocks.concat()
    }

    /// Runs a block of chains along the path; gives their log weights.
    fn anneal(&self, chains: &mut Chains<f32>, mut each: Vec<Anneal<'_>>, progress: Progress<'_>) -> Vec<f64> {
        let active: Vec<u32> = (0..chains.len() as u32).collect();
        chains.look(&self.weights, self.kept, &active);
        for (chain, anneal) in each.iter_mut().enumerate() {
            anneal.begin(self, chains, chain);
        }
        for (step, betas) in self.betas.windows(2).enumerate() {
            if step % REFRESH == REFRESH - 1 {
                self.refresh(chains, &active);
            }
            chains.look(&self.weights, self.kept.other(), &active);
            for (chain, anneal) in each.iter_mut().enumerate() {
                anneal.weigh(self, chains, chain, [betas[0], betas[1]]);
            }
            // The state at the end would not be weighed any more.
            if step + 2 < self.betas.len() {
                chains.look(&self.weights, self.kept, &active);
                for (chain, anneal) in each.iter_mut().enumerate() {
                    anneal.sample(self, chains, chain, betas[1]);
                }
            }
            progress(active.len() as u64);
        }
        each.into_iter().map(|anneal| anneal.log_weight).collect()
    }

    /// Has the fields of both blocks computed from the biases again: they are where there is nothing on, and all of it
    /// flips.
    fn refresh(&self, chains: &mut Chains<f32>, active: &[u32]) {
        let shape = self.parameters.shape();
        let held: Vec<Vec<u32>> = active.iter().map(|&chain| chains.words(chain as usize).to_vec()).collect();
        for block in [Block::Even, Block::Odd] {
            for &chain in active {
                for layer in self.layers(block) {
                    chains.words_mut(chain as usize)[shape.word_range(layer)].fill(0);
                }
            }
            chains.look(&self.weights, block.other(), active);
        }
        for (&chain, words) in active.iter().zip(held) {
            chains.words_mut(chain as usize).copy_from_slice(&words);
        }
    }
}

/// One chain.
struct Anneal<'b> {
    rng: XorShiftRng,
    /// Biases at β = 0.
    base: &'b [f64],
    /// Where the chain begins, if not at a sample at β = 0.
    start: Option<&'b [u32]>,
    /// Of the kept block's free units: their fields while the other block's free units are off.
    kept: Vec<f64>,
    log_weight: f64,
    words: Vec<u32>,
}

impl<'b> Anneal<'b> {
    fn new(path: &Path<'_>, rng: XorShiftRng, base: &'b [f64], start: Option<&'b [u32]>) -> Self {
        assert!(base.len() >= path.parameters.shape().units(), "a bias for each unit");
        Self { rng, base, start, kept: Vec::new(), log_weight: 0.0, words: Vec::new() }
    }

    /// Draws the state at β = 0, whose log Z begins the weight; or takes the state that was given, and 1 / Z of β = 0, where
    /// the path ends. Every free unit must be off, and the kept block's fields looked at.
    fn begin(&mut self, path: &Path<'_>, chains: &mut Chains<f32>, chain: usize) {
        let shape = path.parameters.shape();
        let mut log_z = SoftplusSum::ZERO;
        for block in [Block::Even, Block::Odd] {
            for layer in path.layers(block) {
                log_z.extend(self.base[shape.unit_range(layer)].iter().copied());
            }
        }
        self.log_weight = if self.start.is_some() { -log_z.total() } else { log_z.total() };
        if path.clamped {
            // The clamped units' own biases: a part of the energy at β = 1, and none at β = 0.
            let visible = &chains.words(chain)[shape.word_range(0)];
            self.log_weight += ones(visible).map(|unit| f64::from(path.parameters.biases()[0][unit])).sum::<f64>();
        }
        for layer in path.layers(path.kept) {
            self.kept.extend(chains.fields(chain, layer).iter().map(|&field| f64::from(field)));
            let words = &mut chains.words_mut(chain)[shape.word_range(layer)];
            if let Some(start) = self.start {
                words.copy_from_slice(&start[shape.word_range(layer)]);
                continue;
            }
            let base = &self.base[shape.unit_range(layer)];
            draw(&mut self.rng, base.iter().map(|&field| (field, (-field.abs()).exp())), &mut self.words);
            words.copy_from_slice(&self.words);
        }
    }

    /// Multiplies the weight by p*_new(x) / p*_old(x), and draws the block that was summed out, at the new β. Its fields
    /// must have been looked at.
    fn weigh(&mut self, path: &Path<'_>, chains: &mut Chains<f32>, chain: usize, [old, new]: [f64; 2]) {
        let shape = path.parameters.shape();
        let mut sums = [SoftplusSum::ZERO; 2];
        for layer in path.layers(path.kept.other()) {
            let fields = chains.fields(chain, layer).iter().zip(&self.base[shape.unit_range(layer)]);
            let pairs = fields.map(|(&field, &base)| {
                let change = f64::from(field) - base;
                sums[0].add(base + old * change);
                let field = base + new * change;
                (field, sums[1].add(field))
            });
            draw(&mut self.rng, pairs, &mut self.words);
            chains.words_mut(chain)[shape.word_range(layer)].copy_from_slice(&self.words);
        }
        let (mut kept, mut own) = (0.0, &self.kept[..]);
        for layer in path.layers(path.kept) {
            let base = &self.base[shape.unit_range(layer)];
            kept += ones(&chains.words(chain)[shape.word_range(layer)]).map(|unit| own[unit] - base[unit]).sum::<f64>();
            own = &own[base.len()..];
        }
        self.log_weight += sums[1].total() - sums[0].total() + (new - old) * kept;
    }

    /// Draws the kept block at β. Its fields must have been looked at.
    fn sample(&mut self, path: &Path<'_>, chains: &mut Chains<f32>, chain: usize, beta: f64) {
        let shape = path.parameters.shape();
        for layer in path.layers(path.kept) {
            let fields = chains.fields(chain, layer).iter().zip(&self.base[shape.unit_range(layer)]);
            let pairs = fields.map(|(&field, &base)| {
                let field = base + beta * (f64::from(field) - base);
                (field, (-field.abs()).exp())
            });
            draw(&mut self.rng, pairs, &mut self.words);
            chains.words_mut(chain)[shape.word_range(layer)].copy_from_slice(&self.words);
        }
    }
}

/// Draws a unit for each pair of a field a and exp(−|a|), on with probability σ(a), and packs them.
pub(super) fn draw(rng: &mut XorShiftRng, units: impl Iterator<Item = (f64, f64)>, words: &mut Vec<u32>) {
    words.clear();
    for (unit, (field, tail)) in units.enumerate() {
        if unit % WORD_BITS == 0 {
            words.push(0);
        }
        // Neither 0 nor 1. σ(a) is 1 / (1 + tail), or tail times that if a is negative.
        let uniform = (f64::from(rng.next_u32()) + 0.5) / 4_294_967_296.0;
        let on = uniform * (1.0 + tail) < if field < 0.0 { tail } else { 1.0 };
        words[unit / WORD_BITS] |= u32::from(on) << (unit % WORD_BITS);
    }
}

#[cfg(test)]
mod tests;
