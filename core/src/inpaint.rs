//! Inpainting: the known units are clamped, and the lowest local mode of the others is looked for.

use rand_core::Rng;

use crate::{
    connection::Connection,
    gibbs::Gibbs,
    model::{Dbm, Energy},
    search::{LocalModeSearch, SearchCapHit},
    state::{Clamp, State},
    transition::Transition as _,
};

/// Restarts of local mode search, then optional Gibbs sweeps that begin at the best mode.
///
/// ```
/// use bitboltz_core::{
///     connection::Dense, fixed::Scale, inpaint::Inpaint, model::DenseDbm, rng::stream, state::{Clamp, State},
/// };
///
/// // One hidden unit that wants three pixels alike.
/// let model = DenseDbm::new([Dense::new(&[4.0f32; 3], 3, 1, 0).unwrap()], &[&[-2.0; 3], &[-6.0]], Scale::ONE)?;
/// let (mut words, mut fields, mut best) = ([0; 2], [0.0; 4], [0; 2]);
/// let mut state = State::new(model.shape(), &mut words, &mut fields)?;
/// // Pixels 0 and 1 are known, and on; pixel 2 is not.
/// state.words_mut()[0] = 0b011;
/// let mask = [0b011, 0];
/// let clamp = Clamp::new(model.shape(), &mask)?;
/// let report = Inpaint::default().restore(&model, &mut state, &mut best, &clamp, &mut stream(1, 0))?;
/// assert_eq!((state.words(), report.energy), (&[0b111, 1][..], 0.0 - 6.0 + 6.0));
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Inpaint {
    /// Searches from random bits; the mode of lowest energy is kept. At least one is run.
    pub restarts: u32,
    /// Gibbs sweeps, the first from the best mode, each followed by a search from which the next goes on; a lower mode replaces
    /// the best.
    pub sweeps: u32,
    /// The search.
    pub search: LocalModeSearch,
}

impl Default for Inpaint {
    /// Eight restarts, no sweeps.
    fn default() -> Self {
        Self { restarts: 8, sweeps: 0, search: LocalModeSearch::default() }
    }
}

/// What an inpainting took, and how low it came.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InpaintReport<E> {
    /// Energy of the best state, in the model's units.
    pub energy: E,
    /// Search sweeps of all restarts, saturating.
    pub sweeps: u32,
}

impl Inpaint {
    /// Fills the free units of `state`, whose clamped units hold what is known, with the lowest mode found. `best` is
    /// scratch of at least [`Shape::words`](crate::shape::Shape::words) words.
    ///
    /// On success the state is the best mode, fields included.
    ///
    /// # Errors
    /// [`SearchCapHit`], if any search hit its cap.
    ///
    /// # Panics
    /// If `best` is too short.
    pub fn restore<C: Connection, R: Rng>(
        &self,
        model: &Dbm<'_, C>,
        state: &mut State<'_, C::Field>,
        best: &mut [u32],
        clamp: &Clamp<'_>,
        rng: &mut R,
    ) -> Result<InpaintReport<Energy<C>>, SearchCapHit> {
        assert!(best.len() >= model.shape().words(), "scratch for a state");
        let mut report = None;
        for _ in 0..self.restarts.max(1) {
            model.randomise(state, clamp, rng);
            self.descend(model, state, best, clamp, &mut report)?;
        }
        recall(model, state, best);
        for _ in 0..self.sweeps {
            Gibbs::default().step(model, state, clamp, rng);
            self.descend(model, state, best, clamp, &mut report)?;
        }
        recall(model, state, best);
        // From the fresh fields: in floats, those that the flips left behind are off by their rounding errors.
        Ok(InpaintReport { energy: model.energy(state), sweeps: report.map_or(0, |report| report.sweeps) })
    }

    /// Searches from the state and keeps the mode if it is the lowest so far.
    fn descend<C: Connection>(
        &self,
        model: &Dbm<'_, C>,
        state: &mut State<'_, C::Field>,
        best: &mut [u32],
        clamp: &Clamp<'_>,
        report: &mut Option<InpaintReport<Energy<C>>>,
    ) -> Result<(), SearchCapHit> {
        let sweeps = self.search.run(model, state, clamp)?.sweeps.saturating_add(report.map_or(0, |r| r.sweeps));
        let energy = model.energy(state);
        let lowest = match *report {
            Some(InpaintReport { energy: lowest, .. }) if lowest <= energy => lowest,
            _ => {
                best.iter_mut().zip(state.words()).for_each(|(best, &word)| *best = word);
                energy
            }
        };
        *report = Some(InpaintReport { energy: lowest, sweeps });
        Ok(())
    }
}

fn recall<C: Connection>(model: &Dbm<'_, C>, state: &mut State<'_, C::Field>, best: &[u32]) {
    state.words_mut().iter_mut().zip(best).for_each(|(word, &best)| *word = best);
    model.refresh(state);
}
