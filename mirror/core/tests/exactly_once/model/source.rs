//! A source log with everything that makes a target's offsets differ.

use bytes::{Bytes, BytesMut};
use leeward_mirror_core::partition::{AbortedTransaction, Fetched};
use leeward_model::SourceOffset;
use leeward_wire::record::{BatchBuilder, Compression, ControlKind, RecordBatch, control_batch};

use super::random::Random;

const BATCHES: usize = 40;

#[derive(Debug)]
pub(crate) struct Source {
    batches: Vec<RecordBatch>,
    aborted: Vec<AbortedTransaction>,
    /// Offset and value of each record that a consumer would see.
    pub(crate) committed: Vec<(usize, Vec<u8>)>,
    pub(crate) end: usize,
}

impl Source {
    pub(crate) fn new(random: &mut Random) -> Self {
        let mut source = Self { batches: Vec::new(), aborted: Vec::new(), committed: Vec::new(), end: 0 };
        for number in 0..BATCHES {
            match random.below(8) {
                0 => source.transaction(random, number as i64 + 100),
                1 => source.end += 1 + random.below(5),
                2 => source.data(random, true, None),
                _ => source.data(random, false, None),
            }
        }
        source.data(random, false, None);
        source
    }

    fn data(&mut self, random: &mut Random, sparse: bool, transaction: Option<(i64, bool)>) {
        let codec = Compression::ALL[random.below(5)];
        let mut builder = BatchBuilder::new(codec).base_offset(self.end as i64);
        if let Some((producer, _)) = transaction {
            builder = builder.producer(producer, 0, 0).transactional();
        } else if random.one_in(6) {
            builder = builder.append_time(777);
        }
        let span = 1 + random.below(6);
        for delta in 0..span {
            let hole = sparse && random.one_in(2);
            if hole && !(delta == span - 1 && builder.record_count() == 0) {
                continue;
            }
            let value = format!("value {}", self.end + delta).into_bytes();
            builder.append_at(delta as i32, 5, Some(b"key"), Some(&value), &[]).unwrap();
            if transaction.is_none_or(|(_, commits)| commits) {
                self.committed.push((self.end + delta, value));
            }
        }
        builder.reach(span as i32 - 1).unwrap();
        self.batches.push(builder.build().unwrap());
        self.end += span;
    }

    fn transaction(&mut self, random: &mut Random, producer: i64) {
        let commits = random.one_in(2);
        if !commits {
            let first_offset = self.end as i64;
            self.aborted.push(AbortedTransaction { producer_id: producer, first_offset });
        }
        for _ in 0..=random.below(3) {
            self.data(random, false, Some((producer, commits)));
            if random.one_in(3) {
                self.data(random, false, None);
            }
        }
        let kind = if commits { ControlKind::Commit } else { ControlKind::Abort };
        let marker = control_batch(kind, 0, producer, 0, 5).unwrap();
        self.batches.push(marker.with_base_offset(self.end as i64).unwrap());
        self.end += 1;
    }

    pub(crate) fn fetch(&self, from: SourceOffset, batches: usize) -> Fetched {
        let wire = from.to_wire();
        let mut records = BytesMut::new();
        let answered: Vec<_> =
            self.batches.iter().filter(|batch| batch.next_offset() > wire).take(batches).collect();
        for batch in &answered {
            batch.write_to(&mut records);
        }
        let last = answered.last().map_or(wire, |batch| batch.last_offset());
        let aborted = self.aborted.iter().filter(|aborted| aborted.first_offset <= last).copied();
        Fetched {
            from,
            records: Bytes::from(records),
            aborted: aborted.filter(|aborted| self.ends_after(aborted.producer_id, wire)).collect(),
            last_stable: SourceOffset::from_wire(self.end as i64).unwrap(),
            log_start: SourceOffset::FIRST,
        }
    }

    fn ends_after(&self, producer: i64, from: i64) -> bool {
        let marker = self.batches.iter().find(|batch| batch.is_control() && batch.producer_id() == producer);
        marker.is_some_and(|marker| marker.base_offset() >= from)
    }
}
