//! Metropolis-Hastings with a uniform independence proposal (section 3 of the paper).

use rand_core::Rng;

use crate::{
    connection::Connection,
    fixed::exp_neg,
    model::Dbm,
    state::{Clamp, State},
    transition::Transition,
    weights::Field,
};

/// Proposes uniform random bits for all free units and accepts with probability min(1, exp(E(x) − E(x′))).
///
/// Coupled, both chains see the same proposal and the same uniform, so they meet as soon as both accept. The
/// acceptance probability falls exponentially with the size of the model: from some hundred units on, nothing is ever
/// accepted, and the chain stays where it started.
#[derive(Debug)]
pub struct MetropolisHastings<'b, F> {
    proposal: State<'b, F>,
}

impl<'b, F: Field> MetropolisHastings<'b, F> {
    /// `proposal` is scratch space of the model's shape; its content does not matter. Over another shape, the first step
    /// panics.
    pub fn new(proposal: State<'b, F>) -> Self {
        Self { proposal }
    }
}

impl<C: Connection> Transition<C> for MetropolisHastings<'_, C::Field> {
    fn step<R: Rng>(&mut self, model: &Dbm<'_, C>, x: &mut State<'_, C::Field>, clamp: &Clamp<'_>, rng: &mut R) {
        self.proposal.copy_from(x);
        model.randomise(&mut self.proposal, clamp, rng);
        let rise = C::Field::rise(model.energy(x), model.energy(&self.proposal), model.scale());
        if u64::from(rng.next_u32()) < exp_neg(rise) {
            x.copy_from(&self.proposal);
        }
    }
}
