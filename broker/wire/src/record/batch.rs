//! One batch: its header's fields, and its bytes.

use std::fmt;

use bytes::{Bytes, BytesMut};

use super::attributes::{CONTROL, DELETE_HORIZON, LOG_APPEND_TIME, TRANSACTIONAL};
use super::checksum::{carried_over, crc32c, crc32c_of_parts};
use super::header::{self, HEADER_BYTES, LENGTH_OVERHEAD_BYTES};
use super::{BatchError, Compression, RecordIter, TimestampType};

/// A record batch of magic 2.
///
/// Invariant: the declared length is the real one, record count and last offset delta are not negative, the
/// offsets fit, the codec is known. The CRC is checked by [`RecordBatch::verify_crc`] only.
///
/// Clones and patched copies share the payload, and with it the buffer the batch was parsed from.
#[derive(Clone)]
pub struct RecordBatch {
    header: [u8; HEADER_BYTES],
    /// The whole batch; its first bytes may be older than `header`.
    source: Bytes,
}

impl RecordBatch {
    /// Takes exactly one batch.
    ///
    /// # Errors
    ///
    /// Any [`BatchError`] about the header.
    pub fn parse(bytes: Bytes) -> Result<Self, BatchError> {
        let Some(header) = bytes.first_chunk::<HEADER_BYTES>() else {
            return Err(BatchError::Truncated { bytes: bytes.len() });
        };
        let header = *header;
        let batch = Self { header, source: bytes };
        batch.check()?;
        Ok(batch)
    }

    /// Joins a header and the bytes whose first 61 it replaces.
    pub(super) fn assemble(header: [u8; HEADER_BYTES], source: Bytes) -> Self {
        let batch = Self { header, source };
        debug_assert!(batch.check().is_ok());
        batch
    }

    fn check(&self) -> Result<(), BatchError> {
        check_magic(self.header[header::MAGIC] as i8)?;
        let declared = i64::from(self.batch_length()) + LENGTH_OVERHEAD_BYTES as i64;
        if usize::try_from(declared) != Ok(self.source.len()) {
            return Err(BatchError::Length { declared, bytes: self.source.len() });
        }
        if self.record_count() < 0 {
            return Err(BatchError::RecordCount(self.record_count()));
        }
        check_offsets(self.base_offset(), self.last_offset_delta())?;
        Compression::from_attributes(self.attributes()).map(|_| ())
    }

    /// Checks the payload and the header's covered part against the CRC.
    ///
    /// # Errors
    ///
    /// [`BatchError::Crc`].
    pub fn verify_crc(&self) -> Result<(), BatchError> {
        let stored = self.crc();
        let computed = crc32c_of_parts(&self.header[header::CRC_COVERED..], self.payload());
        if stored == computed { Ok(()) } else { Err(BatchError::Crc { stored, computed }) }
    }

    pub fn base_offset(&self) -> i64 {
        i64::from_be_bytes(header::read(&self.header, header::BASE_OFFSET))
    }

    /// Bytes of the batch after its first twelve, as the header declares them.
    pub fn batch_length(&self) -> i32 {
        i32::from_be_bytes(header::read(&self.header, header::BATCH_LENGTH))
    }

    pub fn partition_leader_epoch(&self) -> i32 {
        i32::from_be_bytes(header::read(&self.header, header::LEADER_EPOCH))
    }

    pub fn crc(&self) -> u32 {
        u32::from_be_bytes(header::read(&self.header, header::CRC))
    }

    pub fn attributes(&self) -> i16 {
        i16::from_be_bytes(header::read(&self.header, header::ATTRIBUTES))
    }

    pub fn compression(&self) -> Compression {
        Compression::from_attributes(self.attributes()).expect("checked when the batch was made")
    }

    pub fn timestamp_type(&self) -> TimestampType {
        if self.attributes() & LOG_APPEND_TIME == 0 {
            TimestampType::CreateTime
        } else {
            TimestampType::LogAppendTime
        }
    }

    pub fn is_transactional(&self) -> bool {
        self.attributes() & TRANSACTIONAL != 0
    }

    pub fn is_control(&self) -> bool {
        self.attributes() & CONTROL != 0
    }

    /// Whether the base timestamp is the time from which compaction may drop the batch's tombstones.
    pub fn has_delete_horizon(&self) -> bool {
        self.attributes() & DELETE_HORIZON != 0
    }

    pub fn last_offset_delta(&self) -> i32 {
        i32::from_be_bytes(header::read(&self.header, header::LAST_OFFSET_DELTA))
    }

    pub fn last_offset(&self) -> i64 {
        self.base_offset() + i64::from(self.last_offset_delta())
    }

    /// The offset after the batch's last.
    pub fn next_offset(&self) -> i64 {
        self.last_offset() + 1
    }

    /// The time that the records' timestamp deltas count from.
    pub fn base_timestamp(&self) -> i64 {
        i64::from_be_bytes(header::read(&self.header, header::BASE_TIMESTAMP))
    }

    /// What the header says is the latest timestamp; brokers store a false one as sent.
    pub fn max_timestamp(&self) -> i64 {
        i64::from_be_bytes(header::read(&self.header, header::MAX_TIMESTAMP))
    }

    pub fn producer_id(&self) -> i64 {
        i64::from_be_bytes(header::read(&self.header, header::PRODUCER_ID))
    }

    pub fn producer_epoch(&self) -> i16 {
        i16::from_be_bytes(header::read(&self.header, header::PRODUCER_EPOCH))
    }

    pub fn base_sequence(&self) -> i32 {
        i32::from_be_bytes(header::read(&self.header, header::BASE_SEQUENCE))
    }

    /// The last record's sequence, which wraps from 2^31 - 1 to 0; -1 where the batch has none.
    pub fn last_sequence(&self) -> i32 {
        let base = self.base_sequence();
        if base < 0 {
            return -1;
        }
        let last = i64::from(base) + i64::from(self.last_offset_delta());
        (last & i64::from(i32::MAX)) as i32
    }

    pub fn record_count(&self) -> i32 {
        i32::from_be_bytes(header::read(&self.header, header::RECORD_COUNT))
    }

    /// Whether the batch has records and no holes, so that a broker takes it as it is.
    pub fn is_dense(&self) -> bool {
        self.record_count() > 0 && self.last_offset_delta() == self.record_count() - 1
    }

    /// The time of a record with this delta, in milliseconds since 1970.
    pub fn timestamp_of(&self, timestamp_delta: i64) -> i64 {
        match self.timestamp_type() {
            TimestampType::CreateTime => self.base_timestamp().wrapping_add(timestamp_delta),
            TimestampType::LogAppendTime => self.max_timestamp(),
        }
    }

    /// The batch's records, where the payload is not compressed.
    ///
    /// # Errors
    ///
    /// [`BatchError::Compressed`]: see [`RecordBatch::decompress`].
    pub fn records(&self) -> Result<RecordIter<'_>, BatchError> {
        match self.compression() {
            Compression::None => {
                Ok(RecordIter::new(self.payload(), self.record_count(), self.last_offset_delta()))
            }
            codec => Err(BatchError::Compressed(codec)),
        }
    }

    /// The header as it stands, for writers that send header and payload as two slices.
    pub fn header(&self) -> &[u8; HEADER_BYTES] {
        &self.header
    }

    /// The bytes after the header.
    pub fn payload(&self) -> &[u8] {
        &self.source[HEADER_BYTES..]
    }

    /// The bytes after the header, shared.
    pub fn payload_bytes(&self) -> Bytes {
        self.source.slice(HEADER_BYTES..)
    }

    /// The whole batch as it was parsed, shared: its header may be older than [`RecordBatch::header`].
    pub fn source_bytes(&self) -> Bytes {
        self.source.clone()
    }

    fn payload_length(&self) -> u32 {
        u32::try_from(self.payload().len()).expect("a batch's length is an i32")
    }

    /// Bytes of the whole batch.
    pub fn size_bytes(&self) -> usize {
        self.source.len()
    }

    /// The whole batch in one piece: shared where the header is as parsed, else copied.
    pub fn to_bytes(&self) -> Bytes {
        if self.header[..] == self.source[..HEADER_BYTES] {
            return self.source.clone();
        }
        let mut bytes = BytesMut::with_capacity(self.source.len());
        self.write_to(&mut bytes);
        bytes.freeze()
    }

    /// Appends the whole batch.
    pub fn write_to(&self, into: &mut BytesMut) {
        into.extend_from_slice(&self.header);
        into.extend_from_slice(self.payload());
    }

    /// The same batch at another place in the log; the CRC does not cover it.
    ///
    /// # Errors
    ///
    /// [`BatchError::Offsets`] where the batch would reach past the last offset there is.
    pub fn with_base_offset(&self, base_offset: i64) -> Result<Self, BatchError> {
        check_offsets(base_offset, self.last_offset_delta())?;
        let mut moved = self.clone();
        header::set_base_offset(&mut moved.header, base_offset);
        Ok(moved)
    }

    /// The same batch with another partition leader epoch; the CRC does not cover it.
    #[must_use]
    pub fn with_leader_epoch(&self, leader_epoch: i32) -> Self {
        let mut led = self.clone();
        header::set_leader_epoch(&mut led.header, leader_epoch);
        led
    }

    /// The same batch after `change` wrote into its header, with the CRC moved along.
    ///
    /// The CRC is moved by the difference that the change makes, so one that was wrong stays wrong.
    pub(super) fn with_changed_header(&self, change: impl FnOnce(&mut [u8; HEADER_BYTES])) -> Self {
        let mut header = self.header;
        change(&mut header);
        let before = crc32c(&self.header[header::CRC_COVERED..]);
        let after = crc32c(&header[header::CRC_COVERED..]);
        let crc = self.crc() ^ carried_over(before ^ after, self.payload_length());
        header::write(&mut header, header::CRC, crc.to_be_bytes());
        Self::assemble(header, self.source.clone())
    }
}

impl PartialEq for RecordBatch {
    fn eq(&self, other: &Self) -> bool {
        self.header == other.header && self.payload() == other.payload()
    }
}

impl Eq for RecordBatch {}

impl fmt::Debug for RecordBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordBatch")
            .field("base_offset", &self.base_offset())
            .field("last_offset", &self.last_offset())
            .field("record_count", &self.record_count())
            .field("attributes", &format_args!("{:#b}", self.attributes()))
            .field("producer_id", &self.producer_id())
            .field("producer_epoch", &self.producer_epoch())
            .field("base_sequence", &self.base_sequence())
            .field("size_bytes", &self.size_bytes())
            .finish_non_exhaustive()
    }
}

pub(super) fn check_magic(magic: i8) -> Result<(), BatchError> {
    match magic {
        2 => Ok(()),
        0 | 1 => Err(BatchError::OldMagic { magic }),
        _ => Err(BatchError::UnknownMagic { magic }),
    }
}

fn check_offsets(base: i64, delta: i32) -> Result<(), BatchError> {
    let fits = base.checked_add(i64::from(delta)).and_then(|last| last.checked_add(1)).is_some();
    if base >= 0 && delta >= 0 && fits { Ok(()) } else { Err(BatchError::Offsets { base, delta }) }
}
