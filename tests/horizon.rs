//! The streaming estimator against its definition, its meeting time, and its cap.

use bitboltz::{
    chain::PairBuffer,
    estimator::{EstimateError, Estimator, SecondStart},
    eval::{
        exact::read_code,
        replicates::{GradientRun, Runs},
    },
};
use bitboltz_core::{
    connection::Connection,
    coupling::{CouplingError, Horizon},
    model::{Dbm, DenseDbm},
    rng::{Rng, stream},
    state::{Clamp, State},
    transition::Transition,
};
use bitboltz_tests::{
    models::machine,
    transitions::{ALL, Kind},
};

/// Passes every step on, and keeps the states that it led to.
struct Recorder<T> {
    inner: T,
    x: Vec<u32>,
    y: Vec<u32>,
}

impl<C: Connection, T: Transition<C>> Transition<C> for Recorder<T> {
    fn step<R: Rng>(&mut self, model: &Dbm<'_, C>, x: &mut State<'_, C::Field>, clamp: &Clamp<'_>, rng: &mut R) {
        self.inner.step(model, x, clamp, rng);
        self.x.push(read_code(x));
    }

    fn step_pair<R: Rng + Clone>(
        &mut self,
        model: &Dbm<'_, C>,
        x: &mut State<'_, C::Field>,
        y: &mut State<'_, C::Field>,
        clamp: &Clamp<'_>,
        rng: &mut R,
    ) {
        self.inner.step_pair(model, x, y, clamp, rng);
        self.x.push(read_code(x));
        self.y.push(read_code(y));
    }
}

/// Any function of a state that is not linear in its bits.
fn f(code: u32) -> f64 {
    f64::from(code.wrapping_mul(2_654_435_761) >> 8)
}

#[test]
fn streamed_weights_are_those_of_the_definition() {
    let tensors = machine::<i8>(&[3, 3, 2], 1.0, 1);
    let model: DenseDbm<'_, i8> = tensors.dbm().unwrap();
    let shape = model.shape();
    let mut rng = stream(3, 0);
    let mut longest = 0;
    for kind in ALL {
        for (k, m) in [(0, 0), (0, 3), (2, 2), (1, 8), (7, 7)] {
            for lag in [1, 2, 3, 5] {
                let horizon = Horizon { k, m, lag, cap: 10_000 };
                for _ in 0..50 {
                    let mut buffers = PairBuffer::new(shape);
                    let (mut x, mut y) = (buffers.x.state(shape), buffers.y.state(shape));
                    let clamp = Clamp::none();
                    model.randomise(&mut x, &clamp, &mut rng);
                    model.randomise(&mut y, &clamp, &mut rng);
                    let (x0, y0) = (vec![read_code(&x)], vec![read_code(&y)]);
                    let mut recorder = Recorder { inner: kind.with(shape, &mut buffers.proposal), x: x0, y: y0 };
                    let mut streamed = 0.0;
                    let observe = |state: &State<'_, i32>, weight: f64| streamed += weight * f(read_code(state));
                    let met =
                        horizon.estimate(&model, &mut recorder, [&mut x, &mut y], &clamp, &mut rng, observe).unwrap();

                    let (x, y, lag, tau) = (&recorder.x, &recorder.y, lag as usize, met.tau as usize);
                    let first = (lag..x.len()).find(|&t| x[t] == y.get(t - lag).copied().unwrap_or(x[t]));
                    assert_eq!(first, Some(tau), "tau = min{{t ≥ lag : x_t = y_(t − lag)}}");
                    // Steps stop when both the meeting and step m are behind.
                    assert_eq!(x.len() - 1, tau.max(m as usize));
                    let h = |l: usize| {
                        let terms = (1..).map(|j| l + j * lag).take_while(|&t| t < tau);
                        f(x[l]) + terms.map(|t| f(x[t]) - f(y[t - lag])).sum::<f64>()
                    };
                    let defined = (k..=m).map(|l| h(l as usize)).sum::<f64>() / f64::from(m - k + 1);
                    assert!((streamed - defined).abs() < 1e-6 * defined.abs().max(1e6), "{streamed} {defined}");
                    longest = longest.max(tau);
                }
            }
        }
    }
    assert!(longest > 20, "no long coupling was seen");
}

#[test]
fn a_cap_that_is_hit_is_an_error_that_is_counted() {
    let tensors = machine::<i8>(&[3, 3, 2], 1.0, 1);
    let model = tensors.dbm().unwrap();
    let runs = Runs { replicates: 5000, seed: 1 };
    let replicate = |cap, lag| {
        let horizon = Horizon { cap, lag, ..Horizon::default() };
        let estimator = Estimator::UCD_LMI.with_horizon(horizon).with_second(SecondStart::Independent);
        GradientRun::new(estimator, &[0b101]).replicate(&model, runs).unwrap()
    };
    let whole = replicate(100_000, 1);
    assert_eq!((whole.kept, whole.positive.cap_hits, whole.negative.cap_hits), (5000, 0, 0));
    for cap in [1, 2, 5] {
        let capped = replicate(cap, 1);
        let hits = capped.positive.cap_hits + capped.negative.cap_hits;
        assert!(hits > 100);
        assert_eq!(capped.kept + hits, 5000);
        // The positive phases are the same runs, cut short.
        let later = whole.positive.tau.iter().filter(|&&tau| tau > cap).count();
        assert_eq!(capped.positive.cap_hits as usize, later);
        assert!(capped.negative.tau_max() <= Some(cap));
    }
    // Chains with a lag of 2 cannot meet at step 1.
    assert_eq!(replicate(1, 2).kept, 0);
}

#[test]
fn impossible_horizons_are_refused() {
    let tensors = machine::<i8>(&[3, 3], 1.0, 1);
    let model = tensors.dbm().unwrap();
    for horizon in [Horizon { k: 2, m: 1, ..Horizon::default() }, Horizon { lag: 0, ..Horizon::default() }] {
        let run = GradientRun { ..GradientRun::new(Estimator::UCD_LMI.with_horizon(horizon), &[0b101]) };
        let error = run.replicate(&model, Runs { replicates: 10, seed: 1 }).unwrap_err();
        assert_eq!(error, CouplingError::Horizon { horizon });
    }
    let error = EstimateError::from(CouplingError::CapHit { cap: 7 });
    assert_eq!(error.to_string(), "the chains had not met after 7 steps");
}

/// y_0 = x_0 and a rejected proposal: they have met at step 1, whatever the transition's tails are.
#[test]
fn metropolis_hastings_meets_at_once_when_it_rejects() {
    let tensors = machine::<i8>(&[3, 3], 1.0, 1);
    let model = tensors.dbm().unwrap();
    let shape = model.shape();
    let mut buffers = PairBuffer::new(shape);
    let (mut x, mut y) = (buffers.x.state(shape), buffers.y.state(shape));
    let mut mh = Kind::MetropolisHastings.with(shape, &mut buffers.proposal);
    let mut met = [0; 2];
    for chain in 0..1000 {
        let mut rng = stream(2, chain);
        model.randomise(&mut x, &Clamp::none(), &mut rng);
        y.copy_from(&x);
        let start = read_code(&x);
        let pair = [&mut x, &mut y];
        let mut first = None;
        let tau = Horizon::default()
            .estimate(&model, &mut mh, pair, &Clamp::none(), &mut rng, |state, _| {
                first = first.or(Some(read_code(state)));
            })
            .unwrap()
            .tau;
        assert_eq!(first, Some(start), "H_0 starts with f(x_0)");
        met[usize::from(tau == 1)] += 1;
    }
    assert!(met[0] > 50 && met[1] > 50, "{met:?}");
}
