//! Each request: finds or makes its group, and says what Kafka says where there is none.

use leeward_model::GroupName;
use leeward_wire::ErrorCode;

use super::GroupCoordinator;
use crate::group::{
    Append, Commit, DeleteOffsets, DeleteOffsetsReply, GroupRecord, Heartbeat, Join, JoinReply, Leave,
    LeaveReply, Now, Response, Sync, SyncReply, Ticket,
    classic::{Group, State},
    commit,
    effects::{After, Context, Effects, Pending},
    subscription::{CONSUMER, Subscription},
};

impl GroupCoordinator {
    pub(super) fn join(&mut self, ticket: Ticket, join: &Join, now: Now, effects: &mut Effects) {
        match self.find_to_join(join, now) {
            Ok(()) => self.on_group(&join.group, now, effects, |group, cx| group.join(ticket, join, cx)),
            Err(error) => {
                let reply = JoinReply::refused(&join.member.id, error);
                effects.replies.push((ticket, Response::Join(reply)));
            }
        }
    }

    fn find_to_join(&mut self, join: &Join, now: Now) -> Result<(), ErrorCode> {
        let sessions = self.settings.session_timeout_min..=self.settings.session_timeout_max;
        if join.group.as_str().is_empty() {
            Err(ErrorCode::INVALID_GROUP_ID)
        } else if !sessions.contains(&join.session_timeout) {
            Err(ErrorCode::INVALID_SESSION_TIMEOUT)
        } else if self.groups.contains_key(&join.group) {
            Ok(())
        } else if join.member.id.is_empty() {
            self.make(&join.group, now)
        } else {
            Err(ErrorCode::UNKNOWN_MEMBER_ID)
        }
    }

    fn make(&mut self, name: &GroupName, now: Now) -> Result<(), ErrorCode> {
        if self.groups.len() >= self.settings.groups_max {
            return Err(ErrorCode::POLICY_VIOLATION);
        }
        self.groups.insert(name.clone(), Group::new(name.clone(), now));
        Ok(())
    }

    pub(super) fn sync(&mut self, ticket: Ticket, sync: &Sync, now: Now, effects: &mut Effects) {
        match self.find(&sync.group) {
            Ok(()) => self.on_group(&sync.group, now, effects, |group, cx| group.sync(ticket, sync, cx)),
            Err(error) => effects.replies.push((ticket, Response::Sync(SyncReply::refused(error)))),
        }
    }

    pub(super) fn heartbeat(
        &mut self,
        ticket: Ticket,
        heartbeat: &Heartbeat,
        now: Now,
        effects: &mut Effects,
    ) {
        match self.find(&heartbeat.group) {
            Ok(()) => self.on_group(&heartbeat.group, now, effects, |group, cx| {
                let error = group.heartbeat(heartbeat, cx);
                cx.reply(ticket, Response::Heartbeat(error));
            }),
            Err(error) => effects.replies.push((ticket, Response::Heartbeat(error))),
        }
    }

    fn find(&self, name: &GroupName) -> Result<(), ErrorCode> {
        if name.as_str().is_empty() {
            Err(ErrorCode::INVALID_GROUP_ID)
        } else if self.groups.contains_key(name) {
            Ok(())
        } else {
            Err(ErrorCode::UNKNOWN_MEMBER_ID)
        }
    }

    pub(super) fn leave(&mut self, ticket: Ticket, leave: &Leave, now: Now, effects: &mut Effects) {
        match self.find(&leave.group) {
            Ok(()) => self.on_group(&leave.group, now, effects, |group, cx| {
                let reply = group.leave(leave, cx);
                cx.reply(ticket, Response::Leave(reply));
            }),
            Err(ErrorCode::UNKNOWN_MEMBER_ID) => {
                let members = leave.members.iter();
                let members = members.map(|member| (member.clone(), ErrorCode::UNKNOWN_MEMBER_ID)).collect();
                let reply = LeaveReply { error: ErrorCode::NONE, members };
                effects.replies.push((ticket, Response::Leave(reply)));
            }
            Err(error) => {
                let reply = LeaveReply { error, members: Vec::new() };
                effects.replies.push((ticket, Response::Leave(reply)));
            }
        }
    }

    pub(super) fn commit(&mut self, ticket: Ticket, commit: &Commit, now: Now, effects: &mut Effects) {
        if let Err(error) = self.may_commit(commit, now, effects) {
            effects.replies.push((ticket, Response::Commit(commit.refused(error))));
            return;
        }
        let cx = Context { now, settings: &self.settings, effects };
        let (accepted, reply) = commit::accept(commit, &self.offsets, &cx);
        if accepted.is_empty() {
            effects.replies.push((ticket, Response::Commit(reply)));
            return;
        }
        let append = Append { producer: commit.producer, records: commit::records(commit, &accepted) };
        let producer = commit.producer.map(|producer| producer.id);
        let after = After::Commit { ticket, producer, accepted, reply };
        effects.appends.push((append, Pending { group: commit.group.clone(), after }));
    }

    fn may_commit(&mut self, commit: &Commit, now: Now, effects: &mut Effects) -> Result<(), ErrorCode> {
        if !self.groups.contains_key(&commit.group) {
            if commit.generation >= 0 {
                return Err(ErrorCode::ILLEGAL_GENERATION);
            }
            self.make(&commit.group, now)?;
        }
        let mut outcome = Ok(());
        self.on_group(&commit.group, now, effects, |group, cx| outcome = group.validate_commit(commit, cx));
        outcome
    }

    pub(super) fn delete_group(&mut self, ticket: Ticket, name: &GroupName, effects: &mut Effects) {
        let refused = match self.groups.get_mut(name) {
            None => Some(ErrorCode::GROUP_ID_NOT_FOUND),
            Some(group) => match group.state {
                State::Empty if group.in_flight == 0 => {
                    group.state = State::Dead;
                    None
                }
                State::Empty | State::Dead => Some(ErrorCode::COORDINATOR_NOT_AVAILABLE),
                State::PreparingRebalance { .. }
                | State::CompletingRebalance { .. }
                | State::Stable { .. } => Some(ErrorCode::NON_EMPTY_GROUP),
            },
        };
        if let Some(error) = refused {
            effects.replies.push((ticket, Response::DeleteGroup(error)));
            return;
        }
        let removed: Vec<_> = self.offsets.of_group(name).map(|(partition, _)| partition.clone()).collect();
        let mut records = super::durable::tombstones(name, &removed);
        records.push(GroupRecord::Group { group: name.clone(), value: None });
        let after = After::DeleteGroup { ticket, removed };
        effects.appends.push((Append { producer: None, records }, Pending { group: name.clone(), after }));
    }

    pub(super) fn delete_offsets(&mut self, ticket: Ticket, delete: &DeleteOffsets, effects: &mut Effects) {
        let read = match self.read_by(&delete.group) {
            Ok(read) => read,
            Err(error) => {
                let reply = DeleteOffsetsReply { error, partitions: Vec::new() };
                effects.replies.push((ticket, Response::DeleteOffsets(reply)));
                return;
            }
        };
        let mut removed = Vec::new();
        let mut partitions = Vec::with_capacity(delete.partitions.len());
        for partition in &delete.partitions {
            let is_read = read.has(partition.topic.as_str());
            if !is_read && self.offsets.contains(&delete.group, partition) {
                removed.push(partition.clone());
            }
            let error = if is_read { ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC } else { ErrorCode::NONE };
            partitions.push((partition.clone(), error));
        }
        let reply = DeleteOffsetsReply { error: ErrorCode::NONE, partitions };
        if removed.is_empty() {
            effects.replies.push((ticket, Response::DeleteOffsets(reply)));
            return;
        }
        let append = Append { producer: None, records: super::durable::tombstones(&delete.group, &removed) };
        let after = After::DeleteOffsets { ticket, removed, reply };
        effects.appends.push((append, Pending { group: delete.group.clone(), after }));
    }

    /// The topics whose positions the group needs.
    fn read_by(&self, name: &GroupName) -> Result<Subscription, ErrorCode> {
        let group = self.groups.get(name).ok_or(ErrorCode::GROUP_ID_NOT_FOUND)?;
        match group.state {
            State::Dead => Err(ErrorCode::GROUP_ID_NOT_FOUND),
            State::Empty => Ok(Subscription::Topics(std::collections::BTreeSet::new())),
            State::PreparingRebalance { .. } | State::CompletingRebalance { .. } | State::Stable { .. } => {
                if group.protocol_type.as_deref() == Some(CONSUMER) {
                    Ok(group.subscription.clone())
                } else {
                    Err(ErrorCode::NON_EMPTY_GROUP)
                }
            }
        }
    }
}
