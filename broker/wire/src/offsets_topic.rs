//! Keys and values of the records in `__consumer_offsets`: positions of groups and the groups themselves.

use bytes::Bytes;

use crate::{DecodeError, EncodeError, Message, Reader, Uuid, versioned};

versioned!(OffsetCommitKey, 0..=1, flexible i16::MAX);
versioned!(OffsetCommitValue, 0..=4, flexible 4);
versioned!(GroupMetadataKey, 2..=2, flexible i16::MAX);
versioned!(GroupMetadataValue, 0..=4, flexible 4);

message! {
    /// Whose position it is.
    OffsetCommitKey {
        group: String [0..];
        topic: String [0..];
        partition: i32 [0..];
    }

    /// A position. Brokers write version 1 when it has its own expiry, else 3.
    OffsetCommitValue {
        offset: i64 [0..];
        leader_epoch: i32 [3..] = -1, ignorable;
        metadata: String [0..];
        commit_timestamp: i64 [0..];
        expire_timestamp: i64 [1..=1] = -1, ignorable;
        topic_id: Uuid [4..], ignorable, tag(0);
    }

    /// Which group it is.
    GroupMetadataKey {
        group: String [2..];
    }

    /// A group with its generation and members, as of its last rebalance.
    GroupMetadataValue {
        protocol_type: String [0..];
        generation: i32 [0..];
        protocol: Option<String> [0..];
        leader: Option<String> [0..];
        current_state_timestamp: i64 [2..] = -1, ignorable;
        members: Vec<GroupMetadataMember> [0..];
    }

    /// One member of a group.
    GroupMetadataMember {
        member_id: String [0..];
        group_instance_id: Option<String> [3..], ignorable;
        client_id: String [0..];
        client_host: String [0..];
        rebalance_timeout: i32 [1..] = -1, ignorable;
        session_timeout: i32 [0..];
        subscription: Bytes [0..];
        assignment: Bytes [0..];
    }
}

/// The version of offset keys that brokers write.
pub const OFFSET_KEY_VERSION: i16 = 1;
/// The version of offset values that brokers write for positions without their own expiry.
pub const OFFSET_VALUE_VERSION: i16 = 3;
/// The only version of group keys.
pub const GROUP_KEY_VERSION: i16 = 2;
/// The version of group values that brokers write.
pub const GROUP_VALUE_VERSION: i16 = 3;

/// The key of any record of the topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OffsetsTopicKey {
    Offset(OffsetCommitKey),
    Group(GroupMetadataKey),
    /// A record of the newer group protocols; the number is its type.
    Other(i16),
}

impl OffsetsTopicKey {
    /// Reads a record's key. Its first two bytes are version and record type in one.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] when the bytes are not such a key.
    pub fn from_bytes(bytes: Bytes) -> Result<Self, DecodeError> {
        let mut input = Reader::new(bytes);
        match versioned::version(&mut input, "OffsetsTopicKey")? {
            version @ 0..=1 => OffsetCommitKey::decode(&mut input, version).map(Self::Offset),
            version @ 2 => GroupMetadataKey::decode(&mut input, version).map(Self::Group),
            other => Ok(Self::Other(other)),
        }
    }

    /// The key's bytes; those of [`OffsetsTopicKey::Other`] are only its type.
    ///
    /// # Errors
    ///
    /// [`EncodeError`] when a name is longer than 32767 bytes.
    pub fn to_bytes(&self) -> Result<Bytes, EncodeError> {
        match self {
            Self::Offset(key) => key.to_bytes(OFFSET_KEY_VERSION),
            Self::Group(key) => key.to_bytes(GROUP_KEY_VERSION),
            Self::Other(other) => Ok(Bytes::copy_from_slice(&other.to_be_bytes())),
        }
    }
}

impl OffsetCommitValue {
    /// Reads a position with its version in front.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] when the version is unknown or the bytes are not a position.
    pub fn from_bytes(bytes: Bytes) -> Result<Self, DecodeError> {
        let mut input = Reader::new(bytes);
        let version = versioned::version(&mut input, "OffsetCommitValue")?;
        Self::decode(&mut input, version)
    }
}

impl GroupMetadataValue {
    /// Reads a group with its version in front.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] when the version is unknown or the bytes are not a group.
    pub fn from_bytes(bytes: Bytes) -> Result<Self, DecodeError> {
        let mut input = Reader::new(bytes);
        let version = versioned::version(&mut input, "GroupMetadataValue")?;
        Self::decode(&mut input, version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_key_is_the_bytes_that_brokers_write() {
        let key = OffsetCommitKey { group: "g".into(), topic: "tt".into(), partition: 7 };

        let bytes = OffsetsTopicKey::Offset(key.clone()).to_bytes().unwrap();

        assert_eq!(&bytes[..], b"\0\x01\0\x01g\0\x02tt\0\0\0\x07");
        assert_eq!(OffsetsTopicKey::from_bytes(bytes), Ok(OffsetsTopicKey::Offset(key)));
    }

    #[test]
    fn an_offset_value_is_the_bytes_that_brokers_write() {
        let value = OffsetCommitValue {
            offset: 5,
            leader_epoch: -1,
            metadata: "m".into(),
            commit_timestamp: 9,
            ..Default::default()
        };

        let bytes = value.to_bytes(OFFSET_VALUE_VERSION).unwrap();

        assert_eq!(&bytes[..], b"\0\x03\0\0\0\0\0\0\0\x05\xFF\xFF\xFF\xFF\0\x01m\0\0\0\0\0\0\0\x09");
        assert_eq!(OffsetCommitValue::from_bytes(bytes), Ok(value));
    }

    #[test]
    fn a_group_value_reads_back_in_every_version() {
        let member = GroupMetadataMember {
            member_id: "m-1".into(),
            client_id: "c".into(),
            client_host: "/127.0.0.1".into(),
            session_timeout: 10_000,
            subscription: Bytes::from_static(b"s"),
            assignment: Bytes::from_static(b"a"),
            ..Default::default()
        };
        let group = GroupMetadataValue {
            protocol_type: "consumer".into(),
            generation: 3,
            protocol: Some("range".into()),
            leader: Some("m-1".into()),
            members: vec![member],
            ..Default::default()
        };

        for version in GroupMetadataValue::MIN_VERSION..=GroupMetadataValue::MAX_VERSION {
            let bytes = group.to_bytes(version).unwrap();
            assert_eq!(GroupMetadataValue::from_bytes(bytes).as_ref(), Ok(&group), "version {version}");
        }
    }

    #[test]
    fn a_key_of_the_newer_protocols_is_kept_apart() {
        assert_eq!(
            OffsetsTopicKey::from_bytes(Bytes::from_static(b"\0\x03\0\0")),
            Ok(OffsetsTopicKey::Other(3))
        );
    }
}
