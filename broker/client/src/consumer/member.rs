//! The member's talk with its group's coordinator: join, share as leader, take a share, heartbeat, leave.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use leeward_model::{PartitionIndex, TopicName, TopicPartition};
use leeward_wire::{
    ApiKey, ErrorCode, Request,
    api::{
        HeartbeatRequest, JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse, LeaveGroupRequest,
        LeaveGroupRequestMember, SyncGroupRequest, SyncGroupRequestAssignment,
    },
    consumer_protocol::{ConsumerProtocolAssignment, ConsumerProtocolSubscription},
};
use tokio::time::Instant;

use super::{ConsumerError, GroupConsumer, Standing, assign};
use crate::{
    ClusterError, Connection, RequestError, TopicSelection,
    admin::{millis, said},
    groups::is_coordinator_error,
};

const PROTOCOL_TYPE: &str = "consumer";
/// The version of subscription and assignment that every client reads.
const PROTOCOL_VERSION: i16 = 0;
/// First version of `LeaveGroup` that names members in a list.
const LEAVE_AS_LIST: i16 = 3;

impl GroupConsumer {
    /// Joins and takes over the member's share with its positions. One attempt, but for what the protocol itself repeats.
    pub(super) async fn join(&mut self) -> Result<(), ConsumerError> {
        let cluster = self.cluster.cluster_id();
        let joined = self.enter().await;
        let (member_id, generation, share) = match joined {
            Ok(joined) => joined,
            Err(error) => {
                self.note_membership(&error);
                return Err(self.failed(error));
            }
        };
        let positions = self.starting_positions(&share).await?;
        self.fetchers.clear();
        self.positions = positions;
        let next_heartbeat = Instant::now() + self.config.heartbeat_interval;
        tracing::debug!(group = %self.config.group, generation, partitions = share.len(), "joined");
        self.standing = Standing::Inside { member_id, generation, cluster, next_heartbeat };
        Ok(())
    }

    async fn enter(&mut self) -> Result<(String, i32, Vec<TopicPartition>), ClusterError> {
        let connection = self.cluster.coordinator_connection(&self.config.group, self.lane).await?;
        let mut answer = self.ask_to_join(&connection).await?;
        if ErrorCode::new(answer.error_code) == ErrorCode::MEMBER_ID_REQUIRED {
            self.standing = Standing::Outside { member_id: answer.member_id };
            answer = self.ask_to_join(&connection).await?;
        }
        self.check(&connection, ApiKey::JoinGroup, answer.error_code)?;
        self.standing = Standing::Outside { member_id: answer.member_id.clone() };
        let assignments = if answer.leader == answer.member_id && !answer.skip_assignment {
            self.share_out(&answer).await?
        } else {
            Vec::new()
        };
        let request = SyncGroupRequest {
            group_id: self.config.group.as_str().to_owned(),
            generation_id: answer.generation_id,
            member_id: answer.member_id.clone(),
            group_instance_id: self.config.instance_id.clone(),
            protocol_type: Some(PROTOCOL_TYPE.to_owned()),
            protocol_name: Some(assign::RANGE.to_owned()),
            assignments,
        };
        let time = self.config.rebalance_timeout + connection.request_timeout();
        let synced = self.ask(&connection, &request, time).await?;
        self.check(&connection, ApiKey::SyncGroup, synced.error_code)?;
        let share = read_share(&connection, synced.assignment)?;
        Ok((answer.member_id, answer.generation_id, share))
    }

    async fn ask_to_join(&self, connection: &Connection) -> Result<JoinGroupResponse, ClusterError> {
        let subscription = ConsumerProtocolSubscription {
            topics: self.config.topics.iter().map(|topic| topic.as_str().to_owned()).collect(),
            ..ConsumerProtocolSubscription::default()
        };
        let metadata = subscription
            .to_bytes(PROTOCOL_VERSION)
            .map_err(|source| RequestError::Encode { address: connection.address().clone(), source })?;
        let member_id = match &self.standing {
            Standing::Outside { member_id } | Standing::Inside { member_id, .. } => member_id.clone(),
        };
        let request = JoinGroupRequest {
            group_id: self.config.group.as_str().to_owned(),
            session_timeout_ms: millis(self.config.session_timeout),
            rebalance_timeout_ms: millis(self.config.rebalance_timeout),
            member_id,
            group_instance_id: self.config.instance_id.clone(),
            protocol_type: PROTOCOL_TYPE.to_owned(),
            protocols: vec![JoinGroupRequestProtocol { name: assign::RANGE.to_owned(), metadata }],
            reason: None,
        };
        let time = self.config.rebalance_timeout + connection.request_timeout();
        self.ask(connection, &request, time).await
    }

    /// As the group's leader: shares the partitions of all topics that members want.
    async fn share_out(
        &self,
        joined: &JoinGroupResponse,
    ) -> Result<Vec<SyncGroupRequestAssignment>, ClusterError> {
        let mut members = BTreeMap::new();
        for member in &joined.members {
            // A member whose wish is unreadable gets nothing.
            let wanted = ConsumerProtocolSubscription::from_bytes(member.metadata.clone());
            members.insert(member.member_id.clone(), wanted.map(|wish| wish.topics).unwrap_or_default());
        }
        let mut names: Vec<_> =
            members.values().flatten().filter_map(|name: &String| TopicName::new(name).ok()).collect();
        names.sort();
        names.dedup();
        let map = self.cluster.metadata(TopicSelection::Named(&names)).await?;
        let counts = map
            .topics
            .values()
            .filter_map(|topic| {
                Some((topic.name.as_str().to_owned(), i32::try_from(topic.partitions.len()).ok()?))
            })
            .collect();
        assign::range(&members, &counts)
            .into_iter()
            .map(|(member_id, assignment)| {
                let assignment = assignment.to_bytes(PROTOCOL_VERSION).map_err(|source| {
                    RequestError::Encode { address: crate::Address::new("group", 0), source }
                })?;
                Ok(SyncGroupRequestAssignment { member_id, assignment })
            })
            .collect()
    }

    /// The group's positions, and made-up ones where it has none.
    async fn starting_positions(
        &self,
        share: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, i64>, ConsumerError> {
        if share.is_empty() {
            return Ok(BTreeMap::new());
        }
        let committed = self.cluster.fetch_offsets(&self.config.group, Some(share)).await;
        let committed = committed.map_err(|error| self.failed(error))?;
        let mut positions = BTreeMap::new();
        for partition in share {
            let offset = match committed.get(partition) {
                Some(position) => position.offset,
                None => self.reset(partition).await?,
            };
            positions.insert(partition.clone(), offset);
        }
        Ok(positions)
    }

    /// Sends a heartbeat where one is due, and learns from the answer whether to join again.
    pub(super) async fn beat_if_due(&mut self) -> Result<(), ConsumerError> {
        let Standing::Inside { member_id, generation, next_heartbeat, .. } = &mut self.standing else {
            return Ok(());
        };
        let now = Instant::now();
        if *next_heartbeat > now {
            return Ok(());
        }
        *next_heartbeat = now + self.config.heartbeat_interval;
        let request = HeartbeatRequest {
            group_id: self.config.group.as_str().to_owned(),
            generation_id: *generation,
            member_id: member_id.clone(),
            group_instance_id: self.config.instance_id.clone(),
        };
        match self.beat(&request).await {
            Ok(()) => Ok(()),
            Err(error) => {
                self.note_membership(&error);
                if matches!(self.standing, Standing::Outside { .. }) {
                    return self.join().await;
                }
                Err(self.failed(error))
            }
        }
    }

    async fn beat(&self, request: &HeartbeatRequest) -> Result<(), ClusterError> {
        let connection = self.cluster.coordinator_connection(&self.config.group, self.lane).await?;
        let answer = self.ask(&connection, request, connection.request_timeout()).await?;
        self.check(&connection, ApiKey::Heartbeat, answer.error_code)
    }

    /// Leaves the group, so that others take over at once. What was not committed is read again by them.
    ///
    /// # Errors
    ///
    /// [`ConsumerError::Cluster`]; the group then goes on without the member after its session timeout.
    pub async fn leave(mut self) -> Result<(), ConsumerError> {
        let Standing::Inside { member_id, .. } = self.standing.clone() else {
            return Ok(());
        };
        self.step_out(String::new());
        self.say_goodbye(member_id).await.map_err(|error| self.failed(error))
    }

    async fn say_goodbye(&self, member_id: String) -> Result<(), ClusterError> {
        let connection = self.cluster.coordinator_connection(&self.config.group, self.lane).await?;
        let version = connection.version_for::<LeaveGroupRequest>().map_err(RequestError::from)?;
        let group_id = self.config.group.as_str().to_owned();
        let request = if version >= LEAVE_AS_LIST {
            let member = LeaveGroupRequestMember {
                member_id,
                group_instance_id: self.config.instance_id.clone(),
                reason: None,
            };
            LeaveGroupRequest { group_id, members: vec![member], ..LeaveGroupRequest::default() }
        } else {
            LeaveGroupRequest { group_id, member_id, ..LeaveGroupRequest::default() }
        };
        let answer = connection.send(&request, version).await?;
        self.check(&connection, ApiKey::LeaveGroup, answer.error_code)
    }

    /// Steps out of the group, or forgets its broker, where `error` says so.
    pub(super) fn note_membership(&mut self, error: &ClusterError) {
        let member_id = match &self.standing {
            Standing::Outside { member_id } | Standing::Inside { member_id, .. } => member_id.clone(),
        };
        match error.code() {
            Some(ErrorCode::REBALANCE_IN_PROGRESS) => self.step_out(member_id),
            Some(
                ErrorCode::UNKNOWN_MEMBER_ID | ErrorCode::ILLEGAL_GENERATION | ErrorCode::GROUP_ID_NOT_FOUND,
            ) => {
                self.step_out(String::new());
            }
            _ if is_coordinator_error(error) => self.cluster.forget_coordinator(&self.config.group),
            _ => {}
        }
    }

    async fn ask<R: Request>(
        &self,
        connection: &Connection,
        request: &R,
        time: Duration,
    ) -> Result<R::Response, ClusterError> {
        let version = connection.version_for::<R>().map_err(RequestError::from)?;
        let answered = connection.send_within(request, version, time).await;
        if answered.as_ref().is_err_and(RequestError::may_retry) {
            self.cluster.forget_coordinator(&self.config.group);
        }
        Ok(answered?)
    }

    fn check(&self, connection: &Connection, api: ApiKey, code: i16) -> Result<(), ClusterError> {
        said(api, connection.address(), format!("group {}", self.config.group), Some((code, None)))
    }
}

fn read_share(connection: &Connection, assignment: Bytes) -> Result<Vec<TopicPartition>, ClusterError> {
    if assignment.is_empty() {
        return Ok(Vec::new());
    }
    let read = ConsumerProtocolAssignment::from_bytes(assignment)
        .map_err(|source| RequestError::Decode { address: connection.address().clone(), source })?;
    Ok(read
        .assigned_partitions
        .into_iter()
        .filter_map(|part| Some((TopicName::new(&part.topic).ok()?, part.partitions)))
        .flat_map(|(topic, partitions)| {
            partitions
                .into_iter()
                .filter_map(PartitionIndex::from_wire)
                .map(move |partition| TopicPartition { topic: topic.clone(), partition })
        })
        .collect())
}
