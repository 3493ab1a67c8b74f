//! Energies: from the fields in O(units), directly from the weights as the oracle, and the free energy.

use super::Dbm;
use crate::{bits::WORD_BITS, connection::Connection, state::State, weights::Field as _};

/// The energy type of a connection's fields: `f64` for floats, `i64` for integers.
pub type Energy<C> = <<C as Connection>::Field as crate::weights::Field>::Energy;

impl<C: Connection> Dbm<'_, C> {
    /// E = −½ Σ_i x_i (a_i + b_i), from the state's fields. Integers give units of the model's scale.
    pub fn energy(&self, state: &State<'_, C::Field>) -> Energy<C> {
        let mut twice = Energy::<C>::default();
        for (l, bias) in self.biases().iter().enumerate() {
            let words = state.layer_words(l);
            for (unit, (field, bias)) in state.layer_fields(l).iter().zip(*bias).enumerate() {
                if words.get(unit / WORD_BITS).is_some_and(|word| word >> (unit % WORD_BITS) & 1 == 1) {
                    twice = C::Field::add_energy(twice, field.to_energy());
                    twice = C::Field::add_energy(twice, bias.to_energy());
                }
            }
        }
        C::Field::minus_half(twice)
    }

    /// E(x) as a real number: [`energy`](Self::energy) times the scale.
    pub fn real_energy(&self, state: &State<'_, C::Field>) -> f64 {
        C::Field::energy_to_real(self.energy(state), self.scale())
    }

    /// E(x) from the definition, weight by weight, without the fields: slow, and the oracle of the other. In real
    /// numbers.
    ///
    /// # Panics
    /// If a unit is on that the model does not have.
    pub fn direct_energy(&self, state: &State<'_, C::Field>) -> f64 {
        let mut sum = 0.0;
        for (l, bias) in self.biases().iter().enumerate() {
            for i in state.layer(l).iter_ones() {
                sum += bias[i].to_real(self.scale());
                if let Some(connection) = self.connections().get(l) {
                    sum += state
                        .layer(l + 1)
                        .iter_ones()
                        .map(|j| connection.weight(i, j).to_real(self.scale()))
                        .sum::<f64>();
                }
            }
        }
        -sum
    }

    /// Free energy F(v) = −b_0·v − Σ_j log(1 + exp(a_j)) of a machine with one hidden layer, so p(v) ∝ exp(−F(v)).
    /// The hidden fields must belong to the visible bits; the hidden bits do not matter. `None` for deeper machines,
    /// where the sum over the hidden units does not factor.
    ///
    /// In real numbers, with libm: a device without floating point should compare [`energy`](Self::energy) instead.
    ///
    /// # Panics
    /// If a visible unit is on that the model does not have.
    pub fn free_energy(&self, state: &State<'_, C::Field>) -> Option<f64> {
        if self.shape().layers() != 2 {
            return None;
        }
        let visible: f64 = state.layer(0).iter_ones().map(|i| self.biases()[0][i].to_real(self.scale())).sum();
        let hidden: f64 = state.layer_fields(1).iter().map(|a| softplus(a.to_real(self.scale()))).sum();
        Some(-visible - hidden)
    }
}

fn softplus(a: f64) -> f64 {
    a.max(0.0) + libm::log1p(libm::exp(-libm::fabs(a)))
}
