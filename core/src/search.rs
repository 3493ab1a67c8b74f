//! Local mode search: block coordinate descent of the energy (section 3 of the paper).

use crate::{
    conditional::{Block, mode_block},
    connection::Connection,
    model::Dbm,
    state::{Clamp, State},
};

/// Alternates x_block ← 1[a ≥ 0] over the two blocks until no unit flips. Every flip lowers the energy or keeps it (a
/// tie goes to 1), so it ends: at a local mode, a state that no change of a single block improves.
///
/// ```
/// use bitboltz_core::{
///     connection::Dense, fixed::Scale, model::DenseDbm, search::LocalModeSearch, state::{Clamp, State},
/// };
///
/// // Two units that are better on together than off together.
/// let model = DenseDbm::new([Dense::new(&[3i8], 1, 1, 0).unwrap()], &[&[-1], &[-1]], Scale::ONE)?;
/// let (mut words, mut fields) = ([1, 0], [0; 2]);
/// let mut state = State::new(model.shape(), &mut words, &mut fields)?;
/// state.layer_mut(0).set(0, true);
/// model.refresh(&mut state);
/// let report = LocalModeSearch::default().run(&model, &mut state, &Clamp::none())?;
/// assert_eq!((state.words(), model.energy(&state)), (&[1, 1][..], -1));
/// assert_eq!((report.sweeps, report.flips), (1, 1));
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct LocalModeSearch {
    /// The block that is set first. From known pixels, the odd one carries them upwards at once.
    pub first: Block,
    /// Most sweeps.
    pub cap: u32,
}

impl Default for LocalModeSearch {
    /// Odd block first, at most 10,000 sweeps: some hundred times what trained models were seen to need.
    fn default() -> Self {
        Self { first: Block::Odd, cap: 10_000 }
    }
}

/// What a search took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SearchReport {
    /// Sweeps over both blocks; the last one may have ended after its first half.
    pub sweeps: u32,
    /// Units flipped.
    pub flips: u64,
}

/// The search did not reach a local mode within its cap. The state is where it stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SearchCapHit {
    /// Sweeps allowed.
    pub cap: u32,
}

impl core::fmt::Display for SearchCapHit {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "local mode search: no local mode after {} sweeps", self.cap)
    }
}

impl core::error::Error for SearchCapHit {}

impl LocalModeSearch {
    /// Moves the free units to a local mode.
    ///
    /// # Errors
    /// [`SearchCapHit`]. With integer weights that takes more sweeps than the energy has levels to fall; with floats,
    /// rounding could in principle keep units with a field of about 0 in turn.
    #[inline(never)]
    pub fn run<C: Connection>(
        &self,
        model: &Dbm<'_, C>,
        state: &mut State<'_, C::Field>,
        clamp: &Clamp<'_>,
    ) -> Result<SearchReport, SearchCapHit> {
        let mut report = SearchReport::default();
        let mut begun = false;
        while report.sweeps < self.cap {
            report.sweeps += 1;
            for block in [self.first, self.first.other()] {
                let flips = mode_block(model, state, block, clamp);
                report.flips += u64::from(flips);
                // The other block was set to its mode just before. If this one is at its mode too, nothing can flip.
                if flips == 0 && begun {
                    return Ok(report);
                }
                begun = true;
            }
        }
        Err(SearchCapHit { cap: self.cap })
    }
}
