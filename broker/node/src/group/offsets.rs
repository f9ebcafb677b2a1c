//! Positions of groups: what is committed, and what waits for its transaction.

use std::collections::BTreeMap;

use leeward_model::{GroupName, ProducerId, TopicPartition, WallTime};

/// How far a group has read a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The next record to read.
    pub offset: i64,
    /// Leader epoch of the last record read; -1 where the client did not say.
    pub leader_epoch: i32,
    pub metadata: String,
    pub committed_at: WallTime,
    /// Set where the client chose the retention by itself (versions 2 to 4 of the request).
    pub expires_at: Option<WallTime>,
}

/// What a read of a position finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchedOffset {
    Committed(CommittedOffset),
    /// Nothing is committed.
    Absent,
    /// A transaction that would move it is open, and the reader wants to wait for its end.
    Unstable,
}

type Positions = BTreeMap<TopicPartition, CommittedOffset>;

/// Positions of groups.
#[derive(Clone, Debug, Default)]
pub struct OffsetStore {
    committed: BTreeMap<GroupName, Positions>,
    /// By producer: what takes effect when its transaction commits.
    open: BTreeMap<ProducerId, BTreeMap<GroupName, Positions>>,
    count: usize,
}

impl OffsetStore {
    /// How many positions are committed, over all groups.
    pub fn len(&self) -> usize {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub fn contains(&self, group: &GroupName, partition: &TopicPartition) -> bool {
        self.committed.get(group).is_some_and(|positions| positions.contains_key(partition))
    }

    /// True where the group has a position, or an open transaction that would give it one.
    pub fn has_any(&self, group: &GroupName) -> bool {
        self.committed.contains_key(group) || self.has_open(group)
    }

    /// True where an open transaction would move a position of the group.
    pub fn has_open(&self, group: &GroupName) -> bool {
        self.open.values().any(|groups| groups.contains_key(group))
    }

    /// Reads one position; with `stable`, one that an open transaction would move is [`FetchedOffset::Unstable`].
    pub fn fetch(&self, group: &GroupName, partition: &TopicPartition, stable: bool) -> FetchedOffset {
        if stable && self.is_open(group, partition) {
            return FetchedOffset::Unstable;
        }
        match self.committed.get(group).and_then(|positions| positions.get(partition)) {
            Some(position) => FetchedOffset::Committed(position.clone()),
            None => FetchedOffset::Absent,
        }
    }

    /// All positions of a group, by topic and partition.
    pub fn of_group(&self, group: &GroupName) -> impl Iterator<Item = (&TopicPartition, &CommittedOffset)> {
        self.committed.get(group).into_iter().flatten()
    }

    /// Groups that have a position.
    pub fn groups(&self) -> impl Iterator<Item = &GroupName> {
        self.committed.keys()
    }

    pub(super) fn is_open(&self, group: &GroupName, partition: &TopicPartition) -> bool {
        self.open
            .values()
            .any(|groups| groups.get(group).is_some_and(|positions| positions.contains_key(partition)))
    }

    pub(super) fn put(&mut self, group: &GroupName, partition: TopicPartition, position: CommittedOffset) {
        let positions = self.committed.entry(group.clone()).or_default();
        if positions.insert(partition, position).is_none() {
            self.count += 1;
        }
    }

    pub(super) fn put_open(
        &mut self,
        producer: ProducerId,
        group: &GroupName,
        partition: TopicPartition,
        position: CommittedOffset,
    ) {
        let groups = self.open.entry(producer).or_default();
        groups.entry(group.clone()).or_default().insert(partition, position);
    }

    pub(super) fn remove(&mut self, group: &GroupName, partition: &TopicPartition) {
        let Some(positions) = self.committed.get_mut(group) else { return };
        if positions.remove(partition).is_some() {
            self.count -= 1;
        }
        if positions.is_empty() {
            self.committed.remove(group);
        }
    }

    /// Ends a producer's transaction and returns the groups that it moved.
    pub(super) fn end_transaction(&mut self, producer: ProducerId, committed: bool) -> Vec<GroupName> {
        let Some(groups) = self.open.remove(&producer) else { return Vec::new() };
        if !committed {
            return Vec::new();
        }
        let moved = groups.keys().cloned().collect();
        for (group, positions) in groups {
            for (partition, position) in positions {
                self.put(&group, partition, position);
            }
        }
        moved
    }
}
