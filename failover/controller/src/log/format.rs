//! One journal entry as bytes: magic, version, JSON, CRC-32C.

use crc_fast::{CrcAlgorithm, checksum};
use leeward_failover_core::Entry;

const MAGIC: &[u8; 4] = b"LWDJ";
const VERSION: u8 = 1;
const CHECKSUM_BYTES: usize = 4;

/// Why bytes are no entry.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    #[error("bytes do not begin with the entry's magic")]
    Magic,
    #[error("format version {0} is not known; this program reads version {VERSION}")]
    Version(u8),
    #[error("checksum does not match")]
    Checksum,
    #[error("entry is not readable")]
    Json(#[from] serde_json::Error),
}

fn crc(bytes: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let crc = u32::try_from(checksum(CrcAlgorithm::Crc32Iscsi, bytes)).expect("CRC-32C has 32 bits");
    crc.to_be_bytes()
}

pub(crate) fn encode(entry: &Entry) -> Result<Vec<u8>, FormatError> {
    let mut bytes = MAGIC.to_vec();
    bytes.push(VERSION);
    serde_json::to_writer(&mut bytes, entry)?;
    let crc = crc(&bytes);
    bytes.extend(crc);
    Ok(bytes)
}

pub(crate) fn decode(bytes: &[u8]) -> Result<Entry, FormatError> {
    let rest = bytes.strip_prefix(MAGIC).ok_or(FormatError::Magic)?;
    let (version, rest) = rest.split_first().ok_or(FormatError::Magic)?;
    if *version != VERSION {
        return Err(FormatError::Version(*version));
    }
    let json_end = rest.len().checked_sub(CHECKSUM_BYTES).ok_or(FormatError::Checksum)?;
    let (json, found) = rest.split_at(json_end);
    if crc(&bytes[..bytes.len() - CHECKSUM_BYTES]) != found {
        return Err(FormatError::Checksum);
    }
    Ok(serde_json::from_slice(json)?)
}

#[cfg(test)]
mod tests {
    use leeward_model::{RegionName, WallTime};

    use super::*;

    const GOLDEN: &[u8] = include_bytes!("golden-formed-v1.bin");

    fn formed() -> Entry {
        let name = |name| RegionName::new(name).expect("legal");
        Entry::Formed { primary: name("a"), standby: name("b"), at: WallTime::from_millis(1_000) }
    }

    #[test]
    fn the_golden_entry_is_read_and_written_alike() {
        assert_eq!(decode(GOLDEN).expect("readable"), formed());
        assert_eq!(encode(&formed()).expect("written"), GOLDEN);
    }

    #[test]
    fn a_flipped_bit_is_found() {
        let mut bytes = GOLDEN.to_vec();
        bytes[20] ^= 1;

        assert!(matches!(decode(&bytes), Err(FormatError::Checksum)));
    }

    #[test]
    fn a_cut_entry_is_no_entry() {
        assert!((0..GOLDEN.len()).all(|length| decode(&GOLDEN[..length]).is_err()));
    }
}
