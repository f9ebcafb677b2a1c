//! What is written to `__consumer_offsets`, and its bytes.

use std::time::Duration;

use bytes::Bytes;
use leeward_model::{GroupName, PartitionIndex, ProducerIdentity, TopicName, TopicPartition, WallTime};
use leeward_wire::{
    DecodeError, EncodeError,
    offsets_topic::{
        GROUP_VALUE_VERSION, GroupMetadataKey, GroupMetadataMember, GroupMetadataValue, OFFSET_VALUE_VERSION,
        OffsetCommitKey, OffsetCommitValue, OffsetsTopicKey,
    },
};

use super::{Caller, CommittedOffset, Identity};

/// Records that must become durable together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    /// Set where the records belong to this producer's open transaction.
    pub producer: Option<ProducerIdentity>,
    pub records: Vec<GroupRecord>,
}

/// One record; a value of `None` is a tombstone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupRecord {
    Offset { group: GroupName, partition: TopicPartition, value: Option<CommittedOffset> },
    Group { group: GroupName, value: Option<GroupMetadata> },
}

/// A group as it survives its coordinator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMetadata {
    pub protocol_type: String,
    pub generation: i32,
    pub protocol: Option<String>,
    pub leader: Option<String>,
    /// When the group came into its state.
    pub since: WallTime,
    pub members: Vec<MemberMetadata>,
}

/// A member as it survives its coordinator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberMetadata {
    pub member: Identity,
    pub caller: Caller,
    pub rebalance_timeout: Duration,
    pub session_timeout: Duration,
    /// What it said for the chosen protocol.
    pub subscription: Bytes,
    pub assignment: Bytes,
}

impl GroupRecord {
    /// Key and value as brokers write them; no value is a tombstone.
    ///
    /// # Errors
    ///
    /// [`EncodeError`] where a name is longer than the format can say.
    pub fn to_bytes(&self) -> Result<(Bytes, Option<Bytes>), EncodeError> {
        match self {
            Self::Offset { group, partition, value } => {
                let key = OffsetsTopicKey::Offset(OffsetCommitKey {
                    group: group.as_str().to_owned(),
                    topic: partition.topic.as_str().to_owned(),
                    partition: partition.partition.to_wire(),
                });
                Ok((key.to_bytes()?, value.as_ref().map(position_bytes).transpose()?))
            }
            Self::Group { group, value } => {
                let key = OffsetsTopicKey::Group(GroupMetadataKey { group: group.as_str().to_owned() });
                Ok((key.to_bytes()?, value.as_ref().map(group_bytes).transpose()?))
            }
        }
    }

    /// Reads a record of the topic; `None` for one of the newer group protocols, or of a topic whose name no
    /// topic can have.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] where the bytes are no such record.
    pub fn from_bytes(key: Bytes, value: Option<Bytes>) -> Result<Option<Self>, DecodeError> {
        match OffsetsTopicKey::from_bytes(key)? {
            OffsetsTopicKey::Offset(key) => {
                let (Ok(topic), Some(partition)) =
                    (TopicName::new(&key.topic), PartitionIndex::from_wire(key.partition))
                else {
                    return Ok(None);
                };
                let value = value.map(OffsetCommitValue::from_bytes).transpose()?;
                Ok(Some(Self::Offset {
                    group: GroupName::from(key.group),
                    partition: TopicPartition { topic, partition },
                    value: value.map(position),
                }))
            }
            OffsetsTopicKey::Group(key) => {
                let value = value.map(GroupMetadataValue::from_bytes).transpose()?;
                Ok(Some(Self::Group { group: GroupName::from(key.group), value: value.map(metadata) }))
            }
            OffsetsTopicKey::Other(_) => Ok(None),
        }
    }
}

fn position_bytes(position: &CommittedOffset) -> Result<Bytes, EncodeError> {
    let value = OffsetCommitValue {
        offset: position.offset,
        leader_epoch: position.leader_epoch,
        metadata: position.metadata.clone(),
        commit_timestamp: position.committed_at.as_millis(),
        expire_timestamp: position.expires_at.map_or(-1, WallTime::as_millis),
        ..OffsetCommitValue::default()
    };
    value.to_bytes(if position.expires_at.is_some() { 1 } else { OFFSET_VALUE_VERSION })
}

fn position(value: OffsetCommitValue) -> CommittedOffset {
    CommittedOffset {
        offset: value.offset,
        leader_epoch: value.leader_epoch,
        metadata: value.metadata,
        committed_at: WallTime::from_millis(value.commit_timestamp),
        expires_at: (value.expire_timestamp >= 0).then_some(WallTime::from_millis(value.expire_timestamp)),
    }
}

fn group_bytes(group: &GroupMetadata) -> Result<Bytes, EncodeError> {
    let member = |member: &MemberMetadata| GroupMetadataMember {
        member_id: member.member.id.clone(),
        group_instance_id: member.member.instance_id.clone(),
        client_id: member.caller.client_id.clone(),
        client_host: member.caller.client_host.clone(),
        rebalance_timeout: to_millis(member.rebalance_timeout),
        session_timeout: to_millis(member.session_timeout),
        subscription: member.subscription.clone(),
        assignment: member.assignment.clone(),
    };
    let value = GroupMetadataValue {
        protocol_type: group.protocol_type.clone(),
        generation: group.generation,
        protocol: group.protocol.clone(),
        leader: group.leader.clone(),
        current_state_timestamp: group.since.as_millis(),
        members: group.members.iter().map(member).collect(),
    };
    value.to_bytes(GROUP_VALUE_VERSION)
}

fn metadata(value: GroupMetadataValue) -> GroupMetadata {
    let member = |member: GroupMetadataMember| {
        let session_timeout = from_millis(member.session_timeout);
        let says_rebalance_timeout = member.rebalance_timeout >= 0;
        MemberMetadata {
            member: Identity { id: member.member_id, instance_id: member.group_instance_id },
            caller: Caller { client_id: member.client_id, client_host: member.client_host },
            rebalance_timeout: if says_rebalance_timeout {
                from_millis(member.rebalance_timeout)
            } else {
                session_timeout
            },
            session_timeout,
            subscription: member.subscription,
            assignment: member.assignment,
        }
    };
    GroupMetadata {
        protocol_type: value.protocol_type,
        generation: value.generation,
        protocol: value.protocol,
        leader: value.leader,
        since: WallTime::from_millis(value.current_state_timestamp),
        members: value.members.into_iter().map(member).collect(),
    }
}

fn to_millis(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

/// A duration of the wire; negative ones are none.
pub(super) fn from_millis(millis: i32) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(record: &GroupRecord) -> Option<GroupRecord> {
        let (key, value) = record.to_bytes().expect("short names");
        GroupRecord::from_bytes(key, value).expect("our own bytes")
    }

    fn offset(expires_at: Option<WallTime>) -> GroupRecord {
        GroupRecord::Offset {
            group: GroupName::new("g"),
            partition: TopicPartition {
                topic: TopicName::new("t").expect("legal"),
                partition: PartitionIndex::from_wire(3).expect("not negative"),
            },
            value: Some(CommittedOffset {
                offset: 42,
                leader_epoch: -1,
                metadata: "m".into(),
                committed_at: WallTime::from_millis(7),
                expires_at,
            }),
        }
    }

    #[test]
    fn a_position_reads_back_with_and_without_its_own_expiry() {
        for record in [offset(None), offset(Some(WallTime::from_millis(9)))] {
            assert_eq!(round_trip(&record), Some(record));
        }
    }

    #[test]
    fn a_group_reads_back_with_its_members() {
        let member = MemberMetadata {
            member: Identity { id: "m-1".into(), instance_id: Some("i".into()) },
            caller: Caller { client_id: "c".into(), client_host: "/127.0.0.1".into() },
            rebalance_timeout: Duration::from_mins(1),
            session_timeout: Duration::from_secs(10),
            subscription: Bytes::from_static(b"s"),
            assignment: Bytes::from_static(b"a"),
        };
        let record = GroupRecord::Group {
            group: GroupName::new("g"),
            value: Some(GroupMetadata {
                protocol_type: "consumer".into(),
                generation: 4,
                protocol: Some("range".into()),
                leader: Some("m-1".into()),
                since: WallTime::from_millis(5),
                members: vec![member],
            }),
        };

        assert_eq!(round_trip(&record), Some(record));
    }

    #[test]
    fn a_tombstone_has_a_key_and_no_value() {
        let record = GroupRecord::Group { group: GroupName::new("g"), value: None };

        assert_eq!(round_trip(&record), Some(record));
    }
}
