//! What the source answers: records, and the reasons why there are none.

use leeward_model::SourceOffset;

use super::machine::{GapPolicy, Phase};
use super::prepare::{Data, Piece, prepare};
use super::{ChangeNumber, Command, Fetched, Notice, Partition, StopReason};
use crate::map::Changes;

impl Partition {
    pub(super) fn fetched(&mut self, fetched: &Fetched, todo: &mut Vec<Command>) {
        let expected = self.cursors.is_some_and(|cursors| cursors.fetched == fetched.from);
        if !expected || self.phase == Phase::Starting || self.stopping.is_some() {
            return;
        }
        self.source_end = Some(fetched.last_stable.max(fetched.from));
        let is_first = self.map.is_empty();
        let (pieces, unreadable) = prepare(fetched);
        let mut changes = Changes::default();
        for piece in pieces {
            match piece {
                Piece::Data(data) => {
                    changes.merge(self.place(&data));
                    let after = self.pending(&changes);
                    self.enqueue(data, after);
                }
                Piece::Skip { next } => self.skip(next),
            }
        }
        self.persist(changes, None, todo);
        if is_first {
            self.lineage = self.map.lineage();
        }
        if let Some(unreadable) = unreadable {
            let why = unreadable.error.to_string();
            self.stop_after_queue(StopReason::Unreadable { at: unreadable.at, why });
        }
    }

    /// The change that what was placed so far waits for.
    fn pending(&self, changes: &Changes) -> ChangeNumber {
        if changes.is_empty() { self.change } else { self.change.next() }
    }

    fn place(&mut self, data: &Data) -> Changes {
        let mut changes = Changes::default();
        let mut target = self.next_target;
        for (source, records) in &data.stretches {
            changes.merge(self.map.extend(*source, target, *records));
            target = target.after(*records);
        }
        changes
    }

    fn enqueue(&mut self, data: Data, after: ChangeNumber) {
        let records = data.records();
        let place = (self.next_target, records);
        self.next_target = self.next_target.after(records);
        if let Some(cursors) = &mut self.cursors {
            cursors.fetched = data.next;
        }
        self.queue.push(data.batch, (data.first, data.next), place, after);
    }

    /// Nothing is to be written up to `next`: the watermark passes it with what was received before.
    fn skip(&mut self, next: SourceOffset) {
        let Some(cursors) = &mut self.cursors else { return };
        cursors.fetched = next;
        match self.queue.last_mut() {
            Some(last) => last.next = next,
            None => cursors.acknowledged = next,
        }
        self.note_sent();
    }

    pub(super) fn out_of_range(
        &mut self,
        log_start: SourceOffset,
        log_end: SourceOffset,
        todo: &mut Vec<Command>,
    ) {
        let Some(cursors) = self.cursors else { return };
        if cursors.fetched < log_start {
            self.overrun(cursors.fetched, log_start, todo);
        } else if cursors.fetched > log_end {
            self.diverged(log_end);
        }
    }

    /// The source has deleted what was to be read next.
    pub(super) fn overrun(&mut self, from: SourceOffset, to: SourceOffset, todo: &mut Vec<Command>) {
        match self.settings.gap {
            GapPolicy::Stop => self.stop_after_queue(StopReason::RetentionOverrun { from, to }),
            GapPolicy::Continue if !self.late.none() => {}
            GapPolicy::Continue => {
                todo.push(Command::Emit(Notice::Lost { from, to }));
                self.skip(to);
            }
        }
    }

    pub(super) fn diverged(&mut self, end: SourceOffset) {
        let Some(cursors) = self.cursors else { return };
        if end < cursors.fetched {
            self.stop_after_queue(StopReason::SourceTruncated { from: end, to: cursors.fetched });
        }
    }

    pub(super) fn stop_after_queue(&mut self, reason: StopReason) {
        self.stopping.get_or_insert(reason);
        if self.cursors.is_none() {
            self.phase = Phase::Active;
        }
    }
}
