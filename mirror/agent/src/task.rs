//! A link's one task: it owns the partitions' machines, feeds them what happens, and does what they say.

mod partitions;
mod seal;
mod slot;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use leeward_client::Cluster;
use leeward_mirror_core::{
    map::Translation,
    partition::{Command, Event, Notice},
};
use leeward_model::{
    FencingEpoch, PartitionIndex, SourceOffset, TargetOffset, TopicId, TopicPartition, WallTime,
};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    LinkConfig,
    clock::{Clock, wall},
    heartbeat::{Heartbeats, heartbeat_topic_of},
    input::{ComparedTopics, Input, Outcome, Produced},
    limits::{BEAT, DARK_AFTER, PARTITION_QUEUED_BYTES_MAX, QUEUED_BYTES_MAX},
    metrics::LinkMetrics,
    sink::{Outgoing, Sinks},
    source::{Want, Wants},
    status::{Board, LinkState, PartitionStatus, Watermark},
    store::{Change, MapReader, SharedStored, SharedWriting},
    target,
};
use seal::Sealing;
use slot::Slot;

/// Time between looks at what takes time: machines' time-outs, the status.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What somebody asks of a running link.
#[derive(Debug)]
pub(crate) enum Verb {
    Seal(SealOrder),
    ToTarget {
        positions: Vec<(TopicPartition, SourceOffset)>,
        reply: oneshot::Sender<Vec<Option<Translation<TargetOffset>>>>,
    },
    ToSource {
        partition: TopicPartition,
        position: TargetOffset,
        reply: oneshot::Sender<Option<Translation<SourceOffset>>>,
    },
}

/// How a link is to end.
#[derive(Debug)]
pub(crate) struct SealOrder {
    pub(crate) within: Duration,
    /// Where set, these are waited for; else what was received.
    pub(crate) drain_to: BTreeMap<TopicPartition, SourceOffset>,
    pub(crate) reply: oneshot::Sender<Sealed>,
}

/// Where a link ended.
#[derive(Clone, Debug)]
pub(crate) struct Sealed {
    pub watermarks: Vec<Watermark>,
    /// Whether the target got everything that was asked for.
    pub drained: bool,
}

/// What a link's task is made of.
pub(crate) struct Parts {
    pub(crate) config: Arc<LinkConfig>,
    pub(crate) epoch: FencingEpoch,
    pub(crate) target: Cluster,
    pub(crate) source: watch::Receiver<Option<Cluster>>,
    pub(crate) inputs: mpsc::Sender<Input>,
    pub(crate) changes: mpsc::Sender<Change>,
    pub(crate) wants: Arc<Wants>,
    /// What is stored, as far as it was read.
    pub(crate) stored: SharedStored,
    pub(crate) maps: Arc<MapReader>,
    pub(crate) writing: SharedWriting,
    pub(crate) board: Arc<Board>,
    pub(crate) metrics: LinkMetrics,
    /// Ends what reads from the source.
    pub(crate) reading: CancellationToken,
}

pub(crate) struct Task {
    parts: Parts,
    clock: Clock,
    sinks: Sinks,
    slots: BTreeMap<TopicPartition, Slot>,
    by_key: HashMap<(TopicId, PartitionIndex), TopicPartition>,
    /// Changes that the writer has no room for yet.
    backlog: VecDeque<Change>,
    /// Bytes of all partitions that were received and that the target does not have.
    queued_bytes: usize,
    heartbeats: Heartbeats,
    heartbeat_partition: TopicPartition,
    source_answered: Instant,
    look_due: Instant,
    beaten: Instant,
    /// Whether there is something to publish.
    moved: bool,
    sealing: Option<Sealing>,
    sealed: Option<Sealed>,
}

impl Task {
    pub(crate) fn new(parts: Parts, last_heartbeat: Option<WallTime>) -> Self {
        let mut heartbeats = Heartbeats::default();
        if let Some(written) = last_heartbeat {
            heartbeats.remember(written);
        }
        Self {
            heartbeat_partition: heartbeat_topic_of(&parts.config.name),
            clock: Clock::start(),
            sinks: Sinks::new(parts.target.clone(), parts.inputs.clone()),
            slots: BTreeMap::new(),
            by_key: HashMap::new(),
            backlog: VecDeque::new(),
            queued_bytes: 0,
            heartbeats,
            source_answered: Instant::now(),
            look_due: Instant::now(),
            beaten: Instant::now(),
            moved: true,
            sealing: None,
            sealed: None,
            parts,
        }
    }

    /// Runs until there are no verbs any more.
    pub(crate) async fn run(
        mut self,
        mut inputs: mpsc::Receiver<Input>,
        verbs: &mut mpsc::Receiver<Verb>,
        end: CancellationToken,
    ) {
        let mut received = Vec::new();
        self.open_stored().await;
        loop {
            tokio::select! {
                biased;
                () = end.cancelled() => return,
                verb = verbs.recv() => match verb {
                    Some(verb) => self.obey(verb),
                    None => return,
                },
                () = tokio::time::sleep_until(self.beat_due()) => self.beat(),
                _ = inputs.recv_many(&mut received, 256) => {
                    for input in received.drain(..) {
                        self.take(input);
                    }
                }
            }
            self.flush();
        }
    }

    fn obey(&mut self, verb: Verb) {
        match verb {
            Verb::Seal(order) => self.seal(order),
            Verb::ToTarget { positions, reply } => {
                let answers = positions.into_iter().map(|(partition, position)| {
                    self.slots.get(&partition).map(|slot| slot.machine.to_target(position))
                });
                // Whoever asked may be gone.
                let _ = reply.send(answers.collect());
            }
            Verb::ToSource { partition, position, reply } => {
                let _ = reply.send(self.slots.get(&partition).map(|slot| slot.machine.to_source(position)));
            }
        }
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::Topics(ComparedTopics { mirrored, drifts, refusals }) => {
                self.source_answered = Instant::now();
                let mut status = self.parts.board.status.lock();
                status.drifts = Some(drifts);
                status.refusals = refusals;
                drop(status);
                for topic in &mirrored {
                    self.take_topic(topic);
                }
            }
            Input::TopicDeleted(topic) => {
                let of_topic = self.slots.keys().filter(|partition| partition.topic == topic);
                for partition in of_topic.cloned().collect::<Vec<_>>() {
                    self.feed(&partition, Event::SourceTopicDeleted);
                    self.heartbeats.forget(&partition);
                }
            }
            Input::Opened { partition, opening } => self.opened(&partition, opening),
            Input::OpeningFailed { partition } => {
                if let Some(slot) = self.slots.get_mut(&partition) {
                    slot.opening = false;
                }
            }
            Input::Fetched { asked, answers, done } => {
                self.fetched(&asked, answers);
                let _ = done.send(());
            }
            Input::SourceRange { partition, log_start, log_end } => {
                self.feed(&partition, Event::SourceOutOfRange { log_start, log_end });
            }
            Input::TopicRecreated { partition } => self.feed(&partition, Event::SourceTopicRecreated),
            Input::Produced(produced) => {
                for one in produced {
                    self.produced(&one);
                }
            }
            Input::TargetEnd { partition, question, end } => {
                self.feed(&partition, Event::TargetEnd { question, end });
            }
            Input::Audited { partition, question, batches } => {
                self.feed(&partition, Event::Audited { question, batches });
            }
            Input::QuestionFailed { partition, question } => {
                self.feed(&partition, Event::QuestionFailed { question });
            }
            Input::Stored { key, change } => self.feed_key(key, Event::RunsPersisted(change)),
            Input::Checkpointed { key, target } => self.feed_key(key, Event::Checkpointed { target }),
        }
    }

    fn produced(&mut self, Produced { partition, batch, outcome }: &Produced) {
        let batch = *batch;
        match *outcome {
            Outcome::Acknowledged(base) => {
                self.feed(partition, Event::Acknowledged { batch, base });
                self.note_written(partition);
            }
            Outcome::Refused(code) => {
                self.parts.metrics.error("produce");
                self.note_unwritten(partition);
                self.feed(partition, Event::Refused { batch, code });
            }
            Outcome::Unanswered => {
                self.parts.metrics.error("connection");
                self.note_unwritten(partition);
                self.feed(partition, Event::Unanswered { batch });
            }
        }
    }

    fn feed_key(&mut self, key: (TopicId, PartitionIndex), event: Event) {
        if let Some(partition) = self.by_key.get(&key).cloned() {
            self.feed(&partition, event);
        }
    }

    fn feed(&mut self, partition: &TopicPartition, event: Event) {
        let now = self.clock.now();
        let Some(slot) = self.slots.get_mut(partition) else { return };
        let queued_before = slot.machine.queued_bytes();
        let reached_before = (slot.machine.replicated_to(), slot.machine.target_end());
        let commands = slot.machine.on(event, now);
        let queued = slot.machine.queued_bytes();
        self.queued_bytes = self.queued_bytes + queued - queued_before;
        let enough = queued >= PARTITION_QUEUED_BYTES_MAX;
        let full = enough || self.queued_bytes >= QUEUED_BYTES_MAX && queued > 0;
        let want = slot.machine.wanted().map(|offset| Want {
            offset: offset.to_wire(),
            last_epoch: slot.last_epoch,
            topic: slot.topic.source_id,
            withheld: full,
        });
        self.moved |= reached_before != (slot.machine.replicated_to(), slot.machine.target_end());
        for command in commands {
            self.carry_out(partition, command);
        }
        self.set_want(partition, want);
    }

    fn set_want(&mut self, partition: &TopicPartition, want: Option<Want>) {
        let mut wants = self.parts.wants.partitions.lock();
        match want {
            Some(want) => {
                let before = wants.insert(partition.clone(), want);
                if !want.withheld && before.is_none_or(|before| before.withheld) {
                    self.parts.wants.changed.notify_waiters();
                }
            }
            None => {
                wants.remove(partition);
            }
        }
    }

    fn carry_out(&mut self, partition: &TopicPartition, command: Command) {
        let Some(slot) = self.slots.get_mut(partition) else { return };
        let key = (slot.topic.source_id, partition.partition);
        let target_topic = slot.topic.target_id;
        let pair = (partition.clone(), slot.target());
        let (cluster, inputs) = (self.parts.target.clone(), self.parts.inputs.clone());
        match command {
            Command::PersistRuns { change, put, remove, checkpoint } => {
                self.backlog.push_back(Change::Runs { key, target_topic, change, put, remove, checkpoint });
            }
            Command::Checkpoint { target } => {
                self.backlog.push_back(Change::Checkpoint { key, target_topic, target });
            }
            Command::Produce { batch, records } => {
                slot.note_sent(&records);
                let (source, target) = pair;
                self.sinks.push(Outgoing { source, target, batch, records });
            }
            Command::AskTargetEnd { question } => {
                tokio::spawn(target::ask_end(cluster, pair, question, inputs));
            }
            Command::Audit { question, from, to } => {
                tokio::spawn(target::audit(cluster, pair, question, (from, to), inputs));
            }
            Command::Reload => self.reload(partition),
            Command::Emit(notice) => self.post(partition, notice),
        }
    }

    fn post(&mut self, partition: &TopicPartition, notice: Notice) {
        let link = &self.parts.config.name;
        match &notice {
            Notice::Active { .. } | Notice::Sealed { .. } => info!(%link, %partition, ?notice, "partition"),
            Notice::Stopped(reason) => warn!(%link, %partition, %reason, "partition stopped"),
            Notice::ForeignWrite { .. }
            | Notice::TargetTruncated { .. }
            | Notice::Lost { .. }
            | Notice::Refused { .. } => warn!(%link, %partition, ?notice, "partition"),
        }
        self.parts.metrics.notice(&partition.topic, &notice);
        self.parts.board.post(wall(), partition.clone(), notice);
    }

    fn flush(&mut self) {
        self.sinks.flush();
        while let Some(change) = self.backlog.pop_front() {
            if let Err(mpsc::error::TrySendError::Full(change) | mpsc::error::TrySendError::Closed(change)) =
                self.parts.changes.try_send(change)
            {
                self.backlog.push_front(change);
                return;
            }
        }
    }

    /// When there is something to publish, soon; else when it is time to look.
    fn beat_due(&self) -> Instant {
        let hurry = self.moved || self.sealing.is_some();
        let soon = self.beaten + BEAT;
        if hurry { soon } else { self.look_due.max(soon) }
    }

    fn beat(&mut self) {
        self.beaten = Instant::now();
        if std::mem::take(&mut self.moved) {
            self.publish_watermarks();
        }
        if self.look_due <= Instant::now() {
            self.look_due = Instant::now() + LOOK_EVERY;
            for partition in self.slots.keys().cloned().collect::<Vec<_>>() {
                self.feed(&partition, Event::Tick);
            }
            self.open_waiting();
            self.publish_status();
        }
        self.continue_sealing();
    }

    fn publish_watermarks(&mut self) {
        let mut watermarks = Vec::with_capacity(self.slots.len());
        for (partition, slot) in &self.slots {
            if let Some(replicated_to) = slot.machine.replicated_to() {
                self.heartbeats.replicated(partition, replicated_to);
                if slot.pairs_its_topics() {
                    watermarks.push(slot.watermark(partition, replicated_to));
                }
            }
        }
        self.heartbeats.settle();
        self.parts.board.watermarks.send_replace(Arc::new(watermarks));
    }

    fn state(&self) -> LinkState {
        if self.sealed.is_some() {
            LinkState::Sealed
        } else if self.source_answered.elapsed() > DARK_AFTER {
            LinkState::SourceDark
        } else {
            LinkState::Running
        }
    }

    fn publish_status(&mut self) {
        let partitions: Vec<_> = self
            .slots
            .iter()
            .map(|(partition, slot)| PartitionStatus {
                source: partition.clone(),
                source_topic: slot.topic.source_id,
                target: slot.topic.target.clone(),
                standing: slot.machine.standing(),
            })
            .collect();
        let state = self.state();
        let mut status = self.parts.board.status.lock();
        status.state = state;
        status.epoch = Some(self.parts.epoch);
        status.failure = self.parts.writing.failure();
        status.last_durable_heartbeat = self.heartbeats.durable().max(status.last_durable_heartbeat);
        status.partitions = partitions;
        self.parts.metrics.show(&status);
    }
}
