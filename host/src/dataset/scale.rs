//! Numbers of unknown range to bytes.
//!
//! Files of numbers don't say what white is. The largest value in the whole file decides: up to 1 (bits and fractions),
//! up to 16 (the digits of the UCI repository), or up to 255.

use std::path::Path;

use super::DataError;

const EXPECTED: &str = "a number from 0 to 255";

/// The factor to bytes for a largest value that is not above 255.
fn factor(largest: f64) -> f64 {
    if largest <= 1.0 {
        255.0
    } else if largest <= 16.0 {
        255.0 / 16.0
    } else {
        1.0
    }
}

/// Scales bytes in place; every byte is valid.
pub(super) fn bytes(values: &mut [u8]) {
    let factor = factor(f64::from(values.iter().copied().max().unwrap_or(0)));
    if factor != 1.0 {
        for value in values {
            *value = scaled(f64::from(*value), factor);
        }
    }
}

/// Scales numbers; `size` of them are one image, for the place in errors.
pub(super) fn numbers<T>(values: &[T], size: usize, path: &Path) -> Result<Vec<u8>, DataError>
where
    T: Copy + Into<f64>,
{
    let mut largest = 0.0_f64;
    for (at, &value) in values.iter().enumerate() {
        let value = value.into();
        // Not-a-number is in no range.
        if !(0.0..=255.0).contains(&value) {
            return Err(DataError::Value {
                path: path.into(),
                image: at / size.max(1),
                at: at % size.max(1),
                expected: EXPECTED.into(),
                found: value.to_string(),
            });
        }
        largest = largest.max(value);
    }
    let factor = factor(largest);
    Ok(values.iter().map(|&value| scaled(value.into(), factor)).collect())
}

fn scaled(value: f64, factor: f64) -> u8 {
    (value * factor).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_value_decides() {
        let path = Path::new("f");
        assert_eq!(numbers(&[0.0_f32, 0.5, 1.0], 3, path).unwrap(), [0, 128, 255]);
        assert_eq!(numbers(&[0.0_f64, 8.0, 16.0], 3, path).unwrap(), [0, 128, 255]);
        assert_eq!(numbers(&[0.0_f64, 8.0, 17.0], 3, path).unwrap(), [0, 8, 17]);
        let mut values = [0, 1, 1];
        bytes(&mut values);
        assert_eq!(values, [0, 255, 255]);
        let mut values = [3, 255, 1];
        bytes(&mut values);
        assert_eq!(values, [3, 255, 1]);
        bytes(&mut []);
    }

    #[test]
    fn bad_numbers_are_named() {
        for bad in [f64::NAN, -0.1, 256.0, f64::INFINITY] {
            let error = numbers(&[0.0, 1.0, 2.0, bad], 2, Path::new("f")).unwrap_err();
            assert_eq!(error.to_string(), format!("f: image 1, value 1: expected a number from 0 to 255, found {bad}"));
        }
    }
}
