//! Which topics a group of consumers reads, as far as its members told.

use std::collections::BTreeSet;

use leeward_wire::consumer_protocol::ConsumerProtocolSubscription;

use super::member::Member;

/// The protocol type of consumers.
pub(super) const CONSUMER: &str = "consumer";

/// Which topics a group reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Subscription {
    /// It did not say, or not in a way we can read: it may read any.
    Unknown,
    Topics(BTreeSet<String>),
}

impl Subscription {
    /// What the members of a group told, in its protocol of that type.
    pub(super) fn of<'a>(
        protocol_type: Option<&str>,
        protocol: Option<&str>,
        members: impl ExactSizeIterator<Item = &'a Member>,
    ) -> Self {
        if members.len() == 0 {
            return Self::Topics(BTreeSet::new());
        }
        let Some(protocol) = protocol else { return Self::Unknown };
        if protocol_type != Some(CONSUMER) {
            return Self::Unknown;
        }
        let mut topics = BTreeSet::new();
        for member in members {
            match ConsumerProtocolSubscription::from_bytes(member.metadata(protocol)) {
                Ok(subscription) => topics.extend(subscription.topics),
                Err(_) => return Self::Unknown,
            }
        }
        Self::Topics(topics)
    }

    pub(super) fn has(&self, topic: &str) -> bool {
        match self {
            Self::Unknown => true,
            Self::Topics(topics) => topics.contains(topic),
        }
    }
}
