//! Which positions a group has outlived.

use leeward_model::{TopicPartition, WallTime};

use super::{
    CommittedOffset, GroupSettings, Now, OffsetStore,
    classic::{Group, State},
    subscription::{CONSUMER, Subscription},
};

/// Positions that may go: of an empty group by the time that it is empty, of a group that only stores positions
/// by their age, and of a stable group of consumers those of topics that it has given up.
pub(super) fn expired(
    group: &Group,
    offsets: &OffsetStore,
    settings: &GroupSettings,
    now: Now,
) -> Vec<TopicPartition> {
    let mut gone = Vec::new();
    for (partition, position) in offsets.of_group(&group.name) {
        let Some(unused_since) = unused_since(group, partition, position) else { continue };
        let is_expired = match position.expires_at {
            Some(at) => now.wall >= at,
            None => now.wall.since(unused_since) >= settings.offsets_retention,
        };
        if is_expired && !offsets.is_open(&group.name, partition) {
            gone.push(partition.clone());
        }
    }
    gone
}

fn unused_since(group: &Group, partition: &TopicPartition, position: &CommittedOffset) -> Option<WallTime> {
    match (&group.protocol_type, &group.state) {
        (None, _) => Some(position.committed_at),
        (Some(_), State::Empty) => Some(group.since.max(position.committed_at)),
        (Some(kind), State::Stable { .. }) if kind == CONSUMER => match &group.subscription {
            Subscription::Unknown => None,
            Subscription::Topics(topics) if topics.contains(partition.topic.as_str()) => None,
            Subscription::Topics(_) => Some(position.committed_at),
        },
        (
            Some(_),
            State::PreparingRebalance { .. }
            | State::CompletingRebalance { .. }
            | State::Stable { .. }
            | State::Dead,
        ) => None,
    }
}
