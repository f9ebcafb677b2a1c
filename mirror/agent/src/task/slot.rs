//! One partition in a link's task: its machine and what stands around it.

use std::collections::VecDeque;

use leeward_mirror_core::partition::{Partition, Settings};
use leeward_model::{PartitionIndex, SourceOffset, TopicPartition};
use leeward_wire::record::RecordBatch;

use crate::{input::MirroredTopic, sink::Sink, status::Watermark};

pub(super) struct Slot {
    pub(super) topic: MirroredTopic,
    pub(super) index: PartitionIndex,
    pub(super) machine: Partition,
    pub(super) sink: Sink,
    /// What the machine has to know to begin is being gathered.
    pub(super) opening: bool,
    /// Leader epoch of the last batch that was read; -1 for none.
    pub(super) last_epoch: i32,
    /// Records and bytes of batches in flight.
    in_flight: VecDeque<(u64, u64)>,
}

impl Slot {
    pub(super) fn new(topic: MirroredTopic, index: PartitionIndex, settings: Settings, sink: Sink) -> Self {
        Self {
            topic,
            index,
            machine: Partition::new(settings),
            sink,
            opening: false,
            last_epoch: -1,
            in_flight: VecDeque::new(),
        }
    }

    pub(super) fn target(&self) -> TopicPartition {
        TopicPartition { topic: self.topic.target.clone(), partition: self.index }
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
        let records = u64::from(batch.record_count().unsigned_abs());
        self.in_flight.push_back((records, batch.size_bytes() as u64));
        self.in_flight.truncate(leeward_mirror_core::limits::IN_FLIGHT_MAX);
    }

    /// Records and bytes of the batch that was acknowledged first.
    pub(super) fn note_written(&mut self) -> (u64, u64) {
        self.in_flight.pop_front().unwrap_or_default()
    }
}
