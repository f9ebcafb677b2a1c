//! A fetch response's records, cut into batches.

use bytes::Bytes;

use super::batch::check_magic;
use super::header::{self, HEADER_BYTES, LENGTH_OVERHEAD_BYTES};
use super::{BatchError, RecordBatch};

/// Cuts the concatenated batches of one partition's records.
pub fn split_batches(records: Bytes) -> Batches {
    Batches { rest: records }
}

/// The batches in a partition's records; ends silently before a batch that is not whole.
#[derive(Clone, Debug)]
pub struct Batches {
    rest: Bytes,
}

impl Batches {
    /// Bytes not yet cut: after the last batch, those of the partial one.
    pub fn rest_bytes(&self) -> usize {
        self.rest.len()
    }

    fn cut(&mut self) -> Result<Option<RecordBatch>, BatchError> {
        let Some(prefix) = self.rest.first_chunk::<{ header::CRC }>() else {
            return Ok(None);
        };
        check_magic(prefix[header::MAGIC] as i8)?;
        let length =
            *prefix[header::BATCH_LENGTH..].first_chunk().expect("the length stands before the magic");
        let declared = i64::from(i32::from_be_bytes(length)) + LENGTH_OVERHEAD_BYTES as i64;
        let size_bytes = usize::try_from(declared)
            .ok()
            .filter(|size_bytes| *size_bytes >= HEADER_BYTES)
            .ok_or(BatchError::Length { declared, bytes: self.rest.len() })?;
        if size_bytes > self.rest.len() {
            return Ok(None);
        }
        RecordBatch::parse(self.rest.split_to(size_bytes)).map(Some)
    }
}

impl Iterator for Batches {
    type Item = Result<RecordBatch, BatchError>;

    /// The next batch; after an error there is none.
    fn next(&mut self) -> Option<Self::Item> {
        let cut = self.cut();
        if cut.is_err() {
            self.rest.clear();
        }
        cut.transpose()
    }
}
