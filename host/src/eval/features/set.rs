//! Feature vectors of many images.

/// One row of features for each image, and its class where the network has one.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureSet {
    dims: usize,
    values: Vec<f32>,
    classes: Option<Classes>,
}

/// What class a network sees in each row, of how many that it knows.
#[derive(Debug, Clone, PartialEq)]
pub struct Classes {
    /// All that the network knows, seen or not.
    pub count: usize,
    /// Of each row, below `count`.
    pub of_rows: Vec<usize>,
}

impl FeatureSet {
    /// From rows × `dims` values, and a class for each row.
    ///
    /// # Panics
    /// If the lengths do not agree, or a class is beyond those that the network knows.
    #[must_use]
    pub fn new(dims: usize, values: Vec<f32>, classes: Option<Classes>) -> Self {
        assert!(dims > 0 && values.len().is_multiple_of(dims), "{} values in rows of {dims}", values.len());
        let set = Self { dims, values, classes };
        if let Some(Classes { count, of_rows }) = &set.classes {
            assert!(of_rows.len() == set.len() && of_rows.iter().all(|class| class < count), "a class for each row");
        }
        set
    }

    /// The number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len() / self.dims
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Features of a row.
    #[must_use]
    pub fn dims(&self) -> usize {
        self.dims
    }

    /// All rows, one after the other.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Row after row.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.values.chunks_exact(self.dims)
    }

    /// The share among the rows of each class that the network knows, if it has classes: as many for every set of its.
    #[must_use]
    pub fn class_shares(&self) -> Option<Vec<f64>> {
        let Classes { count, of_rows } = self.classes.as_ref()?;
        let mut counts = vec![0_usize; *count];
        of_rows.iter().for_each(|&class| counts[class] += 1);
        Some(counts.into_iter().map(|count| count as f64 / self.len() as f64).collect())
    }

    /// The class of each row, if the network has classes.
    #[must_use]
    pub fn classes(&self) -> Option<&[usize]> {
        self.classes.as_ref().map(|classes| &classes.of_rows[..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_that_the_network_knows_has_a_share() {
        let set = |of_rows| FeatureSet::new(1, vec![0.5, 1.5], Some(Classes { count: 4, of_rows }));
        assert_eq!(set(vec![2, 0]).class_shares(), Some(vec![0.5, 0.0, 0.5, 0.0]));
        assert_eq!(set(vec![1, 1]).class_shares(), Some(vec![0.0, 1.0, 0.0, 0.0]));
        assert_eq!(FeatureSet::new(1, vec![0.5], None).class_shares(), None);
    }
}
