//! `Produce`.

use std::collections::HashSet;
use std::sync::Arc;

use leeward_wire::ErrorCode;
use leeward_wire::api::{
    ProduceRequest, ProduceRequestPartition, ProduceRequestTopic, ProduceResponse, ProduceResponsePartition,
    ProduceResponseTopic,
};

use super::blocking;
use crate::clock::now_ms;
use crate::cluster::Cluster;
use crate::partition::{Appended, Partition};
use crate::topic::Topic;
use crate::validate::{Refused, only_batch};

/// The client id under which Kafka's own tools may write internal topics.
const ADMIN_CLIENT_ID: &str = "__admin_client";

/// Appends what the request brings, partition by partition.
pub(crate) async fn produce(
    cluster: &Arc<Cluster>,
    client_id: Option<&str>,
    request: ProduceRequest,
) -> ProduceResponse {
    let refusal = refuse_all(&request);
    let mut responses = Vec::with_capacity(request.topic_data.len());
    for topic in request.topic_data {
        let found = find(cluster, &topic, client_id);
        let found = match &refusal {
            Some(refused) => Err(refused.clone()),
            None => found,
        };
        responses.push(produce_topic(topic, found).await);
    }
    ProduceResponse { responses, ..ProduceResponse::default() }
}

fn refuse_all(request: &ProduceRequest) -> Option<Refused> {
    if !matches!(request.acks, -1..=1) {
        return Some(Refused::new(ErrorCode::INVALID_REQUIRED_ACKS, "acks must be 0, 1 or -1"));
    }
    if request.transactional_id.is_some() {
        let message = "this cluster has no transactions";
        return Some(Refused::new(ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED, message));
    }
    None
}

fn find(
    cluster: &Cluster,
    topic: &ProduceRequestTopic,
    client_id: Option<&str>,
) -> Result<Arc<Topic>, Refused> {
    let found = if topic.topic_id.is_zero() {
        let unknown = || Refused::new(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, "there is no such topic");
        cluster.topic(&topic.name).ok_or_else(unknown)?
    } else {
        let unknown = || Refused::new(ErrorCode::UNKNOWN_TOPIC_ID, "there is no topic of this id");
        cluster.topic_by_id(topic.topic_id).ok_or_else(unknown)?
    };
    if found.is_internal() && client_id != Some(ADMIN_CLIENT_ID) {
        return Err(Refused::new(ErrorCode::INVALID_TOPIC_EXCEPTION, "the topic is the cluster's own"));
    }
    Ok(found)
}

async fn produce_topic(
    topic: ProduceRequestTopic,
    found: Result<Arc<Topic>, Refused>,
) -> ProduceResponseTopic {
    let mut seen = HashSet::new();
    let mut partition_responses = Vec::with_capacity(topic.partition_data.len());
    for partition in topic.partition_data {
        let index = partition.index;
        let result = match &found {
            Err(refused) => Err(refused.clone()),
            Ok(_) if !seen.insert(index) => {
                Err(Refused::new(ErrorCode::INVALID_RECORD, "the request names the partition twice"))
            }
            Ok(topic) => produce_partition(topic, partition).await,
        };
        partition_responses.push(respond(index, result));
    }
    ProduceResponseTopic { name: topic.name, topic_id: topic.topic_id, partition_responses }
}

async fn produce_partition(topic: &Topic, request: ProduceRequestPartition) -> Result<Appended, Refused> {
    let partition = topic
        .partition(request.index)
        .ok_or_else(|| Refused::new(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, "there is no such partition"))?;
    let batch = only_batch(request.records, &partition.settings())?;
    if partition.blocks() {
        let partition: Arc<Partition> = partition;
        return blocking(move || partition.append(&batch, now_ms())).await;
    }
    partition.append(&batch, now_ms())
}

fn respond(index: i32, result: Result<Appended, Refused>) -> ProduceResponsePartition {
    match result {
        Ok(appended) => ProduceResponsePartition {
            index,
            base_offset: appended.base_offset,
            log_append_time_ms: appended.append_time_ms,
            log_start_offset: appended.start_offset,
            ..ProduceResponsePartition::default()
        },
        Err(refused) => ProduceResponsePartition {
            index,
            error_code: refused.error.code(),
            base_offset: -1,
            error_message: Some(refused.message),
            ..ProduceResponsePartition::default()
        },
    }
}
