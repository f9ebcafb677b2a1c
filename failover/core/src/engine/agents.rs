//! What regions' agents are told, and what they must have heard before the next step.
//!
//! A seal is believed once the region's agent leaves it alone, and a region takes writes once its agent keeps to a lease.
//! Who is not heard for a lease is not waited for.

use leeward_model::{Instant, RegionName, mutation::planted};

use super::Engine;
use crate::{
    duty::{Instruction, Role, Taken},
    effect::Effect,
    phases::{Operation, Stage},
    quorum::Verdict,
};

/// What a region's agent said last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heard {
    at: Instant,
    taken: Option<Taken>,
}

impl Engine {
    /// A region's agent reports. To be told first, so that nothing begins because it was not heard.
    pub fn hear(&mut self, agent: &RegionName, taken: Option<Taken>, now: Instant) {
        if self.config.holds_data(agent) {
            self.agents.insert(agent.clone(), Heard { at: now, taken });
        }
    }

    /// Answers a region's agent, whose report was heard at `since` and has been taken into account.
    pub fn instruct(&mut self, agent: &RegionName, since: Instant, now: Instant) -> Instruction {
        let taken = self.agents.get(agent).and_then(|heard| heard.taken);
        let needs_lease = !taken.is_some_and(|taken| taken.role.serves);
        self.grant_first(agent, needs_lease, now);
        let role = Role { serves: self.state.is_leased(agent), seal: self.state.must_be_sealed(agent) };
        if role == Role::default() {
            self.leases.leave_open(agent, now);
        }
        let renewed = role.serves && self.leases.renewed_at(agent).is_some_and(|at| at >= since);
        let lease = renewed.then(|| self.leases.rule().duration);
        Instruction { epoch: self.state.epoch, role, lease }
    }

    /// A region that learns that it serves has a lease from the start: it must not seal before its first probes. So has
    /// one whose agent knows of none, unless the region counts as lost.
    fn grant_first(&mut self, agent: &RegionName, needs_lease: bool, now: Instant) {
        let serving = (agent.clone(), self.state.epoch);
        let may_have_one = || needs_lease && self.health(agent, now).verdict != Verdict::Down;
        if !self.state.is_leased(agent) {
            self.serving_told.take_if(|(told, _)| told == agent);
        } else if self.serving_told.as_ref() != Some(&serving) || may_have_one() {
            self.leases.renew(agent, now);
            self.serving_told = Some(serving);
        }
    }

    /// A region that the controller itself opens is not guarded before its agent misses a lease.
    pub(super) fn count_what_is_opened(&mut self, now: Instant) {
        let Some(running) = &self.state.operation else { return };
        if !self.state.must_be_sealed(&running.from) {
            let from = running.from.clone();
            self.leases.leave_open(&from, now);
        }
    }

    /// Whether an effect waits for a region's agent. Once it does not, it never does again: the agent goes by what it took
    /// until a later word, and a region that is left is leased again only after its operation.
    pub(super) fn waits_for_an_agent(&self, running: &Operation, effect: &Effect, now: Instant) -> bool {
        let took = |region: &RegionName, part: fn(Role) -> bool| {
            let taken = self.agents.get(region).and_then(|heard| heard.taken);
            taken.is_some_and(|taken| taken.epoch >= running.epoch && part(taken.role))
        };
        match effect {
            // What is seen of a seal that the agent may lift proves nothing. A region that came back was fenced before.
            Effect::SealRegion { region, .. } => {
                matches!(running.stage, Stage::Fencing { .. })
                    && !took(region, |role| role.seal)
                    && !self.leases.is_over(region, now)
                    && !planted("failover-believes-a-seal-that-may-be-lifted")
            }
            // No lease ends where nobody counts it.
            Effect::Promote { region, .. } => !took(region, |role| role.serves) && self.is_heard(region, now),
            Effect::UnsealRegion { region, .. } => {
                matches!(running.stage, Stage::Aborting { .. })
                    && !took(region, |role| role.serves)
                    && self.is_heard(region, now)
            }
            Effect::CutGateways { .. }
            | Effect::DrainLink { .. }
            | Effect::MoveGateways { .. }
            | Effect::UpdateDns { .. }
            | Effect::Verify { .. }
            | Effect::Quarantine { .. }
            | Effect::RecreateTopics { .. }
            | Effect::StartLink { .. }
            | Effect::AwaitCaughtUp { .. } => false,
        }
    }

    /// Whether the region's agent was heard within a lease, or could have been by a predecessor.
    fn is_heard(&self, region: &RegionName, now: Instant) -> bool {
        let at = self.agents.get(region).map_or(self.started_at, |heard| heard.at);
        if planted("failover-opens-a-region-before-its-agent-knows") {
            return false;
        }
        let rule = self.leases.rule();
        now < at.after(rule.duration).after(rule.margin)
    }
}
