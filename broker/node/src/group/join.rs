//! JoinGroup: who gets in, and whether that starts a rebalance.

use leeward_wire::ErrorCode;

use super::{
    Join, JoinReply, Response, Ticket,
    classic::{Group, State, refuse},
    effects::{After, Context},
    limits,
    member::{Member, Waiting},
};

impl Group {
    pub(super) fn join(&mut self, ticket: Ticket, join: &Join, cx: &mut Context<'_>) {
        if self.is_full_for(&join.member.id, cx) {
            self.remove(&join.member.id, ErrorCode::GROUP_MAX_SIZE_REACHED, cx);
            let reply = JoinReply::refused("", ErrorCode::GROUP_MAX_SIZE_REACHED);
            cx.reply(ticket, Response::Join(reply));
        } else if let Err(error) = self.admit(ticket, join, cx) {
            cx.reply(ticket, Response::Join(JoinReply::refused(&join.member.id, error)));
        }
        self.complete_join_if_all_came(cx);
    }

    /// While members are awaited only those that came count: the group may be larger than the limit by those
    /// that will not.
    fn is_full_for(&self, id: &str, cx: &Context<'_>) -> bool {
        let members_max = cx.settings.members_max;
        match self.state {
            State::Empty | State::Dead => false,
            State::PreparingRebalance { .. } => {
                let came = self.members.values().filter(|member| member.waits_for_join()).count();
                let is_here = self.members.get(id).is_some_and(Member::waits_for_join);
                !is_here && came >= members_max
            }
            State::CompletingRebalance { .. } | State::Stable { .. } => {
                !self.members.contains_key(id) && self.members.len() >= members_max
            }
        }
    }

    fn admit(&mut self, ticket: Ticket, join: &Join, cx: &mut Context<'_>) -> Result<(), ErrorCode> {
        if self.state == State::Dead {
            return Err(ErrorCode::COORDINATOR_NOT_AVAILABLE);
        }
        if !self.supports(&join.protocol_type, &join.protocols) {
            return Err(ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
        }
        if join.member.id.is_empty() {
            self.admit_new(ticket, join, cx)
        } else if join.member.instance_id.is_none() && self.pending.contains_key(&join.member.id) {
            self.add(ticket, join.member.id.clone(), join, cx);
            Ok(())
        } else {
            self.validate_member(&join.member)?;
            self.admit_again(ticket, join, cx)
        }
    }

    fn admit_new(&mut self, ticket: Ticket, join: &Join, cx: &mut Context<'_>) -> Result<(), ErrorCode> {
        let prefix = join.member.instance_id.as_deref().unwrap_or(&join.caller.client_id);
        let id = format!("{prefix}-{}", join.new_id_suffix);
        if let Some(instance) = &join.member.instance_id {
            match self.statics.get(instance).cloned() {
                Some(former) => self.replace_static(ticket, &former, &id, join, cx),
                None => self.add(ticket, id, join, cx),
            }
        } else if join.id_required {
            if self.pending.len() >= limits::PENDING_MEMBERS_MAX {
                return Err(ErrorCode::GROUP_MAX_SIZE_REACHED);
            }
            cx.reply(ticket, Response::Join(JoinReply::refused(&id, ErrorCode::MEMBER_ID_REQUIRED)));
            self.pending.insert(id, cx.now.instant.after(join.session_timeout));
        } else {
            self.add(ticket, id, join, cx);
        }
        Ok(())
    }

    fn add(&mut self, ticket: Ticket, id: String, join: &Join, cx: &mut Context<'_>) {
        if self.members.is_empty() {
            self.protocol_type = Some(join.protocol_type.clone());
        }
        if let State::PreparingRebalance { initial: Some(initial), .. } = &mut self.state
            && self.generation == 0
        {
            initial.newcomers = true;
        }
        self.pending.remove(&id);
        if let Some(instance) = &join.member.instance_id {
            self.statics.insert(instance.clone(), id.clone());
        }
        self.leader.get_or_insert_with(|| id.clone());
        self.members.insert(id, Member::new(ticket, join, cx.now));
        self.rebalance(cx);
    }

    /// A member that is known joins again: because it was told to, or because it lost the answer.
    fn admit_again(&mut self, ticket: Ticket, join: &Join, cx: &mut Context<'_>) -> Result<(), ErrorCode> {
        let id = &join.member.id;
        let says_the_same = self.members.get(id).is_some_and(|member| member.protocols == join.protocols);
        let generation_stands = match self.state {
            State::Empty | State::Dead => return Err(ErrorCode::UNKNOWN_MEMBER_ID),
            State::PreparingRebalance { .. } => false,
            State::CompletingRebalance { .. } => says_the_same,
            // A leader that joins again wants to assign again.
            State::Stable { .. } => says_the_same && !self.is_leader(id),
        };
        if generation_stands {
            cx.reply(ticket, Response::Join(self.joined(id)));
        } else {
            self.update(ticket, id, join, cx);
            self.rebalance(cx);
        }
        Ok(())
    }

    fn update(&mut self, ticket: Ticket, id: &str, join: &Join, cx: &mut Context<'_>) {
        self.wait(id, Waiting::Join(ticket), cx);
        if let Some(member) = self.members.get_mut(id) {
            member.update(join);
        }
    }

    /// A static member came back without its id: it takes its place over, and its former self is fenced.
    fn replace_static(&mut self, ticket: Ticket, former: &str, id: &str, join: &Join, cx: &mut Context<'_>) {
        let leader_before = self.leader.clone().unwrap_or_default();
        let Some(mut member) = self.members.remove(former) else { return };
        if let Some(waiting) = member.waiting.take() {
            refuse(waiting, former, ErrorCode::FENCED_INSTANCE_ID, cx);
        }
        if let Some(instance) = &member.instance_id {
            self.statics.insert(instance.clone(), id.to_owned());
        }
        if self.is_leader(former) {
            self.leader = Some(id.to_owned());
        }
        if let State::CompletingRebalance { unsynced: Some(unsynced) }
        | State::Stable { unsynced: Some(unsynced) } = &mut self.state
            && unsynced.members.remove(former)
        {
            unsynced.members.insert(id.to_owned());
        }
        member.update(join);
        member.heard(cx.now);
        self.members.insert(id.to_owned(), member);
        let keeps_protocol = self.elect_protocol() == self.protocol;
        if matches!(self.state, State::Stable { .. }) && keeps_protocol {
            let reply = self.taken_over(id, leader_before, join.may_skip_assignment);
            let record = self.record(None);
            cx.persist(&self.name, vec![record], After::Join { ticket, reply });
        } else {
            self.wait(id, Waiting::Join(ticket), cx);
            self.rebalance(cx);
        }
    }

    /// The generation stands, so that a leader must not assign again: clients that cannot be told so are told
    /// that their former self leads.
    fn taken_over(&self, id: &str, leader_before: String, may_skip_assignment: bool) -> JoinReply {
        let mut reply = self.joined(id);
        if may_skip_assignment {
            reply.skip_assignment = self.is_leader(id);
        } else {
            reply.leader = leader_before;
            reply.members = Vec::new();
        }
        reply
    }
}
