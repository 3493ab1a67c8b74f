//! The embedded data set: real digits, binary, in every copy of the program.

use std::path::Path;

use super::{DataError, Images, Split, idx, open};

/// What it is called.
pub(super) const NAME: &str = "digits";

/// Images and labels of a split, as gzip of idx.
fn files(split: Split) -> [&'static [u8]; 2] {
    match split {
        Split::Train => [
            include_bytes!("../../data/digits/train-images-idx3-ubyte.gz"),
            include_bytes!("../../data/digits/train-labels-idx1-ubyte.gz"),
        ],
        Split::Test => [
            include_bytes!("../../data/digits/t10k-images-idx3-ubyte.gz"),
            include_bytes!("../../data/digits/t10k-labels-idx1-ubyte.gz"),
        ],
    }
}

pub(super) fn load(split: Split) -> Result<Images, DataError> {
    let path = Path::new(NAME);
    let [images, labels] = files(split);
    let open = |bytes| open::decompressed(bytes).map_err(|source| DataError::io(path, source));
    let labels = idx::labels_from(open(labels)?, path)?;
    idx::images_from(open(images)?, path)?.with_labels(labels, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_values_and_classes() {
        for (split, count, least) in [(Split::Train, 4000, 350), (Split::Test, 1000, 85)] {
            let digits = load(split).unwrap();
            assert_eq!((digits.len(), digits.width, digits.height), (count, 28, 28));
            assert_eq!((digits.channels, digits.name.as_str()), (1, "digits"));
            assert!(digits.pixels.iter().all(|&value| value == 0 || value == 255));
            let mut classes = [0; 10];
            for &label in digits.labels.as_ref().unwrap() {
                classes[usize::from(label)] += 1;
            }
            // The least frequent class (5, and 0 in the test part) has 8.5 of 10 %.
            assert!(classes.iter().all(|&class| class >= least), "{classes:?}");
            // No image is empty, and none is mostly ink.
            for i in 0..count {
                let ink = digits.image(i).iter().filter(|&&value| value == 255).count();
                assert!((10..400).contains(&ink), "image {i}: {ink}");
            }
        }
    }

    #[test]
    fn the_first_digits_are_those_of_mnist() {
        let first = |split| load(split).unwrap().labels.unwrap()[..10].to_vec();
        assert_eq!(first(Split::Train), [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]);
        assert_eq!(first(Split::Test), [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]);
    }
}
