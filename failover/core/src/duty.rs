//! What a region's agent was told, and what it does about it: seals its region, opens it, or leaves it alone.
//!
//! The controller opens and seals the region too. So an agent opens only within one lease of having asked, and says when
//! it leaves a seal alone: the controller believes no seal before it heard that, or knows that the lease is over.

use std::time::Duration;

use leeward_model::{FencingEpoch, Instant, mutation::planted};

use crate::limits::FIRST_WORD_WAIT;

/// What a controller answers to a report of a region's agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    pub epoch: FencingEpoch,
    pub role: Role,
    /// The region's lease, counted from before the report was sent, where that renewed it.
    pub lease: Option<Duration>,
}

/// What a region is to its agent: also what the agent notes durably, for the process after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Role {
    /// The region is the acting primary, with or without a lease.
    pub serves: bool,
    pub seal: bool,
}

/// What an agent goes by, as it reports that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    pub epoch: FencingEpoch,
    /// `serves`: it keeps to a lease. `seal`: it leaves the region's seal alone.
    pub role: Role,
}

/// How far the region refuses writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sealing {
    Open,
    /// A seal was begun, or is being lifted, by this process or the one before it.
    Begun,
    Complete,
}

/// What an agent does to its region next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Ends in [`Duty::sealed`].
    Seal,
    /// See whether the seal is there; where it is not, [`Duty::sealed`] with `false`.
    Look,
    /// Lift the seal, but send nothing for it from this moment on. Ends in [`Duty::opened`].
    Open { until: Instant },
}

/// How an agent keeps its region.
#[derive(Clone, Copy, Debug)]
pub struct Keeping {
    pub lease: Duration,
    /// Whether it seals the region when the lease runs out.
    pub seals_itself: bool,
}

/// What the agent before this one left behind.
#[derive(Clone, Copy, Debug)]
pub struct Before {
    pub role: Role,
    /// What is left of the region's lease.
    pub left: Duration,
    pub sealing: Sealing,
}

/// What the agent was told, and what it did about it.
///
/// Invariant: without `lease_until` the region is never sealed unasked, and before the first word it is never opened.
#[derive(Clone, Debug)]
pub struct Duty {
    keeping: Keeping,
    before: Role,
    epoch: Option<FencingEpoch>,
    told: Option<Role>,
    /// When the report was sent that the last word answers.
    heard_at: Option<Instant>,
    /// `None` until there is a lease that can run out.
    lease_until: Option<Instant>,
    sealing: Sealing,
    opening: bool,
}

impl Duty {
    /// An agent whose region served before it was started keeps to what is left of the region's lease, which the
    /// controller counts from the last renewal whoever holds it. Where nothing is left, or the region was to be sealed, it
    /// waits for a first word.
    pub fn new(keeping: Keeping, before: Before, now: Instant) -> Self {
        let Before { role, left, sealing } = before;
        let wait = if left.is_zero() || role.seal { FIRST_WORD_WAIT } else { left };
        let lease_until = (role.serves || role.seal).then(|| now.after(wait.min(keeping.lease)));
        Self {
            keeping,
            before: role,
            epoch: None,
            told: None,
            heard_at: None,
            lease_until,
            sealing,
            opening: false,
        }
    }

    /// What it was told; `None` before the first word.
    pub fn role(&self) -> Option<Role> {
        self.told
    }

    pub fn sealing(&self) -> Sealing {
        self.sealing
    }

    /// When the lease ends; `None` where there is none that can run out.
    pub fn lease_until(&self) -> Option<Instant> {
        self.lease_until
    }

    /// What it goes by until it is told otherwise; `None` before the first word.
    pub fn taken(&self) -> Option<Taken> {
        let (epoch, Role { serves, seal }) = (self.epoch?, self.told?);
        Some(Taken { epoch, role: Role { serves, seal: seal && !self.opening } })
    }

    /// Takes an instruction that answers a report sent at `sent_at`. One of an older epoch is ignored.
    pub fn take(&mut self, instruction: &Instruction, sent_at: Instant) {
        if self.epoch.is_some_and(|epoch| instruction.epoch < epoch) {
            return;
        }
        self.epoch = Some(instruction.epoch);
        self.told = Some(instruction.role);
        self.heard_at = Some(sent_at);
        if !instruction.role.serves {
            self.lease_until = None;
        } else if let Some(lease) = instruction.lease {
            self.lease_until = Some(sent_at.after(lease));
        } else {
            // Only the controller knows from when on it counts a lease: without its word there is none to take.
            self.lease_until = self.lease_until.or(Some(sent_at));
        }
    }

    /// What is to be done to the region at this moment. While something is being done, this is not to be asked.
    pub fn next(&mut self, now: Instant) -> Option<Act> {
        if self.must_seal(now) {
            if self.sealing != Sealing::Complete {
                self.sealing = Sealing::Begun;
                return Some(Act::Seal);
            }
            // The controller may have opened the region without this agent's hearing of it.
            let silent = self.heard_at.is_none_or(|at| now.since(at) >= self.keeping.lease);
            return silent.then_some(Act::Look);
        }
        let until = self.opens_until().filter(|until| now < *until)?;
        if self.sealing == Sealing::Open {
            return None;
        }
        self.sealing = Sealing::Begun;
        self.opening = true;
        Some(Act::Open { until })
    }

    /// The region was sealed, wholly or not.
    pub fn sealed(&mut self, complete: bool) {
        self.sealing = if complete { Sealing::Complete } else { Sealing::Begun };
    }

    /// The seal was lifted, or that failed; either way nothing is under way any more.
    pub fn opened(&mut self, done: bool) {
        self.opening = false;
        if done {
            self.sealing = Sealing::Open;
        }
    }

    fn must_seal(&self, now: Instant) -> bool {
        let ran_out = self.lease_until.is_some_and(|until| now >= until);
        let seals_itself = self.keeping.seals_itself && !planted("agent-stays-open-when-its-lease-runs-out");
        match self.told {
            Some(Role { seal: true, .. }) => true,
            Some(Role { serves: false, .. }) => false,
            Some(Role { serves: true, .. }) => ran_out && seals_itself,
            None => ran_out && (seals_itself || self.before.seal),
        }
    }

    /// Until when it may lift a seal: no longer than the controller counts on.
    fn opens_until(&self) -> Option<Instant> {
        match self.told? {
            Role { seal: true, .. } => None,
            Role { serves: true, .. } => self.lease_until,
            Role { serves: false, .. } => self.heard_at.map(|at| at.after(self.keeping.lease)),
        }
    }
}

#[cfg(test)]
mod tests;
