//! The compacted topic `__leeward_map.LINK` at a link's target.

use std::{collections::BTreeMap, sync::Arc};

use leeward_client::{
    Acks, Cluster, ClusterError, FetchFrom, FetchPlan, Fetcher, Isolation, NewTopic, OffsetSpec, ProduceAck,
    TopicSelection,
};
use leeward_mirror_core::map::{decode, encode_key, encode_value};
use leeward_model::{LinkName, PartitionIndex, TopicId, TopicName, TopicPartition};
use leeward_wire::{
    ErrorCode,
    record::{BatchBuilder, Compression, RecordBatch, split_batches},
};
use parking_lot::Mutex;

use super::{
    Fact, Facts, Stored,
    parts::{halves, parts},
};
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
#[derive(Clone, Debug)]
pub(crate) struct MapTopic {
    cluster: Cluster,
    partition: TopicPartition,
    replication_factor: Option<i16>,
    /// Everything below was read or written.
    read_to: i64,
    /// As it was when it was last read or written; `None` where brokers tell none.
    id: Option<TopicId>,
}

/// Where facts came to stand that were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// Behind everything that was written before.
    Behind,
    /// Nowhere, or in a topic that lacks what was written before: it was made again or lost its end.
    Elsewhere,
}

impl MapTopic {
    /// The topic, created where it is missing.
    pub(crate) async fn ensure(
        cluster: &Cluster,
        link: &LinkName,
        replication_factor: Option<i16>,
    ) -> Result<Self, LinkError> {
        let topic = Self { replication_factor, ..Self::existing(cluster, link) };
        topic.make().await?;
        Ok(topic)
    }

    /// Creates the topic where it is missing, and says whether it was.
    pub(crate) async fn make(&self) -> Result<bool, LinkError> {
        let new = NewTopic {
            name: self.partition.topic.clone(),
            partitions: 1,
            replication_factor: self.replication_factor,
            configs: BTreeMap::from([("cleanup.policy".to_owned(), "compact".to_owned())]),
        };
        match self.cluster.create_topic(&new, ADMIN_WAIT_MAX).await {
            Ok(()) => Ok(true),
            Err(error) if error.code() == Some(ErrorCode::TOPIC_ALREADY_EXISTS) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// A link's topic as it is, for reading.
    pub(crate) fn existing(cluster: &Cluster, link: &LinkName) -> Self {
        Self {
            cluster: cluster.clone(),
            partition: map_topic_of(link),
            replication_factor: None,
            read_to: 0,
            id: None,
        }
    }

    /// Reads what was written since the last call, by whomever; all of it where the topic ends before that, since it was
    /// made again or lost its end.
    pub(crate) async fn read(&mut self, stored: &Mutex<Stored>) -> Result<(), LinkError> {
        if self.look().await? {
            self.read_to = 0;
        }
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

    pub(crate) fn name(&self) -> &TopicName {
        &self.partition.topic
    }

    /// Asks for the topic's id, and says whether it is another topic than the one that was read or written.
    pub(crate) async fn look(&mut self) -> Result<bool, LinkError> {
        let names = [self.partition.topic.clone()];
        self.cluster.metadata(TopicSelection::Named(&names)).await?;
        let known = self.known_id();
        let other = self.is_another(known);
        self.id = known.or(self.id);
        Ok(other)
    }

    /// Takes the topic as it is for the one to be written: nothing is in it that counts.
    pub(crate) async fn begin_anew(&mut self) -> Result<(), LinkError> {
        self.id = None;
        self.read_to = 0;
        self.look().await?;
        Ok(())
    }

    /// Why a topic that changed while it was filled is to be filled again.
    pub(crate) fn changing(&self) -> LinkError {
        self.unreadable(&"it was made again meanwhile")
    }

    fn known_id(&self) -> Option<TopicId> {
        self.cluster.map().topics.get(&self.partition.topic).and_then(|topic| topic.id)
    }

    fn is_another(&self, known: Option<TopicId>) -> bool {
        self.id.zip(known).is_some_and(|(before, known)| before != known)
    }

    /// Appends facts durably, in as many batches as they need; tries until it succeeds or cannot.
    pub(crate) async fn write(&self, facts: Facts, now_ms: i64) -> Result<(), LinkError> {
        for part in parts([facts]) {
            let mut left = vec![part.facts.as_slice()];
            while let Some(facts) = left.pop().filter(|facts| !facts.is_empty()) {
                let batch = self.batch(facts, now_ms)?;
                let outcome =
                    self.cluster.produce(&self.partition, &batch, Acks::All, PRODUCE_WAIT_MAX).await;
                let _ = halved(outcome, facts, &mut left)?;
            }
        }
        Ok(())
    }

    /// Appends facts as [`MapTopic::write`] does, and takes them into what is stored.
    pub(crate) async fn write_stored(
        &self,
        facts: Facts,
        stored: &Mutex<Stored>,
        now_ms: i64,
    ) -> Result<(), LinkError> {
        self.write(facts.clone(), now_ms).await?;
        let mut stored = stored.lock();
        for (topic, partition, record) in facts {
            stored.apply(topic, partition, record);
        }
        Ok(())
    }

    /// Appends a part durably, in one batch or, where the topic takes none so large, in several. One attempt.
    pub(crate) async fn append(&mut self, part: &[Fact], now_ms: i64) -> Result<Written, LinkError> {
        if self.is_another(self.known_id()) {
            return Ok(Written::Elsewhere);
        }
        let mut left = vec![part];
        while let Some(facts) = left.pop() {
            let batch = self.batch(facts, now_ms)?;
            let outcome = self.attempt(&batch).await;
            if outcome.as_ref().is_err_and(ClusterError::wants_new_metadata)
                && let Err(error) = self.cluster.refresh().await
            {
                tracing::debug!(error = &error as &dyn std::error::Error, "no new metadata");
            }
            // A broker that acknowledges early tells no offset.
            if let Some(ack) = halved(outcome, facts, &mut left)?.filter(|ack| ack.base_offset >= 0) {
                let before = std::mem::replace(&mut self.read_to, ack.base_offset + facts.len() as i64);
                if ack.base_offset < before || self.is_another(self.known_id()) {
                    return Ok(Written::Elsewhere);
                }
            }
        }
        self.id = self.known_id().or(self.id);
        Ok(Written::Behind)
    }

    async fn attempt(&self, batch: &RecordBatch) -> Result<ProduceAck, ClusterError> {
        self.cluster.submit_produce(&self.partition, batch, Acks::All, PRODUCE_WAIT_MAX).await?.ack().await
    }

    fn batch(&self, facts: &[Fact], now_ms: i64) -> Result<RecordBatch, LinkError> {
        let mut builder = BatchBuilder::new(Compression::None);
        for (topic, partition, record) in facts {
            let key = encode_key(*topic, *partition, record);
            let value = encode_value(record);
            builder
                .append(now_ms, Some(&key), value.as_deref(), &[])
                .map_err(|error| self.unreadable(&error))?;
        }
        builder.build().map_err(|error| self.unreadable(&error))
    }

    fn unreadable(&self, error: &dyn std::fmt::Display) -> LinkError {
        LinkError::Unreadable { topic: self.partition.topic.clone(), why: error.to_string() }
    }
}

/// The acknowledgement; none where the batch was too large and its halves are left to be written.
fn halved<'a>(
    outcome: Result<ProduceAck, ClusterError>,
    facts: &'a [Fact],
    left: &mut Vec<&'a [Fact]>,
) -> Result<Option<ProduceAck>, ClusterError> {
    match outcome {
        Ok(ack) => Ok(Some(ack)),
        Err(error) if is_too_large(&error) => {
            let (first, second) = halves(facts).ok_or(error)?;
            left.extend([second, first]);
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn is_too_large(error: &ClusterError) -> bool {
    matches!(error.code(), Some(ErrorCode::MESSAGE_TOO_LARGE | ErrorCode::RECORD_LIST_TOO_LARGE))
}

/// Whether the cluster does not have the topic, or has another of its name.
pub(super) fn is_gone(error: &LinkError) -> bool {
    let LinkError::Cluster(error) = error else { return false };
    let unknown = [
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        ErrorCode::UNKNOWN_TOPIC_ID,
        ErrorCode::INCONSISTENT_TOPIC_ID,
    ];
    matches!(error, ClusterError::UnknownTopic { .. })
        || error.code().is_some_and(|code| unknown.contains(&code))
}

/// What is stored, shared between the link's task and whoever writes.
pub(crate) type SharedStored = Arc<Mutex<Stored>>;
