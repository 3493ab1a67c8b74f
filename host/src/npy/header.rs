//! The header of a `.npy` file: magic, version, length, and a Python dict literal.

/// The types that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    U8,
    Bool,
    F32,
    F64,
}

impl Kind {
    pub(super) fn size(self) -> usize {
        match self {
            Kind::U8 | Kind::Bool => 1,
            Kind::F32 => 4,
            Kind::F64 => 8,
        }
    }

    fn descr(self) -> &'static str {
        match self {
            Kind::U8 => "|u1",
            Kind::Bool => "|b1",
            Kind::F32 => "<f4",
            Kind::F64 => "<f8",
        }
    }
}

#[derive(Debug, PartialEq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) big_endian: bool,
    pub(super) shape: Vec<usize>,
}

const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// The values start at a multiple of this, as NumPy writes them.
const ALIGN: usize = 64;
const SHORT: &str = "a whole header";

/// (expected, found)
type Mismatch = (String, String);

/// A version 1.0 header, byte for byte as NumPy writes it.
pub(super) fn format(kind: Kind, rows: usize, cols: usize) -> Vec<u8> {
    let mut dict = format!("{{'descr': '{}', 'fortran_order': False, 'shape': ({rows}, {cols}), }}", kind.descr());
    // 10 bytes before the dict, a line feed after it.
    let length = (10 + dict.len() + 1).next_multiple_of(ALIGN) - 10;
    dict.push_str(&" ".repeat(length - dict.len() - 1));
    dict.push('\n');
    let mut bytes = MAGIC.to_vec();
    bytes.extend([1, 0]);
    // At most 3·64: the dict holds two numbers of at most 20 digits.
    bytes.extend((length as u16).to_le_bytes());
    bytes.extend(dict.as_bytes());
    bytes
}

/// The header, and the bytes after it.
pub(super) fn parse(bytes: &[u8]) -> Result<(Header, &[u8]), Mismatch> {
    let Some(rest) = bytes.strip_prefix(MAGIC) else {
        let start = String::from_utf8_lossy(&bytes[..bytes.len().min(6)]).into_owned();
        return Err(("a .npy file, which starts with \\x93NUMPY".into(), format!("{start:?}")));
    };
    let cut = || mismatch(SHORT, "the file's end");
    let (&[major, _minor], rest) = rest.split_first_chunk().ok_or_else(cut)?;
    let (length, rest) = match major {
        1 => {
            let (&length, rest) = rest.split_first_chunk().ok_or_else(cut)?;
            (usize::from(u16::from_le_bytes(length)), rest)
        }
        2 | 3 => {
            let (&length, rest) = rest.split_first_chunk().ok_or_else(cut)?;
            (u32::from_le_bytes(length) as usize, rest)
        }
        other => return Err(mismatch("version 1, 2 or 3", &format!("version {other}"))),
    };
    let (dict, data) = rest.split_at_checked(length).ok_or_else(cut)?;
    let dict = std::str::from_utf8(dict).map_err(|_| mismatch("a header of text", "bytes"))?;
    Ok((parse_dict(dict)?, data))
}

/// Exactly the dicts that NumPy writes: the three keys in any order, any spaces.
fn parse_dict(text: &str) -> Result<Header, Mismatch> {
    let mut rest = Rest(text);
    let (mut descr, mut fortran, mut shape) = (None, None, None);
    rest.expect('{')?;
    while !rest.take('}') {
        let key = rest.string()?;
        rest.expect(':')?;
        match key {
            "descr" => descr = Some(rest.string()?),
            "fortran_order" => fortran = Some(rest.boolean()?),
            "shape" => shape = Some(rest.tuple()?),
            other => return Err(mismatch("descr, fortran_order or shape", other)),
        }
        if !rest.take(',') {
            rest.expect('}')?;
            break;
        }
    }
    let (Some(descr), Some(fortran), Some(shape)) = (descr, fortran, shape) else {
        return Err(mismatch("descr, fortran_order and shape", text.trim()));
    };
    if fortran {
        return Err(mismatch("C order (save numpy.ascontiguousarray of it)", "Fortran order"));
    }
    let big_endian = descr.starts_with('>');
    let kind = match descr.trim_start_matches(['<', '>', '|', '=']) {
        "u1" => Kind::U8,
        "b1" | "?" => Kind::Bool,
        "f4" => Kind::F32,
        "f8" => Kind::F64,
        _ => {
            return Err(mismatch("uint8, bool, float32 or float64 (convert with .astype)", &format!("type '{descr}'")));
        }
    };
    Ok(Header { kind, big_endian, shape })
}

fn mismatch(expected: &str, found: &str) -> Mismatch {
    (expected.into(), found.chars().take(80).collect())
}

/// What is left of the header's text.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    fn take(&mut self, token: char) -> bool {
        self.0 = self.0.trim_start();
        match self.0.strip_prefix(token) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, token: char) -> Result<(), Mismatch> {
        if self.take(token) {
            return Ok(());
        }
        Err(self.wrong(&format!("'{token}' in the header")))
    }

    fn wrong(&self, expected: &str) -> Mismatch {
        mismatch(expected, self.0)
    }

    fn string(&mut self) -> Result<&'a str, Mismatch> {
        let quote = if self.take('\'') {
            '\''
        } else if self.take('"') {
            '"'
        } else {
            // A list here is a structured type.
            return Err(self.wrong("a quoted name of a key or of a plain type"));
        };
        let (text, rest) = self.0.split_once(quote).ok_or_else(|| self.wrong("a closing quote"))?;
        self.0 = rest;
        Ok(text)
    }

    fn word(&mut self) -> &'a str {
        self.0 = self.0.trim_start();
        let end = self.0.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(self.0.len());
        let (word, rest) = self.0.split_at(end);
        self.0 = rest;
        word
    }

    fn boolean(&mut self) -> Result<bool, Mismatch> {
        match self.word() {
            "True" => Ok(true),
            "False" => Ok(false),
            other => Err(mismatch("True or False", other)),
        }
    }

    fn tuple(&mut self) -> Result<Vec<usize>, Mismatch> {
        let mut axes = Vec::new();
        self.expect('(')?;
        while !self.take(')') {
            let word = self.word();
            // Python 2 wrote longs with an L.
            let axis = word.strip_suffix('L').unwrap_or(word).parse();
            axes.push(axis.map_err(|_| mismatch("an axis length in the shape", word))?);
            if !self.take(',') {
                self.expect(')')?;
                break;
            }
        }
        Ok(axes)
    }
}
