//! `ListOffsets`, `DeleteRecords` and `OffsetForLeaderEpoch`.

use std::sync::Arc;

use leeward_wire::ErrorCode;
use leeward_wire::api::{
    DeleteRecordsRequest, DeleteRecordsResponse, DeleteRecordsResponsePartition, DeleteRecordsResponseTopic,
    ListOffsetsRequest, ListOffsetsRequestPartition, ListOffsetsResponse, ListOffsetsResponsePartition,
    ListOffsetsResponseTopic, OffsetForLeaderEpochRequest, OffsetForLeaderEpochRequestPartition,
    OffsetForLeaderEpochResponse, OffsetForLeaderEpochResponsePartition, OffsetForLeaderEpochResponseTopic,
};

use super::{blocking, check_leader_epoch};
use crate::cluster::Cluster;
use crate::partition::{LEADER_EPOCH, Partition};

/// The version of `ListOffsets` from which leader epochs are told.
const EPOCH_FROM: i16 = 4;
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
/// Offsets of tiered storage, of which there is none.
const TIERED: [i64; 2] = [-5, -6];

/// Finds offsets by their place or by time.
pub(crate) fn list_offsets(
    cluster: &Cluster,
    version: i16,
    request: &ListOffsetsRequest,
) -> ListOffsetsResponse {
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|asked| {
            let found = partition(cluster, &topic.name, asked.partition_index)
                .and_then(|partition| find_offset(&partition, asked));
            let (error, (timestamp, offset)) = split(found, (-1, -1));
            ListOffsetsResponsePartition {
                partition_index: asked.partition_index,
                error_code: error,
                timestamp,
                offset,
                leader_epoch: if offset < 0 || version < EPOCH_FROM { -1 } else { LEADER_EPOCH },
                ..ListOffsetsResponsePartition::default()
            }
        });
        ListOffsetsResponseTopic { name: topic.name.clone(), partitions: partitions.collect() }
    });
    ListOffsetsResponse { throttle_time_ms: 0, topics: topics.collect() }
}

/// Time and offset; both -1 where there is none.
fn find_offset(partition: &Partition, asked: &ListOffsetsRequestPartition) -> Result<(i64, i64), ErrorCode> {
    check_leader_epoch(asked.current_leader_epoch)?;
    let extent = partition.extent();
    match asked.timestamp {
        LATEST => Ok((-1, extent.end)),
        EARLIEST | EARLIEST_LOCAL => Ok((-1, extent.start)),
        MAX_TIMESTAMP => Ok(partition.latest_time()?.unwrap_or((-1, -1))),
        special if TIERED.contains(&special) => Ok((-1, -1)),
        time => Ok(partition.offset_for_time(time)?.unwrap_or((-1, -1))),
    }
}

/// Moves the start of partitions forward.
pub(crate) async fn delete_records(
    cluster: &Arc<Cluster>,
    request: DeleteRecordsRequest,
) -> DeleteRecordsResponse {
    let cluster = cluster.clone();
    blocking(move || {
        let topics = request.topics.into_iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|asked| {
                let deleted = partition(&cluster, &topic.name, asked.partition_index)
                    .and_then(|partition| partition.delete_records_before(asked.offset));
                let (error_code, low_watermark) = split(deleted, -1);
                DeleteRecordsResponsePartition {
                    partition_index: asked.partition_index,
                    low_watermark,
                    error_code,
                }
            });
            DeleteRecordsResponseTopic { partitions: partitions.collect(), name: topic.name }
        });
        DeleteRecordsResponse { throttle_time_ms: 0, topics: topics.collect() }
    })
    .await
}

/// Tells where leader epochs end.
pub(crate) fn for_leader_epoch(
    cluster: &Cluster,
    request: &OffsetForLeaderEpochRequest,
) -> OffsetForLeaderEpochResponse {
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|asked| {
            let found = partition(cluster, &topic.topic, asked.partition)
                .and_then(|partition| epoch_end(&partition, asked));
            let (error_code, (leader_epoch, end_offset)) = split(found, (-1, -1));
            OffsetForLeaderEpochResponsePartition {
                error_code,
                partition: asked.partition,
                leader_epoch,
                end_offset,
            }
        });
        OffsetForLeaderEpochResponseTopic { topic: topic.topic.clone(), partitions: partitions.collect() }
    });
    OffsetForLeaderEpochResponse { throttle_time_ms: 0, topics: topics.collect() }
}

fn epoch_end(
    partition: &Partition,
    asked: &OffsetForLeaderEpochRequestPartition,
) -> Result<(i32, i64), ErrorCode> {
    check_leader_epoch(asked.current_leader_epoch)?;
    if asked.leader_epoch > LEADER_EPOCH {
        return Ok((-1, -1));
    }
    Ok(partition.epoch_end(asked.leader_epoch).unwrap_or((-1, -1)))
}

fn partition(cluster: &Cluster, topic: &str, index: i32) -> Result<Arc<Partition>, ErrorCode> {
    let topic = cluster.topic(topic).ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
    topic.partition(index).ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
}

fn split<T>(result: Result<T, ErrorCode>, otherwise: T) -> (i16, T) {
    match result {
        Ok(found) => (ErrorCode::NONE.code(), found),
        Err(error) => (error.code(), otherwise),
    }
}
