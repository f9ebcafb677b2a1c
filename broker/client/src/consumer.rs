//! A member of a consumer group, by the classic protocol: joins, reads its share, commits, rejoins when it must.

mod assign;
mod member;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use leeward_model::{ClusterId, GroupName, TopicName, TopicPartition};
use leeward_wire::{ErrorCode, record::BatchError};
use tokio::time::Instant;

use crate::{
    Cluster, ClusterError, CommitOffset, ConsumedRecord, FetchFrom, FetchPlan, Fetched, Fetcher, Lane,
    Membership, OffsetSpec, backoff, read_records,
};

/// What a member does where its group has no position, or one that the log does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetReset {
    Earliest,
    Latest,
    /// Nothing: that is an error.
    Fail,
}

/// How a member takes part in its group.
#[derive(Clone, Debug)]
pub struct GroupConfig {
    pub group: GroupName,
    pub topics: Vec<TopicName>,
    /// Silence after which the group goes on without the member.
    pub session_timeout: Duration,
    /// How long the group waits for its members to come back when it shares anew.
    pub rebalance_timeout: Duration,
    pub heartbeat_interval: Duration,
    pub reset: OffsetReset,
    pub fetch: FetchPlan,
    /// Bytes of one partition in one answer.
    pub partition_max_bytes: i32,
    /// A name that outlives the process, for static membership.
    pub instance_id: Option<String>,
}

impl GroupConfig {
    pub fn new(group: GroupName, topics: Vec<TopicName>) -> Self {
        Self {
            group,
            topics,
            session_timeout: Duration::from_secs(10),
            rebalance_timeout: Duration::from_secs(30),
            heartbeat_interval: Duration::from_secs(1),
            reset: OffsetReset::Earliest,
            fetch: FetchPlan::default(),
            partition_max_bytes: 1024 * 1024,
            instance_id: None,
        }
    }
}

/// Why a member cannot go on by itself.
#[derive(Debug, thiserror::Error)]
pub enum ConsumerError {
    #[error("group {group} cannot be taken part in")]
    Cluster { group: GroupName, source: ClusterError },
    #[error("{partition} at offset {offset} cannot be read")]
    Batch { partition: TopicPartition, offset: i64, source: BatchError },
    #[error("group {group} has no position in {partition} that the log has, and none is to be made up")]
    NoPosition { group: GroupName, partition: TopicPartition },
}

/// A member of a group. It lives by being polled: without [`GroupConsumer::poll`] no heartbeat is sent.
#[derive(Debug)]
pub struct GroupConsumer {
    cluster: Cluster,
    config: GroupConfig,
    lane: Lane,
    standing: Standing,
    fetchers: BTreeMap<i32, Fetcher>,
    /// The offset read next, of each partition in the member's share.
    positions: BTreeMap<TopicPartition, i64>,
    /// Failures since the last success.
    failures: u32,
    trouble: Option<Arc<ClusterError>>,
}

/// Where the member stands with its group.
#[derive(Clone, Debug)]
enum Standing {
    /// To join; with the id that the group knows it by, or an empty one.
    Outside {
        member_id: String,
    },
    Inside {
        member_id: String,
        generation: i32,
        cluster: ClusterId,
        next_heartbeat: Instant,
    },
}

impl GroupConsumer {
    /// A member that joins with its first poll.
    pub fn new(cluster: &Cluster, config: GroupConfig) -> Self {
        Self {
            cluster: cluster.clone(),
            config,
            lane: Lane::own(),
            standing: Standing::Outside { member_id: String::new() },
            fetchers: BTreeMap::new(),
            positions: BTreeMap::new(),
            failures: 0,
            trouble: None,
        }
    }

    /// Joins where that is due, sends a heartbeat where one is due, and reads for at most about `max_wait`.
    ///
    /// What another attempt can heal gives no error but no records: see [`GroupConsumer::trouble`]. After the cluster handle
    /// has moved to another cluster, the member joins there and reads from the positions that the group has there.
    ///
    /// # Errors
    ///
    /// [`ConsumerError`] for what it cannot.
    pub async fn poll(&mut self, max_wait: Duration) -> Result<Vec<ConsumedRecord>, ConsumerError> {
        match self.poll_once(max_wait).await {
            Ok(records) => {
                self.failures = 0;
                self.trouble = None;
                Ok(records)
            }
            Err(ConsumerError::Cluster { source, .. }) if is_passing(&source) => {
                tracing::debug!(group = %self.config.group, error = &source as &dyn std::error::Error, "trouble");
                let pause = backoff(self.failures, &mut rand::rng()).min(max_wait);
                self.failures = self.failures.saturating_add(1);
                self.cluster.learn_from(&source).await;
                self.trouble = Some(Arc::new(source));
                tokio::time::sleep(pause).await;
                Ok(Vec::new())
            }
            Err(error) => Err(error),
        }
    }

    async fn poll_once(&mut self, max_wait: Duration) -> Result<Vec<ConsumedRecord>, ConsumerError> {
        self.follow_cluster();
        if matches!(self.standing, Standing::Outside { .. }) {
            self.join().await?;
        }
        self.beat_if_due().await?;
        let Standing::Inside { next_heartbeat, .. } = &self.standing else {
            return Ok(Vec::new());
        };
        let until_heartbeat = next_heartbeat.saturating_duration_since(Instant::now());
        let max_wait = max_wait.min(until_heartbeat).max(Duration::from_millis(1));
        if self.positions.is_empty() {
            tokio::time::sleep(max_wait).await;
            return Ok(Vec::new());
        }
        self.read(max_wait).await
    }

    /// The partitions of the member's share and the offsets that are read next.
    pub fn positions(&self) -> &BTreeMap<TopicPartition, i64> {
        &self.positions
    }

    /// The generation the member is in; `None` while it has to join.
    pub fn generation(&self) -> Option<i32> {
        match &self.standing {
            Standing::Inside { generation, .. } => Some(*generation),
            Standing::Outside { .. } => None,
        }
    }

    /// What keeps the last poll from reading.
    pub fn trouble(&self) -> Option<&ClusterError> {
        self.trouble.as_deref()
    }

    /// Commits the positions of all that was returned by polls so far.
    ///
    /// # Errors
    ///
    /// [`ConsumerError::Cluster`]; where the group has gone on without the member, the next poll joins again and what was
    /// not committed is read again by whoever has the partition.
    pub async fn commit(&mut self) -> Result<(), ConsumerError> {
        let offsets: Vec<_> = self
            .positions
            .iter()
            .map(|(partition, offset)| (partition.clone(), CommitOffset::at(*offset)))
            .collect();
        self.commit_offsets(&offsets).await
    }

    /// Commits chosen positions as this member.
    ///
    /// # Errors
    ///
    /// As [`GroupConsumer::commit`].
    pub async fn commit_offsets(
        &mut self,
        offsets: &[(TopicPartition, CommitOffset)],
    ) -> Result<(), ConsumerError> {
        self.follow_cluster();
        let Standing::Inside { member_id, generation, .. } = &self.standing else {
            return Ok(());
        };
        let membership = Membership {
            generation: *generation,
            member_id: member_id.clone(),
            instance_id: self.config.instance_id.clone(),
        };
        let outcomes = self.cluster.commit_offsets_as(&self.config.group, &membership, offsets).await;
        let failed = match outcomes {
            Ok(outcomes) => outcomes.into_values().find_map(Result::err),
            Err(error) => Some(error),
        };
        match failed {
            None => Ok(()),
            Some(error) => {
                self.note_membership(&error);
                Err(self.failed(error))
            }
        }
    }

    /// Another cluster has other offsets and another group: start anew there.
    fn follow_cluster(&mut self) {
        if let Standing::Inside { cluster, .. } = &self.standing
            && *cluster != self.cluster.cluster_id()
        {
            self.step_out(String::new());
        }
    }

    fn step_out(&mut self, member_id: String) {
        self.standing = Standing::Outside { member_id };
        self.positions.clear();
        self.fetchers.clear();
    }

    fn failed(&self, source: ClusterError) -> ConsumerError {
        ConsumerError::Cluster { group: self.config.group.clone(), source }
    }

    async fn read(&mut self, max_wait: Duration) -> Result<Vec<ConsumedRecord>, ConsumerError> {
        self.arrange().await.map_err(|error| self.failed(error))?;
        let plan = FetchPlan { max_wait, ..self.config.fetch };
        let reads = self.fetchers.values_mut().map(|fetcher| fetcher.fetch(&plan));
        let answers = futures::future::join_all(reads).await;
        let mut records = Vec::new();
        let mut trouble = None;
        for answer in answers {
            match answer {
                Ok(fetched) => {
                    for part in fetched {
                        match self.take(&part).await {
                            Ok(read) => records.extend(read),
                            Err(ConsumerError::Cluster { source, .. }) => trouble = Some(source),
                            Err(error) => return Err(error),
                        }
                    }
                }
                Err(error) => trouble = Some(error),
            }
        }
        match trouble {
            // What was read is handed out first; the trouble shows again in the next poll.
            Some(error) if records.is_empty() => Err(self.failed(error)),
            Some(error) => {
                self.cluster.learn_from(&error).await;
                Ok(records)
            }
            None => Ok(records),
        }
    }

    /// Gives each partition to the fetcher of its leader.
    async fn arrange(&mut self) -> Result<(), ClusterError> {
        let max_bytes = self.config.partition_max_bytes;
        for (partition, offset) in &self.positions {
            let leader = self.cluster.leader(partition).await?.broker;
            for (broker, fetcher) in &mut self.fetchers {
                if *broker != leader {
                    fetcher.remove(partition);
                }
            }
            self.fetchers
                .entry(leader)
                .or_insert_with(|| Fetcher::new(&self.cluster, leader))
                .set(partition.clone(), FetchFrom { max_bytes, ..FetchFrom::offset(*offset) });
        }
        self.fetchers.retain(|_, fetcher| !fetcher.is_empty());
        Ok(())
    }

    async fn take(&mut self, fetched: &Fetched) -> Result<Vec<ConsumedRecord>, ConsumerError> {
        let partition = &fetched.partition;
        let Some(from) = self.positions.get(partition).copied() else {
            return Ok(Vec::new());
        };
        match fetched.error {
            ErrorCode::NONE => {}
            ErrorCode::OFFSET_OUT_OF_RANGE => {
                let reset = self.reset(partition).await?;
                tracing::warn!(group = %self.config.group, %partition, from, reset, "offset out of range");
                self.positions.insert(partition.clone(), reset);
                return Ok(Vec::new());
            }
            code => return Err(self.failed(self.refused(partition, code))),
        }
        let read = read_records(fetched, from, self.config.fetch.isolation)
            .map_err(|source| ConsumerError::Batch { partition: partition.clone(), offset: from, source })?;
        self.positions.insert(partition.clone(), read.next_offset);
        Ok(read.records)
    }

    fn refused(&self, partition: &TopicPartition, code: ErrorCode) -> ClusterError {
        let leader = self.cluster.map().leader(partition).map_or(-1, |leader| leader.broker);
        let address = self.cluster.map().brokers.get(&leader).map(|broker| broker.address.clone());
        ClusterError::Refused {
            api: leeward_wire::ApiKey::Fetch,
            address: address.unwrap_or_else(|| crate::Address::new("unknown", 0)),
            subject: partition.to_string(),
            code,
            message: None,
        }
    }

    /// The offset to begin with where there is no position.
    async fn reset(&self, partition: &TopicPartition) -> Result<i64, ConsumerError> {
        let spec = match self.config.reset {
            OffsetReset::Earliest => OffsetSpec::Earliest,
            OffsetReset::Latest => OffsetSpec::Latest,
            OffsetReset::Fail => {
                return Err(ConsumerError::NoPosition {
                    group: self.config.group.clone(),
                    partition: partition.clone(),
                });
            }
        };
        let listed = self.cluster.list_offset(partition, spec).await;
        Ok(listed.map_err(|error| self.failed(error))?.offset)
    }
}

impl Drop for GroupConsumer {
    fn drop(&mut self) {
        self.cluster.forget_lane(self.lane);
    }
}

/// Whether the next poll may find everything well.
fn is_passing(error: &ClusterError) -> bool {
    error.may_retry() || error.is_deadline() || error.is_rebalance()
}
