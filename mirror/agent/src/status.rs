//! What a link shows: its state, positions, watermarks, events.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use leeward_mirror_core::{
    partition::{Notice, Standing},
    topics::Change,
};
use leeward_model::{FencingEpoch, SourceOffset, TargetOffset, TopicId, TopicName, TopicPartition, WallTime};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::limits::EVENTS_MAX;

/// What a link is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LinkState {
    /// Has no leave to write, or reaches its target not yet.
    #[default]
    Waiting,
    Running,
    /// The source does not answer.
    SourceDark,
    Sealed,
    Failed,
}

impl LinkState {
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::SourceDark => "source-dark",
            Self::Sealed => "sealed",
            Self::Failed => "failed",
        }
    }
}

/// How the positions of the source's groups are followed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum GroupsFollowed {
    /// No group is, or none yet.
    #[default]
    Nothing,
    /// By the log that commits are written to, as they are written.
    Tail,
    /// By asking for all positions again and again.
    Poll { why: String },
}

impl GroupsFollowed {
    pub const NAMES: [&str; 3] = ["none", "tail", "poll"];

    pub fn name(&self) -> &'static str {
        match self {
            Self::Nothing => "none",
            Self::Tail => "tail",
            Self::Poll { .. } => "poll",
        }
    }

    /// Why the better way is not taken; empty where it is.
    pub fn why(&self) -> &str {
        match self {
            Self::Nothing | Self::Tail => "",
            Self::Poll { why } => why,
        }
    }
}

/// One partition of a link.
#[derive(Clone, Debug)]
pub struct PartitionStatus {
    pub source: TopicPartition,
    pub source_topic: TopicId,
    pub target: TopicName,
    pub standing: Standing,
}

/// A mirrored topic with another number of partitions at the target: keys go elsewhere there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionDrift {
    /// As the source calls it.
    pub topic: TopicName,
    pub source: u32,
    /// 0 where the target does not have the topic.
    pub target: u32,
}

/// A change of a topic that the target refuses: the copy goes without it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedChange {
    /// As the target calls it.
    pub topic: TopicName,
    pub change: Change,
    /// In the broker's words.
    pub reason: String,
}

/// A link as it stands.
#[derive(Clone, Debug, Default)]
pub struct LinkStatus {
    pub state: LinkState,
    pub epoch: Option<FencingEpoch>,
    /// When the newest heartbeat was written below which the target has everything.
    pub last_durable_heartbeat: Option<WallTime>,
    pub partitions: Vec<PartitionStatus>,
    /// `None` until both sides' topics were compared.
    pub drifts: Option<Vec<PartitionDrift>>,
    pub refusals: Vec<RefusedChange>,
    pub groups: GroupsFollowed,
    /// Every group of the source was looked at since the link began, and it was tried to carry each position; also where no groups
    /// are followed.
    pub groups_known: bool,
    pub failure: Option<String>,
}

impl LinkStatus {
    /// Age of the newest point up to which the target has everything; `None` where none was ever confirmed.
    pub fn rpo(&self, now: WallTime) -> Option<Duration> {
        self.last_durable_heartbeat.map(|heartbeat| now.since(heartbeat))
    }

    /// Records at the source that the target lacks.
    pub fn lag_records(&self) -> u64 {
        self.partitions.iter().map(lag).sum()
    }
}

/// Records of one partition that the target lacks.
pub(crate) fn lag(partition: &PartitionStatus) -> u64 {
    let standing = &partition.standing;
    let ends = standing.source_end.zip(standing.cursors);
    ends.map_or(0, |(end, cursors)| end.since(cursors.acknowledged))
}

/// Up to where the target has a partition of the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watermark {
    pub source: TopicPartition,
    pub source_topic: TopicId,
    pub replicated_to: SourceOffset,
    pub target_end: TargetOffset,
}

/// Something that a person may want to know of.
#[derive(Clone, Debug)]
pub struct LinkEvent {
    /// Counts up, across restarts too: never below the microsecond of the wall clock at which it was posted.
    pub number: u64,
    pub at: WallTime,
    pub partition: TopicPartition,
    pub notice: Notice,
}

/// What a link's task writes and everybody reads.
#[derive(Debug)]
pub(crate) struct Board {
    pub(crate) status: Mutex<LinkStatus>,
    pub(crate) watermarks: watch::Sender<Arc<Vec<Watermark>>>,
    events: Mutex<VecDeque<LinkEvent>>,
    newest_event: watch::Sender<u64>,
}

impl Board {
    pub(crate) fn new() -> Self {
        Self {
            status: Mutex::default(),
            watermarks: watch::Sender::default(),
            events: Mutex::default(),
            newest_event: watch::Sender::default(),
        }
    }

    pub(crate) fn post(&self, at: WallTime, partition: TopicPartition, notice: Notice) {
        let mut events = self.events.lock();
        if events.len() == EVENTS_MAX {
            events.pop_front();
        }
        let micros = u64::try_from(at.as_millis()).unwrap_or(0).saturating_mul(1000);
        let number = micros.max(*self.newest_event.borrow() + 1);
        events.push_back(LinkEvent { number, at, partition, notice });
        drop(events);
        self.newest_event.send_replace(number);
    }

    pub(crate) fn events_after(&self, number: u64) -> Vec<LinkEvent> {
        self.events.lock().iter().filter(|event| event.number > number).cloned().collect()
    }

    pub(crate) fn watch_events(&self) -> watch::Receiver<u64> {
        self.newest_event.subscribe()
    }
}
