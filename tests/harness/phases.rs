//! Both phases of an estimator, side by side, against enumeration; and a wrong estimator that tests must reject.

use bitboltz::{
    chain::PairBuffer,
    estimator::{EstimateError, Estimator, Phase, PhaseReport},
    eval::{
        exact::{Oracle, read_code},
        layout::Layout,
        replicates::{Failure, Replicates, Runs, replicate},
        statistics::{Statistics, Values},
    },
};
use bitboltz_core::{
    connection::Connection,
    mh::MetropolisHastings,
    model::{Dbm, DenseDbm},
    rng::XorShiftRng,
    start::{LocalModeStart, Start as _},
    state::{Clamp, State},
    transition::Transition as _,
};

use crate::models::{Held, Rounding};

/// One phase of anything that claims to estimate expectations.
pub trait Sampler: Sync {
    /// Shows weighted states, as [`Estimator::run`] does.
    #[expect(clippy::too_many_arguments, reason = "those of `Estimator::run`")]
    fn run<C: Connection>(
        &self,
        model: &Dbm<'_, C>,
        phase: Phase,
        visible: &[u32],
        clamp: &Clamp<'_>,
        buffers: &mut PairBuffer<C::Field>,
        rng: &mut XorShiftRng,
        observe: impl FnMut(&State<'_, C::Field>, f64),
    ) -> Result<PhaseReport, EstimateError>;
}

impl Sampler for Estimator {
    fn run<C: Connection>(
        &self,
        model: &Dbm<'_, C>,
        phase: Phase,
        visible: &[u32],
        clamp: &Clamp<'_>,
        buffers: &mut PairBuffer<C::Field>,
        rng: &mut XorShiftRng,
        observe: impl FnMut(&State<'_, C::Field>, f64),
    ) -> Result<PhaseReport, EstimateError> {
        Estimator::run(self, model, phase, visible, clamp, buffers, rng, observe)
    }
}

/// The "coupling" of the paper's published code: ONE chain from a local mode, and a sum that telescopes to its state at
/// the first rejection. Biased.
#[derive(Clone, Copy, Debug)]
pub struct OneChain;

impl Sampler for OneChain {
    fn run<C: Connection>(
        &self,
        model: &Dbm<'_, C>,
        _: Phase,
        visible: &[u32],
        clamp: &Clamp<'_>,
        buffers: &mut PairBuffer<C::Field>,
        rng: &mut XorShiftRng,
        mut observe: impl FnMut(&State<'_, C::Field>, f64),
    ) -> Result<PhaseReport, EstimateError> {
        let shape = model.shape();
        let (mut x, mut before) = (buffers.x.state(shape), buffers.y.state(shape));
        let mut mh = MetropolisHastings::new(buffers.proposal.state(shape));
        x.words_mut()[..visible.len()].copy_from_slice(visible);
        let search_sweeps = LocalModeStart::default().start(model, &mut x, clamp, rng)?.sweeps;
        observe(&x, 1.0);
        for t in 1.. {
            before.copy_from(&x);
            mh.step(model, &mut x, clamp, rng);
            if read_code(&x) == read_code(&before) {
                return Ok(PhaseReport { search_sweeps, tau: Some(t) });
            }
            observe(&x, 1.0);
            observe(&before, -1.0);
        }
        unreachable!("a step is rejected before the counter ends")
    }
}

/// Two phases with what each holds, and the exact expectations: first those of the clamped one, then those of the other.
#[derive(Debug)]
pub struct Phases<'a, 'w, W: Rounding> {
    model: &'a DenseDbm<'w, W>,
    layout: Layout,
    visible: u32,
    held: [Held; 2],
    /// ⟨−∂E/∂θ⟩ of both phases.
    pub exact: Vec<f64>,
}

impl<'a, 'w, W> Phases<'a, 'w, W>
where
    W: Rounding,
{
    /// A phase that holds the visible layer, and one that holds the units of `mask` (0 for the gradient's): visible ones
    /// at the same values, hidden ones off.
    pub fn new(model: &'a DenseDbm<'w, W>, visible: u32, mask: u32) -> Self {
        let oracle = Oracle::new(model).expect("a small machine");
        let shape = model.shape();
        let layer = (1 << shape.width(0)) - 1;
        let held =
            [layer, mask].map(|mask| Held::new(shape, bitboltz::eval::exact::Given { mask, values: visible & layer }));
        let exact = held.iter().flat_map(|held| oracle.expectations(held.given).statistics).collect();
        Self { model, layout: oracle.layout().clone(), visible, held, exact }
    }

    /// Runs a sampler in both phases.
    pub fn replicate(&self, sampler: &impl Sampler, statistics: Statistics, runs: Runs) -> Replicates {
        let (model, len) = (self.model, self.layout.len());
        let scratch = || (PairBuffer::new(model.shape()), Values::new(&self.layout));
        let draw = |(buffers, values): &mut (PairBuffer<W::Field>, Values), rng: &mut XorShiftRng, sum: &mut [f64]| {
            let mut taus = [None; 2];
            let phases = [Phase::Positive, Phase::Negative].into_iter().zip(sum.chunks_exact_mut(len)).zip(&self.held);
            for (tau, ((phase, sum), held)) in taus.iter_mut().zip(phases) {
                let clamp = held.clamp();
                let observe = |state: &State<'_, W::Field>, weight: f64| {
                    statistics.add(model, values, state, &clamp, weight, sum);
                };
                let report = sampler.run(model, phase, &[self.visible], &clamp, buffers, rng, observe);
                *tau = report.map_err(|error| Failure { phase, error })?.tau;
            }
            Ok(taus)
        };
        replicate(runs, 2 * len, scratch, draw).expect("a possible horizon")
    }
}
