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

/// The paper's local mode initialisation: uniform random bits, then local mode search, then Gibbs sweeps.
#[derive(Clone, Copy, Debug)]
pub struct LocalModeStart {
    /// The search.
    pub search: LocalModeSearch,
    /// Gibbs sweeps after it: 1 in the paper's estimator, 0 for the mode itself.
    pub sweeps: u32,
}

impl Default for LocalModeStart {
    /// One Gibbs sweep after the search.
    fn default() -> Self {
        Self { search: LocalModeSearch::default(), sweeps: 1 }
    }
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
        for _ in 0..self.sweeps {
            Gibbs::default().step(model, state, clamp, rng);
        }
        Ok(report)
    }
}
