//! A group with one member, from joining to leaving, and its positions.

use bytes::Bytes;
use leeward_wire::Uuid;
use leeward_wire::api::*;
use leeward_wire::consumer_protocol::ConsumerProtocolSubscription;

use crate::session::{Result, Session};
use crate::{GROUP, TOPIC};

pub(crate) fn group(session: &mut Session, topic_id: Uuid) -> Result<()> {
    for version in session.versions::<FindCoordinatorRequest>() {
        let (key, coordinator_keys) =
            if version < 4 { (GROUP.into(), vec![]) } else { (String::new(), vec![GROUP.into()]) };
        session.ask(version, &FindCoordinatorRequest { key, coordinator_keys, ..Default::default() })?;
    }
    let subscription =
        ConsumerProtocolSubscription { topics: vec![TOPIC.into()], ..Default::default() }.to_bytes(3)?;
    for version in session.versions::<JoinGroupRequest>() {
        let mut join = JoinGroupRequest {
            group_id: GROUP.into(),
            session_timeout_ms: 30_000,
            rebalance_timeout_ms: if version == 0 { -1 } else { 30_000 },
            protocol_type: "consumer".into(),
            protocols: vec![JoinGroupRequestProtocol {
                name: "range".into(),
                metadata: subscription.clone(),
            }],
            ..Default::default()
        };
        let mut joined = session.ask(version, &join)?;
        if joined.error_code != 0 {
            join.member_id = joined.member_id;
            joined = session.ask(version, &join)?;
        }
        member(session, &joined, version)?;
        let leave = version.min(*session.versions::<LeaveGroupRequest>().end());
        let (member_id, members) = if leave < 3 {
            (joined.member_id.clone(), vec![])
        } else {
            let member_id = joined.member_id.clone();
            (String::new(), vec![LeaveGroupRequestMember { member_id, ..Default::default() }])
        };
        session.ask(leave, &LeaveGroupRequest { group_id: GROUP.into(), member_id, members })?;
    }
    offsets(session, topic_id)
}

/// What a member asks between joining and leaving.
fn member(session: &mut Session, joined: &JoinGroupResponse, version: i16) -> Result<()> {
    let protocol = (version >= 5).then(|| "consumer".to_owned());
    session.ask(
        version.min(*session.versions::<SyncGroupRequest>().end()),
        &SyncGroupRequest {
            group_id: GROUP.into(),
            generation_id: joined.generation_id,
            member_id: joined.member_id.clone(),
            protocol_name: protocol.as_ref().map(|_| "range".to_owned()),
            protocol_type: protocol,
            assignments: vec![SyncGroupRequestAssignment {
                member_id: joined.member_id.clone(),
                assignment: Bytes::from_static(b"\0\x03\0\0\0\0\xFF\xFF\xFF\xFF"),
            }],
            ..Default::default()
        },
    )?;
    session.ask(
        version.min(*session.versions::<HeartbeatRequest>().end()),
        &HeartbeatRequest {
            group_id: GROUP.into(),
            generation_id: joined.generation_id,
            member_id: joined.member_id.clone(),
            ..Default::default()
        },
    )?;
    if version == 5 {
        session.each(&DescribeGroupsRequest { groups: vec![GROUP.into()], ..Default::default() })?;
        session.each(&ListGroupsRequest::default())?;
    }
    Ok(())
}

fn offsets(session: &mut Session, topic_id: Uuid) -> Result<()> {
    session.each(&OffsetCommitRequest {
        group_id: GROUP.into(),
        topics: vec![OffsetCommitRequestTopic {
            name: TOPIC.into(),
            topic_id,
            partitions: [0, 99]
                .map(|partition_index| OffsetCommitRequestPartition {
                    partition_index,
                    committed_offset: 1,
                    committed_metadata: Some("note".into()),
                    ..Default::default()
                })
                .into(),
        }],
        ..Default::default()
    })?;
    for version in session.versions::<OffsetFetchRequest>() {
        let request = if version < 8 {
            let topics = vec![OffsetFetchRequestTopic { name: TOPIC.into(), partition_indexes: vec![0, 1] }];
            OffsetFetchRequest { group_id: GROUP.into(), topics: Some(topics), ..Default::default() }
        } else {
            let topics = vec![OffsetFetchRequestTopics {
                name: TOPIC.into(),
                topic_id,
                partition_indexes: vec![0, 1],
            }];
            let group = OffsetFetchRequestGroup {
                group_id: GROUP.into(),
                topics: Some(topics),
                ..Default::default()
            };
            OffsetFetchRequest { groups: vec![group], ..Default::default() }
        };
        session.ask(version, &request)?;
    }
    Ok(())
}
