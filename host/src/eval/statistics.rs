//! The derivatives −∂E/∂θ of a state, whose expectations make the gradient, and its centered form.

use bitboltz_core::{
    bits::WORD_BITS,
    conditional::{Block, mean_layer},
    connection::Connection,
    model::Dbm,
    state::{Clamp, State},
};

use super::layout::Layout;

/// What stands for a unit's value in −∂E/∂W = x_l x_{l+1}ᵀ and −∂E/∂b = x_l.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Statistics {
    /// Its bit.
    #[default]
    Bits,
    /// For the free units of the odd layers their conditional mean given the even ones, for all others their bit. The
    /// odd layers are independent given the even ones, so the expectation is the same, and the variance of independent
    /// samples is smaller (Rao and Blackwell).
    Marginalised,
}

impl Statistics {
    /// Adds `weight` × (−∂E/∂θ) of a state to `sum`, which has the layout's length.
    pub fn add<C: Connection>(
        self,
        model: &Dbm<'_, C>,
        values: &mut Values,
        state: &State<'_, C::Field>,
        clamp: &Clamp<'_>,
        weight: f64,
        sum: &mut [f64],
    ) {
        let layout = &values.layout;
        let shape = layout.shape();
        for (l, words) in (0..shape.layers()).map(|l| (l, shape.word_range(l))) {
            let real = &mut values.real[shape.unit_range(l)];
            for (value, bit) in real.iter_mut().zip(state.layer(l)) {
                *value = f64::from(u8::from(*bit));
            }
            if self == Self::Marginalised && l % 2 == Block::Odd as usize {
                values.means.resize(real.len(), 0.0);
                mean_layer(model, state, l, &mut values.means);
                for (i, (value, &mean)) in real.iter_mut().zip(&values.means).enumerate() {
                    if clamp.word(words.start + i / WORD_BITS) >> (i % WORD_BITS) & 1 == 0 {
                        *value = f64::from(mean);
                    }
                }
            }
        }
        for l in 0..shape.layers() {
            let lower = &values.real[shape.unit_range(l)];
            for (at, value) in layout.biases(l).zip(lower) {
                sum[at] += weight * value;
            }
            for (j, upper) in values.real[shape.unit_range(l + 1)].iter().enumerate() {
                let at = layout.weight(l, 0, j);
                for (sum, value) in sum[at..].iter_mut().zip(lower) {
                    *sum += weight * upper * value;
                }
            }
        }
    }
}

/// Scratch of [`Statistics::add`] for one shape.
#[derive(Clone, Debug)]
pub struct Values {
    layout: Layout,
    real: Vec<f64>,
    means: Vec<f32>,
}

impl Values {
    /// Scratch for a layout.
    pub fn new(layout: &Layout) -> Self {
        Self { layout: layout.clone(), real: vec![0.0; layout.shape().units()], means: Vec::new() }
    }
}

/// Turns a gradient into the centered one with `offsets` μ, one for each unit (Melchior, Fischer, Wiskott, JMLR 2016):
///
/// ΔW_l = ⟨(x_l − μ_l)(x_{l+1} − μ_{l+1})ᵀ⟩₊ − ⟨…⟩₋,
/// Δb_l = ⟨x_l⟩₊ − ⟨x_l⟩₋ − ΔW_l μ_{l+1} − ΔW_{l−1}ᵀ μ_{l−1}.
///
/// The two phases' weights sum to the same, so μ μᵀ cancels and the map is linear: an unbiased estimate stays unbiased.
/// [`uncenter`] is its inverse.
pub fn center(layout: &Layout, offsets: &[f64], gradient: &mut [f64]) {
    // The biases still hold ⟨x⟩₊ − ⟨x⟩₋ while the weights are centered.
    shift_weights(layout, offsets, gradient, -1.0);
    shift_biases(layout, offsets, gradient, -1.0);
}

/// The inverse of [`center`].
pub fn uncenter(layout: &Layout, offsets: &[f64], gradient: &mut [f64]) {
    shift_biases(layout, offsets, gradient, 1.0);
    shift_weights(layout, offsets, gradient, 1.0);
}

/// W_l ± (μ_l b_{l+1}ᵀ + b_l μ_{l+1}ᵀ).
fn shift_weights(layout: &Layout, offsets: &[f64], gradient: &mut [f64], sign: f64) {
    each_weight(layout, |at, [lower, upper], [lower_bias, upper_bias]| {
        gradient[at] += sign * (offsets[lower] * gradient[upper_bias] + offsets[upper] * gradient[lower_bias]);
    });
}

/// b_l ± (W_l μ_{l+1} + W_{l−1}ᵀ μ_{l−1}).
fn shift_biases(layout: &Layout, offsets: &[f64], gradient: &mut [f64], sign: f64) {
    each_weight(layout, |at, [lower, upper], [lower_bias, upper_bias]| {
        gradient[lower_bias] += sign * gradient[at] * offsets[upper];
        gradient[upper_bias] += sign * gradient[at] * offsets[lower];
    });
}

/// Shows each weight's position, its two units, and the positions of their biases.
fn each_weight(layout: &Layout, mut show: impl FnMut(usize, [usize; 2], [usize; 2])) {
    let shape = layout.shape();
    for l in 0..shape.layers() - 1 {
        let (lower, upper) = (shape.unit_range(l), shape.unit_range(l + 1));
        for (j, (upper, upper_bias)) in upper.zip(layout.biases(l + 1)).enumerate() {
            for (i, (lower, lower_bias)) in lower.clone().zip(layout.biases(l)).enumerate() {
                show(layout.weight(l, i, j), [lower, upper], [lower_bias, upper_bias]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bitboltz_core::shape::Shape;

    use super::*;

    const OFFSETS: [f64; 7] = [0.1, 0.9, 0.5, 0.3, 0.7, 0.2, 1.0];

    #[test]
    fn centering_is_the_difference_of_centered_moments_and_has_an_inverse() {
        let layout = Layout::new(&Shape::new(&[2, 3, 2]).unwrap());
        // Two states as two phases: bits of units 0..7.
        let phases = [[1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0], [0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.0]];
        let moment = |offset: &[f64], at: [usize; 2]| -> f64 {
            let term = |x: &[f64; 7]| (x[at[0]] - offset[at[0]]) * (x[at[1]] - offset[at[1]]);
            term(&phases[0]) - term(&phases[1])
        };
        let (mut plain, mut centered) = (vec![0.0; layout.len()], vec![0.0; layout.len()]);
        for l in 0..3 {
            for (at, unit) in layout.biases(l).zip(layout.shape().unit_range(l)) {
                plain[at] = phases[0][unit] - phases[1][unit];
                centered[at] = plain[at];
            }
        }
        each_weight(&layout, |at, units, biases| {
            plain[at] = moment(&[0.0; 7], units);
            centered[at] = moment(&OFFSETS, units);
            centered[biases[0]] -= centered[at] * OFFSETS[units[1]];
            centered[biases[1]] -= centered[at] * OFFSETS[units[0]];
        });

        let mut found = plain.clone();
        center(&layout, &OFFSETS, &mut found);
        assert!(found.iter().zip(&centered).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?} {centered:?}");
        uncenter(&layout, &OFFSETS, &mut found);
        assert!(found.iter().zip(&plain).all(|(a, b)| (a - b).abs() < 1e-12));
    }
}
