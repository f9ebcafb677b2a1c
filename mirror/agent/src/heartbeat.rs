//! Heartbeats: records with a time, written at the source, mirrored like all others. A heartbeat is durable once the target has
//! everything that the source had when it was read, so its age is the data at risk, measured where it counts.

use std::collections::{BTreeMap, HashMap};

use leeward_client::{Acks, Cluster, NewTopic};
use leeward_model::{LinkName, PartitionIndex, SourceOffset, TopicName, TopicPartition, WallTime};
use leeward_wire::{
    ErrorCode,
    record::{BatchBuilder, Compression, split_batches},
};
use tracing::debug;

use crate::{
    LinkError,
    clock::wall,
    limits::{ADMIN_WAIT_MAX, PRODUCE_WAIT_MAX},
};

/// How long heartbeats are kept in either region.
const RETENTION_MS: &str = "3600000";
/// Bytes that a batch of heartbeats may have when decompressed.
const BATCH_BYTES_MAX: usize = 1 << 20;

/// The partition that a link's heartbeats are in, in both regions.
pub(crate) fn heartbeat_topic_of(link: &LinkName) -> TopicPartition {
    let topic = TopicName::new(&format!("{}_heartbeat.{link}", TopicName::OWN_PREFIX));
    TopicPartition {
        topic: topic.expect("a link's name is short and has a topic's characters"),
        partition: PartitionIndex::from_wire(0).expect("0 is an index"),
    }
}

/// Makes the topic where it is missing.
pub(crate) async fn ensure_topic(
    cluster: &Cluster,
    link: &LinkName,
    replication_factor: Option<i16>,
) -> Result<(), LinkError> {
    let new = NewTopic {
        name: heartbeat_topic_of(link).topic,
        partitions: 1,
        replication_factor,
        configs: BTreeMap::from([("retention.ms".to_owned(), RETENTION_MS.to_owned())]),
    };
    match cluster.create_topic(&new, ADMIN_WAIT_MAX).await {
        Err(error) if error.code() != Some(ErrorCode::TOPIC_ALREADY_EXISTS) => Err(error.into()),
        _ => Ok(()),
    }
}

/// Writes one heartbeat.
pub(crate) async fn beat(cluster: &Cluster, link: &LinkName) {
    let now = wall().as_millis();
    let mut builder = BatchBuilder::new(Compression::None);
    let text = now.to_string();
    builder
        .append(now, Some(link.as_str().as_bytes()), Some(text.as_bytes()), &[])
        .expect("a heartbeat is small");
    let batch = builder.build().expect("a heartbeat is a record");
    let partition = heartbeat_topic_of(link);
    if let Err(error) = cluster.produce(&partition, &batch, Acks::All, PRODUCE_WAIT_MAX).await {
        debug!(%link, %error, "heartbeat is not written");
    }
}

/// The newest heartbeat in records of the heartbeats' partition, and its offset.
pub(crate) fn newest(records: bytes::Bytes) -> Option<(WallTime, SourceOffset)> {
    let mut newest = None;
    for batch in split_batches(records).flatten() {
        let Ok(content) = batch.decompress(BATCH_BYTES_MAX) else { continue };
        for record in content.records().flatten() {
            let offset = SourceOffset::from_wire(batch.base_offset() + i64::from(record.offset_delta));
            let millis = record.value.and_then(|value| std::str::from_utf8(value).ok()?.parse().ok());
            newest =
                offset.zip(millis).map(|(offset, millis)| (WallTime::from_millis(millis), offset)).or(newest);
        }
    }
    newest
}

/// Which heartbeat is durable.
#[derive(Debug, Default)]
pub(crate) struct Heartbeats {
    seen: Option<WallTime>,
    waiting: Option<Waiting>,
    durable: Option<WallTime>,
}

/// A heartbeat that was read, and what the target must have for it to count.
#[derive(Debug)]
struct Waiting {
    written: WallTime,
    /// `None` until the source has answered for the partition since.
    needed: HashMap<TopicPartition, Option<SourceOffset>>,
}

impl Heartbeats {
    pub(crate) fn durable(&self) -> Option<WallTime> {
        self.durable
    }

    /// One that is known from an earlier life.
    pub(crate) fn remember(&mut self, written: WallTime) {
        self.durable = self.durable.max(Some(written));
    }

    /// One was read. `partitions` are all that count.
    pub(crate) fn read(&mut self, written: WallTime, partitions: impl Iterator<Item = TopicPartition>) {
        self.seen = self.seen.max(Some(written));
        if self.waiting.is_none() {
            let needed = partitions.map(|partition| (partition, None)).collect();
            self.waiting = Some(Waiting { written, needed });
        }
    }

    /// The source has answered for a partition, which ends at `end`.
    pub(crate) fn answered(&mut self, partition: &TopicPartition, end: SourceOffset) {
        if let Some(waiting) = &mut self.waiting
            && let Some(needed) = waiting.needed.get_mut(partition)
        {
            needed.get_or_insert(end);
        }
    }

    /// The target has a partition up to `replicated_to`.
    pub(crate) fn replicated(&mut self, partition: &TopicPartition, replicated_to: SourceOffset) {
        let Some(waiting) = &mut self.waiting else { return };
        let reached = waiting
            .needed
            .get(partition)
            .is_some_and(|needed| needed.is_some_and(|end| end <= replicated_to));
        if reached {
            waiting.needed.remove(partition);
        }
    }

    /// Closes the heartbeat that is waited for, if the target has all that it needs.
    pub(crate) fn settle(&mut self) {
        if let Some(waiting) = self.waiting.take_if(|waiting| waiting.needed.is_empty()) {
            self.durable = self.durable.max(Some(waiting.written));
        }
    }

    /// A partition does not count any more.
    pub(crate) fn forget(&mut self, partition: &TopicPartition) {
        if let Some(waiting) = &mut self.waiting {
            waiting.needed.remove(partition);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(index: i32) -> TopicPartition {
        TopicPartition {
            topic: TopicName::new("orders").unwrap(),
            partition: PartitionIndex::from_wire(index).unwrap(),
        }
    }

    fn offset(wire: i64) -> SourceOffset {
        SourceOffset::from_wire(wire).unwrap()
    }

    #[test]
    fn a_heartbeat_is_durable_once_every_partition_has_reached_what_it_was_read_with() {
        let mut heartbeats = Heartbeats::default();
        let written = WallTime::from_millis(5);
        heartbeats.read(written, [partition(0), partition(1)].into_iter());

        heartbeats.answered(&partition(0), offset(10));
        heartbeats.replicated(&partition(0), offset(10));
        heartbeats.settle();
        let before = heartbeats.durable();
        heartbeats.answered(&partition(1), offset(7));
        heartbeats.replicated(&partition(1), offset(6));
        heartbeats.settle();
        let still = heartbeats.durable();
        heartbeats.replicated(&partition(1), offset(7));
        heartbeats.settle();

        assert_eq!((before, still, heartbeats.durable()), (None, None, Some(written)));
    }
}
