//! Any model in real numbers: what its likelihood is defined by.

use bitboltz_core::{
    connection::Connection as _,
    image::Geometry,
    model::{DenseDbm, ModelError},
    weights::{Field as _, Weight},
};

use crate::parameters::Parameters;

/// The weights and biases of a model as floats: an integer model's are its integers times its scale, rounded to 24 bits.
///
/// # Errors
/// Never for the numbers of a model.
pub fn real_parameters<W: Weight>(model: &DenseDbm<'_, W>, geometry: Geometry) -> Result<Parameters, ModelError> {
    let scale = model.scale();
    let real = |number: W::Field| number.to_real(scale) as f32;
    let matrices = model.connections().iter().map(|connection| {
        let pairs = (0..connection.lower()).flat_map(|i| (0..connection.upper()).map(move |j| (i, j)));
        pairs.map(|(i, j)| real(connection.weight(i, j))).collect()
    });
    let biases = model.biases().iter().map(|bias| bias.iter().map(|&b| real(b)).collect());
    Parameters::new(matrices.collect(), biases.collect(), geometry)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{eval::random::random_parameters, quantise::Quantised};

    #[test]
    fn floats_stay_and_integers_are_scaled() {
        let parameters = random_parameters(&[5, 4, 3], 1.0, 0.5, 1).unwrap();
        let same = real_parameters(&parameters.dbm().unwrap(), parameters.geometry()).unwrap();
        assert_eq!(same, parameters);
        let integers = Quantised::<i16>::new(&parameters).unwrap();
        let real = real_parameters(&integers.dbm().unwrap(), parameters.geometry()).unwrap();
        assert_ne!(real, parameters);
        let numbers = |p: &Parameters| p.weights().iter().chain(p.biases()).flatten().copied().collect::<Vec<_>>();
        assert!(numbers(&real).iter().zip(numbers(&parameters)).all(|(a, b)| (a - b).abs() < 1e-3));
    }
}
