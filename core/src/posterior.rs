//! How probable each unknown pixel is: the mean of several short chains.

use rand_core::Rng;

use crate::{
    bits::ones,
    connection::Connection,
    gibbs::Gibbs,
    model::Dbm,
    search::{LocalModeSearch, SearchCapHit},
    state::{Clamp, State},
    transition::Transition as _,
};

/// The mean of Gibbs samples over several chains, each from a local mode that was searched from random bits of its own.
///
/// One chain stays long in the basin that it begins in; several short ones see several. A pixel that is taken for on
/// where its mean is at least a half is wrong less often than that of one [mode](crate::inpaint::Inpaint).
///
/// ```
/// use bitboltz_core::{
///     connection::Dense, fixed::Scale, model::DenseDbm, posterior::PosteriorMean, rng::stream, state::{Clamp, State},
/// };
///
/// // One hidden unit that wants three pixels alike.
/// let model = DenseDbm::new([Dense::new(&[4.0f32; 3], 3, 1, 0).unwrap()], &[&[-2.0; 3], &[-6.0]], Scale::ONE)?;
/// let (mut words, mut fields) = ([0; 2], [0.0; 4]);
/// let mut state = State::new(model.shape(), &mut words, &mut fields)?;
/// // Pixels 0 and 1 are known, and on; pixel 2 is not.
/// state.words_mut()[0] = 0b011;
/// let mask = [0b011, 0];
/// let clamp = Clamp::new(model.shape(), &mask)?;
/// let mut on = [0; 3];
/// let mean = PosteriorMean { samples: 1_000, ..PosteriorMean::default() };
/// mean.count(&model, &mut state, &clamp, &mut on, &mut stream(1, 0))?;
/// assert_eq!(on[..2], [1_000; 2]);
/// assert!(on[2] > 600);
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct PosteriorMean {
    /// Chains. At least one is run, and none that would give no sample.
    pub restarts: u32,
    /// Gibbs sweeps of a chain before its first sample.
    pub burn_in: u32,
    /// Samples of all chains together, one a sweep. The first chains give one more where they cannot all give as many.
    pub samples: u16,
    /// The search.
    pub search: LocalModeSearch,
}

impl Default for PosteriorMean {
    /// Eight chains of five and fifteen sweeps.
    fn default() -> Self {
        Self { restarts: 8, burn_in: 5, samples: 120, search: LocalModeSearch::default() }
    }
}

impl PosteriorMean {
    /// Counts how often each visible unit was on: `on[i] / samples` estimates P(v_i = 1 | clamped units). The free units
    /// of `state` need not hold anything; afterwards they hold the last sample.
    ///
    /// Writes the shorter of `on` and the visible layer.
    ///
    /// # Errors
    /// [`SearchCapHit`], if any search hit its cap.
    pub fn count<C: Connection, R: Rng>(
        &self,
        model: &Dbm<'_, C>,
        state: &mut State<'_, C::Field>,
        clamp: &Clamp<'_>,
        on: &mut [u16],
        rng: &mut R,
    ) -> Result<(), SearchCapHit> {
        let mut gibbs = Gibbs::default();
        on.fill(0);
        for samples in self.shares() {
            model.randomise(state, clamp, rng);
            self.search.run(model, state, clamp)?;
            for _ in 0..self.burn_in {
                gibbs.step(model, state, clamp, rng);
            }
            for _ in 0..samples {
                gibbs.step(model, state, clamp, rng);
                for unit in ones(state.layer_words(0)) {
                    if let Some(count) = on.get_mut(unit) {
                        *count += 1;
                    }
                }
            }
        }
        Ok(())
    }

    /// The samples that each chain gives: of [`restarts`](Self::restarts) chains, or as many as there are samples if those
    /// are fewer.
    pub fn shares(&self) -> impl Iterator<Item = u32> + use<> {
        let samples = u32::from(self.samples);
        let chains = self.restarts.clamp(1, samples.max(1));
        (0..chains).map(move |chain| samples / chains + u32::from(chain < samples % chains))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up() {
        let shares = |restarts, samples| {
            let mean = PosteriorMean { restarts, samples, ..PosteriorMean::default() };
            let (mut found, mut count) = ([0; 8], 0);
            mean.shares().for_each(|share| {
                found[count] = share;
                count += 1;
            });
            (count, found)
        };
        assert_eq!(shares(8, 120), (8, [15; 8]));
        assert_eq!(shares(3, 8), (3, [3, 3, 2, 0, 0, 0, 0, 0]));
        assert_eq!(shares(0, 7), (1, [7, 0, 0, 0, 0, 0, 0, 0]));
        // No chain searches and burns in for nothing.
        assert_eq!(shares(4, 2), (2, [1, 1, 0, 0, 0, 0, 0, 0]));
        assert_eq!(shares(4, 0), (1, [0; 8]));
        assert_eq!(shares(u32::MAX, 3), (3, [1, 1, 1, 0, 0, 0, 0, 0]));
    }
}
