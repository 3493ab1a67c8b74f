//! Numbers that begin at a cache line.
//!
//! An allocation begins at a multiple of 16 bytes, and then every load of a whole line touches two of them, at half the
//! speed. Rows and tiles are whole lines long, so it suffices that the first one begins where a line does.

use std::ops::{Deref, DerefMut};

/// Bytes of a cache line, and of the longest vector.
const LINE: usize = 64;

/// A slice of numbers that begins at a cache line. What it holds after [`resize`](Self::resize) is undefined.
#[derive(Debug, Default)]
pub struct Aligned<T> {
    /// The numbers, with room before and behind.
    data: Vec<T>,
    start: usize,
    len: usize,
}

impl<T: bytemuck::Pod> Aligned<T> {
    /// All zero.
    pub fn zeros(len: usize) -> Self {
        let data = vec![T::zeroed(); len + LINE / size_of::<T>()];
        let start = first(&data);
        Self { data, start, len }
    }

    /// Makes it so long. Numbers may move: what it holds then is undefined.
    pub fn resize(&mut self, len: usize) {
        if len + LINE / size_of::<T>() > self.data.len() {
            *self = Self::zeros(len);
        }
        self.len = len;
    }
}

/// Where the first line begins. If that were not known, everything would be as before but slower.
fn first<T>(data: &[T]) -> usize {
    data.as_ptr().align_offset(LINE).min(LINE / size_of::<T>())
}

impl<T: Clone> Clone for Aligned<T> {
    fn clone(&self) -> Self {
        let mut data = self.data.clone();
        data.rotate_left(self.start);
        // A default has no room at all.
        let start = first(&data).min(data.len());
        data.rotate_right(start);
        Self { data, start, len: self.len }
    }
}

impl<T: PartialEq> PartialEq for Aligned<T> {
    fn eq(&self, other: &Self) -> bool {
        self[..] == other[..]
    }
}

impl<T> Deref for Aligned<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.data[self.start..self.start + self.len]
    }
}

impl<T> DerefMut for Aligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.data[self.start..self.start + self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_begin_at_a_line_and_are_kept_by_a_copy() {
        for len in [0, 1, 64, 1000] {
            let mut numbers = Aligned::<i16>::zeros(len);
            numbers.iter_mut().zip(1..).for_each(|(number, n)| *number = n);
            let copy = numbers.clone();
            assert_eq!(numbers, copy);
            assert!(copy.iter().copied().eq(1..=len as i16));
            numbers.resize(3 * len);
            numbers.resize(2 * len);
            assert_eq!(numbers.len(), 2 * len);
            for start in [numbers.as_ptr(), copy.as_ptr()] {
                assert_eq!(start.align_offset(LINE), 0);
            }
        }
    }
}
