//! One partition of one Kafka region, as a model: idempotent producers, a high watermark, leaders that are lost.

use std::collections::{BTreeMap, VecDeque};

use leeward_model::Sequence;

/// Batches of each producer that a broker recognises when they come again.
const REMEMBERED: usize = 5;

/// Somebody who has nothing to do with us.
pub(crate) const FOREIGNER: i64 = 17;

/// A mirror that is a model itself.
const MIRROR: i64 = 18;

/// As whom a batch is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Writer {
    pub(crate) producer: i64,
    pub(crate) epoch: i16,
    pub(crate) sequence: i32,
}

/// One record: who wrote it, and what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) producer: i64,
    pub(crate) value: u64,
}

/// A batch's header as it stands in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) base: i64,
    pub(crate) records: u32,
    pub(crate) writer: Writer,
}

impl Batch {
    pub(crate) fn end(&self) -> i64 {
        self.base + i64::from(self.records)
    }

    fn last_sequence(&self) -> i32 {
        let last = Sequence::from_wire(self.writer.sequence).expect("writers count from 0");
        last.after(self.records - 1).to_wire()
    }
}

/// Why a batch is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    OutOfOrder,
    OldEpoch,
    Sealed,
}

/// What became of a batch that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) base: i64,
    /// Whether it was appended by this call, not known already.
    pub(crate) new: bool,
}

/// The partition's log and what its leader remembers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Broker {
    records: Vec<Record>,
    batches: Vec<Batch>,
    committed: usize,
    remembered: BTreeMap<i64, VecDeque<Batch>>,
    /// Takes no batch.
    pub(crate) sealed: bool,
    /// Counts leaders.
    pub(crate) term: u64,
}

impl Broker {
    /// An empty log in the place of this one: another topic of the same name.
    pub(crate) fn begin_anew(&mut self) {
        *self = Self { term: self.term + 1, sealed: self.sealed, ..Self::default() };
    }

    /// Appends a batch by the rules for idempotent producers. It counts once it is [committed](Self::commit).
    ///
    /// # Errors
    ///
    /// [`Refusal`]; the log is as it was.
    pub(crate) fn append(&mut self, writer: Writer, values: &[u64]) -> Result<Taken, Refusal> {
        if self.sealed {
            return Err(Refusal::Sealed);
        }
        let batch = Batch { base: self.end(), records: values.len() as u32, writer };
        if let Some(base) = self.judge(&batch)? {
            return Ok(Taken { base, new: false });
        }
        self.batches.push(batch);
        self.records.extend(values.iter().map(|value| Record { producer: writer.producer, value: *value }));
        self.remember(batch);
        Ok(Taken { base: batch.base, new: true })
    }

    /// Where the batch stands already; `None` where it is the next.
    fn judge(&self, batch: &Batch) -> Result<Option<i64>, Refusal> {
        let Some(recent) = self.remembered.get(&batch.writer.producer) else { return Ok(None) };
        let Some(newest) = recent.back() else { return Ok(None) };
        let same =
            |known: &&Batch| known.writer == batch.writer && known.last_sequence() == batch.last_sequence();
        if let Some(known) = recent.iter().find(same) {
            return Ok(Some(known.base));
        }
        let due = match batch.writer.epoch.cmp(&newest.writer.epoch) {
            std::cmp::Ordering::Less => return Err(Refusal::OldEpoch),
            std::cmp::Ordering::Equal => Sequence::from_wire(newest.writer.sequence)
                .expect("writers count from 0")
                .after(newest.records),
            std::cmp::Ordering::Greater => Sequence::FIRST,
        };
        if due.to_wire() == batch.writer.sequence { Ok(None) } else { Err(Refusal::OutOfOrder) }
    }

    fn remember(&mut self, batch: Batch) {
        let recent = self.remembered.entry(batch.writer.producer).or_default();
        if recent.back().is_some_and(|newest| newest.writer.epoch != batch.writer.epoch) {
            recent.clear();
        }
        if recent.len() == REMEMBERED {
            recent.pop_front();
        }
        recent.push_back(batch);
    }

    /// Somebody else's records, committed at once.
    pub(crate) fn write_foreign(&mut self, records: usize) {
        self.write_plain(&vec![u64::MAX; records]);
    }

    /// A batch of somebody who is no idempotent producer, committed at once.
    pub(crate) fn write_plain(&mut self, values: &[u64]) {
        let sequence = self.end() as i32;
        let batch = Batch {
            base: self.end(),
            records: values.len() as u32,
            writer: Writer { producer: FOREIGNER, epoch: 0, sequence },
        };
        self.batches.push(batch);
        self.records.extend(values.iter().map(|value| Record { producer: FOREIGNER, value: *value }));
        self.commit(self.end());
    }

    /// A mirror's copy of one record, committed at once.
    pub(crate) fn write_copy(&mut self, record: Record) {
        let writer = Writer { producer: MIRROR, epoch: 0, sequence: self.end() as i32 };
        self.batches.push(Batch { base: self.end(), records: 1, writer });
        self.records.push(Record { producer: MIRROR, ..record });
        self.commit(self.end());
    }

    /// All replicas have everything below `end`.
    pub(crate) fn commit(&mut self, end: i64) {
        self.committed = self.committed.max(end as usize).min(self.records.len());
    }

    /// Another replica leads, which has the log up to `end` only.
    pub(crate) fn change_leader(&mut self, end: i64) {
        self.term += 1;
        self.batches.retain(|batch| batch.end() <= end);
        let end = self.batches.last().map_or(0, Batch::end);
        self.records.truncate(end as usize);
        self.committed = self.committed.min(end as usize);
        self.remembered.clear();
        for batch in self.batches.clone() {
            self.remember(batch);
        }
    }

    pub(crate) fn end(&self) -> i64 {
        self.records.len() as i64
    }

    /// What readers are shown: the high watermark.
    pub(crate) fn committed(&self) -> i64 {
        self.committed as i64
    }

    pub(crate) fn records(&self) -> &[Record] {
        &self.records
    }

    /// Batches that end behind `from` and begin before `to`, of those that are committed.
    pub(crate) fn batches_between(&self, from: i64, to: i64) -> impl Iterator<Item = &Batch> {
        let to = to.min(self.committed());
        self.batches.iter().filter(move |batch| batch.end() > from && batch.base < to)
    }

    pub(crate) fn batches(&self) -> &[Batch] {
        &self.batches
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer(epoch: i16, sequence: i32) -> Writer {
        Writer { producer: 1, epoch, sequence }
    }

    #[test]
    fn a_repeat_is_known_and_a_gap_is_refused() {
        let mut broker = Broker::default();
        broker.append(writer(0, 0), &[1, 2]).expect("the first");

        assert_eq!(broker.append(writer(0, 0), &[1, 2]), Ok(Taken { base: 0, new: false }));
        assert_eq!(broker.append(writer(0, 3), &[4]), Err(Refusal::OutOfOrder));
        assert_eq!(broker.append(writer(0, 2), &[3]), Ok(Taken { base: 2, new: true }));
    }

    #[test]
    fn a_higher_epoch_begins_at_zero_and_a_lower_one_is_refused() {
        let mut broker = Broker::default();
        broker.append(writer(3, 7), &[1]).expect("a producer that is not known");

        assert_eq!(broker.append(writer(4, 8), &[2]), Err(Refusal::OutOfOrder));
        assert_eq!(broker.append(writer(2, 8), &[2]), Err(Refusal::OldEpoch));
        assert_eq!(broker.append(writer(4, 0), &[2]), Ok(Taken { base: 1, new: true }));
    }

    #[test]
    fn a_new_leader_forgets_what_it_lacks() {
        let mut broker = Broker::default();
        broker.append(writer(0, 0), &[1, 2]).expect("the first");
        broker.commit(2);
        broker.append(writer(0, 2), &[3]).expect("the second");

        broker.change_leader(2);

        assert_eq!((broker.end(), broker.committed()), (2, 2));
        assert_eq!(broker.append(writer(0, 2), &[9]), Ok(Taken { base: 2, new: true }));
    }
}
