//! What happens to a partition, and what it asks for.

use leeward_model::{FencingEpoch, Instant, ProducerEpoch, RegionName, Sequence, TopicId};

use super::{Entry, Lineage};
use crate::limits::ORDINAL_MAX;

/// Leave to forward.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    pub epoch: FencingEpoch,
    pub region: RegionName,
    /// Set where the region was promoted in place of another.
    pub promoted: Option<Promoted>,
}

/// What a promoted region has of the one before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promoted {
    pub from: RegionName,
    pub marks: Marks,
}

/// How far a partition was mirrored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marks {
    /// Offset in the source's log below which the target has everything.
    pub replicated_to: i64,
    /// The target's log end at that time.
    pub target_end: i64,
}

impl Marks {
    /// What a mirror or a controller says; `None` for offsets that no log has.
    pub fn told(replicated_to: i64, target_end: i64) -> Option<Self> {
        let legal = |offset: i64| (-1..=ORDINAL_MAX.cast_signed()).contains(&offset);
        (legal(replicated_to) && legal(target_end)).then_some(Self { replicated_to, target_end })
    }
}

/// One of our batches, found in a region's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    pub sequence: Sequence,
    pub records: u32,
    pub base_offset: i64,
}

/// How a sent batch fared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The first record that was sent stands at this offset.
    Acknowledged { base_offset: i64 },
    /// The broker has it and does not say where.
    AcknowledgedSomewhere,
    /// It never left.
    NotSent,
    /// It may be in the log or not, or the broker may take it later.
    Unknown,
    /// The broker is not the leader, or not ready: refused for now.
    NotNow,
    /// The region takes no batch of this size: it is sealed, or its limit was lowered.
    TooLarge,
    /// The sequence is not the one that the broker expects.
    OutOfOrder,
    /// The broker will never take this batch.
    Unacceptable,
}

/// An operation that the shell carries out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    FindEnd,
    Save,
    Look,
    Match,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A batch is durable and counts.
    Accepted(Entry),
    /// A grant arrived, new or renewed.
    Granted(Grant),
    /// No grant lives any more.
    Lapsed,
    /// The log ends there; `topic` had it before that was asked, and after.
    EndFound {
        operation: u64,
        offset: i64,
        topic: Option<TopicId>,
    },
    LineageSaved {
        operation: u64,
    },
    /// `topic` had the log before it was read, and after.
    Looked {
        operation: u64,
        found: Vec<Found>,
        topic: Option<TopicId>,
    },
    /// So many records from the first candidate on are in the target.
    Matched {
        operation: u64,
        records: u64,
    },
    Failed {
        operation: u64,
    },
    Sent {
        ordinal: u64,
        outcome: Outcome,
    },
    /// The other region has all of the log that `topic` has in `region`, up to here.
    Replicated {
        region: RegionName,
        topic: Option<TopicId>,
        marks: Marks,
    },
    /// The lineage's region has this topic under the partition's name, as it was told after `question` was made.
    TopicTold {
        question: TopicQuestion,
        topic: TopicId,
    },
    /// The topic is gone for good: nobody will take what was accepted so far.
    TopicGone,
    Tick,
}

/// Which lineage wants to know its topic's id, and what it was acknowledged then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicQuestion {
    pub(super) epoch: FencingEpoch,
    pub(super) turn: u32,
    pub(super) acknowledged_to: u64,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Find the end of a region's log.
    FindEnd { operation: u64, region: RegionName },
    /// Make the lineage durable.
    SaveLineage { operation: u64, lineage: Lineage },
    /// Find our batches in a region's log, from an offset to its end.
    Look { operation: u64, region: RegionName, epoch: ProducerEpoch, writer: u32, from: i64 },
    /// Find how many of the candidates' records stand in the region's log between two offsets, in order; without the
    /// second one, up to its end.
    Match { operation: u64, region: RegionName, from: i64, to: Option<i64>, candidates: Vec<Entry> },
    /// Send a batch, without the records it skips.
    Send { region: RegionName, epoch: ProducerEpoch, writer: u32, sequence: Sequence, entry: Entry },
    /// Find out soon which topic has the lineage's log, and say [`Event::TopicTold`].
    AskTopic { region: RegionName },
    /// The log is not the one that had these records: those that a deleted topic had are forgotten, the others are sent again.
    LogLost { forgotten: u64, sent_again: u64 },
    /// Keep a batch that no broker will take where people find it.
    SetAside { entry: Entry },
    /// Nothing below this ordinal is needed.
    Trimmed { to: u64 },
    /// Say [`Event::Tick`] at this time.
    Wake { at: Instant },
}
