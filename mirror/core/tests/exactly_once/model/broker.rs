//! The target's broker: Kafka's rules for idempotent producers, as measured.

use std::collections::{HashMap, VecDeque};

use leeward_mirror_core::partition::AuditedBatch;
use leeward_model::{ProducerId, TargetOffset};
use leeward_wire::ErrorCode;
use leeward_wire::record::RecordBatch;

const REMEMBERED: usize = 5;
const FOREIGN: i64 = 17;

#[derive(Debug, Default)]
struct Producer {
    epoch: i16,
    batches: VecDeque<(i32, i32, usize)>,
}

#[derive(Debug, Default)]
pub(crate) struct Broker {
    pub(crate) log: Vec<(i64, Vec<u8>)>,
    batches: Vec<AuditedBatch>,
    producers: HashMap<i64, Producer>,
}

impl Broker {
    pub(crate) fn end(&self) -> usize {
        self.log.len()
    }

    pub(crate) fn append(&mut self, batch: &RecordBatch) -> Result<usize, ErrorCode> {
        batch.verify_crc().map_err(|_| ErrorCode::CORRUPT_MESSAGE)?;
        let refused = !batch.is_dense() || batch.is_control() || batch.base_offset() != 0;
        if refused || batch.is_transactional() {
            return Err(ErrorCode::INVALID_RECORD);
        }
        let (first, last) = (batch.base_sequence(), batch.last_sequence());
        let epoch = batch.producer_epoch();
        let producer = self.producers.entry(batch.producer_id()).or_default();
        if let Some((.., newest, _)) = producer.batches.back() {
            if epoch < producer.epoch {
                return Err(ErrorCode::INVALID_PRODUCER_EPOCH);
            }
            if epoch > producer.epoch {
                if first != 0 {
                    return Err(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
                }
                producer.batches.clear();
            } else if let Some((.., base)) =
                producer.batches.iter().find(|known| (known.0, known.1) == (first, last))
            {
                return Ok(*base);
            } else if i64::from(first) != (i64::from(*newest) + 1) & i64::from(i32::MAX) {
                return Err(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
            }
        }
        producer.epoch = epoch;
        let base = self.log.len();
        producer.batches.push_back((first, last, base));
        if producer.batches.len() > REMEMBERED {
            producer.batches.pop_front();
        }
        self.batches.push(AuditedBatch {
            base: TargetOffset::from_wire(base as i64).unwrap(),
            offsets: batch.record_count() as u64,
            producer_id: batch.producer_id(),
        });
        let decompressed = batch.decompress(1 << 20).unwrap();
        for record in decompressed.records() {
            self.log.push((batch.producer_id(), record.unwrap().value.unwrap().to_vec()));
        }
        Ok(base)
    }

    pub(crate) fn foreign_write(&mut self, records: usize) {
        self.batches.push(AuditedBatch {
            base: TargetOffset::from_wire(self.log.len() as i64).unwrap(),
            offsets: records as u64,
            producer_id: FOREIGN,
        });
        self.log.extend((0..records).map(|_| (FOREIGN, b"foreign".to_vec())));
    }

    pub(crate) fn headers(&self, from: TargetOffset, to: TargetOffset) -> Vec<AuditedBatch> {
        self.batches.iter().filter(|batch| batch.base >= from && batch.base < to).copied().collect()
    }

    fn own(&self) -> impl Iterator<Item = (usize, &Vec<u8>)> {
        let is_own = |id: i64| ProducerId::from_wire(id).is_some_and(ProducerId::is_derived);
        self.log
            .iter()
            .enumerate()
            .filter(move |(_, (id, _))| is_own(*id))
            .map(|(at, (_, value))| (at, value))
    }

    pub(crate) fn own_values(&self) -> Vec<Vec<u8>> {
        self.own().map(|(_, value)| value.clone()).collect()
    }

    pub(crate) fn own_places(&self) -> Vec<usize> {
        self.own().map(|(at, _)| at).collect()
    }
}
