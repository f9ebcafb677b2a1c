//! The compacted topic `__leeward_map.LINK` at a link's target.

use std::{collections::BTreeMap, sync::Arc};

use leeward_client::{Acks, Cluster, FetchFrom, FetchPlan, Fetcher, Isolation, NewTopic, OffsetSpec};
use leeward_mirror_core::map::{MapRecord, decode, encode_key, encode_value};
use leeward_model::{LinkName, PartitionIndex, TopicId, TopicName, TopicPartition};
use leeward_wire::{
    ErrorCode,
    record::{BatchBuilder, Compression, split_batches},
};
use parking_lot::Mutex;

use super::Stored;
use crate::{
    LinkError,
    limits::{ADMIN_WAIT_MAX, FETCH_WAIT_MAX, PRODUCE_WAIT_MAX},
};

/// Bytes that a batch of map records may have when decompressed; they are small, and written by us.
const BATCH_BYTES_MAX: usize = 16 << 20;

/// The partition that holds a link's maps.
pub(crate) fn map_topic_of(link: &LinkName) -> TopicPartition {
    let topic = TopicName::new(&format!("{}_map.{link}", TopicName::OWN_PREFIX));
    TopicPartition {
        topic: topic.expect("a link's name is short and has a topic's characters"),
        partition: PartitionIndex::from_wire(0).expect("0 is an index"),
    }
}

/// A link's map topic, read up to a position.
#[derive(Debug)]
pub(crate) struct MapTopic {
    cluster: Cluster,
    partition: TopicPartition,
    read_to: i64,
}

impl MapTopic {
    /// The topic, created where it is missing.
    pub(crate) async fn ensure(
        cluster: &Cluster,
        link: &LinkName,
        replication_factor: Option<i16>,
    ) -> Result<Self, LinkError> {
        let partition = map_topic_of(link);
        let new = NewTopic {
            name: partition.topic.clone(),
            partitions: 1,
            replication_factor,
            configs: BTreeMap::from([("cleanup.policy".to_owned(), "compact".to_owned())]),
        };
        match cluster.create_topic(&new, ADMIN_WAIT_MAX).await {
            Err(error) if error.code() != Some(ErrorCode::TOPIC_ALREADY_EXISTS) => Err(error.into()),
            _ => Ok(Self { cluster: cluster.clone(), partition, read_to: 0 }),
        }
    }

    /// A link's topic as it is, for reading.
    pub(crate) fn existing(cluster: &Cluster, link: &LinkName) -> Self {
        Self { cluster: cluster.clone(), partition: map_topic_of(link), read_to: 0 }
    }

    /// Reads what was written since the last call, by whomever; all of it where the topic ends before that, since it was
    /// made again or lost its end.
    pub(crate) async fn read(&mut self, stored: &Mutex<Stored>) -> Result<(), LinkError> {
        let end = self.cluster.list_offset(&self.partition, OffsetSpec::Latest).await?.offset;
        let start = self.cluster.list_offset(&self.partition, OffsetSpec::Earliest).await?.offset;
        self.read_to = if end < self.read_to { start } else { self.read_to.max(start) };
        if self.read_to >= end {
            return Ok(());
        }
        let leader = self.cluster.leader(&self.partition).await?;
        let mut fetcher = Fetcher::new(&self.cluster, leader.broker);
        let plan = FetchPlan {
            isolation: Isolation::ReadUncommitted,
            max_wait: FETCH_WAIT_MAX,
            ..FetchPlan::default()
        };
        while self.read_to < end {
            fetcher.set(self.partition.clone(), FetchFrom::offset(self.read_to));
            for answer in fetcher.fetch(&plan).await? {
                if !answer.error.is_none() {
                    return Err(self.unreadable(&answer.error));
                }
                self.take(answer.records, &mut stored.lock())?;
            }
        }
        Ok(())
    }

    fn take(&mut self, records: bytes::Bytes, stored: &mut Stored) -> Result<(), LinkError> {
        for batch in split_batches(records) {
            let batch = batch.map_err(|error| self.unreadable(&error))?;
            self.read_to = self.read_to.max(batch.next_offset());
            if batch.is_control() {
                continue;
            }
            let content = batch.decompress(BATCH_BYTES_MAX).map_err(|error| self.unreadable(&error))?;
            for record in content.records() {
                let record = record.map_err(|error| self.unreadable(&error))?;
                let key = record.key.unwrap_or_default();
                let (topic, partition, fact) =
                    decode(key, record.value).map_err(|error| self.unreadable(&error))?;
                stored.apply(topic, partition, fact);
            }
        }
        Ok(())
    }

    /// The same topic, for writing beside what reads it.
    pub(crate) fn writer(&self) -> Self {
        Self { cluster: self.cluster.clone(), partition: self.partition.clone(), read_to: self.read_to }
    }

    /// Appends changes durably; tries until it succeeds or cannot.
    pub(crate) async fn write(
        &self,
        changes: &[(TopicId, PartitionIndex, MapRecord)],
        now_ms: i64,
    ) -> Result<(), LinkError> {
        let mut builder = BatchBuilder::new(Compression::None);
        for (topic, partition, record) in changes {
            let key = encode_key(*topic, *partition, record);
            let value = encode_value(record);
            builder
                .append(now_ms, Some(&key), value.as_deref(), &[])
                .map_err(|error| self.unreadable(&error))?;
        }
        let batch = builder.build().map_err(|error| self.unreadable(&error))?;
        self.cluster.produce(&self.partition, &batch, Acks::All, PRODUCE_WAIT_MAX).await?;
        Ok(())
    }

    fn unreadable(&self, error: &dyn std::fmt::Display) -> LinkError {
        LinkError::Unreadable { topic: self.partition.topic.clone(), why: error.to_string() }
    }
}

/// What is stored, shared between the link's task and whoever writes.
pub(crate) type SharedStored = Arc<Mutex<Stored>>;
