//! Control batches: how a transaction ended.

use super::{BatchBuilder, BatchError, BuildError, Compression, Malformed, Record, RecordBatch};

const VERSION: i16 = 0;

/// What a control record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlKind {
    Abort,
    Commit,
    /// A kind that is not about transactions, or not known.
    Other(i16),
}

impl ControlKind {
    fn from_code(code: i16) -> Self {
        match code {
            0 => Self::Abort,
            1 => Self::Commit,
            other => Self::Other(other),
        }
    }

    fn code(self) -> i16 {
        match self {
            Self::Abort => 0,
            Self::Commit => 1,
            Self::Other(code) => code,
        }
    }
}

/// The one record of a control batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ControlRecord {
    pub kind: ControlKind,
    /// Of the transaction coordinator; `None` in other kinds than abort and commit.
    pub coordinator_epoch: Option<i32>,
}

impl ControlRecord {
    fn from_record(record: &Record<'_>) -> Result<Self, Malformed> {
        let key = record.key.and_then(|key| key.first_chunk::<4>());
        let [_, _, kind @ ..] = *key.ok_or(Malformed::Control)?;
        let kind = ControlKind::from_code(i16::from_be_bytes(kind));
        let coordinator_epoch = match kind {
            ControlKind::Abort | ControlKind::Commit => {
                let value = record.value.and_then(|value| value.first_chunk::<6>());
                let [_, _, epoch @ ..] = *value.ok_or(Malformed::Control)?;
                Some(i32::from_be_bytes(epoch))
            }
            ControlKind::Other(_) => None,
        };
        Ok(Self { kind, coordinator_epoch })
    }
}

impl RecordBatch {
    /// Reads the record of a control batch.
    ///
    /// # Errors
    ///
    /// [`BatchError::NoControlRecord`] in a data batch or an emptied one; any error of the records.
    pub fn control_record(&self) -> Result<ControlRecord, BatchError> {
        if !self.is_control() {
            return Err(BatchError::NoControlRecord);
        }
        let mut records = self.records()?;
        let record = records.next().ok_or(BatchError::NoControlRecord)??;
        if records.next().transpose()?.is_some() {
            return Err(BatchError::NoControlRecord);
        }
        ControlRecord::from_record(&record).map_err(|source| BatchError::Record { index: 0, source })
    }
}

/// A batch that ends a producer's transaction.
///
/// # Errors
///
/// None that a [`BuildError`] names can occur with one small record.
pub fn control_batch(
    kind: ControlKind,
    coordinator_epoch: i32,
    producer_id: i64,
    producer_epoch: i16,
    timestamp_ms: i64,
) -> Result<RecordBatch, BuildError> {
    let mut key = VERSION.to_be_bytes().to_vec();
    key.extend_from_slice(&kind.code().to_be_bytes());
    let mut value = VERSION.to_be_bytes().to_vec();
    value.extend_from_slice(&coordinator_epoch.to_be_bytes());
    let mut builder = BatchBuilder::new(Compression::None)
        .producer(producer_id, producer_epoch, -1)
        .transactional()
        .control();
    builder.append(timestamp_ms, Some(&key), Some(&value), &[])?;
    builder.build()
}
