//! Leases of the regions: how long each may write without being heard.
//!
//! A region's lease is renewed by the same reports whose absence is counted as silence. A renewal counts from its
//! receipt here, and at the region from before it was sent, so that the region always stops first. An agent that is
//! started again keeps to the lease of the one before it: nobody here knows that there was another. Leave to lift a seal
//! counts like a lease: an agent may use it for as long.

use std::{collections::BTreeMap, time::Duration};

use leeward_model::{FencingEpoch, Instant, RegionName};

use crate::config::LeaseRule;

/// Leave to write, as given to a region's agent or a gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    pub region: RegionName,
    pub epoch: FencingEpoch,
    /// Counted by its holder from before it asked.
    pub valid_for: Duration,
}

/// When each region's lease was last renewed.
#[derive(Clone, Debug)]
pub struct Leases {
    rule: LeaseRule,
    started_at: Instant,
    renewed_at: BTreeMap<RegionName, Instant>,
    /// When a region that does not serve was last given leave to be open.
    open_at: BTreeMap<RegionName, Instant>,
}

impl Leases {
    /// Knows of no renewal, and so supposes that every region was renewed at this moment by a predecessor.
    pub fn new(rule: LeaseRule, now: Instant) -> Self {
        Self { rule, started_at: now, renewed_at: BTreeMap::new(), open_at: BTreeMap::new() }
    }

    pub fn renew(&mut self, region: &RegionName, now: Instant) {
        self.renewed_at.insert(region.clone(), now);
    }

    /// Gives a region leave to be open without a renewal: its agent may lift a seal for as long as a lease lives.
    pub fn leave_open(&mut self, region: &RegionName, now: Instant) {
        self.open_at.insert(region.clone(), now);
    }

    /// When the region was last heard well, where this process heard it.
    pub fn renewed_at(&self, region: &RegionName) -> Option<Instant> {
        self.renewed_at.get(region).copied()
    }

    /// When the region has surely stopped, and nobody there opens it: its lease and the margin are over.
    pub fn over_at(&self, region: &RegionName) -> Instant {
        let given_at = [self.renewed_at.get(region), self.open_at.get(region)];
        let last = given_at.into_iter().flatten().copied().fold(self.started_at, Instant::max);
        last.after(self.rule.duration).after(self.rule.margin)
    }

    pub fn is_over(&self, region: &RegionName, now: Instant) -> bool {
        now >= self.over_at(region)
    }

    /// What is left of the region's lease, without the margin.
    pub fn remaining(&self, region: &RegionName, now: Instant) -> Duration {
        self.over_at(region).since(now).saturating_sub(self.rule.margin)
    }

    pub(crate) fn rule(&self) -> LeaseRule {
        self.rule
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::{config, name};

    #[test]
    fn a_lease_counts_from_the_last_report_and_not_from_the_verdict() {
        let mut leases = Leases::new(config().lease, Instant::ZERO);
        let renewed_at = Instant::from_start(Duration::from_secs(10));

        leases.renew(&name("a"), renewed_at);

        assert_eq!(leases.over_at(&name("a")), renewed_at.after(Duration::from_millis(1_100)));
    }

    #[test]
    fn a_controller_that_just_started_waits_a_whole_lease() {
        let started_at = Instant::from_start(Duration::from_secs(5));
        let leases = Leases::new(config().lease, started_at);

        assert!(!leases.is_over(&name("a"), started_at.after(Duration::from_millis(1_099))));
    }

    #[test]
    fn leave_to_lift_a_seal_counts_like_a_lease() {
        let mut leases = Leases::new(config().lease, Instant::ZERO);
        let asked_at = Instant::from_start(Duration::from_secs(10));

        leases.leave_open(&name("a"), asked_at);

        assert_eq!(leases.over_at(&name("a")), asked_at.after(Duration::from_millis(1_100)));
    }
}
