//! From what the disk holds to the partitions as they were. Decides which frames count; reads them through a callback.

use std::collections::BTreeMap;

use bytes::Bytes;

use leeward_model::TopicPartition;
use leeward_wire::record::RecordBatch;

use crate::frames::Frame;
use crate::intake::{Claim, Intake, Producers};
use crate::partition::{Entry, Forward, Gap, Place, Saved, Trimming};
use crate::state::PartitionState;

/// How many records a damaged or missing end of the journal is taken to have held beyond those that the state knows of: more
/// than it can have. A lineage's log tells how many of them were forwarded, and the rest is left out.
const UNKNOWN_RECORDS: u64 = 1 << 32;

/// A partition as it was.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) intake: Intake,
    pub(crate) forward: Forward,
    /// Records that are known to stand in damaged or missing parts of the journal.
    pub(crate) damaged_records: u64,
    /// What is missing at the journal's end and stands in no frame yet.
    pub(crate) hole: Option<Gap>,
}

/// Reads the journal's frames in order.
#[derive(Clone, Debug)]
pub(crate) struct Recovery {
    partitions: BTreeMap<TopicPartition, Rebuilding>,
    /// Ends of the damaged ranges passed so far.
    damage_ends: Vec<u64>,
    /// The journal's end is missing.
    cut: bool,
    unreadable: u64,
}

/// One partition while the journal is read.
#[derive(Clone, Debug)]
struct Rebuilding {
    saved: Saved,
    producers: Producers,
    /// Below stands what the state knows of `producers`.
    next_ordinal: u64,
    /// Frames that count, with what their producers called them.
    entries: Vec<(Entry, Option<Claim>)>,
    damage: Vec<Gap>,
    /// The ordinal that the next frame must have.
    expected: Option<u64>,
    last_position: u64,
    guesses: Vec<Guess>,
}

/// How a partition stood before a frame that nothing known to count comes before: it may be void.
#[derive(Clone, Copy, Debug)]
struct Guess {
    entries: usize,
    damage: usize,
    expected: Option<u64>,
    last_position: u64,
}

impl Recovery {
    pub(crate) fn new(states: Vec<(TopicPartition, PartitionState)>) -> Self {
        let partitions =
            states.into_iter().map(|(partition, state)| (partition, Rebuilding::new(state))).collect();
        Self { partitions, damage_ends: Vec::new(), cut: false, unreadable: 0 }
    }

    /// The journal cannot be read up to this position.
    pub(crate) fn damaged(&mut self, to: u64) {
        self.damage_ends.push(to);
    }

    /// The journal ends before what was durable once.
    pub(crate) fn cut(&mut self) {
        self.cut = true;
    }

    /// Takes the frame at `position`.
    pub(crate) fn frame(&mut self, position: u64, kind: u8, payload: Bytes) {
        match crate::frames::read(kind, payload) {
            Some(Frame::Batch { partition, ordinal, accepted_at_ms, batch }) => {
                let Ok(batch) = RecordBatch::parse(batch) else {
                    self.unreadable += 1;
                    return;
                };
                let entry = Entry {
                    ordinal,
                    records: batch.record_count().unsigned_abs(),
                    skip: 0,
                    position,
                    accepted_at_ms,
                    place: Place::Unknown,
                };
                let rebuilding = Self::partition(&mut self.partitions, partition);
                rebuilding.batch(entry, Claim::of(&batch), &self.damage_ends);
            }
            Some(Frame::Lineage { partition, lineage }) => {
                Self::partition(&mut self.partitions, partition).saved.take_lineage(lineage);
            }
            Some(Frame::Hole { partition, hole }) => {
                Self::partition(&mut self.partitions, partition).hole(hole, position);
            }
            None => self.unreadable += 1,
        }
    }

    fn partition(
        partitions: &mut BTreeMap<TopicPartition, Rebuilding>,
        partition: TopicPartition,
    ) -> &mut Rebuilding {
        partitions.entry(partition).or_insert_with(|| Rebuilding::new(PartitionState::default()))
    }

    /// Frames that are none of this program's.
    pub(crate) fn unreadable(&self) -> u64 {
        self.unreadable
    }

    pub(crate) fn finish(
        self,
        trimming: impl Fn(&TopicPartition) -> Trimming,
    ) -> Vec<(TopicPartition, Recovered)> {
        let (cut, damage_ends) = (self.cut, self.damage_ends);
        let finish = |(partition, rebuilding): (TopicPartition, Rebuilding)| {
            let recovered = rebuilding.finish(trimming(&partition), cut, &damage_ends);
            (partition, recovered)
        };
        self.partitions.into_iter().map(finish).collect()
    }
}

impl Rebuilding {
    fn new(state: PartitionState) -> Self {
        Self {
            saved: state.saved,
            producers: state.producers,
            next_ordinal: state.next_ordinal,
            entries: Vec::new(),
            damage: Vec::new(),
            expected: None,
            last_position: 0,
            guesses: Vec::new(),
        }
    }

    /// Takes a batch that continues those before it, or that comes after damage. Any other one is void: one before it
    /// could not be made durable, and its client was told so.
    fn batch(&mut self, entry: Entry, claim: Option<Claim>, damage_ends: &[u64]) {
        self.take_back(entry.ordinal);
        let lost = damage_ends.iter().any(|end| *end > self.last_position);
        let trimmed_to = self.saved.trimmed_to;
        let expected = self.expected_past_holes();
        let is_old = self.expected.is_none() && entry.ordinal < trimmed_to;
        if entry.ordinal != expected && !is_old && (!lost || entry.ordinal < expected) {
            return;
        }
        if self.expected.is_none() || entry.ordinal != expected {
            self.guesses.push(Guess {
                entries: self.entries.len(),
                damage: self.damage.len(),
                expected: self.expected,
                last_position: self.last_position,
            });
        }
        if entry.ordinal > expected {
            self.damage.push(Gap { ordinal: expected, records: entry.ordinal - expected });
        }
        self.last_position = entry.position.max(1);
        self.expected = Some(entry.end());
        self.entries.push((entry, claim));
    }

    /// Frames stand in the order of their ordinals, but for void ones, which stand too early. So what begins with a guess and
    /// reaches beyond a later frame's ordinal began with a void one.
    fn take_back(&mut self, ordinal: u64) {
        while self.expected.is_some_and(|expected| ordinal < expected) {
            let Some(guess) = self.guesses.pop() else { return };
            self.entries.truncate(guess.entries);
            self.damage.truncate(guess.damage);
            (self.expected, self.last_position) = (guess.expected, guess.last_position);
        }
    }

    /// The ordinal of the next frame that counts.
    fn expected_past_holes(&self) -> u64 {
        let mut expected = self.expected.unwrap_or(self.saved.trimmed_to);
        for hole in &self.saved.damage {
            if (hole.ordinal..hole.end()).contains(&expected) {
                expected = hole.end();
            }
        }
        expected
    }

    /// Takes what an earlier start found missing.
    fn hole(&mut self, hole: Gap, position: u64) {
        self.take_back(hole.end());
        self.guesses.clear();
        self.last_position = position.max(1);
        let ordinal = hole.ordinal.max(self.expected_past_holes());
        if hole.end() <= ordinal {
            self.expected = self.expected.max(Some(hole.end()));
            return;
        }
        self.damage.push(Gap { ordinal, records: hole.end() - ordinal });
        self.expected = Some(hole.end());
    }

    /// `cut`: more is missing at the journal's end than damage says.
    fn finish(mut self, trimming: Trimming, cut: bool, damage_ends: &[u64]) -> Recovered {
        let ends_at = self.expected_past_holes().max(self.saved.trimmed_to);
        let known = self.next_ordinal.max(ends_at);
        let damaged_end = damage_ends.iter().any(|end| *end > self.last_position);
        let next_ordinal =
            if known > ends_at || cut || damaged_end { known + UNKNOWN_RECORDS } else { known };
        let hole = Gap { ordinal: ends_at, records: next_ordinal - ends_at };
        let hole = (hole.records > 0).then_some(hole);
        self.damage.extend(hole);
        let trimmed_to = self.saved.trimmed_to;
        let needed = self.saved.damage.iter().chain(&self.damage).filter(|gap| gap.end() > trimmed_to);
        let damaged_records =
            needed.fold(0, |sum: u64, gap| sum.saturating_add(gap.records % UNKNOWN_RECORDS));
        for (entry, claim) in &self.entries {
            if let Some(claim) = claim.filter(|_| entry.ordinal >= self.next_ordinal) {
                self.producers.remember(claim, entry.ordinal);
            }
        }
        let entries = self.entries.into_iter().map(|(entry, _)| entry).collect();
        let forward = Forward::recovered(trimming, self.saved, entries, self.damage, next_ordinal);
        let intake = Intake::recovered(self.producers, next_ordinal);
        Recovered { intake, forward, damaged_records, hole }
    }
}

#[cfg(test)]
mod tests;
