//! Where the fields of a batch's 61-byte header stand, and setters for those outside the CRC.
//!
//! The setters write into bytes that are known to hold a batch (a log's segment, a frame being built);
//! they check nothing but the length.

/// Bytes of a batch's header; its payload begins here.
pub const HEADER_BYTES: usize = 61;
/// Bytes before the ones that the batch length counts.
pub const LENGTH_OVERHEAD_BYTES: usize = 12;

pub(super) const BASE_OFFSET: usize = 0;
pub(super) const BATCH_LENGTH: usize = 8;
pub(super) const LEADER_EPOCH: usize = 12;
pub(super) const MAGIC: usize = 16;
pub(super) const CRC: usize = 17;
pub(super) const ATTRIBUTES: usize = 21;
pub(super) const LAST_OFFSET_DELTA: usize = 23;
pub(super) const BASE_TIMESTAMP: usize = 27;
pub(super) const MAX_TIMESTAMP: usize = 35;
pub(super) const PRODUCER_ID: usize = 43;
pub(super) const PRODUCER_EPOCH: usize = 51;
pub(super) const BASE_SEQUENCE: usize = 53;
pub(super) const RECORD_COUNT: usize = 57;

/// The CRC covers a batch from here to its end.
pub(super) const CRC_COVERED: usize = ATTRIBUTES;

/// Sets the base offset of the batch that `batch` begins with.
///
/// # Panics
///
/// If `batch` is shorter than a header.
pub fn set_base_offset(batch: &mut [u8], base_offset: i64) {
    write(header_of(batch), BASE_OFFSET, base_offset.to_be_bytes());
}

/// Sets the partition leader epoch of the batch that `batch` begins with.
///
/// # Panics
///
/// If `batch` is shorter than a header.
pub fn set_leader_epoch(batch: &mut [u8], leader_epoch: i32) {
    write(header_of(batch), LEADER_EPOCH, leader_epoch.to_be_bytes());
}

fn header_of(batch: &mut [u8]) -> &mut [u8; HEADER_BYTES] {
    batch.first_chunk_mut().expect("the caller passes a whole batch")
}

pub(super) fn write<const N: usize>(header: &mut [u8; HEADER_BYTES], field: usize, bytes: [u8; N]) {
    header[field..field + N].copy_from_slice(&bytes);
}

pub(super) fn read<const N: usize>(header: &[u8; HEADER_BYTES], field: usize) -> [u8; N] {
    *header[field..].first_chunk().expect("fields end inside the header")
}
