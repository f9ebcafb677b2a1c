//! What follows an append, and the appends that nobody asks for: positions that a group has outlived.

use leeward_model::{GroupName, TopicPartition};
use leeward_wire::ErrorCode;

use super::GroupCoordinator;
use crate::group::{
    Append, GroupRecord, Now, Response,
    classic::{Group, State},
    effects::{After, Effects, Pending},
    expiry,
};

impl GroupCoordinator {
    pub(super) fn apply(&mut self, name: &GroupName, after: After, now: Now, effects: &mut Effects) {
        match after {
            After::Nothing => {}
            After::Assign { generation, assignments } => {
                self.on_group(name, now, effects, |group, cx| group.assigned(generation, assignments, cx));
            }
            After::Join { ticket, reply } => effects.replies.push((ticket, Response::Join(reply))),
            After::Commit { ticket, producer, accepted, reply } => {
                for (partition, position) in accepted {
                    match producer {
                        Some(producer) => self.offsets.put_open(producer, name, partition, position),
                        None => self.offsets.put(name, partition, position),
                    }
                }
                effects.replies.push((ticket, Response::Commit(reply)));
            }
            After::DeleteGroup { ticket, removed } => {
                self.drop_offsets(name, &removed);
                self.drop_dead(name);
                effects.replies.push((ticket, Response::DeleteGroup(ErrorCode::NONE)));
            }
            After::DeleteOffsets { ticket, removed, reply } => {
                self.drop_offsets(name, &removed);
                effects.replies.push((ticket, Response::DeleteOffsets(reply)));
            }
            After::Forget { removed } => {
                self.drop_offsets(name, &removed);
                self.drop_dead(name);
            }
        }
    }

    /// The append did not happen: memory is as the log, and who waits is told.
    pub(super) fn give_up(
        &mut self,
        name: &GroupName,
        after: After,
        error: ErrorCode,
        now: Now,
        effects: &mut Effects,
    ) {
        if let Some(group) = self.groups.get_mut(name)
            && group.state == State::Dead
        {
            group.state = State::Empty;
        }
        if let After::Assign { generation, .. } = after {
            self.on_group(name, now, effects, |group, cx| group.not_assigned(generation, error, cx));
        } else {
            effects.replies.extend(after.refused(error));
        }
    }

    fn drop_offsets(&mut self, name: &GroupName, partitions: &[TopicPartition]) {
        for partition in partitions {
            self.offsets.remove(name, partition);
        }
    }

    fn drop_dead(&mut self, name: &GroupName) {
        if self.groups.get(name).is_some_and(|group| group.state == State::Dead) {
            self.groups.remove(name);
            self.index(name);
        }
    }

    /// Forgets positions that their groups have outlived, and empty groups that have none left.
    pub(super) fn sweep(&mut self, now: Now, effects: &mut Effects) {
        let mut unused = Vec::new();
        for (name, group) in &mut self.groups {
            if group.in_flight > 0 || group.state == State::Dead {
                continue;
            }
            let gone = expiry::expired(group, &self.offsets, &self.settings, now);
            let keeps_offsets =
                self.offsets.of_group(name).count() > gone.len() || self.offsets.has_open(name);
            let is_over = group.state == State::Empty && group.pending.is_empty() && !keeps_offsets;
            if is_over && gone.is_empty() && !is_in_log(group) {
                unused.push(name.clone());
                continue;
            }
            if is_over {
                group.state = State::Dead;
            }
            forget(name, gone, is_over && is_in_log(group), effects);
        }
        for name in unused {
            self.groups.remove(&name);
            self.index(&name);
        }
    }
}

/// True where the log has a record of the group itself.
fn is_in_log(group: &Group) -> bool {
    group.protocol_type.is_some()
}

/// Writes tombstones for positions that nobody asked about, and for the group itself where it is over.
pub(super) fn forget(name: &GroupName, gone: Vec<TopicPartition>, is_over: bool, effects: &mut Effects) {
    let mut records = tombstones(name, &gone);
    if is_over {
        records.push(GroupRecord::Group { group: name.clone(), value: None });
    }
    if !records.is_empty() {
        let pending = Pending { group: name.clone(), after: After::Forget { removed: gone } };
        effects.appends.push((Append { producer: None, records }, pending));
    }
}

pub(super) fn tombstones(name: &GroupName, gone: &[TopicPartition]) -> Vec<GroupRecord> {
    let tombstone = |partition: &TopicPartition| GroupRecord::Offset {
        group: name.clone(),
        partition: partition.clone(),
        value: None,
    };
    gone.iter().map(tombstone).collect()
}
