//! Snappy as Kafka clients write it: in xerial's framing (Java) or as one raw block (librdkafka).

use std::io;

use super::limits::{SNAPPY_RATIO_MAX, XERIAL_BLOCK_BYTES};

const MAGIC: &[u8; 8] = b"\x82SNAPPY\0";
/// Written version and lowest version that reads it, both 1.
const VERSIONS: [u8; 8] = [0, 0, 0, 1, 0, 0, 0, 1];

/// Decompresses either framing, or gives `None` when more than the limit would come.
pub(super) fn decompress(payload: &[u8], limit_bytes: usize) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    if !payload.starts_with(MAGIC) {
        let fits = append_block(payload, limit_bytes, &mut bytes)?;
        return Ok(fits.then_some(bytes));
    }
    let mut rest = payload;
    while !rest.is_empty() {
        // Concatenated streams repeat the header.
        if let Some(after) = rest.strip_prefix(MAGIC) {
            rest = after.get(VERSIONS.len()..).ok_or_else(truncated)?;
            continue;
        }
        let (length, after) = rest.split_first_chunk().ok_or_else(truncated)?;
        let length = usize::try_from(i32::from_be_bytes(*length)).map_err(|_| truncated())?;
        let (block, after) = after.split_at_checked(length).ok_or_else(truncated)?;
        if !append_block(block, limit_bytes, &mut bytes)? {
            return Ok(None);
        }
        rest = after;
    }
    Ok(Some(bytes))
}

/// Appends a raw block's bytes, or returns false if they would pass the limit.
fn append_block(block: &[u8], limit_bytes: usize, into: &mut Vec<u8>) -> io::Result<bool> {
    let declared = snap::raw::decompress_len(block)?;
    if declared > block.len().saturating_mul(SNAPPY_RATIO_MAX) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "snappy block declares more than it can hold",
        ));
    }
    if declared > limit_bytes - into.len() {
        return Ok(false);
    }
    let filled = into.len();
    into.resize(filled + declared, 0);
    snap::raw::Decoder::new().decompress(block, &mut into[filled..])?;
    Ok(true)
}

/// Appends `records` in xerial's framing.
pub(super) fn compress(records: &[u8], into: &mut Vec<u8>) {
    into.extend_from_slice(MAGIC);
    into.extend_from_slice(&VERSIONS);
    let mut encoder = snap::raw::Encoder::new();
    for block in records.chunks(XERIAL_BLOCK_BYTES) {
        let length_at = into.len();
        let block_at = length_at + size_of::<i32>();
        into.resize(block_at + snap::raw::max_compress_len(block.len()), 0);
        let length = encoder
            .compress(block, &mut into[block_at..])
            .expect("the output has the length snappy asks for");
        into.truncate(block_at + length);
        into[length_at..block_at].copy_from_slice(&(length as i32).to_be_bytes());
    }
}

fn truncated() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "snappy stream ends inside a block")
}
