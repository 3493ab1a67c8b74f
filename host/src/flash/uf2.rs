//! UF2 (<https://github.com/microsoft/uf2>): blocks of 512 bytes that a bootloader takes in any order, since each says where
//! it belongs and whose it is.

/// Bytes of flash in a block: what every bootloader takes, and a page of many flash memories.
pub(super) const PAYLOAD: usize = 256;

const BLOCK: usize = 512;
const MAGIC: [u32; 2] = [0x0A32_4655, 0x9E5D_5157];
const MAGIC_END: u32 = 0x0AB1_6F30;
/// The last field of the header is a family.
const HAS_FAMILY: u32 = 0x2000;

/// The file. `address` is a multiple of [`PAYLOAD`], and all addresses have 32 bits. The last block is filled up with 0xFF,
/// which is what erased flash reads.
pub(super) fn encode(bytes: &[u8], address: u32, family: Option<u32>) -> Vec<u8> {
    let count = bytes.len().div_ceil(PAYLOAD);
    let mut out = Vec::with_capacity(count * BLOCK);
    for (i, part) in bytes.chunks(PAYLOAD).enumerate() {
        let end = out.len() + BLOCK;
        let flags = if family.is_some() { HAS_FAMILY } else { 0 };
        let target = address + (i * PAYLOAD) as u32;
        let header = [flags, target, PAYLOAD as u32, i as u32, count as u32, family.unwrap_or(0)];
        MAGIC.iter().chain(&header).for_each(|field| out.extend(field.to_le_bytes()));
        out.extend(part);
        out.resize(out.len() + PAYLOAD - part.len(), 0xFF);
        out.resize(end - 4, 0);
        out.extend(MAGIC_END.to_le_bytes());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_has_the_formats_bytes() {
        let block = encode(&[0xAB, 0xCD], 0x1010_0000, Some(0xE48B_FF59));
        assert_eq!(block.len(), 512);
        assert_eq!(
            block[..36],
            [
                0x55, 0x46, 0x32, 0x0A, 0x57, 0x51, 0x5D, 0x9E, // magic: "UF2\n", then the second one
                0x00, 0x20, 0x00, 0x00, // flags: a family
                0x00, 0x00, 0x10, 0x10, // address
                0x00, 0x01, 0x00, 0x00, // 256 bytes
                0x00, 0x00, 0x00, 0x00, // block 0
                0x01, 0x00, 0x00, 0x00, // of 1
                0x59, 0xFF, 0x8B, 0xE4, // family
                0xAB, 0xCD, 0xFF, 0xFF
            ]
        );
        assert!(block[36..288].iter().all(|&byte| byte == 0xFF) && block[288..508].iter().all(|&byte| byte == 0));
        assert_eq!(block[508..], [0x30, 0x6F, 0xB1, 0x0A]);
        // Without a family neither flag nor field.
        let block = encode(&[0], 0, None);
        assert_eq!((&block[8..12], &block[28..32]), (&[0; 4][..], &[0; 4][..]));
    }

    #[test]
    fn every_byte_comes_back_at_its_address() {
        for length in [1, 256, 257, 70_001] {
            let bytes: Vec<u8> = (0..length).map(|i: u32| ((i * 7919) >> 5) as u8).collect();
            let file = encode(&bytes, 0x0020_0000, None);
            let blocks: Vec<&[u8]> = file.chunks(BLOCK).collect();
            let mut flash = vec![0xFF; blocks.len() * PAYLOAD];
            // In any order.
            for block in blocks.iter().rev() {
                let field = |at: usize| u32::from_le_bytes(block[at..at + 4].try_into().unwrap());
                assert_eq!(([field(0), field(4)], field(508), field(16)), (MAGIC, MAGIC_END, 256));
                assert_eq!(field(24) as usize, blocks.len());
                assert_eq!(field(12), 0x0020_0000 + 256 * field(20));
                let at = (field(12) - 0x0020_0000) as usize;
                flash[at..at + PAYLOAD].copy_from_slice(&block[32..32 + PAYLOAD]);
            }
            assert!(flash[..bytes.len()] == bytes && flash[bytes.len()..].iter().all(|&byte| byte == 0xFF));
        }
    }
}
