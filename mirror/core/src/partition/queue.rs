//! Batches between source and target, in order: answered, in flight, not sent.

use std::collections::VecDeque;

use leeward_model::{SourceOffset, TargetOffset, mutation::planted};
use leeward_wire::record::RecordBatch;

use super::ChangeNumber;

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
}

impl Queued {
    pub(super) fn target_end(&self) -> TargetOffset {
        self.target.after(self.records)
    }
}

/// Invariant: the first `begun` batches were sent at least once since they were last settled, the others wait.
#[derive(Clone, Debug, Default)]
pub(super) struct Queue {
    batches: VecDeque<Queued>,
    begun: usize,
    bytes: usize,
    number: BatchNumber,
}

impl Queue {
    pub(super) fn push(
        &mut self,
        batch: RecordBatch,
        (first, next): (SourceOffset, SourceOffset),
        (target, records): (TargetOffset, u64),
        after: ChangeNumber,
    ) {
        self.bytes += batch.size_bytes();
        let progress = Progress::Waiting;
        self.batches.push_back(Queued { batch, first, next, target, records, after, progress });
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

    /// Takes the next batch to send, if its map change is durable.
    pub(super) fn send_next(&mut self, durable: ChangeNumber) -> Option<(BatchNumber, &Queued)> {
        let queued = self.batches.get_mut(self.begun)?;
        if queued.after > durable && !planted("mirror-sends-before-the-map-is-durable") {
            return None;
        }
        self.begun += 1;
        self.number = BatchNumber(self.number.0 + 1);
        queued.progress = Progress::InFlight(self.number);
        Some((self.number, queued))
    }

    pub(super) fn in_flight_as(&self, number: BatchNumber) -> Option<&Queued> {
        self.begun().find(|queued| queued.progress == Progress::InFlight(number))
    }

    pub(super) fn acknowledge(&mut self, number: BatchNumber) {
        self.set(number, Progress::Acknowledged);
    }

    pub(super) fn leave_open(&mut self, number: BatchNumber) {
        self.set(number, Progress::Open);
    }

    fn set(&mut self, number: BatchNumber, progress: Progress) {
        for queued in self.batches.iter_mut().take(self.begun) {
            if queued.progress == Progress::InFlight(number) {
                queued.progress = progress;
            }
        }
    }

    /// Takes the batches off the front that the target has.
    pub(super) fn pop_acknowledged(&mut self) -> Option<Queued> {
        let popped = self.batches.pop_front_if(|queued| queued.progress == Progress::Acknowledged)?;
        self.bytes -= popped.batch.size_bytes();
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
        for queued in &mut self.batches {
            if queued.target_end() <= end {
                queued.progress = Progress::Acknowledged;
                self.begun += 1;
            } else {
                whole &= queued.target >= end;
                queued.progress = Progress::Waiting;
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
