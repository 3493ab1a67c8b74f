//! Which estimator meets when on a given machine, and what its estimates are worth: for random and for trained machines.

use bitboltz_core::{
    bits::count_ones,
    connection::Connection,
    coupling::Horizon,
    model::Dbm,
    rng::stream,
    start::{LocalModeStart, Start as _},
    state::{Clamp, State},
};
use rayon::prelude::*;
use serde::Serialize;

use super::variant::Variant;
use crate::{
    batch::{ChainWeights, TileWeight},
    chain::{ChainBuffer, PairBuffer, visible_mask},
    estimator::{Estimator, Phase, TransitionPolicy},
    paper::summary::{Share, Summary},
};

/// What is run on a machine.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Plan {
    /// Pairs of each estimator in each phase.
    pub pairs: usize,
    /// Last step at which a pair may meet.
    pub cap: u32,
}

/// One estimator in one phase on one machine. The function whose expectation is estimated is the number of units that are
/// on: visible ones in the free phase, those of the first hidden layer in the clamped phase.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The machine.
    pub machine: String,
    /// Units of all layers.
    pub units: usize,
    /// `clamped` or `free`.
    pub phase: &'static str,
    /// The estimator.
    pub estimator: String,
    /// Whether its steps are Gibbs sweeps, always or sometimes.
    pub takes_sweeps: bool,
    /// Pairs that were run.
    pub pairs: usize,
    /// Share of τ = 1.
    pub p_tau_1: Share,
    /// τ, with the cap in place of what was not reached.
    pub tau: Summary,
    /// Last step at which a pair could meet.
    pub cap: u32,
    /// Pairs that had not met at the cap.
    pub cap_hits: usize,
    /// The estimates of the pairs that met; those that did not are left out, which makes the rest biased.
    pub estimate: Option<Summary>,
    /// Steps of both chains, mean over the pairs; those of the search are not in it.
    pub mean_steps: f64,
}

/// The estimator that a machine is best estimated by, in one phase.
#[derive(Clone, Debug, Serialize)]
pub struct Choice {
    /// The machine.
    pub machine: String,
    /// Units of all layers.
    pub units: usize,
    /// `clamped` or `free`.
    pub phase: &'static str,
    /// The one of the least cost, of those that take Gibbs sweeps and whose pairs all met.
    pub best: Option<Cost>,
    /// Coupled Gibbs from a local mode, y₀ = x₀, without burn-in, if its pairs all met.
    pub plain: Option<Cost>,
    /// Its pairs that had not met.
    pub plain_cap_hits: usize,
    /// Its pairs.
    pub pairs: usize,
}

/// What a mean of estimates takes.
#[derive(Clone, Debug, Serialize)]
pub struct Cost {
    /// The estimator.
    pub estimator: String,
    /// Mean τ.
    pub mean_tau: f64,
    /// Variance of one estimate times its steps, those of the search left out.
    pub steps: f64,
}

/// The best estimator of every machine in each phase. Metropolis-Hastings alone does not take part: its proposals are rejected
/// from a mode, and from random bits only the first ones are not, so its pairs meet soon and its estimates vary little,
/// while the rare long couplings that would correct them are not seen.
///
/// # Panics
/// If a machine was not mapped with coupled Gibbs from a local mode.
pub fn choices(rows: &[Row]) -> Vec<Choice> {
    let cost = |row: &Row| {
        let sd = row.estimate.filter(|_| row.cap_hits == 0 && row.takes_sweeps)?.sd;
        let steps = sd * sd * row.mean_steps;
        (steps > 0.0).then(|| Cost { estimator: row.estimator.clone(), mean_tau: row.tau.mean, steps })
    };
    let plain = Variant::new("ucd-lmi-gibbs").to_string();
    let of = |rows: &[Row]| {
        let base = rows.iter().find(|row| row.estimator == plain).expect("a row of coupled Gibbs");
        Choice {
            machine: base.machine.clone(),
            units: base.units,
            phase: base.phase,
            best: rows.iter().filter_map(cost).min_by(|a, b| a.steps.total_cmp(&b.steps)),
            plain: cost(base),
            plain_cap_hits: base.cap_hits,
            pairs: base.pairs,
        }
    };
    rows.chunk_by(|a, b| (&a.machine, a.phase) == (&b.machine, b.phase)).map(of).collect()
}

/// Uniform proposals from the paper's start on one machine.
#[derive(Clone, Debug, Serialize)]
pub struct Proposals {
    /// The machine.
    pub machine: String,
    /// log acceptance ratios, in the free phase.
    pub log_ratio: Summary,
}

/// Measures the acceptance ratios of so many proposals.
pub fn proposals<W: TileWeight>(machine: &str, weights: &ChainWeights<W>, count: usize, seed: u64) -> Proposals {
    let model = weights.dbm().expect("the numbers of a model");
    let shape = *model.shape();
    // No chain of a map has this seed.
    let seed = seed.rotate_left(24) ^ 0x70_72_6F_70;
    let ratio = |[start, proposal]: &mut [ChainBuffer<W::Field>; 2], number: usize| {
        let (mut x, mut y) = (start.state(&shape), proposal.state(&shape));
        let mut rng = stream(seed, number as u64);
        // A search that hits its cap leaves a state that is nearly a mode.
        let _ = LocalModeStart::default().start(&model, &mut x, &Clamp::none(), &mut rng);
        model.randomise(&mut y, &Clamp::none(), &mut rng);
        model.real_energy(&x) - model.real_energy(&y)
    };
    let buffers = || [ChainBuffer::new(&shape), ChainBuffer::new(&shape)];
    let ratios: Vec<f64> = (0..count).into_par_iter().map_init(buffers, ratio).collect();
    Proposals { machine: machine.to_owned(), log_ratio: Summary::of(ratios).expect("at least one proposal") }
}

/// The estimators and horizons that are compared.
fn variants(cap: u32) -> Vec<Variant> {
    let with = |name, k, m| Variant::new(name).with_horizon(Horizon { k, m, lag: 1, cap });
    vec![
        with("ucd-lmi", 0, 0),
        with("ucd-mh", 0, 0),
        with("ucd-gibbs", 0, 0),
        with("ucd-lmi-gibbs", 0, 0),
        with("ucd-lmi-gibbs", 0, 0).independent(),
        with("ucd-lmi-mix-0.1", 0, 0),
        with("ucd-lmi-gibbs", 10, 10),
        with("ucd-lmi-gibbs", 10, 100),
    ]
}

/// Maps a machine. Data vectors for the clamped phase are the machine's own: what its generator (random bits, local mode,
/// one sweep) shows, one for each pair. `done` is told of each row.
pub fn run<W: TileWeight>(
    machine: &str,
    weights: &ChainWeights<W>,
    plan: &Plan,
    seed: u64,
    done: &(dyn Fn(u64) + Sync),
) -> Vec<Row> {
    let model = weights.dbm().expect("the numbers of a model");
    let shape = *model.shape();
    let mask = visible_mask(&shape);
    let data = Clamp::new(&shape, &mask).expect("the mask has the shape's words");
    let visible = generate(&model, plan.pairs, seed);
    let mut rows = Vec::new();
    for (phase, clamp, name, layer) in
        [(Phase::Positive, data, "clamped", 1), (Phase::Negative, Clamp::none(), "free", 0)]
    {
        for (index, variant) in variants(plan.cap).into_iter().enumerate() {
            let seed = seed.rotate_left(24) ^ (2 * index as u64 + phase as u64 + 1);
            let one = |buffers: &mut PairBuffer<W::Field>, pair: usize| {
                let (mut estimate, mut rng) = (0.0, stream(seed, pair as u64));
                let observe = |state: &State<'_, W::Field>, weight: f64| {
                    estimate += weight * f64::from(count_ones(state.layer_words(layer)));
                };
                let met = variant.estimator.run(&model, phase, &visible[pair], &clamp, buffers, &mut rng, observe);
                met.ok().and_then(|report| Some((report.tau?, estimate)))
            };
            let found: Vec<Option<(u32, f64)>> =
                (0..plan.pairs).into_par_iter().map_init(|| PairBuffer::new(&shape), one).collect();
            rows.push(row(machine, shape.units(), name, &variant, plan, &found));
            done(1);
        }
    }
    rows
}

/// Rows of a map: for [`run`]'s progress.
pub fn rows() -> u64 {
    2 * variants(1).len() as u64
}

fn row(
    machine: &str,
    units: usize,
    phase: &'static str,
    variant: &Variant,
    plan: &Plan,
    found: &[Option<(u32, f64)>],
) -> Row {
    let some = "at least one pair was run";
    let last = match variant.estimator {
        Estimator::Ucd { horizon, .. } => horizon.m,
        _ => 0,
    };
    // x moves until the meeting and until m, y until the meeting, one step behind.
    let steps = |tau: u32| f64::from(tau.max(last)) + f64::from(tau) - 1.0;
    let tau = |met: &Option<(u32, f64)>| met.map_or(plan.cap, |(tau, _)| tau);
    Row {
        machine: machine.to_owned(),
        units,
        phase,
        estimator: variant.to_string(),
        takes_sweeps: !matches!(
            variant.estimator,
            Estimator::Ucd { transition: TransitionPolicy::MetropolisHastings, .. }
        ),
        pairs: found.len(),
        p_tau_1: Share::of(found.iter().flatten().filter(|(tau, _)| *tau == 1).count(), found.len()).expect(some),
        tau: Summary::of(found.iter().map(|met| f64::from(tau(met)))).expect(some),
        cap: plan.cap,
        cap_hits: found.iter().filter(|met| met.is_none()).count(),
        estimate: Summary::of(found.iter().flatten().map(|(_, estimate)| *estimate)),
        mean_steps: found.iter().map(|met| steps(tau(met))).sum::<f64>() / found.len() as f64,
    }
}

/// Visible layers that a machine's generator shows.
fn generate<C>(model: &Dbm<'_, C>, count: usize, seed: u64) -> Vec<Vec<u32>>
where
    C: Connection<Field: Send + Sync> + Sync,
{
    let shape = model.shape();
    let one = |buffer: &mut ChainBuffer<C::Field>, number: usize| {
        let mut state = buffer.state(shape);
        // A search that hits its cap leaves random bits that are nearly a mode: a data vector like any other.
        let _ = LocalModeStart::default().start(model, &mut state, &Clamp::none(), &mut stream(!seed, number as u64));
        state.layer_words(0).to_vec()
    };
    (0..count).into_par_iter().map_init(|| ChainBuffer::new(shape), one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_estimator_is_one_whose_pairs_meet_by_sweeps() {
        let row = |estimator: &str, estimates: &[f64], cap_hits: usize, steps: f64| Row {
            machine: "m".to_owned(),
            units: 6,
            phase: "free",
            estimator: estimator.to_owned(),
            takes_sweeps: estimator.contains("gibbs"),
            pairs: 100,
            p_tau_1: Share::of(40, 100).unwrap(),
            tau: Summary::of([2.0, 4.0]).unwrap(),
            cap: 9,
            cap_hits,
            estimate: Summary::of(estimates.iter().copied()),
            mean_steps: steps,
        };
        // Variances of 2, 0.5 and 0.02.
        let (plain, random) = (row("ucd-lmi-gibbs", &[1.0, 3.0], 0, 5.0), row("ucd-gibbs", &[1.0, 2.0], 0, 30.0));
        let (still, lost) = (row("ucd-mh", &[1.0, 1.2], 0, 1.0), row("ucd-lmi-gibbs, H_5", &[1.0, 1.2], 1, 1.0));
        let found = choices(&[still, random, plain.clone(), lost]);
        let [Choice { best: Some(best), plain: Some(base), plain_cap_hits: 0, .. }] = &found[..] else {
            panic!("{found:?}")
        };
        assert_eq!((best.estimator.as_str(), base.estimator.as_str()), ("ucd-lmi-gibbs", "ucd-lmi-gibbs"));
        assert!((best.steps - 10.0).abs() < 1e-12 && best.mean_tau == 3.0);
        // Other machines and phases are told apart.
        let other = Row { phase: "clamped", ..plain.clone() };
        let none = Row { machine: "n".to_owned(), cap_hits: 3, ..plain.clone() };
        let found = choices(&[plain, other, none]);
        let phases: Vec<_> = found.iter().map(|choice| (choice.machine.as_str(), choice.phase)).collect();
        assert_eq!(phases, [("m", "free"), ("m", "clamped"), ("n", "free")]);
        assert!(found[2].best.is_none() && found[2].plain_cap_hits == 3);
    }

    /// Without weights all states have the same energy; with them a proposal is far above a mode.
    #[test]
    fn proposals_are_compared_with_modes() {
        let ratios = |std| {
            let parameters = crate::eval::random::random_parameters(&[30, 20, 10], std, 0.0, 3).unwrap();
            proposals("m", &ChainWeights::new(&parameters.dbm().unwrap()), 50, 1).log_ratio
        };
        assert_eq!((ratios(0.0).min, ratios(0.0).max), (0.0, 0.0));
        assert!(ratios(1.0).max < -20.0, "{:?}", ratios(1.0));
    }
}
