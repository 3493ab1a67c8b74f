//! One step of a Markov chain that leaves the model's distribution unchanged: the policy that estimators take.

use rand_core::Rng;

use crate::{
    connection::Connection,
    model::Dbm,
    state::{Clamp, State},
};

/// A Markov kernel with stationary distribution p(free units | clamped units), and a coupling of it with itself.
///
/// The number of words that a step draws depends on the shape alone.
pub trait Transition<C: Connection> {
    /// Moves one chain.
    fn step<R: Rng>(&mut self, model: &Dbm<'_, C>, x: &mut State<'_, C::Field>, clamp: &Clamp<'_>, rng: &mut R);

    /// Moves two chains with common random numbers. Each alone moves as [`step`](Self::step) does, and chains in equal
    /// states stay equal.
    ///
    /// Both chains walk the same stream from the same point, which a fixed number of draws makes a coupling: by common
    /// proposal and common uniform for Metropolis-Hastings, by common uniforms, unit by unit, for Gibbs.
    fn step_pair<R: Rng + Clone>(
        &mut self,
        model: &Dbm<'_, C>,
        x: &mut State<'_, C::Field>,
        y: &mut State<'_, C::Field>,
        clamp: &Clamp<'_>,
        rng: &mut R,
    ) {
        let mut same = rng.clone();
        self.step(model, x, clamp, rng);
        self.step(model, y, clamp, &mut same);
    }
}
