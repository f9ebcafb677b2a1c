//! OffsetCommit, TxnOffsetCommit, OffsetFetch and OffsetDelete.
//!
//! A response is made with its request: partitions that cannot be asked for have their error already, and the
//! reply fills the others in the order of the request.

use leeward_model::{
    GroupName, PartitionIndex, ProducerEpoch, ProducerId, ProducerIdentity, TopicName, TopicPartition,
    WallTime,
};
use leeward_wire::{
    ErrorCode,
    api::{
        OffsetCommitRequest, OffsetCommitResponse, OffsetCommitResponsePartition, OffsetCommitResponseTopic,
        OffsetDeleteRequest, OffsetDeleteResponse, OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
        OffsetFetchRequest, OffsetFetchRequestTopics, OffsetFetchResponse, OffsetFetchResponseGroup,
        OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
        OffsetFetchResponseTopics, TxnOffsetCommitRequest, TxnOffsetCommitResponse,
        TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
    },
};

use crate::group::{
    Commit, CommitReply, CommittedOffset, DeleteOffsets, DeleteOffsetsReply, FetchedOffset, Identity,
    OffsetStore,
};

/// First version of OffsetFetch with several groups.
const FETCH_GROUPS_FROM: i16 = 8;
/// First version of OffsetFetch with an error for the whole request.
const FETCH_ERROR_FROM: i16 = 2;
/// By which a client leaves the retention to the broker.
const DEFAULT_RETENTION: i64 = -1;

fn partition_of(topic: &str, partition: i32) -> Option<TopicPartition> {
    let topic = TopicName::new(topic).ok()?;
    Some(TopicPartition { topic, partition: PartitionIndex::from_wire(partition)? })
}

/// One partition's position, as either kind of commit has it.
struct Asked {
    index: i32,
    offset: i64,
    leader_epoch: i32,
    metadata: Option<String>,
}

/// Reads one topic of a commit: positions of partitions that exist go to `offsets`, and each partition's index comes
/// back with what is wrong with it. Positions are committed at the first time and expire at the second.
fn read_topic<'a>(
    topic: &'a str,
    asked: impl Iterator<Item = Asked> + 'a,
    (committed_at, expires_at): (WallTime, Option<WallTime>),
    exists: &'a impl Fn(&TopicPartition) -> bool,
    offsets: &'a mut Vec<(TopicPartition, CommittedOffset)>,
) -> impl Iterator<Item = (i32, ErrorCode)> + 'a {
    asked.map(move |asked| {
        let Some(place) = partition_of(topic, asked.index).filter(exists) else {
            return (asked.index, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
        };
        let position = CommittedOffset {
            offset: asked.offset,
            leader_epoch: asked.leader_epoch,
            metadata: asked.metadata.unwrap_or_default(),
            committed_at,
            expires_at,
        };
        offsets.push((place, position));
        (asked.index, ErrorCode::NONE)
    })
}

/// Reads an OffsetCommit; `exists` tells the partitions of the cluster.
pub fn commit(
    request: OffsetCommitRequest,
    now: WallTime,
    exists: impl Fn(&TopicPartition) -> bool,
) -> (Commit, OffsetCommitResponse) {
    let mut offsets = Vec::new();
    let mut response = OffsetCommitResponse::default();
    let retention = request.retention_time_ms;
    let expires_at = (retention != DEFAULT_RETENTION)
        .then(|| WallTime::from_millis(now.as_millis().saturating_add(retention)));
    for topic in request.topics {
        let asked = topic.partitions.into_iter().map(|asked| Asked {
            index: asked.partition_index,
            offset: asked.committed_offset,
            leader_epoch: asked.committed_leader_epoch,
            metadata: asked.committed_metadata,
        });
        let read = read_topic(&topic.name, asked, (now, expires_at), &exists, &mut offsets);
        let partitions = read.map(|(partition_index, error)| OffsetCommitResponsePartition {
            partition_index,
            error_code: error.code(),
        });
        let partitions = partitions.collect();
        response.topics.push(OffsetCommitResponseTopic {
            name: topic.name,
            topic_id: topic.topic_id,
            partitions,
        });
    }
    let commit = Commit {
        group: GroupName::from(request.group_id),
        member: Identity { id: request.member_id, instance_id: request.group_instance_id },
        generation: request.generation_id_or_member_epoch,
        producer: None,
        offsets,
    };
    (commit, response)
}

/// Fills the response that was made with the request.
pub fn commit_response(mut response: OffsetCommitResponse, reply: CommitReply) -> OffsetCommitResponse {
    let partitions = response.topics.iter_mut().flat_map(|topic| &mut topic.partitions);
    fill(partitions.map(|partition| &mut partition.error_code), reply);
    response
}

/// Gives each code that is not set yet the next outcome.
fn fill<'a>(codes: impl Iterator<Item = &'a mut i16>, reply: Vec<(TopicPartition, ErrorCode)>) {
    let unset = codes.filter(|code| **code == ErrorCode::NONE.code());
    for (code, (_, error)) in unset.zip(reply) {
        *code = error.code();
    }
}

/// Reads a TxnOffsetCommit; `None` where it names no producer.
pub fn txn_commit(
    request: TxnOffsetCommitRequest,
    now: WallTime,
    exists: impl Fn(&TopicPartition) -> bool,
) -> (Option<Commit>, TxnOffsetCommitResponse) {
    let mut offsets = Vec::new();
    let mut response = TxnOffsetCommitResponse::default();
    for topic in request.topics {
        let asked = topic.partitions.into_iter().map(|asked| Asked {
            index: asked.partition_index,
            offset: asked.committed_offset,
            leader_epoch: asked.committed_leader_epoch,
            metadata: asked.committed_metadata,
        });
        let read = read_topic(&topic.name, asked, (now, None), &exists, &mut offsets);
        let partitions = read.map(|(partition_index, error)| TxnOffsetCommitResponsePartition {
            partition_index,
            error_code: error.code(),
        });
        let partitions = partitions.collect();
        response.topics.push(TxnOffsetCommitResponseTopic { name: topic.name, partitions });
    }
    let id = ProducerId::from_wire(request.producer_id);
    let producer = id.zip(ProducerEpoch::from_wire(request.producer_epoch));
    let commit = producer.map(|(id, epoch)| Commit {
        group: GroupName::from(request.group_id),
        member: Identity { id: request.member_id, instance_id: request.group_instance_id },
        generation: request.generation_id,
        producer: Some(ProducerIdentity { id, epoch }),
        offsets,
    });
    (commit, response)
}

/// Fills the response that was made with the request.
pub fn txn_commit_response(
    mut response: TxnOffsetCommitResponse,
    reply: CommitReply,
) -> TxnOffsetCommitResponse {
    let partitions = response.topics.iter_mut().flat_map(|topic| &mut topic.partitions);
    fill(partitions.map(|partition| &mut partition.error_code), reply);
    response
}

/// Says `error` for every partition.
pub fn txn_commit_refused(
    mut response: TxnOffsetCommitResponse,
    error: ErrorCode,
) -> TxnOffsetCommitResponse {
    for partition in response.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
        partition.error_code = error.code();
    }
    response
}

/// Answers an OffsetFetch.
pub fn fetch(request: &OffsetFetchRequest, version: i16, offsets: &OffsetStore) -> OffsetFetchResponse {
    let stable = request.require_stable;
    if version >= FETCH_GROUPS_FROM {
        let groups = request.groups.iter().map(|asked| OffsetFetchResponseGroup {
            group_id: asked.group_id.clone(),
            topics: fetch_group(&asked.group_id, asked.topics.as_deref(), stable, offsets),
            error_code: ErrorCode::NONE.code(),
        });
        return OffsetFetchResponse { groups: groups.collect(), ..OffsetFetchResponse::default() };
    }
    let topics = request.topics.as_ref().map(|topics| {
        let topic = |topic: &leeward_wire::api::OffsetFetchRequestTopic| OffsetFetchRequestTopics {
            name: topic.name.clone(),
            partition_indexes: topic.partition_indexes.clone(),
            ..OffsetFetchRequestTopics::default()
        };
        topics.iter().map(topic).collect::<Vec<_>>()
    });
    let found = fetch_group(&request.group_id, topics.as_deref(), stable, offsets);
    OffsetFetchResponse { topics: found.into_iter().map(single).collect(), ..OffsetFetchResponse::default() }
}

/// Positions of one group, all of them where no topics are named.
fn fetch_group(
    group: &str,
    topics: Option<&[OffsetFetchRequestTopics]>,
    stable: bool,
    offsets: &OffsetStore,
) -> Vec<OffsetFetchResponseTopics> {
    let group = GroupName::new(group);
    let Some(topics) = topics else { return fetch_all(&group, stable, offsets) };
    let topic = |asked: &OffsetFetchRequestTopics| {
        let partitions = asked.partition_indexes.iter().map(|index| {
            let place = partition_of(&asked.name, *index);
            let found = place.map_or(FetchedOffset::Absent, |place| offsets.fetch(&group, &place, stable));
            fetched(*index, found)
        });
        OffsetFetchResponseTopics {
            name: asked.name.clone(),
            topic_id: asked.topic_id,
            partitions: partitions.collect(),
        }
    };
    topics.iter().map(topic).collect()
}

fn fetch_all(group: &GroupName, stable: bool, offsets: &OffsetStore) -> Vec<OffsetFetchResponseTopics> {
    let mut topics: Vec<OffsetFetchResponseTopics> = Vec::new();
    for (place, _) in offsets.of_group(group) {
        let found = fetched(place.partition.to_wire(), offsets.fetch(group, place, stable));
        match topics.last_mut() {
            Some(topic) if topic.name == place.topic.as_str() => topic.partitions.push(found),
            Some(_) | None => topics.push(OffsetFetchResponseTopics {
                name: place.topic.as_str().to_owned(),
                partitions: vec![found],
                ..OffsetFetchResponseTopics::default()
            }),
        }
    }
    topics
}

fn fetched(partition_index: i32, found: FetchedOffset) -> OffsetFetchResponsePartitions {
    let nothing = |error: ErrorCode| OffsetFetchResponsePartitions {
        partition_index,
        committed_offset: -1,
        committed_leader_epoch: -1,
        metadata: Some(String::new()),
        error_code: error.code(),
    };
    match found {
        FetchedOffset::Committed(position) => OffsetFetchResponsePartitions {
            partition_index,
            committed_offset: position.offset,
            committed_leader_epoch: position.leader_epoch,
            metadata: Some(position.metadata),
            error_code: ErrorCode::NONE.code(),
        },
        FetchedOffset::Absent => nothing(ErrorCode::NONE),
        FetchedOffset::Unstable => nothing(ErrorCode::UNSTABLE_OFFSET_COMMIT),
    }
}

fn single(topic: OffsetFetchResponseTopics) -> OffsetFetchResponseTopic {
    let partitions = topic.partitions.into_iter().map(|partition| OffsetFetchResponsePartition {
        partition_index: partition.partition_index,
        committed_offset: partition.committed_offset,
        committed_leader_epoch: partition.committed_leader_epoch,
        metadata: partition.metadata,
        error_code: partition.error_code,
    });
    OffsetFetchResponseTopic { name: topic.name, partitions: partitions.collect() }
}

/// Answers an OffsetFetch with `error`, wherever its version has a place for it.
pub fn fetch_refused(request: &OffsetFetchRequest, version: i16, error: ErrorCode) -> OffsetFetchResponse {
    if version >= FETCH_GROUPS_FROM {
        let groups = request.groups.iter().map(|asked| OffsetFetchResponseGroup {
            group_id: asked.group_id.clone(),
            topics: Vec::new(),
            error_code: error.code(),
        });
        return OffsetFetchResponse { groups: groups.collect(), ..OffsetFetchResponse::default() };
    }
    if version >= FETCH_ERROR_FROM {
        return OffsetFetchResponse { error_code: error.code(), ..OffsetFetchResponse::default() };
    }
    let mut response = fetch(request, version, &OffsetStore::default());
    for partition in response.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
        partition.error_code = error.code();
    }
    response
}

pub fn delete_offsets(request: OffsetDeleteRequest) -> (DeleteOffsets, OffsetDeleteResponse) {
    let mut places = Vec::new();
    let mut response = OffsetDeleteResponse::default();
    for topic in request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for asked in topic.partitions {
            let place = partition_of(&topic.name, asked.partition_index);
            let error = if place.is_some() { ErrorCode::NONE } else { ErrorCode::UNKNOWN_TOPIC_OR_PARTITION };
            partitions.push(OffsetDeleteResponsePartition {
                partition_index: asked.partition_index,
                error_code: error.code(),
            });
            places.extend(place);
        }
        response.topics.push(OffsetDeleteResponseTopic { name: topic.name, partitions });
    }
    (DeleteOffsets { group: GroupName::from(request.group_id), partitions: places }, response)
}

/// Fills the response that was made with the request.
pub fn delete_offsets_response(
    mut response: OffsetDeleteResponse,
    reply: DeleteOffsetsReply,
) -> OffsetDeleteResponse {
    if !reply.error.is_none() {
        return OffsetDeleteResponse { error_code: reply.error.code(), ..OffsetDeleteResponse::default() };
    }
    let partitions = response.topics.iter_mut().flat_map(|topic| &mut topic.partitions);
    fill(partitions.map(|partition| &mut partition.error_code), reply.partitions);
    response
}

#[cfg(test)]
mod tests {
    use leeward_wire::api::OffsetFetchRequestTopic;

    use super::*;

    fn store() -> OffsetStore {
        let mut store = OffsetStore::default();
        let place = partition_of("t", 1).expect("legal");
        let position = CommittedOffset {
            offset: 9,
            leader_epoch: 2,
            metadata: "m".into(),
            committed_at: WallTime::from_millis(1),
            expires_at: None,
        };
        store.put(&GroupName::new("g"), place, position);
        store
    }

    fn request(topics: Option<Vec<OffsetFetchRequestTopic>>) -> OffsetFetchRequest {
        OffsetFetchRequest { group_id: "g".into(), topics, ..OffsetFetchRequest::default() }
    }

    #[test]
    fn a_partition_without_position_is_no_error() {
        let topic = OffsetFetchRequestTopic { name: "t".into(), partition_indexes: vec![0, 1] };

        let response = fetch(&request(Some(vec![topic])), 7, &store());

        let found: Vec<_> = response.topics[0].partitions.iter().collect();
        assert_eq!((found[0].committed_offset, found[0].error_code), (-1, 0));
        assert_eq!((found[1].committed_offset, found[1].committed_leader_epoch), (9, 2));
    }

    #[test]
    fn naming_no_topics_asks_for_all() {
        let response = fetch(&request(None), 2, &store());

        assert_eq!((response.topics.len(), response.topics[0].partitions[0].partition_index), (1, 1));
    }

    #[test]
    fn a_refusal_is_said_where_the_version_has_a_place_for_it() {
        let topic = OffsetFetchRequestTopic { name: "t".into(), partition_indexes: vec![0] };
        let asked = request(Some(vec![topic]));
        let code = ErrorCode::NOT_COORDINATOR;

        let old = fetch_refused(&asked, 1, code);
        let new = fetch_refused(&asked, 7, code);

        assert_eq!(old.topics[0].partitions[0].error_code, code.code());
        assert_eq!((new.error_code, new.topics.len()), (code.code(), 0));
    }
}
