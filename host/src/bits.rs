//! Many binary vectors, packed: one row a vector, 32 bits a word.
//!
//! Bit j of a row is bit `j % 32`, least significant first, of word `j / 32`. The padding bits of a row's last word are
//! zero, always: popcounts and comparisons of whole words need no mask.

use std::ops::Range;

/// Why packed bits could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BitsError {
    /// The data is not rows × columns long.
    #[error("expected {expected} values for {rows} rows, found {found}")]
    Length {
        /// Rows asked for.
        rows: usize,
        /// Values (or words) that they take.
        expected: usize,
        /// Values (or words) that were given.
        found: usize,
    },
    /// Rows times columns is more than memory can hold.
    #[error("{rows} rows of {cols} bits are too many")]
    TooLarge {
        /// Rows asked for.
        rows: usize,
        /// Columns asked for.
        cols: usize,
    },
    /// One row has another length than the rest.
    #[error("row {row}: expected {expected} values, found {found}")]
    RowLength {
        /// Which row, from 0.
        row: usize,
        /// The number of columns.
        expected: usize,
        /// The length of this row.
        found: usize,
    },
    /// A value is neither 0 nor 1.
    #[error("row {row}, column {col}: expected 0 or 1, found {found}")]
    Value {
        /// Which row, from 0.
        row: usize,
        /// Which column, from 0.
        col: usize,
        /// The value there.
        found: u8,
    },
    /// A packed row has ones past its last column.
    #[error("row {row}: expected zeros past the last column, found ones")]
    Padding {
        /// Which row, from 0.
        row: usize,
    },
}

/// A matrix of bits, packed by rows. See the [module](self) for the layout.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BitMatrix {
    rows: usize,
    cols: usize,
    words_per_row: usize,
    words: Vec<u32>,
}

impl BitMatrix {
    /// All bits zero.
    ///
    /// # Panics
    ///
    /// When rows × columns is more than memory can hold; [`BitMatrix::try_zeros`] returns an error instead.
    #[must_use]
    pub fn zeros(rows: usize, cols: usize) -> Self {
        Self::try_zeros(rows, cols).expect("rows × columns fit in memory")
    }

    /// All bits zero; for sizes that come from a file.
    ///
    /// # Errors
    ///
    /// [`BitsError::TooLarge`].
    pub fn try_zeros(rows: usize, cols: usize) -> Result<Self, BitsError> {
        let words_per_row = cols.div_ceil(32);
        let too_large = BitsError::TooLarge { rows, cols };
        let Some(count) = rows.checked_mul(words_per_row) else {
            return Err(too_large);
        };
        let mut words = Vec::new();
        words.try_reserve_exact(count).map_err(|_| too_large)?;
        words.resize(count, 0);
        Ok(Self { rows, cols, words_per_row, words })
    }

    /// From rows of booleans, all `cols` long.
    ///
    /// # Errors
    ///
    /// [`BitsError::RowLength`].
    pub fn from_rows<I>(cols: usize, rows: I) -> Result<Self, BitsError>
    where
        I: IntoIterator,
        I::Item: AsRef<[bool]>,
    {
        let words_per_row = cols.div_ceil(32);
        let mut words = Vec::new();
        let mut count = 0;
        for row in rows {
            let row = row.as_ref();
            if row.len() != cols {
                return Err(BitsError::RowLength { row: count, expected: cols, found: row.len() });
            }
            words.extend(row.chunks(32).map(pack));
            count += 1;
        }
        Ok(Self { rows: count, cols, words_per_row, words })
    }

    /// From rows × columns values of 0 or 1, row-major.
    ///
    /// # Errors
    ///
    /// [`BitsError::Length`], or [`BitsError::Value`] with the place of the first value that is neither 0 nor 1.
    pub fn from_u8(rows: usize, cols: usize, values: &[u8]) -> Result<Self, BitsError> {
        let expected = rows.checked_mul(cols).ok_or(BitsError::TooLarge { rows, cols })?;
        check_length(rows, expected, values.len())?;
        let mut bits = Self::try_zeros(rows, cols)?;
        for (at, &value) in values.iter().enumerate() {
            let (row, col) = (at / cols, at % cols);
            match value {
                0 => {}
                1 => bits.set(row, col, true),
                found => return Err(BitsError::Value { row, col, found }),
            }
        }
        Ok(bits)
    }

    /// From packed words, in the layout of the [module](self).
    ///
    /// # Errors
    ///
    /// [`BitsError::Length`], or [`BitsError::Padding`] when a row has ones past its last column.
    pub fn from_words(rows: usize, cols: usize, words: Vec<u32>) -> Result<Self, BitsError> {
        let words_per_row = cols.div_ceil(32);
        let expected = rows.checked_mul(words_per_row).ok_or(BitsError::TooLarge { rows, cols })?;
        check_length(rows, expected, words.len())?;
        let used = cols % 32;
        if used != 0 {
            let last = words.iter().skip(words_per_row - 1).step_by(words_per_row);
            if let Some(row) = last.clone().position(|&word| word >> used != 0) {
                return Err(BitsError::Padding { row });
            }
        }
        Ok(Self { rows, cols, words_per_row, words })
    }

    /// The number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The number of bits in a row.
    #[must_use]
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// All words, row after row.
    #[must_use]
    pub fn words(&self) -> &[u32] {
        &self.words
    }

    /// The words of row `i`.
    ///
    /// # Panics
    ///
    /// When `i` is not below [`BitMatrix::rows`].
    #[must_use]
    pub fn row(&self, i: usize) -> &[u32] {
        assert!(i < self.rows, "row {i} of {}", self.rows);
        &self.words[i * self.words_per_row..(i + 1) * self.words_per_row]
    }

    /// Bit `j` of row `i`.
    ///
    /// # Panics
    ///
    /// When the row or the column is out of range.
    #[must_use]
    pub fn get(&self, i: usize, j: usize) -> bool {
        assert!(j < self.cols, "column {j} of {}", self.cols);
        self.row(i)[j / 32] >> (j % 32) & 1 == 1
    }

    /// Sets bit `j` of row `i`.
    ///
    /// # Panics
    ///
    /// When the row or the column is out of range.
    pub fn set(&mut self, i: usize, j: usize, on: bool) {
        assert!(i < self.rows && j < self.cols, "bit ({i}, {j}) of {} × {}", self.rows, self.cols);
        let word = &mut self.words[i * self.words_per_row + j / 32];
        *word = *word & !(1 << (j % 32)) | u32::from(on) << (j % 32);
    }

    /// The rows in `range`; what lies past the last row is left out.
    #[must_use]
    pub fn subset(&self, range: Range<usize>) -> Self {
        let end = range.end.min(self.rows);
        let start = range.start.min(end);
        Self {
            rows: end - start,
            cols: self.cols,
            words_per_row: self.words_per_row,
            words: self.words[start * self.words_per_row..end * self.words_per_row].to_vec(),
        }
    }

    /// `count` rows at equal distances, or all if there are no more: data may be sorted by class.
    #[must_use]
    pub fn spread(&self, count: usize) -> Self {
        if self.rows <= count {
            return self.clone();
        }
        let words = (0..count).flat_map(|row| self.row(row * self.rows / count)).copied().collect();
        Self { rows: count, words, ..*self }
    }

    /// Number of different rows.
    #[must_use]
    pub fn distinct_rows(&self) -> usize {
        (0..self.rows).map(|i| self.row(i)).collect::<std::collections::HashSet<_>>().len()
    }

    /// Rows × columns values of 0 or 1, row-major.
    #[must_use]
    pub fn to_u8(&self) -> Vec<u8> {
        let mut values = Vec::with_capacity(self.rows * self.cols);
        for i in 0..self.rows {
            let row = self.row(i);
            values.extend((0..self.cols).map(|j| (row[j / 32] >> (j % 32) & 1) as u8));
        }
        values
    }
}

/// Up to 32 booleans, least significant first.
fn pack(bits: &[bool]) -> u32 {
    bits.iter().rev().fold(0, |word, &bit| word << 1 | u32::from(bit))
}

fn check_length(rows: usize, expected: usize, found: usize) -> Result<(), BitsError> {
    if expected == found {
        return Ok(());
    }
    Err(BitsError::Length { rows, expected, found })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_is_least_significant_first() {
        let mut row = [false; 35];
        (row[0], row[31], row[34]) = (true, true, true);
        let bits = BitMatrix::from_rows(35, [row]).unwrap();
        assert_eq!(bits.row(0), [0x8000_0001, 0b100]);
        assert!(bits.get(0, 34) && !bits.get(0, 33));
        assert_eq!(bits.row(0).len(), 2);
    }

    #[test]
    fn round_trips() {
        for cols in [1, 31, 32, 33, 64, 100] {
            let values: Vec<u8> = (0..5 * cols).map(|i| u8::from(i * 7 % 11 < 4 || i % cols == cols - 1)).collect();
            let bits = BitMatrix::from_u8(5, cols, &values).unwrap();
            assert_eq!(bits.to_u8(), values);
            let rows = values.chunks(cols).map(|row| row.iter().map(|&v| v == 1).collect::<Vec<_>>());
            assert_eq!(BitMatrix::from_rows(cols, rows).unwrap(), bits);
            assert_eq!(BitMatrix::from_words(5, cols, bits.words().to_vec()).unwrap(), bits);
            assert_eq!(bits.subset(1..3).to_u8(), values[cols..3 * cols]);
            assert_eq!(bits.subset(4..99).rows(), 1);
            // Rows 0 and 2 of five.
            assert_eq!(bits.spread(2).to_u8(), [&values[..cols], &values[2 * cols..3 * cols]].concat());
            assert_eq!(bits.spread(5), bits);
        }
    }

    #[test]
    fn set_clears_too() {
        let mut bits = BitMatrix::zeros(2, 40);
        bits.set(1, 39, true);
        bits.set(1, 38, true);
        bits.set(1, 39, false);
        assert_eq!(bits.row(1), [0, 1 << 6]);
        assert_eq!(bits.row(0), [0, 0]);
    }

    #[test]
    fn bad_input_is_refused_with_its_place() {
        assert_eq!(BitMatrix::from_u8(2, 2, &[0, 1, 1, 2]).unwrap_err(), BitsError::Value { row: 1, col: 1, found: 2 });
        assert!(matches!(BitMatrix::from_u8(2, 2, &[0; 3]), Err(BitsError::Length { .. })));
        assert_eq!(BitMatrix::from_words(2, 33, vec![0, 1, 0, 2]).unwrap_err(), BitsError::Padding { row: 1 });
        assert!(matches!(BitMatrix::try_zeros(usize::MAX, 64), Err(BitsError::TooLarge { .. })));
        assert!(matches!(BitMatrix::try_zeros(usize::MAX / 64, 32), Err(BitsError::TooLarge { .. })));
        assert!(matches!(BitMatrix::from_rows(3, [[true; 2]]), Err(BitsError::RowLength { .. })));
        assert_eq!(BitMatrix::from_words(0, 33, vec![]).unwrap().rows(), 0);
        assert!(BitMatrix::from_u8(3, 0, &[]).unwrap().to_u8().is_empty());
    }
}
