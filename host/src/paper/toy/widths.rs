//! Sweeps of the search and meeting times against the width, on machines with random weights.

use bitboltz_core::shape::Shape;
use serde::Serialize;

use super::meeting::{self, Meeting, Pairs};
use crate::{
    batch::ChainWeights,
    estimator::StartPolicy,
    eval::random::random_parameters,
    paper::summary::{Share, Summary},
};

/// How the standard deviation of the weights follows from the width.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Scale {
    /// Its name in tables.
    pub name: &'static str,
    factor: f64,
    by_root: bool,
}

impl Scale {
    /// The same for all widths.
    pub const fn fixed(name: &'static str, std: f64) -> Self {
        Self { name, factor: std, by_root: false }
    }

    /// 1/√n: fields keep their size.
    pub const ROOT: Self = Self { name: "1/√n", factor: 1.0, by_root: true };

    /// The standard deviation at a width.
    pub fn std(&self, width: usize) -> f64 {
        if self.by_root { self.factor / (width as f64).sqrt() } else { self.factor }
    }
}

/// How much is run at a width.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Plan {
    /// Units of each of the three layers.
    pub width: usize,
    /// Random machines.
    pub models: u64,
    /// Pairs of Metropolis-Hastings on each machine, for each start.
    pub chains: usize,
    /// Pairs of Gibbs on each machine, for each start.
    pub gibbs_chains: usize,
    /// Last step at which Metropolis-Hastings may meet.
    pub mh_cap: u32,
    /// Last step at which Gibbs may meet.
    pub gibbs_cap: u32,
}

/// Meeting times of one start and transition.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Tau {
    /// Pairs that were run.
    pub pairs: usize,
    /// Share of the pairs with τ = 1, with its 95 % interval.
    pub p_tau_1: Share,
    /// τ; a pair that hit the cap counts with the cap, so means and quantiles that reach it are lower bounds.
    pub tau: Summary,
    /// The cap.
    pub cap: u32,
    /// Pairs that had not met at the cap.
    pub cap_hits: usize,
}

/// One width at one scale.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Name of the scale.
    pub scale: &'static str,
    /// Standard deviation of the weights.
    pub weight_std: f64,
    /// Units of each layer.
    pub width: usize,
    /// Units of all layers.
    pub units: usize,
    /// Random machines.
    pub models: u64,
    /// Mean sweeps of the search.
    #[serde(rename = "mean_T")]
    pub mean_t: f64,
    /// Sweeps of the search: from random bits until nothing flips, the sweep that finds this included.
    #[serde(rename = "T")]
    pub t: Summary,
    /// P(τ = 1) of the paper's estimator.
    pub p_tau_1: f64,
    /// Mean τ of the paper's estimator; a lower bound where a pair hit the cap.
    pub mean_tau: f64,
    /// log acceptance ratio of a uniform proposal from the paper's start.
    pub log_ratio: Summary,
    /// The paper's estimator.
    pub ucd_lmi: Tau,
    /// Metropolis-Hastings from random bits.
    pub ucd_mh: Tau,
    /// Gibbs from the paper's start.
    pub ucd_lmi_gibbs: Tau,
    /// Gibbs from random bits.
    pub ucd_gibbs: Tau,
}

/// Runs a width at all scales. The largest machine of the full plan has 2·10⁸ weights: 800 MB as they are drawn and 1,600 MB
/// as the engine reads them, both ways round, in f32; one machine is held at a time.
/// `done` is told of each machine at each scale.
pub fn run(plan: &Plan, scales: &[Scale], seed: u64, done: &(dyn Fn(u64) + Sync)) -> Vec<Row> {
    let shape = Shape::new(&[plan.width; 3]).expect("three layers");
    let mut found: Vec<[Vec<Meeting>; 4]> = vec![Default::default(); scales.len()];
    for machine in 0..plan.models {
        // The same deviates at every scale, drawn once. A seed of its own for each width and machine.
        let seed = seed.wrapping_add(1000 * plan.width as u64 + machine);
        let mut parameters = random_parameters(&[plan.width; 3], 1.0, 0.0, seed).expect("three layers");
        let mut weights = ChainWeights::<f32>::zeros(&shape);
        let mut std = 1.0;
        for (index, (scale, found)) in scales.iter().zip(&mut found).enumerate() {
            let ratio = (scale.std(plan.width) / std) as f32;
            std = scale.std(plan.width);
            parameters.tensors_mut().0.iter_mut().flatten().for_each(|weight| *weight *= ratio);
            weights.copy_from(&parameters.dbm().expect("finite weights"));
            let pairs = |which: u64, count, start, cap| Pairs {
                count,
                seed: seed.rotate_left(32) ^ (4 * index as u64 + which),
                start,
                cap,
            };
            let (random, mode) = (StartPolicy::Random, StartPolicy::LocalMode);
            let runs = [
                meeting::metropolis_hastings(&weights, &pairs(0, plan.chains, mode, plan.mh_cap)),
                meeting::metropolis_hastings(&weights, &pairs(1, plan.chains, random, plan.mh_cap)),
                meeting::gibbs(&weights, &pairs(2, plan.gibbs_chains, mode, plan.gibbs_cap)),
                meeting::gibbs(&weights, &pairs(3, plan.gibbs_chains, random, plan.gibbs_cap)),
            ];
            found.iter_mut().zip(runs).for_each(|(all, run)| all.extend(run));
            done(1);
        }
    }
    scales.iter().zip(&found).map(|(scale, found)| row(plan, scale, found)).collect()
}

fn row(plan: &Plan, scale: &Scale, [lmi, mh, lmi_gibbs, gibbs]: &[Vec<Meeting>; 4]) -> Row {
    let some = "at least one pair was run";
    let sweeps = lmi.iter().chain(lmi_gibbs).filter_map(|met| met.sweeps).map(f64::from);
    let t = Summary::of(sweeps).expect(some);
    let ucd_lmi = tau(lmi, plan.mh_cap);
    Row {
        scale: scale.name,
        weight_std: scale.std(plan.width),
        width: plan.width,
        units: 3 * plan.width,
        models: plan.models,
        mean_t: t.mean,
        t,
        p_tau_1: ucd_lmi.p_tau_1.share,
        mean_tau: ucd_lmi.tau.mean,
        log_ratio: Summary::of(lmi.iter().filter_map(|met| met.log_ratio)).expect(some),
        ucd_lmi,
        ucd_mh: tau(mh, plan.mh_cap),
        ucd_lmi_gibbs: tau(lmi_gibbs, plan.gibbs_cap),
        ucd_gibbs: tau(gibbs, plan.gibbs_cap),
    }
}

fn tau(met: &[Meeting], cap: u32) -> Tau {
    let some = "at least one pair was run";
    Tau {
        pairs: met.len(),
        p_tau_1: Share::of(met.iter().filter(|met| met.tau == Some(1)).count(), met.len()).expect(some),
        tau: Summary::of(met.iter().map(|met| f64::from(met.tau.unwrap_or(cap)))).expect(some),
        cap,
        cap_hits: met.iter().filter(|met| met.tau.is_none()).count(),
    }
}
