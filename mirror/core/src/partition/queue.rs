//! Batches between source and target, in order: answered, in flight, not sent.

use std::collections::VecDeque;

use leeward_model::{SourceOffset, TargetOffset, mutation::planted};
use leeward_wire::{ErrorCode, record::RecordBatch};

use super::ChangeNumber;
use super::merge::{MergePolicy, Merging};
use crate::limits::SMALL_IN_FLIGHT_MAX;

/// Which send of a batch: a repeat has another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchNumber(u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Waiting,
    InFlight(BatchNumber),
    Acknowledged,
    /// Refused, or never answered: what became of it is asked from the target.
    Open,
}

/// A batch on its way.
#[derive(Clone, Debug)]
pub(super) struct Queued {
    pub(super) batch: RecordBatch,
    pub(super) first: SourceOffset,
    /// Everything below this is in the target once the batch is.
    pub(super) next: SourceOffset,
    pub(super) target: TargetOffset,
    pub(super) records: u64,
    /// The map change that must be durable before the batch is sent.
    pub(super) after: ChangeNumber,
    progress: Progress,
    /// The batches that this one was made of; empty where it is as it came.
    parts: Vec<Self>,
}

impl Queued {
    /// One batch in the place of several that follow each other; `parts` has at least one.
    fn merged(batch: RecordBatch, parts: Vec<Self>) -> Self {
        let (first, last) = (&parts[0], &parts[parts.len() - 1]);
        Self {
            batch,
            first: first.first,
            next: last.next,
            target: first.target,
            records: last.target_end().since(first.target),
            after: last.after,
            progress: Progress::Waiting,
            parts,
        }
    }

    pub(super) fn target_end(&self) -> TargetOffset {
        self.target.after(self.records)
    }

    pub(super) fn is_merged(&self) -> bool {
        !self.parts.is_empty()
    }

    /// Bytes as they came.
    fn bytes(&self) -> usize {
        if self.is_merged() { self.parts.iter().map(Self::bytes).sum() } else { self.batch.size_bytes() }
    }
}

/// Invariant: the first `begun` batches were sent at least once since they were last settled, the others wait. A merged batch is in
/// flight or acknowledged; what waits or is open is as it came.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    batches: VecDeque<Queued>,
    begun: usize,
    bytes: usize,
    number: BatchNumber,
    merging: Merging,
}

impl Queue {
    pub(super) fn new(merge: MergePolicy) -> Self {
        Self {
            batches: VecDeque::new(),
            begun: 0,
            bytes: 0,
            number: BatchNumber::default(),
            merging: Merging::new(merge),
        }
    }

    pub(super) fn push(
        &mut self,
        batch: RecordBatch,
        (first, next): (SourceOffset, SourceOffset),
        (target, records): (TargetOffset, u64),
        after: ChangeNumber,
    ) {
        self.bytes += batch.size_bytes();
        let progress = Progress::Waiting;
        let parts = Vec::new();
        self.batches.push_back(Queued { batch, first, next, target, records, after, progress, parts });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn last_mut(&mut self) -> Option<&mut Queued> {
        self.batches.back_mut()
    }

    pub(super) fn first(&self) -> Option<&Queued> {
        self.batches.front()
    }

    pub(super) fn in_flight(&self) -> usize {
        self.begun().filter(|queued| matches!(queued.progress, Progress::InFlight(_))).count()
    }

    fn begun(&self) -> impl Iterator<Item = &Queued> {
        self.batches.iter().take(self.begun)
    }

    /// Everything below this was sent.
    pub(super) fn sent_to(&self) -> Option<SourceOffset> {
        self.begun.checked_sub(1).map(|last| self.batches[last].next)
    }

    /// Takes the next batch to send, if its map change is durable; small ones that wait behind it go with it, and wait for more
    /// while others are in flight.
    pub(super) fn send_next(&mut self, durable: ChangeNumber) -> Option<(BatchNumber, &Queued)> {
        if self.in_flight() >= SMALL_IN_FLIGHT_MAX
            && self.merging.waits_for_company(self.batches.range(self.begun..))
        {
            return None;
        }
        self.merge_next(durable);
        let queued = self.batches.get_mut(self.begun)?;
        if queued.after > durable && !planted("mirror-sends-before-the-map-is-durable") {
            return None;
        }
        self.begun += 1;
        self.number = BatchNumber(self.number.0 + 1);
        queued.progress = Progress::InFlight(self.number);
        Some((self.number, queued))
    }

    fn merge_next(&mut self, durable: ChangeNumber) {
        let waiting = self.batches.range(self.begun..).take_while(|queued| queued.after <= durable);
        let Some((batch, count)) = self.merging.merge(waiting) else { return };
        let parts = self.batches.drain(self.begun..self.begun + count).collect();
        self.batches.insert(self.begun, Queued::merged(batch, parts));
    }

    /// Remembers of a batch in flight what its refusal says about merging.
    pub(super) fn learn_from_refusal(&mut self, number: BatchNumber, code: ErrorCode) {
        if let Some(at) = self.place_of(number) {
            self.merging.refused(&self.batches[at], code);
        }
    }

    pub(super) fn in_flight_as(&self, number: BatchNumber) -> Option<&Queued> {
        self.begun().find(|queued| queued.progress == Progress::InFlight(number))
    }

    pub(super) fn acknowledge(&mut self, number: BatchNumber) {
        if let Some(at) = self.place_of(number) {
            self.batches[at].progress = Progress::Acknowledged;
        }
    }

    /// What became of a batch is not known: what was merged is taken apart, since the target may end within it.
    pub(super) fn leave_open(&mut self, number: BatchNumber) {
        if let Some(at) = self.place_of(number) {
            self.batches[at].progress = Progress::Open;
            self.begun += self.take_apart(at) - 1;
        }
    }

    /// Puts what a batch was made of in its place, and returns how many these are; 1 where it is as it came.
    fn take_apart(&mut self, at: usize) -> usize {
        let Queued { next, mut target, progress, .. } = self.batches[at];
        let parts = std::mem::take(&mut self.batches[at].parts);
        if parts.is_empty() {
            return 1;
        }
        self.batches.remove(at);
        let count = parts.len();
        for (nth, part) in parts.into_iter().enumerate() {
            let next = if nth + 1 == count { next } else { part.next };
            let part = Queued { next, target, progress, ..part };
            target = part.target_end();
            self.batches.insert(at + nth, part);
        }
        count
    }

    fn place_of(&self, number: BatchNumber) -> Option<usize> {
        self.begun().position(|queued| queued.progress == Progress::InFlight(number))
    }

    /// Takes the batches off the front that the target has.
    pub(super) fn pop_acknowledged(&mut self) -> Option<Queued> {
        let popped = self.batches.pop_front_if(|queued| queued.progress == Progress::Acknowledged)?;
        self.bytes -= popped.bytes();
        self.begun -= 1;
        Some(popped)
    }

    /// Every batch from a target offset on stands that much further.
    pub(super) fn shift(&mut self, from: TargetOffset, records: u64) {
        for queued in self.batches.iter_mut().filter(|queued| queued.target >= from) {
            queued.target = queued.target.after(records);
        }
    }

    /// Nothing is in flight and the target ends at `end`: what lies below is acknowledged, the rest is to be sent.
    ///
    /// `false` where `end` lies within a batch: then nothing here can be sent.
    pub(super) fn settle(&mut self, end: TargetOffset) -> bool {
        let mut whole = true;
        self.begun = 0;
        let mut at = 0;
        while at < self.batches.len() {
            if self.batches[at].target_end() <= end {
                self.batches[at].progress = Progress::Acknowledged;
                at += 1;
                self.begun = at;
            } else {
                whole &= self.batches[at].target >= end || self.batches[at].is_merged();
                self.batches[at].progress = Progress::Waiting;
                at += usize::from(self.take_apart(at) == 1);
            }
        }
        whole
    }

    pub(super) fn clear(&mut self) {
        self.batches.clear();
        self.begun = 0;
        self.bytes = 0;
    }
}
