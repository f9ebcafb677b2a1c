//! Reads a partition's log in a region: where it ends, and which of our batches it holds.

use bytes::Bytes;
use leeward_client::{ClusterError, Connection, Lane, RequestError};
use leeward_model::{ProducerEpoch, ProducerId, Sequence, TopicId, TopicPartition};
use leeward_wire::ErrorCode;
use leeward_wire::api::{
    FetchRequest, FetchRequestPartition, FetchRequestTopic, ListOffsetsRequest, ListOffsetsRequestPartition,
    ListOffsetsRequestTopic,
};
use leeward_wire::record::{BatchError, RecordBatch, split_batches};

use super::{Partition, Region};
use crate::limits::{LOOK_BYTES, LOOK_TIMEOUT};
use crate::partition::Found;

/// Newest version without topic ids.
const FETCH_VERSION_MAX: i16 = 12;
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
/// Not a replica.
const CONSUMER: i32 = -1;
/// Without a fetch session.
const NO_SESSION: i32 = -1;

/// Why a log could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LookError {
    #[error("region {region} is not reached yet")]
    NotConnected { region: leeward_model::RegionName },
    #[error("cluster does not answer")]
    Cluster(#[from] ClusterError),
    #[error("request failed")]
    Request(#[from] RequestError),
    #[error("broker answered {0}")]
    Code(ErrorCode),
    #[error("broker said nothing of the partition")]
    Missing,
    #[error("the topic was made anew meanwhile")]
    Remade,
    #[error("log holds what is no batch")]
    Batch(#[from] BatchError),
    #[error("buffered batch cannot be read")]
    Journal(#[from] leeward_log::ReadError),
}

/// One partition's log.
pub(super) struct Log {
    connection: Connection,
    partition: TopicPartition,
}

impl Log {
    pub(super) async fn open(region: &Region, partition: &TopicPartition) -> Result<Self, LookError> {
        let not_connected = || LookError::NotConnected { region: region.name.clone() };
        let cluster = region.cluster().ok_or_else(not_connected)?;
        let connected = cluster.leader_connection(partition, Lane::Shared).await;
        let (_, connection) = connected.inspect_err(|_| region.want_leaders())?;
        Ok(Self { connection, partition: partition.clone() })
    }

    async fn offset(&self, timestamp: i64) -> Result<i64, LookError> {
        let partition = ListOffsetsRequestPartition {
            partition_index: self.partition.partition.to_wire(),
            timestamp,
            ..ListOffsetsRequestPartition::default()
        };
        let topic = ListOffsetsRequestTopic {
            name: self.partition.topic.as_str().to_owned(),
            partitions: vec![partition],
        };
        let request =
            ListOffsetsRequest { replica_id: CONSUMER, topics: vec![topic], ..ListOffsetsRequest::default() };
        let version = self.connection.version_for::<ListOffsetsRequest>().map_err(RequestError::from)?;
        let response = self.connection.send_within(&request, version, LOOK_TIMEOUT).await?;
        let answer = response.topics.into_iter().flat_map(|topic| topic.partitions).next();
        let answer = answer.ok_or(LookError::Missing)?;
        ErrorCode::new(answer.error_code).into_result().map_err(LookError::Code)?;
        Ok(answer.offset)
    }

    pub(super) async fn end(&self) -> Result<i64, LookError> {
        self.offset(LATEST).await
    }

    /// The batches from about `from` on; an offset before the log's start means its start.
    pub(super) async fn fetch(&self, from: i64) -> Result<Vec<RecordBatch>, LookError> {
        let fetched = match self.fetch_once(from).await {
            Err(LookError::Code(ErrorCode::OFFSET_OUT_OF_RANGE)) => {
                let start = self.offset(EARLIEST).await?;
                if start <= from {
                    return Ok(Vec::new());
                }
                self.fetch_once(start).await?
            }
            fetched => fetched?,
        };
        Ok(split_batches(fetched).collect::<Result<Vec<_>, _>>()?)
    }

    async fn fetch_once(&self, from: i64) -> Result<Bytes, LookError> {
        let partition = FetchRequestPartition {
            partition: self.partition.partition.to_wire(),
            current_leader_epoch: -1,
            fetch_offset: from,
            partition_max_bytes: LOOK_BYTES,
            ..FetchRequestPartition::default()
        };
        let topic = FetchRequestTopic {
            topic: self.partition.topic.as_str().to_owned(),
            partitions: vec![partition],
            ..FetchRequestTopic::default()
        };
        let request = FetchRequest {
            max_wait_ms: 0,
            min_bytes: 0,
            max_bytes: LOOK_BYTES,
            session_epoch: NO_SESSION,
            topics: vec![topic],
            ..FetchRequest::default()
        };
        let version =
            self.connection.version_up_to::<FetchRequest>(FETCH_VERSION_MAX).map_err(RequestError::from)?;
        let response = self.connection.send_within(&request, version, LOOK_TIMEOUT).await?;
        ErrorCode::new(response.error_code).into_result().map_err(LookError::Code)?;
        let answer = response.responses.into_iter().flat_map(|topic| topic.partitions).next();
        let answer = answer.ok_or(LookError::Missing)?;
        ErrorCode::new(answer.error_code).into_result().map_err(LookError::Code)?;
        Ok(answer.records.unwrap_or_default())
    }
}

/// Where a partition's log ends in a region, and which topic was told last to have it: nothing counts for that before it is
/// told again.
pub(super) async fn end_of(
    region: &Region,
    partition: &TopicPartition,
) -> Result<(i64, Option<TopicId>), LookError> {
    let log = Log::open(region, partition).await?;
    let end = log.end().await.inspect_err(|_| region.want_leaders())?;
    Ok((end, known_topic(region, partition)))
}

fn known_topic(region: &Region, partition: &TopicPartition) -> Option<TopicId> {
    region.cluster()?.map().topics.get(&partition.topic)?.id
}

/// Our batches of one producer and epoch, from an offset to the log's end as it is, and the topic that has the log.
pub(super) async fn look(
    region: &Region,
    partition: &Partition,
    (producer, epoch): (ProducerId, ProducerEpoch),
    from: i64,
) -> Result<(Vec<Found>, Option<TopicId>), LookError> {
    let log = Log::open(region, &partition.name).await?;
    let before = known_topic(region, &partition.name);
    let end = log.end().await.inspect_err(|_| region.want_leaders())?;
    let mut found = Vec::new();
    let mut next = from;
    while next < end {
        let batches = log.fetch(next).await?;
        let Some(last) = batches.last() else { break };
        next = next.max(last.next_offset());
        let ours = batches.iter().filter(|batch| {
            batch.producer_id() == producer.to_wire()
                && batch.producer_epoch() == epoch.to_wire()
                && batch.base_offset() >= from
        });
        found.extend(ours.filter_map(|batch| {
            Some(Found {
                sequence: Sequence::from_wire(batch.base_sequence())?,
                records: batch.record_count().unsigned_abs(),
                base_offset: batch.base_offset(),
            })
        }));
    }
    // No topic comes back once it is gone: one that was told before and is told now was there in between.
    let after = region.topics.id_of(&partition.name.topic).await?;
    if before == after { Ok((found, after)) } else { Err(LookError::Remade) }
}
