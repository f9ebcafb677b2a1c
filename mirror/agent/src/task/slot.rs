//! One partition in a link's task: its machine and what stands around it.

use std::collections::VecDeque;

use leeward_mirror_core::partition::{Partition, Settings, StopReason};
use leeward_model::{PartitionIndex, SourceOffset, TopicPartition, WallTime};
use leeward_wire::record::RecordBatch;

use crate::{input::MirroredTopic, status::Watermark};

/// What is counted of a batch once it is acknowledged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) records: u64,
    pub(super) bytes: u64,
    /// The newest record's time.
    pub(super) written: WallTime,
}

pub(super) struct Slot {
    pub(super) topic: MirroredTopic,
    pub(super) index: PartitionIndex,
    pub(super) machine: Partition,
    /// What the machine has to know to begin is being gathered.
    pub(super) opening: bool,
    /// Leader epoch of the last batch that was read; -1 for none.
    pub(super) last_epoch: i32,
    in_flight: VecDeque<Sent>,
}

impl Slot {
    pub(super) fn new(topic: MirroredTopic, index: PartitionIndex, settings: Settings) -> Self {
        Self {
            topic,
            index,
            machine: Partition::new(settings),
            opening: false,
            last_epoch: -1,
            in_flight: VecDeque::new(),
        }
    }

    pub(super) fn target(&self) -> TopicPartition {
        TopicPartition { topic: self.topic.target.clone(), partition: self.index }
    }

    /// Whether source and target still have the topics that the map is about: a watermark of others would tell a buffer to forget
    /// records of theirs.
    pub(super) fn pairs_its_topics(&self) -> bool {
        match self.machine.stopped() {
            Some(StopReason::TopicDeleted | StopReason::TopicRecreated | StopReason::TargetRecreated) => {
                false
            }
            Some(_) | None => true,
        }
    }

    pub(super) fn is_deleted(&self) -> bool {
        self.machine.stopped() == Some(&StopReason::TopicDeleted)
    }

    pub(super) fn watermark(&self, source: &TopicPartition, replicated_to: SourceOffset) -> Watermark {
        Watermark {
            source: source.clone(),
            source_topic: self.topic.source_id,
            replicated_to,
            target_end: self.machine.target_end(),
        }
    }

    pub(super) fn note_sent(&mut self, batch: &RecordBatch) {
        self.in_flight.push_back(Sent {
            records: u64::from(batch.record_count().unsigned_abs()),
            bytes: batch.size_bytes() as u64,
            written: WallTime::from_millis(batch.max_timestamp()),
        });
    }

    /// The batch that was acknowledged.
    pub(super) fn note_written(&mut self) -> Option<Sent> {
        self.in_flight.pop_front()
    }

    /// Nothing more is heard of the batch that was sent first.
    pub(super) fn note_unwritten(&mut self) {
        self.in_flight.pop_front();
    }
}
