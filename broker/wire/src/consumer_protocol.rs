//! What consumers hide inside the bytes of JoinGroup and SyncGroup; brokers do not look at it.

use bytes::Bytes;

use crate::{DecodeError, Message, Reader, versioned};

versioned!(ConsumerProtocolSubscription, 0..=3, flexible i16::MAX);
versioned!(ConsumerProtocolAssignment, 0..=3, flexible i16::MAX);

message! {
    /// What a member wants and what it holds.
    ConsumerProtocolSubscription {
        topics: Vec<String> [0..];
        user_data: Option<Bytes> [0..];
        owned_partitions: Vec<ConsumerProtocolTopicPartitions> [1..], ignorable;
        generation_id: i32 [2..] = -1, ignorable;
        rack_id: Option<String> [3..], ignorable;
    }

    /// What a member got.
    ConsumerProtocolAssignment {
        assigned_partitions: Vec<ConsumerProtocolTopicPartitions> [0..];
        user_data: Option<Bytes> [0..];
    }

    /// Partitions of one topic.
    ConsumerProtocolTopicPartitions {
        topic: String [0..];
        partitions: Vec<i32> [0..];
    }
}

impl ConsumerProtocolSubscription {
    /// Reads a subscription; a newer version than ours is read as our newest, as its fields only grow at the end.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] when the bytes are not a subscription.
    pub fn from_bytes(bytes: Bytes) -> Result<Self, DecodeError> {
        let mut input = Reader::new(bytes);
        let version = versioned::version(&mut input, "ConsumerProtocolSubscription")?;
        Self::decode(&mut input, version.min(Self::MAX_VERSION))
    }
}

impl ConsumerProtocolAssignment {
    /// Reads an assignment; a newer version than ours is read as our newest, as its fields only grow at the end.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] when the bytes are not an assignment.
    pub fn from_bytes(bytes: Bytes) -> Result<Self, DecodeError> {
        let mut input = Reader::new(bytes);
        let version = versioned::version(&mut input, "ConsumerProtocolAssignment")?;
        Self::decode(&mut input, version.min(Self::MAX_VERSION))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_subscription_is_read_up_to_what_we_know() {
        let ours = ConsumerProtocolSubscription { topics: vec!["t".into()], ..Default::default() };
        let mut bytes = ours.to_bytes(3).unwrap().to_vec();
        bytes[1] = 9;
        bytes.extend_from_slice(b"more");

        assert_eq!(ConsumerProtocolSubscription::from_bytes(bytes.into()), Ok(ours));
    }
}
