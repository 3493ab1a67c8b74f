//! Gradient estimators as policies: where a chain starts, how it moves, and which H_{k:m} is formed.
//!
//! | name | start | transition | source |
//! |---|---|---|---|
//! | `ucd-lmi` | local mode, one Gibbs sweep | coupled Metropolis-Hastings | Taniguchi et al., ICML 2023 |
//! | `ucd-lmi-gibbs` | local mode, one Gibbs sweep | coupled Gibbs | |
//! | `ucd-gibbs` | uniform random bits | coupled Gibbs | after Qiu, Zhang, Wang, ICLR 2020 |
//! | `ucd-mh` | uniform random bits | coupled Metropolis-Hastings | |
//! | `ucd-lmi-mix-P` | local mode, one Gibbs sweep | coupled: Metropolis-Hastings with probability P, else Gibbs | after Jacob, O'Leary, Atchadé 2020, section 4.3 |
//! | `ucd-mix-P` | uniform random bits | the same | |
//! | `cd-K` | the data | K Gibbs sweeps, uncoupled: biased | Hinton 2002 |
//! | `pcd`, `pcd-K` | free chains: where the last update left them | 1 or K Gibbs sweeps, uncoupled: biased | Tieleman, ICML 2008 |
//! | `mean-field`, `mean-field-K` | clamped phase: no chains but mean fields; free chains: as `pcd`, `pcd-K` | the same: biased | Salakhutdinov, Hinton 2009 |
//!
//! [`Estimator::run`] runs one chain through the core: that is what the unbiased ones are proved with. Training runs
//! blocks of chains through the [engine](crate::batch), with the same draws.

mod probability;
mod text;

use std::{fmt, str::FromStr};

use bitboltz_core::{
    conditional::Block,
    connection::Connection,
    coupling::{CouplingError, Horizon},
    gibbs::Gibbs,
    mh::MetropolisHastings,
    mixture::Mixture,
    model::Dbm,
    rng::Rng,
    search::SearchCapHit,
    shape::Shape,
    start::{LocalModeStart, RandomStart, Start},
    state::{Clamp, State},
    transition::Transition,
};
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use self::probability::Probability;
use self::text::EstimatorText;
use crate::chain::{PairBuffer, visible_mask};

/// Where x_0 and y_0 come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartPolicy {
    /// Uniform random bits.
    Random,
    /// Uniform random bits, local mode search, one Gibbs sweep.
    LocalMode,
}

/// How a pair moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransitionPolicy {
    /// Common proposal, common uniform.
    MetropolisHastings,
    /// Common uniforms.
    Gibbs,
    /// A common coin chooses: a Metropolis-Hastings step, or a Gibbs sweep.
    Mixture {
        /// Probability of the Metropolis-Hastings step.
        mh: Probability,
    },
}

/// The second chain's start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SecondStart {
    /// y_0 = x_0, as in the paper.
    #[default]
    Same,
    /// y_0 is drawn independently.
    Independent,
}

/// An estimator of the expectations in the gradient. Records hold its name and, beside it, what the name does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "EstimatorText", try_from = "EstimatorText")]
pub enum Estimator {
    /// K Gibbs sweeps from the data.
    Cd {
        /// Sweeps.
        k: u32,
    },
    /// Persistent contrastive divergence. The free chains go on from update to update, K sweeps each time; they begin
    /// at random bits. The clamped chains are those of [`Cd`](Self::Cd), with one sweep if there is one hidden layer:
    /// given the data its units are independent, and the first sweep is exact.
    Pcd {
        /// Sweeps of an update.
        k: u32,
    },
    /// The classical deep Boltzmann machine: the clamped phase's expectations are those of the mean field of each data
    /// vector, the free chains are those of [`Pcd`](Self::Pcd).
    MeanField {
        /// Sweeps of the free chains in an update.
        k: u32,
    },
    /// Unbiased contrastive divergence.
    Ucd {
        /// Where chains start.
        start: StartPolicy,
        /// How they move.
        transition: TransitionPolicy,
        /// Where the second chain starts.
        second: SecondStart,
        /// Which H_{k:m}.
        horizon: Horizon,
    },
}

impl Estimator {
    /// The paper's estimator: local mode start, coupled Metropolis-Hastings, y_0 = x_0, H_0.
    pub const UCD_LMI: Self = Self::ucd(StartPolicy::LocalMode, TransitionPolicy::MetropolisHastings);

    /// A start and a transition, with y_0 = x_0 and H_0.
    pub const fn ucd(start: StartPolicy, transition: TransitionPolicy) -> Self {
        Self::Ucd {
            start,
            transition,
            second: SecondStart::Same,
            horizon: Horizon { k: 0, m: 0, lag: 1, cap: 100_000 },
        }
    }

    /// The same estimator with another horizon; those that couple no chains have none.
    pub fn with_horizon(self, horizon: Horizon) -> Self {
        match self {
            Self::Ucd { start, transition, second, .. } => Self::Ucd { start, transition, second, horizon },
            Self::Cd { .. } | Self::Pcd { .. } | Self::MeanField { .. } => self,
        }
    }

    /// The same estimator with another start of the second chain, if there is one.
    pub fn with_second(self, second: SecondStart) -> Self {
        match self {
            Self::Ucd { start, transition, horizon, .. } => Self::Ucd { start, transition, second, horizon },
            Self::Cd { .. } | Self::Pcd { .. } | Self::MeanField { .. } => self,
        }
    }

    /// Gibbs sweeps of the free chains in an update, if they go on from update to update.
    pub fn persistent_sweeps(self) -> Option<u32> {
        match self {
            Self::Pcd { k } | Self::MeanField { k } => Some(k),
            Self::Cd { .. } | Self::Ucd { .. } => None,
        }
    }
}

impl fmt::Display for Estimator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cd { k } => write!(f, "cd-{k}"),
            Self::Pcd { k: 1 } => f.write_str("pcd"),
            Self::Pcd { k } => write!(f, "pcd-{k}"),
            Self::MeanField { k: 1 } => f.write_str("mean-field"),
            Self::MeanField { k } => write!(f, "mean-field-{k}"),
            Self::Ucd { start, transition, .. } => match (start, transition) {
                (StartPolicy::LocalMode, TransitionPolicy::MetropolisHastings) => f.write_str("ucd-lmi"),
                (StartPolicy::LocalMode, TransitionPolicy::Gibbs) => f.write_str("ucd-lmi-gibbs"),
                (StartPolicy::LocalMode, TransitionPolicy::Mixture { mh }) => write!(f, "ucd-lmi-mix-{mh}"),
                (StartPolicy::Random, TransitionPolicy::Gibbs) => f.write_str("ucd-gibbs"),
                (StartPolicy::Random, TransitionPolicy::MetropolisHastings) => f.write_str("ucd-mh"),
                (StartPolicy::Random, TransitionPolicy::Mixture { mh }) => write!(f, "ucd-mix-{mh}"),
            },
        }
    }
}

/// No estimator has this name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "no estimator `{0}`: expected ucd-lmi, ucd-lmi-gibbs, ucd-gibbs, ucd-mh, or ucd-lmi-mix-P or ucd-mix-P with \
     0 < P < 1, or cd-K, pcd, pcd-K, mean-field or mean-field-K with K ≥ 1"
)]
pub struct UnknownEstimator(pub String);

impl FromStr for Estimator {
    type Err = UnknownEstimator;

    fn from_str(name: &str) -> Result<Self, UnknownEstimator> {
        use {StartPolicy as S, TransitionPolicy as T};
        match name {
            "ucd-lmi" => Ok(Self::ucd(S::LocalMode, T::MetropolisHastings)),
            "ucd-lmi-gibbs" => Ok(Self::ucd(S::LocalMode, T::Gibbs)),
            "ucd-gibbs" => Ok(Self::ucd(S::Random, T::Gibbs)),
            "ucd-mh" => Ok(Self::ucd(S::Random, T::MetropolisHastings)),
            "pcd" => Ok(Self::Pcd { k: 1 }),
            "mean-field" => Ok(Self::MeanField { k: 1 }),
            _ => {
                let sweeps = |prefix: &str| name.strip_prefix(prefix)?.parse().ok().filter(|&k| k >= 1);
                let mixture = |prefix: &str, start| {
                    let mh = Probability::new(name.strip_prefix(prefix)?.parse().ok()?)?;
                    Some(Self::ucd(start, T::Mixture { mh }))
                };
                sweeps("cd-")
                    .map(|k| Self::Cd { k })
                    .or_else(|| sweeps("pcd-").map(|k| Self::Pcd { k }))
                    .or_else(|| sweeps("mean-field-").map(|k| Self::MeanField { k }))
                    .or_else(|| mixture("ucd-lmi-mix-", S::LocalMode))
                    .or_else(|| mixture("ucd-mix-", S::Random))
                    .ok_or_else(|| UnknownEstimator(name.to_owned()))
            }
        }
    }
}

/// Why one run of an estimator gave no estimate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum EstimateError {
    /// The start found no local mode.
    #[error(transparent)]
    Search(#[from] SearchCapHit),
    /// The pair did not meet, or the horizon is impossible.
    #[error(transparent)]
    Coupling(#[from] CouplingError),
}

/// What one phase of one chain took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PhaseReport {
    /// Sweeps of local mode search.
    pub search_sweeps: u32,
    /// Meeting time; `None` where no chains are coupled.
    pub tau: Option<u32>,
}

/// One phase of the gradient for one chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The visible layer is clamped to a data vector: E over p(h | v).
    Positive,
    /// Everything is free: E over p(v, h).
    Negative,
}

impl Estimator {
    /// Runs one phase and shows `observe` weighted states, whose weighted sum of f(state) estimates `E[f]`.
    ///
    /// `visible` is the packed data vector. Contrastive divergence starts there in both phases (its negative phase from
    /// a hidden sample of K clamped sweeps); the others use it in the positive phase only. `clamp` must clamp at least
    /// the visible layer in the positive phase.
    ///
    /// In the negative phase of an estimator with persistent chains, `visible` is the whole packed state of the chain, as
    /// the last update left it (units that it leaves out are off); the one state that `observe` is shown is where it goes
    /// on.
    ///
    /// # Errors
    /// [`EstimateError`]; what was observed until then must be thrown away.
    ///
    /// # Panics
    /// In the positive phase of mean-field, which runs no chain.
    #[expect(clippy::too_many_arguments, reason = "one call with everything that a phase is made of")]
    pub fn run<C: Connection, R: Rng + Clone>(
        &self,
        model: &Dbm<'_, C>,
        phase: Phase,
        visible: &[u32],
        clamp: &Clamp<'_>,
        buffers: &mut PairBuffer<C::Field>,
        rng: &mut R,
        mut observe: impl FnMut(&State<'_, C::Field>, f64),
    ) -> Result<PhaseReport, EstimateError> {
        let shape = model.shape();
        let (mut x, mut y) = (buffers.x.state(shape), buffers.y.state(shape));
        for state in [&mut x, &mut y] {
            state.words_mut()[..visible.len()].copy_from_slice(visible);
        }
        match *self {
            Self::Cd { k } => {
                let mask = visible_mask(shape);
                let data = Clamp::new(shape, &mask).expect("the mask has the shape's words");
                model.randomise(&mut x, &data, rng);
                sweeps(k, Block::Odd, model, &mut x, if phase == Phase::Positive { clamp } else { &data }, rng);
                if phase == Phase::Negative {
                    // Even first: the odd layers have just been drawn given the data, so the other order would spend
                    // half of the first sweep on drawing them again, and CD-1 would end with h of the data beside v of
                    // the model.
                    sweeps(k, Block::Even, model, &mut x, clamp, rng);
                }
                observe(&x, 1.0);
                Ok(PhaseReport::default())
            }
            Self::Pcd { k } | Self::MeanField { k } => {
                match phase {
                    Phase::Positive => {
                        assert!(matches!(self, Self::Pcd { .. }), "a mean field is no chain");
                        model.randomise(&mut x, clamp, rng);
                        sweeps(posterior_sweeps(shape, k), Block::Odd, model, &mut x, clamp, rng);
                    }
                    Phase::Negative => {
                        model.refresh(&mut x);
                        sweeps(k, Block::Odd, model, &mut x, clamp, rng);
                    }
                }
                observe(&x, 1.0);
                Ok(PhaseReport::default())
            }
            Self::Ucd { start, transition, second, horizon } => {
                let mut begin = |state: &mut State<'_, C::Field>| match start {
                    StartPolicy::Random => RandomStart.start(model, state, clamp, rng),
                    StartPolicy::LocalMode => LocalModeStart::default().start(model, state, clamp, rng),
                };
                let report = begin(&mut x)?;
                match second {
                    SecondStart::Same => y.copy_from(&x),
                    SecondStart::Independent => _ = begin(&mut y)?,
                }
                let pair = [&mut x, &mut y];
                let proposal = buffers.proposal.state(shape);
                let met = match transition {
                    TransitionPolicy::MetropolisHastings => {
                        let mut mh = MetropolisHastings::new(proposal);
                        horizon.estimate(model, &mut mh, pair, clamp, rng, &mut observe)?
                    }
                    TransitionPolicy::Mixture { mh } => {
                        let mut mixture = Mixture::new(mh.threshold(), proposal);
                        horizon.estimate(model, &mut mixture, pair, clamp, rng, &mut observe)?
                    }
                    TransitionPolicy::Gibbs => {
                        horizon.estimate(model, &mut Gibbs::default(), pair, clamp, rng, &mut observe)?
                    }
                };
                Ok(PhaseReport { search_sweeps: report.sweeps, tau: Some(met.tau) })
            }
        }
    }
}

/// Sweeps of a clamped chain that begins at random bits, of an estimator with K sweeps: one is exact where there is one
/// hidden layer.
pub(crate) fn posterior_sweeps(shape: &Shape, k: u32) -> u32 {
    if shape.layers() == 2 { 1 } else { k }
}

fn sweeps<C: Connection, R: Rng>(
    count: u32,
    first: Block,
    model: &Dbm<'_, C>,
    x: &mut State<'_, C::Field>,
    clamp: &Clamp<'_>,
    rng: &mut R,
) {
    (0..count).for_each(|_| Gibbs { first }.step(model, x, clamp, rng));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for name in ["ucd-lmi", "ucd-lmi-gibbs", "ucd-gibbs", "ucd-mh", "cd-1", "cd-12", "pcd", "pcd-2", "pcd-15"] {
            assert_eq!(name.parse::<Estimator>().unwrap().to_string(), name);
        }
        for name in ["ucd-lmi-mix-0.5", "ucd-mix-0.1", "ucd-lmi-mix-0.999", "ucd-mix-0.0001"] {
            assert_eq!(name.parse::<Estimator>().unwrap().to_string(), name);
        }
        assert_eq!("ucd-mix-.50".parse::<Estimator>().unwrap().to_string(), "ucd-mix-0.5");
        for name in ["mean-field", "mean-field-5"] {
            assert_eq!(name.parse::<Estimator>().unwrap().to_string(), name);
        }
        // One sweep is what the short names say.
        assert_eq!("pcd-1".parse(), Ok(Estimator::Pcd { k: 1 }));
        assert_eq!("mean-field-1".parse(), Ok(Estimator::MeanField { k: 1 }));
        let others =
            ["mean-field-0", "ucd-mix", "ucd-mix-0", "ucd-mix-1", "ucd-lmi-mix-1.5", "ucd-lmi-mix--0.5", "ucd-mix-nan"];
        for name in ["", "cd", "cd-0", "cd-", "pcd-0", "pcd-", "pcd-x", "pcd1", "PCD", "ucd"].into_iter().chain(others)
        {
            assert_eq!(name.parse::<Estimator>(), Err(UnknownEstimator(name.to_owned())));
        }
    }
}
