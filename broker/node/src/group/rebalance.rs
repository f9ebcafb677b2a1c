//! From one generation to the next: who is awaited, for how long, and who leads.

use std::time::Duration;

use leeward_wire::ErrorCode;

use super::{
    classic::{Group, InitialDelay, State, Unsynced},
    effects::{After, Context},
    member::Member,
};

/// Shortest time by which a rebalance is put off where none of the members came: a member may ask for none.
const PUT_OFF_MIN: Duration = Duration::from_millis(100);

impl Group {
    /// Starts a rebalance unless one is being prepared.
    pub(super) fn rebalance(&mut self, cx: &mut Context<'_>) {
        let now = cx.now.instant;
        let state = match self.state {
            State::PreparingRebalance { .. } | State::Dead => return,
            State::Empty => {
                let delay = cx.settings.initial_rebalance_delay;
                let remaining = self.rebalance_timeout().saturating_sub(delay);
                let initial = Some(InitialDelay { remaining, newcomers: false });
                State::PreparingRebalance { deadline: now.after(delay), initial }
            }
            State::CompletingRebalance { .. } => {
                self.refuse_syncs(ErrorCode::REBALANCE_IN_PROGRESS, cx);
                State::PreparingRebalance { deadline: now.after(self.rebalance_timeout()), initial: None }
            }
            State::Stable { .. } => {
                State::PreparingRebalance { deadline: now.after(self.rebalance_timeout()), initial: None }
            }
        };
        self.enter(state, cx.now);
        self.complete_join_if_all_came(cx);
    }

    pub(super) fn complete_join_if_all_came(&mut self, cx: &mut Context<'_>) {
        let State::PreparingRebalance { initial: None, .. } = self.state else { return };
        if self.pending.is_empty() && self.members.values().all(Member::waits_for_join) {
            self.complete_join(cx);
        }
    }

    /// The time to join is over.
    pub(super) fn join_deadline(&mut self, cx: &mut Context<'_>) {
        let State::PreparingRebalance { deadline, initial } = &mut self.state else { return };
        if let Some(initial) = initial
            && initial.newcomers
            && !initial.remaining.is_zero()
        {
            let delay = cx.settings.initial_rebalance_delay.min(initial.remaining);
            initial.newcomers = false;
            initial.remaining = initial.remaining.saturating_sub(delay);
            *deadline = cx.now.instant.after(delay);
            return;
        }
        self.complete_join(cx);
    }

    fn complete_join(&mut self, cx: &mut Context<'_>) {
        let absent =
            self.members.iter().filter(|(_, member)| !member.waits_for_join() && !member.is_static());
        let absent: Vec<String> = absent.map(|(id, _)| id.clone()).collect();
        for id in absent {
            self.remove(&id, ErrorCode::UNKNOWN_MEMBER_ID, cx);
        }
        if self.members.is_empty() {
            self.become_empty(cx);
        } else if self.elect_leader() {
            self.next_generation(cx);
        } else {
            let wait = self.rebalance_timeout().max(PUT_OFF_MIN);
            self.state = State::PreparingRebalance { deadline: cx.now.instant.after(wait), initial: None };
        }
    }

    /// Keeps the leader where it came, else takes one that did; false where nobody came.
    fn elect_leader(&mut self) -> bool {
        let leader = self.leader.as_ref().and_then(|leader| self.members.get(leader));
        if leader.is_some_and(Member::waits_for_join) {
            return true;
        }
        let next = self.members.iter().find(|(_, member)| member.waits_for_join());
        let Some((id, _)) = next else { return false };
        self.leader = Some(id.clone());
        true
    }

    fn become_empty(&mut self, cx: &mut Context<'_>) {
        self.generation = next(self.generation);
        self.protocol = None;
        self.leader = None;
        self.read_subscription();
        self.enter(State::Empty, cx.now);
        let record = self.record(None);
        cx.persist(&self.name, vec![record], After::Nothing);
    }

    fn next_generation(&mut self, cx: &mut Context<'_>) {
        self.generation = next(self.generation);
        self.protocol = self.elect_protocol();
        self.read_subscription();
        let unsynced = Unsynced {
            members: self.members.keys().cloned().collect(),
            deadline: cx.now.instant.after(self.rebalance_timeout()),
        };
        for id in &unsynced.members {
            let reply = self.joined(id);
            self.answer_join(id, reply, cx);
            if let Some(member) = self.members.get_mut(id) {
                member.is_new = false;
                member.assignment.clear();
                member.heard(cx.now);
            }
        }
        self.enter(State::CompletingRebalance { unsynced: Some(unsynced) }, cx.now);
    }

    /// Some members never asked for their assignment: they are removed and the others rebalance.
    pub(super) fn sync_deadline(&mut self, cx: &mut Context<'_>) {
        let late = match &mut self.state {
            State::CompletingRebalance { unsynced } | State::Stable { unsynced } => unsynced.take(),
            State::Empty | State::PreparingRebalance { .. } | State::Dead => None,
        };
        let Some(late) = late else { return };
        for id in &late.members {
            self.remove(id, ErrorCode::UNKNOWN_MEMBER_ID, cx);
        }
        self.rebalance(cx);
    }
}

/// Generations stay positive: after the largest comes the first.
fn next(generation: i32) -> i32 {
    generation.checked_add(1).unwrap_or(1)
}
