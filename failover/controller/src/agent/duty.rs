//! What an agent was told, and when it must seal its region: a pure part, given each moment.

use std::time::Duration;

use leeward_proto::region::{AgentInstruction, SealReport};
use tokio::time::Instant;

use crate::limits::FIRST_WORD_WAIT;

/// What the controller said last.
#[derive(Clone, Copy, Debug)]
struct Told {
    serves: bool,
    seal: bool,
}

/// How far the region refuses writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sealing {
    Open,
    /// A seal was begun, by this process or the one before it, and nobody saw it complete.
    Begun,
    Complete,
}

/// What the agent was told, and what it did about it.
///
/// Invariant: without `lease_until` the region is never sealed unasked, and before the first word it is never opened.
#[derive(Debug)]
pub(super) struct Duty {
    epoch: u64,
    told: Option<Told>,
    /// `None` until there is a lease that can run out.
    lease_until: Option<Instant>,
    lease: Duration,
    pub(super) sealing: Sealing,
    pub(super) seen: String,
}

impl Duty {
    /// An agent whose region `served` before it was started keeps to what is left of the region's lease, which the
    /// controller counts from the last renewal whoever holds it. Where nothing is left it waits for a first word.
    pub(super) fn new(served: bool, left: Duration, sealing: Sealing, lease: Duration, now: Instant) -> Self {
        let wait = if left.is_zero() { FIRST_WORD_WAIT } else { left };
        let lease_until = served.then(|| now + wait.min(lease));
        Self { epoch: 0, told: None, lease_until, lease, sealing, seen: String::new() }
    }

    /// Whether nobody told it anything yet.
    pub(super) fn is_new(&self) -> bool {
        self.told.is_none()
    }

    /// When the lease ends; `None` where there is none that can run out.
    pub(super) fn lease_until(&self) -> Option<Instant> {
        self.lease_until
    }

    pub(super) fn must_seal(&self, seals_itself: bool, now: Instant) -> bool {
        let ran_out = seals_itself && self.lease_until.is_some_and(|until| now >= until);
        match self.told {
            Some(Told { seal: true, .. }) => true,
            Some(Told { serves: false, .. }) => false,
            Some(Told { serves: true, .. }) | None => ran_out,
        }
    }

    pub(super) fn may_open(&self) -> bool {
        self.told.is_some()
    }

    /// Whether this region is the acting primary; `None` before the first word.
    pub(super) fn serves(&self) -> Option<bool> {
        self.told.map(|told| told.serves)
    }

    /// Takes an instruction that answers a report sent at `sent_at`. One of an older epoch is ignored.
    pub(super) fn take(&mut self, instruction: &AgentInstruction, sent_at: Instant) {
        if instruction.epoch < self.epoch {
            return;
        }
        self.epoch = instruction.epoch;
        self.told = Some(Told { serves: instruction.serves, seal: instruction.seal });
        if !instruction.serves {
            self.lease_until = None;
        } else if instruction.lease_millis > 0 {
            self.lease_until = Some(sent_at + Duration::from_millis(instruction.lease_millis));
        } else if self.lease_until.is_none() {
            // It has just learned its role, and had no time to see its region well.
            self.lease_until = Some(sent_at + self.lease);
        }
    }

    pub(super) fn report(&self) -> SealReport {
        let sealed = self.sealing == Sealing::Complete;
        SealReport { epoch: self.epoch, sealed, seen: self.seen.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(10);
    const MOMENT: Duration = Duration::from_millis(1);

    fn duty(served: bool, now: Instant) -> Duty {
        Duty::new(served, LEASE, Sealing::Open, LEASE, now)
    }

    fn told(serves: bool, seal: bool, lease_millis: u64) -> AgentInstruction {
        AgentInstruction { number: 1, epoch: 1, lease_millis, seal, serves }
    }

    #[test]
    fn a_new_agent_that_hears_nobody_never_seals() {
        let now = Instant::now();

        assert!(!duty(false, now).must_seal(true, now + LEASE * 100));
    }

    #[test]
    fn a_new_agent_told_that_it_serves_has_a_whole_lease_to_see_its_region_well() {
        let now = Instant::now();
        let mut duty = duty(false, now);
        let told_at = now + LEASE * 3;

        duty.take(&told(true, false, 0), told_at);

        assert!(!duty.must_seal(true, told_at + LEASE.saturating_sub(MOMENT)));
        assert!(duty.must_seal(true, told_at + LEASE));
    }

    #[test]
    fn an_agent_that_served_before_keeps_to_what_is_left_of_the_lease() {
        let now = Instant::now();
        let left = LEASE / 10;
        let duty = Duty::new(true, left, Sealing::Open, LEASE, now);

        assert!(!duty.must_seal(true, now + left.saturating_sub(MOMENT)));
        assert!(duty.must_seal(true, now + left));
    }

    #[test]
    fn an_agent_whose_lease_was_over_when_it_started_asks_first() {
        let now = Instant::now();
        let duty = Duty::new(true, Duration::ZERO, Sealing::Open, LEASE, now);

        assert!(!duty.must_seal(true, now + FIRST_WORD_WAIT.saturating_sub(MOMENT)));
        assert!(duty.must_seal(true, now + FIRST_WORD_WAIT));
    }

    #[test]
    fn a_note_never_gives_more_than_one_lease() {
        let now = Instant::now();
        let duty = Duty::new(true, LEASE * 9, Sealing::Open, LEASE, now);

        assert!(duty.must_seal(true, now + LEASE));
    }

    #[test]
    fn a_word_without_a_lease_does_not_prolong_the_one_that_runs() {
        let now = Instant::now();
        let mut duty = duty(true, now);

        duty.take(&told(true, false, 0), now + LEASE / 2);

        assert!(duty.must_seal(true, now + LEASE));
    }

    #[test]
    fn a_returning_old_primary_is_sealed_by_the_first_word() {
        let now = Instant::now();
        let mut duty = duty(true, now);

        duty.take(&told(false, true, 0), now);

        assert!(duty.must_seal(true, now));
    }

    #[test]
    fn a_lease_that_ran_out_seals_and_a_new_one_opens() {
        let now = Instant::now();
        let mut duty = duty(false, now);
        duty.take(&told(true, false, 1_000), now);
        let later = now + Duration::from_secs(1);
        assert!(duty.must_seal(true, later));

        duty.take(&told(true, false, 1_000), later);

        assert!(!duty.must_seal(true, later));
    }

    #[test]
    fn a_region_that_takes_over_again_is_not_measured_by_its_old_lease() {
        let now = Instant::now();
        let mut duty = duty(false, now);
        duty.take(&told(true, false, 1_000), now);
        duty.take(&told(false, false, 0), now);
        let later = now + LEASE * 2;

        duty.take(&told(true, false, 0), later);

        assert!(!duty.must_seal(true, later));
    }

    #[test]
    fn nothing_is_opened_before_the_first_word() {
        assert!(!Duty::new(true, LEASE, Sealing::Begun, LEASE, Instant::now()).may_open());
    }
}
