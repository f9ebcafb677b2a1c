//! How members go: by LeaveGroup, or by silence.

use leeward_model::Instant;
use leeward_wire::ErrorCode;

use super::{
    Identity, Leave, LeaveReply,
    classic::{Group, State},
    effects::Context,
    member::Member,
};

impl Group {
    pub(super) fn leave(&mut self, leave: &Leave, cx: &mut Context<'_>) -> LeaveReply {
        if self.state == State::Dead {
            return LeaveReply { error: ErrorCode::COORDINATOR_NOT_AVAILABLE, members: Vec::new() };
        }
        let members = leave.members.iter().map(|member| (member.clone(), self.leave_one(member, cx)));
        LeaveReply { error: ErrorCode::NONE, members: members.collect() }
    }

    fn leave_one(&mut self, member: &Identity, cx: &mut Context<'_>) -> ErrorCode {
        if self.pending.remove(&member.id).is_some() {
            self.complete_join_if_all_came(cx);
            return ErrorCode::NONE;
        }
        // An operator removes a static member by the name that it gave.
        let by_instance = member.instance_id.as_ref().filter(|_| member.id.is_empty());
        if let Some(instance) = by_instance {
            let Some(id) = self.statics.get(instance).cloned() else { return ErrorCode::UNKNOWN_MEMBER_ID };
            self.remove_and_rebalance(&id, cx);
            return ErrorCode::NONE;
        }
        match self.validate_member(member) {
            Ok(()) => {
                self.remove_and_rebalance(&member.id, cx);
                ErrorCode::NONE
            }
            Err(error) => error,
        }
    }

    fn remove_and_rebalance(&mut self, id: &str, cx: &mut Context<'_>) {
        self.remove(id, ErrorCode::UNKNOWN_MEMBER_ID, cx);
        self.rebalance(cx);
        self.complete_join_if_all_came(cx);
    }

    /// Does what is due. What that makes due at once is done by the next call.
    pub(super) fn tick(&mut self, cx: &mut Context<'_>) {
        let now = cx.now.instant;
        let pending = self.pending.len();
        self.pending.retain(|_, expires| *expires > now);
        if self.pending.len() < pending {
            self.complete_join_if_all_came(cx);
        }
        let silent = self.members.iter().filter(|(_, member)| member.deadline().is_some_and(|at| at <= now));
        let silent: Vec<String> = silent.map(|(id, _)| id.clone()).collect();
        for id in silent {
            self.remove_and_rebalance(&id, cx);
        }
        if self.sync_deadline_at().is_some_and(|at| at <= now) {
            self.sync_deadline(cx);
        }
        if self.join_deadline_at().is_some_and(|at| at <= now) {
            self.join_deadline(cx);
        }
    }

    /// When [`Group::tick`] has something to do.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let members = self.members.values().filter_map(Member::deadline);
        let pending = self.pending.values().copied();
        members.chain(pending).chain(self.sync_deadline_at()).chain(self.join_deadline_at()).min()
    }

    fn join_deadline_at(&self) -> Option<Instant> {
        match &self.state {
            State::PreparingRebalance { deadline, .. } => Some(*deadline),
            State::Empty | State::CompletingRebalance { .. } | State::Stable { .. } | State::Dead => None,
        }
    }

    fn sync_deadline_at(&self) -> Option<Instant> {
        match &self.state {
            State::CompletingRebalance { unsynced } | State::Stable { unsynced } => {
                unsynced.as_ref().map(|unsynced| unsynced.deadline)
            }
            State::Empty | State::PreparingRebalance { .. } | State::Dead => None,
        }
    }
}
