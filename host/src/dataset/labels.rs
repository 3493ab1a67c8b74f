//! Label units: visible units behind those of the picture, one for each class, of which one is on.
//!
//! A model that was trained on pictures with their labels (Larochelle, Bengio 2008) has them; they are the units of its
//! visible layer that its [`Geometry`] leaves over. With the pixels clamped they tell the class, and with nothing clamped
//! the model generates pictures together with their labels.

use std::{borrow::Cow, ops::Range};

use bitboltz_core::{bits::ones, image::Geometry};

use super::Images;
use crate::bits::{BitMatrix, BitsError};

/// Why images give no label units.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LabelError {
    /// The data set has images only.
    #[error("{name}: expected a label for each image, found none")]
    None {
        /// The data set.
        name: String,
    },
    /// There is nothing to tell apart.
    #[error("{name}: expected labels of at least 2 classes, found {found} only")]
    OneClass {
        /// The data set.
        name: String,
        /// The one label.
        found: u8,
    },
    /// A label for which there is no unit.
    #[error("{name}: image {image}: expected a label below {classes}, one of the model's classes, found {found}")]
    Class {
        /// The data set.
        name: String,
        /// Which image, from 0.
        image: usize,
        /// Label units.
        classes: usize,
        /// Its label.
        found: u8,
    },
    /// The bits would not fit in memory.
    #[error(transparent)]
    TooLarge(#[from] BitsError),
}

/// The label units of a visible layer of this width: those behind the picture. None without a picture.
#[must_use]
pub fn label_units(visible: usize, geometry: Geometry) -> Range<usize> {
    if geometry.units() == 0 { visible..visible } else { geometry.units().min(visible)..visible }
}

/// The number of classes of images: one more than their largest label.
///
/// # Errors
/// [`LabelError::None`], and [`LabelError::OneClass`] if all labels are the same.
pub fn classes(images: &Images) -> Result<usize, LabelError> {
    let labels = labels(images)?;
    match (labels.iter().min(), labels.iter().max()) {
        (Some(least), Some(most)) if least < most => Ok(usize::from(*most) + 1),
        (_, most) => Err(LabelError::OneClass { name: images.name.clone(), found: most.copied().unwrap_or_default() }),
    }
}

/// The labels of images, one each.
///
/// # Errors
/// [`LabelError::None`].
pub fn labels(images: &Images) -> Result<&[u8], LabelError> {
    images.labels.as_deref().ok_or_else(|| LabelError::None { name: images.name.clone() })
}

/// The rows of `pictures`, the visible bits of these images, with `classes` label units behind them.
///
/// # Errors
/// [`LabelError`].
///
/// # Panics
/// If there is not one row for each image.
pub fn with_labels(pictures: &BitMatrix, images: &Images, classes: usize) -> Result<BitMatrix, LabelError> {
    assert_eq!(pictures.rows(), images.len(), "a row for each image");
    let mut rows = widened(pictures, classes, false)?;
    for (image, &label) in labels(images)?.iter().enumerate() {
        if usize::from(label) >= classes {
            return Err(LabelError::Class { name: images.name.clone(), image, classes, found: label });
        }
        rows.set(image, pictures.cols() + usize::from(label), true);
    }
    Ok(rows)
}

/// The rows of a matrix with so many columns behind them, all zeros or all ones: of hidden pixels, for example, what is
/// hidden where the label is known, or where it is to be found.
///
/// # Errors
/// [`BitsError::TooLarge`].
pub fn widened(rows: &BitMatrix, columns: usize, on: bool) -> Result<BitMatrix, BitsError> {
    let cols = rows.cols() + columns;
    let mut wide = BitMatrix::try_zeros(rows.rows(), cols)?;
    for i in 0..rows.rows() {
        ones(rows.row(i)).for_each(|column| wide.set(i, column, true));
        (rows.cols()..cols).filter(|_| on).for_each(|column| wide.set(i, column, true));
    }
    Ok(wide)
}

/// The first columns of the rows: the picture without its label.
///
/// # Panics
/// If there are fewer.
pub fn narrowed(rows: &BitMatrix, columns: usize) -> Cow<'_, BitMatrix> {
    if rows.cols() == columns {
        return Cow::Borrowed(rows);
    }
    let row = |i: usize| (0..columns).map(|column| rows.get(i, column)).collect::<Vec<bool>>();
    Cow::Owned(BitMatrix::from_rows(columns, (0..rows.rows()).map(row)).expect("rows of that length"))
}

/// The class that each row's label units tell: the first that is on, if any.
///
/// # Panics
/// If the rows have no such columns.
pub fn classes_of(rows: &BitMatrix, units: Range<usize>) -> Vec<Option<usize>> {
    (0..rows.rows()).map(|i| units.clone().position(|unit| rows.get(i, unit))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images(labels: Option<Vec<u8>>) -> Images {
        let pixels = vec![0, 255, 255, 0, 255, 255];
        Images { name: "x".into(), width: 2, height: 1, channels: 1, pixels, labels }
    }

    #[test]
    fn one_unit_a_class_behind_the_picture() {
        let images = images(Some(vec![2, 0, 1]));
        let pictures = BitMatrix::from_u8(3, 2, &[0, 1, 1, 0, 1, 1]).unwrap();
        assert_eq!(classes(&images).unwrap(), 3);
        let rows = with_labels(&pictures, &images, 3).unwrap();
        assert_eq!(rows.to_u8(), [0, 1, 0, 0, 1, 1, 0, 1, 0, 0, 1, 1, 0, 1, 0]);
        // Into another word, and of a model with more classes than these images have.
        let rows = with_labels(&pictures, &images, 40).unwrap();
        assert_eq!((rows.cols(), rows.get(0, 4), rows.row(1)), (42, true, &[0b101, 0][..]));
        assert_eq!(classes_of(&rows, 2..42), [Some(2), Some(0), Some(1)]);
        assert_eq!(*narrowed(&rows, 2), pictures);
        let hidden = widened(&pictures, 3, true).unwrap();
        assert_eq!(hidden.to_u8(), [0, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1, 1]);
        assert_eq!(widened(&pictures, 1, false).unwrap().to_u8(), [0, 1, 0, 1, 0, 0, 1, 1, 0]);
        assert_eq!(classes_of(&pictures, 1..2), [Some(0), None, Some(0)]);
    }

    #[test]
    fn the_units_that_the_picture_leaves_over() {
        let geometry = Geometry { width: 2, height: 2, channels: 1, bits: 2 };
        assert_eq!(label_units(11, geometry), 8..11);
        assert!(label_units(8, geometry).is_empty());
        assert!(label_units(8, Geometry::default()).is_empty());
    }

    #[test]
    fn labels_that_are_none() {
        let pictures = BitMatrix::zeros(3, 2);
        let none = images(None);
        assert_eq!(classes(&none).unwrap_err().to_string(), "x: expected a label for each image, found none");
        assert_eq!(with_labels(&pictures, &none, 2).unwrap_err(), LabelError::None { name: "x".into() });
        let one = images(Some(vec![3, 3, 3]));
        assert_eq!(classes(&one).unwrap_err(), LabelError::OneClass { name: "x".into(), found: 3 });
        let more = images(Some(vec![0, 1, 2]));
        assert_eq!(
            with_labels(&pictures, &more, 2).unwrap_err(),
            LabelError::Class { name: "x".into(), image: 2, classes: 2, found: 2 }
        );
    }
}
