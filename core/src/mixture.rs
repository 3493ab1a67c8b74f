//! A mixture of two transitions, chosen by a coin that coupled chains share.

use rand_core::Rng;

use crate::{
    connection::Connection,
    gibbs::Gibbs,
    mh::MetropolisHastings,
    model::Dbm,
    shape::Shape,
    state::{Clamp, State},
    transition::Transition,
    weights::Field,
};

/// With a certain probability a [Metropolis-Hastings step](MetropolisHastings), else a [Gibbs sweep](Gibbs) (Jacob,
/// O'Leary, Atchadé 2020, section 4.3, mix couplings of different kernels in this way).
///
/// Each of the two leaves the model's distribution unchanged, and so does a choice between them that does not look at the
/// state: estimates are unbiased for every probability. Coupled chains toss one coin, so both take the same kind of step:
/// Gibbs brings chains of one basin together, Metropolis-Hastings lets chains of different basins meet.
///
/// A step draws one word for the coin, and then as many as the longer of the two steps: what the shorter one does not need
/// is thrown away. So the number of draws depends on the shape alone, as it must.
#[derive(Debug)]
pub struct Mixture<'b, F> {
    mh: MetropolisHastings<'b, F>,
    gibbs: Gibbs,
    threshold: u32,
}

impl<'b, F: Field> Mixture<'b, F> {
    /// Takes the Metropolis-Hastings step with probability `threshold` / 2³². `proposal` is its scratch space.
    pub fn new(threshold: u32, proposal: State<'b, F>) -> Self {
        Self { mh: MetropolisHastings::new(proposal), gibbs: Gibbs::default(), threshold }
    }
}

impl<C: Connection> Transition<C> for Mixture<'_, C::Field> {
    fn step<R: Rng>(&mut self, model: &Dbm<'_, C>, x: &mut State<'_, C::Field>, clamp: &Clamp<'_>, rng: &mut R) {
        let [mh, gibbs] = draws(model.shape());
        let used = if rng.next_u32() < self.threshold {
            self.mh.step(model, x, clamp, rng);
            mh
        } else {
            self.gibbs.step(model, x, clamp, rng);
            gibbs
        };
        for _ in used..mh.max(gibbs) {
            rng.next_u32();
        }
    }
}

/// Words that a Metropolis-Hastings step and a Gibbs sweep draw: the proposal's and a uniform; one for each unit.
fn draws(shape: &Shape) -> [usize; 2] {
    [shape.words() + 1, shape.units()]
}
