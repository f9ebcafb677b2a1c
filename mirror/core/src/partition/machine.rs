//! The machine's state, and the one place where events enter it.

use std::time::Duration;

use leeward_model::{
    Instant, LinkName, PartitionIndex, Sequence, SourceOffset, TargetOffset, TopicId, mutation::planted,
};
use leeward_wire::{ErrorCode, record::Patch};

use super::{
    ChangeNumber, Command, Cursors, Event, MergePolicy, Notice, Question, Start, StopReason,
    identity::epoch_of, late::Late, producer_of, queue::Queue,
};
use crate::limits::{CHECKPOINT_EVERY, IN_FLIGHT_MAX, QUEUED_BYTES_MAX, RETRY_FIRST, RETRY_LONGEST};
use crate::map::{Changes, Lineage, OffsetMap, Translation};

/// What to do about records that the source deleted before they were read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GapPolicy {
    /// Stop the partition until a person decides.
    #[default]
    Stop,
    /// Say how many are lost and go on behind them.
    Continue,
}

/// What a partition's mirror is told once.
#[derive(Clone, Debug)]
pub struct Settings {
    pub link: LinkName,
    pub topic: TopicId,
    pub partition: PartitionIndex,
    pub gap: GapPolicy,
    pub merge: MergePolicy,
    /// How long a batch of a connection that is gone may take to arrive.
    pub late_within: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Waits to be told what is stored and where the target ends.
    Starting,
    Active,
    /// Something went wrong: nothing is sent until what is in flight has been answered.
    Settling,
    Pausing {
        until: Instant,
    },
    Asking(Question),
    Auditing {
        question: Question,
        end: TargetOffset,
    },
    /// Ended, and waits for the checkpoint that says where: what begins behind this link reads it.
    Ending {
        checkpoint: TargetOffset,
    },
    Sealed,
    Stopped(StopReason),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    Everything,
    Received,
    UpTo(SourceOffset),
    AtOnce,
}

/// A partition's standing, for people and metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// `starting`, `active`, `settling`, `sealed` or `stopped`.
    pub state: &'static str,
    pub stopped: Option<StopReason>,
    /// What the target refuses since it last took a batch: the offset of its first record, and why.
    pub refused: Option<(SourceOffset, ErrorCode)>,
    pub cursors: Option<Cursors>,
    /// The source's end as it was last seen.
    pub source_end: Option<SourceOffset>,
    pub target_end: TargetOffset,
    pub runs: usize,
}

/// One partition's mirror.
#[derive(Clone, Debug)]
pub struct Partition {
    pub(super) settings: Settings,
    pub(super) phase: Phase,
    pub(super) map: OffsetMap,
    pub(super) start: Option<Start>,
    pub(super) cursors: Option<Cursors>,
    pub(super) source_end: Option<SourceOffset>,
    pub(super) queue: Queue,
    /// Everything in the target below this is accounted for by the map.
    pub(super) target_end: TargetOffset,
    /// Where the next batch that is received will stand.
    pub(super) next_target: TargetOffset,
    pub(super) lineage: Lineage,
    pub(super) change: ChangeNumber,
    pub(super) durable: ChangeNumber,
    pub(super) question: Question,
    /// Setbacks since the target last took a batch.
    pub(super) setbacks: u32,
    pub(super) refused: Option<(SourceOffset, ErrorCode)>,
    pub(super) goal: Goal,
    /// Set where the source can be read no further; the partition stops once the target has what was received.
    pub(super) stopping: Option<StopReason>,
    /// Whether the target has taken a batch since its end was last looked at. A broker that remembers nothing of the producer takes any
    /// sequence, so until it has taken one, a second batch in flight could be appended without the first.
    pub(super) taken: bool,
    pub(super) checkpointed: TargetOffset,
    checkpoint_due: Instant,
    pub(super) late: Late,
}

impl Partition {
    pub fn new(settings: Settings) -> Self {
        let queue = Queue::new(settings.merge);
        Self {
            settings,
            phase: Phase::Starting,
            map: OffsetMap::default(),
            start: None,
            cursors: None,
            source_end: None,
            queue,
            target_end: TargetOffset::FIRST,
            next_target: TargetOffset::FIRST,
            lineage: OffsetMap::default().lineage(),
            change: ChangeNumber::default(),
            durable: ChangeNumber::default(),
            question: Question::default(),
            setbacks: 0,
            refused: None,
            goal: Goal::Everything,
            stopping: None,
            taken: false,
            checkpointed: TargetOffset::FIRST,
            checkpoint_due: Instant::ZERO,
            late: Late::new(),
        }
    }

    /// Takes one event and returns what is to be done, in order.
    pub fn on(&mut self, event: Event, now: Instant) -> Vec<Command> {
        let mut commands = Vec::new();
        self.late.at(now);
        match self.phase {
            Phase::Ending { checkpoint } => self.ending(&event, checkpoint, &mut commands),
            // A topic that is there again has records that the target lacks; a deleted one has none.
            Phase::Stopped(StopReason::TopicDeleted) if matches!(event, Event::SourceTopicRecreated) => {
                self.stop(StopReason::TopicRecreated, &mut commands);
            }
            Phase::Sealed | Phase::Stopped(_) => {}
            Phase::Starting
            | Phase::Active
            | Phase::Settling
            | Phase::Pausing { .. }
            | Phase::Asking(_)
            | Phase::Auditing { .. } => self.take(event, now, &mut commands),
        }
        commands
    }

    fn take(&mut self, event: Event, now: Instant, todo: &mut Vec<Command>) {
        match event {
            Event::Started(start) => self.started(start, todo),
            Event::Fetched(fetched) => self.fetched(&fetched, todo),
            Event::SourceOutOfRange { log_start, log_end } => self.out_of_range(log_start, log_end, todo),
            Event::SourceDiverged { end } => self.diverged(end),
            Event::SourceTopicDeleted => self.stop_after_queue(StopReason::TopicDeleted),
            Event::SourceTopicRecreated => self.stop_after_queue(StopReason::TopicRecreated),
            Event::TargetTopicRecreated => self.stop(StopReason::TargetRecreated, todo),
            Event::RunsPersisted(change) => self.durable = self.durable.max(change),
            Event::Acknowledged { batch, base } => self.acknowledged(batch, base, now, todo),
            Event::Refused { batch, code } => self.refused(batch, code, now, todo),
            Event::Unanswered { batch } => self.unanswered(batch, now),
            Event::TargetEnd { question, end } => self.told_target_end(question, end, todo),
            Event::Audited { question, batches } => self.audited(question, &batches, todo),
            Event::QuestionFailed { question } => self.question_failed(question, now),
            Event::Checkpointed { target } => self.checkpointed(target),
            Event::Seal { drain_to } => self.goal = drain_to.map_or(Goal::Received, Goal::UpTo),
            Event::SealAtOnce => self.goal = Goal::AtOnce,
            Event::Tick => self.tick(now, todo),
        }
        self.go_on(todo);
        if let Some(cursors) = self.cursors {
            cursors.check();
        }
    }

    /// Nothing changes any more; what is still to come is that the end is durable.
    fn ending(&mut self, event: &Event, checkpoint: TargetOffset, todo: &mut Vec<Command>) {
        if let Event::Checkpointed { target } = event
            && *target >= checkpoint
        {
            self.checkpointed(*target);
            self.sealed(todo);
        }
    }

    fn sealed(&mut self, todo: &mut Vec<Command>) {
        let replicated_to = self.replicated_to();
        let target_end = replicated_to.map(|_| self.target_end);
        todo.push(Command::Emit(Notice::Sealed { replicated_to, target_end }));
        self.phase = Phase::Sealed;
    }

    /// The position to fetch next; `None` while nothing should be fetched.
    pub fn wanted(&self) -> Option<SourceOffset> {
        let over =
            matches!(self.phase, Phase::Starting | Phase::Ending { .. } | Phase::Sealed | Phase::Stopped(_));
        let over = over || self.late.is_awaited();
        let full = self.queue.bytes() >= QUEUED_BYTES_MAX;
        let cursors = self.cursors.filter(|_| !over && !full && self.stopping.is_none())?;
        let more = match self.goal {
            Goal::Everything => true,
            Goal::UpTo(end) => cursors.fetched < end,
            Goal::Received | Goal::AtOnce => false,
        };
        more.then_some(cursors.fetched)
    }

    /// Bytes that were received and that the target does not have.
    pub fn queued_bytes(&self) -> usize {
        self.queue.bytes()
    }

    /// The replicated watermark; `None` before the start.
    pub fn replicated_to(&self) -> Option<SourceOffset> {
        self.cursors.map(|cursors| cursors.acknowledged)
    }

    pub fn target_end(&self) -> TargetOffset {
        self.target_end
    }

    pub fn map(&self) -> &OffsetMap {
        &self.map
    }

    /// Where a source position stands in the target.
    pub fn to_target(&self, source: SourceOffset) -> Translation<TargetOffset> {
        let replicated_to = self.replicated_to().unwrap_or(SourceOffset::FIRST);
        if self.map.is_empty() && self.replicated_to() == Some(source) {
            // Nothing was written yet, so what comes next is read first.
            return Translation::Exact(self.target_end);
        }
        self.map.to_target(source, replicated_to, self.target_end)
    }

    /// Where a target position stands in the source.
    pub fn to_source(&self, target: TargetOffset) -> Translation<SourceOffset> {
        self.map.to_source(target, self.target_end)
    }

    /// Why the partition goes no further; `None` where it does.
    pub fn stopped(&self) -> Option<&StopReason> {
        if let Phase::Stopped(reason) = &self.phase { Some(reason) } else { None }
    }

    pub fn standing(&self) -> Standing {
        let state = match &self.phase {
            Phase::Starting => "starting",
            Phase::Active if self.late.is_awaited() => "settling",
            Phase::Active => "active",
            Phase::Settling
            | Phase::Pausing { .. }
            | Phase::Asking(_)
            | Phase::Auditing { .. }
            | Phase::Ending { .. } => "settling",
            Phase::Sealed => "sealed",
            Phase::Stopped(_) => "stopped",
        };
        Standing {
            state,
            stopped: self.stopped().cloned(),
            refused: self.refused,
            cursors: self.cursors,
            source_end: self.source_end,
            target_end: self.target_end,
            runs: self.map.runs().len(),
        }
    }

    pub(super) fn stop(&mut self, reason: StopReason, todo: &mut Vec<Command>) {
        todo.push(Command::Emit(Notice::Stopped(reason.clone())));
        self.phase = Phase::Stopped(reason);
        self.queue.clear();
    }

    /// Makes a change of the map durable; later batches wait for it.
    pub(super) fn persist(
        &mut self,
        changes: Changes,
        checkpoint: Option<TargetOffset>,
        todo: &mut Vec<Command>,
    ) {
        if changes.is_empty() && checkpoint.is_none() {
            return;
        }
        self.change = self.change.next();
        let (put, remove) = changes.into_parts();
        todo.push(Command::PersistRuns { change: self.change, put, remove, checkpoint });
    }

    pub(super) fn pause(&mut self, now: Instant) {
        let doublings = self.setbacks.min(16);
        self.setbacks = self.setbacks.saturating_add(1);
        let wait = RETRY_FIRST.saturating_mul(1 << doublings).min(RETRY_LONGEST);
        self.phase = Phase::Pausing { until: now.after(wait) };
    }

    fn tick(&mut self, now: Instant, todo: &mut Vec<Command>) {
        if matches!(&self.phase, Phase::Pausing { until } if *until <= now) {
            self.ask(todo);
        }
        if self.phase == Phase::Active && self.queue.is_empty() && self.late.is_over() {
            self.ask(todo);
        }
        if self.cursors.is_some() && self.checkpoint_due <= now && self.checkpointed < self.target_end {
            self.checkpoint_due = now.after(CHECKPOINT_EVERY);
            let ahead = planted("mirror-checkpoints-what-was-only-sent");
            let target = if ahead { self.next_target } else { self.target_end };
            todo.push(Command::Checkpoint { target });
        }
    }

    fn ask(&mut self, todo: &mut Vec<Command>) {
        self.question = self.question.next();
        self.phase = Phase::Asking(self.question);
        todo.push(Command::AskTargetEnd { question: self.question });
    }

    fn checkpointed(&mut self, target: TargetOffset) {
        self.checkpointed = self.checkpointed.max(target.min(self.target_end));
        let reached = self.map.resume_at(self.checkpointed);
        if let (Some(cursors), Some(reached)) = (&mut self.cursors, reached) {
            cursors.checkpointed = cursors.checkpointed.max(reached.min(cursors.acknowledged));
        }
    }

    /// Does what the state allows by itself: sends, finishes, stops.
    fn go_on(&mut self, todo: &mut Vec<Command>) {
        self.send(todo);
        let drained = self.phase == Phase::Active && self.queue.is_empty();
        if let Some(reason) = self.stopping.take_if(|_| drained) {
            return self.stop(reason, todo);
        }
        if self.reached_goal() {
            self.queue.clear();
            if self.cursors.is_none() {
                return self.sealed(todo);
            }
            self.phase = Phase::Ending { checkpoint: self.target_end };
            todo.push(Command::Checkpoint { target: self.target_end });
            if planted("mirror-is-sealed-before-its-end-is-durable") {
                self.sealed(todo);
            }
        }
    }

    fn reached_goal(&self) -> bool {
        let still = self.phase == Phase::Active && self.queue.in_flight() == 0;
        match self.goal {
            Goal::Everything => false,
            Goal::Received => self.phase == Phase::Starting || still && self.queue.is_empty(),
            Goal::UpTo(end) => still && self.replicated_to().is_some_and(|reached| reached >= end),
            Goal::AtOnce => self.phase == Phase::Starting || still,
        }
    }

    fn send(&mut self, todo: &mut Vec<Command>) {
        let Settings { link, topic, partition, .. } = &self.settings;
        let producer = producer_of(link, *topic, *partition);
        let epoch = epoch_of(self.lineage.epoch);
        let in_flight_max = if self.taken { IN_FLIGHT_MAX } else { 1 };
        while self.phase == Phase::Active
            && self.goal != Goal::AtOnce
            && self.queue.in_flight() < in_flight_max
            && let Some((batch, queued)) = self.queue.send_next(self.durable)
        {
            let written = queued.target.since(self.lineage.anchor) - self.lineage.foreign;
            let records = queued
                .batch
                .patched(Patch {
                    producer_id: producer.to_wire(),
                    producer_epoch: epoch.to_wire(),
                    base_sequence: Sequence::of_ordinal(written).to_wire(),
                    clear_transactional: true,
                    clear_delete_horizon: true,
                    clear_log_append_time: true,
                })
                .with_base_offset(0)
                .expect("a batch at offset 0 fits")
                .with_leader_epoch(-1);
            todo.push(Command::Produce { batch, records });
        }
        self.note_sent();
    }

    pub(super) fn note_sent(&mut self) {
        if let Some(cursors) = &mut self.cursors {
            cursors.sent = self.queue.sent_to().unwrap_or(cursors.acknowledged);
        }
    }
}
