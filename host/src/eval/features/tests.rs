//! The embedded networks, and files of other forms.

use super::*;
use crate::dataset::{self, Split};

const DIGIT: Geometry = Geometry { width: 28, height: 28, channels: 1, bits: 1 };

fn pool(threads: usize) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap()
}

fn digits(count: usize) -> Images {
    dataset::load("digits", Split::Test).unwrap().subset(0..count)
}

/// All of the thousand test digits, none of which the network was trained on.
#[test]
fn the_embedded_network_knows_digits() {
    let network = Features::embedded(Embedded::Mnist, DIGIT).unwrap();
    let images = digits(1000);
    let features = network.run(&images, &|_| {}).unwrap();
    assert_eq!((features.len(), features.dims(), network.dims()), (1000, 64, 64));
    let labels = images.labels.as_ref().unwrap();
    let right =
        features.classes().unwrap().iter().zip(labels).filter(|&(&class, &label)| class == usize::from(label)).count();
    // 99.43 % on MNIST's 10,000: of 1,000, 990 are 1.8 standard deviations below that, and these are easier ones.
    assert!(right >= 990, "{right}");
    // After a ReLU, and most images differ.
    assert!(features.values().iter().all(|&value| value >= 0.0));
    assert!(features.rows().zip(features.rows().skip(1)).all(|(a, b)| a != b));
}

#[test]
fn both_embedded_networks_are_small_and_of_one_form() {
    for network in [Embedded::Mnist, Embedded::Fashion] {
        assert!(network.onnx().len() < 500_000);
        assert_eq!(Embedded::of_name(network.name()), Some(network));
        let features = Features::embedded(network, DIGIT).unwrap().run(&digits(3), &|_| {}).unwrap();
        assert_eq!((features.dims(), features.classes().map(<[usize]>::len)), (64, Some(3)));
    }
    assert_eq!(Embedded::of_data("digits"), Some(Embedded::Mnist));
    assert_eq!(Embedded::of_data("fashion-mnist"), Some(Embedded::Fashion));
    assert_eq!(Embedded::of_data("cifar10"), None);
}

#[test]
fn features_do_not_depend_on_threads_or_on_other_images() {
    let network = Features::embedded(Embedded::Mnist, DIGIT).unwrap();
    let done = std::sync::atomic::AtomicU64::new(0);
    let count = |n| _ = done.fetch_add(n, std::sync::atomic::Ordering::Relaxed);
    let one = pool(1).install(|| network.run(&digits(150), &count).unwrap());
    let two = pool(2).install(|| network.run(&digits(150), &count).unwrap());
    assert_eq!(one, two);
    assert_eq!(done.into_inner(), 300);
    let few = network.run(&digits(3), &|_| {}).unwrap();
    assert_eq!(few.values(), &one.values()[..3 * 64]);
    assert!(network.run(&digits(0), &|_| {}).unwrap().is_empty());
}

/// The same network as a file, which does not binarise: black and white pixels come to the same.
#[test]
fn a_file_is_a_network_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("net.onnx");
    std::fs::write(&path, Embedded::Mnist.onnx()).unwrap();
    let file = Features::open(&path, DIGIT).unwrap();
    let embedded = Features::embedded(Embedded::Mnist, DIGIT).unwrap();
    let mut images = digits(5);
    let bright = embedded.run(&images, &|_| {}).unwrap();
    assert_eq!(file.run(&images, &|_| {}).unwrap(), bright);
    images.pixels.iter_mut().for_each(|pixel| *pixel = if *pixel == 255 { 200 } else { 90 });
    assert_eq!(embedded.run(&images, &|_| {}).unwrap(), bright);
    assert_ne!(file.run(&images, &|_| {}).unwrap(), bright);
}

#[test]
fn images_of_another_size_are_refused_at_once() {
    let wide = Geometry { width: 32, ..DIGIT };
    let error = Features::embedded(Embedded::Mnist, wide).unwrap_err().to_string();
    assert_eq!(error, "the embedded network mnist: expected an input of N × 1 (or 3) × 28 × 32, found ? × 1 × 28 × 28");
    let colour = Geometry { channels: 3, ..DIGIT };
    assert!(matches!(Features::embedded(Embedded::Mnist, colour), Err(FeaturesError::Form { .. })));
    let network = Features::embedded(Embedded::Mnist, DIGIT).unwrap();
    let images = Images { width: 14, height: 56, ..digits(2) };
    assert!(matches!(network.run(&images, &|_| {}), Err(FeaturesError::Images { .. })));
}

#[test]
fn what_is_no_network_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("net.onnx");
    let open = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        Features::open(&path, DIGIT)
    };
    let whole = Embedded::Mnist.onnx();
    assert!(open(whole).is_ok());
    for bytes in [&b""[..], b"not a network", &whole[..1000], &whole[..whole.len() - 1]] {
        let error = open(bytes).unwrap_err().to_string();
        assert!(error.starts_with(&path.display().to_string()) && !error.contains('\n'), "{error}");
    }
    let error = Features::open(&dir.path().join("none.onnx"), DIGIT).unwrap_err();
    assert!(matches!(&error, FeaturesError::Open { .. }), "{error}");
}

/// The channels of a network of three: the sum of each channel's pixels, by the ONNX file below.
#[test]
fn grey_is_repeated_and_colour_keeps_its_channels() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sums.onnx");
    std::fs::write(&path, channel_means()).unwrap();
    let size = Geometry { width: 2, height: 1, channels: 1, bits: 1 };
    let grey = Images { name: String::new(), width: 2, height: 1, channels: 1, pixels: vec![255, 51], labels: None };
    let network = Features::open(&path, size).unwrap();
    let close = |set: FeatureSet, expected: [f32; 3]| {
        assert_eq!(set.dims(), 3);
        assert!(set.values().iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{set:?}");
        assert_eq!(set.classes(), None);
    };
    close(network.run(&grey, &|_| {}).unwrap(), [0.6; 3]);
    let network = Features::open(&path, Geometry { channels: 3, ..size }).unwrap();
    let colour = Images { channels: 3, pixels: vec![255, 0, 51, 255, 51, 51], ..grey };
    close(network.run(&colour, &|_| {}).unwrap(), [1.0, 0.1, 0.2]);
}

/// An ONNX file, byte by byte: one GlobalAveragePool from `x`, N × 3 × H × W, to `y`, N × 3 × 1 × 1.
fn channel_means() -> Vec<u8> {
    /// A field of bytes in the format of protocol buffers.
    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, u8::try_from(bytes.len()).unwrap()], bytes].concat()
    }
    fn int(number: u8, value: u8) -> Vec<u8> {
        vec![number << 3, value]
    }
    let symbol = |name: &str| field(1, &field(2, name.as_bytes()));
    let fixed = |size: u8| field(1, &int(1, size));
    let value = |name: &str, dims: Vec<Vec<u8>>| {
        let shape = field(2, &dims.concat());
        // Element type 1 is a 32-bit float.
        [field(1, name.as_bytes()), field(2, &field(1, &[int(1, 1), shape].concat()))].concat()
    };
    let node = [field(1, b"x"), field(2, b"y"), field(4, b"GlobalAveragePool")].concat();
    let input = value("x", vec![symbol("N"), fixed(3), symbol("H"), symbol("W")]);
    let output = value("y", vec![symbol("N"), fixed(3), fixed(1), fixed(1)]);
    let graph = [field(1, &node), field(2, b"g"), field(11, &input), field(12, &output)].concat();
    [int(1, 8), field(7, &graph), field(8, &int(2, 13))].concat()
}
