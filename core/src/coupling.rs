//! Unbiased estimates from coupled chains (Jacob, O'Leary, Atchadé 2020, with the lag of Biswas, Jacob, Vanetti 2019).
//!
//! Two chains x and y with the same starting distribution and the same transition run so that x is `lag` steps ahead:
//! x_{t+lag} and y_t move together. From the meeting time τ = min{t ≥ lag : x_t = y_{t−lag}} on they are equal, and
//!
//! H_l = f(x_l) + Σ_{j ≥ 1, l + j·lag < τ} [f(x_{l+j·lag}) − f(y_{l+(j−1)·lag})],
//! H_{k:m} = Σ_{l=k}^{m} H_l / (m − k + 1)
//!
//! has the expectation of f under the model, if τ has a finite mean. The estimate is a weighted sum of states, so it is
//! streamed: each state is shown once, with its weight, and nothing is stored.

use rand_core::Rng;

use crate::{
    connection::Connection,
    model::Dbm,
    state::{Clamp, State},
    transition::Transition,
};

/// Which estimator H_{k:m}, and how long to wait for a meeting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Horizon {
    /// Burn-in: the first step whose state counts.
    pub k: u32,
    /// The last step that starts an H_l; at least k.
    pub m: u32,
    /// Steps by which x is ahead of y; at least 1.
    pub lag: u32,
    /// Last step at which the chains may meet.
    pub cap: u32,
}

impl Default for Horizon {
    /// H_0 with lag 1, as in the paper, and at most 100,000 steps.
    fn default() -> Self {
        Self { k: 0, m: 0, lag: 1, cap: 100_000 }
    }
}

/// When the chains met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MeetingTime {
    /// τ = min{t ≥ lag : x_t = y_{t−lag}}.
    pub tau: u32,
}

/// Why there is no estimate. What was observed until then must be thrown away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum CouplingError {
    /// The chains had not met after `cap` steps. To leave such runs out makes the rest biased: count them.
    CapHit {
        /// Steps allowed.
        cap: u32,
    },
    /// The horizon needs k ≤ m and lag ≥ 1.
    Horizon {
        /// What was asked for.
        horizon: Horizon,
    },
}

#[cfg(feature = "defmt")]
impl defmt::Format for Horizon {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "k {} m {} lag {} cap {}", self.k, self.m, self.lag, self.cap);
    }
}

impl core::fmt::Display for CouplingError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::CapHit { cap } => write!(f, "the chains had not met after {cap} steps"),
            Self::Horizon { horizon } => {
                write!(f, "expected k ≤ m and lag ≥ 1, found k {}, m {}, lag {}", horizon.k, horizon.m, horizon.lag)
            }
        }
    }
}

impl core::error::Error for CouplingError {}

impl Horizon {
    /// Runs the pair from its starting states x_0 and y_0, and shows `observe` every state that counts,
    /// with its weight: H_{k:m} of any f is the sum of weight × f(state).
    ///
    /// x_0 and y_0 must have the same distribution; they may be equal (the paper), or independent. After the meeting
    /// only x moves, and only until step m.
    ///
    /// ```
    /// use bitboltz_core::{
    ///     connection::Dense, coupling::Horizon, fixed::Scale, gibbs::Gibbs, model::DenseDbm, rng::stream,
    ///     start::{LocalModeStart, Start as _}, state::{Clamp, State},
    /// };
    ///
    /// let model = DenseDbm::new([Dense::new(&[1.0f32], 1, 1, 0).unwrap()], &[&[0.0], &[-0.5]], Scale::ONE)?;
    /// let (mut xw, mut xf, mut yw, mut yf) = ([0; 2], [0.0; 2], [0; 2], [0.0; 2]);
    /// let mut x = State::new(model.shape(), &mut xw, &mut xf)?;
    /// let mut y = State::new(model.shape(), &mut yw, &mut yf)?;
    ///
    /// // P(v = 1), from 2,000 chains that start at a local mode and need no burn-in.
    /// let (runs, mut on) = (2_000, 0.0);
    /// for chain in 0..runs {
    ///     let mut rng = stream(1, chain);
    ///     LocalModeStart::default().start(&model, &mut x, &Clamp::none(), &mut rng)?;
    ///     y.copy_from(&x);
    ///     let pair = [&mut x, &mut y];
    ///     Horizon::default().estimate(&model, &mut Gibbs::default(), pair, &Clamp::none(), &mut rng, |state, weight| {
    ///         on += weight * f64::from(state.layer(0)[0] as u8);
    ///     })?;
    /// }
    /// let e = |energy: f64| f64::exp(-energy);
    /// let exact = (e(0.0) + e(-0.5)) / (e(0.0) + e(-0.5) + e(0.0) + e(0.5));
    /// assert!((on / runs as f64 - exact).abs() < 0.06);
    /// # Ok::<(), Box<dyn core::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`CouplingError`].
    pub fn estimate<C: Connection, T: Transition<C>, R: Rng + Clone>(
        &self,
        model: &Dbm<'_, C>,
        transition: &mut T,
        [x, y]: [&mut State<'_, C::Field>; 2],
        clamp: &Clamp<'_>,
        rng: &mut R,
        mut observe: impl FnMut(&State<'_, C::Field>, f64),
    ) -> Result<MeetingTime, CouplingError> {
        if self.k > self.m || self.lag == 0 {
            return Err(CouplingError::Horizon { horizon: *self });
        }
        let mut tau = None;
        let mut t = 0;
        loop {
            if tau.is_none() && t >= self.lag && x.words() == y.words() {
                tau = Some(t);
            }
            let [of_x, of_y] = self.weights(t, tau.is_some());
            if of_x != 0.0 {
                observe(x, of_x);
            }
            if of_y != 0.0 {
                observe(y, of_y);
            }
            match tau {
                Some(tau) if t >= self.m => return Ok(MeetingTime { tau }),
                None if t >= self.cap => return Err(CouplingError::CapHit { cap: self.cap }),
                None if t >= self.lag => transition.step_pair(model, x, y, clamp, rng),
                _ => transition.step(model, x, clamp, rng),
            }
            t += 1;
        }
    }

    /// The weights in H_{k:m} of the states after step t: of x_t, and of y_{t−lag}, which is 0 once the chains have met.
    /// k must be at most m and the lag at least 1.
    pub fn weights(&self, t: u32, met: bool) -> [f64; 2] {
        let average = 1.0 / (f64::from(self.m) - f64::from(self.k) + 1.0);
        let correction = if met { 0.0 } else { f64::from(self.corrections(t)) };
        let own = if (self.k..=self.m).contains(&t) { 1.0 } else { 0.0 };
        [(own + correction) * average, -correction * average]
    }

    /// In how many of H_k, …, H_m the difference f(x_t) − f(y_{t−lag}) occurs: the l in k..=m with l ≤ t − lag and
    /// l ≡ t modulo the lag.
    fn corrections(&self, t: u32) -> u32 {
        let Some(last) = t.checked_sub(self.lag) else { return 0 };
        // The largest such l is `last` itself, or the first one at or below m in steps of the lag.
        let last = last.checked_sub((last.saturating_sub(self.m)).div_ceil(self.lag) * self.lag);
        last.and_then(|last| last.checked_sub(self.k)).map_or(0, |span| span / self.lag + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corrections_count_the_terms_of_the_definition() {
        for (k, m, lag) in [(0, 0, 1), (0, 5, 1), (3, 3, 2), (5, 10, 2), (1, 9, 3), (2, 4, 7)] {
            let horizon = Horizon { k, m, lag, cap: 0 };
            for t in 0..40 {
                let counted = (k..=m).filter(|l| l + lag <= t && (t - l) % lag == 0).count();
                assert_eq!(horizon.corrections(t) as usize, counted, "k {k} m {m} lag {lag} t {t}");
            }
        }
    }

    #[test]
    fn impossible_horizons_and_caps_are_errors() {
        use crate::{connection::Dense, fixed::Scale, gibbs::Gibbs, model::DenseDbm, rng::stream};
        extern crate std;
        use std::string::ToString as _;

        let model = DenseDbm::new([Dense::new(&[1i8], 1, 1, 0).unwrap()], &[&[0], &[0]], Scale::ONE).unwrap();
        let run = |horizon: Horizon| {
            let (mut a, mut b, mut c, mut d) = ([0; 2], [0; 2], [0; 2], [0; 2]);
            let mut x = State::new(model.shape(), &mut a, &mut b).unwrap();
            let mut y = State::new(model.shape(), &mut c, &mut d).unwrap();
            model.refresh(&mut x);
            model.refresh(&mut y);
            let (mut gibbs, clamp) = (Gibbs::default(), Clamp::none());
            horizon.estimate(&model, &mut gibbs, [&mut x, &mut y], &clamp, &mut stream(3, 0), |_, _| ())
        };
        let horizon = Horizon { k: 2, m: 1, lag: 1, cap: 9 };
        let error = run(horizon).unwrap_err();
        assert_eq!(error.to_string(), "expected k ≤ m and lag ≥ 1, found k 2, m 1, lag 1");
        let horizon = Horizon { k: 0, lag: 0, ..horizon };
        assert_eq!(run(horizon), Err(CouplingError::Horizon { horizon }));
        let error = run(Horizon { k: 0, m: 0, lag: 5, cap: 4 }).unwrap_err();
        assert_eq!(
            (error, error.to_string().as_str()),
            (CouplingError::CapHit { cap: 4 }, "the chains had not met after 4 steps")
        );
        assert!(run(Horizon { k: 0, m: 3, lag: 5, cap: u32::MAX }).unwrap().tau >= 5);
    }
}
