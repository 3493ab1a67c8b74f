//! Feature vectors of many images.

/// One row of features for each image, and its class where the network has one.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureSet {
    dims: usize,
    values: Vec<f32>,
    classes: Option<Vec<usize>>,
}

impl FeatureSet {
    /// From rows × `dims` values, and a class for each row.
    ///
    /// # Panics
    /// If the lengths do not agree.
    #[must_use]
    pub fn new(dims: usize, values: Vec<f32>, classes: Option<Vec<usize>>) -> Self {
        assert!(dims > 0 && values.len().is_multiple_of(dims), "{} values in rows of {dims}", values.len());
        let set = Self { dims, values, classes };
        assert!(set.classes.as_ref().is_none_or(|classes| classes.len() == set.len()), "a class for each row");
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

    /// The share of each of the classes 0 … `classes` − 1 among the rows, if the network has classes.
    ///
    /// # Panics
    /// If a row has a class beyond these.
    #[must_use]
    pub fn class_shares(&self, classes: usize) -> Option<Vec<f64>> {
        let mut counts = vec![0_usize; classes];
        self.classes()?.iter().for_each(|&class| counts[class] += 1);
        Some(counts.into_iter().map(|count| count as f64 / self.len() as f64).collect())
    }

    /// The class of each row, if the network has classes.
    #[must_use]
    pub fn classes(&self) -> Option<&[usize]> {
        self.classes.as_deref()
    }
}
