//! Consumer groups from outside: list, describe, read and write positions, delete. Members are in `consumer`.

use std::collections::BTreeMap;

use bytes::Bytes;
use leeward_model::{GroupName, PartitionIndex, TopicName, TopicPartition};
use leeward_wire::{
    ApiKey, ErrorCode, Request,
    api::{
        DeleteGroupsRequest, DescribeGroupsRequest, DescribeGroupsResponseGroup, ListGroupsRequest,
        OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic, OffsetCommitResponse,
        OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
        OffsetFetchResponse,
    },
};

use crate::{
    Address, Cluster, ClusterError, Connection, Lane, PerPartition, RequestError, admin::said,
    cluster::newest, offsets::per_partition,
};

/// Newest version of `OffsetCommit` and `OffsetFetch` that names topics; later ones take their ids.
const OFFSETS_BY_NAME: i16 = 9;
/// First version of `OffsetFetch` that takes a list of groups.
const OFFSET_FETCH_GROUPS: i16 = 8;
/// First version of `OffsetFetch` that can wait for open transactions to end.
const OFFSET_FETCH_STABLE: i16 = 7;

/// A group as a list of groups tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedGroup {
    pub name: GroupName,
    /// `consumer` for groups of consumers, empty for groups that only keep positions.
    pub protocol_type: String,
    /// Empty where the broker tells none.
    pub state: String,
    /// `Classic`, `Consumer`...; empty where the broker tells none.
    pub group_type: String,
}

/// A group's state and members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedGroup {
    pub name: GroupName,
    /// `Empty`, `Stable`, `PreparingRebalance`, `CompletingRebalance` or `Dead`.
    pub state: String,
    pub protocol_type: String,
    pub members: Vec<DescribedMember>,
}

impl DescribedGroup {
    /// Whether nobody is in the group, so that its positions can be written from outside.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }
}

/// One member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedMember {
    pub id: String,
    pub client_id: String,
    pub client_host: String,
    pub metadata: Bytes,
    pub assignment: Bytes,
}

/// A group's position in a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The offset to be read next.
    pub offset: i64,
    /// -1 where none was committed.
    pub leader_epoch: i32,
    pub metadata: String,
}

/// A position to be committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitOffset {
    /// The offset to be read next.
    pub offset: i64,
    /// -1 for none: of another cluster's log, an epoch means nothing.
    pub leader_epoch: i32,
    pub metadata: String,
}

impl CommitOffset {
    /// A position without leader epoch and metadata.
    pub fn at(offset: i64) -> Self {
        Self { offset, leader_epoch: -1, metadata: String::new() }
    }
}

/// Who commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// -1 for somebody outside the group, who may commit while it has no members.
    pub generation: i32,
    pub member_id: String,
    pub instance_id: Option<String>,
}

impl Membership {
    /// Somebody outside the group.
    pub fn outside() -> Self {
        Self { generation: -1, member_id: String::new(), instance_id: None }
    }
}

impl Cluster {
    /// All groups of all brokers.
    ///
    /// # Errors
    ///
    /// [`ClusterError`] where one of the brokers does not answer: a list with gaps would look like deleted groups.
    pub async fn list_groups(&self) -> Result<Vec<ListedGroup>, ClusterError> {
        retrying!(self, "list groups", async {
            let brokers: Vec<_> = self.map().brokers.keys().copied().collect();
            let mut groups = BTreeMap::new();
            for broker in brokers {
                let connection = self.connection(broker, Lane::Shared).await?;
                let answer = newest(&connection, &ListGroupsRequest::default()).await?;
                let outcome = Some((answer.error_code, None));
                said(ApiKey::ListGroups, connection.address(), "all groups".to_owned(), outcome)?;
                groups.extend(answer.groups.into_iter().map(|group| (group.group_id.clone(), group)));
            }
            Ok(groups
                .into_values()
                .map(|group| ListedGroup {
                    name: GroupName::new(&group.group_id),
                    protocol_type: group.protocol_type,
                    state: group.group_state,
                    group_type: group.group_type,
                })
                .collect())
        })
    }

    /// States and members of groups. A group that nobody knows is `Dead` and without members.
    ///
    /// # Errors
    ///
    /// [`ClusterError`], after retries, for the first group that cannot be described.
    pub async fn describe_groups(&self, groups: &[GroupName]) -> Result<Vec<DescribedGroup>, ClusterError> {
        let mut described = Vec::with_capacity(groups.len());
        for group in groups {
            described.push(self.describe_group(group).await?);
        }
        Ok(described)
    }

    /// State and members of one group.
    ///
    /// # Errors
    ///
    /// [`ClusterError`], after retries.
    pub async fn describe_group(&self, group: &GroupName) -> Result<DescribedGroup, ClusterError> {
        let request =
            &DescribeGroupsRequest { groups: vec![group.as_str().to_owned()], ..Default::default() };
        self.with_coordinator(ApiKey::DescribeGroups, group, |connection| async move {
            let answer = newest(&connection, request).await?;
            let found = answer.groups.into_iter().next();
            let outcome = found.as_ref().map(|found| (found.error_code, found.error_message.clone()));
            let refused =
                said(ApiKey::DescribeGroups, connection.address(), format!("group {group}"), outcome);
            match refused {
                Err(error) if error.code() == Some(ErrorCode::GROUP_ID_NOT_FOUND) => Ok(DescribedGroup {
                    name: group.clone(),
                    state: "Dead".to_owned(),
                    protocol_type: String::new(),
                    members: Vec::new(),
                }),
                Err(error) => Err(error),
                Ok(()) => Ok(described(group, found.expect("an answer without the group is an error"))),
            }
        })
        .await
    }

    /// A group's positions: those of `partitions`, or all for `None`. Partitions without a position are missing. While a
    /// transaction that moves a position is open, the answer is waited for.
    ///
    /// # Errors
    ///
    /// [`ClusterError`], after retries.
    pub async fn fetch_offsets(
        &self,
        group: &GroupName,
        partitions: Option<&[TopicPartition]>,
    ) -> Result<BTreeMap<TopicPartition, CommittedOffset>, ClusterError> {
        self.fetch_offsets_of(group, partitions, true).await
    }

    /// All positions of a group as they were committed last, whatever transactions are open.
    ///
    /// # Errors
    ///
    /// [`ClusterError`], after retries.
    pub async fn fetch_last_offsets(
        &self,
        group: &GroupName,
    ) -> Result<BTreeMap<TopicPartition, CommittedOffset>, ClusterError> {
        self.fetch_offsets_of(group, None, false).await
    }

    async fn fetch_offsets_of(
        &self,
        group: &GroupName,
        partitions: Option<&[TopicPartition]>,
        wait_until_stable: bool,
    ) -> Result<BTreeMap<TopicPartition, CommittedOffset>, ClusterError> {
        self.with_coordinator(ApiKey::OffsetFetch, group, |connection| async move {
            let version = connection
                .version_up_to::<OffsetFetchRequest>(OFFSETS_BY_NAME)
                .map_err(RequestError::from)?;
            let mut request = offset_fetch(group, partitions, version);
            request.require_stable &= wait_until_stable;
            let answer = connection.send(&request, version).await?;
            read_positions(&connection, group, answer)
        })
        .await
    }

    /// Commits positions from outside the group. Refused with `UNKNOWN_MEMBER_ID` while the group has members.
    ///
    /// # Errors
    ///
    /// [`ClusterError`] where the whole request failed; each partition has an outcome besides.
    pub async fn commit_offsets(
        &self,
        group: &GroupName,
        offsets: &[(TopicPartition, CommitOffset)],
    ) -> Result<PerPartition<()>, ClusterError> {
        self.commit_offsets_as(group, &Membership::outside(), offsets).await
    }

    /// Commits positions as a member, or from outside.
    ///
    /// # Errors
    ///
    /// [`ClusterError`] where the whole request failed; each partition has an outcome besides.
    pub async fn commit_offsets_as(
        &self,
        group: &GroupName,
        membership: &Membership,
        offsets: &[(TopicPartition, CommitOffset)],
    ) -> Result<PerPartition<()>, ClusterError> {
        if offsets.is_empty() {
            return Ok(BTreeMap::new());
        }
        let request = &offset_commit(group, membership, offsets);
        self.with_coordinator(ApiKey::OffsetCommit, group, |connection| async move {
            let version = connection
                .version_up_to::<OffsetCommitRequest>(OFFSETS_BY_NAME)
                .map_err(RequestError::from)?;
            let answer = connection.send(request, version).await?;
            let outcomes = read_commit(connection.address(), offsets, answer);
            // The coordinator refuses all partitions alike when it has moved or is not ready.
            let moved = outcomes.values().find_map(|outcome| match outcome {
                Err(error) if is_coordinator_error(error) => Some(error.clone()),
                _ => None,
            });
            moved.map_or(Ok(outcomes), Err)
        })
        .await
    }

    /// Deletes a group and its positions; it must have no members.
    ///
    /// # Errors
    ///
    /// [`ClusterError`].
    pub async fn delete_group(&self, group: &GroupName) -> Result<(), ClusterError> {
        let request = &DeleteGroupsRequest { groups_names: vec![group.as_str().to_owned()] };
        self.with_coordinator(ApiKey::DeleteGroups, group, |connection| async move {
            let answer = newest(&connection, request).await?;
            let outcome = answer.results.into_iter().next().map(|found| (found.error_code, None));
            said(ApiKey::DeleteGroups, connection.address(), format!("group {group}"), outcome)
        })
        .await
    }

    /// Deletes groups; each has an outcome.
    pub async fn delete_groups(&self, groups: &[GroupName]) -> BTreeMap<GroupName, Result<(), ClusterError>> {
        let mut outcomes = BTreeMap::new();
        for group in groups {
            outcomes.insert(group.clone(), self.delete_group(group).await);
        }
        outcomes
    }

    /// Calls `attempt` with a connection to the group's broker, again after it has moved or could not be reached.
    pub(crate) async fn with_coordinator<T, F>(
        &self,
        api: ApiKey,
        group: &GroupName,
        mut attempt: impl FnMut(Connection) -> F,
    ) -> Result<T, ClusterError>
    where
        F: Future<Output = Result<T, ClusterError>>,
    {
        let what = format!("{} for group {group}", api.name());
        retrying!(self, &what, async {
            let connection = self.coordinator_connection(group, Lane::Shared).await?;
            let outcome = attempt(connection).await;
            if let Err(error) = &outcome
                && (is_coordinator_error(error) || matches!(error, ClusterError::Request(_)))
            {
                self.forget_coordinator(group);
            }
            outcome
        })
    }
}

/// Whether the group's broker has moved, or is not ready.
pub(crate) fn is_coordinator_error(error: &ClusterError) -> bool {
    matches!(
        error.code(),
        Some(
            ErrorCode::NOT_COORDINATOR
                | ErrorCode::COORDINATOR_NOT_AVAILABLE
                | ErrorCode::COORDINATOR_LOAD_IN_PROGRESS
        )
    )
}

fn described(group: &GroupName, found: DescribeGroupsResponseGroup) -> DescribedGroup {
    DescribedGroup {
        name: group.clone(),
        state: found.group_state,
        protocol_type: found.protocol_type,
        members: found
            .members
            .into_iter()
            .map(|member| DescribedMember {
                id: member.member_id,
                client_id: member.client_id,
                client_host: member.client_host,
                metadata: member.member_metadata,
                assignment: member.member_assignment,
            })
            .collect(),
    }
}

fn by_topic<'a, T>(items: impl Iterator<Item = (&'a TopicPartition, T)>) -> BTreeMap<&'a str, Vec<(i32, T)>> {
    let mut topics: BTreeMap<&str, Vec<(i32, T)>> = BTreeMap::new();
    for (partition, item) in items {
        topics.entry(partition.topic.as_str()).or_default().push((partition.partition.to_wire(), item));
    }
    topics
}

fn offset_fetch(
    group: &GroupName,
    partitions: Option<&[TopicPartition]>,
    version: i16,
) -> OffsetFetchRequest {
    let topics = partitions.map(|partitions| {
        by_topic(partitions.iter().map(|partition| (partition, ())))
            .into_iter()
            .map(|(name, indexes)| (name.to_owned(), indexes.into_iter().map(|(index, ())| index).collect()))
            .collect::<Vec<(String, Vec<i32>)>>()
    });
    let group_id = group.as_str().to_owned();
    let require_stable = version >= OFFSET_FETCH_STABLE;
    if version >= OFFSET_FETCH_GROUPS {
        let topics = topics.map(|topics| {
            let structured = |(name, partition_indexes)| OffsetFetchRequestTopics {
                name,
                partition_indexes,
                ..OffsetFetchRequestTopics::default()
            };
            topics.into_iter().map(structured).collect()
        });
        let wanted = OffsetFetchRequestGroup { group_id, topics, ..OffsetFetchRequestGroup::default() };
        return OffsetFetchRequest { groups: vec![wanted], require_stable, ..Default::default() };
    }
    let structured = |(name, partition_indexes)| OffsetFetchRequestTopic { name, partition_indexes };
    let topics = topics.map(|topics| topics.into_iter().map(structured).collect());
    OffsetFetchRequest { group_id, topics, require_stable, ..Default::default() }
}

/// A position as both forms of the answer tell it: topic, partition, error, position.
type Told = (String, i32, i16, CommittedOffset);

fn told_positions(answer: OffsetFetchResponse) -> (i16, Vec<Told>) {
    let mut code = answer.error_code;
    let mut told = Vec::new();
    let position = |offset, leader_epoch, metadata: Option<String>| CommittedOffset {
        offset,
        leader_epoch,
        metadata: metadata.unwrap_or_default(),
    };
    for topic in answer.topics {
        for found in topic.partitions {
            let at = position(found.committed_offset, found.committed_leader_epoch, found.metadata);
            told.push((topic.name.clone(), found.partition_index, found.error_code, at));
        }
    }
    for group in answer.groups {
        code = if code == 0 { group.error_code } else { code };
        for topic in group.topics {
            for found in topic.partitions {
                let at = position(found.committed_offset, found.committed_leader_epoch, found.metadata);
                told.push((topic.name.clone(), found.partition_index, found.error_code, at));
            }
        }
    }
    (code, told)
}

fn read_positions(
    connection: &Connection,
    group: &GroupName,
    answer: OffsetFetchResponse,
) -> Result<BTreeMap<TopicPartition, CommittedOffset>, ClusterError> {
    let (code, told) = told_positions(answer);
    let address = connection.address();
    said(ApiKey::OffsetFetch, address, format!("group {group}"), Some((code, None)))?;
    let mut positions = BTreeMap::new();
    for (topic, index, code, position) in told {
        let subject = format!("group {group} at {topic}-{index}");
        let of = TopicName::new(&topic).ok().zip(PartitionIndex::from_wire(index));
        if ErrorCode::new(code) == ErrorCode::UNKNOWN_TOPIC_OR_PARTITION {
            continue;
        }
        said(ApiKey::OffsetFetch, address, subject, Some((code, None)))?;
        if let Some((topic, partition)) = of
            && position.offset >= 0
        {
            positions.insert(TopicPartition { topic, partition }, position);
        }
    }
    Ok(positions)
}

fn offset_commit(
    group: &GroupName,
    membership: &Membership,
    offsets: &[(TopicPartition, CommitOffset)],
) -> OffsetCommitRequest {
    let topics = by_topic(offsets.iter().map(|(partition, offset)| (partition, offset)))
        .into_iter()
        .map(|(name, partitions)| OffsetCommitRequestTopic {
            name: name.to_owned(),
            partitions: partitions
                .into_iter()
                .map(|(partition_index, offset)| OffsetCommitRequestPartition {
                    partition_index,
                    committed_offset: offset.offset,
                    committed_leader_epoch: offset.leader_epoch,
                    committed_metadata: Some(offset.metadata.clone()),
                    ..OffsetCommitRequestPartition::default()
                })
                .collect(),
            ..OffsetCommitRequestTopic::default()
        })
        .collect();
    OffsetCommitRequest {
        group_id: group.as_str().to_owned(),
        generation_id_or_member_epoch: membership.generation,
        member_id: membership.member_id.clone(),
        group_instance_id: membership.instance_id.clone(),
        topics,
        ..OffsetCommitRequest::default()
    }
}

fn read_commit(
    address: &Address,
    offsets: &[(TopicPartition, CommitOffset)],
    answer: OffsetCommitResponse,
) -> PerPartition<()> {
    let mut answered: BTreeMap<(String, i32), ErrorCode> = answer
        .topics
        .into_iter()
        .flat_map(|topic| {
            topic.partitions.into_iter().map(move |found| {
                ((topic.name.clone(), found.partition_index), ErrorCode::new(found.error_code))
            })
        })
        .collect();
    per_partition(address, OffsetCommitRequest::KEY, offsets, |key| {
        answered.remove(key).map(|code| (code, ()))
    })
}
