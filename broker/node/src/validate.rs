//! Whether a batch may be appended, by what Apache Kafka checks of it.

use leeward_wire::ErrorCode;
use leeward_wire::record::{BatchError, Record, RecordBatch, Reencode, reencode, split_batches};

use bytes::Bytes;

use crate::limits::DECOMPRESSED_BYTES_MAX;
use crate::settings::TopicSettings;

/// Why a batch is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) error: ErrorCode,
    pub(crate) message: String,
}

impl Refused {
    pub(crate) fn new(error: ErrorCode, message: impl Into<String>) -> Self {
        Self { error, message: message.into() }
    }
}

/// Takes the one batch that a produce request may hold for a partition, without looking at its records.
///
/// The size is held against the limit again when the batch is appended, for the limit is a fence.
pub(crate) fn only_batch(records: Option<Bytes>, settings: &TopicSettings) -> Result<RecordBatch, Refused> {
    let records = records.unwrap_or_default();
    if records.len() > settings.max_message_bytes {
        return Err(too_large(records.len(), settings));
    }
    let mut batches = split_batches(records);
    let batch = match batches.next() {
        Some(Ok(batch)) => batch,
        Some(Err(BatchError::OldMagic { magic })) => {
            return Err(Refused::new(
                ErrorCode::UNSUPPORTED_FOR_MESSAGE_FORMAT,
                format!("record batches of magic {magic} are not taken"),
            ));
        }
        Some(Err(error)) => return Err(Refused::new(ErrorCode::CORRUPT_MESSAGE, error.to_string())),
        None => return Err(invalid("the request holds no whole record batch")),
    };
    if batches.next().is_some() {
        return Err(invalid("a request may hold one batch for a partition"));
    }
    check_header(&batch)?;
    Ok(batch)
}

/// Refuses a batch that is larger than the topic takes.
pub(crate) fn check_size(batch: &RecordBatch, settings: &TopicSettings) -> Result<(), Refused> {
    if batch.size_bytes() > settings.max_message_bytes {
        return Err(too_large(batch.size_bytes(), settings));
    }
    Ok(())
}

fn too_large(bytes: usize, settings: &TopicSettings) -> Refused {
    Refused::new(
        ErrorCode::MESSAGE_TOO_LARGE,
        format!("{bytes} bytes are more than the {} that the topic takes", settings.max_message_bytes),
    )
}

fn check_header(batch: &RecordBatch) -> Result<(), Refused> {
    batch.verify_crc().map_err(|error| Refused::new(ErrorCode::CORRUPT_MESSAGE, error.to_string()))?;
    if batch.base_offset() != 0 {
        return Err(invalid("a produced batch must begin at offset 0"));
    }
    if batch.record_count() == 0 || !batch.is_dense() {
        return Err(invalid("a produced batch must have records and no holes"));
    }
    if batch.is_control() {
        return Err(invalid("clients may not write control batches"));
    }
    if batch.producer_id() >= 0 && (batch.base_sequence() < 0 || batch.producer_epoch() < 0) {
        return Err(invalid("a producer's batch needs its epoch and sequence"));
    }
    if batch.is_transactional() {
        return Err(Refused::new(
            ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
            "this cluster has no transactions",
        ));
    }
    Ok(())
}

/// Looks at each record: whole, dense, with a key where one is needed, of a plausible time.
pub(crate) fn check_records(
    batch: &RecordBatch,
    settings: &TopicSettings,
    now_ms: i64,
) -> Result<(), Refused> {
    let decompressed = batch.decompress(DECOMPRESSED_BYTES_MAX).map_err(|error| {
        // What Apache Kafka answers; it does not expect this.
        Refused::new(ErrorCode::UNKNOWN_SERVER_ERROR, error.to_string())
    })?;
    for (expected, record) in (0..).zip(decompressed.records()) {
        let record = record.map_err(|error| invalid(error.to_string()))?;
        if record.offset_delta != expected {
            return Err(invalid(format!("record {expected} has offset delta {}", record.offset_delta)));
        }
        if settings.compacted && record.key.is_none() {
            return Err(invalid("a compacted topic needs keys"));
        }
        check_time(batch, &record, settings, now_ms)?;
    }
    Ok(())
}

fn check_time(
    batch: &RecordBatch,
    record: &Record<'_>,
    settings: &TopicSettings,
    now_ms: i64,
) -> Result<(), Refused> {
    let timestamp = batch.timestamp_of(record.timestamp_delta);
    if settings.append_time || timestamp == -1 {
        return Ok(());
    }
    let age = now_ms.saturating_sub(timestamp);
    if age > settings.timestamp_before_max_ms || age.saturating_neg() > settings.timestamp_after_max_ms {
        return Err(Refused::new(
            ErrorCode::INVALID_TIMESTAMP,
            format!("timestamp {timestamp} is outside what the topic takes at {now_ms}"),
        ));
    }
    Ok(())
}

/// The batch in the topic's codec, where the topic has one and the batch another.
pub(crate) fn recompressed(
    batch: &RecordBatch,
    settings: &TopicSettings,
) -> Result<Option<RecordBatch>, Refused> {
    if settings.compression.is_none_or(|codec| codec == batch.compression()) {
        return Ok(None);
    }
    let how = Reencode {
        compression: settings.compression,
        producer_id: batch.producer_id(),
        producer_epoch: batch.producer_epoch(),
        base_sequence: batch.base_sequence(),
        limit_bytes: DECOMPRESSED_BYTES_MAX,
        ..Reencode::default()
    };
    let reencoded = reencode(batch, |_| true, how).map_err(|error| invalid(error.to_string()))?;
    Ok(reencoded.map(|reencoded| reencoded.batch))
}

fn invalid(message: impl Into<String>) -> Refused {
    Refused::new(ErrorCode::INVALID_RECORD, message)
}
