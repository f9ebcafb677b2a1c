//! Dense plain batches out of ones that a broker would refuse or change.
//!
//! Offsets with holes, transactional batches, append time and many small batches are rewritten; keys,
//! values and headers are copied as they are encoded. A batch that can be forwarded raw should be.

use super::{BatchBuilder, BatchError, Compression, RecordBatch};

/// How the new batch is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reencode {
    /// `None` keeps the codec of the first batch that gave a record.
    pub compression: Option<Compression>,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub base_sequence: i32,
    /// Bytes each source batch may have when decompressed.
    pub limit_bytes: usize,
    /// Bytes of records that room is made for at once; 0 where nothing is known.
    pub expected_bytes: usize,
}

impl Default for Reencode {
    fn default() -> Self {
        Self {
            compression: None,
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            limit_bytes: super::limits::DECOMPRESSED_BYTES_MAX,
            expected_bytes: 0,
        }
    }
}

/// A dense batch of create time, and where its records come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReencodedBatch {
    pub batch: RecordBatch,
    /// The source offset of each record, in order.
    pub source_offsets: Vec<i64>,
}

/// Re-encodes the records of one batch whose source offsets `keep` accepts; `None` where it accepts none.
///
/// # Errors
///
/// As [`Reencoder::push`].
pub fn reencode(
    batch: &RecordBatch,
    keep: impl Fn(i64) -> bool,
    how: Reencode,
) -> Result<Option<ReencodedBatch>, BatchError> {
    let mut reencoder = Reencoder::new(how);
    reencoder.push(batch, keep)?;
    reencoder.finish()
}

/// Gathers the records of one or more batches into one.
#[derive(Clone, Debug)]
pub struct Reencoder {
    how: Reencode,
    builder: Option<BatchBuilder>,
    source_offsets: Vec<i64>,
}

impl Reencoder {
    pub fn new(how: Reencode) -> Self {
        Self { how, builder: None, source_offsets: Vec::new() }
    }

    /// Takes those records of a batch whose source offsets `keep` accepts.
    ///
    /// Each keeps its time; in a batch of append time that is the batch's.
    ///
    /// # Errors
    ///
    /// [`BatchError::Control`] for a control batch; any error of decompression and records. What was gathered
    /// is incomplete afterwards and should be dropped.
    pub fn push(&mut self, batch: &RecordBatch, keep: impl Fn(i64) -> bool) -> Result<(), BatchError> {
        if batch.is_control() {
            return Err(BatchError::Control);
        }
        let decompressed = batch.decompress(self.how.limit_bytes)?;
        for record in decompressed.records() {
            let record = record?;
            let source_offset = batch.base_offset() + i64::from(record.offset_delta);
            if !keep(source_offset) {
                continue;
            }
            let how = self.how;
            let builder = self.builder.get_or_insert_with(|| {
                BatchBuilder::new(how.compression.unwrap_or(batch.compression()))
                    .expecting(how.expected_bytes)
                    .producer(how.producer_id, how.producer_epoch, how.base_sequence)
            });
            builder.append_record(batch.timestamp_of(record.timestamp_delta), &record)?;
            self.source_offsets.push(source_offset);
        }
        Ok(())
    }

    /// Bytes gathered so far, before compression.
    pub fn uncompressed_bytes(&self) -> usize {
        self.builder.as_ref().map_or(0, BatchBuilder::uncompressed_bytes)
    }

    pub fn record_count(&self) -> usize {
        self.source_offsets.len()
    }

    /// Closes the batch; `None` where no record was kept.
    ///
    /// # Errors
    ///
    /// [`BatchError::Build`] where the payload grew too large under compression.
    pub fn finish(self) -> Result<Option<ReencodedBatch>, BatchError> {
        let Some(builder) = self.builder else {
            return Ok(None);
        };
        Ok(Some(ReencodedBatch { batch: builder.build()?, source_offsets: self.source_offsets }))
    }
}
