//! Intel HEX: lines of up to 16 bytes, each with its address and a checksum.

use ihex::{Record, create_object_file_representation};

/// Bytes of a line, as most programs write it.
const LINE: usize = 16;

/// Addresses of a line have 16 bits; a record of its own says the upper half of those that follow.
const SEGMENT: usize = 1 << 16;

/// The text. All of the bytes must have addresses of 32 bits.
pub(super) fn encode(bytes: &[u8], address: u32) -> String {
    let mut records = Vec::with_capacity(bytes.len() / LINE + bytes.len() / SEGMENT + 4);
    let (mut at, mut rest) = (address as usize, bytes);
    let mut segment = None;
    while !rest.is_empty() {
        if segment != Some(at / SEGMENT) {
            segment = Some(at / SEGMENT);
            records.push(Record::ExtendedLinearAddress((at / SEGMENT) as u16));
        }
        // No line goes beyond its segment: there its address would begin anew.
        let (line, after) = rest.split_at(rest.len().min(LINE).min(SEGMENT - at % SEGMENT));
        records.push(Record::Data { offset: (at % SEGMENT) as u16, value: line.to_vec() });
        (at, rest) = (at + line.len(), after);
    }
    records.push(Record::EndOfFile);
    create_object_file_representation(&records).expect("short lines, and one end")
}

#[cfg(test)]
mod tests {
    use ihex::Reader;

    use super::*;

    /// Addresses and bytes of a file, by the library's reader.
    fn decode(text: &str) -> Vec<(u32, u8)> {
        let mut upper = 0;
        let mut bytes = Vec::new();
        let records: Vec<Record> = Reader::new(text).map(|record| record.unwrap()).collect();
        assert_eq!(records.last(), Some(&Record::EndOfFile));
        for record in records {
            match record {
                Record::ExtendedLinearAddress(address) => upper = u32::from(address) << 16,
                Record::Data { offset, value } => {
                    bytes.extend(value.iter().zip(0..).map(|(&byte, i)| (upper + u32::from(offset) + i, byte)));
                }
                Record::EndOfFile => {}
                other => panic!("{other:?}"),
            }
        }
        bytes
    }

    #[test]
    fn the_text_is_that_of_the_format() {
        let bytes: Vec<u8> = (1..=18).collect();
        assert_eq!(
            encode(&bytes, 0x0020_0000),
            ":020000040020DA\n\
             :100000000102030405060708090A0B0C0D0E0F1068\n\
             :020010001112CB\n\
             :00000001FF\n"
        );
    }

    #[test]
    fn every_byte_comes_back_at_its_address() {
        for (address, length) in [(0, 1), (0x0020_0000, 70_001), (0x0800_FFFC, 40), (0x1000_FFF0, 131_100)] {
            let bytes: Vec<u8> = (0..length).map(|i: u32| ((i * 7919) >> 5) as u8).collect();
            let expected: Vec<(u32, u8)> = bytes.iter().zip(address..).map(|(&byte, at)| (at, byte)).collect();
            assert!(decode(&encode(&bytes, address)) == expected, "{address:#x}, {length} bytes");
        }
    }
}
