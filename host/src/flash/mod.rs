//! An image in the files that programs write to a device's flash: as it is, as Intel HEX, or as UF2.
//!
//! The last two say at which address the bytes belong, so that the weights' region is written and nothing else.

mod hex;
mod uf2;

use std::path::Path;

use thiserror::Error;

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlashFormat {
    /// The image itself (`.bbz`).
    Image,
    /// Intel HEX (`.hex`), which nearly every flash program takes.
    Hex,
    /// UF2 (`.uf2`), which is copied to the drive that a bootloader shows.
    Uf2,
}

/// Where an image goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Destination {
    /// Address of its first byte.
    pub address: u64,
    /// What a UF2 file says whose it is: bootloaders ignore that of others. `None` says nothing.
    pub uf2_family: Option<u32>,
}

/// Why there is no such file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FlashError {
    /// A format with addresses, and none given.
    #[error("a {0} file says where the image goes: expected --board or --address")]
    NoAddress(FlashFormat),
    /// An address that the format cannot begin at.
    #[error("address {address:#x}: expected a multiple of {multiple}")]
    Misaligned {
        /// Given.
        address: u64,
        /// What divides it: 4 for an image, 256 for blocks of UF2.
        multiple: u64,
    },
    /// Bytes beyond the addresses of 32 bits that the format has.
    #[error("address {address:#x}: {bytes} bytes from there on do not fit 32 bits of address")]
    Beyond {
        /// Given.
        address: u64,
        /// Of the image.
        bytes: usize,
    },
}

impl std::fmt::Display for FlashFormat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Image => ".bbz",
            Self::Hex => ".hex",
            Self::Uf2 => ".uf2",
        })
    }
}

impl FlashFormat {
    /// The format that a file's name asks for; the image as it is if it ends in neither `.hex` nor `.uf2`.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        let extension = path.extension().unwrap_or_default();
        let formats = [(Self::Hex, "hex"), (Self::Uf2, "uf2")];
        formats.iter().find(|(_, name)| extension.eq_ignore_ascii_case(name)).map_or(Self::Image, |&(format, _)| format)
    }

    /// The bytes of the file that brings an image to its destination.
    ///
    /// # Errors
    /// [`FlashError`]; never for [`Image`](Self::Image), which goes anywhere.
    pub fn encode(self, image: &[u8], destination: Option<Destination>) -> Result<Vec<u8>, FlashError> {
        let multiple = match self {
            Self::Image => return Ok(image.to_vec()),
            Self::Hex => 4,
            Self::Uf2 => uf2::PAYLOAD as u64,
        };
        let Destination { address, uf2_family } = destination.ok_or(FlashError::NoAddress(self))?;
        if !address.is_multiple_of(multiple) {
            return Err(FlashError::Misaligned { address, multiple });
        }
        let length = image.len().next_multiple_of(multiple as usize);
        let beyond = FlashError::Beyond { address, bytes: image.len() };
        let start = u32::try_from(address).map_err(|_| beyond)?;
        if length as u64 > (1 << 32) - address {
            return Err(beyond);
        }
        Ok(match self {
            Self::Hex => hex::encode(image, start).into_bytes(),
            _ => uf2::encode(image, start, uf2_family),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_the_format() {
        for (name, format) in [
            ("m.bbz", FlashFormat::Image),
            ("a.b/m.HEX", FlashFormat::Hex),
            ("m.uf2", FlashFormat::Uf2),
            ("hex", FlashFormat::Image),
            ("m.uf2.bbz", FlashFormat::Image),
        ] {
            assert_eq!(FlashFormat::of(Path::new(name)), format, "{name}");
        }
    }

    #[test]
    fn destinations_that_cannot_be_are_refused() {
        let at = |address| Some(Destination { address, uf2_family: None });
        assert_eq!(FlashFormat::Image.encode(&[1, 2, 3], None).unwrap(), [1, 2, 3]);
        let error = |format: FlashFormat, place| format.encode(&[0; 5], place).unwrap_err();
        assert_eq!(error(FlashFormat::Hex, None), FlashError::NoAddress(FlashFormat::Hex));
        assert_eq!(error(FlashFormat::Hex, at(6)), FlashError::Misaligned { address: 6, multiple: 4 });
        assert_eq!(error(FlashFormat::Uf2, at(132)), FlashError::Misaligned { address: 132, multiple: 256 });
        for (format, last) in [(FlashFormat::Hex, (1 << 32) - 8), (FlashFormat::Uf2, (1 << 32) - 256)] {
            format.encode(&[0; 5], at(last)).unwrap();
            for address in [last, 1 << 32, !255] {
                let bytes = if address == last { 257 } else { 5 };
                assert_eq!(format.encode(&vec![0; bytes], at(address)), Err(FlashError::Beyond { address, bytes }));
            }
        }
    }
}
