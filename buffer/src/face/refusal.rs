//! What clients are told while no region answers: errors after which they try again.

use leeward_wire::ErrorCode;
use leeward_wire::api::{
    EndTxnResponse, FetchResponse, FetchResponsePartition, FetchResponseTopic, HeartbeatResponse,
    InitProducerIdResponse, JoinGroupResponse, LeaveGroupResponse, ListOffsetsResponse,
    ListOffsetsResponsePartition, ListOffsetsResponseTopic, OffsetCommitResponse,
    OffsetCommitResponsePartition, OffsetCommitResponseTopic, OffsetFetchResponse, OffsetFetchResponseGroup,
    ProduceResponse, ProduceResponsePartition, ProduceResponseTopic, RequestBody, ResponseBody,
    SyncGroupResponse,
};

/// Where the request asks for a leader.
const NO_LEADER: i16 = ErrorCode::NOT_LEADER_OR_FOLLOWER.code();
/// Where it asks for a coordinator: clients look it up again, and members of groups join again.
const NO_COORDINATOR: i16 = ErrorCode::NOT_COORDINATOR.code();

/// The answer; `None` where closing the connection says it best.
pub(super) fn of(request: &RequestBody) -> Option<ResponseBody> {
    Some(match request {
        RequestBody::Fetch(request) => {
            let topics = request.topics.iter().map(|topic| FetchResponseTopic {
                topic: topic.topic.clone(),
                partitions: topic.partitions.iter().map(|partition| unread(partition.partition)).collect(),
                ..FetchResponseTopic::default()
            });
            ResponseBody::Fetch(FetchResponse { responses: topics.collect(), ..FetchResponse::default() })
        }
        RequestBody::ListOffsets(request) => {
            let topics = request.topics.iter().map(|topic| ListOffsetsResponseTopic {
                name: topic.name.clone(),
                partitions: topic
                    .partitions
                    .iter()
                    .map(|partition| unlisted(partition.partition_index))
                    .collect(),
            });
            ResponseBody::ListOffsets(ListOffsetsResponse { topics: topics.collect(), ..Default::default() })
        }
        RequestBody::Produce(request) => {
            let topics = request.topic_data.iter().map(|topic| ProduceResponseTopic {
                name: topic.name.clone(),
                partition_responses: topic.partition_data.iter().map(|part| unwritten(part.index)).collect(),
                ..ProduceResponseTopic::default()
            });
            ResponseBody::Produce(ProduceResponse { responses: topics.collect(), ..Default::default() })
        }
        RequestBody::OffsetCommit(request) => {
            let topics = request.topics.iter().map(|topic| OffsetCommitResponseTopic {
                name: topic.name.clone(),
                partitions: topic
                    .partitions
                    .iter()
                    .map(|partition| OffsetCommitResponsePartition {
                        partition_index: partition.partition_index,
                        error_code: NO_COORDINATOR,
                    })
                    .collect(),
                ..OffsetCommitResponseTopic::default()
            });
            ResponseBody::OffsetCommit(OffsetCommitResponse {
                topics: topics.collect(),
                ..Default::default()
            })
        }
        RequestBody::OffsetFetch(request) => {
            let groups = request.groups.iter().map(|group| OffsetFetchResponseGroup {
                group_id: group.group_id.clone(),
                topics: Vec::new(),
                error_code: NO_COORDINATOR,
            });
            let groups: Vec<_> = groups.collect();
            let error_code = if groups.is_empty() { NO_COORDINATOR } else { 0 };
            ResponseBody::OffsetFetch(OffsetFetchResponse { error_code, groups, ..Default::default() })
        }
        RequestBody::JoinGroup(request) => ResponseBody::JoinGroup(JoinGroupResponse {
            error_code: NO_COORDINATOR,
            member_id: request.member_id.clone(),
            ..JoinGroupResponse::default()
        }),
        RequestBody::SyncGroup(_) => ResponseBody::SyncGroup(SyncGroupResponse {
            error_code: NO_COORDINATOR,
            ..SyncGroupResponse::default()
        }),
        RequestBody::Heartbeat(_) => ResponseBody::Heartbeat(HeartbeatResponse {
            error_code: NO_COORDINATOR,
            ..HeartbeatResponse::default()
        }),
        RequestBody::LeaveGroup(_) => ResponseBody::LeaveGroup(LeaveGroupResponse {
            error_code: NO_COORDINATOR,
            ..LeaveGroupResponse::default()
        }),
        RequestBody::InitProducerId(_) => ResponseBody::InitProducerId(InitProducerIdResponse {
            error_code: NO_COORDINATOR,
            producer_id: -1,
            producer_epoch: -1,
            ..InitProducerIdResponse::default()
        }),
        RequestBody::EndTxn(_) => {
            ResponseBody::EndTxn(EndTxnResponse { error_code: NO_COORDINATOR, ..EndTxnResponse::default() })
        }
        _ => return None,
    })
}

fn unread(partition_index: i32) -> FetchResponsePartition {
    FetchResponsePartition {
        partition_index,
        error_code: NO_LEADER,
        high_watermark: -1,
        records: Some(bytes::Bytes::new()),
        ..FetchResponsePartition::default()
    }
}

fn unlisted(partition_index: i32) -> ListOffsetsResponsePartition {
    ListOffsetsResponsePartition { partition_index, error_code: NO_LEADER, ..Default::default() }
}

fn unwritten(index: i32) -> ProduceResponsePartition {
    ProduceResponsePartition { index, error_code: NO_LEADER, base_offset: -1, ..Default::default() }
}
