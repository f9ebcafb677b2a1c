//! Turns fetched batches into records with their offsets, for consumers that want records and not batches.

use std::collections::BTreeSet;

use bytes::Bytes;
use leeward_model::TopicPartition;
use leeward_wire::record::{BatchError, ControlKind, RecordBatch, split_batches};

use crate::{AbortedTransaction, Fetched, Isolation, limits::DECOMPRESSED_BYTES_MAX};

/// A record as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumedRecord {
    pub partition: TopicPartition,
    pub offset: i64,
    /// Milliseconds since 1970.
    pub timestamp_ms: i64,
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    pub headers: Vec<(Bytes, Option<Bytes>)>,
}

/// The records of one answer, and where to read on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadRecords {
    pub records: Vec<ConsumedRecord>,
    pub next_offset: i64,
}

/// Reads the records at or after `from`. Markers of transactions are left out, and with [`Isolation::ReadCommitted`]
/// the records of aborted ones.
///
/// # Errors
///
/// [`BatchError`] for a batch that is damaged or not to be decompressed; nothing is passed over.
pub fn read_records(fetched: &Fetched, from: i64, isolation: Isolation) -> Result<ReadRecords, BatchError> {
    let mut read = ReadRecords { records: Vec::new(), next_offset: from };
    let aborted = if isolation == Isolation::ReadCommitted { &fetched.aborted[..] } else { &[] };
    let mut aborted = Aborted::new(aborted);
    for batch in split_batches(fetched.records.clone()) {
        let batch = batch?;
        if batch.next_offset() <= from {
            continue;
        }
        batch.verify_crc()?;
        let wanted = !aborted.covers(&batch)? && !batch.is_control();
        if wanted {
            append(&fetched.partition, &batch, from, &mut read.records)?;
        }
        read.next_offset = batch.next_offset();
    }
    Ok(read)
}

fn append(
    partition: &TopicPartition,
    batch: &RecordBatch,
    from: i64,
    into: &mut Vec<ConsumedRecord>,
) -> Result<(), BatchError> {
    let decompressed = batch.decompress(DECOMPRESSED_BYTES_MAX)?;
    let payload = decompressed.payload();
    for record in decompressed.records() {
        let record = record?;
        let offset = batch.base_offset() + i64::from(record.offset_delta);
        if offset < from {
            continue;
        }
        let shared = |bytes: &[u8]| payload.slice_ref(bytes);
        into.push(ConsumedRecord {
            partition: partition.clone(),
            offset,
            timestamp_ms: batch.timestamp_of(record.timestamp_delta),
            key: record.key.map(shared),
            value: record.value.map(shared),
            headers: record
                .headers
                .clone()
                .map(|header| (shared(header.key), header.value.map(shared)))
                .collect(),
        });
    }
    Ok(())
}

/// Which producers' transactions are being passed over, at the place in the log that is read.
struct Aborted<'a> {
    to_come: Vec<&'a AbortedTransaction>,
    open: BTreeSet<i64>,
}

impl<'a> Aborted<'a> {
    fn new(aborted: &'a [AbortedTransaction]) -> Self {
        let mut to_come: Vec<_> = aborted.iter().collect();
        to_come.sort_by_key(|transaction| std::cmp::Reverse(transaction.first_offset));
        Self { to_come, open: BTreeSet::new() }
    }

    /// Whether `batch`, the next of the log, belongs to an aborted transaction.
    fn covers(&mut self, batch: &RecordBatch) -> Result<bool, BatchError> {
        while let Some(next) = self.to_come.last()
            && next.first_offset <= batch.last_offset()
        {
            self.open.insert(next.producer_id);
            self.to_come.pop();
        }
        if batch.is_control() {
            if batch.control_record()?.kind == ControlKind::Abort {
                self.open.remove(&batch.producer_id());
            }
            return Ok(false);
        }
        Ok(batch.is_transactional() && self.open.contains(&batch.producer_id()))
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use leeward_model::{PartitionIndex, TopicName};
    use leeward_wire::{
        ErrorCode,
        record::{BatchBuilder, Compression},
    };

    use super::*;

    fn batch(base_offset: i64, values: &[&str], producer_id: Option<i64>) -> RecordBatch {
        let mut builder = BatchBuilder::new(Compression::Lz4).base_offset(base_offset);
        if let Some(id) = producer_id {
            builder = builder.producer(id, 0, 0).transactional();
        }
        for value in values {
            builder.append(7, None, Some(value.as_bytes()), &[]).unwrap();
        }
        builder.build().unwrap()
    }

    fn fetched(batches: &[RecordBatch], aborted: Vec<AbortedTransaction>) -> Fetched {
        let mut records = BytesMut::new();
        for batch in batches {
            batch.write_to(&mut records);
        }
        Fetched {
            partition: TopicPartition {
                topic: TopicName::new("t").unwrap(),
                partition: PartitionIndex::from_wire(0).unwrap(),
            },
            error: ErrorCode::NONE,
            records: records.freeze(),
            high_watermark: 0,
            last_stable_offset: 0,
            log_start_offset: 0,
            aborted,
            diverging: None,
        }
    }

    fn offsets(read: &ReadRecords) -> Vec<i64> {
        read.records.iter().map(|record| record.offset).collect()
    }

    #[test]
    fn records_before_the_asked_offset_are_left_out() {
        let fetched = fetched(&[batch(10, &["a", "b", "c"], None)], vec![]);

        let read = read_records(&fetched, 11, Isolation::ReadUncommitted).unwrap();

        assert_eq!(offsets(&read), [11, 12]);
        assert_eq!(read.next_offset, 13);
    }

    #[test]
    fn a_batch_that_is_cut_off_is_read_next_time() {
        let mut fetched = fetched(&[batch(0, &["a"], None), batch(1, &["b"], None)], vec![]);
        fetched.records.truncate(fetched.records.len() - 1);

        let read = read_records(&fetched, 0, Isolation::ReadUncommitted).unwrap();

        assert_eq!(offsets(&read), [0]);
        assert_eq!(read.next_offset, 1);
    }

    #[test]
    fn records_of_an_aborted_transaction_are_passed_over() {
        let batches = [batch(0, &["kept"], Some(1)), batch(1, &["gone"], Some(2))];
        let aborted = vec![AbortedTransaction { producer_id: 2, first_offset: 1 }];

        let read = read_records(&fetched(&batches, aborted), 0, Isolation::ReadCommitted).unwrap();

        assert_eq!(offsets(&read), [0]);
        assert_eq!(read.next_offset, 2);
    }

    #[test]
    fn a_damaged_batch_is_an_error_and_not_a_gap() {
        let mut bytes = batch(0, &["a"], None).to_bytes().to_vec();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        let mut fetched = fetched(&[], vec![]);
        fetched.records = bytes.into();

        assert!(read_records(&fetched, 0, Isolation::ReadUncommitted).is_err());
    }
}
