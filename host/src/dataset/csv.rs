//! Images from CSV: one a line, square and grey.
//!
//! The first line is a header if any of its fields is not a number. Then, of C columns:
//! - a header that names one column `label`, `class`, `target` or `y` decides: that is the label;
//! - otherwise, if C is a square, all are pixels;
//! - otherwise, if C − 1 is a square, the label is the first or the last column: that one whose values are whole numbers
//!   from 0 to 255 that are not all the same. (A corner of the image is mostly background.) If that is true of both
//!   columns, or of none, nothing is guessed: the error asks for a header.

use std::path::Path;

use super::{DataError, Images, idx, open, scale};

const LABEL_NAMES: [&str; 4] = ["label", "class", "target", "y"];

pub(super) fn read(path: &Path) -> Result<Images, DataError> {
    let mut reader =
        ::csv::ReaderBuilder::new().has_headers(false).trim(::csv::Trim::All).from_reader(open::open(path)?);
    let mut header: Option<Vec<String>> = None;
    let mut columns = 0;
    let mut values: Vec<f32> = Vec::new();
    let mut record = ::csv::StringRecord::new();
    let mut first = true;
    // A line of another length is an error of the reader, with its place.
    while reader.read_record(&mut record).map_err(|error| failed(path, error))? {
        if std::mem::take(&mut first) {
            columns = record.len();
            if record.iter().any(|field| field.parse::<f32>().is_err()) {
                header = Some(record.iter().map(str::to_lowercase).collect());
                continue;
            }
        }
        for (at, field) in record.iter().enumerate() {
            values.push(field.parse().map_err(|_| DataError::Value {
                path: path.into(),
                image: values.len() / columns,
                at,
                expected: "a number".into(),
                found: format!("{:?}", field.chars().take(40).collect::<String>()),
            })?);
        }
    }
    if values.is_empty() {
        return Err(DataError::format(path, "at least one image", "no line of numbers"));
    }
    let label = label_column(path, header.as_deref(), columns, &values)?;
    let Some(label) = label else {
        let side = columns.isqrt();
        return Images::new(path, (side, side, 1), scale::numbers(&values, columns, path)?, None);
    };
    let mut pixels: Vec<f32> = Vec::with_capacity(values.len());
    let mut labels = Vec::new();
    for (image, line) in values.chunks(columns).enumerate() {
        labels.push(as_label(line[label]).ok_or_else(|| DataError::Value {
            path: path.into(),
            image,
            at: label,
            expected: "a label: a whole number from 0 to 255".into(),
            found: line[label].to_string(),
        })?);
        pixels.extend(&line[..label]);
        pixels.extend(&line[label + 1..]);
    }
    let side = (columns - 1).isqrt();
    let pixels = scale::numbers(&pixels, columns - 1, path)?;
    Images::new(path, (side, side, 1), pixels, Some(labels))
}

fn failed(path: &Path, error: ::csv::Error) -> DataError {
    let found = error.to_string();
    match error.into_kind() {
        // Not what a truncated or damaged gzip stream gives.
        ::csv::ErrorKind::Io(source) if source.raw_os_error().is_some() => DataError::io(path, source),
        _ => DataError::format(path, "lines of equal length", found),
    }
}

/// The rule of the module. After it, the other columns are a square.
fn label_column(
    path: &Path,
    header: Option<&[String]>,
    columns: usize,
    values: &[f32],
) -> Result<Option<usize>, DataError> {
    if let Some(header) = header {
        let is_label = |name: &String| LABEL_NAMES.contains(&name.as_str());
        let mut named = (0..columns).filter(|&at| header.get(at).is_some_and(is_label));
        if let Some(at) = named.next() {
            if let Some(other) = named.next() {
                return Err(DataError::format(path, "one label column", format!("columns {at} and {other}")));
            }
            return match idx::square(columns - 1) {
                Some(_) => Ok(Some(at)),
                None => Err(DataError::format(
                    path,
                    "a square number of pixels beside the label",
                    (columns - 1).to_string(),
                )),
            };
        }
    }
    if idx::square(columns).is_some() {
        return Ok(None);
    }
    if idx::square(columns - 1).is_none() {
        return Err(DataError::format(
            path,
            "a square number of columns, or that and one for the label",
            format!("{columns} columns"),
        ));
    }
    let may_be = |at: usize| {
        let mut column = values.iter().skip(at).step_by(columns).copied();
        column.clone().all(|value| as_label(value).is_some())
            && column.next().is_some_and(|one| column.any(|other| other != one))
    };
    match (may_be(0), may_be(columns - 1)) {
        (true, false) => Ok(Some(0)),
        (false, true) => Ok(Some(columns - 1)),
        (first, _) => Err(DataError::format(
            path,
            "a header line that names the label column `label`",
            format!("{} of the first and the last column could be it", if first { "both" } else { "none" }),
        )),
    }
}

fn as_label(value: f32) -> Option<u8> {
    ((0.0..=255.0).contains(&value) && value.fract() == 0.0).then_some(value as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Images, DataError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.csv");
        std::fs::write(&path, text).unwrap();
        read(&path)
    }

    fn message(text: &str) -> String {
        read_text(text).unwrap_err().to_string()
    }

    #[test]
    fn the_label_is_found() {
        let last = read_text("0,1,2,200,7\n0,5,6,9,8\n").unwrap();
        assert_eq!(last.labels, Some(vec![7, 8]));
        assert_eq!((last.width, last.height, last.image(0)), (2, 2, &[0, 1, 2, 200][..]));
        let first = read_text("7,1,2,200,0\r\n8,5,6,9,0").unwrap();
        assert_eq!((first.labels, first.pixels), (Some(vec![7, 8]), vec![1, 2, 200, 0, 5, 6, 9, 0]));
        let none = read_text("0, 1, 1, 0\n1, 1, 1, 1\n").unwrap();
        assert_eq!((none.labels, none.pixels[1]), (None, 255));
    }

    #[test]
    fn a_header_decides() {
        let text = "a,b,Label,c,d\n1,2,3,4,16\n";
        let images = read_text(text).unwrap();
        assert_eq!((images.labels, images.pixels), (Some(vec![3]), vec![16, 32, 64, 255]));
        let unlabelled = read_text("p1,p2,p3,p4\n1,2,3,200\n").unwrap();
        assert_eq!(unlabelled.labels, None);
        assert!(message("y,label,a,b,c\n1,2,3,4,5").contains("columns 0 and 1"));
        assert!(message("label,a,b,c\n1,2,3,4").contains("a square number of pixels"));
    }

    #[test]
    fn nothing_is_guessed() {
        assert!(message("1,0,0,0,1\n2,0,0,0,3\n").contains("both of the first"));
        assert!(message("1,0,0,0,1\n").contains("none of the first"));
        assert!(message("1,0,0\n").contains("3 columns"));
    }

    #[test]
    fn bad_lines_are_named() {
        assert!(message("").contains("no line of numbers"));
        assert!(message("a,b,c,d\n").contains("no line of numbers"));
        assert!(message("1,2,3,4\n1,2,x,4\n").contains("image 1, value 2: expected a number, found \"x\""));
        assert!(message("1,2,3,4\n1,2,3\n").contains("lines of equal length"));
        assert!(message("1,2,3,4\n1,2,3,-4\n").contains("image 1, value 3"));
        assert!(message("1,2,3,nan\n").contains("value 3"));
        assert!(message("label,a,b,c,d\n1.5,2,3,4,5\n").contains("a label"));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.csv");
        std::fs::write(&path, [b'1', b',', 0xff, b'\n']).unwrap();
        assert!(read(&path).is_err());
    }
}
