//! Which batches are let in. What a broker would refuse later, and with it the partition behind it, is refused here.

use bytes::Bytes;

use leeward_wire::ErrorCode;
use leeward_wire::record::{BatchError, RecordBatch, TimestampType};

use crate::limits::DECOMPRESSED_BYTES_MAX;

/// What the acting region demands of a topic's batches, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TopicRules {
    /// Largest batch in bytes.
    pub(crate) batch_bytes_max: Option<usize>,
    /// Records need a key.
    pub(crate) compacted: bool,
    /// Milliseconds that a record's time may be before and after the broker's.
    pub(crate) behind_max_ms: Option<i64>,
    pub(crate) ahead_max_ms: Option<i64>,
}

/// Why a batch was not let in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("not one whole record batch: {0}")]
    Batch(#[from] BatchError),
    #[error("message sets older than record batches are not taken")]
    OldFormat,
    #[error("a batch must have records, base offset 0 and no gaps")]
    NotDense,
    #[error("clients do not write control batches")]
    Control,
    #[error("producer id, epoch and sequence do not fit together")]
    Producer,
    #[error("batch of {bytes} bytes is larger than the topic's {max}")]
    TooLarge { bytes: usize, max: usize },
    #[error("a record of a compacted topic has no key")]
    NoKey,
    #[error("a record's time {time_ms} is too far from {now_ms}")]
    Time { time_ms: i64, now_ms: i64 },
}

impl Refused {
    /// What the client is told.
    pub(crate) fn code(&self) -> ErrorCode {
        match self {
            Self::OldFormat => ErrorCode::UNSUPPORTED_FOR_MESSAGE_FORMAT,
            Self::Batch(
                BatchError::Crc { .. } | BatchError::Truncated { .. } | BatchError::Length { .. },
            ) => ErrorCode::CORRUPT_MESSAGE,
            Self::Batch(BatchError::UnknownCompression(_)) => ErrorCode::UNSUPPORTED_COMPRESSION_TYPE,
            Self::Batch(_) | Self::NotDense | Self::Control | Self::Producer | Self::NoKey => {
                ErrorCode::INVALID_RECORD
            }
            Self::TooLarge { .. } => ErrorCode::MESSAGE_TOO_LARGE,
            Self::Time { .. } => ErrorCode::INVALID_TIMESTAMP,
        }
    }

    /// The value of a metric's label.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "too-large",
            Self::Batch(BatchError::Crc { .. }) => "checksum",
            Self::Time { .. } => "timestamp",
            Self::Batch(_)
            | Self::OldFormat
            | Self::NotDense
            | Self::Control
            | Self::Producer
            | Self::NoKey => "malformed",
        }
    }
}

/// Reads the one batch of a produce request's partition.
pub(crate) fn open(bytes: Bytes) -> Result<RecordBatch, Refused> {
    RecordBatch::parse(bytes).map_err(|error| match error {
        BatchError::OldMagic { .. } => Refused::OldFormat,
        error => Refused::Batch(error),
    })
}

/// Checks all of a batch down to its records.
pub(crate) fn check(batch: &RecordBatch, rules: TopicRules, now_ms: i64) -> Result<(), Refused> {
    batch.verify_crc()?;
    if batch.is_control() {
        return Err(Refused::Control);
    }
    if !batch.is_dense() || batch.base_offset() != 0 {
        return Err(Refused::NotDense);
    }
    let has_producer = batch.producer_id() >= 0;
    if has_producer && (batch.producer_epoch() < 0 || batch.base_sequence() < 0) {
        return Err(Refused::Producer);
    }
    if let Some(max) = rules.batch_bytes_max
        && batch.size_bytes() > max
    {
        return Err(Refused::TooLarge { bytes: batch.size_bytes(), max });
    }
    check_records(batch, rules, now_ms)
}

fn check_records(batch: &RecordBatch, rules: TopicRules, now_ms: i64) -> Result<(), Refused> {
    let content = batch.decompress(DECOMPRESSED_BYTES_MAX)?;
    let mut next_delta = 0;
    for record in content.records() {
        let record = record?;
        if record.offset_delta != next_delta {
            return Err(Refused::NotDense);
        }
        next_delta += 1;
        if rules.compacted && record.key.is_none() {
            return Err(Refused::NoKey);
        }
        let time_ms = batch.timestamp_of(record.timestamp_delta);
        let ahead = rules.ahead_max_ms.is_some_and(|max| time_ms.saturating_sub(now_ms) > max);
        let behind = rules.behind_max_ms.is_some_and(|max| now_ms.saturating_sub(time_ms) > max);
        if batch.timestamp_type() == TimestampType::CreateTime && (ahead || behind) {
            return Err(Refused::Time { time_ms, now_ms });
        }
    }
    if next_delta != batch.record_count() {
        return Err(Refused::NotDense);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use leeward_wire::record::{BatchBuilder, Compression};

    use super::*;

    fn batch(compression: Compression) -> RecordBatch {
        let mut builder = BatchBuilder::new(compression);
        builder.append(1_000, None, Some(b"value"), &[]).unwrap();
        builder.append(1_001, Some(b"key"), None, &[]).unwrap();
        builder.build().unwrap()
    }

    fn refused(batch: &RecordBatch, rules: TopicRules) -> ErrorCode {
        check(batch, rules, 1_000).expect_err("refused").code()
    }

    #[test]
    fn a_sound_batch_of_any_codec_is_let_in() {
        for codec in [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4] {
            assert!(check(&batch(codec), TopicRules::default(), 0).is_ok());
        }
    }

    #[test]
    fn a_flipped_bit_is_refused_as_corrupt() {
        let mut bytes = batch(Compression::None).to_bytes().to_vec();
        *bytes.last_mut().unwrap() ^= 1;

        let flipped = open(bytes.into()).unwrap();

        assert_eq!(refused(&flipped, TopicRules::default()), ErrorCode::CORRUPT_MESSAGE);
    }

    #[test]
    fn garbage_in_a_compressed_payload_is_refused_though_its_checksum_fits() {
        let mut bytes = batch(Compression::None).to_bytes().to_vec();
        bytes[22] |= 1;
        let crc = leeward_wire::record::crc32c(&bytes[21..]);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());

        let garbage = open(bytes.into()).unwrap();

        assert_eq!(refused(&garbage, TopicRules::default()), ErrorCode::INVALID_RECORD);
    }

    #[test]
    fn a_batch_above_the_topics_limit_is_refused() {
        let rules = TopicRules { batch_bytes_max: Some(10), ..TopicRules::default() };

        assert_eq!(refused(&batch(Compression::None), rules), ErrorCode::MESSAGE_TOO_LARGE);
    }

    #[test]
    fn a_record_without_a_key_is_refused_by_a_compacted_topic() {
        let rules = TopicRules { compacted: true, ..TopicRules::default() };

        assert_eq!(refused(&batch(Compression::None), rules), ErrorCode::INVALID_RECORD);
    }
}
