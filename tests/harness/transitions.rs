//! Transitions of the core by name, and wrong ones that tests must reject.

use bitboltz::chain::ChainBuffer;
use bitboltz_core::{
    bits::{WORD_BITS, word_mask},
    conditional::Block,
    connection::Connection,
    fixed::sigmoid,
    gibbs::Gibbs,
    mh::MetropolisHastings,
    mixture::Mixture,
    model::Dbm,
    rng::Rng,
    shape::Shape,
    state::{Clamp, State},
    transition::Transition,
    weights::Field as _,
};

/// A transition without buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Gibbs, odd layers first.
    GibbsOdd,
    /// Gibbs, even layers first.
    GibbsEven,
    /// Metropolis-Hastings.
    MetropolisHastings,
    /// Metropolis-Hastings or Gibbs, with the same probability.
    Mixture,
    /// Wrong: every layer from the old state of all its neighbours.
    Synchronous,
    /// Wrong: Metropolis-Hastings that always accepts.
    AcceptAll,
}

/// Those of the core.
pub const ALL: [Kind; 4] = [Kind::GibbsOdd, Kind::GibbsEven, Kind::MetropolisHastings, Kind::Mixture];

/// Any of the above, with its buffers.
#[derive(Debug)]
pub struct Any<'b, C: Connection> {
    kind: Kind,
    with_proposal: WithProposal<'b, C::Field>,
}

/// The one of these that the kind needs, over the one buffer that there is.
#[derive(Debug)]
enum WithProposal<'b, F> {
    MetropolisHastings(MetropolisHastings<'b, F>),
    Mixture(Mixture<'b, F>),
}

impl Kind {
    /// The transition, with its buffer.
    pub fn with<'b, C: Connection>(self, shape: &Shape, buffer: &'b mut ChainBuffer<C::Field>) -> Any<'b, C> {
        let proposal = buffer.state(shape);
        let with_proposal = match self {
            Self::Mixture => WithProposal::Mixture(Mixture::new(1 << 31, proposal)),
            _ => WithProposal::MetropolisHastings(MetropolisHastings::new(proposal)),
        };
        Any { kind: self, with_proposal }
    }
}

impl<C: Connection> Transition<C> for Any<'_, C> {
    fn step<R: Rng>(&mut self, model: &Dbm<'_, C>, x: &mut State<'_, C::Field>, clamp: &Clamp<'_>, rng: &mut R) {
        match self.kind {
            Kind::GibbsOdd => Gibbs { first: Block::Odd }.step(model, x, clamp, rng),
            Kind::GibbsEven => Gibbs { first: Block::Even }.step(model, x, clamp, rng),
            Kind::MetropolisHastings | Kind::Mixture => match &mut self.with_proposal {
                WithProposal::MetropolisHastings(mh) => mh.step(model, x, clamp, rng),
                WithProposal::Mixture(mixture) => mixture.step(model, x, clamp, rng),
            },
            Kind::Synchronous => synchronous(model, x, clamp, rng),
            Kind::AcceptAll => model.randomise(x, clamp, rng),
        }
    }
}

fn synchronous<C: Connection, R: Rng>(model: &Dbm<'_, C>, x: &mut State<'_, C::Field>, clamp: &Clamp<'_>, rng: &mut R) {
    let shape = *model.shape();
    let on: Vec<bool> = x.fields().iter().map(|a| rng.next_u32() < sigmoid(a.to_q16(model.scale()))).collect();
    for l in 0..shape.layers() {
        for (i, &on) in on[shape.unit_range(l)].iter().enumerate() {
            let (word, bit) = (shape.word_range(l).start + i / WORD_BITS, 1 << (i % WORD_BITS));
            let free = word_mask(shape.width(l), i / WORD_BITS) & !clamp.word(word) & bit;
            x.words_mut()[word] = x.words()[word] & !free | if on { free } else { 0 };
        }
    }
    model.refresh(x);
}
