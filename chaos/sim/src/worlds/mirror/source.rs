//! A source log with everything that makes a target's offsets differ: transactions, markers, holes, retention.
//!
//! A record's value is its own offset, so that wherever it turns up it tells where it comes from.

use bytes::{Bytes, BytesMut};
use leeward_mirror_core::partition::{AbortedTransaction, Fetched};
use leeward_model::SourceOffset;
use leeward_wire::record::{BatchBuilder, Compression, ControlKind, RecordBatch, control_batch};

use crate::mirrors::{Answer, source as offset};
use crate::random::Random;

#[derive(Debug, Default)]
pub(super) struct Source {
    batches: Vec<RecordBatch>,
    aborted: Vec<AbortedTransaction>,
    /// Offsets of the records that a consumer sees.
    pub(super) committed: Vec<i64>,
    pub(super) log_start: i64,
    pub(super) end: i64,
}

impl Source {
    pub(super) fn grow(&mut self, random: &mut Random) {
        match random.below(10) {
            0 => self.transaction(random),
            1 => self.end += 1 + random.below(5) as i64,
            2 => self.data(random, true, None),
            _ => self.data(random, false, None),
        }
    }

    /// Ends with records, so that a reader gets to the very end.
    pub(super) fn grow_at_last(&mut self, random: &mut Random) {
        self.data(random, false, None);
    }

    fn data(&mut self, random: &mut Random, sparse: bool, transaction: Option<(i64, bool)>) {
        let codec = if random.one_in(8) { Compression::Lz4 } else { Compression::None };
        let mut builder = BatchBuilder::new(codec).base_offset(self.end);
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
            let offset = self.end + delta as i64;
            let value = offset.to_be_bytes();
            builder.append_at(delta as i32, 5, None, Some(&value), &[]).expect("a small record");
            if transaction.is_none_or(|(_, commits)| commits) {
                self.committed.push(offset);
            }
        }
        builder.reach(span as i32 - 1).expect("a short batch");
        self.batches.push(builder.build().expect("a batch with records"));
        self.end += span as i64;
    }

    fn transaction(&mut self, random: &mut Random) {
        let producer = 1000 + self.end;
        let commits = random.one_in(2);
        if !commits {
            self.aborted.push(AbortedTransaction { producer_id: producer, first_offset: self.end });
        }
        for _ in 0..=random.below(3) {
            self.data(random, false, Some((producer, commits)));
            if random.one_in(3) {
                self.data(random, false, None);
            }
        }
        let kind = if commits { ControlKind::Commit } else { ControlKind::Abort };
        let marker = control_batch(kind, 0, producer, 0, 5).expect("a marker");
        self.batches.push(marker.with_base_offset(self.end).expect("a small offset"));
        self.end += 1;
    }

    /// Gives up what lies before some offset.
    pub(super) fn retain(&mut self, random: &mut Random) {
        let left = (self.end - self.log_start) as usize;
        self.log_start += random.below(left + 1) as i64;
        let log_start = self.log_start;
        self.batches.retain(|batch| batch.next_offset() > log_start);
    }

    pub(super) fn fetch(&self, from: SourceOffset, batches: usize) -> Answer {
        let wire = from.to_wire();
        if wire < self.log_start || wire > self.end {
            return Answer::OutOfRange { log_start: offset(self.log_start), log_end: offset(self.end) };
        }
        let mut records = BytesMut::new();
        let answered: Vec<_> =
            self.batches.iter().filter(|batch| batch.next_offset() > wire).take(batches).collect();
        for batch in &answered {
            batch.write_to(&mut records);
        }
        let last = answered.last().map_or(wire, |batch| batch.last_offset());
        let aborted = self.aborted.iter().filter(|aborted| aborted.first_offset <= last).copied();
        Answer::Fetched(Fetched {
            from,
            records: Bytes::from(records),
            aborted: aborted.filter(|aborted| self.ends_after(aborted.producer_id, wire)).collect(),
            last_stable: offset(self.end),
            log_start: offset(self.log_start),
        })
    }

    fn ends_after(&self, producer: i64, from: i64) -> bool {
        let marker = self.batches.iter().find(|batch| batch.is_control() && batch.producer_id() == producer);
        marker.is_some_and(|marker| marker.base_offset() >= from)
    }
}
