//! NumPy's `.npy`: writes matrices, reads what data sets and masks need.
//!
//! The format is a magic, a length, and a Python dict of three known keys, then the values. It is read here by hand, for
//! the four types below: the crates that read any `.npy` parse the header with a general Python parser, which recurses
//! without bound, and multiply the shape unchecked. This module panics on no input, and allocates for no count that the
//! file's own length doesn't bear out.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::atomic;
use crate::bits::{BitMatrix, BitsError};

mod header;

use header::Kind;

/// Why an array could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NpyError {
    /// The file system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not a `.npy` file, or not one of the kinds read here.
    #[error("{}: expected {expected}, found {found}", path.display())]
    Format {
        /// Which file.
        path: PathBuf,
        /// What would be read.
        expected: String,
        /// What was there.
        found: String,
    },
    /// A value of an array of bits is neither 0 nor 1.
    #[error("{}: row {row}, column {col}: expected 0 or 1, found {found}", path.display())]
    NotABit {
        /// Which file.
        path: PathBuf,
        /// Which row, from 0.
        row: usize,
        /// Which column, from 0.
        col: usize,
        /// The value there.
        found: u8,
    },
    /// The values given to a write function are not rows × columns.
    #[error("{}: expected {rows} × {cols} values, found {found}", path.display())]
    Length {
        /// The file that was to be written.
        path: PathBuf,
        /// Rows asked for.
        rows: usize,
        /// Columns asked for.
        cols: usize,
        /// Values given.
        found: usize,
    },
}

/// The values of an [`Array`], in C order.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Values {
    /// `uint8`.
    U8(Vec<u8>),
    /// `bool`, as 0 and 1.
    Bool(Vec<u8>),
    /// `float32`.
    F32(Vec<f32>),
    /// `float64`.
    F64(Vec<f64>),
}

/// An array with any number of axes.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// The length of each axis, slowest first.
    pub shape: Vec<usize>,
    /// As many values as the product of the shape.
    pub values: Values,
}

/// Reads an array of `uint8`, `bool`, `float32` or `float64` in C order.
///
/// # Errors
///
/// [`NpyError::Io`], or [`NpyError::Format`] for other types, Fortran order, and a length that doesn't fit the shape.
pub fn read(path: &Path) -> Result<Array, NpyError> {
    let bytes = std::fs::read(path).map_err(|source| NpyError::Io { path: path.into(), source })?;
    parse(&bytes).map_err(|(expected, found)| NpyError::Format { path: path.into(), expected, found })
}

/// Reads a matrix of `uint8` or `bool` zeros and ones.
///
/// # Errors
///
/// As [`read`]; also for other types and other than two axes, and [`NpyError::NotABit`] for a value above 1.
pub fn read_bits(path: &Path) -> Result<BitMatrix, NpyError> {
    let array = read(path)?;
    let wrong = |found: String| NpyError::Format {
        path: path.into(),
        expected: "a matrix (2 axes) of uint8 or bool".into(),
        found,
    };
    let &[rows, cols] = array.shape.as_slice() else {
        return Err(wrong(format!("shape {:?}", array.shape)));
    };
    let values = match array.values {
        Values::U8(values) | Values::Bool(values) => values,
        Values::F32(_) => return Err(wrong("float32".into())),
        Values::F64(_) => return Err(wrong("float64".into())),
    };
    BitMatrix::from_u8(rows, cols, &values).map_err(|error| match error {
        BitsError::Value { row, col, found } => NpyError::NotABit { path: path.into(), row, col, found },
        other => wrong(other.to_string()),
    })
}

/// Writes a matrix of `uint8`.
///
/// # Errors
///
/// [`NpyError::Length`] when `values` is not rows × cols long, and [`NpyError::Io`].
pub fn write_u8(path: &Path, rows: usize, cols: usize, values: &[u8]) -> Result<(), NpyError> {
    write(path, Kind::U8, rows, cols, values.len(), |out| out.write_all(values))
}

/// Writes a matrix of `float32`.
///
/// # Errors
///
/// As [`write_u8`].
pub fn write_f32(path: &Path, rows: usize, cols: usize, values: &[f32]) -> Result<(), NpyError> {
    write(path, Kind::F32, rows, cols, values.len(), |out| {
        values.iter().try_for_each(|value| out.write_all(&value.to_le_bytes()))
    })
}

/// Writes a matrix of `float64`.
///
/// # Errors
///
/// As [`write_u8`].
pub fn write_f64(path: &Path, rows: usize, cols: usize, values: &[f64]) -> Result<(), NpyError> {
    write(path, Kind::F64, rows, cols, values.len(), |out| {
        values.iter().try_for_each(|value| out.write_all(&value.to_le_bytes()))
    })
}

/// Writes bits as a matrix of `uint8` zeros and ones, as [`read_bits`] reads them.
///
/// # Errors
///
/// [`NpyError::Io`].
pub fn write_bits(path: &Path, bits: &BitMatrix) -> Result<(), NpyError> {
    write_u8(path, bits.rows(), bits.cols(), &bits.to_u8())
}

fn write(
    path: &Path,
    kind: Kind,
    rows: usize,
    cols: usize,
    found: usize,
    body: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), NpyError> {
    if rows.checked_mul(cols) != Some(found) {
        return Err(NpyError::Length { path: path.into(), rows, cols, found });
    }
    atomic::write(path, |out| {
        out.write_all(&header::format(kind, rows, cols))?;
        body(out)
    })
    .map_err(|source| NpyError::Io { path: path.into(), source })
}

/// The error is (expected, found).
fn parse(bytes: &[u8]) -> Result<Array, (String, String)> {
    let (header, data) = header::parse(bytes)?;
    let size = header.kind.size();
    let count = header.shape.iter().try_fold(size, |product, &axis| product.checked_mul(axis));
    if count != Some(data.len()) {
        let needs = count.map_or_else(|| "too many".to_owned(), |count| count.to_string());
        return Err((format!("{needs} bytes of values for shape {:?} × {size}", header.shape), data.len().to_string()));
    }
    let values = match header.kind {
        Kind::U8 => Values::U8(data.to_vec()),
        Kind::Bool => Values::Bool(data.iter().map(|&value| u8::from(value != 0)).collect()),
        Kind::F32 => Values::F32(numbers(data, header.big_endian, f32::from_le_bytes, f32::from_be_bytes)),
        Kind::F64 => Values::F64(numbers(data, header.big_endian, f64::from_le_bytes, f64::from_be_bytes)),
    };
    Ok(Array { shape: header.shape, values })
}

fn numbers<const N: usize, T>(
    data: &[u8],
    big_endian: bool,
    little: fn([u8; N]) -> T,
    big: fn([u8; N]) -> T,
) -> Vec<T> {
    let number = if big_endian { big } else { little };
    data.as_chunks::<N>().0.iter().map(|&bytes| number(bytes)).collect()
}

#[cfg(test)]
mod tests;
