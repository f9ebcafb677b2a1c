//! Reads whole partitions from a cluster, to see what is really there.

use leeward_client::{Cluster, ClusterError, Lane, RequestError};
use leeward_model::{PartitionIndex, TopicName, TopicPartition};
use leeward_wire::{
    ErrorCode,
    api::{
        FetchRequest, FetchRequestPartition, FetchRequestTopic, ListOffsetsRequest,
        ListOffsetsRequestPartition, ListOffsetsRequestTopic,
    },
    record::{BatchError, Record, limits::DECOMPRESSED_BYTES_MAX, split_batches},
};

use crate::ledger::Found;

/// The newest `Fetch` version that names topics.
const FETCH_BY_NAME: i16 = 12;
const FETCH_BYTES: i32 = 8 << 20;
const EARLIEST: i64 = -2;
const LATEST: i64 = -1;

/// Why a log could not be read.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error("{partition}: {source}")]
    Request { partition: TopicPartition, source: RequestError },
    #[error("{partition}: {code}")]
    Refused { partition: TopicPartition, code: ErrorCode },
    #[error("{partition} at offset {offset}: {source}")]
    Batch { partition: TopicPartition, offset: i64, source: BatchError },
    #[error("{partition} ends at offset {end}, and nothing comes after offset {offset}")]
    Stuck { partition: TopicPartition, offset: i64, end: i64 },
}

/// Every record of ours in `topics`, each partition in the order of its log.
///
/// # Errors
///
/// [`LookError`].
pub(crate) async fn look(cluster: &Cluster, topics: &[TopicName]) -> Result<Vec<Found>, LookError> {
    look_as(cluster, topics, &|partition, offset, record| {
        let index = partition.partition.to_wire();
        Found::parse(partition.topic.as_str(), index, offset, record.value.unwrap_or_default())
    })
    .await
}

/// Every record of ours in quarantine topics, as the stream that it came from.
///
/// # Errors
///
/// [`LookError`].
pub(crate) async fn look_quarantined(
    cluster: &Cluster,
    topics: &[TopicName],
) -> Result<Vec<Found>, LookError> {
    look_as(cluster, topics, &|_, _, record| {
        let header = |name: &str| {
            let mut headers = record.headers.clone();
            let value = headers.find(|header| header.key == name.as_bytes())?.value?;
            std::str::from_utf8(value).ok().map(str::to_owned)
        };
        let (topic, partition) = (header("leeward-topic")?, header("leeward-partition")?.parse().ok()?);
        let offset = header("leeward-offset")?.parse().ok()?;
        Found::parse(&topic, partition, offset, record.value.unwrap_or_default())
    })
    .await
}

/// Reads one record as it stands at an offset of a partition; `None` where it is not ours.
type Reading<'a> = &'a (dyn Fn(&TopicPartition, i64, &Record<'_>) -> Option<Found> + Sync);

async fn look_as(
    cluster: &Cluster,
    topics: &[TopicName],
    read: Reading<'_>,
) -> Result<Vec<Found>, LookError> {
    let mut found = Vec::new();
    for topic in topics {
        let partitions = cluster.topic(topic).await?.partitions.len();
        for index in 0..partitions {
            let index = i32::try_from(index).ok().and_then(PartitionIndex::from_wire);
            let Some(partition) = index else { continue };
            let partition = TopicPartition { topic: topic.clone(), partition };
            partition_records(cluster, &partition, read, &mut found).await?;
        }
    }
    Ok(found)
}

async fn partition_records(
    cluster: &Cluster,
    partition: &TopicPartition,
    read: Reading<'_>,
    found: &mut Vec<Found>,
) -> Result<(), LookError> {
    let mut offset = boundary(cluster, partition, EARLIEST).await?;
    let end = boundary(cluster, partition, LATEST).await?;
    while offset < end {
        let records = fetch(cluster, partition, offset).await?;
        let before = offset;
        for batch in split_batches(records) {
            let failed = |source| LookError::Batch { partition: partition.clone(), offset, source };
            let batch = batch.map_err(failed)?;
            if !batch.is_control() {
                for record in batch.decompress(DECOMPRESSED_BYTES_MAX).map_err(failed)?.records() {
                    let record = record.map_err(failed)?;
                    let at = batch.base_offset() + i64::from(record.offset_delta);
                    if at >= before {
                        found.extend(read(partition, at, &record));
                    }
                }
            }
            offset = offset.max(batch.next_offset());
        }
        if offset == before {
            return Err(LookError::Stuck { partition: partition.clone(), offset, end });
        }
    }
    Ok(())
}

async fn boundary(cluster: &Cluster, partition: &TopicPartition, which: i64) -> Result<i64, LookError> {
    let request = ListOffsetsRequest {
        replica_id: -1,
        topics: vec![ListOffsetsRequestTopic {
            name: partition.topic.to_string(),
            partitions: vec![ListOffsetsRequestPartition {
                partition_index: partition.partition.to_wire(),
                timestamp: which,
                ..Default::default()
            }],
        }],
        ..Default::default()
    };
    let leader = cluster.leader(partition).await?;
    let answer = cluster.request_to(leader.broker, &request).await?;
    let answered = answer.topics.iter().flat_map(|topic| &topic.partitions).next();
    match answered.map(|answered| (ErrorCode::new(answered.error_code), answered.offset)) {
        Some((ErrorCode::NONE, offset)) => Ok(offset),
        Some((code, _)) => Err(LookError::Refused { partition: partition.clone(), code }),
        None => {
            Err(LookError::Refused { partition: partition.clone(), code: ErrorCode::UNKNOWN_SERVER_ERROR })
        }
    }
}

async fn fetch(
    cluster: &Cluster,
    partition: &TopicPartition,
    offset: i64,
) -> Result<bytes::Bytes, LookError> {
    let request = FetchRequest {
        max_wait_ms: 500,
        min_bytes: 1,
        max_bytes: FETCH_BYTES,
        topics: vec![FetchRequestTopic {
            topic: partition.topic.to_string(),
            partitions: vec![FetchRequestPartition {
                partition: partition.partition.to_wire(),
                fetch_offset: offset,
                partition_max_bytes: FETCH_BYTES,
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    };
    let failed = |source| LookError::Request { partition: partition.clone(), source };
    let (_, connection) = cluster.leader_connection(partition, Lane::Shared).await?;
    let version =
        connection.version_up_to::<FetchRequest>(FETCH_BY_NAME).map_err(|error| failed(error.into()))?;
    let answer = connection.send(&request, version).await.map_err(failed)?;
    let answered = answer.responses.into_iter().flat_map(|topic| topic.partitions).next();
    let Some(answered) = answered else { return Ok(bytes::Bytes::new()) };
    match ErrorCode::new(answered.error_code) {
        ErrorCode::NONE => Ok(answered.records.unwrap_or_default()),
        code => Err(LookError::Refused { partition: partition.clone(), code }),
    }
}
