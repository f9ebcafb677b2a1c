//! Builds a batch from records.

use bytes::Bytes;

use super::attributes::{CONTROL, LOG_APPEND_TIME, TRANSACTIONAL};
use super::checksum::crc32c_of_parts;
use super::header::{self, HEADER_BYTES, LENGTH_OVERHEAD_BYTES};
use super::limits::BUILT_BYTES_MAX;
use super::{Compression, Header, Record, RecordBatch, codec, writer};

const MAGIC: u8 = 2;

/// Why a batch could not be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    #[error("batch would have more than {BUILT_BYTES_MAX} bytes of records")]
    TooLarge,
    #[error("offset delta {0} does not follow the one before")]
    OffsetDelta(i32),
    #[error("batch has no records")]
    Empty,
}

/// Collects records, encoding each as it comes, and closes them into a [`RecordBatch`].
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    compression: Compression,
    attributes: i16,
    base_offset: i64,
    leader_epoch: i32,
    producer_id: i64,
    producer_epoch: i16,
    base_sequence: i32,
    append_time_ms: Option<i64>,
    base_timestamp: i64,
    max_timestamp: i64,
    next_delta: i32,
    record_count: i32,
    /// Room for the header, then the encoded records.
    encoded: Vec<u8>,
}

impl BatchBuilder {
    /// A batch at offset 0, without leader epoch and producer.
    pub fn new(compression: Compression) -> Self {
        Self {
            compression,
            attributes: i16::from(compression.code()),
            base_offset: 0,
            leader_epoch: -1,
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            append_time_ms: None,
            base_timestamp: -1,
            max_timestamp: -1,
            next_delta: 0,
            record_count: 0,
            encoded: vec![0; HEADER_BYTES],
        }
    }

    /// Makes room for this many bytes of records.
    #[must_use]
    pub fn expecting(mut self, records_bytes: usize) -> Self {
        self.encoded.reserve(records_bytes);
        self
    }

    #[must_use]
    pub fn producer(mut self, id: i64, epoch: i16, base_sequence: i32) -> Self {
        self.producer_id = id;
        self.producer_epoch = epoch;
        self.base_sequence = base_sequence;
        self
    }

    /// The first record's offset; not negative.
    #[must_use]
    pub fn base_offset(mut self, base_offset: i64) -> Self {
        self.base_offset = base_offset.max(0);
        self
    }

    #[must_use]
    pub fn leader_epoch(mut self, leader_epoch: i32) -> Self {
        self.leader_epoch = leader_epoch;
        self
    }

    #[must_use]
    pub fn transactional(mut self) -> Self {
        self.attributes |= TRANSACTIONAL;
        self
    }

    /// Gives all records one time, as a topic that stamps its records does.
    #[must_use]
    pub fn append_time(mut self, append_time_ms: i64) -> Self {
        self.attributes |= LOG_APPEND_TIME;
        self.append_time_ms = Some(append_time_ms);
        self
    }

    pub(super) fn control(mut self) -> Self {
        self.attributes |= CONTROL;
        self
    }

    /// Appends a record behind the last one.
    ///
    /// # Errors
    ///
    /// [`BuildError`], with the builder as it was.
    pub fn append(
        &mut self,
        timestamp_ms: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header<'_>],
    ) -> Result<(), BuildError> {
        self.append_at(self.next_delta, timestamp_ms, key, value, headers)
    }

    /// Appends a record at an offset delta, leaving a hole if it is not the next.
    ///
    /// # Errors
    ///
    /// [`BuildError`], with the builder as it was.
    pub fn append_at(
        &mut self,
        offset_delta: i32,
        timestamp_ms: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header<'_>],
    ) -> Result<(), BuildError> {
        let content_bytes = writer::content_bytes(key, value, headers);
        self.begin_record(offset_delta, timestamp_ms, content_bytes)?;
        writer::put_nullable_bytes(&mut self.encoded, key);
        writer::put_nullable_bytes(&mut self.encoded, value);
        writer::put_headers(&mut self.encoded, headers);
        Ok(())
    }

    /// Appends another batch's record behind the last one: key, value and headers as they are encoded there.
    ///
    /// # Errors
    ///
    /// [`BuildError`], with the builder as it was.
    pub fn append_record(&mut self, timestamp_ms: i64, record: &Record<'_>) -> Result<(), BuildError> {
        self.begin_record(self.next_delta, timestamp_ms, record.content.len())?;
        self.encoded.extend_from_slice(record.content);
        Ok(())
    }

    fn begin_record(
        &mut self,
        offset_delta: i32,
        timestamp_ms: i64,
        content_bytes: usize,
    ) -> Result<(), BuildError> {
        let next_delta = offset_delta
            .checked_add(1)
            .filter(|_| offset_delta >= self.next_delta)
            .ok_or(BuildError::OffsetDelta(offset_delta))?;
        let base_timestamp = if self.record_count == 0 { timestamp_ms } else { self.base_timestamp };
        let timestamp_delta = timestamp_ms.wrapping_sub(base_timestamp);
        let body_bytes = 1
            + writer::varint_bytes(timestamp_delta)
            + writer::varint_bytes(i64::from(offset_delta))
            + content_bytes;
        let record_bytes = writer::varint_bytes(body_bytes as i64) + body_bytes;
        if record_bytes > BUILT_BYTES_MAX - self.uncompressed_bytes() {
            return Err(BuildError::TooLarge);
        }
        self.max_timestamp =
            if self.record_count == 0 { timestamp_ms } else { self.max_timestamp.max(timestamp_ms) };
        self.base_timestamp = base_timestamp;
        self.next_delta = next_delta;
        self.record_count += 1;
        self.encoded.reserve(record_bytes);
        writer::put_varlong(&mut self.encoded, body_bytes as i64);
        self.encoded.push(0);
        writer::put_varlong(&mut self.encoded, timestamp_delta);
        writer::put_varint(&mut self.encoded, offset_delta);
        Ok(())
    }

    /// Leaves a hole at the end: the batch will reach to this offset delta.
    ///
    /// # Errors
    ///
    /// [`BuildError::OffsetDelta`] where a record stands behind it already.
    pub fn reach(&mut self, last_offset_delta: i32) -> Result<(), BuildError> {
        self.next_delta = last_offset_delta
            .checked_add(1)
            .filter(|next| *next >= self.next_delta)
            .ok_or(BuildError::OffsetDelta(last_offset_delta))?;
        Ok(())
    }

    pub fn record_count(&self) -> i32 {
        self.record_count
    }

    /// Bytes of the records so far, before compression and without the header.
    pub fn uncompressed_bytes(&self) -> usize {
        self.encoded.len() - HEADER_BYTES
    }

    /// Compresses the records and closes the batch.
    ///
    /// # Errors
    ///
    /// [`BuildError::Empty`]; [`BuildError::TooLarge`] where the payload grew too large under compression.
    pub fn build(mut self) -> Result<RecordBatch, BuildError> {
        if self.record_count == 0 {
            return Err(BuildError::Empty);
        }
        if self.base_offset.checked_add(i64::from(self.next_delta)).is_none() {
            return Err(BuildError::OffsetDelta(self.next_delta - 1));
        }
        let records = std::mem::take(&mut self.encoded);
        let mut bytes = match self.compression {
            Compression::None => records,
            codec => codec::compress(codec, &records[HEADER_BYTES..]),
        };
        let header = self.header(&bytes)?;
        bytes[..HEADER_BYTES].copy_from_slice(&header);
        Ok(RecordBatch::assemble(header, Bytes::from(bytes)))
    }

    fn header(&self, batch: &[u8]) -> Result<[u8; HEADER_BYTES], BuildError> {
        let length = i32::try_from(batch.len() - LENGTH_OVERHEAD_BYTES).map_err(|_| BuildError::TooLarge)?;
        let last_offset_delta = self.next_delta - 1;
        let max_timestamp = self.append_time_ms.unwrap_or(self.max_timestamp);
        let mut bytes = [0; HEADER_BYTES];
        let into = &mut bytes;
        header::write(into, header::BASE_OFFSET, self.base_offset.to_be_bytes());
        header::write(into, header::BATCH_LENGTH, length.to_be_bytes());
        header::write(into, header::LEADER_EPOCH, self.leader_epoch.to_be_bytes());
        header::write(into, header::MAGIC, [MAGIC]);
        header::write(into, header::ATTRIBUTES, self.attributes.to_be_bytes());
        header::write(into, header::LAST_OFFSET_DELTA, last_offset_delta.to_be_bytes());
        header::write(into, header::BASE_TIMESTAMP, self.base_timestamp.to_be_bytes());
        header::write(into, header::MAX_TIMESTAMP, max_timestamp.to_be_bytes());
        header::write(into, header::PRODUCER_ID, self.producer_id.to_be_bytes());
        header::write(into, header::PRODUCER_EPOCH, self.producer_epoch.to_be_bytes());
        header::write(into, header::BASE_SEQUENCE, self.base_sequence.to_be_bytes());
        header::write(into, header::RECORD_COUNT, self.record_count.to_be_bytes());
        let crc = crc32c_of_parts(&into[header::CRC_COVERED..], &batch[HEADER_BYTES..]);
        header::write(into, header::CRC, crc.to_be_bytes());
        Ok(bytes)
    }
}
