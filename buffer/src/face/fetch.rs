//! Requests that concern partitions: split by leader, sent, and put together again. Without sessions and leader epochs,
//! which mean nothing once another region answers.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use leeward_client::Cluster;
use leeward_model::{PartitionIndex, TopicName, TopicPartition};
use leeward_wire::api::{
    DeleteRecordsRequest, DeleteRecordsResponse, FetchRequest, FetchRequestPartition, FetchRequestTopic,
    FetchResponse, FetchResponsePartition, FetchResponseTopic, ListOffsetsRequest, ListOffsetsRequestTopic,
    ListOffsetsResponse, ListOffsetsResponsePartition, ListOffsetsResponseTopic, ProduceRequest,
    ProduceResponse,
};
use leeward_wire::{ErrorCode, PeerRoom, Request};
use tokio::time::Instant;

use super::upstream::{NoAnswer, Upstream, send};
use crate::limits::RELAY_TIMEOUT;

/// Without a fetch session.
const NO_SESSION: i32 = -1;
/// How long one of several brokers may wait for records before the others are asked again.
const SHARED_WAIT: Duration = Duration::from_millis(50);

/// Partitions of a request by the broker that leads them; those without a leader apart.
struct Split<T> {
    by_broker: BTreeMap<i32, Vec<T>>,
    leaderless: Vec<T>,
}

/// Splits topics, given as name and partitions.
async fn split<T: Clone, P>(
    upstream: &Upstream,
    cluster: &Cluster,
    topics: impl Iterator<Item = (String, Vec<P>)>,
    index: impl Fn(&P) -> i32,
    rebuild: impl Fn(&str, Vec<P>) -> T,
) -> Split<T> {
    let mut split = Split { by_broker: BTreeMap::new(), leaderless: Vec::new() };
    for (name, partitions) in topics {
        let mut led: BTreeMap<Option<i32>, Vec<P>> = BTreeMap::new();
        for partition in partitions {
            let leader = match (TopicName::new(&name), PartitionIndex::from_wire(index(&partition))) {
                (Ok(topic), Some(partition)) => {
                    upstream.leader(cluster, &TopicPartition { topic, partition }).await.ok()
                }
                _ => None,
            };
            led.entry(leader).or_default().push(partition);
        }
        for (leader, partitions) in led {
            let topic = rebuild(&name, partitions);
            match leader {
                Some(leader) => split.by_broker.entry(leader).or_default().push(topic),
                None => split.leaderless.push(topic),
            }
        }
    }
    split
}

/// Asks each leader for its part, one after the other.
async fn ask_leaders<T, R: Request>(
    upstream: &Upstream,
    cluster: &Cluster,
    by_broker: BTreeMap<i32, Vec<T>>,
    version: i16,
    part: impl Fn(Vec<T>) -> R,
) -> Result<Vec<R::Response>, NoAnswer> {
    let mut answers = Vec::with_capacity(by_broker.len());
    for (broker, topics) in by_broker {
        let connection = upstream.broker(cluster, broker).await?;
        answers.push(send(&connection, &part(topics), version, RELAY_TIMEOUT).await?);
    }
    Ok(answers)
}

pub(super) async fn fetch(
    upstream: &mut Upstream,
    request: &FetchRequest,
    version: i16,
    room: &mut PeerRoom,
) -> Result<FetchResponse, NoAnswer> {
    let asked = request.bytes_max();
    let room_bytes = room.reserve(asked);
    // What there is no room for is not worth waiting for.
    let min_bytes = if room_bytes < asked { request.min_bytes.min(1) } else { request.min_bytes };
    let wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0));
    let answer = upstream
        .within(async |upstream, cluster| {
            let topics = request.topics.iter().map(without_epochs);
            let rebuild = |name: &str, partitions| FetchRequestTopic {
                topic: name.to_owned(),
                partitions,
                ..FetchRequestTopic::default()
            };
            let split = split(upstream, &cluster, topics, |partition| partition.partition, rebuild).await;
            let mut responses: Vec<FetchResponseTopic> = split.leaderless.iter().map(no_leader).collect();
            let alone = split.by_broker.len() == 1;
            let max_bytes = room_bytes.div_ceil(split.by_broker.len().max(1));
            let deadline = Instant::now() + wait;
            if split.by_broker.is_empty() {
                // A consumer that is told at once would ask at once.
                tokio::time::sleep(wait.min(SHARED_WAIT)).await;
            }
            while !split.by_broker.is_empty() {
                responses.truncate(split.leaderless.len());
                let left = deadline.saturating_duration_since(Instant::now());
                let wait = if alone { left } else { left.min(SHARED_WAIT) };
                let parts = split.by_broker.iter().map(async |(broker, topics)| {
                    let part = FetchRequest {
                        max_wait_ms: i32::try_from(wait.as_millis()).unwrap_or(i32::MAX),
                        min_bytes,
                        max_bytes: i32::try_from(max_bytes).unwrap_or(i32::MAX),
                        isolation_level: request.isolation_level,
                        session_epoch: NO_SESSION,
                        topics: topics.clone(),
                        ..FetchRequest::default()
                    };
                    let connection = upstream.broker(&cluster, *broker).await?;
                    send(&connection, &part, version, wait + RELAY_TIMEOUT).await
                });
                for part in futures::future::join_all(parts).await {
                    responses.extend(part?.responses.into_iter().map(cleaned));
                }
                if alone || Instant::now() >= deadline || responses.iter().any(has_something) {
                    break;
                }
            }
            if responses.iter().any(has_moved) {
                upstream.want_leaders();
            }
            if upstream.has_just_moved() && not_yet(&mut responses) {
                tokio::time::sleep(wait.min(SHARED_WAIT)).await;
            }
            Ok(FetchResponse { responses, ..FetchResponse::default() })
        })
        .await?;
    room.keep(answer.responses.iter().flat_map(|topic| &topic.partitions).map(records_bytes).sum());
    Ok(answer)
}

fn records_bytes(partition: &FetchResponsePartition) -> usize {
    partition.records.as_ref().map_or(0, Bytes::len)
}

/// A topic's name and partitions, as any region understands them.
fn without_epochs(topic: &FetchRequestTopic) -> (String, Vec<FetchRequestPartition>) {
    let mut partitions = topic.partitions.clone();
    for partition in &mut partitions {
        partition.current_leader_epoch = -1;
        partition.last_fetched_epoch = -1;
    }
    (topic.topic.clone(), partitions)
}

fn no_leader(topic: &FetchRequestTopic) -> FetchResponseTopic {
    let partitions = topic
        .partitions
        .iter()
        .map(|partition| FetchResponsePartition {
            partition_index: partition.partition,
            error_code: ErrorCode::NOT_LEADER_OR_FOLLOWER.code(),
            high_watermark: -1,
            ..FetchResponsePartition::default()
        })
        .collect();
    FetchResponseTopic { topic: topic.topic.clone(), partitions, ..FetchResponseTopic::default() }
}

/// Takes out what points to brokers that clients do not know.
fn cleaned(mut topic: FetchResponseTopic) -> FetchResponseTopic {
    for partition in &mut topic.partitions {
        partition.preferred_read_replica = -1;
        partition.current_leader = leeward_wire::api::fetch::FetchResponseLeader::default();
        partition.diverging_epoch = leeward_wire::api::fetch::FetchResponseEpochEndOffset::default();
    }
    topic
}

fn has_something(topic: &FetchResponseTopic) -> bool {
    let filled =
        |partition: &FetchResponsePartition| partition.error_code != 0 || records_bytes(partition) > 0;
    topic.partitions.iter().any(filled)
}

/// Turns positions that are out of range into something to try again: told the truth, a client would begin at one end
/// of the log, though its group's position is there to be read. True where there were any.
fn not_yet(responses: &mut [FetchResponseTopic]) -> bool {
    let mut any = false;
    for partition in responses.iter_mut().flat_map(|topic| &mut topic.partitions) {
        if partition.error_code == ErrorCode::OFFSET_OUT_OF_RANGE.code() {
            partition.error_code = ErrorCode::NOT_LEADER_OR_FOLLOWER.code();
            any = true;
        }
    }
    any
}

fn has_moved(topic: &FetchResponseTopic) -> bool {
    let moved = ErrorCode::NOT_LEADER_OR_FOLLOWER.code();
    topic.partitions.iter().any(|partition| partition.error_code == moved)
}

pub(super) async fn list_offsets(
    upstream: &mut Upstream,
    request: &ListOffsetsRequest,
    version: i16,
) -> Result<ListOffsetsResponse, NoAnswer> {
    upstream
        .within(async |upstream, cluster| {
            let topics = request.topics.iter().map(|topic| {
                let mut partitions = topic.partitions.clone();
                for partition in &mut partitions {
                    partition.current_leader_epoch = -1;
                }
                (topic.name.clone(), partitions)
            });
            let rebuild =
                |name: &str, partitions| ListOffsetsRequestTopic { name: name.to_owned(), partitions };
            let split =
                split(upstream, &cluster, topics, |partition| partition.partition_index, rebuild).await;
            let mut topics: Vec<ListOffsetsResponseTopic> =
                split.leaderless.iter().map(no_leader_to_list).collect();
            let part = |topics| ListOffsetsRequest { topics, ..request.clone() };
            for answer in ask_leaders(upstream, &cluster, split.by_broker, version, part).await? {
                topics.extend(answer.topics);
            }
            for partition in topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
                partition.leader_epoch = -1;
                if partition.error_code == ErrorCode::NOT_LEADER_OR_FOLLOWER.code() {
                    upstream.want_leaders();
                }
            }
            Ok(ListOffsetsResponse { topics, ..ListOffsetsResponse::default() })
        })
        .await
}

fn no_leader_to_list(topic: &ListOffsetsRequestTopic) -> ListOffsetsResponseTopic {
    let partitions = topic
        .partitions
        .iter()
        .map(|partition| ListOffsetsResponsePartition {
            partition_index: partition.partition_index,
            error_code: ErrorCode::NOT_LEADER_OR_FOLLOWER.code(),
            ..ListOffsetsResponsePartition::default()
        })
        .collect();
    ListOffsetsResponseTopic { name: topic.name.clone(), partitions }
}

pub(super) async fn delete_records(
    upstream: &mut Upstream,
    request: &DeleteRecordsRequest,
    version: i16,
) -> Result<DeleteRecordsResponse, NoAnswer> {
    upstream
        .within(async |upstream, cluster| {
            let topics = request.topics.iter().map(|topic| (topic.name.clone(), topic.partitions.clone()));
            let rebuild = |name: &str, partitions| leeward_wire::api::DeleteRecordsRequestTopic {
                name: name.to_owned(),
                partitions,
            };
            let split =
                split(upstream, &cluster, topics, |partition| partition.partition_index, rebuild).await;
            if !split.leaderless.is_empty() {
                return Err(NoAnswer);
            }
            let part = |topics| DeleteRecordsRequest { topics, timeout_ms: request.timeout_ms };
            let answers = ask_leaders(upstream, &cluster, split.by_broker, version, part).await?;
            let topics = answers.into_iter().flat_map(|answer| answer.topics).collect();
            Ok(DeleteRecordsResponse { topics, ..DeleteRecordsResponse::default() })
        })
        .await
}

/// Batches of a transaction: to the leaders, unbuffered.
pub(super) async fn produce(
    upstream: &mut Upstream,
    request: &ProduceRequest,
    version: i16,
) -> Result<ProduceResponse, NoAnswer> {
    upstream
        .within(async |upstream, cluster| {
            let topics =
                request.topic_data.iter().map(|topic| (topic.name.clone(), topic.partition_data.clone()));
            let rebuild = |name: &str, partition_data| leeward_wire::api::ProduceRequestTopic {
                name: name.to_owned(),
                partition_data,
                ..leeward_wire::api::ProduceRequestTopic::default()
            };
            let split = split(upstream, &cluster, topics, |partition| partition.index, rebuild).await;
            if !split.leaderless.is_empty() {
                return Err(NoAnswer);
            }
            let part = |topic_data| ProduceRequest { topic_data, ..request.clone() };
            if request.acks == 0 {
                for (broker, topic_data) in split.by_broker {
                    let connection = upstream.broker(&cluster, broker).await?;
                    let sent = connection.send_no_response(&part(topic_data), version).await;
                    sent.map_err(|_| NoAnswer)?;
                }
                return Ok(ProduceResponse::default());
            }
            let answers = ask_leaders(upstream, &cluster, split.by_broker, version, part).await?;
            let mut responses: Vec<_> = answers.into_iter().flat_map(|answer| answer.responses).collect();
            for partition in responses.iter_mut().flat_map(|topic| &mut topic.partition_responses) {
                partition.current_leader = leeward_wire::api::produce::ProduceResponseLeader::default();
            }
            Ok(ProduceResponse { responses, ..ProduceResponse::default() })
        })
        .await
}
