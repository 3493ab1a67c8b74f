//! An estimator as the experiment runs it: one of the program's, or a mixture of its transitions.

use std::fmt;

use bitboltz_core::{
    connection::Connection,
    coupling::Horizon,
    mixture::Mixture,
    model::Dbm,
    rng::XorShiftRng,
    start::{LocalModeStart, RandomStart, Start as _},
    state::{Clamp, State},
};

use crate::{
    chain::PairBuffer,
    estimator::{EstimateError, Estimator, Phase, PhaseReport, SecondStart, StartPolicy},
};

/// What is run.
#[derive(Clone, Copy, Debug)]
pub enum Sampler {
    /// One of the program's estimators.
    Plain(Estimator),
    /// With probability p a Metropolis-Hastings step, else a Gibbs sweep; y_0 = x_0.
    Mixed {
        /// Where the pair starts.
        start: StartPolicy,
        /// p.
        p: f64,
        /// Which H_{k:m}.
        horizon: Horizon,
    },
}

impl Sampler {
    /// An estimator by its name.
    pub fn named(name: &str) -> Self {
        Self::Plain(name.parse().expect("a name of an estimator"))
    }

    /// A mixture from a local-mode start.
    pub fn mixed(p: f64) -> Self {
        Self::Mixed { start: StartPolicy::LocalMode, p, horizon: Horizon::default() }
    }

    /// The same with another horizon.
    pub fn with_horizon(self, horizon: Horizon) -> Self {
        match self {
            Self::Plain(estimator) => Self::Plain(estimator.with_horizon(horizon)),
            Self::Mixed { start, p, .. } => Self::Mixed { start, p, horizon },
        }
    }

    /// One phase of one chain, as [`Estimator::run`].
    ///
    /// # Errors
    /// [`EstimateError`].
    #[expect(clippy::too_many_arguments, reason = "those of `Estimator::run`")]
    pub fn run<C: Connection>(
        &self,
        model: &Dbm<'_, C>,
        phase: Phase,
        visible: &[u32],
        clamp: &Clamp<'_>,
        buffers: &mut PairBuffer<C::Field>,
        rng: &mut XorShiftRng,
        observe: impl FnMut(&State<'_, C::Field>, f64),
    ) -> Result<PhaseReport, EstimateError> {
        match *self {
            Self::Plain(estimator) => estimator.run(model, phase, visible, clamp, buffers, rng, observe),
            Self::Mixed { start, p, horizon } => {
                let shape = model.shape();
                let (mut x, mut y) = (buffers.x.state(shape), buffers.y.state(shape));
                x.words_mut()[..visible.len()].copy_from_slice(visible);
                let search = match start {
                    StartPolicy::Random => RandomStart.start(model, &mut x, clamp, rng)?,
                    StartPolicy::LocalMode => LocalModeStart::default().start(model, &mut x, clamp, rng)?,
                };
                y.copy_from(&x);
                // The nearest number of 2⁻³²ths.
                let threshold = (p * 4_294_967_296.0).round().min(f64::from(u32::MAX)) as u32;
                let mut mixture = Mixture::new(threshold, buffers.proposal.state(shape));
                let met = horizon.estimate(model, &mut mixture, [&mut x, &mut y], clamp, rng, observe)?;
                Ok(PhaseReport { search_sweeps: search.sweeps, tau: Some(met.tau) })
            }
        }
    }
}

impl fmt::Display for Sampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (horizon, independent) = match self {
            Self::Plain(estimator) => {
                write!(f, "{estimator}")?;
                match estimator {
                    Estimator::Ucd { horizon, second, .. } => (*horizon, *second == SecondStart::Independent),
                    _ => return Ok(()),
                }
            }
            Self::Mixed { start, p, horizon } => {
                write!(f, "ucd-{}mix-{p}", if *start == StartPolicy::LocalMode { "lmi-" } else { "" })?;
                (*horizon, false)
            }
        };
        if independent {
            f.write_str(", y₀ independent")?;
        }
        match (horizon.k, horizon.m) {
            (0, 0) => Ok(()),
            (k, m) if k == m => write!(f, ", H_{k}"),
            (k, m) => write!(f, ", H_{{{k}:{m}}}"),
        }
    }
}
