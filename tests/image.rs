//! The flash image: its exact bytes, the way there and back, and every way to refuse one.

use bitboltz::{
    image::{AlignedBytes, encode},
    tensors::{Tensors, pack},
};
use bitboltz_core::{
    image::{Geometry, Image, ImageError, image_bytes},
    model::{ModelError, Tensor},
    shape::{Shape, ShapeError},
    weights::{I4, Weight, WeightKind},
};
use bitboltz_tests::{
    fuzz,
    images::{Encoded as _, example, is_the_only_one, patched, reseal, scale},
    models::machine,
};
use bytemuck::Zeroable as _;
use proptest::prelude::*;

/// The worked example of `core/FORMAT.md`.
#[rustfmt::skip]
const EXAMPLE: [u8; 80] = [
    0x89, 0x42, 0x42, 0x5A,  1, 0,  1,  3,  80, 0, 0, 0,  0x00, 0x00, 0x80, 0x3D,
    3, 0,  1, 0,  1, 1,  0, 0,
    3, 0, 0, 0,  2, 0, 0, 0,  1, 0, 0, 0,
    0, 3,  0, 0,
    1, 0, 0, 0,  0xFE, 0xFF, 0xFF, 0xFF,  3, 0, 0, 0,
    4, 0, 0, 0,  0xFB, 0xFF, 0xFF, 0xFF,
    6, 0, 0, 0,
    1, 0xFE, 3, 0xFC, 5, 0xFA,  0, 0,
    7, 0xF8,  0, 0,
    0x82, 0xBE, 0xCA, 0x5F,
];

fn tiny_i16() -> Tensors<i16> {
    let biases = vec![vec![1, 0x0102_0304], vec![-1]];
    Tensors::new(vec![vec![300, -2]], vec![14], biases, scale(24), Geometry::default()).unwrap()
}

#[rustfmt::skip]
const TINY_I16: [u8; 56] = [
    0x89, 0x42, 0x42, 0x5A,  1, 0,  2,  2,  56, 0, 0, 0,  0x00, 0x00, 0x80, 0x33,
    0, 0,  0, 0,  0, 0,  0, 0,
    2, 0, 0, 0,  1, 0, 0, 0,
    14,  0, 0, 0,
    1, 0, 0, 0,  4, 3, 2, 1,
    0xFF, 0xFF, 0xFF, 0xFF,
    0x2C, 1,  0xFE, 0xFF,
    0xBD, 0x41, 0xD5, 0x30,
];

fn tiny_f32() -> Tensors<f32> {
    let geometry = Geometry { width: 1, height: 1, channels: 1, bits: 1 };
    Tensors::new(vec![vec![1.5, -0.0]], vec![0], vec![vec![-1.0], vec![0.25, 2.0]], scale(0), geometry).unwrap()
}

#[rustfmt::skip]
const TINY_F32: [u8; 60] = [
    0x89, 0x42, 0x42, 0x5A,  1, 0,  0,  2,  60, 0, 0, 0,  0x00, 0x00, 0x80, 0x3F,
    1, 0,  1, 0,  1, 1,  0, 0,
    1, 0, 0, 0,  2, 0, 0, 0,
    0,  0, 0, 0,
    0, 0, 0x80, 0xBF,
    0, 0, 0x80, 0x3E,  0, 0, 0, 0x40,
    0, 0, 0xC0, 0x3F,  0, 0, 0, 0x80,
    0xC7, 0xC6, 0x32, 0xCB,
];

/// The second worked example of `core/FORMAT.md`: 2-9-1 units, nibbles.
fn nibbles() -> Tensors<I4> {
    let rows = |values: &[i8], upper| pack(&values.iter().map(|&w| I4::new(w).unwrap()).collect::<Vec<_>>(), upper);
    let weights = vec![
        rows(&[1, -2, 3, -4, 5, -6, 7, -7, -1, 0, 1, 2, 3, 4, 5, 6, 7, 2], 9),
        rows(&[7, -7, 6, -6, 5, -5, 4, -4, 3], 1),
    ];
    let biases = vec![vec![1, -2], vec![0, 0, 0, 0, 0, 0, 0, 0, 9], vec![-3]];
    Tensors::new(weights, vec![0, 2], biases, scale(4), Geometry::default()).unwrap()
}

#[rustfmt::skip]
const NIBBLES: [u8; 144] = [
    0x89, 0x42, 0x42, 0x5A,  1, 0,  3,  3,  144, 0, 0, 0,  0x00, 0x00, 0x80, 0x3D,
    0, 0,  0, 0,  0, 0,  0, 0,
    2, 0, 0, 0,  9, 0, 0, 0,  1, 0, 0, 0,
    0, 2,  0, 0,
    1, 0, 0, 0,  0xFE, 0xFF, 0xFF, 0xFF,
    0, 0, 0, 0,  0, 0, 0, 0,  0, 0, 0, 0,  0, 0, 0, 0,  0, 0, 0, 0,  0, 0, 0, 0,  0, 0, 0, 0,  0, 0, 0, 0,  9, 0, 0, 0,
    0xFD, 0xFF, 0xFF, 0xFF,
    0xE1, 0xC3, 0xA5, 0x97,  0x0F, 0, 0, 0,
    0x10, 0x32, 0x54, 0x76,  0x02, 0, 0, 0,
    7, 0, 0, 0,  9, 0, 0, 0,  6, 0, 0, 0,  0xA, 0, 0, 0,  5, 0, 0, 0,  0xB, 0, 0, 0,  4, 0, 0, 0,  0xC, 0, 0, 0,  3, 0, 0, 0,
    0xDF, 0x23, 0xD2, 0x1D,
];

#[test]
fn exact_bytes() {
    assert_eq!(nibbles().image(), NIBBLES);
    assert_eq!(example().image(), EXAMPLE);
    assert_eq!(tiny_i16().image(), TINY_I16);
    assert_eq!(tiny_f32().image(), TINY_F32);
}

fn there_and_back<W: Weight>(tensors: &Tensors<W>) {
    let bytes = tensors.image();
    let held = AlignedBytes::new(&bytes);
    let image = held.image().unwrap();
    let model = image.dbm::<W>().unwrap();
    assert_eq!(&Tensors::of(&model, image.geometry()), tensors);
    assert_eq!((image.kind(), image.scale(), image.bytes()), (W::KIND, tensors.scale, &bytes[..]));
    assert_eq!(image.shape(), model.shape());
    assert!(image.shifts().iter().map(|&shift| u32::from(shift)).eq(tensors.shifts.iter().copied()));
    assert_eq!(image.crc().to_le_bytes(), bytes[bytes.len() - 4..]);
    assert_eq!(image_bytes(image.shape(), W::KIND), bytes.len() as u64);
    assert_eq!(encode(&model, image.geometry()).unwrap(), bytes);

    // What follows an image in a flash region does not matter.
    let mut region = bytes.clone();
    region.extend([0xFF; 9]);
    assert_eq!(AlignedBytes::new(&region).image().unwrap().bytes(), bytes);
}

#[test]
fn there_and_back_is_the_same_model() {
    there_and_back(&example());
    there_and_back(&tiny_i16());
    there_and_back(&tiny_f32());
    there_and_back(&nibbles());
    for widths in [&[1, 1][..], &[5, 3], &[33, 7, 2], &[3, 1, 4, 1, 5, 9, 2, 6]] {
        there_and_back(&machine::<i8>(widths, 1.0, 1));
        there_and_back(&machine::<i16>(widths, 1.0, 2));
        there_and_back(&machine::<f32>(widths, 1.0, 3));
        there_and_back(&machine::<I4>(widths, 1.0, 4));
    }
}

/// One image of each weight type.
fn each_type() -> [Vec<u8>; 4] {
    [example().image(), tiny_i16().image(), tiny_f32().image(), nibbles().image()]
}

#[test]
fn every_truncation_is_refused() {
    for bytes in each_type() {
        for length in 0..bytes.len() {
            let error = AlignedBytes::new(&bytes[..length]).image().unwrap_err();
            let expected = if length < 24 { 24 } else { bytes.len() as u64 };
            assert_eq!(error, ImageError::TooShort { expected, found: length });
        }
    }
}

#[test]
fn every_flipped_bit_is_refused() {
    for bytes in each_type() {
        for bit in 0..8 * bytes.len() {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(AlignedBytes::new(&damaged).image().is_err(), "bit {bit}");
        }
    }
}

/// Opens and runs bytes, if they are an image. Returns whether they are.
fn open_and_run(bytes: &[u8]) -> bool {
    let opened = fuzz::open_and_run(bytes);
    let held = AlignedBytes::new(bytes);
    assert!(!opened || is_the_only_one(&held.image().unwrap()));
    opened
}

#[test]
fn every_flipped_bit_under_a_right_crc_is_refused_or_harmless() {
    let mut opened = 0;
    for bytes in each_type() {
        for bit in 0..8 * (bytes.len() - 4) {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            reseal(&mut damaged);
            opened += u32::from(open_and_run(&damaged));
        }
    }
    assert!(opened > 100, "other weights are images too: {opened}");
}

/// An image of one matrix of `lower` × 1 zero weights with a right CRC.
fn column<W: Weight>(lower: usize, shift: u32, bias: W::Field) -> Vec<u8> {
    let (weights, biases) =
        (vec![vec![W::Packed::zeroed(); lower]], vec![vec![W::Field::default(); lower], vec![bias]]);
    let mut bytes = Tensors::<W>::new(weights, vec![0], biases, scale(0), Geometry::default()).unwrap().image();
    bytes[32] = shift as u8;
    reseal(&mut bytes);
    bytes
}

#[test]
fn every_reason_to_refuse() {
    use ImageError as E;
    let image = example().image();
    let refused = |patches: &[(usize, &[u8])]| patched(&image, patches).image().map(|_| ()).unwrap_err();

    assert_eq!(Image::open(&[]).unwrap_err(), E::TooShort { expected: 24, found: 0 });
    for offset in 1..4 {
        let mut moved = vec![0; offset];
        moved.extend(&image);
        assert_eq!(Image::open(&AlignedBytes::new(&moved).bytes()[offset..]).unwrap_err(), E::Misaligned);
    }
    assert_eq!(AlignedBytes::new(&[0xFF; 4096]).image().unwrap_err(), E::Erased);
    assert_eq!(AlignedBytes::new(&[0; 4096]).image().unwrap_err(), E::Erased);
    assert_eq!(refused(&[(0, b"\x89PNG")]), E::Magic { found: *b"\x89PNG" });
    assert_eq!(refused(&[(4, &[2, 0])]), E::Version { found: 2 });
    assert_eq!(refused(&[(4, &[0, 0])]), E::Version { found: 0 });

    // Lengths: shorter than any image, longer than the bytes, and not that of the shape.
    for length in [0u32, 27, 28, 51] {
        assert_eq!(refused(&[(8, &length.to_le_bytes())]), E::Length { expected: 52, found: length });
    }
    for length in [81, u32::MAX] {
        let expected = u64::from(length);
        assert_eq!(refused(&[(8, &length.to_le_bytes())]), E::TooShort { expected, found: 80 });
    }
    let mut longer = image.clone();
    longer.extend([0; 4]);
    longer[8] = 84;
    reseal(&mut longer);
    assert_eq!(AlignedBytes::new(&longer).image().unwrap_err(), E::Length { expected: 80, found: 84 });

    let mut damaged = image.clone();
    damaged[79] ^= 0x80;
    let (stored, found) = (u32::from_le_bytes(damaged[76..].try_into().unwrap()), image_crc(&image));
    assert_eq!(AlignedBytes::new(&damaged).image().unwrap_err(), E::Crc { expected: stored, found });

    for code in [4, 255] {
        assert_eq!(refused(&[(6, &[code])]), E::Kind { code });
    }
    for layers in [0, 1, 9, 255] {
        let error = E::Shape(ShapeError::Layers { found: layers.into() });
        assert_eq!(refused(&[(7, &[layers])]), error);
    }
    for (layer, width) in [(0, 0), (1, 65_537), (2, u32::MAX)] {
        let error = E::Shape(ShapeError::Width { layer, found: width as usize });
        assert_eq!(refused(&[(24 + 4 * layer, &width.to_le_bytes())]), error);
    }
    // The largest shape there is needs more bytes than a u32 counts.
    let mut widest = vec![0; 80];
    widest[..24].copy_from_slice(&image[..24]);
    widest[6..8].copy_from_slice(&[0, 8]);
    (0..8).for_each(|l| widest[24 + 4 * l..][..4].copy_from_slice(&65_536u32.to_le_bytes()));
    reseal(&mut widest);
    let expected = image_bytes(&Shape::new(&[65_536; 8]).unwrap(), WeightKind::F32);
    assert!(expected > 7 << 34);
    assert_eq!(AlignedBytes::new(&widest).image().unwrap_err(), E::Length { expected, found: 80 });

    let geometry = |bytes: &[u8; 6]| refused(&[(16, bytes)]);
    assert_eq!(geometry(&[2, 0, 2, 0, 1, 1]), E::Geometry { units: 4, visible: 3 });
    assert_eq!(geometry(&[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 8]), E::Geometry { units: u32::MAX as usize, visible: 3 });
    for (width, height, channels, bits) in [(3, 0, 1, 1), (0, 0, 0, 1), (1, 1, 1, 9)] {
        let picture = Geometry { width, height, channels, bits };
        assert_eq!(geometry(&[width as u8, 0, height as u8, 0, channels, bits]), E::Picture(picture));
    }

    for value in [0.0, -0.5, 1.0 + f32::EPSILON, 5.9e-8, f32::NAN, f32::INFINITY] {
        assert_eq!(refused(&[(12, &value.to_le_bytes())]), E::Scale { bits: value.to_bits() });
    }
    for shift in [16, 255] {
        assert_eq!(refused(&[(37, &[shift])]), E::Shift { connection: 1, found: shift });
    }
    // Reserved bytes, the padding of the shifts, that of each matrix.
    for offset in [22, 23, 38, 39, 70, 71, 74, 75] {
        assert_eq!(refused(&[(offset, &[1])]), E::Reserved { offset });
    }

    // What pads the last word of a row of nibbles, in the first and the last row of each matrix.
    let rows = nibbles().image();
    for (offset, byte) in [(92, 0x1F), (93, 1), (95, 0x80), (100, 0xF2), (104, 0x17), (107, 1), (139, 0x80)] {
        assert_eq!(patched(&rows, &[(offset, &[byte])]).image().unwrap_err(), E::Reserved { offset });
    }

    let floats = tiny_f32().image();
    let not_finite = |at: usize, value: f32| patched(&floats, &[(at, &value.to_le_bytes())]).image().unwrap_err();
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let error = |tensor| E::Model(ModelError::NotFinite { tensor });
        assert_eq!(not_finite(36, value), error(Tensor::Bias(0)));
        assert_eq!(not_finite(44, value), error(Tensor::Bias(1)));
        assert_eq!(not_finite(52, value), error(Tensor::Weight(0)));
    }

    let held = AlignedBytes::new(&image);
    let opened = held.image().unwrap();
    assert_eq!(opened.integer_dbm().unwrap().connections()[1].kind(), WeightKind::I8);
    let floating = AlignedBytes::new(&floats);
    assert_eq!(floating.image().unwrap().integer_dbm().unwrap_err(), E::Floats);
    let error = E::WrongKind { expected: WeightKind::I16, found: WeightKind::I8 };
    assert_eq!(opened.dbm::<i16>().unwrap_err(), error);
}

fn image_crc(image: &[u8]) -> u32 {
    u32::from_le_bytes(*image.last_chunk().unwrap())
}

#[test]
fn no_model_that_opens_can_overflow_its_fields() {
    let overflow = |bytes: &[u8]| match AlignedBytes::new(bytes).image() {
        Ok(_) => None,
        Err(ImageError::Model(ModelError::Overflow { layer, bound })) => Some((layer, bound)),
        Err(error) => panic!("{error}"),
    };
    const LIMIT: u64 = i32::MAX as u64;
    // 65,536 weights of up to 32,768 are 2³¹: one too many.
    assert_eq!(overflow(&column::<i16>(65_535, 0, 0)), None);
    assert_eq!(overflow(&column_of_full_width_i16()), Some((1, 1 << 31)));
    assert_eq!(overflow(&column::<i8>(65_536, 7, 0)), None);
    assert_eq!(overflow(&column::<I4>(65_536, 11, 0)), None);
    assert_eq!(overflow(&column::<I4>(65_536, 12, 0)), Some((1, 1 << 31)));
    assert_eq!(overflow(&column::<i8>(65_536, 8, 0)), Some((1, 1 << 31)));
    assert_eq!(overflow(&column::<i8>(65_536, 15, 0)), Some((1, 1 << 38)));
    // Exactly at the limit, and one above; the smallest i32 has a magnitude of its own.
    let room = i32::MAX - 128;
    assert_eq!(overflow(&column::<i8>(1, 0, room)), None);
    assert_eq!(
        overflow(patched(&column::<i8>(1, 0, room), &[(40, &(room + 1).to_le_bytes())]).bytes()),
        Some((1, LIMIT + 1))
    );
    let smallest = patched(&column::<i8>(1, 0, 0), &[(36, &i32::MIN.to_le_bytes())]);
    assert_eq!(overflow(smallest.bytes()), Some((0, (1 << 31) + 128)));
}

/// `Tensors::image` refuses to build this one.
fn column_of_full_width_i16() -> Vec<u8> {
    // 65,535 units and the one more that makes it overflow: a bias of four bytes and a weight of two, padded.
    let mut bytes = column::<i16>(65_535, 0, 0);
    let crc = bytes.len() - 4;
    bytes.splice(crc..crc, [0; 4]);
    bytes[24..28].copy_from_slice(&65_536u32.to_le_bytes());
    let length = bytes.len() as u32;
    bytes[8..12].copy_from_slice(&length.to_le_bytes());
    reseal(&mut bytes);
    bytes
}

#[test]
fn the_last_field_before_the_limit_is_computed_without_overflow() {
    // All weights at the type's end, every unit on: the bound is reached and not passed.
    let mut tensors = machine::<i16>(&[40, 40, 40], 1.0, 5);
    tensors.scale = scale(12);
    tensors.shifts = vec![10, 9];
    tensors.weights.iter_mut().for_each(|w| w.fill(i16::MIN));
    let largest = i32::MAX - 40 * 32_768 * (512 + 1024);
    tensors.biases.iter_mut().for_each(|b| b.fill(-largest));
    let bytes = tensors.image();
    let held = AlignedBytes::new(&bytes);
    let model = held.image().unwrap().dbm::<i16>().unwrap();
    let mut chain = bitboltz::chain::ChainBuffer::new(model.shape());
    let mut state = chain.state(model.shape());
    for layer in 0..3 {
        state.layer_mut(layer).fill(true);
    }
    model.refresh(&mut state);
    assert!(state.layer_fields(1).iter().all(|&field| field == -i32::MAX));
    assert_eq!(model.real_energy(&state), model.direct_energy(&state));
}

proptest! {
    #[test]
    fn any_header_is_refused_or_harmless(
        fields in prop::collection::vec((4usize..52, any::<u8>()), 1..6),
        body in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let mut bytes = example().image();
        bytes.truncate(76);
        bytes.extend(body);
        for (at, byte) in fields {
            bytes[at] = byte;
        }
        bytes.extend([0; 4]);
        let length = bytes.len() as u32;
        bytes[8..12].copy_from_slice(&length.to_le_bytes());
        reseal(&mut bytes);
        open_and_run(&bytes);
    }

    #[test]
    fn any_bytes_are_refused(mut bytes in prop::collection::vec(any::<u8>(), 0..200), magic in any::<bool>()) {
        if magic && bytes.len() >= 6 {
            bytes[..6].copy_from_slice(b"\x89BBZ\x01\x00");
        }
        prop_assert!(!fuzz::image(&bytes));
    }
}

#[test]
fn errors_say_what_was_expected_and_found() {
    let said = [
        (ImageError::TooShort { expected: 80, found: 7 }, "image cut short: expected 80 bytes, found 7"),
        (ImageError::Version { found: 9 }, "image version: expected 1, found 9"),
        (ImageError::Crc { expected: 0x10, found: 0xFF }, "image damaged: expected CRC 00000010, found 000000ff"),
        (ImageError::Kind { code: 4 }, "weight type: expected 0 (f32), 1 (i8), 2 (i16) or 3 (i4), found 4"),
        (ImageError::Shape(ShapeError::Width { layer: 1, found: 0 }), "layer 1: expected 1 to 65536 units, found 0"),
        (ImageError::Shift { connection: 2, found: 16 }, "weight.2: expected a shift up to 15, found 16"),
        (ImageError::Model(ModelError::NotFinite { tensor: Tensor::Weight(0) }), "weight.0: a number is not finite"),
        (
            ImageError::WrongKind { expected: WeightKind::I8, found: WeightKind::F32 },
            "weight type: expected i8, found f32",
        ),
        (ImageError::Magic { found: *b"\0ABC" }, "no image: expected magic [89, 42, 42, 5a], found [00, 41, 42, 43]"),
    ];
    for (error, text) in said {
        assert_eq!(error.to_string(), text);
    }
}
