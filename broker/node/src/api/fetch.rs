//! `Fetch`, with long poll. Every fetch is a full one: no session is ever opened, which clients accept.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use leeward_wire::api::{
    FetchRequest, FetchRequestPartition, FetchRequestTopic, FetchResponse, FetchResponsePartition,
    FetchResponseTopic,
};
use leeward_wire::{ErrorCode, PeerRoom};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::check_leader_epoch;
use crate::cluster::Cluster;
use crate::limits::{FETCH_BYTES_MAX, FETCH_WAIT_MAX};
use crate::partition::Partition;
use crate::topic::Topic;

/// The version from which fetches name topics by id.
const IDS_FROM: i16 = 13;

/// Reads what the request asks for, as far as there is room; waits for it as long as the request says.
pub(crate) async fn fetch(
    cluster: &Arc<Cluster>,
    version: i16,
    request: &FetchRequest,
    room: &mut PeerRoom,
) -> FetchResponse {
    if request.session_id != 0 {
        return FetchResponse {
            error_code: ErrorCode::FETCH_SESSION_ID_NOT_FOUND.code(),
            ..FetchResponse::default()
        };
    }
    let wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0)).min(FETCH_WAIT_MAX);
    let deadline = Instant::now() + wait;
    let min_bytes = usize::try_from(request.min_bytes).unwrap_or(0);
    let max_bytes = request.bytes_max().min(FETCH_BYTES_MAX);
    let appended = Arc::new(Notify::new());
    loop {
        // Asked to be woken before reading: an append in between is not missed.
        if !wait.is_zero() {
            wake_on_append(cluster, version, request, &appended);
        }
        let room_bytes = room.reserve(max_bytes);
        let reading = read(cluster, version, request, room_bytes);
        room.keep(reading.bytes);
        // What there is no room for is not worth waiting for.
        let enough = if room_bytes < max_bytes { min_bytes.min(1) } else { min_bytes };
        if reading.bytes >= enough || reading.failed || Instant::now() >= deadline {
            return reading.response;
        }
        // At the deadline it is read once more: what has come since is not worth another request.
        let _ = timeout_at(deadline, appended.notified()).await;
    }
}

struct Reading {
    response: FetchResponse,
    bytes: usize,
    failed: bool,
}

fn topic_of(cluster: &Cluster, version: i16, topic: &FetchRequestTopic) -> Result<Arc<Topic>, ErrorCode> {
    if version >= IDS_FROM {
        cluster.topic_by_id(topic.topic_id).ok_or(ErrorCode::UNKNOWN_TOPIC_ID)
    } else {
        cluster.topic(&topic.topic).ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
    }
}

fn wake_on_append(cluster: &Cluster, version: i16, request: &FetchRequest, appended: &Arc<Notify>) {
    for topic in &request.topics {
        let Ok(found) = topic_of(cluster, version, topic) else {
            continue;
        };
        for partition in topic.partitions.iter().filter_map(|p| found.partition(p.partition)) {
            partition.wake_on_append(appended);
        }
    }
}

fn read(cluster: &Cluster, version: i16, request: &FetchRequest, max_bytes: usize) -> Reading {
    let mut reading = Reading { response: FetchResponse::default(), bytes: 0, failed: false };
    for topic in &request.topics {
        let found = topic_of(cluster, version, topic);
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for asked in &topic.partitions {
            let partition = found.as_ref().map_err(|error| *error).and_then(|topic| {
                topic.partition(asked.partition).ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
            });
            let room = max_bytes.saturating_sub(reading.bytes);
            let read = match partition {
                Ok(partition) => read_partition(&partition, asked, room, reading.bytes == 0),
                Err(error) => failed(asked, error),
            };
            reading.failed |= read.error_code != ErrorCode::NONE.code();
            reading.bytes += read.records.as_ref().map_or(0, Bytes::len);
            partitions.push(read);
        }
        reading.response.responses.push(FetchResponseTopic {
            topic: topic.topic.clone(),
            topic_id: topic.topic_id,
            partitions,
        });
    }
    reading
}

/// Reads one partition. The first one to give records may give a batch larger than there is room for, so that a
/// consumer gets past it.
fn read_partition(
    partition: &Partition,
    asked: &FetchRequestPartition,
    room: usize,
    first: bool,
) -> FetchResponsePartition {
    if let Err(error) = check_leader_epoch(asked.current_leader_epoch) {
        return failed(asked, error);
    }
    let limit = usize::try_from(asked.partition_max_bytes).unwrap_or(0).min(room);
    let (extent, plan) = partition.plan_read(asked.fetch_offset, limit);
    let records = plan.and_then(|plan| match plan {
        Some(plan) if first || limit > 0 => partition.read(&plan),
        _ => Ok(Bytes::new()),
    });
    let (error, records) = match records {
        Ok(records) if first || records.len() <= limit => (ErrorCode::NONE, records),
        Ok(_) => (ErrorCode::NONE, Bytes::new()),
        Err(error) => (error, Bytes::new()),
    };
    FetchResponsePartition {
        partition_index: asked.partition,
        error_code: error.code(),
        high_watermark: extent.end,
        last_stable_offset: extent.end,
        log_start_offset: extent.start,
        records: Some(records),
        ..FetchResponsePartition::default()
    }
}

fn failed(asked: &FetchRequestPartition, error: ErrorCode) -> FetchResponsePartition {
    FetchResponsePartition {
        partition_index: asked.partition,
        error_code: error.code(),
        high_watermark: -1,
        records: Some(Bytes::new()),
        ..FetchResponsePartition::default()
    }
}
