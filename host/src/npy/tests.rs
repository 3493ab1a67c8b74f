//! Exact bytes, round trips, and every way a file can be wrong.

use super::*;

/// `numpy.save` of `numpy.array([[1, 2, 3], [4, 5, 255]], dtype='uint8')`.
const NUMPY_U8: &[u8] = b"\x93NUMPY\x01\x00v\x00{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3), }                                                          \n\x01\x02\x03\x04\x05\xff";

fn dir() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// A file with this dict and these values.
fn bytes_of(dict: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((dict.len() as u16).to_le_bytes());
    bytes.extend(dict.as_bytes());
    bytes.extend(data);
    bytes
}

#[test]
fn writes_numpys_bytes() {
    let dir = dir();
    let path = dir.path().join("a.npy");
    write_u8(&path, 2, 3, &[1, 2, 3, 4, 5, 255]).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), NUMPY_U8);
    assert_eq!(NUMPY_U8.len(), 128 + 6);
}

#[test]
fn round_trips() {
    let dir = dir();
    let path = dir.path().join("a.npy");
    let singles = [0.0, -1.5, f32::MIN_POSITIVE, f32::INFINITY, 0.1, 7.0];
    write_f32(&path, 3, 2, &singles).unwrap();
    let expected = Array { shape: vec![3, 2], values: Values::F32(singles.to_vec()) };
    assert_eq!(read(&path).unwrap(), expected);
    let doubles = [1e-300, -0.0, 0.1];
    write_f64(&path, 1, 3, &doubles).unwrap();
    let expected = Array { shape: vec![1, 3], values: Values::F64(doubles.to_vec()) };
    assert_eq!(read(&path).unwrap(), expected);
    let bits = BitMatrix::from_u8(2, 33, &[[1; 33], [0; 33]].concat()).unwrap();
    write_bits(&path, &bits).unwrap();
    assert_eq!(read_bits(&path).unwrap(), bits);
}

#[test]
fn reads_other_spellings() {
    let v1 = parse(&bytes_of("{\"shape\":(2L,),'fortran_order':False,'descr':'>f4'}", &[0x3f, 0x80, 0, 0, 0, 0, 0, 0]))
        .unwrap();
    assert_eq!(v1.shape, [2]);
    assert_eq!(v1.values, Values::F32(vec![1.0, 0.0]));
    let mut v2 = b"\x93NUMPY\x02\x00\x39\x00\x00\x00".to_vec();
    v2.extend(b"{'descr': '|b1', 'fortran_order': False, 'shape': (1, 3)}\x00\x01\x02");
    assert_eq!(parse(&v2).unwrap().values, Values::Bool(vec![0, 1, 1]));
    let scalar = parse(&bytes_of("{'descr': '|u1', 'fortran_order': False, 'shape': (), }", &[9]));
    assert_eq!(scalar.unwrap().values, Values::U8(vec![9]));
}

#[test]
fn a_value_that_is_no_bit_is_named() {
    let dir = dir();
    let path = dir.path().join("a.npy");
    write_u8(&path, 2, 3, &[0, 1, 0, 1, 7, 0]).unwrap();
    let message = read_bits(&path).unwrap_err().to_string();
    assert!(message.ends_with("a.npy: row 1, column 1: expected 0 or 1, found 7"), "{message}");
    write_f32(&path, 1, 1, &[1.0]).unwrap();
    let message = read_bits(&path).unwrap_err().to_string();
    assert!(message.ends_with("expected a matrix (2 axes) of uint8 or bool, found float32"), "{message}");
}

#[test]
fn every_truncation_is_an_error() {
    for end in 0..NUMPY_U8.len() {
        assert!(parse(&NUMPY_U8[..end]).is_err(), "{end}");
    }
    let longer = [NUMPY_U8, &[0]].concat();
    assert!(parse(&longer).is_err());
}

#[test]
fn hostile_headers_are_errors() {
    let huge = "{'descr': '<f8', 'fortran_order': False, 'shape': (4294967296, 4294967296, 99), }";
    let (expected, found) = parse(&bytes_of(huge, &[0; 8])).unwrap_err();
    assert!(expected.contains("too many") && found == "8", "{expected} {found}");
    let nested = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': {}", "(".repeat(60_000));
    for dict in [
        huge,
        &nested,
        "",
        "{",
        "{}",
        "[1]",
        "{'descr': '<i8', 'fortran_order': False, 'shape': (1,), }",
        "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }",
        "{'descr': '|u1', 'fortran_order': True, 'shape': (1,), }",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (-1,), }",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (99999999999999999999999,), }",
        "{'descr': '|u1', 'fortran_order': maybe, 'shape': (1,), }",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (1,), 'x': 1}",
        "{'descr': '|u1",
    ] {
        assert!(parse(&bytes_of(dict, &[0])).is_err(), "{dict:.80}");
    }
    assert!(parse(b"\x93NUMPY\x02\x00\xff\xff\xff\xff{}").is_err());
    assert!(parse(b"\x93NUMPY\x09\x00\x00\x00").is_err());
    assert!(parse(&bytes_of("\u{e9}\u{e9}", &[])).is_err());
}

#[test]
fn a_wrong_length_is_not_written() {
    let dir = dir();
    let path = dir.path().join("a.npy");
    assert!(matches!(write_u8(&path, 2, 2, &[0; 5]), Err(NpyError::Length { .. })));
    assert!(matches!(write_u8(&path, usize::MAX, 2, &[]), Err(NpyError::Length { .. })));
    assert!(!path.exists());
}
