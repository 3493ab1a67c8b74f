//! Where chains start: the other policy, beside the transition, that makes an estimator.

use rand_core::Rng;

use crate::{
    connection::Connection,
    gibbs::Gibbs,
    model::Dbm,
    search::{LocalModeSearch, SearchCapHit, SearchReport},
    state::{Clamp, State},
    transition::Transition as _,
};

/// A distribution of starting states x_0. The clamped units are the caller's; all others are overwritten.
pub trait Start<C: Connection> {
    /// Draws a starting state and reports the search that it took.
    ///
    /// # Errors
    /// [`SearchCapHit`].
    fn start<R: Rng>(
        &self,
        model: &Dbm<'_, C>,
        state: &mut State<'_, C::Field>,
        clamp: &Clamp<'_>,
        rng: &mut R,
    ) -> Result<SearchReport, SearchCapHit>;
}

/// Uniform random bits.
#[derive(Clone, Copy, Debug, Default)]
pub struct RandomStart;

impl<C: Connection> Start<C> for RandomStart {
    fn start<R: Rng>(
        &self,
        model: &Dbm<'_, C>,
        state: &mut State<'_, C::Field>,
        clamp: &Clamp<'_>,
        rng: &mut R,
    ) -> Result<SearchReport, SearchCapHit> {
        model.randomise(state, clamp, rng);
        Ok(SearchReport::default())
    }
}

/// The paper's local mode initialisation: uniform random bits, then local mode search, then one Gibbs sweep.
#[derive(Clone, Copy, Debug, Default)]
pub struct LocalModeStart {
    /// The search.
    pub search: LocalModeSearch,
    /// The sweep after it.
    pub gibbs: Gibbs,
}

impl<C: Connection> Start<C> for LocalModeStart {
    fn start<R: Rng>(
        &self,
        model: &Dbm<'_, C>,
        state: &mut State<'_, C::Field>,
        clamp: &Clamp<'_>,
        rng: &mut R,
    ) -> Result<SearchReport, SearchCapHit> {
        model.randomise(state, clamp, rng);
        let report = self.search.run(model, state, clamp)?;
        let mut gibbs = self.gibbs;
        gibbs.step(model, state, clamp, rng);
        Ok(report)
    }
}
