//! The one thing about a partition that its batches do not tell: where it starts.
//!
//! `partition.meta`, numbers big-endian: magic `LWPARTMT`, version `u16`, 6 zero bytes, log start offset `i64`,
//! CRC-32C `u32` of what precedes.

use std::io;
use std::path::Path;

use leeward_wire::record::crc32c;

use crate::disk::{Disk, read_file, replace_file};

const NAME: &str = "partition.meta";
const MAGIC: &[u8; 8] = b"LWPARTMT";
const VERSION: u16 = 1;
const BYTES: usize = 28;

/// Why `partition.meta` could not be read.
#[derive(Debug, thiserror::Error)]
pub enum MetaError {
    #[error("the partition's metadata is damaged")]
    Damaged,
    #[error("the partition's metadata has format version {found}; this program reads {VERSION}")]
    Version { found: u16 },
    #[error("reading the partition's metadata failed")]
    Io(#[from] io::Error),
}

/// Makes a new log start durable.
pub(super) fn store_start(disk: &dyn Disk, directory: &Path, start: i64) -> io::Result<()> {
    replace_file(disk, directory, NAME, &encode(start))
}

/// The log start that was stored; `None` where none ever was.
pub(super) fn load_start(disk: &dyn Disk, directory: &Path) -> Result<Option<i64>, MetaError> {
    read_file(disk, &directory.join(NAME))?.map(|bytes| decode(&bytes)).transpose()
}

fn encode(start: i64) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..10].copy_from_slice(&VERSION.to_be_bytes());
    bytes[16..24].copy_from_slice(&start.to_be_bytes());
    let crc = crc32c(&bytes[..24]);
    bytes[24..].copy_from_slice(&crc.to_be_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Result<i64, MetaError> {
    let bytes: &[u8; BYTES] = bytes.try_into().map_err(|_| MetaError::Damaged)?;
    let crc = crc32c(&bytes[..24]).to_be_bytes();
    if bytes[..8] != MAGIC[..] || bytes[24..] != crc {
        return Err(MetaError::Damaged);
    }
    match u16::from_be_bytes([bytes[8], bytes[9]]) {
        VERSION => {}
        found => return Err(MetaError::Version { found }),
    }
    let start = bytes[16..].first_chunk().expect("28 bytes");
    Ok(i64::from_be_bytes(*start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_1_bytes_are_as_they_were() {
        let golden = b"LWPARTMT\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\x01\x020\x8Aa\x8D";

        assert_eq!(encode(258), *golden);
        assert!(matches!(decode(golden), Ok(258)));
    }

    #[test]
    fn a_flipped_bit_is_damage() {
        let mut bytes = encode(258);
        bytes[20] ^= 1;

        assert!(matches!(decode(&bytes), Err(MetaError::Damaged)));
    }
}
