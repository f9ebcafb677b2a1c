//! SyncGroup and Heartbeat: assignments of a generation, and signs of life.

use std::collections::BTreeMap;

use bytes::Bytes;
use leeward_wire::ErrorCode;

use super::{
    Heartbeat, Response, Sync, SyncReply, Ticket,
    classic::{Group, State, refuse},
    effects::{After, Context},
    member::Waiting,
};

impl Group {
    pub(super) fn sync(&mut self, ticket: Ticket, sync: &Sync, cx: &mut Context<'_>) {
        if let Err(error) = self.try_sync(ticket, sync, cx) {
            cx.reply(ticket, Response::Sync(SyncReply::refused(error)));
        }
    }

    fn try_sync(&mut self, ticket: Ticket, sync: &Sync, cx: &mut Context<'_>) -> Result<(), ErrorCode> {
        self.validate_sync(sync)?;
        let id = &sync.member.id;
        match self.state {
            State::Empty => Err(ErrorCode::UNKNOWN_MEMBER_ID),
            State::Dead => Err(ErrorCode::COORDINATOR_NOT_AVAILABLE),
            State::PreparingRebalance { .. } => Err(ErrorCode::REBALANCE_IN_PROGRESS),
            State::CompletingRebalance { .. } => {
                self.wait(id, Waiting::Sync(ticket), cx);
                self.has_synced(id);
                if self.is_leader(id) {
                    self.assign(sync, cx);
                }
                Ok(())
            }
            State::Stable { .. } => {
                self.has_synced(id);
                self.heard_from(id, cx);
                let reply = self.synced(id);
                cx.reply(ticket, Response::Sync(reply));
                Ok(())
            }
        }
    }

    fn validate_sync(&self, sync: &Sync) -> Result<(), ErrorCode> {
        if self.state == State::Dead {
            return Err(ErrorCode::COORDINATOR_NOT_AVAILABLE);
        }
        self.validate_member(&sync.member)?;
        if sync.generation != self.generation {
            return Err(ErrorCode::ILLEGAL_GENERATION);
        }
        let differs = |said: &Option<String>, ours: &Option<String>| said.is_some() && said != ours;
        if differs(&sync.protocol_type, &self.protocol_type) || differs(&sync.protocol, &self.protocol) {
            return Err(ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
        }
        Ok(())
    }

    /// Makes the leader's assignment durable; members that it left out have none.
    fn assign(&self, sync: &Sync, cx: &mut Context<'_>) {
        let ours = sync.assignments.iter().filter(|(id, _)| self.members.contains_key(id));
        let assignments: BTreeMap<String, Bytes> = ours.cloned().collect();
        let record = self.record(Some(&assignments));
        cx.persist(&self.name, vec![record], After::Assign { generation: self.generation, assignments });
    }

    /// The assignment is durable: everybody that waits gets its own.
    pub(super) fn assigned(
        &mut self,
        generation: i32,
        mut assignments: BTreeMap<String, Bytes>,
        cx: &mut Context<'_>,
    ) {
        let State::CompletingRebalance { unsynced } = &mut self.state else { return };
        if generation != self.generation {
            return;
        }
        let unsynced = unsynced.take();
        self.enter(State::Stable { unsynced }, cx.now);
        for (id, member) in &mut self.members {
            member.assignment = assignments.remove(id).unwrap_or_default();
        }
        for (id, ticket) in self.take_syncs() {
            let reply = self.synced(&id);
            cx.reply(ticket, Response::Sync(reply));
            self.heard_from(&id, cx);
        }
    }

    /// The assignment cannot become durable: the generation is given up.
    pub(super) fn not_assigned(&mut self, generation: i32, error: ErrorCode, cx: &mut Context<'_>) {
        if generation == self.generation && matches!(self.state, State::CompletingRebalance { .. }) {
            self.refuse_syncs(error, cx);
            self.rebalance(cx);
        }
    }

    pub(super) fn refuse_syncs(&mut self, error: ErrorCode, cx: &mut Context<'_>) {
        for (id, ticket) in self.take_syncs() {
            refuse(Waiting::Sync(ticket), &id, error, cx);
            self.heard_from(&id, cx);
        }
    }

    fn take_syncs(&mut self) -> Vec<(String, Ticket)> {
        let mut taken = Vec::new();
        for (id, member) in &mut self.members {
            if let Some(Waiting::Sync(ticket)) = member.waiting {
                member.waiting = None;
                taken.push((id.clone(), ticket));
            }
        }
        taken
    }

    fn synced(&self, id: &str) -> SyncReply {
        SyncReply {
            error: ErrorCode::NONE,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            assignment: self.members.get(id).map(|member| member.assignment.clone()).unwrap_or_default(),
        }
    }

    pub(super) fn heartbeat(&mut self, heartbeat: &Heartbeat, cx: &Context<'_>) -> ErrorCode {
        if self.state == State::Dead {
            return ErrorCode::COORDINATOR_NOT_AVAILABLE;
        }
        if let Err(error) = self.validate_member(&heartbeat.member) {
            return error;
        }
        if heartbeat.generation != self.generation {
            return ErrorCode::ILLEGAL_GENERATION;
        }
        self.heard_from(&heartbeat.member.id, cx);
        match self.state {
            State::Empty | State::Dead => ErrorCode::UNKNOWN_MEMBER_ID,
            State::PreparingRebalance { .. } => ErrorCode::REBALANCE_IN_PROGRESS,
            State::CompletingRebalance { .. } | State::Stable { .. } => ErrorCode::NONE,
        }
    }

    pub(super) fn heard_from(&mut self, id: &str, cx: &Context<'_>) {
        if let Some(member) = self.members.get_mut(id) {
            member.heard(cx.now);
        }
    }
}
