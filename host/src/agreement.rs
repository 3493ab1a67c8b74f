//! How far an integer model is from the floats that it was made of, on data.

use bitboltz_core::{
    bits::count_ones,
    fixed::sigmoid,
    model::DenseDbm,
    rng::stream,
    search::SearchCapHit,
    start::{LocalModeStart, Start as _},
    state::Clamp,
    weights::Field as _,
};
use rayon::prelude::*;
use serde::Serialize;

use crate::{
    batch::{ChainWeights, TileWeight},
    bits::BitMatrix,
    chain::{ChainBuffer, visible_mask},
};

/// Differences over a number of data vectors. Fields and energies are compared in the same state: the data with the
/// hidden units of the float model's local mode above it. Modes are searched by both from the same random hidden bits.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Agreement {
    /// Data vectors compared.
    pub vectors: usize,
    /// Root mean square of the difference of the fields.
    pub field_rms: f64,
    /// Largest difference of a field.
    pub field_max: f64,
    /// Mean difference of the conditionals P(on | neighbours): how often samples drawn with the same random numbers differ.
    pub conditionals: f64,
    /// Root mean square of the difference of the energies.
    pub energy_rms: f64,
    /// Root mean square of the float energies, to compare with.
    pub energy_scale: f64,
    /// Share of hidden units that are equal in both modes.
    pub mode_units: f64,
    /// Share of data vectors whose modes are equal in every unit.
    pub modes: f64,
}

/// One data vector's part of the sums.
#[derive(Clone, Copy, Default)]
struct Part {
    field_squares: f64,
    field_max: f64,
    conditionals: f64,
    energy_square: f64,
    float_energy_square: f64,
    equal_units: u32,
    equal_mode: u32,
}

impl Agreement {
    /// Compares two models of the same shape on rows of visible bits.
    ///
    /// # Errors
    /// [`SearchCapHit`].
    ///
    /// # Panics
    /// If the shapes differ, the rows are not of the visible width, or there are none.
    pub fn measure<A: TileWeight, B: TileWeight>(
        float: &DenseDbm<'_, A>,
        integer: &DenseDbm<'_, B>,
        rows: &BitMatrix,
        seed: u64,
    ) -> Result<Self, SearchCapHit> {
        // Both orientations of both: a flip of an upper unit would walk a column.
        let (float, integer) = (ChainWeights::new(float), ChainWeights::new(integer));
        let (float, integer) = (float.dbm().expect("a model's weights"), integer.dbm().expect("a model's weights"));
        let (float, integer) = (&float, &integer);
        let shape = float.shape();
        assert_eq!(shape, integer.shape(), "models of the same shape");
        assert_eq!(rows.cols(), shape.width(0), "rows of visible bits");
        assert!(rows.rows() > 0, "at least one row");
        let mask = visible_mask(shape);
        let clamp = Clamp::new(shape, &mask).expect("the mask has the shape's words");
        let hidden_units = (shape.units() - shape.width(0)) as u32;
        let mode = LocalModeStart { sweeps: 0, ..LocalModeStart::default() };
        let parts: Vec<Part> = (0..rows.rows())
            .into_par_iter()
            .map(|i| {
                let (mut a, mut b) = (ChainBuffer::new(shape), ChainBuffer::new(shape));
                let (mut a, mut b) = (a.state(shape), b.state(shape));
                a.words_mut()[shape.word_range(0)].copy_from_slice(rows.row(i));
                mode.start(float, &mut a, &clamp, &mut stream(seed, i as u64))?;
                b.words_mut().copy_from_slice(a.words());
                integer.refresh(&mut b);
                let mut part = Part::default();
                for (a, b) in a.fields().iter().zip(b.fields()) {
                    let difference = a.to_real(float.scale()) - b.to_real(integer.scale());
                    part.field_squares += difference * difference;
                    part.field_max = part.field_max.max(difference.abs());
                    let [p, q] = [sigmoid(a.to_q16(float.scale())), sigmoid(b.to_q16(integer.scale()))];
                    part.conditionals += f64::from(p.abs_diff(q)) / 2_f64.powi(32);
                }
                let (energy, other) = (float.real_energy(&a), integer.real_energy(&b));
                part.energy_square = (energy - other).powi(2);
                part.float_energy_square = energy * energy;
                mode.start(integer, &mut b, &clamp, &mut stream(seed, i as u64))?;
                let different: Vec<u32> = a.words().iter().zip(b.words()).map(|(a, b)| a ^ b).collect();
                part.equal_units = hidden_units - count_ones(&different);
                part.equal_mode = u32::from(part.equal_units == hidden_units);
                Ok(part)
            })
            .collect::<Result<_, _>>()?;
        let count = rows.rows() as f64;
        // Summed in the order of the rows, so that the result does not depend on the threads.
        let sum = |of: fn(&Part) -> f64| parts.iter().map(of).sum::<f64>();
        Ok(Self {
            vectors: rows.rows(),
            field_rms: (sum(|p| p.field_squares) / (count * shape.units() as f64)).sqrt(),
            field_max: parts.iter().fold(0.0, |max, p| p.field_max.max(max)),
            conditionals: sum(|p| p.conditionals) / (count * shape.units() as f64),
            energy_rms: (sum(|p| p.energy_square) / count).sqrt(),
            energy_scale: (sum(|p| p.float_energy_square) / count).sqrt(),
            mode_units: sum(|p| p.equal_units.into()) / (count * f64::from(hidden_units)),
            modes: sum(|p| p.equal_mode.into()) / count,
        })
    }
}

#[cfg(test)]
mod tests {
    use bitboltz_core::image::Geometry;

    use super::*;
    use crate::{parameters::Parameters, quantise::Quantised};

    #[test]
    fn a_model_agrees_with_itself_and_finer_integers_agree_better() {
        let wave = |n: usize, phase: f32| (0..n).map(|i| (i as f32 * 0.7 + phase).sin()).collect::<Vec<f32>>();
        let parameters = Parameters::new(
            vec![wave(60, 0.0), wave(30, 1.0)],
            vec![wave(12, 2.0), wave(5, 3.0), wave(6, 4.0)],
            Geometry::default(),
        )
        .unwrap();
        let rows =
            BitMatrix::from_rows(12, (0..40u32).map(|i| (0..12).map(|j| (i * 37) >> j & 1 == 1).collect::<Vec<_>>()));
        let rows = rows.unwrap();
        let float = parameters.dbm().unwrap();
        let own = Agreement::measure(&float, &float, &rows, 1).unwrap();
        assert_eq!((own.mode_units, own.modes), (1.0, 1.0));
        assert!(own.conditionals < 1e-5, "{own:?}");
        // The fields of one side were kept by increments, so they differ by rounding.
        assert!(own.field_max < 1e-5 && own.energy_rms < 1e-5, "{own:?}");
        let (bytes, words) = (Quantised::<i8>::new(&parameters).unwrap(), Quantised::<i16>::new(&parameters).unwrap());
        let coarse = Agreement::measure(&float, &bytes.dbm().unwrap(), &rows, 1).unwrap();
        let fine = Agreement::measure(&float, &words.dbm().unwrap(), &rows, 1).unwrap();
        assert!(fine.field_rms * 50.0 < coarse.field_rms, "{fine:?} {coarse:?}");
        assert!(fine.conditionals * 20.0 < coarse.conditionals, "{fine:?} {coarse:?}");
        // Half a step for each of at most 11 weights, and half a unit for the bias.
        assert!(coarse.field_max < 12.0 * 0.5 / 127.0, "{coarse:?}");
    }
}
