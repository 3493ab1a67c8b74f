//! `toy`: machines with random weights, from 6 units to 30,000.
//!
//! | file | holds |
//! |---|---|
//! | [`widths`] | sweeps of the search and meeting times against the width, run by [`meeting`] |
//! | [`small`] | bias and variance against enumeration |
//! | [`map`] | meeting times, estimates and their cost on any machine, trained ones too |
//! | [`variant`] | estimators with their horizons, by name |
//! | `text` | the report and its plots |

pub mod map;
pub mod meeting;
pub mod small;
mod text;
pub mod variant;
pub mod widths;

use serde::Serialize;

use self::widths::Scale;
use super::{Outcome, PaperError, Repeat, Settings};
use crate::{batch::ChainWeights, eval::random::random_parameters, power_law::PowerLaw, with_model};

/// The scales of the weights: the paper's toy study draws them from N(0, 1). The first one's figures stand first.
pub const SCALES: [Scale; 3] = [Scale::fixed("1", 1.0), Scale::fixed("0.1", 0.1), Scale::ROOT];

/// What is run.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// Widths, ascending.
    pub widths: Vec<widths::Plan>,
    /// Machines that are enumerated.
    pub small: small::Plan,
    /// Widths of the machines that are mapped, and how.
    pub map: Vec<(usize, map::Plan)>,
    /// How trained machines are mapped.
    pub trained: map::Plan,
}

impl Plan {
    /// The night's version.
    pub fn full() -> Self {
        let width = |width, models, chains, gibbs_chains, mh_cap, gibbs_cap| widths::Plan {
            width,
            models,
            chains,
            gibbs_chains,
            mh_cap,
            gibbs_cap,
        };
        let map = |pairs, cap| map::Plan { pairs, cap };
        Self {
            widths: vec![
                width(10, 8, 128, 64, 10_000, 1000),
                width(20, 8, 128, 64, 10_000, 1000),
                width(50, 8, 64, 32, 10_000, 1000),
                width(100, 8, 64, 32, 10_000, 1000),
                width(200, 4, 64, 32, 3000, 1000),
                width(500, 4, 48, 16, 1000, 1000),
                width(1000, 3, 48, 16, 500, 500),
                width(2000, 2, 32, 8, 200, 300),
                width(5000, 2, 16, 4, 100, 100),
                width(10_000, 2, 8, 2, 50, 50),
            ],
            small: small::Plan { widths: &[2, 3, 4, 5, 6], weight_std: 1.0, models: 2, replicates: 4000, cap: 100_000 },
            map: vec![
                (2, map(1000, 10_000)),
                (3, map(1000, 10_000)),
                (5, map(1000, 10_000)),
                (10, map(500, 10_000)),
                (20, map(200, 3000)),
                (50, map(100, 1000)),
                (100, map(100, 1000)),
                (200, map(64, 500)),
                (400, map(32, 300)),
                (667, map(16, 300)),
            ],
            trained: map(100, 2000),
        }
    }

    /// One for a check that everything works.
    pub fn quick() -> Self {
        let width = |width, models, chains| widths::Plan {
            width,
            models,
            chains,
            gibbs_chains: 16,
            mh_cap: 300,
            gibbs_cap: 100,
        };
        let map = |pairs, cap| map::Plan { pairs, cap };
        Self {
            widths: vec![width(10, 2, 32), width(20, 2, 32), width(50, 2, 32), width(100, 2, 32), width(200, 2, 32)],
            small: small::Plan { widths: &[2, 3], weight_std: 1.0, models: 1, replicates: 500, cap: 10_000 },
            map: vec![(2, map(50, 300)), (5, map(50, 300)), (20, map(20, 100))],
            trained: map(20, 300),
        }
    }
}

/// The law of T at one scale.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Slope {
    /// The scale.
    pub scale: &'static str,
    /// T against the width, over all widths.
    pub all: PowerLaw,
    /// Over the larger half of the widths: a curve that bends has another slope there.
    pub upper: PowerLaw,
}

/// Everything that was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Results {
    /// Exponent of T against the width at the first scale.
    #[serde(rename = "slope_T")]
    pub slope_t: f64,
    /// Its standard error.
    #[serde(rename = "slope_T_standard_error")]
    pub slope_t_error: f64,
    /// Smallest width from which on P(τ = 1) of the paper's estimator was above 0.95 at the first scale.
    pub p_tau_1_above_95_from: Option<usize>,
    /// The law of T at each scale.
    pub slopes: Vec<Slope>,
    /// Each width at the first scale, then at the others.
    pub widths: Vec<widths::Row>,
    /// Against enumeration.
    pub enumerated: Vec<small::Row>,
    /// Random machines of many sizes.
    pub map: Vec<map::Row>,
    /// Trained machines.
    pub trained: Vec<map::Row>,
    /// The best estimator of each of all these machines.
    pub choices: Vec<map::Choice>,
    /// Uniform proposals on the trained ones.
    pub proposals: Vec<map::Proposals>,
}

/// Runs the experiment.
///
/// # Errors
/// [`PaperError::Json`].
pub fn run(settings: &Settings<'_>) -> Result<Outcome, PaperError> {
    let plan = if settings.quick { Plan::quick() } else { Plan::full() };
    let results = measure(&plan, settings);
    let (report, plots) = text::write(&plan, &results);
    Ok(Outcome {
        report,
        plots,
        pictures: Vec::new(),
        configuration: serde_json::to_value(&plan)?,
        results: serde_json::to_value(&results)?,
        repeat: Repeat::Command,
    })
}

/// Measures everything of a plan.
pub fn measure(plan: &Plan, settings: &Settings<'_>) -> Results {
    let seed = settings.seed;
    let machines: u64 = plan.widths.iter().map(|width| width.models * SCALES.len() as u64).sum();
    let mut rows = Vec::new();
    {
        let done = settings.stages.begin("machines of each width", machines);
        for width in &plan.widths {
            rows.extend(widths::run(width, &SCALES, seed, &done));
        }
    }
    // The first scale first.
    let order = |row: &widths::Row| SCALES.iter().position(|scale| scale.name == row.scale);
    rows.sort_by_key(order);
    let enumerated = {
        let estimators = small::variants(plan.small.cap).len() as u64;
        let total = estimators * plan.small.widths.len() as u64 * plan.small.models;
        small::run(&plan.small, seed, &settings.stages.begin("estimators against enumeration", total))
    };
    let mut map = Vec::new();
    {
        let done = settings.stages.begin("map of random machines", 2 * map::rows() * plan.map.len() as u64);
        for scale in [SCALES[0], SCALES[2]] {
            for (width, how) in &plan.map {
                let parameters = random_parameters(&[*width; 3], scale.std(*width), 0.0, seed ^ 0x6D_61_70);
                let parameters = parameters.expect("three layers");
                let weights = ChainWeights::new(&parameters.dbm().expect("finite weights"));
                let name = format!("{width}-{width}-{width}, weights of {}", scale.name);
                map.extend(map::run(&name, &weights, how, seed, &done));
            }
        }
    }
    let (mut trained, mut proposals) = (Vec::new(), Vec::new());
    {
        let done = settings.stages.begin("trained models", map::rows() * settings.models.len() as u64);
        for (name, file) in &settings.models {
            with_model!(file, model => {
                let weights = ChainWeights::new(&model);
                trained.extend(map::run(name, &weights, &plan.trained, seed, &done));
                proposals.push(map::proposals(name, &weights, plan.trained.pairs, seed));
            });
        }
    }
    let slopes = slopes(&rows);
    let first = slopes.first().map(|slope| slope.all);
    Results {
        slope_t: first.map_or(f64::NAN, |law| law.slope),
        slope_t_error: first.map_or(f64::NAN, |law| law.standard_error),
        p_tau_1_above_95_from: above_95_from(&rows),
        slopes,
        widths: rows,
        enumerated,
        choices: [&map, &trained].into_iter().flat_map(|rows| map::choices(rows)).collect(),
        map,
        trained,
        proposals,
    }
}

/// The law of T at each scale that has at least two widths.
fn slopes(rows: &[widths::Row]) -> Vec<Slope> {
    let law = |scale: &Scale| {
        let points: Vec<(f64, f64)> =
            rows.iter().filter(|row| row.scale == scale.name).map(|row| (row.width as f64, row.mean_t)).collect();
        let upper = &points[points.len() / 2..];
        Some(Slope { scale: scale.name, all: PowerLaw::through(&points)?, upper: PowerLaw::through(upper)? })
    };
    SCALES.iter().filter_map(law).collect()
}

/// The smallest width of the first scale from which on every width has P(τ = 1) above 0.95.
fn above_95_from(rows: &[widths::Row]) -> Option<usize> {
    let first = rows.iter().filter(|row| row.scale == SCALES[0].name);
    let mut from = None;
    for row in first {
        match row.p_tau_1 > 0.95 {
            true => from = from.or(Some(row.width)),
            false => from = None,
        }
    }
    from
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::Quiet;

    /// Small enough for a test, with every part in it.
    fn tiny() -> Plan {
        let width = |width| widths::Plan { width, models: 2, chains: 8, gibbs_chains: 4, mh_cap: 50, gibbs_cap: 20 };
        Plan {
            widths: vec![width(5), width(10), width(40), width(80)],
            small: small::Plan { widths: &[2], weight_std: 0.5, models: 1, replicates: 300, cap: 1000 },
            map: vec![(3, map::Plan { pairs: 10, cap: 50 })],
            trained: map::Plan { pairs: 10, cap: 50 },
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_numbers_and_another_seed_others() {
        let run = |seed, threads| {
            let settings = Settings { quick: true, seed, ..Settings::new(&Quiet) };
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            serde_json::to_string(&pool.install(|| measure(&tiny(), &settings))).unwrap()
        };
        let first = run(1, 1);
        assert!(first == run(1, 3), "threads changed a number");
        assert!(first != run(2, 1));
    }

    #[test]
    fn figures_are_of_what_they_say() {
        let settings = Settings { quick: true, seed: 1, ..Settings::new(&Quiet) };
        let found = measure(&tiny(), &settings);
        assert_eq!(found.widths.len(), 12);
        for row in &found.widths {
            assert!(row.t.count == 2 * (8 + 4) && row.mean_t >= 1.0, "{row:?}");
            assert_eq!((row.ucd_lmi.pairs, row.ucd_lmi_gibbs.pairs), (16, 8));
            assert!(row.ucd_mh.tau.max <= 50.0 && row.ucd_gibbs.tau.max <= 20.0);
        }
        // From a mode of 240 units a random proposal is far up at N(0, 1): nothing is accepted.
        let wide = &found.widths[3];
        assert!((wide.width, wide.p_tau_1, wide.mean_tau) == (80, 1.0, 1.0) && wide.log_ratio.max < -100.0, "{wide:?}");
        assert!(found.widths[4].scale == "0.1" && found.widths[8].weight_std == 1.0 / 5f64.sqrt());
        let law =
            PowerLaw::through(&found.widths[..4].iter().map(|row| (row.width as f64, row.mean_t)).collect::<Vec<_>>());
        assert_eq!(law.map(|law| (law.slope, law.points)), Some((found.slope_t, 4)));
        // No bias that 300 replicates could not have by chance, but for contrastive divergence.
        for row in found.enumerated.iter().filter(|row| row.estimator.starts_with("ucd")) {
            assert!(row.z_largest < 5.0, "{row:?}");
        }
        assert_eq!(found.map.len() as u64, 2 * map::rows());
        assert_eq!(found.choices.len(), 4);
    }

    #[test]
    fn the_width_from_which_on_nothing_moves() {
        let settings = Settings { quick: true, seed: 1, ..Settings::new(&Quiet) };
        let mut rows = measure(&tiny(), &settings).widths;
        for (shares, expected) in
            [([1.0; 4], Some(5)), ([0.9, 0.96, 0.94, 1.0], Some(80)), ([1.0, 1.0, 1.0, 0.9], None)]
        {
            rows.iter_mut().zip(shares).for_each(|(row, share)| row.p_tau_1 = share);
            assert_eq!(above_95_from(&rows), expected);
        }
    }
}
