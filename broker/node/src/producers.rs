//! What a partition remembers of idempotent producers, and whether it takes their next batch.
//!
//! The rules are those of Apache Kafka 4.1 as measured: an unknown producer may begin at any sequence, a new epoch
//! only at 0, one of the last five batches is recognised when it is repeated.

use std::collections::{BTreeMap, HashMap, VecDeque};

use leeward_wire::ErrorCode;
use leeward_wire::record::RecordBatch;

use crate::limits::{BATCHES_PER_PRODUCER, PRODUCERS_PER_PARTITION_MAX};

/// What to do with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Append,
    /// It is in the log already.
    Repeated {
        base_offset: i64,
        append_time_ms: i64,
    },
    Refuse(ErrorCode),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Remembered {
    first_sequence: i32,
    last_sequence: i32,
    base_offset: i64,
    /// -1 unless the topic stamps its records.
    append_time_ms: i64,
}

#[derive(Clone, Debug)]
struct Producer {
    epoch: i16,
    /// The newest last; never empty.
    batches: VecDeque<Remembered>,
    last_offset: i64,
    last_timestamp: i64,
}

/// A producer as `DescribeProducers` tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ActiveProducer {
    pub(crate) id: i64,
    pub(crate) epoch: i16,
    pub(crate) last_sequence: i32,
    pub(crate) last_timestamp: i64,
}

/// All producers of a partition.
#[derive(Debug, Default)]
pub(crate) struct Producers {
    by_id: HashMap<i64, Producer>,
    /// Producers by the offset they wrote last, to forget the one that is silent longest.
    by_last_offset: BTreeMap<i64, i64>,
}

impl Producers {
    /// Judges a batch that is about to be appended.
    pub(crate) fn judge(&self, batch: &RecordBatch) -> Verdict {
        let Some(known) = self.by_id.get(&batch.producer_id()).filter(|_| batch.producer_id() >= 0) else {
            return Verdict::Append;
        };
        let epoch = batch.producer_epoch();
        if epoch < known.epoch {
            return Verdict::Refuse(ErrorCode::INVALID_PRODUCER_EPOCH);
        }
        if epoch > known.epoch {
            return match batch.base_sequence() {
                0 => Verdict::Append,
                _ => Verdict::Refuse(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER),
            };
        }
        let (first, last) = (batch.base_sequence(), batch.last_sequence());
        let repeated =
            known.batches.iter().find(|old| old.first_sequence == first && old.last_sequence == last);
        if let Some(old) = repeated {
            return Verdict::Repeated { base_offset: old.base_offset, append_time_ms: old.append_time_ms };
        }
        let expected = known.batches.back().map_or(0, |newest| after(newest.last_sequence));
        if first == expected {
            Verdict::Append
        } else {
            Verdict::Refuse(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER)
        }
    }

    /// Takes note of a batch that stands in the log.
    pub(crate) fn note(&mut self, batch: &RecordBatch, append_time: bool) {
        let id = batch.producer_id();
        if id < 0 || batch.is_control() || batch.base_sequence() < 0 {
            return;
        }
        let remembered = Remembered {
            first_sequence: batch.base_sequence(),
            last_sequence: batch.last_sequence(),
            base_offset: batch.base_offset(),
            append_time_ms: if append_time { batch.max_timestamp() } else { -1 },
        };
        let producer = self.by_id.entry(id).or_insert_with(|| Producer {
            epoch: batch.producer_epoch(),
            batches: VecDeque::new(),
            last_offset: -1,
            last_timestamp: -1,
        });
        if producer.epoch != batch.producer_epoch() {
            producer.epoch = batch.producer_epoch();
            producer.batches.clear();
        }
        if producer.batches.len() == BATCHES_PER_PRODUCER {
            producer.batches.pop_front();
        }
        producer.batches.push_back(remembered);
        self.by_last_offset.remove(&producer.last_offset);
        producer.last_offset = batch.last_offset();
        producer.last_timestamp = batch.max_timestamp();
        self.by_last_offset.insert(batch.last_offset(), id);
        if self.by_id.len() > PRODUCERS_PER_PARTITION_MAX
            && let Some((_, silent)) = self.by_last_offset.pop_first()
        {
            self.by_id.remove(&silent);
        }
    }

    pub(crate) fn active(&self) -> Vec<ActiveProducer> {
        self.by_id
            .iter()
            .map(|(id, producer)| ActiveProducer {
                id: *id,
                epoch: producer.epoch,
                last_sequence: producer.batches.back().map_or(-1, |newest| newest.last_sequence),
                last_timestamp: producer.last_timestamp,
            })
            .collect()
    }
}

/// The sequence behind `sequence`.
fn after(sequence: i32) -> i32 {
    if sequence == i32::MAX { 0 } else { sequence + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leeward_wire::record::{BatchBuilder, Compression};

    const ID: i64 = 0x7e00_0000_0000_0001;

    fn batch(epoch: i16, sequence: i32, records: usize) -> RecordBatch {
        let mut builder = BatchBuilder::new(Compression::None).producer(ID, epoch, sequence);
        for _ in 0..records {
            builder.append(0, None, Some(b"v"), &[]).unwrap();
        }
        builder.build().unwrap()
    }

    /// Producers who wrote `batches`, one record an offset.
    fn after_writing(batches: &[(i16, i32, usize)]) -> Producers {
        let mut producers = Producers::default();
        let mut offset = 0;
        for (epoch, sequence, records) in batches {
            let placed = batch(*epoch, *sequence, *records).with_base_offset(offset).unwrap();
            assert_eq!(producers.judge(&placed), Verdict::Append, "{epoch} {sequence}");
            producers.note(&placed, false);
            offset = placed.next_offset();
        }
        producers
    }

    #[test]
    fn an_unknown_producer_may_begin_anywhere_and_must_go_on_from_there() {
        let producers = after_writing(&[(0, 1000, 2), (0, 1002, 3)]);

        assert_eq!(
            producers.judge(&batch(0, 1009, 1)),
            Verdict::Refuse(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER)
        );
    }

    #[test]
    fn sequences_wrap_from_the_largest_to_zero() {
        after_writing(&[(0, i32::MAX - 1, 4), (0, 2, 1)]);
    }

    #[test]
    fn one_of_the_last_five_batches_is_recognised_and_an_older_one_is_out_of_order() {
        let producers = after_writing(&[(0, 0, 1), (0, 1, 1), (0, 2, 1), (0, 3, 1), (0, 4, 1), (0, 5, 1)]);

        assert_eq!(
            producers.judge(&batch(0, 1, 1)),
            Verdict::Repeated { base_offset: 1, append_time_ms: -1 }
        );
        assert_eq!(
            producers.judge(&batch(0, 0, 1)),
            Verdict::Refuse(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER)
        );
    }

    #[test]
    fn a_new_epoch_begins_at_zero_and_an_old_one_is_refused() {
        let producers = after_writing(&[(0, 0, 3), (1, 0, 1)]);

        assert_eq!(
            producers.judge(&batch(2, 5, 1)),
            Verdict::Refuse(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER)
        );
        assert_eq!(producers.judge(&batch(0, 3, 1)), Verdict::Refuse(ErrorCode::INVALID_PRODUCER_EPOCH));
        assert_eq!(producers.judge(&batch(2, 0, 1)), Verdict::Append);
    }
}
