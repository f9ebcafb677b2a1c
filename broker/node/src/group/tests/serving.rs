//! The task and its handle, over a log in memory, by Kafka's own messages.

use std::sync::{Arc, Mutex};

use leeward_wire::api::{
    DescribeGroupsRequest, HeartbeatRequest, JoinGroupRequest, JoinGroupRequestProtocol, ListGroupsRequest,
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic, OffsetFetchRequest,
    OffsetFetchRequestGroup, SyncGroupRequest, SyncGroupRequestAssignment,
};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::group::{GroupService, OffsetsBatch, OffsetsLog};

#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<OffsetsBatch>>>);

impl OffsetsLog for Memory {
    async fn append(&self, batch: OffsetsBatch) -> Result<(), ErrorCode> {
        self.0.lock().expect("no panic holds it").push(batch);
        Ok(())
    }
}

fn service(stop: &CancellationToken) -> (GroupService, tokio::task::JoinHandle<()>) {
    let settings = GroupSettings { initial_rebalance_delay: Duration::ZERO, ..GroupSettings::default() };
    let (service, task) = GroupService::new(GroupCoordinator::new(settings), Memory::default(), stop.clone());
    (service, tokio::spawn(task))
}

fn join_request(member_id: &str) -> JoinGroupRequest {
    JoinGroupRequest {
        group_id: "g".into(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 30_000,
        member_id: member_id.into(),
        protocol_type: "consumer".into(),
        protocols: vec![JoinGroupRequestProtocol {
            name: "range".into(),
            metadata: Bytes::from_static(b"m"),
        }],
        ..JoinGroupRequest::default()
    }
}

fn commit_request(group: &str, topic: &str) -> OffsetCommitRequest {
    OffsetCommitRequest {
        group_id: group.into(),
        topics: vec![OffsetCommitRequestTopic {
            name: topic.into(),
            partitions: vec![OffsetCommitRequestPartition {
                partition_index: 0,
                committed_offset: 42,
                ..OffsetCommitRequestPartition::default()
            }],
            ..OffsetCommitRequestTopic::default()
        }],
        ..OffsetCommitRequest::default()
    }
}

#[tokio::test]
async fn a_client_joins_syncs_and_beats() {
    let stop = CancellationToken::new();
    let (service, task) = service(&stop);

    let first = service.join_group(join_request(""), 9, Caller::default()).await;
    assert_eq!(first.error_code, ErrorCode::MEMBER_ID_REQUIRED.code());
    let joined = service.join_group(join_request(&first.member_id), 9, Caller::default()).await;
    assert_eq!((joined.error_code, joined.leader.as_str()), (0, first.member_id.as_str()));
    let synced = service
        .sync_group(SyncGroupRequest {
            group_id: "g".into(),
            generation_id: joined.generation_id,
            member_id: joined.member_id.clone(),
            assignments: vec![SyncGroupRequestAssignment {
                member_id: joined.member_id.clone(),
                assignment: Bytes::from_static(b"all"),
            }],
            ..SyncGroupRequest::default()
        })
        .await;
    let beat = service
        .heartbeat(HeartbeatRequest {
            group_id: "g".into(),
            generation_id: joined.generation_id,
            member_id: joined.member_id,
            ..HeartbeatRequest::default()
        })
        .await;
    let described = service
        .describe_groups(DescribeGroupsRequest { groups: vec!["g".into()], ..Default::default() }, 5)
        .await;

    assert_eq!((&synced.assignment[..], beat.error_code), (&b"all"[..], 0));
    assert_eq!(described.groups[0].group_state, "Stable");
    stop.cancel();
    task.await.expect("no panic");
}

#[tokio::test]
async fn a_commit_is_fetched_back_and_an_unknown_topic_is_refused() {
    let stop = CancellationToken::new();
    let (service, _task) = service(&stop);

    let known = |partition: &TopicPartition| partition.topic.as_str() == "t";
    let stored = service.offset_commit(commit_request("g", "t"), known).await;
    let refused = service.offset_commit(commit_request("g", "u"), known).await;
    let request = OffsetFetchRequest {
        groups: vec![OffsetFetchRequestGroup {
            group_id: "g".into(),
            topics: None,
            ..OffsetFetchRequestGroup::default()
        }],
        ..OffsetFetchRequest::default()
    };
    let fetched = service.offset_fetch(request, 8).await;
    let listed = service.list_groups(ListGroupsRequest::default()).await;

    assert_eq!(stored.topics[0].partitions[0].error_code, 0);
    assert_eq!(refused.topics[0].partitions[0].error_code, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.code());
    assert_eq!(fetched.groups[0].topics.len(), 1);
    assert_eq!(fetched.groups[0].topics[0].partitions[0].committed_offset, 42);
    assert_eq!(listed.groups.len(), 1);
    stop.cancel();
}

#[tokio::test]
async fn a_task_that_stopped_is_no_coordinator() {
    let stop = CancellationToken::new();
    let (service, task) = service(&stop);
    stop.cancel();
    task.await.expect("no panic");

    let joined = service.join_group(join_request(""), 9, Caller::default()).await;

    assert_eq!(joined.error_code, ErrorCode::NOT_COORDINATOR.code());
}
