//! Enumeration: log Z, probabilities, expectations and the gradient of log p(v) of machines of up to 24 units.
//!
//! Written from the formulas, in `f64` and with `f64::exp`, and sharing nothing with the core but the parameters that
//! it reads: E(x) = − Σ_l b_l·x_l − Σ_l x_lᵀ W_l x_{l+1}, p(x) ∝ exp(−E(x)). So it can serve as the core's oracle.
//!
//! A state is a *code*: bit i is unit i, the layers one after the other, visible layer first.

use bitboltz_core::{connection::Connection, model::Dbm, rng::Rng, shape::Shape, state::State, weights::Field};
use thiserror::Error;

use super::layout::Layout;

/// Most units of a machine that is enumerated: 2²⁴ states take some seconds.
pub const LIMIT: usize = 24;

/// The machine has too many states to enumerate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{units} units are too many to enumerate: the limit is {limit}")]
pub struct TooLarge {
    /// Units of the machine.
    pub units: usize,
    /// Most units allowed.
    pub limit: usize,
}

/// Units that are held at given values; the distribution is that of the others given these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// The units that are held.
    pub mask: u32,
    /// Their values; bits outside the mask do not matter.
    pub values: u32,
}

impl Given {
    /// Every unit is free.
    pub const NOTHING: Self = Self { mask: 0, values: 0 };

    /// The visible layer is held at `visible`.
    pub fn visible(shape: &Shape, visible: u32) -> Self {
        Self { mask: low_bits(shape.width(0)), values: visible }
    }
}

/// Expectations under p(free units | held units).
#[derive(Clone, Debug, PartialEq)]
pub struct Expectations {
    /// Log of the sum of exp(−E) over the states that agree with the held units.
    pub log_z: f64,
    /// ⟨x_l x_{l+1}ᵀ⟩ and ⟨x_l⟩ in the order of [`Layout`].
    pub statistics: Vec<f64>,
}

/// A machine of at most [`LIMIT`] units, with real parameters.
#[derive(Clone, Debug)]
pub struct Oracle {
    layout: Layout,
    /// First unit of each layer.
    first: Vec<usize>,
    biases: Vec<f64>,
    /// For each unit, its neighbours' weights: a full row over all units, zero for the rest.
    rows: Vec<Vec<f64>>,
}

impl Oracle {
    /// Reads a machine's parameters as real numbers.
    ///
    /// # Errors
    /// [`TooLarge`].
    pub fn new<C: Connection>(model: &Dbm<'_, C>) -> Result<Self, TooLarge> {
        let shape = model.shape();
        let units = shape.units();
        if units > LIMIT {
            return Err(TooLarge { units, limit: LIMIT });
        }
        let first: Vec<usize> = (0..shape.layers()).map(|l| shape.unit_range(l).start).collect();
        let scale = model.scale();
        let biases = model.biases().iter().flat_map(|bias| bias.iter()).map(|b| b.to_real(scale)).collect();
        let mut rows = vec![vec![0.0; units]; units];
        for (l, connection) in model.connections().iter().enumerate() {
            for i in 0..connection.lower() {
                for j in 0..connection.upper() {
                    let weight = connection.weight(i, j).to_real(scale);
                    rows[first[l] + i][first[l + 1] + j] = weight;
                    rows[first[l + 1] + j][first[l] + i] = weight;
                }
            }
        }
        Ok(Self { layout: Layout::new(shape), first, biases, rows })
    }

    /// The layer widths.
    pub fn shape(&self) -> &Shape {
        self.layout.shape()
    }

    /// Where each parameter lies in the vectors that this returns.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Units of all layers.
    pub fn units(&self) -> usize {
        self.biases.len()
    }

    /// E(x), from the definition.
    pub fn energy(&self, code: u32) -> f64 {
        let mut sum = 0.0;
        for i in ones(code) {
            sum += self.biases[i];
            // Each pair once.
            sum += ones(code & !low_bits(i + 1)).map(|j| self.rows[i][j]).sum::<f64>();
        }
        -sum
    }

    /// a_i = b_i + Σ_j W_ij x_j.
    pub fn field(&self, code: u32, unit: usize) -> f64 {
        self.biases[unit] + ones(code).map(|j| self.rows[unit][j]).sum::<f64>()
    }

    /// p(x_i = 1 | the other units) from the energies of both states: no sigmoid.
    pub fn conditional(&self, code: u32, unit: usize) -> f64 {
        let (off, on) = (self.energy(code & !(1 << unit)), self.energy(code | 1 << unit));
        1.0 / (1.0 + (on - off).exp())
    }

    /// Log of the sum of exp(−E) over all states that agree with `given`; with nothing given, log Z.
    pub fn log_z(&self, given: Given) -> f64 {
        let lowest = self.lowest(given).1;
        let mut sum = 0.0;
        self.visit(given, |_, energy| sum += (lowest - energy).exp());
        sum.ln() - lowest
    }

    /// log p(v): log Z with the visible layer held, minus log Z.
    pub fn log_likelihood(&self, visible: u32) -> f64 {
        self.log_z(Given::visible(self.shape(), visible)) - self.log_z(Given::NOTHING)
    }

    /// A state of lowest energy among those that agree with `given`, and its energy.
    pub fn lowest(&self, given: Given) -> (u32, f64) {
        let mut lowest = (0, f64::INFINITY);
        self.visit(given, |code, energy| {
            if energy < lowest.1 {
                lowest = (code, energy);
            }
        });
        lowest
    }

    /// Expectations of the units and of the connected pairs.
    pub fn expectations(&self, given: Given) -> Expectations {
        let lowest = self.lowest(given).1;
        let units = self.units();
        let mut sum = 0.0;
        let mut pairs = vec![0.0; units * units];
        self.visit(given, |code, energy| {
            let weight = (lowest - energy).exp();
            sum += weight;
            // Row i also counts (i, i), whose mean is that of unit i.
            for i in ones(code) {
                for j in ones(code & !low_bits(i)) {
                    pairs[i * units + j] += weight;
                }
            }
        });
        let mut statistics = vec![0.0; self.layout.len()];
        for (l, &lower) in self.first.iter().enumerate() {
            for (i, at) in self.layout.biases(l).enumerate() {
                statistics[at] = pairs[(lower + i) * units + lower + i] / sum;
                for j in 0..self.shape().width(l + 1) {
                    statistics[self.layout.weight(l, i, j)] = pairs[(lower + i) * units + self.first[l + 1] + j] / sum;
                }
            }
        }
        Expectations { log_z: sum.ln() - lowest, statistics }
    }

    /// ∂ log p(v) / ∂θ = E over p(h | v) of −∂E/∂θ, minus the same over p(v, h).
    pub fn gradient(&self, visible: u32) -> Vec<f64> {
        let clamped = self.expectations(Given::visible(self.shape(), visible)).statistics;
        let free = self.expectations(Given::NOTHING).statistics;
        clamped.iter().zip(&free).map(|(clamped, free)| clamped - free).collect()
    }

    /// All states that agree with `given`, with their probabilities.
    pub fn distribution(&self, given: Given) -> Distribution {
        let lowest = self.lowest(given).1;
        let mut codes = Vec::new();
        let mut probabilities = Vec::new();
        self.visit(given, |code, energy| {
            codes.push(code);
            probabilities.push((lowest - energy).exp());
        });
        let sum: f64 = probabilities.iter().sum();
        let mut cumulative = 0.0;
        let cumulative = probabilities
            .iter_mut()
            .map(|p| {
                *p /= sum;
                cumulative += *p;
                cumulative
            })
            .collect();
        Distribution { codes, probabilities, cumulative }
    }

    /// Shows every state that agrees with `given`, with its energy, in an order in which one unit flips at a time (a
    /// Gray code), so that a state costs one update of the fields.
    fn visit(&self, given: Given, mut show: impl FnMut(u32, f64)) {
        let all = low_bits(self.units());
        let free: Vec<usize> = ones(all & !given.mask).collect();
        let mut code = given.values & given.mask & all;
        let (mut fields, mut energy) = (vec![0.0; self.units()], 0.0);
        for step in 0..1u32 << free.len() {
            // Now and then afresh, so that rounding errors cannot add up.
            if step % 4096 == 0 {
                fields.iter_mut().enumerate().for_each(|(unit, field)| *field = self.field(code, unit));
                energy = self.energy(code);
            }
            show(code, energy);
            if let Some(&unit) = free.get((step + 1).trailing_zeros() as usize) {
                code ^= 1 << unit;
                let sign = if code >> unit & 1 == 1 { 1.0 } else { -1.0 };
                energy -= sign * fields[unit];
                fields.iter_mut().zip(&self.rows[unit]).for_each(|(field, weight)| *field += sign * weight);
            }
        }
    }
}

/// Probabilities of all states that agree with some held units.
#[derive(Clone, Debug)]
pub struct Distribution {
    codes: Vec<u32>,
    probabilities: Vec<f64>,
    cumulative: Vec<f64>,
}

impl Distribution {
    /// The states, in no particular order.
    pub fn codes(&self) -> &[u32] {
        &self.codes
    }

    /// The states' probabilities.
    pub fn probabilities(&self) -> &[f64] {
        &self.probabilities
    }

    /// Draws a state's index, exactly from the distribution (to the 2⁻⁵³ of a double). Draws two words.
    pub fn sample<R: Rng>(&self, rng: &mut R) -> usize {
        let uniform = (rng.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64);
        self.cumulative.partition_point(|&c| c <= uniform).min(self.codes.len() - 1)
    }
}

/// Writes a code into a state's bits. The fields must be refreshed.
///
/// # Panics
/// If the state has more than 32 units.
pub fn write_code<F: Field>(code: u32, state: &mut State<'_, F>) {
    let shape = *state.shape();
    assert!(shape.units() <= 32, "a code has 32 bits");
    for l in 0..shape.layers() {
        let units = shape.unit_range(l);
        state.words_mut()[shape.word_range(l).start] = (code >> units.start) & low_bits(units.len());
    }
}

/// A state's bits as a code.
///
/// # Panics
/// If the state has more than 32 units.
pub fn read_code<F: Field>(state: &State<'_, F>) -> u32 {
    let shape = state.shape();
    assert!(shape.units() <= 32, "a code has 32 bits");
    (0..shape.layers()).fold(0, |code, l| code | state.layer_words(l)[0] << shape.unit_range(l).start)
}

fn low_bits(count: usize) -> u32 {
    u32::MAX.checked_shl(count as u32).map_or(u32::MAX, |high| !high)
}

fn ones(code: u32) -> impl Iterator<Item = usize> {
    (0..u32::BITS as usize).filter(move |&i| code >> i & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::random::random_parameters;

    /// The same by brute force: every code, every energy from the definition.
    fn brute(oracle: &Oracle, given: Given) -> (f64, Vec<f64>) {
        let codes = (0..1u32 << oracle.units()).filter(|code| (code ^ given.values) & given.mask == 0);
        let (mut z, mut means) = (0.0, vec![0.0; oracle.units()]);
        for code in codes {
            let weight = (-oracle.energy(code)).exp();
            z += weight;
            ones(code).for_each(|i| means[i] += weight);
        }
        (z.ln(), means.iter().map(|m| m / z).collect())
    }

    #[test]
    fn gray_order_agrees_with_brute_force() {
        // 15 units: more states than are visited between two fresh starts.
        let parameters = random_parameters(&[6, 5, 4], 1.0, 1.0, 1).unwrap();
        let oracle = Oracle::new(&parameters.dbm().unwrap()).unwrap();
        for given in [Given::NOTHING, Given::visible(oracle.shape(), 0b10_1101), Given { mask: 0b1000_0010, values: 2 }]
        {
            let (log_z, means) = brute(&oracle, given);
            let found = oracle.expectations(given);
            assert!((found.log_z - log_z).abs() < 1e-9 && (oracle.log_z(given) - log_z).abs() < 1e-9);
            for (l, range) in (0..3).map(|l| (l, oracle.shape().unit_range(l))) {
                for (at, unit) in oracle.layout().biases(l).zip(range) {
                    assert!((found.statistics[at] - means[unit]).abs() < 1e-9);
                }
            }
            let distribution = oracle.distribution(given);
            assert_eq!(distribution.codes().len(), 1 << (15 - given.mask.count_ones()));
            for (&code, p) in distribution.codes().iter().zip(distribution.probabilities()) {
                assert_eq!((code ^ given.values) & given.mask, 0);
                assert!((p - (-oracle.energy(code) - log_z).exp()).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn gradient_is_the_slope_of_the_log_likelihood() {
        let parameters = random_parameters(&[3, 2, 2], 0.7, 0.5, 3).unwrap();
        let oracle = Oracle::new(&parameters.dbm().unwrap()).unwrap();
        let gradient = oracle.gradient(0b011);
        let slope = |nudge: &dyn Fn(&mut Oracle, f64)| {
            let [up, down] = [1e-5, -1e-5].map(|step| {
                let mut moved = oracle.clone();
                nudge(&mut moved, step);
                moved.log_likelihood(0b011)
            });
            (up - down) / 2e-5
        };
        for l in 0..3 {
            for (i, at) in oracle.layout().biases(l).enumerate() {
                let unit = oracle.first[l] + i;
                assert!((slope(&|o, step| o.biases[unit] += step) - gradient[at]).abs() < 1e-8);
                for j in 0..oracle.shape().width(l + 1) {
                    let other = oracle.first[l + 1] + j;
                    let found = slope(&|o, step| {
                        o.rows[unit][other] += step;
                        o.rows[other][unit] += step;
                    });
                    assert!((found - gradient[oracle.layout().weight(l, i, j)]).abs() < 1e-8);
                }
            }
        }
    }

    #[test]
    fn large_machines_are_refused() {
        let parameters = random_parameters(&[12, 13], 1.0, 0.0, 1).unwrap();
        let error = Oracle::new(&parameters.dbm().unwrap()).unwrap_err();
        assert_eq!(error, TooLarge { units: 25, limit: LIMIT });
    }
}
