//! What the target answers, and how its end is found again after an answer that is missing or surprising.

use leeward_model::{Instant, TargetOffset, mutation::planted};
use leeward_wire::ErrorCode;

use super::machine::{Phase, Settings};
use super::prepare::readable;
use super::{
    AuditedBatch, BatchNumber, Command, Cursors, Notice, Partition, Question, Start, StopReason, producer_of,
};
use crate::limits::REFUSALS_WITHOUT_PROGRESS_MAX;
use crate::map::{Changes, OffsetMap};

/// What a refusal says about sending the same batch again.
enum Verdict {
    /// The batch itself is refused.
    Never,
    /// The batch may be broken, or the broker is: look.
    Suspicious,
    /// The batch is not next for the broker: something else arrived or did not.
    Misplaced,
    Later,
}

fn verdict(code: ErrorCode) -> Verdict {
    match code {
        ErrorCode::INVALID_RECORD
        | ErrorCode::INVALID_TIMESTAMP
        | ErrorCode::UNSUPPORTED_FOR_MESSAGE_FORMAT
        | ErrorCode::UNSUPPORTED_COMPRESSION_TYPE => Verdict::Never,
        ErrorCode::UNKNOWN_SERVER_ERROR | ErrorCode::CORRUPT_MESSAGE => Verdict::Suspicious,
        ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER
        | ErrorCode::DUPLICATE_SEQUENCE_NUMBER
        | ErrorCode::INVALID_PRODUCER_EPOCH
        | ErrorCode::UNKNOWN_PRODUCER_ID => Verdict::Misplaced,
        _ => Verdict::Later,
    }
}

impl Partition {
    pub(super) fn started(&mut self, start: Start, todo: &mut Vec<Command>) {
        if self.phase != Phase::Starting {
            return;
        }
        self.map = match OffsetMap::load(start.runs.clone(), start.target_end) {
            Ok(map) => map,
            Err(damaged) => return self.stop(StopReason::MapDamaged { at: damaged.0.source }, todo),
        };
        let end = start.target_end;
        if self.map.is_empty() {
            if !start.runs.is_empty() {
                return self.stop(StopReason::TargetRecreated, todo);
            }
            if end > TargetOffset::FIRST {
                let records = end.since(TargetOffset::FIRST);
                return self.stop(StopReason::TargetNotEmpty { records }, todo);
            }
            self.start = Some(start);
            return self.begin(end, todo);
        }
        let checked = start.checkpoint.unwrap_or(self.map.lineage().anchor);
        self.start = Some(start);
        if checked > end {
            todo.push(Command::Emit(Notice::TargetTruncated { from: end, to: checked }));
            // Before a run that says otherwise of what lies between.
            self.persist(Changes::default(), Some(end), todo);
        }
        self.target_end = checked.min(end);
        self.audit(end, todo);
    }

    /// Looks at what lies between what is accounted for and the target's end.
    fn audit(&mut self, end: TargetOffset, todo: &mut Vec<Command>) {
        if end == self.target_end {
            return self.settled(end, todo);
        }
        self.question = self.question.next();
        let question = self.question;
        self.phase = Phase::Auditing { question, end };
        todo.push(Command::Audit { question, from: self.target_end, to: end });
    }

    fn begin(&mut self, end: TargetOffset, todo: &mut Vec<Command>) {
        let Some(start) = self.start.take() else { return };
        self.map.cut(end);
        let Some(position) = self.map.resume_at(end).or(start.begin_at) else {
            self.phase = Phase::Starting;
            return;
        };
        self.target_end = end;
        self.taken = false;
        self.next_target = end;
        self.cursors = Some(Cursors::at(position));
        self.checkpointed = start.checkpoint.unwrap_or(end).min(end);
        self.lineage = self.map.lineage();
        self.phase = Phase::Active;
        if !self.late.has_begun() {
            self.late.begin(self.settings.late_within);
        }
        todo.push(Command::Emit(Notice::Active { from: position, target_end: end }));
        if let Some(log_start) = start.source_log_start.filter(|log_start| *log_start > position) {
            self.overrun(position, log_start, todo);
        }
    }

    pub(super) fn acknowledged(
        &mut self,
        number: BatchNumber,
        base: Option<TargetOffset>,
        now: Instant,
        todo: &mut Vec<Command>,
    ) {
        let Some(expected) = self.queue.in_flight_as(number).map(|queued| queued.target) else { return };
        let base = base.unwrap_or(expected);
        // Further on than expected: somebody else's records lie before it. Where, only the first in line tells; of one behind it
        // a batch that is open may have been appended among them.
        let is_first = self.queue.first().is_some_and(|first| first.target == expected);
        if base < expected || (base > expected && !is_first) {
            self.queue.leave_open(number);
            self.phase = Phase::Settling;
            return self.answered(now);
        }
        if base > expected {
            self.make_room(expected, base.since(expected), todo);
        }
        self.queue.acknowledge(number);
        self.take_acknowledged();
        self.taken = true;
        self.setbacks = 0;
        self.refused = None;
        self.answered(now);
    }

    /// Somebody else's records stand at `at`: everything of ours from there on stands that much further.
    fn make_room(&mut self, at: TargetOffset, records: u64, todo: &mut Vec<Command>) {
        let changes = self.map.insert_foreign(at, records);
        self.queue.shift(at, records);
        self.next_target = self.next_target.after(records);
        self.lineage = self.map.lineage();
        self.persist(changes, None, todo);
        todo.push(Command::Emit(Notice::ForeignWrite { at, records }));
    }

    fn take_acknowledged(&mut self) {
        while let Some(queued) = self.queue.pop_acknowledged() {
            self.target_end = self.target_end.max(queued.target_end());
            if let Some(cursors) = &mut self.cursors {
                cursors.acknowledged = queued.next;
            }
        }
        self.note_sent();
    }

    /// Once nothing is in flight any more, it can be looked what became of what was not acknowledged.
    fn answered(&mut self, now: Instant) {
        if self.phase == Phase::Settling && self.queue.in_flight() == 0 {
            self.pause(now);
        }
    }

    pub(super) fn unanswered(&mut self, number: BatchNumber, now: Instant) {
        if self.queue.in_flight_as(number).is_none() {
            return;
        }
        self.queue.leave_open(number);
        self.phase = Phase::Settling;
        self.answered(now);
    }

    pub(super) fn refused(
        &mut self,
        number: BatchNumber,
        code: ErrorCode,
        now: Instant,
        todo: &mut Vec<Command>,
    ) {
        let Some(queued) = self.queue.in_flight_as(number) else { return };
        let (at, merged) = (queued.first, queued.is_merged());
        let is_first = self.queue.first().is_some_and(|first| first.first == at);
        let reason = match verdict(code) {
            // Which of them it is about is seen when they are sent one by one.
            Verdict::Never | Verdict::Suspicious if merged => None,
            Verdict::Never => Some(StopReason::Refused { at, code }),
            Verdict::Suspicious => match readable(&queued.batch) {
                Err(error) => Some(StopReason::Unreadable { at, why: error.to_string() }),
                Ok(()) => self.hopeless().then_some(StopReason::Refused { at, code }),
            },
            Verdict::Misplaced => self.hopeless().then_some(StopReason::Refused { at, code }),
            Verdict::Later => None,
        };
        if planted("mirror-takes-a-refusal-for-an-answer") {
            self.queue.acknowledge(number);
            return self.take_acknowledged();
        }
        self.queue.learn_from_refusal(number, code);
        self.queue.leave_open(number);
        if let Some(reason) = reason.filter(|_| is_first) {
            return self.stop(reason, todo);
        }
        if is_first {
            self.refused = Some((at, code));
        }
        if is_first && self.setbacks == 0 {
            todo.push(Command::Emit(Notice::Refused { code, at }));
        }
        self.phase = Phase::Settling;
        self.answered(now);
    }

    fn hopeless(&self) -> bool {
        self.setbacks >= REFUSALS_WITHOUT_PROGRESS_MAX
    }

    pub(super) fn question_failed(&mut self, question: Question, now: Instant) {
        if question == self.question && matches!(self.phase, Phase::Asking(_) | Phase::Auditing { .. }) {
            self.pause(now);
        }
    }

    pub(super) fn told_target_end(&mut self, question: Question, end: TargetOffset, todo: &mut Vec<Command>) {
        if self.phase != Phase::Asking(question) {
            return;
        }
        if end < self.target_end {
            todo.push(Command::Emit(Notice::TargetTruncated { from: end, to: self.target_end }));
            self.target_end = end;
            return self.resume(end, todo);
        }
        // The stored map has the runs of what lay below the end that was read before it, and of no more.
        let stale = self.start.as_ref().is_some_and(|start| end > start.target_end);
        if stale && !planted("mirror-starts-with-an-older-map") {
            return self.reload(todo);
        }
        self.audit(end, todo);
    }

    pub(super) fn audited(&mut self, question: Question, batches: &[AuditedBatch], todo: &mut Vec<Command>) {
        let Phase::Auditing { question: asked, end } = self.phase else { return };
        if asked != question {
            return;
        }
        let Settings { link, topic, partition, .. } = &self.settings;
        let own = producer_of(link, *topic, *partition).to_wire();
        let blind = planted("mirror-counts-foreign-records-as-its-own");
        let accounted =
            |batch: &AuditedBatch| blind || batch.producer_id == own || self.map.is_foreign(batch.base);
        let foreign: Vec<_> = batches.iter().filter(|batch| batch.base < end && !accounted(batch)).collect();
        let mirrored = end.since(self.target_end) - foreign.iter().map(|batch| batch.offsets).sum::<u64>();
        if self.cursors.is_some() && self.target_end.after(mirrored) > self.next_target {
            return self.reload(todo);
        }
        for batch in foreign {
            self.make_room(batch.base, batch.offsets, todo);
        }
        self.setbacks = 0;
        self.target_end = end;
        self.settled(end, todo);
    }

    /// Somebody has written further on this link than this machine has received.
    fn reload(&mut self, todo: &mut Vec<Command>) {
        self.queue.clear();
        self.cursors = None;
        self.phase = Phase::Starting;
        todo.push(Command::Reload);
    }

    /// It is known where the target ends and whose everything below is.
    fn settled(&mut self, end: TargetOffset, todo: &mut Vec<Command>) {
        self.late.settled();
        if self.cursors.is_none() {
            return self.begin(end, todo);
        }
        self.taken = false;
        if !self.queue.settle(end) {
            return self.resume(end, todo);
        }
        self.take_acknowledged();
        self.phase = Phase::Active;
    }

    /// Reads again from what the target has.
    fn resume(&mut self, end: TargetOffset, todo: &mut Vec<Command>) {
        self.taken = false;
        self.late.begin(self.settings.late_within);
        self.queue.clear();
        self.map.cut(end);
        let Some(position) = self.map.resume_at(end) else {
            return self.stop(StopReason::TargetRecreated, todo);
        };
        let checkpointed = self.cursors.map_or(position, |cursors| cursors.checkpointed.min(position));
        self.cursors = Some(Cursors { checkpointed, ..Cursors::at(position) });
        self.target_end = end;
        self.next_target = end;
        self.lineage = self.map.lineage();
        self.checkpointed = self.checkpointed.min(end);
        self.persist(Changes::default(), Some(end), todo);
        self.phase = Phase::Active;
    }
}
