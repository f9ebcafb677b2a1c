//! Finds offsets: ends, starts, by time, and where leader epochs ended.

use std::collections::BTreeMap;

use leeward_model::TopicPartition;
use leeward_wire::{
    ApiKey, ErrorCode, Request,
    api::{
        ListOffsetsRequest, ListOffsetsRequestPartition, ListOffsetsRequestTopic, ListOffsetsResponse,
        OffsetForLeaderEpochRequest, OffsetForLeaderEpochRequestPartition, OffsetForLeaderEpochRequestTopic,
    },
};

use crate::{Address, Cluster, ClusterError, EpochEnd, Isolation, Lane, RequestError, cluster::Retry};

/// First version of `ListOffsets` that finds the record with the largest timestamp.
const LIST_OFFSETS_MAX_TIMESTAMP: i16 = 7;
const CONSUMER: i32 = -1;
/// Who asks as this one hears what a log holds whether its followers have it or not.
const DEBUGGER: i32 = -2;

/// Which offset of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetSpec {
    /// The first that is still there.
    Earliest,
    /// The one that the next record gets, as far as readers of the chosen isolation see.
    Latest,
    /// That of the record with the largest timestamp.
    MaxTimestamp,
    /// The first record at or after this time, in milliseconds since 1970.
    At(i64),
}

impl OffsetSpec {
    fn to_wire(self) -> i64 {
        match self {
            Self::Latest => -1,
            Self::Earliest => -2,
            Self::MaxTimestamp => -3,
            Self::At(time_ms) => time_ms.max(0),
        }
    }
}

/// An offset that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedOffset {
    /// -1 where no record is at or after the time.
    pub offset: i64,
    /// -1 where it is not asked for.
    pub timestamp: i64,
    /// -1 where it is unknown.
    pub leader_epoch: i32,
}

/// What each partition's leader said.
pub type PerPartition<T> = BTreeMap<TopicPartition, Result<T, ClusterError>>;

impl Cluster {
    /// Finds offsets, from each partition's leader; tries again what may succeed until the configured time is over.
    pub async fn list_offsets(
        &self,
        wanted: &[(TopicPartition, OffsetSpec)],
        isolation: Isolation,
    ) -> PerPartition<ListedOffset> {
        self.ask_leaders("list offsets", wanted, |cluster, broker, part| async move {
            cluster.list_offsets_of(broker, &part, CONSUMER, isolation).await
        })
        .await
    }

    /// Finds where logs end with all that was written: [`OffsetSpec::Latest`] leaves out what followers in sync lack yet.
    pub async fn written_ends(&self, partitions: &[TopicPartition]) -> PerPartition<ListedOffset> {
        let wanted: Vec<_> =
            partitions.iter().map(|partition| (partition.clone(), OffsetSpec::Latest)).collect();
        self.ask_leaders("list log ends", &wanted, |cluster, broker, part| async move {
            cluster.list_offsets_of(broker, &part, DEBUGGER, Isolation::ReadUncommitted).await
        })
        .await
    }

    /// Finds one offset.
    ///
    /// # Errors
    ///
    /// [`ClusterError`], after retries.
    pub async fn list_offset(
        &self,
        partition: &TopicPartition,
        spec: OffsetSpec,
    ) -> Result<ListedOffset, ClusterError> {
        let mut found = self.list_offsets(&[(partition.clone(), spec)], Isolation::ReadUncommitted).await;
        found.remove(partition).expect("each partition asked for has an outcome")
    }

    /// Finds where leader epochs ended, as far as the leaders know them.
    pub async fn offsets_for_leader_epoch(&self, wanted: &[(TopicPartition, i32)]) -> PerPartition<EpochEnd> {
        self.ask_leaders("offsets for leader epochs", wanted, |cluster, broker, part| async move {
            cluster.epoch_ends_of(broker, &part).await
        })
        .await
    }

    /// Asks leaders until all partitions have an outcome that another attempt would not change, or time is over.
    pub(crate) async fn ask_leaders<Q: Clone, T, F>(
        &self,
        what: &str,
        wanted: &[(TopicPartition, Q)],
        ask: impl Fn(Self, i32, Vec<(TopicPartition, Q)>) -> F,
    ) -> PerPartition<T>
    where
        F: Future<Output = Result<PerPartition<T>, ClusterError>>,
    {
        let mut outcomes: PerPartition<T> = BTreeMap::new();
        let mut open: Vec<_> = wanted.to_vec();
        let mut retry = Retry::new(self, self.config().timeouts.operation, what);
        let ended = loop {
            let round = async {
                let (answers, left) = self.one_round(&open, &ask).await;
                let failed =
                    left.iter().find_map(|(partition, _)| answers.get(partition)?.as_ref().err().cloned());
                outcomes.extend(answers);
                open = left;
                failed.map_or(Ok(()), Err)
            };
            if let Some(ended) = retry.step(round).await {
                break ended;
            }
        };
        if let Err(error) = ended {
            for (partition, _) in open {
                outcomes.entry(partition).or_insert_with(|| Err(error.clone()));
            }
        }
        outcomes
    }

    async fn one_round<Q: Clone, T, F>(
        &self,
        open: &[(TopicPartition, Q)],
        ask: &impl Fn(Self, i32, Vec<(TopicPartition, Q)>) -> F,
    ) -> (PerPartition<T>, Vec<(TopicPartition, Q)>)
    where
        F: Future<Output = Result<PerPartition<T>, ClusterError>>,
    {
        let mut answers: PerPartition<T> = BTreeMap::new();
        let mut by_broker: BTreeMap<i32, Vec<(TopicPartition, Q)>> = BTreeMap::new();
        for (partition, query) in open {
            match self.leader(partition).await {
                Ok(leader) => {
                    by_broker.entry(leader.broker).or_default().push((partition.clone(), query.clone()));
                }
                Err(error) => {
                    answers.insert(partition.clone(), Err(error));
                }
            }
        }
        for (broker, part) in by_broker {
            match ask(self.clone(), broker, part.clone()).await {
                Ok(answered) => answers.extend(answered),
                Err(error) => {
                    answers.extend(part.into_iter().map(|(partition, _)| (partition, Err(error.clone()))));
                }
            }
        }
        let again = |partition: &TopicPartition| {
            answers.get(partition).is_none_or(|outcome| outcome.as_ref().is_err_and(ClusterError::may_retry))
        };
        let left = open.iter().filter(|(partition, _)| again(partition)).cloned().collect();
        (answers, left)
    }

    async fn list_offsets_of(
        &self,
        broker: i32,
        wanted: &[(TopicPartition, OffsetSpec)],
        replica_id: i32,
        isolation: Isolation,
    ) -> Result<PerPartition<ListedOffset>, ClusterError> {
        let connection = self.connection(broker, Lane::Shared).await?;
        let mut topics: BTreeMap<&str, Vec<ListOffsetsRequestPartition>> = BTreeMap::new();
        for (partition, spec) in wanted {
            topics.entry(partition.topic.as_str()).or_default().push(ListOffsetsRequestPartition {
                partition_index: partition.partition.to_wire(),
                timestamp: spec.to_wire(),
                ..ListOffsetsRequestPartition::default()
            });
        }
        let request = ListOffsetsRequest {
            replica_id,
            isolation_level: isolation.to_wire(),
            topics: topics
                .into_iter()
                .map(|(name, partitions)| ListOffsetsRequestTopic { name: name.to_owned(), partitions })
                .collect(),
            timeout_ms: i32::try_from(connection.request_timeout().as_millis()).unwrap_or(i32::MAX),
        };
        let version = connection.version_for::<ListOffsetsRequest>().map_err(RequestError::from)?;
        let by_max = wanted.iter().any(|(_, spec)| *spec == OffsetSpec::MaxTimestamp);
        if by_max && version < LIST_OFFSETS_MAX_TIMESTAMP {
            return Err(RequestError::from(crate::Unsupported {
                address: connection.address().clone(),
                api: ApiKey::ListOffsets,
                broker: connection.broker_versions(ApiKey::ListOffsets),
                ours: (LIST_OFFSETS_MAX_TIMESTAMP, ListOffsetsRequest::MAX_VERSION),
            })
            .into());
        }
        let answer = connection.send(&request, version).await?;
        Ok(read_listed(connection.address(), wanted, answer))
    }

    async fn epoch_ends_of(
        &self,
        broker: i32,
        wanted: &[(TopicPartition, i32)],
    ) -> Result<PerPartition<EpochEnd>, ClusterError> {
        let connection = self.connection(broker, Lane::Shared).await?;
        let mut topics: BTreeMap<&str, Vec<OffsetForLeaderEpochRequestPartition>> = BTreeMap::new();
        for (partition, epoch) in wanted {
            topics.entry(partition.topic.as_str()).or_default().push(OffsetForLeaderEpochRequestPartition {
                partition: partition.partition.to_wire(),
                current_leader_epoch: -1,
                leader_epoch: *epoch,
            });
        }
        let request = OffsetForLeaderEpochRequest {
            replica_id: CONSUMER,
            topics: topics
                .into_iter()
                .map(|(topic, partitions)| OffsetForLeaderEpochRequestTopic {
                    topic: topic.to_owned(),
                    partitions,
                })
                .collect(),
        };
        let answer = crate::cluster::newest(&connection, &request).await?;
        let mut answered: BTreeMap<(String, i32), _> = answer
            .topics
            .into_iter()
            .flat_map(|topic| {
                topic.partitions.into_iter().map(move |found| ((topic.topic.clone(), found.partition), found))
            })
            .collect();
        Ok(per_partition(connection.address(), ApiKey::OffsetForLeaderEpoch, wanted, |key| {
            let found = answered.remove(key)?;
            let end = EpochEnd { epoch: found.leader_epoch, end_offset: found.end_offset };
            Some((ErrorCode::new(found.error_code), end))
        }))
    }
}

fn read_listed(
    address: &Address,
    wanted: &[(TopicPartition, OffsetSpec)],
    answer: ListOffsetsResponse,
) -> PerPartition<ListedOffset> {
    let mut answered: BTreeMap<(String, i32), _> = answer
        .topics
        .into_iter()
        .flat_map(|topic| {
            topic
                .partitions
                .into_iter()
                .map(move |found| ((topic.name.clone(), found.partition_index), found))
        })
        .collect();
    per_partition(address, ApiKey::ListOffsets, wanted, |key| {
        let found = answered.remove(key)?;
        let listed = ListedOffset {
            offset: found.offset,
            timestamp: found.timestamp,
            leader_epoch: found.leader_epoch,
        };
        Some((ErrorCode::new(found.error_code), listed))
    })
}

/// Gives each partition asked for what `take` finds for it in the answer.
pub(crate) fn per_partition<Q, T>(
    address: &Address,
    api: ApiKey,
    wanted: &[(TopicPartition, Q)],
    mut take: impl FnMut(&(String, i32)) -> Option<(ErrorCode, T)>,
) -> PerPartition<T> {
    wanted
        .iter()
        .map(|(partition, _)| {
            let key = (partition.topic.as_str().to_owned(), partition.partition.to_wire());
            let subject = || partition.to_string();
            let outcome = match take(&key) {
                None => Err(ClusterError::Missing { api, address: address.clone(), subject: subject() }),
                Some((ErrorCode::NONE, found)) => Ok(found),
                Some((code, _)) => Err(ClusterError::Refused {
                    api,
                    address: address.clone(),
                    subject: subject(),
                    code,
                    message: None,
                }),
            };
            (partition.clone(), outcome)
        })
        .collect()
}
