//! Content digests, by which an ambiguous tail is found again in another log.
//!
//! SHA-256 cut to 128 bits: equal digests mean equal content, also where somebody chooses the records.

use sha2::{Digest, Sha256};

use super::header;
use super::{Record, RecordBatch};

/// What one record says, however it is batched and compressed: key, value, headers in order, and time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordDigest([u8; 16]);

impl RecordDigest {
    /// The digest of a record with this time.
    ///
    /// Where one of the two logs stamps its own times, give both sides -1.
    pub fn of(timestamp_ms: i64, record: &Record<'_>) -> Self {
        let mut hash = Sha256::new_with_prefix(b"leeward record 1");
        hash.update(timestamp_ms.to_be_bytes());
        update_nullable(&mut hash, record.key);
        update_nullable(&mut hash, record.value);
        hash.update((record.headers.len() as u64).to_be_bytes());
        for header in record.headers.clone() {
            update_nullable(&mut hash, Some(header.key));
            update_nullable(&mut hash, header.value);
        }
        Self(cut(hash))
    }

    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }
}

/// A batch's payload with what the header says about reading it.
///
/// It survives whatever forwarding changes: offsets, epochs, producer, flags, append time. It does not
/// survive recompression or re-encoding; record digests do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchDigest([u8; 16]);

impl BatchDigest {
    pub fn of(batch: &RecordBatch) -> Self {
        let mut hash = Sha256::new_with_prefix(b"leeward batch 1");
        hash.update([batch.compression().code()]);
        hash.update(batch.record_count().to_be_bytes());
        hash.update(&batch.header()[header::LAST_OFFSET_DELTA..header::MAX_TIMESTAMP]);
        hash.update(batch.payload());
        Self(cut(hash))
    }

    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }
}

fn update_nullable(hash: &mut Sha256, bytes: Option<&[u8]>) {
    let length = bytes.map_or(u64::MAX, |bytes| bytes.len() as u64);
    hash.update(length.to_be_bytes());
    hash.update(bytes.unwrap_or_default());
}

fn cut(hash: Sha256) -> [u8; 16] {
    *hash.finalize().first_chunk().expect("SHA-256 has 32 bytes")
}
