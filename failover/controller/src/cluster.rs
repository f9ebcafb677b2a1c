//! What the failover asks of a regional cluster, and nothing about how it is asked.

use std::{collections::BTreeMap, fmt};

use bytes::Bytes;
use futures::future::BoxFuture;
use leeward_failover_core::{LogEnd, Tail};
use leeward_model::{ClusterId, GroupName, SourceOffset, TargetOffset, TopicName, TopicPartition};

/// Why a cluster did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClusterError {
    #[error("{cluster} was not reached: {reason}")]
    Unreachable { cluster: String, reason: String },
    #[error("{cluster} refused: {reason}")]
    Refused { cluster: String, reason: String },
    #[error("{cluster} is not the cluster it should be: expected id {expected}, found {found}")]
    Identity { cluster: String, expected: ClusterId, found: ClusterId },
}

/// A broker's number in its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BrokerId(pub i32);

/// A partition and who leads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedPartition {
    pub partition: TopicPartition,
    pub leader: Option<BrokerId>,
}

/// A cluster's metadata at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterView {
    pub cluster_id: ClusterId,
    pub brokers: Vec<BrokerId>,
    pub partitions: Vec<LedPartition>,
}

/// How a partition's leader answers a write that it would never append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteProbe {
    Refused,
    /// It would have taken a good batch.
    Open,
    /// No leader, or no answer that tells.
    Unknown,
}

/// What became of a group's positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupCommit {
    Committed,
    /// The group is alive on this cluster: its own commits win.
    SkippedActive,
}

/// Whose records a quarantine keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuarantineTopic {
    pub topic: TopicName,
    /// Headers that each record gets, beside its own.
    pub headers: Vec<(String, String)>,
}

type Answer<'a, T> = BoxFuture<'a, Result<T, ClusterError>>;

/// One regional cluster. Every method is bounded in time by its implementation, and safe to repeat.
pub trait Cluster: fmt::Debug + Send + Sync {
    /// A TCP connection to any bootstrap address.
    fn reach(&self) -> Answer<'_, ()>;

    /// Any broker answers `ApiVersions`, at the first try.
    fn api_versions(&self) -> Answer<'_, ()>;

    /// A broker answers `Metadata`, at the first try; which cluster it says it is.
    fn identify(&self) -> Answer<'_, ClusterId>;

    fn view(&self) -> Answer<'_, ClusterView>;

    /// Writes to `__leeward_canary` with acks of all in-sync replicas; makes the topic where it is missing.
    fn produce_canary(&self, payload: Bytes) -> Answer<'_, SourceOffset>;

    /// Whether the canary topic holds this payload at this offset.
    fn fetch_canary(&self, at: SourceOffset, payload: Bytes) -> Answer<'_, bool>;

    /// Each topic's own `max.message.bytes`; `None` where it has none of its own.
    fn message_bytes_max<'a>(
        &'a self,
        topics: &'a [TopicName],
    ) -> Answer<'a, BTreeMap<TopicName, Option<u64>>>;

    /// Sets topics' own `max.message.bytes`, or takes it away.
    fn set_message_bytes_max<'a>(&'a self, topics: &'a [(TopicName, Option<u64>)]) -> Answer<'a, ()>;

    /// The dynamic default of topics without their own; `None` where there is none.
    fn default_message_bytes_max(&self) -> Answer<'_, Option<u64>>;

    /// Sets the cluster's default for topics without their own, or takes it away.
    fn set_default_message_bytes_max(&self, bytes: Option<u64>) -> Answer<'_, ()>;

    /// Asks each partition's leader to take a batch that it would never append.
    fn probe_writes<'a>(
        &'a self,
        partitions: &'a [TopicPartition],
    ) -> Answer<'a, Vec<(TopicPartition, WriteProbe)>>;

    /// Where logs end for readers: what followers in sync lack yet is behind that, and may be acknowledged later.
    fn log_ends<'a>(&'a self, partitions: &'a [TopicPartition]) -> Answer<'a, Vec<LogEnd>>;

    /// Where logs end with all that was written.
    fn written_ends<'a>(&'a self, partitions: &'a [TopicPartition]) -> Answer<'a, Vec<LogEnd>>;

    /// Commits positions with leader epoch -1, unless the group is alive here.
    fn commit_group<'a>(
        &'a self,
        group: &'a GroupName,
        positions: &'a [(TopicPartition, TargetOffset)],
    ) -> Answer<'a, GroupCommit>;

    /// Deletes topics, and returns when they are gone.
    fn delete_topics<'a>(&'a self, topics: &'a [TopicName]) -> Answer<'a, ()>;

    /// Copies a tail's records from this cluster into a topic of `survivor`, and goes on where an earlier copy
    /// stopped; how many records were copied.
    fn copy_tail<'a>(
        &'a self,
        tail: &'a Tail,
        survivor: &'a dyn Cluster,
        into: &'a QuarantineTopic,
    ) -> Answer<'a, u64>;

    /// First offset of `origin` that the quarantine topic does not hold; `None` where it holds nothing of it.
    fn quarantined_to<'a>(
        &'a self,
        into: &'a QuarantineTopic,
        origin: &'a TopicPartition,
    ) -> Answer<'a, Option<SourceOffset>>;

    /// Appends records to a quarantine topic, which is made where it is missing.
    fn append_quarantine<'a>(
        &'a self,
        into: &'a QuarantineTopic,
        records: Vec<QuarantinedRecord>,
    ) -> Answer<'a, ()>;
}

/// One record on its way into quarantine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuarantinedRecord {
    pub origin: TopicPartition,
    pub offset: SourceOffset,
    pub timestamp_millis: i64,
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    pub headers: Vec<(String, Option<Bytes>)>,
}
